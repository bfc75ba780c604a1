"""Replaces secrets in command lines and values by ``***``, before anything is recorded of them.

What is in doubt is replaced: a hidden number costs less than a password that was kept. What a
training command is full of (``--max-tokens``, ``--tokenizer``, ``--key-frames``) is left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "***"
_ANYWHERE = re.compile(r"secret|passw|passphrase|credential", re.IGNORECASE)
"""What makes a name that of a secret, wherever it stands."""
_IN_CAPITALS = re.compile(r"KEY|TOKEN(?!S|IZ)|BEARER")
"""The same in the names of environment variables."""
_LAST = frozenset(("token", "key", "apikey", "pwd", "pw", "pass", "pat", "sig", "signature"))
"""What does so as the last word of an option's name."""
_HARMLESS = {
    "token": frozenset(
        (
            "eos", "bos", "pad", "mask", "unk", "sep", "cls", "stop", "start", "end", "begin",
            "image", "audio", "video", "special", "first", "last", "next", "per",
        )
    ),
    "key": frozenset(
        (
            "public", "sort", "primary", "foreign", "cache", "group", "text", "image", "label",
            "column", "dict", "index", "map", "join", "partition",
        )
    ),
}  # fmt: skip
"""Words before the last one with which it is none."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NAME = r"[A-Za-z_][\w.-]{0,99}"
_OPTION = re.compile(rf"--?(?P<name>{_NAME})")
_ASSIGNED = re.compile(rf"(?P<start>-*(?P<name>{_NAME})=)(?P<value>.*)", re.DOTALL)
"""An argument that is an option with its value, or a setting."""
_SET_WITHIN = re.compile(rf"(?<![\w.])(?P<name>{_NAME})[\"']?\]?\s*(?:=|:(?!//))\s*[\"']?")
"""What stands before a value in a text: of a shell, JSON, an address, Python."""
_OPTION_WITHIN = re.compile(rf"--?(?P<name>{_NAME})\s+[\"']?(?!-)")
"""The same for an option in the text of a shell."""
_VALUE = re.compile(r"(?<=\")[^\"]+|(?<=')[^']+|[^\s\"'&;,}]+")
"""A value: all between quotes, if it stands in some."""
_HOOK = re.compile(r"(?P<start>\bhooks\.slack\.com/)[\w/-]+")
_ACCOUNT = re.compile(
    r"(?P<start>(?:://[\w.%+-]{0,100}|[\w.%+-]{1,100}):)(?!//)[^\s@\"']{1,200}(?=@[\w\[])"
)
"""``user:password@host``, in an address or alone."""
_AUTHORIZATION = re.compile(
    r"(?P<start>\bauthorization[\"']?\s*[:=]\s*[\"']?)[^\"']+", re.IGNORECASE
)
_BEARER = re.compile(r"(?P<start>\b(?:bearer|basic)\s+)[\w.~+/=-]{4,}", re.IGNORECASE)
_TOKENS = re.compile(
    r"\b(?:hf_\w{6,}|sk-[\w-]{6,}|(?:gh[pousr]|github_pat)_\w{10,}|glpat-[\w-]{10,}"
    r"|nvapi-[\w-]{10,}|xox[a-z]-[\w-]{8,}|A[KS]IA[0-9A-Z]{12,}|AIza[\w-]{20,}"
    r"|eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)"
)
"""Texts that their makers gave a form by which they are known."""
_USER = re.compile(r"(?P<start>[^:]+:)(?!\d+$).+", re.DOTALL)
"""``user:password``, of an option for it."""


def redact(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command's arguments without the secrets in them."""
    shown: list[str] = []
    option = ""
    for argument in argv:
        if option and not argument.startswith("-") and is_secret(option):
            shown.append(HIDDEN)
        elif option in ("u", "user") and _USER.fullmatch(argument):
            shown.append(_USER.sub(rf"\g<start>{HIDDEN}", argument))
        else:
            shown.append(redact_text(argument))
        is_option = _OPTION.fullmatch(argument)
        option = is_option["name"] if is_option else ""
    return tuple(shown)


def redact_text(text: str) -> str:
    """Return one argument, or another text, without the secrets in it."""
    assigned = _ASSIGNED.fullmatch(text)
    if assigned is not None and is_secret(assigned["name"]):
        return assigned["start"] + HIDDEN
    for pattern in (_OPTION_WITHIN, _SET_WITHIN):
        text = _without_values(pattern, text)
    for pattern in (_AUTHORIZATION, _BEARER, _ACCOUNT, _HOOK):
        text = pattern.sub(rf"\g<start>{HIDDEN}", text)
    return _TOKENS.sub(HIDDEN, text)


def is_secret(name: str) -> bool:
    """Return whether an option or a variable of that name holds a secret."""
    if _ANYWHERE.search(name) or (name.isupper() and _IN_CAPITALS.search(name)):
        return True
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] not in _LAST:
        return False
    return not (len(words) > 1 and words[-2] in _HARMLESS.get(words[-1], ()))


def _without_values(pattern: re.Pattern[str], text: str) -> str:
    """Return a text in which the values are hidden that follow the names of secrets."""
    parts, end = [], 0
    for found in pattern.finditer(text):
        value = _VALUE.match(text, found.end())
        if value is not None and found.start() >= end and is_secret(found["name"]):
            parts += [text[end : found.end()], HIDDEN]
            end = value.end()
    return "".join(parts) + text[end:]
