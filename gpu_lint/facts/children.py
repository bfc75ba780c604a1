"""Calls that start another process, and what they tell it of the GPU."""

from __future__ import annotations

import os
import re
import shlex

from gpu_lint.digits import number_in
from gpu_lint.facts import program as p
from gpu_lint.facts.values import (
    THIS_FILE,
    UNKNOWN,
    Input,
    Items,
    Known,
    Pairs,
    Returned,
    Symbol,
    Text,
    Value,
    alternatives,
    concatenate,
    text_of,
)
from gpu_lint.records import record
from gpu_lint.source import Span

_STARTERS = frozenset({"subprocess", "multiprocessing", "runpy", "concurrent"})
PROCESSES = frozenset({"multiprocessing.Process", "multiprocessing.context.Process"})
"""Classes whose objects start a process that runs a target."""
_POOLS = frozenset(
    {"multiprocessing.Pool", "multiprocessing.pool.Pool"}
    | {"concurrent.futures.ProcessPoolExecutor", "concurrent.futures.process.ProcessPoolExecutor"}
)
"""What hands functions to processes that it starts."""
HANDING = frozenset(
    {"apply", "apply_async", "imap", "imap_unordered", "map", "map_async", "starmap",
     "starmap_async", "submit"}
)  # fmt: skip
"""Methods of pools whose first argument is called in a process."""
LOADER = "torch.utils.data.DataLoader"
SPAWNING = "multiprocessing.context.SpawnContext"
"""A context whose processes start afresh."""
_CALLS = ("os.system", "os.exec", "os.spawn", "os.popen", "os.fork", "torch.multiprocessing.")
_MASK = "CUDA_VISIBLE_DEVICES"
_IN_COMMAND = re.compile(r"(?:^|[\s;&|(])CUDA_VISIBLE_DEVICES=(['\"]?)([^\s;&|'\"]*)\1")
_SPAWNS = frozenset(
    f"{module}.{name}"
    for module in ("torch.multiprocessing", "torch.multiprocessing.spawn")
    for name in ("spawn", "start_processes")
)
"""Functions that call another in several processes, and give each its rank first."""
_NO_GPU_PROGRAMS = frozenset(
    {
        "apt", "apt-get", "cat", "chmod", "chown", "clear", "cls", "cp", "curl", "date", "del",
        "df", "dir", "du", "echo", "espeak", "espeak-ng", "ffprobe", "find", "free", "git", "grep",
        "gunzip", "gzip", "hostname", "kill", "killall", "ln", "ls", "md5sum", "mkdir", "mv",
        "nvidia-smi", "pip", "pip3", "pkill", "ps", "pwd", "rm", "rmdir", "rsync", "scp", "sox",
        "tar", "touch", "uname", "unzip", "wget", "which", "whoami", "xdg-open", "zip",
    }
)  # fmt: skip
_PYTHON = re.compile(r"(?:.*[/\\])?(?:python|torchrun|accelerate|deepspeed)[\d.]*(?:\.exe)?")


@record
class Command:
    """What a call that starts a process says of the child's GPU."""

    mask: Value | None = None
    """What it sets the mask to: ``Known(None)`` where it leaves it out of the environment."""
    mask_span: Span | None = None
    """The literal that says so, if one does."""
    processes: int = 0
    """How many processes it starts that each use a GPU of their own, where it says so."""
    copies: bool = False
    """It starts the same program again."""


def spawns_ranks(name: str) -> bool:
    """Whether a call by a dotted name starts processes that are each given a rank."""
    return name in _SPAWNS


def starts_child(name: str) -> bool:
    """Whether a call by a dotted name may start another process."""
    return name.partition(".")[0] in _STARTERS or name.startswith(_CALLS)


def is_pool(made: Returned) -> bool:
    """Whether what a call gave hands functions to processes."""
    return made.symbol.removeprefix("torch.") in _POOLS


def starts_when_made(pool: Returned) -> bool:
    """Whether a pool's processes are there as soon as it is, not only when it is used."""
    return pool.symbol.endswith(".Pool")


def argument_positions(name: str) -> tuple[int, int]:
    """Where a call takes the command, and the environment: positions from 0."""
    if name in ("os.execve", "os.execvpe", "os.posix_spawn", "os.posix_spawnp"):
        return 1, 2
    if name in ("os.spawnve", "os.spawnvpe"):
        return 2, 3
    if name in ("os.execv", "os.execvp", "os.spawnv", "os.spawnvp"):
        return (2 if "spawn" in name else 1), 99
    return 0, 99


def may_use_gpu(node: p.Call, command: Value | None) -> bool:
    """Whether the process may use a GPU.

    A command that begins with the name of a well-known tool (``rm``, ``git`` …) does not.
    """
    leading = _leading_text(node.arguments[0].value).split() if node.arguments else []
    commands = [leading] if leading else [_words(one) for one in alternatives(command or UNKNOWN)]
    return any(not words or _may_use_gpu(words[0]) for words in commands)


def _may_use_gpu(word: str) -> bool:
    return word.rpartition("/")[2].lower() not in _NO_GPU_PROGRAMS


def command_of(
    expression: p.Expression | None, value: Value | None, environment: Value | None, file: str
) -> Command:
    """What the command and the ``env`` of a call in a file say."""
    words = _words(value)
    mask, span = _mask_in_command(expression, value, words)
    if mask is None and isinstance(environment, Pairs):
        mask = environment.get(_MASK)
        if mask is None and not environment.open and words and _PYTHON.fullmatch(words[0]):
            mask = Known(None)
        origin = mask.origin if isinstance(mask, Known) else None
        span = origin.span if origin is not None else None
    copies = expression is not None and _is_copy(expression, value, words, file)
    return Command(mask, span, _processes(words), copies)


def _is_copy(expression: p.Expression, value: Value | None, words: list[str], file: str) -> bool:
    """Whether a command starts the program of a file again: by ``__file__``, by ``sys.argv``, or by
    the file's own name behind a Python's."""
    held = value.values if isinstance(value, Items) else (value,)
    parts = (part for one in held for part in (one.parts if isinstance(one, Text) else (one,)))
    if any(part == THIS_FILE or part == Input("sys.argv[0]") for part in parts):
        return True
    if _names_program(expression):
        return True
    named = os.path.basename(words[1]) if len(words) > 1 and _PYTHON.fullmatch(words[0]) else ""
    return named != "" and named == os.path.basename(file)


def _names_program(node: p.Expression) -> bool:
    """Whether a command holds ``__file__``, ``sys.argv`` or ``sys.argv[0]`` as it is."""
    match node:
        case p.Name(id=name):
            return name == THIS_FILE.name
        case p.Attribute(base=p.Name(id="sys"), name="argv"):
            return True
        case p.Subscript(base=base, key=p.Literal(value=0)):
            return _names_program(base)
        case p.Call(function=p.Name(id="str"), arguments=(only,)):
            return _names_program(only.value)
        case p.Binary(left=left, right=right):
            return _names_program(left) or _names_program(right)
        case p.Sequence(items=parts) | p.Template(parts=parts):
            return any(map(_names_program, parts))
        case p.Opaque(children=(starred,)):
            return _names_program(starred)
    return False


def _mask_in_command(
    expression: p.Expression | None, value: Value | None, words: list[str]
) -> tuple[Value | None, Span | None]:
    if value is not None and (text := text_of(value)) is not None:
        match = _IN_COMMAND.search(text)
        if match:
            return Known(match.group(2)), None
    for number, word in enumerate(words):
        if word.startswith(f"{_MASK}="):
            return Known(word.partition("=")[2]), None
        if "accelerate" in words[0] and word.replace("_", "-").startswith("--gpu-ids"):
            found = word.partition("=")[2] or (words[number + 1 : number + 2] or [""])[0]
            return (Known(found), None) if found and found != "all" else (None, None)
    return None, None


def _processes(words: list[str]) -> int:
    """``--nproc-per-node`` of torchrun, ``--num-processes`` of accelerate, as a number."""
    launcher = " ".join(words[:3])
    if "torchrun" not in launcher and "torch.distributed" not in launcher:
        if "accelerate" not in launcher:
            return 0
    for number, word in enumerate(words):
        option, equals, after = word.replace("_", "-").partition("=")
        if option in ("--nproc-per-node", "--num-processes"):
            text = after if equals else (words[number + 1 : number + 2] or [""])[0]
            return number_in(text) or 0
    return 0


def _words(value: Value | None) -> list[str]:
    """The words of a command as far as they are known; an unknown one is empty."""
    if isinstance(value, Items):
        return [_word(item) for item in value.values]
    text = text_of(value) if value is not None else None
    if text is None:
        return []
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _word(value: Value) -> str:
    if value == Symbol("sys.executable"):
        return "python"
    whole = concatenate([value]) if not isinstance(value, (Items, Pairs)) else value
    texts = [text_of(single) for single in alternatives(whole)]
    return texts[0] or "" if len(texts) == 1 else ""


def _leading_text(node: p.Expression) -> str:
    """The known text with which a command begins."""
    if isinstance(node, p.Literal):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, p.Binary):
        return _leading_text(node.left)
    if isinstance(node, p.Template) and node.parts:
        return _leading_text(node.parts[0])
    if isinstance(node, p.Sequence) and node.items:
        return _leading_text(node.items[0])
    return ""
