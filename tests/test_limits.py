"""Input of a size or shape that no person wrote: bounded time and memory, or one clear line."""

from __future__ import annotations

import encodings.aliases
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from gpu_lint.errors import SourceError
from gpu_lint.facts.deepstack import on_deep_stack
from gpu_lint.source import decode_source
from tests import fuzzing
from tests.conftest import check_files, codes

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
LATE = "import os\nimport torch\ntorch.cuda.init()\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\nname = "x"\n[header]\nrequired-in = "all"\n'


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpu_lint", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_file_over_the_limit_is_one_line_and_the_rest_is_checked(project: Project) -> None:
    root = project({"big.py": LATE + "x = 1\n" * 200_000, "b.py": LATE})
    done = run("check", "--config", "limits.file-mib=1", "--output-format", "concise", cwd=root)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "big.py" in line]
    assert lines == [
        "gpu-lint: big.py cannot be checked: it has 1 MiB, and files of more than 1 are not "
        "parsed (limits.file-mib)"
    ]
    assert done.stdout.startswith("b.py:4:1: GPU107")
    assert run("fix", "--config", "limits.file-mib=1", cwd=root).returncode == 2
    assert (root / "big.py").stat().st_size == len(LATE) + 6 * 200_000


def test_a_large_file_that_shows_nothing_is_not_parsed_at_all(project: Project) -> None:
    done = run("check", cwd=project({"big.py": "x = 1\n" * 1_000_000}))
    assert (done.returncode, done.stderr) == (0, "All clear: 1 file checked.\n")


@pytest.mark.parametrize(
    ("key", "text"),
    [("limits.brackets", "(" * 150 + "1" + ")" * 150), ("limits.operators", "1+" * 1_200 + "1")],
)
def test_how_deep_and_how_long_is_configured(project: Project, key: str, text: str) -> None:
    root = project({"a.py": f"{LATE}x = {text}\n"})
    assert run("check", cwd=root).returncode == 1
    lowered = run("check", "--config", f"{key}=100", cwd=root)
    assert lowered.returncode == 2
    assert f"line 5 nests or chains more than 100 {key[7:]}" in lowered.stderr
    refused = run("check", "--config", f"{key}=100000", cwd=root)
    assert refused.returncode == 2
    assert "accepted: 1 to" in refused.stderr


def test_a_file_that_is_refused_when_it_is_read_as_a_whole_stops_no_other(
    project: Project,
) -> None:
    """Of many files, those that do nothing are judged without their functions."""
    bad = "import torch\n\n\ndef f():\n    return " + "1+" * 3_000 + "1\n"
    filler = "import torch\n\n\ndef f():\n" + "    x = torch\n" * 10_000
    files = {f"m{n}.py": filler for n in range(20)}
    root = project({"gpu-lint.toml": POLICY, "bad.py": bad, **files})
    done = run("fix", "-q", "--no-cache", cwd=root)
    assert done.returncode == 1
    assert "bad.py: a fix was not applied" in done.stderr
    assert "limits.operators" in done.stderr
    assert (root / "bad.py").read_text() == bad
    assert "CUDA_VISIBLE_DEVICES" in (root / "m7.py").read_text()


def test_fixes_that_are_refused_for_one_reason_are_listed_up_to_a_few(project: Project) -> None:
    bad = "import torch\n\n\ndef f():\n    return " + "1+" * 3_000 + "1\n"
    filler = "import torch\n\n\ndef f():\n" + "    x = torch\n" * 10_000
    files = {f"m{n}.py": filler for n in range(20)} | {f"bad{n}.py": bad for n in range(5)}
    done = run("fix", "-q", "--no-cache", cwd=project({"gpu-lint.toml": POLICY, **files}))
    told = [line for line in done.stderr.splitlines() if "not applied" in line]
    assert [line.split(": ")[1] for line in told[:3]] == ["bad0.py", "bad1.py", "bad2.py"]
    assert told[3:] == ["gpu-lint: 2 more files: a fix was not applied for that reason"]


def test_a_hundred_thousand_statements_and_a_line_of_a_megabyte(project: Project) -> None:
    root = project(
        {
            "a.py": LATE + "x = f(1)\n" * 100_000 + "torch.cuda.set_device(1)\n",
            "b.py": f"{LATE}y = '{'a' * 1_000_000}'\n",
        }
    )
    done = run("check", "--output-format", "concise", "-q", cwd=root)
    assert done.returncode == 1
    assert "a.py:4:1: GPU107" in done.stdout
    assert "b.py:4:1: GPU107" in done.stdout


def test_a_tree_too_deep_for_the_system_is_one_line(project: Project) -> None:
    root = project({"a.py": LATE})
    if os.name == "nt":
        pytest.skip("Windows refuses to make such a tree")
    here = os.getcwd()
    os.chdir(root)
    try:
        for _ in range(30):  # 6,000 characters
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    done = run("check", "--output-format", "concise", cwd=root)
    assert done.returncode == 2
    assert done.stdout.startswith("a.py:4:1: GPU107")
    assert len([line for line in done.stderr.splitlines() if line.startswith("gpu-lint: ddd")]) == 1


SLOW_ONCE = {
    "letters behind a variable": LATE + "x" * 300_000,
    "brackets that do not close": LATE + "x = " + "[" * 100_000,
    "quotes and backslashes": "\\'" * 100_000,
    "long quotes and backslashes": LATE + "\\'''" * 60_000,
    "imports on one line": "lambda:import a;" * 20_000,
    "docstrings": LATE + "def f():\n    '''CUDA_VISIBLE_DEVICES'''\n" * 8_000,
    "a variable in a comment": "# " + "CUDA_VISIBLE_DEVICES " * 10_000,
    "suppressions on lines of their own": LATE + "# gpu-lint: ignore[GPU201]\n" * 35_000,
    "suppressions behind code": LATE + "x = 1  # gpu-lint: ignore[GPU201]\n" * 20_000,
    "comments behind an import by name": LATE + "import_module(#" * 20_000,
}
"""What took a time that grew with the square of its length: hours, for some of these."""


@pytest.mark.parametrize("name", SLOW_ONCE)
def test_what_was_slow_once_is_read_at_once(name: str) -> None:
    fuzzing.run("reader", SLOW_ONCE[name].encode())


def test_tens_of_thousands_of_suppressions_are_checked_reported_and_removed(
    project: Project,
) -> None:
    """Each of these took a time that grew with the square of their number."""
    root = project({"a.py": LATE + "# gpu-lint: ignore[GPU201]\n" * 35_000 + "x = 1\n"})
    done = run("check", "--no-cache", "--output-format", "json", cwd=root)
    assert done.returncode == 1
    assert done.stdout.count('"GPU002"') == 35_000
    (root / "a.py").write_text(LATE + "x = 1  # gpu-lint: ignore[GPU201]\n" * 3_000)
    assert run("fix", "-q", "--no-cache", cwd=root).returncode == 0
    assert (root / "a.py").read_text().endswith("x = 1\n" * 3_000)


def test_a_suppression_above_several_comments_covers_the_code_below_them() -> None:
    late = LATE.replace("os.environ[", "# gpu-lint: ignore[GPU107]\n# why\n\n# more\nos.environ[")
    assert answer_to(late.encode()) == "GPU002 GPU107"
    assert answer_to(late.replace("# why\n\n# more\n", "# why\n# more\n").encode()) == ""


def test_allocator_settings_and_masks_of_any_length() -> None:
    for text in ("[" * 200_000, "1," * 100_000, "a:[1," * 50_000, "1" * 100_000):
        fuzzing.run("check", f"{LATE}os.environ['PYTORCH_CUDA_ALLOC_CONF'] = {text!r}\n".encode())
        fuzzing.run("check", f"{LATE}os.environ['CUDA_VISIBLE_DEVICES'] = {text!r}\n".encode())


def answer_to(data: bytes) -> str:
    """The codes that are found in a file, or why it cannot be checked."""
    try:
        found = fuzzing.engine(False).check_source(decode_source(Path("x.py"), data)).findings
    except SourceError as error:
        return str(error)
    return " ".join(finding.code for finding in found)


CHAINED: dict[str, str] = {
    "elif": "if x: pass\n" + "elif x: pass\n" * 8_500,
    "attributes": "x = a" + ".b" * 30_000,
    "calls": "x = a" + "()" * 20_000,
    "subscripts": "x = a" + "[0]" * 30_000,
    "not": "x = " + "not " * 30_000 + "a",
    "signs": "x = " + "-" * 30_000 + "a",
    "lambdas": "x = " + "lambda:" * 30_000 + "0",
    "sum": "x = a" + "+a" * 30_000,
    "sums in brackets": "x = " + "(a" * 100 + ("+a" * 200 + ")") * 100,
    "strings": "x = (" + "'a'\n" * 50_000 + ")",
    "formatted strings": "x = (" + "f'{a}'\n" * 50_000 + ")",
    "chains in a formatted string": "x = f'{a" + ".b" * 9_000 + "}'",
    "choices": "x = " + "a if b else " * 30_000 + "c",
    "comprehensions": "x = [a" + " for a in b" * 30_000 + "]",
    "imported name": "import a" + ".b" * 400_000,
    "assignments": "x = " * 30_000 + "1",
}
"""What ended the process, or took a time that grew with the square of its length."""


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("broken", ["", "x = = 1\n"], ids=["valid", "syntax error"])
@pytest.mark.parametrize("name", CHAINED)
def test_what_is_chained_without_end_is_one_answer(name: str, broken: str, encoding: str) -> None:
    """Python's parser refuses some, LibCST's would end the process over others: never that."""
    text = f"# coding: {encoding}\n{LATE}{broken}{CHAINED[name]}\n"
    answer = answer_to(text.encode(encoding))
    assert answer in ("", "GPU001", "GPU107") or re.fullmatch("cannot be checked: .*", answer)


def test_a_file_that_would_crash_a_parser_stops_no_other_in_one_process(project: Project) -> None:
    root = project({"a.py": f"{LATE}{CHAINED['elif']}", "b.py": LATE})
    done = run("check", "-j", "1", "--output-format", "concise", cwd=root)
    assert done.returncode == 2
    assert done.stdout.startswith("b.py:4:1: GPU107")
    assert (
        "gpu-lint: a.py cannot be checked: line 2006 is one of more than 2000 elif" in done.stderr
    )


def test_branches_that_are_too_deep_for_us_on_standard_input_are_one_line(project: Project) -> None:
    text = f"# coding: latin-1\n# \xe9\n{LATE}if x: pass\n" + "elif x: pass\n" * 1_900
    done = subprocess.run(
        [sys.executable, "-m", "gpu_lint", "check", "-"],
        cwd=project({}),
        input=text.encode("latin-1"),
        capture_output=True,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert b"internal error" not in done.stderr


def test_an_unclosed_bracket_above_a_long_file_is_still_a_syntax_error() -> None:
    text = f"{LATE}x = (\n" + "y = a.b.c + d\n" * 2_000
    found = fuzzing.engine(False).check_source(decode_source(Path("x.py"), text.encode())).findings
    assert [(finding.code, finding.span.start) for finding in found] == [("GPU001", len(LATE) + 4)]


def test_a_chain_that_is_long_but_sound_is_checked() -> None:
    text = f"{LATE}x = a" + ".b(1 + 2, [3])" * 600 + "\n" + "y = '''" + "- " * 5_000 + "'''\n"
    assert answer_to(text.encode()) == "GPU107"


def test_a_parser_gets_a_stack_of_its_own_and_what_it_raises_is_raised() -> None:
    def depth(left: int) -> int:
        return left and depth(left - 1)

    assert on_deep_stack(lambda: depth(100)) == 0
    with pytest.raises(ZeroDivisionError):
        on_deep_stack(lambda: 1 // 0)


def _codecs() -> list[str]:
    return sorted({*encodings.aliases.aliases.values()} | {*encodings.aliases.aliases})


def test_every_codec_of_python_on_a_coding_line_is_read_or_is_one_line() -> None:
    for codec in _codecs():
        for body in (b"x = 1\n", b"# \xe9\xff\n", "# é€\n".encode(), b"-" + b"a" * 30_000):
            data = f"# coding: {codec}\n{LATE}".encode() + body
            answer = answer_to(data)
            assert answer in ("", "GPU001", "GPU107") or re.fullmatch("(is|cannot|uses) .*", answer)


@pytest.mark.parametrize("codec", ["punycode", "idna", "utf-7", "cp037", "unicode_escape", "hz"])
def test_a_codec_in_which_ascii_is_something_else_is_refused(codec: str) -> None:
    with pytest.raises(SourceError, match="ASCII is not what it seems"):
        decode_source(Path("x.py"), f"# coding: {codec}\n".encode() + b"-" + b"a" * 500_000)


LONG = (
    'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\nimport torch\n\n\n'
    "def step():\n" + "    x = 1\n" * 300 + "\n\n"
)
"""With 250 calls it runs through more statements than are followed of one program."""


def test_programs_that_are_followed_in_part_are_counted(project: Project) -> None:
    root = project({"long.py": LONG + "step()\n" * 250, "short.py": LONG + "step()\n"})
    for options in (["--no-cache"], [], [], ["-j", "2"]):  # the third time from the cache
        done = run("check", "--statistics", *options, cwd=root)
        assert "1 program followed in part" in done.stdout, options
    assert "in part" not in run("check", "--statistics", "short.py", cwd=root).stdout


def test_a_program_that_is_followed_in_part_is_not_called_clear(project: Project) -> None:
    names = [f"long{number}.py" for number in range(7)]
    root = project(dict.fromkeys(names, LONG + "step()\n" * 250) | {"a.py": "x = 1\n"})
    for options in (["--no-cache"], [], []):
        done = run("check", *options, cwd=root)
        assert done.stderr.splitlines() == [
            f"Not followed to the end: {', '.join(names[:5])} and 2 more; "
            "what they do after many thousand calls is not known.",
            "No findings in 8 files checked.",
        ]
    assert run("check", "a.py", cwd=root).stderr == "All clear: 1 file checked.\n"


def test_what_a_program_imports_when_its_statements_are_used_up_is_known(tmp_path: Path) -> None:
    """A module that sets a variable is run then, too; of another, what it imports is."""
    files = {
        "long.py": LONG + "step()\n" * 250 + "torch.cuda.init()\nimport between\n",
        "between.py": "def build():\n    return 1\n\n\ntry:\n    import late\nfinally:\n    pass\n",
        "late.py": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"\n',
    }
    found = check_files(tmp_path, files)
    assert codes(found["late.py"]) == [("GPU116", 2)]


def test_what_is_imported_then_does_not_depend_on_the_programs_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one program comes to the bound of what it still imports, another may be before it."""
    for module in ("calls", "modules"):
        monkeypatch.setattr(f"gpu_lint.facts.{module}.MOST_STATEMENTS", 200)
    long = "import torch\ntorch.cuda.init()\n" + "x = 1\n" * 210
    named = 'NAME = "CUDA_VISIBLE_DEVICES"\n'
    files = {
        "a.py": long + "import filling\nimport between\n",
        "b.py": long + "import between\n",
        "between.py": named + "x = 1\n" * 60 + "import late\n",
        "filling.py": named + "x = 1\n" * 150,
        "late.py": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"\n',
    }
    assert codes(check_files(tmp_path, files)["late.py"]) == [("GPU116", 2)]
