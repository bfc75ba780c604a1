"""Reports: paths, troubles, names of any bytes, carets, tables, the progress bar, report files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree

import click
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_lint.cli import terminal
from gpu_lint.engine import Engine
from gpu_lint.errors import ConfigError
from gpu_lint.journal import Journal
from gpu_lint.output_files import write_output
from gpu_lint.policy import check_table
from gpu_lint.printable import printable
from gpu_lint.progress import NoProgress
from gpu_lint.reports import FORMATS
from gpu_lint.reports.cells import cells, fold, window
from gpu_lint.reports.naming import report_root, utf8_name
from gpu_lint.reports.table import Column, table
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.work import Doing, Failed, Work
from gpu_lint.writing import Writing
from tests.conftest import ROOT, HereExecutor, write_files

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
LATE = 'import os\nimport torch\n\ntorch.cuda.init()\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
BAD = 'os.environ["CUDA_VISIBLE_DEVICES"] = 1'
POLICY = (
    '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = "all"\n'
)
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX links and modes")
any_bytes = pytest.mark.skipif(
    sys.platform != "linux", reason="needs file names of arbitrary bytes"
)


def run(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR", "COLUMNS")
    }
    return subprocess.run(
        [sys.executable, "-m", "gpu_lint", *arguments],
        cwd=cwd,
        capture_output=True,
        env={**inherited, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **(env or {})},
        check=False,
    )


def check_sarif(log: Any) -> None:
    schemas = [ROOT / "tests" / "data" / "sarif-2.1.0-subset.schema.json"]
    if published := os.environ.get("GPU_LINT_SARIF_SCHEMA"):
        schemas.append(Path(published))  # the whole one, as OASIS publishes it
    for path in schemas:
        jsonschema.validate(log, json.loads(path.read_text("utf-8")))


def repository(root: Path) -> Path:
    (root / ".git").mkdir()
    return root


# --- paths from the root of the repository -----------------------------------------------


def github_files(output: bytes) -> list[str]:
    lines = output.decode().splitlines()
    return [line.partition("file=")[2].partition(",")[0].partition("::")[0] for line in lines]


@pytest.mark.parametrize("named", [".", "a.py", "../src/a.py", "absolute"])
def test_ci_annotates_the_file_from_the_root_of_the_repository(
    project: Project, named: str
) -> None:
    root = repository(project({"src/a.py": LATE}))
    path = str(root / "src" / "a.py") if named == "absolute" else named
    github = run("check", "--output-format", "github", path, cwd=root / "src")
    assert github_files(github.stdout) == ["src/a.py"]
    gitlab = json.loads(run("check", "--output-format", "gitlab", path, cwd=root / "src").stdout)
    assert [entry["location"]["path"] for entry in gitlab] == ["src/a.py"]
    log = json.loads(run("check", "--output-format", "sarif", path, cwd=root / "src").stdout)
    (found,) = log["runs"][0]["results"]
    uri = found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "src/a.py"
    assert log["runs"][0]["originalUriBaseIds"]["PROJECTROOT"]["uri"] == root.as_uri() + "/"


@pytest.mark.parametrize("variable", ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"])
def test_a_checkout_without_a_repository_is_the_workspace_of_the_ci(
    project: Project, variable: str
) -> None:
    root = project({"src/a.py": LATE})
    done = run("check", "--output-format", "github", cwd=root / "src", env={variable: str(root)})
    assert github_files(done.stdout) == ["src/a.py"]
    elsewhere = {variable: str(root / "other")}
    done = run("check", "--output-format", "github", cwd=root / "src", env=elsewhere)
    assert github_files(done.stdout) == ["a.py"]


def test_the_root_is_that_of_the_repository_that_holds_what_was_named(tmp_path: Path) -> None:
    for name in ("one/.git", "one/sub/.git", "two/.git", "tools/.git", "none"):
        (tmp_path / name).mkdir(parents=True)
    one, two = tmp_path / "one", tmp_path / "two"
    assert report_root(one, [one / "a.py"]) == one
    assert report_root(one, [one / "sub" / "a.py"]) == one, "a submodule is part of the run"
    assert report_root(tmp_path, [one / "a.py"]) == one
    assert report_root(tmp_path / "tools", [two / "a.py"]) == two
    assert report_root(tmp_path, [one, two]) == tmp_path
    assert report_root(tmp_path / "none", [tmp_path / "none"], str(tmp_path)) == tmp_path


# --- paths that could not be checked -----------------------------------------------------


def test_every_format_with_a_place_for_it_tells_what_was_not_checked(project: Project) -> None:
    root = repository(project({"a.py": LATE, "b.py": b"\xff\xfe"}))

    def report(form: str) -> str:
        done = run("check", "--output-format", form, ".", "gone.py", cwd=root)
        assert done.returncode == 2
        return done.stdout.decode()

    suites = ElementTree.fromstring(report("junit"))
    assert {name: suites.attrib[name] for name in ("tests", "failures", "errors")} == {
        "tests": "3", "failures": "1", "errors": "2"
    }  # fmt: skip
    errors = {
        suite.attrib["name"]: suite.find("testcase/error")
        for suite in suites
        if suite.attrib["errors"] == "1"
    }
    assert errors.keys() == {"gone.py", "b.py"}
    assert errors["gone.py"].attrib["message"] == "does not exist; check the path"

    log = json.loads(report("sarif"))
    check_sarif(log)
    (invocation,) = log["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    notes = invocation["toolExecutionNotifications"]
    places = [note["locations"][0]["physicalLocation"]["artifactLocation"] for note in notes]
    assert [place["uri"] for place in places] == ["gone.py", "b.py"]
    assert notes[0]["message"]["text"] == "this path does not exist; check the path"

    assert [
        entry["location"]["path"]
        for entry in json.loads(report("gitlab"))
        if entry["check_name"] == "unchecked"
    ] == ["gone.py", "b.py"]
    assert [
        line for line in report("github").splitlines() if line.startswith("::error title=gpu-lint,")
    ] == [
        "::error title=gpu-lint,file=gone.py::gone.py does not exist; check the path",
        "::error title=gpu-lint,file=b.py::b.py is not UTF-8: byte 0xff at offset 0; convert it, "
        "or declare its encoding on the first line",
    ]


def test_a_run_without_trouble_was_successful(project: Project) -> None:
    log = json.loads(run("check", "--output-format", "sarif", cwd=project({"a.py": ""})).stdout)
    check_sarif(log)
    (invocation,) = log["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is True
    assert invocation["toolExecutionNotifications"] == []
    assert log["runs"][0]["tool"]["driver"]["informationUri"].startswith("https://")


# --- names of any bytes ------------------------------------------------------------------

NAMES = (b"\xff.py", b"\xfe.py", b"%FF.py", b"%25FF.py", b"\\udcff.py", "ü%20.py".encode())


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *strings(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


@any_bytes
@pytest.mark.parametrize("form", ["json", "sarif", "gitlab", "github", "junit"])
def test_names_stay_apart_and_every_text_is_valid(project: Project, form: str) -> None:
    root = repository(project({}))
    for name in NAMES:
        (root / os.fsdecode(name)).write_bytes(LATE.encode())
    text = run("check", "--output-format", form, cwd=root).stdout.decode("utf-8")
    if form == "github":
        found = github_files(text.encode())
    elif form == "junit":
        found = [suite.attrib["name"] for suite in ElementTree.fromstring(text)]
    else:
        document = json.loads(text)
        for one in strings(document):
            one.encode("utf-8")
        if form == "json":
            found = [entry["filename"] for entry in document]
        elif form == "gitlab":
            found = [entry["location"]["path"] for entry in document]
            assert len({entry["fingerprint"] for entry in document}) == len(NAMES)
        else:
            check_sarif(document)
            artifacts = document["runs"][0]["artifacts"]
            found = [artifact["location"]["uri"] for artifact in artifacts]
            assert [artifact["location"]["index"] for artifact in artifacts] == list(
                range(len(NAMES))
            )
            assert "%FF.py" in found
            assert "%25FF.py" in found
    assert len(found) == len(set(found)) == len(NAMES)


@any_bytes
def test_a_name_that_a_message_repeats_is_valid_text(project: Project) -> None:
    name = os.fsdecode(b"\xff")
    root = project({f"{name}/b.py": LATE, f"{name}/__init__.py": "", "m.py": ""})
    (root / name / "a.py").write_text("from . import b\n")
    (root / name / "__main__.py").write_text(
        'import os\nfrom . import b\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"\n'
    )
    for form in ("json", "sarif", "gitlab"):
        document = json.loads(run("check", "--output-format", form, cwd=root).stdout)
        texts = list(strings(document))
        assert any("\\udcff" in text for text in texts), form
        for one in texts:
            one.encode("utf-8")


@any_bytes
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=4),
                          st.text("%F2508", min_size=1, max_size=8).map(str.encode)),
                unique=True, max_size=8))  # fmt: skip
def test_different_names_are_written_differently(names: list[bytes]) -> None:
    written = [utf8_name(os.fsdecode(name)) for name in names]
    assert len(set(written)) == len(names)
    for one in written:
        one.encode("utf-8")


# --- carets and long lines ---------------------------------------------------------------


def shown_and_caret(output: str) -> tuple[str, str]:
    """What stands before the marked text in the excerpt, and before the caret under it."""
    lines = output.splitlines()
    number = next(n for n, line in enumerate(lines) if line.lstrip("| ").startswith("^"))
    return lines[number - 1], lines[number]


@pytest.mark.parametrize(
    "before",
    ['x = "日本語"; ', 'x = "👍👍"; ', 'x = "e\u0301\u0301"; ', 'x = "👨\u200d👩\u200d👧"; ',
     'if 1:\tx = "日\t本"; ', "x = 'ｆｕｌｌ'; ", 'x = "❤"; '],
    ids=["CJK", "emoji", "combining", "joiner", "tabs", "fullwidth", "plain"],
)  # fmt: skip
def test_the_caret_stands_under_what_it_marks(project: Project, before: str) -> None:
    root = project({"a.py": f"import os\n{before}{BAD}\n"})
    line, caret = shown_and_caret(run("check", cwd=root).stdout.decode())
    start = line.index("1", line.index("VISIBLE_DEVICES"))
    assert cells(line[:start]) == len(caret.partition("^")[0])
    assert caret.endswith("| " + " " * (len(caret) - 1 - caret.index("|") - 2) + "^")


def test_the_caret_is_as_wide_as_what_it_marks(project: Project) -> None:
    value = 'os.environ["CUDA_VISIBLE_DEVICES"] = "日本"'
    root = project({"a.py": f"import os\n{value}\n"})
    line, caret = shown_and_caret(run("check", cwd=root).stdout.decode())
    assert caret.count("^") == cells('"日本"') == 6
    assert line[caret.index("^") :] == '"日本"'


@pytest.mark.parametrize("filler", ["x", "日", "e\u0301"], ids=["narrow", "wide", "combining"])
@pytest.mark.parametrize("width", [40, 200])
def test_of_a_very_long_line_a_window_around_the_finding_is_shown(
    project: Project, filler: str, width: int
) -> None:
    long = filler * (1_000_000 // len(filler))
    text = f"import os; a = '{long}'; {BAD}; b = '{long}'\n"
    root = project({"a.py": text})
    config = ["--config", "limits.file-mib=16"]
    done = run("check", *config, cwd=root, env={"COLUMNS": str(width)})
    line, caret = shown_and_caret(done.stdout.decode())
    assert cells(line) <= width
    assert cells(caret) <= width
    assert line.endswith("…")
    assert line.startswith("1 | …")
    assert "VICES" in line
    assert cells(line[: line.index("= 1;") + 2]) == caret.index("^")


@given(st.text(max_size=60), st.text(min_size=1, max_size=60), st.text(max_size=60),
       st.integers(20, 60))  # fmt: skip
def test_a_window_fits_and_keeps_the_start_of_what_is_marked(
    before: str, marked: str, after: str, width: int
) -> None:
    parts = window(before, marked, after, width)
    shown = "".join(parts)
    assert min(cells(shown), sum(map(cells, shown))) <= width
    assert printable(marked).startswith(parts[1].removesuffix("…"))
    assert parts[1]


# --- tables ------------------------------------------------------------------------------

COLUMNS = (Column(""), Column("", least=8), Column("", number=True))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_of_a_fix_fits_the_terminal_and_loses_nothing(
    project: Project, width: int
) -> None:
    root = project({"gpu-lint.toml": POLICY, **{f"{n}.py": LATE for n in range(12)}})
    columns = {"COLUMNS": str(width)}
    diff = run("fix", "--diff", cwd=root, env=columns).stderr.decode()
    fixed = run("fix", cwd=root, env=columns).stderr.decode()
    for text, title in ((diff, "Would fix"), (fixed, "Fixed")):
        lines = text[text.index(title) :].splitlines()
        assert all(cells(line) <= width for line in lines)
        assert lines[1].split() == ["code", "rule", "files", "before", "fixed", "left"]
        first = next(line for line in lines if line.startswith("GPU103"))
        assert first.split()[-4:] == ["12", "12", "12", "0"]
        folded = "".join(line[7:16].strip() for line in lines[2:])
        assert "missing-device-order" in (folded if width == 40 else text)


def test_no_table_where_nothing_changes(project: Project) -> None:
    done = run(
        "fix", cwd=project({"a.py": "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '0,,1'\n"})
    )
    assert b"GPU112" in done.stdout
    assert b"Fixed" not in done.stderr


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_lists_fit_the_terminal(project: Project, width: int) -> None:
    deep = "/".join(["a-long-directory-name"] * 6)
    root = project({f"{deep}/gpu-lint.toml": POLICY, f"{deep}/a.py": LATE}) / deep
    columns = {"COLUMNS": str(width)}
    run("fix", "-q", cwd=root)
    runs = run("undo", "--list", cwd=root, env=columns).stdout.decode()
    assert str(root) in runs.replace("\n", "").replace(" ", "")
    rules = run("rule", cwd=root, env=columns).stdout.decode()
    counts = run("check", "--statistics", cwd=root, env=columns).stdout.decode()
    for text in (runs, rules, counts):
        assert text.strip()
        assert all(cells(line) <= width for line in text.splitlines())
    for found in load_rulebook().rules.values():
        assert found.code in rules


def test_a_list_that_goes_into_a_pipe_has_one_line_for_each(project: Project) -> None:
    lines = run("rule", cwd=project({})).stdout.decode().splitlines()
    rules = load_rulebook().rules
    for code, found in rules.items():
        (line,) = [line for line in lines if line.startswith(code)]
        assert found.name in line
        assert found.summary in line


@given(st.lists(st.tuples(*[st.text("ab /-日é", max_size=30)] * 3), max_size=5),
       st.integers(12, 80))  # fmt: skip
def test_a_table_fits_and_holds_every_character(rows: list[tuple[str, ...]], width: int) -> None:
    lines = table(COLUMNS, rows, width)
    assert all(cells(line) <= width for line in lines)
    shown = "".join(lines).replace(" ", "")
    assert sorted(shown) == sorted("".join("".join(row) for row in rows).replace(" ", ""))


@given(st.text("ab /-日", max_size=60), st.integers(2, 30))
def test_folded_lines_are_the_text(text: str, width: int) -> None:
    lines = list(fold(text, width))
    assert "".join(lines) == text
    assert all(cells(line) <= width for line in lines)


# --- progress ----------------------------------------------------------------------------


class Recorder:
    """Notes every phase of a run: its name, its files, and how many of them were done."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int | None, int]] = []

    def begin(self, phase: str, total: int | None) -> None:
        self.phases.append((phase, total, 0))

    def advance(self) -> None:
        phase, total, done = self.phases[-1]
        self.phases[-1] = phase, total, done + 1

    @property
    def counted(self) -> dict[str, tuple[int | None, int]]:
        return {phase: (total, done) for phase, total, done in self.phases if total is not None}


class Slow(HereExecutor):
    """An executor of one process, that is this one; it notes how far the run was at each answer."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.moved: list[bool] = []

    def each(
        self, work: Work[Any], chunks: Iterable[Sequence[str]]
    ) -> Iterator[tuple[str, Any | Failed]]:
        doing = Doing(work)
        for chunk in chunks:
            for file in chunk:
                before = self._recorder.phases[-1][2]
                yield file, doing(file)
                self.moved.append(self._recorder.phases[-1][2] == before + 1)


def finder() -> SettingsFinder:
    book = load_rulebook()
    policy = {
        "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
        "header": {"required-in": "gpu-files"},
    }
    keys = check_table(policy, lambda code: bool(book.matching(code)))
    return SettingsFinder(book, config_keys=keys, isolated=True)


def mostly_clean(root: Path) -> list[Path]:
    files = {f"c{number}.py": "print('nothing here')\n" for number in range(30)}
    return write_files(root, {**files, **{f"g{number}.py": LATE for number in range(4)}})


@pytest.mark.parametrize("others", [False, True], ids=["here", "by others"])
def test_progress_counts_every_file_of_each_phase_once(tmp_path: Path, others: bool) -> None:
    paths = mostly_clean(tmp_path / "tree")
    recorder = Recorder()
    slow = Slow(recorder)
    engine = Engine(finder(), recorder, None, (lambda seconds: slow) if others else None)
    assert engine.check(paths).troubles == []
    closer = {"Resolving imports": (4, 4)} if others else {}
    trial = {"Trying fixes": (4, 4)}
    assert recorder.counted == {"Reading": (34, 34), **closer, "Checking": (4, 4), **trial}
    assert all(slow.moved)
    assert bool(slow.moved) is others


@pytest.mark.parametrize("others", [False, True], ids=["here", "by others"])
def test_progress_of_a_fix_counts_every_pass(tmp_path: Path, others: bool) -> None:
    paths = mostly_clean(tmp_path / "tree")
    recorder = Recorder()
    slow = Slow(recorder)
    engine = Engine(finder(), recorder, None, (lambda seconds: slow) if others else None)
    run = engine.fix(paths, unsafe=True, writing=Writing(Journal(tmp_path / "state")))
    assert run.troubles == []
    counted = recorder.counted
    assert counted["Reading"] == (34, 34)
    assert counted["Checking"] == (4, 4)
    assert {"Fixing", "Checking again"} <= counted.keys()
    assert all(total == done for total, done in counted.values())
    assert recorder.phases[-1][0] == "Writing"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def put_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard error a terminal for this test; pytest puts its own there before each."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(terminal, "_PATIENCE", 0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return shown


def test_lines_stay_readable_while_the_bar_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal = put_on_a_terminal(monkeypatch)
    with terminal.progress_bar(quiet=False) as bar:
        bar.begin("Reading", 2)
        bar.advance()
        click.echo("gpu-lint: waiting for another gpu-lint that is writing", err=True)
        bar.advance()
        bar.begin("Checking", 1)
        bar.advance()
    text = on_a_terminal.getvalue()
    assert "Reading" in text
    assert "1/1" in text
    assert "Checking" in text
    plain = click.unstyle(text).replace("\r", "").replace("\n", " ")
    assert "gpu-lint: waiting for another gpu-lint that is writing" in " ".join(plain.split())
    assert text.rstrip().endswith("\x1b[2K"), "the bar is gone at the end"


@pytest.mark.parametrize("why", ["quiet", "CI", "no terminal", "closed"])
def test_there_is_no_bar_where_nobody_looks(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    on_a_terminal = put_on_a_terminal(monkeypatch)
    if why == "CI":
        monkeypatch.setenv("CI", "true")
    if why == "no terminal":
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    if why == "closed":
        monkeypatch.setattr(sys, "stderr", None)
    with terminal.progress_bar(quiet=why == "quiet") as bar:
        assert isinstance(bar, NoProgress)
    assert on_a_terminal.getvalue() == ""


def test_a_short_run_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal = put_on_a_terminal(monkeypatch)
    monkeypatch.setattr(terminal, "_PATIENCE", 1e9)
    with terminal.progress_bar(quiet=False) as bar:
        bar.begin("Reading", 1)
        bar.advance()
    assert on_a_terminal.getvalue() == ""


# --- report files ------------------------------------------------------------------------


def check_document(form: str, text: str) -> None:
    if form == "junit":
        suites = ElementTree.fromstring(text)
        assert {"tests", "failures", "errors"} <= suites.attrib.keys()
    elif form == "sarif":
        check_sarif(json.loads(text))
    elif form in ("json", "gitlab"):
        assert isinstance(json.loads(text), list)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("content", [LATE, "", None], ids=["findings", "clean", "no file"])
def test_a_report_file_holds_a_whole_document(
    project: Project, form: str, content: str | None
) -> None:
    root = project({"x.txt": ""} if content is None else {"é.py": content})
    done = run("check", "--output-format", form, "-o", "report", cwd=root)
    assert done.stdout == b""
    text = (root / "report").read_text("utf-8")
    check_document(form, text)
    printed = run("check", "--output-format", form, cwd=root).stdout.decode()
    assert printed == text
    if content != LATE and form in ("full", "concise", "github"):
        told = "::error title=gpu-lint,file=.::. holds no Python files\n"
        assert text == (told if form == "github" and content is None else "")
    assert {path.name for path in root.iterdir()} <= {"report", "é.py", "x.txt", ".gpu-lint-cache"}


@pytest.mark.parametrize("form", ["github", "junit"])
def test_reports_for_programs_are_utf8_whatever_the_terminal_is(
    project: Project, form: str
) -> None:
    root = project({"é.py": LATE})
    done = run("check", "--output-format", form, cwd=root, env={"PYTHONIOENCODING": "latin-1"})
    text = done.stdout.decode("utf-8")
    check_document(form, text)
    assert ("é.py" in text) or ("&#233;.py" in text)


def test_a_run_that_fails_leaves_the_last_report_as_it_was(project: Project) -> None:
    root = project({"a.py": LATE, "gpu-lint.toml": "[gpu\n", "report": "the last one"})
    done = run("check", "--output-format", "sarif", "-o", "report", cwd=root)
    assert (done.returncode, done.stdout) == (2, b"")
    assert (root / "report").read_text() == "the last one"


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_report_that_cannot_be_finished_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    report = tmp_path / "report"
    report.write_text("the last one")

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(os, "replace", fail)
    expected = KeyboardInterrupt if isinstance(fault, KeyboardInterrupt) else ConfigError
    with pytest.raises(expected):
        write_output(report, "new")
    assert report.read_text() == "the last one"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@posix
def test_a_report_keeps_the_mode_of_its_file_and_goes_into_devices(tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.write_text("the last one")
    report.chmod(0o640)
    write_output(report, "new")
    assert (report.read_text(), report.stat().st_mode & 0o777) == ("new", 0o640)
    write_output(Path(os.devnull), "new")
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write_output(tmp_path / "gone" / "report", "new")
