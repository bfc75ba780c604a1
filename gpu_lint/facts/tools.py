"""Programs that use no GPU, by their command lines, and what the command line of a Python runs."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from itertools import pairwise

from gpu_lint.facts.commandlines import UNKNOWN_PART, program_of
from gpu_lint.facts.quiet import parse_quietly
from gpu_lint.records import record

_PYTHON = re.compile(r"python[\d.]*w?|py")
_TAKING = frozenset({"-W", "-X", "--check-hash-based-pycs"})
"""Options of Python itself that take a word more."""
_ASKING = frozenset({"--help", "--version", "-V", "-h", "-version"})
_NO_GPU_PROGRAMS = frozenset(
    {
        "7z", "[", "aplay", "apt", "apt-get", "arecord", "aria2c", "awk", "bzip2", "cat", "cc",
        "cd", "chmod", "chown", "clang", "clear", "cls", "cmake", "cmp", "cp", "curl", "date",
        "del", "df", "diff", "dir", "dpkg", "du", "echo", "espeak", "espeak-ng", "exiftool", "exit",
        "false", "ffprobe", "find", "flac", "free", "g++", "gcc", "gh", "git", "git-lfs", "gpg",
        "grep", "gunzip", "gzip", "head", "hostname", "huggingface-cli", "id", "ifconfig", "ip",
        "java", "jq", "kill", "killall", "lame", "less", "ln", "ls", "lscpu", "lsof", "lspci",
        "md5sum", "mediainfo", "mkdir", "mkfifo", "mktemp", "mount", "mpg123", "mv", "netstat",
        "ninja", "node", "npm", "npx", "nvcc", "nvidia-smi", "open", "openssl", "pandoc", "paplay",
        "pdflatex", "pgrep", "ping", "pip", "pip3", "pkill", "play", "ps", "pwd", "rec", "rm",
        "rmdir", "rsync", "scp", "sed", "sha256sum", "sleep", "sort", "sox", "ss", "stat", "stty",
        "sysctl", "systemctl", "tail", "tar", "taskkill", "tasklist", "tee", "test", "touch",
        "tput", "tr", "true", "umount", "uname", "uniq", "unrar", "unzip", "wc", "wget", "where",
        "which", "whoami", "xdg-open", "xz", "yarn", "zip", "zstd",
    }
)  # fmt: skip
_OF_FFMPEG = re.compile(r"cuda|cuvid|nvenc|nvdec|_npp|vulkan|opencl|libplacebo")
"""What the arguments of ffmpeg name where it uses a GPU."""
_CHOOSING_CODEC = re.compile(r"-(?:c|codec|vcodec|hwaccel)(?::v.*)?")
"""Options of ffmpeg whose value may name a GPU."""
_NO_GPU_MODULES = frozenset(
    {
        "black", "build", "flake8", "huggingface_hub", "isort", "mypy", "pip", "piptools",
        "playwright", "pre_commit", "pycodestyle", "pyflakes", "pylint", "ruff", "twine",
        "virtualenv",
    }
)  # fmt: skip
_RUNNING_OTHERS = frozenset(
    {"asyncio", "bdb", "cProfile", "code", "doctest", "idlelib", "importlib", "multiprocessing",
     "os", "pdb", "pkgutil", "profile", "pydoc", "runpy", "subprocess", "timeit", "trace",
     "unittest"}
)  # fmt: skip
"""Modules of the standard library that may run code of others."""


@record
class Python:
    """What the command line of a Python runs: a file, a module, a text, or none that it names."""

    file: str = ""
    module: str = ""
    text: str | None = None
    arguments: tuple[str, ...] = ()


def python_run_by(words: Sequence[str]) -> Python | None:
    """Return what a command runs if it starts a Python; None for any other."""
    if not _PYTHON.fullmatch(program_of(words[0])):
        return None
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word in ("-c", "-m") and rest:
            given, *arguments = rest
            if word == "-c":
                return Python(text=given, arguments=tuple(arguments))
            return Python(module=given, arguments=tuple(arguments))
        if word in _TAKING and rest:
            rest.pop(0)
        elif not word.startswith("-"):
            return Python(file=word, arguments=tuple(rest))
    return Python()


def may_use_gpu(words: Sequence[str]) -> bool:
    """Return whether a command may use a GPU: well-known tools (``rm``, ``git``, ``python -m pip``)
    do not, nor does a program that is only asked for its version."""
    program = program_of(words[0])
    if program in _NO_GPU_PROGRAMS or (len(words) == 2 and words[1] in _ASKING):
        return False
    if program == "ffmpeg":
        return _is_accelerated(words)
    python = python_run_by(words)
    if python is None:
        return True
    if python.module:
        root = python.module.partition(".")[0]
        is_tool = root in _NO_GPU_MODULES or _is_plain_library(root)
        return not is_tool and not _ASKING.issuperset(python.arguments[:1] or ("",))
    return python.text is None or not _is_plain(python.text)


def _is_accelerated(words: Sequence[str]) -> bool:
    """Whether the arguments of ffmpeg let it use a GPU, or may."""
    chosen = (value for option, value in pairwise(words) if _CHOOSING_CODEC.fullmatch(option))
    return any(map(_OF_FFMPEG.search, words)) or any(UNKNOWN_PART in one for one in chosen)


def _is_plain_library(root: str) -> bool:
    return root in sys.stdlib_module_names and root not in _RUNNING_OTHERS


def _is_plain(text: str) -> bool:
    """Whether a program that is handed as a text uses modules of the standard library alone."""
    if UNKNOWN_PART in text:
        return False
    try:
        tree = parse_quietly(text, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    roots: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                roots.update(one.name.partition(".")[0] for one in names)
            case ast.ImportFrom(module=module):
                roots.add((module or "").partition(".")[0])
            case ast.Name(id="exec" | "eval" | "__import__"):
                return False
    return (
        all(root == "os" or _is_plain_library(root) for root in roots) and "os.system" not in text
    )
