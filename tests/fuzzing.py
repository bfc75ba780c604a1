"""Everything of ours that reads what others wrote, as functions of some bytes.

Each returns whatever the bytes are; an exception that it raises is a fault of ours.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from gpu_lint.engine import Engine
from gpu_lint.errors import ConfigError, JournalError, Problem, SourceError, SyntaxFault
from gpu_lint.facts.commandlines import read_text
from gpu_lint.facts.comments import comments_of
from gpu_lint.facts.dotenv import entries_of
from gpu_lint.facts.limits import check_for_libcst, check_imports, check_limits
from gpu_lint.facts.mentions import Mentions
from gpu_lint.facts.needles import needles_for
from gpu_lint.facts.outline import NoOutline, outlined, without_bodies
from gpu_lint.facts.skim import Unskimmable, skim
from gpu_lint.globs import ignore_spec, usable
from gpu_lint.journal import Journal
from gpu_lint.pins import pinned_release
from gpu_lint.policy import KEYS, check_table, check_whole, policy_of
from gpu_lint.rulebook import Pack, framework_of, load_rulebook, pack_of, rules_of
from gpu_lint.settings import SettingsFinder, load_settings, parse_config_option
from gpu_lint.source import Span, check_decodes, decode_source
from gpu_lint.suppressions import read_suppressions
from gpu_lint.toml import read_toml
from gpu_lint.undo import undo
from gpu_lint.writing import Replacement, Writing

STRICT: dict[str, Any] = {
    "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID", "name": "x"},
    "header": {"required-in": "all"},
}


@cache
def engine(strict: bool) -> Engine:
    keys = check_table(STRICT if strict else {}, lambda code: True)
    return Engine(SettingsFinder(load_rulebook(), config_keys=keys, isolated=True))


@cache
def place() -> Path:
    """A file to write what can only be read from one."""
    return Path(tempfile.mkdtemp(prefix="gpu-lint-fuzz-")) / "gpu-lint.toml"


def reader(data: bytes) -> None:
    """Decoding, positions, needles, imports, comments, outline: all that is no parser."""
    needles = needles_for(load_rulebook().knowledge)
    with contextlib.suppress(SourceError):
        check_decodes(data)
    needles.touch(data)
    _ = Mentions(data, needles).lines
    with contextlib.suppress(Unskimmable):
        skim(data)
    try:
        source = decode_source(Path("x.py"), data)
    except SourceError:
        return
    assert source.text.encode(source.encoding) == data[source.bom :]
    assert source.newline in ("\n", "\r\n", "\r")
    for offset in {source.bom, len(data) // 2, len(data)}:
        if offset >= source.bom:
            source.location(offset)
            source.utf16_column(offset)
    with contextlib.suppress(SourceError):
        check_limits(source.text)
    with contextlib.suppress(SourceError):
        check_for_libcst(source.text)
    with contextlib.suppress(SourceError):
        check_imports(source.text)
    for blanked in (outlined, lambda source: without_bodies(source, 300)):
        with contextlib.suppress(NoOutline):
            assert blanked(source).count("\n") == data.count(b"\n")


def check(data: bytes) -> None:
    """A file, checked without a policy."""
    with contextlib.suppress(SourceError):
        engine(False).check_source(decode_source(Path("x.py"), data))


def fix(data: bytes) -> None:
    """A file, fixed under a policy; what comes out must be stable."""
    with contextlib.suppress(SourceError):
        fixed = engine(True).fix_source(decode_source(Path("x.py"), data), unsafe=True)
        again = engine(True).fix_source(fixed.after.source, unsafe=True)
        assert again.after.source.data == fixed.after.source.data


def suppressions(data: bytes) -> None:
    """Comments that may be meant for us."""
    text = data.decode("utf-8", "replace").replace("\0", " ")
    source = decode_source(Path("x.py"), f"x = 1  # {text}\n# gpu-lint: {text}\n".encode())
    with contextlib.suppress(SourceError, SyntaxFault):
        for one in read_suppressions(comments_of(source), source, load_rulebook()):
            assert Span(0, len(source.data)).start <= one.span.start


WORDS = (
    *{part for key in KEYS for part in (key.name, *key.name.split("."), *key.choices)},
    "overrides", "paths", "rule", "framework", "api", "names", "devices", "kind", "position",
    "keyword", "code", "name", "severity", "error", "summary", "what", "why", "evidence", "since",
    "check", "needles", "examples", "title", "bad", "modules", "pytorch", "import-freezes",
    "reexports", "checked-against", "unless", "variable", "value", "policy", "all", "never", "ALL",
    "GPU201", "1", "0,1", "GPU-", "**", "", "max_split_size_mb:64", "template", "../x", "\x1b",
)  # fmt: skip


class Made:
    """A table that bytes make, so that most mutations of them are tables again."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)

    def word(self) -> str:
        return WORDS[next(self._bytes, 0) % len(WORDS)]

    def table(self, depth: int = 0) -> dict[str, Any]:
        return {self.word(): self.value(depth + 1) for _ in range(next(self._bytes, 0) % 9)}

    def value(self, depth: int) -> Any:
        kind = next(self._bytes, 0) % 12
        if kind < 3 and depth < 5:
            return self.table(depth)
        if kind < 5 and depth < 5:
            return [self.value(depth + 1) for _ in range(next(self._bytes, 0) % 4)]
        others = (self.word(), True, -1, 1, 10**20, 0.5, math.inf, math.nan, datetime.date.min)
        return others[kind % len(others)]


def tables(data: bytes) -> None:
    """Tables of any shape, as policy, rules and frameworks."""
    made = Made(data)
    top = made.table()
    with contextlib.suppress(Problem):
        flat = check_table(top, lambda code: code.startswith("GPU"))
        check_whole(flat)
        policy_of(flat)
    for read in (rules_of, framework_of):
        with contextlib.suppress(ConfigError):
            table = {**top, "rule": [top], "framework": top, "api": [made.table()]}
            read(table, Path("x.toml"), "")


def policy(data: bytes) -> None:
    """A ``gpu-lint.toml``, and a ``pyproject.toml``."""
    for name in ("gpu-lint.toml", "pyproject.toml"):
        path = place().with_name(name)
        path.write_bytes(data)
        with contextlib.suppress(ConfigError):
            settings = load_settings(path, load_rulebook())
            settings.rules_for(Path("x.py"))
            settings.policy_for(Path("x.py"))
        path.unlink()


def rules(data: bytes) -> None:
    """A rule file, and a framework file."""
    path = place().with_name("rules.toml")
    path.write_bytes(data)
    for read in (rules_of, framework_of):
        with contextlib.suppress(ConfigError):
            table, text = read_toml(path)
            read(table, path, text)
    with contextlib.suppress(ConfigError):
        pack_of(Pack("x.toml", data.decode("utf-8", "replace")))


def option(data: bytes) -> None:
    """``--config KEY=VALUE``."""
    text = data.decode("utf-8", "surrogateescape").replace("\0", "")
    with contextlib.suppress(ConfigError):
        keys = parse_config_option(text, load_rulebook())
        SettingsFinder(load_rulebook(), config_keys=keys, isolated=True).for_file(Path("x.py"))


def globs(data: bytes) -> None:
    """An ignore file, and a path."""
    text, _, path = data.decode("utf-8", "replace").partition("\0")
    lines, _ = usable(text.splitlines())
    ignore_spec(lines).check_file(path.replace("\0", "") or "x")


PINNING = ("requirements.txt", "pyproject.toml", "uv.lock")


def surroundings(data: bytes) -> None:
    """What stands around the Python files: a ``.env``, commands, the releases that are pinned."""
    entries_of(data)
    started, exported = read_text(data.decode("utf-8", "replace"))
    assert all(isinstance(name, str) for name in exported)
    assert all(one.words for one in started)
    directory = place().parent / "pinned"
    directory.mkdir(exist_ok=True)
    for name in PINNING:
        (directory / name).write_bytes(data)
        pinned_release(directory)
        (directory / name).unlink()


def journal(data: bytes) -> None:
    """The archive of a run: its beginning is overwritten, or some bytes in it."""
    kept = Journal(place().parent / "journal")
    root = place().parent / "files"
    root.mkdir(exist_ok=True)
    (root / "a.py").write_bytes(b"a" * 40)
    Writing(kept).replace(root, [Replacement(root / "a.py", root, b"a" * 40, b"b")])
    archive = kept.records()[-1].archive
    whole = bytearray(archive.read_bytes())
    if data[:1] < b"\x80":
        for at in range(1, len(data) - 2, 3):
            whole[int.from_bytes(data[at : at + 2], "big") % len(whole)] = data[at + 2]
        archive.write_bytes(whole)
    else:
        archive.write_bytes(data[1:] + whole[len(data) :])
    with contextlib.suppress(JournalError):
        kept.damaged()
        undo(kept.find(archive.name.partition(".")[0]), Writing(kept))
    assert (root / "a.py").read_bytes() in (b"a" * 40, b"b")
    for path in (kept.directory / "runs").iterdir():
        path.unlink()


_ALL = (
    globs, journal, reader, check, fix, suppressions, surroundings, policy, tables, rules, option,
)  # fmt: skip
TARGETS: dict[str, Callable[[bytes], None]] = {target.__name__: target for target in _ALL}


def run(name: str, data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        TARGETS[name](data)
