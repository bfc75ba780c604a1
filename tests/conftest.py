"""Helpers that the tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gpu_lint.cli import main
from gpu_lint.engine import Engine
from gpu_lint.findings import FileFindings, FixedFile
from gpu_lint.journal import Journal
from gpu_lint.policy import check_table
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import decode_source
from gpu_lint.writing import Writing
from tests.fakedriver import build_libraries, missing_compiler


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the journal of whoever runs the tests."""
    monkeypatch.setenv("GPU_LINT_STATE_DIR", str(tmp_path_factory.mktemp("state")))


def run_cli(*arguments: str) -> Result:
    """The command line, called in this process."""
    return CliRunner().invoke(main, list(arguments))


ROOT = Path(__file__).resolve().parent.parent
VOICE_POLICY: dict[str, Any] = {
    "gpu": {
        "visible-devices": "1",
        "device-order": "PCI_BUS_ID",
        "name": "RTX 3090",
        "alloc-conf": "max_split_size_mb:1024",
        "min-memory-gib": 20,
        "forbidden": ["RTX 5060 Ti"],
    },
    "header": {"required-in": "all"},
    "validation": {
        "required-in": "never",
        "function": "validate_rtx3090_mandatory",
        "functions": ["validate_rtx3090_*"],
    },
}


def engine_for(policy: dict[str, Any] | None = None, **options: Any) -> Engine:
    """An engine with a policy (none by default) that reads no configuration file."""
    book = load_rulebook()
    keys = check_table(policy or {}, lambda code: bool(book.matching(code)))
    return Engine(SettingsFinder(book, config_keys=keys, options=options, isolated=True))


def check_text(text: str | bytes, policy: dict[str, Any] | None = None, **o: Any) -> FileFindings:
    data = text.encode() if isinstance(text, str) else text
    return engine_for(policy, **o).check_source(decode_source(Path("x.py"), data))


def fix_text(
    text: str | bytes, policy: dict[str, Any] | None = None, *, unsafe: bool = False
) -> FixedFile:
    data = text.encode() if isinstance(text, str) else text
    return engine_for(policy).fix_source(decode_source(Path("x.py"), data), unsafe=unsafe)


def check_files(
    root: Path, files: dict[str, str], policy: dict[str, Any] | None = None, **options: Any
) -> dict[str, FileFindings]:
    """The findings of files written below a directory, by their relative paths."""
    paths = write_files(root, files)
    run = engine_for(policy, **options).check(paths)
    assert run.troubles == []
    return {result.path.relative_to(root).as_posix(): result for result in run.files}


def fix_files(
    root: Path,
    files: dict[str, str],
    policy: dict[str, Any] | None = None,
    *,
    unsafe: bool = False,
    **options: Any,
) -> dict[str, str]:
    """What fixing makes of files written below a directory."""
    paths = write_files(root, files)
    with TemporaryDirectory() as state:
        writing = Writing(Journal(Path(state)))
        run = engine_for(policy, **options).fix(paths, unsafe=unsafe, writing=writing)
    assert run.troubles == []
    return {path.relative_to(root).as_posix(): path.read_text() for path in paths}


def write_files(root: Path, files: dict[str, str]) -> list[Path]:
    paths = []
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        paths.append(path)
    return sorted(paths)


def codes(result: FileFindings) -> list[tuple[str, int]]:
    """(code, line) of every finding."""
    return [(f.code, result.source.row(f.span.start)) for f in result.findings]


@pytest.fixture
def project(tmp_path: Path) -> Callable[[dict[str, str | bytes]], Path]:
    """Writes files below a temporary directory and returns it."""

    def write(files: dict[str, str | bytes]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path

    return write


class HereExecutor:
    """The part of an executor that one which does the work in this process need not do."""

    count = 2

    def start(self) -> None:
        pass

    def begin(self, work: object) -> None:
        pass


@pytest.fixture(scope="session")
def fakedriver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the driver's stand-ins."""
    if why := missing_compiler():
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("fakedriver")
    build_libraries(directory)
    return directory
