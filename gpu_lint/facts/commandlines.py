"""Command lines: the programs that one starts, and what it makes of their environment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from gpu_lint.records import record

UNKNOWN_PART = "\0"
"""What stands in a command line for a part that only the run will tell."""
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SEPARATORS = frozenset(";&|()")
_SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh"})
_WRAPPERS = {
    "chrt": ("-T", "-P", "-D"),
    "exec": ("-a",),
    "ionice": ("-c", "--class", "-n", "--classdata"),
    "nice": ("-n", "--adjustment"),
    "nohup": (),
    "numactl": (
        "-C", "--physcpubind", "-N", "--cpunodebind", "-m", "--membind", "-i", "--interleave",
        "-p", "--preferred",
    ),
    "setsid": (),
    "stdbuf": ("-i", "--input", "-o", "--output", "-e", "--error"),
    "taskset": ("-c", "--cpu-list"),
    "time": ("-f", "--format", "-o", "--output"),
    "timeout": ("-k", "--kill-after", "-s", "--signal"),
}  # fmt: skip
"""Programs that start another one, which is named behind their own options and numbers; each with
those of its options whose value is the next word."""
_LEADING = frozenset({"if", "then", "else", "elif", "do", "while", "until", "!", "{"})
"""Words of a shell in front of a command."""
_NO_COMMANDS = frozenset({"fi", "done", "esac", "}", "for", "case", "select", "function", "in"})
"""Words of a shell that begin what is no command."""
_OPTION = re.compile(r"-.*|0[xX][\da-fA-F]+|\d+(?:\.\d+)?[smhd]?")
_COMMENT = re.compile(
    r"""('[^']*'|"(?:\\.|[^"\\])*"|\\.)|(?:(?<=[\s;&|()])|^)\#[^\n]*""", re.DOTALL
)
"""What is quoted, as a group; or a comment of a shell."""
_REDIRECTION = re.compile(r"\d*>&\d|&>{1,2}")
_ENV_TAKES = frozenset({"-C", "--chdir", "-a", "--argv0"})
_SUDO_TAKES = frozenset(
    {"-C", "-D", "-g", "-h", "-p", "-R", "-r", "-T", "-t", "-U", "-u", "--chdir", "--chroot",
     "--close-from", "--command-timeout", "--group", "--host", "--other-user", "--prompt",
     "--role", "--type", "--user"}
)  # fmt: skip
_SUDO_KEEPS = frozenset({"-E", "--preserve-env"})
_MOST_NESTED = 4
"""Shells in one another that are followed."""


@record
class Started:
    """A program that a command line starts, with what it sets, or removes, for it."""

    words: tuple[str, ...]
    """The program and its arguments."""
    variables: dict[str, str | None]
    """What variables are set to, by their names; None where they are removed."""
    cleared: bool = False
    """No other variable is handed on."""


_PATH_SEPARATOR = re.compile(r"[/\\]")
_MOST_WORDS = 200
"""Words of one command that are read."""


class _Shell:
    """A shell that reads commands one after the other."""

    def __init__(self, depth: int = 0) -> None:
        self.started: list[Started] = []
        self.variables: dict[str, str | None] = {}
        self._depth = depth

    def read(self, text: str) -> None:
        """Read a text of one or several commands."""
        command: list[str] = []
        outside: list[dict[str, str | None]] = []
        for word in _split(text):
            if _SEPARATORS.issuperset(word) and word:
                self.run(command, self.variables)
                command = []
                for sign in word:  # what is set in a subshell is not set behind it
                    if sign == "(":
                        outside.append(dict(self.variables))
                    elif sign == ")" and outside:
                        self.variables = outside.pop()
            else:
                command.append(word)
        self.run(command, self.variables)

    def run(
        self, words: Sequence[str], given: dict[str, str | None], cleared: bool = False
    ) -> None:
        """Run one command in an environment; ``given`` is what differs in it from the one that the
        shell was started in."""
        own = dict(given)
        words = words[:_MOST_WORDS]
        while words and words[0] in _LEADING:
            words = words[1:]
        if words and words[0] in _NO_COMMANDS:
            return
        while words and (found := _ASSIGNMENT.fullmatch(words[0])):
            own[found.group(1)] = found.group(2)
            words = words[1:]
        if not words:
            self.variables.update(own)
            return
        program = program_of(words[0])
        rest = words[1:]
        if program in ("export", "set"):
            for word in rest:
                if found := _ASSIGNMENT.fullmatch(word):
                    self.variables[found.group(1)] = found.group(2)
        elif program == "unset":
            self.variables.update(dict.fromkeys(rest, None))
        elif program == "env":
            self._env(list(rest), own, cleared)
        elif program == "sudo":
            self._sudo(list(rest), own, cleared)
        elif program in _SHELLS and (text := _handed_text(rest)) is not None:
            self._nested(text, own, cleared)
        elif program in _WRAPPERS:
            while rest and _OPTION.fullmatch(rest[0]):
                rest = rest[2 if rest[0] in _WRAPPERS[program] else 1 :]
            self.run(rest, own, cleared)
        else:
            self.started.append(Started(tuple(words), own, cleared))

    def _env(self, words: list[str], own: dict[str, str | None], cleared: bool) -> None:
        """Run ``env`` with its options."""
        while words and words[0].startswith("-"):
            option = words.pop(0)
            if option in ("-i", "-", "--ignore-environment"):
                own, cleared = {}, True
            elif option in ("-u", "--unset") and words:
                own[words.pop(0)] = None
            elif option.startswith(("-u", "--unset=")):
                own[option.removeprefix("--unset=").removeprefix("-u")] = None
            elif option in ("-S", "--split-string") and words:
                words = [*_split(words[0]), *words[1:]]
            elif option.startswith(("-S", "--split-string=")):
                text = option.removeprefix("--split-string=").removeprefix("-S")
                words = [*_split(text), *words]
            elif option in _ENV_TAKES and words:
                words.pop(0)
            elif option == "--":
                break
        if words and not all(map(_ASSIGNMENT.fullmatch, words)):
            self.run(words, own, cleared)

    def _sudo(self, words: list[str], own: dict[str, str | None], cleared: bool) -> None:
        """Run ``sudo``, which hands on no variable but those that its options and words name."""
        kept: dict[str, str | None] = {}
        is_kept = False
        while words and words[0].startswith("-"):
            option = words.pop(0)
            if option in _SUDO_KEEPS:
                is_kept = True
            elif option.startswith("--preserve-env="):
                names = option.partition("=")[2].split(",")
                kept |= {name: own[name] for name in names if name in own}
            elif option in _SUDO_TAKES and words:
                words.pop(0)
            elif option == "--":
                break
        self.run(words, own if is_kept else kept, cleared or not is_kept)

    def _nested(self, text: str, own: dict[str, str | None], cleared: bool) -> None:
        """Run a shell that is handed a text of commands."""
        if self._depth >= _MOST_NESTED:
            return
        inner = _Shell(self._depth + 1)
        inner.variables = dict(own)
        inner.read(text)
        self.started += [
            Started(one.words, one.variables, cleared or one.cleared) for one in inner.started
        ]


def _handed_text(words: Sequence[str]) -> str | None:
    """The text that a shell is handed by ``-c``, perhaps among other options: ``-lc``."""
    for number, word in enumerate(words[:-1]):
        if not word.startswith("-"):
            return None
        if word.endswith("c") and not word.startswith("--"):
            return words[number + 1]
    return None


def read_text(text: str) -> tuple[tuple[Started, ...], dict[str, str | None]]:
    """Return the programs that a text starts in a shell, and the variables that are set in the
    shell itself when it ends."""
    shell = _Shell()
    shell.read(text)
    return tuple(shell.started), shell.variables


def read_words(words: Sequence[str]) -> tuple[tuple[Started, ...], dict[str, str | None]]:
    """Return the same of a command that is split into words."""
    shell = _Shell()
    shell.run(words, {})
    return tuple(shell.started), shell.variables


def _split(text: str) -> list[str]:
    """The words of a text, each separator being one."""
    text = _COMMENT.sub(lambda found: found.group(1) or "", text.replace("\\\n", " "))
    lexer = shlex.shlex(
        _REDIRECTION.sub(">", text).replace("\n", ";"), posix=True, punctuation_chars=";&|()"
    )
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:  # a quote that is not closed
        return text.split()


def program_of(word: str) -> str:
    """Return the name of the program that the first word of a command starts, on any system."""
    return _PATH_SEPARATOR.split(word)[-1].lower().removesuffix(".exe")
