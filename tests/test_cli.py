"""The command line: exit status, streams, formats, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import jsonschema
import pytest

from gpu_lint import __version__
from gpu_lint.cli import main
from gpu_lint.findings import Judged
from gpu_lint.judging import View
from gpu_lint.reads import Read
from gpu_lint.reports import FORMATS
from gpu_lint.rulebook import load_rulebook
from tests.conftest import ROOT

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
LATE = 'import os\nimport torch\n\ntorch.cuda.init()\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
CLEAN = "print('nothing here')\n"
POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n'


def run(
    *arguments: str, cwd: Path, stdin: bytes | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "gpu_lint", *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **(env or {})},
        check=False,
    )


def test_clean_tree_exits_0_and_says_so_on_stderr(project: Project) -> None:
    done = run("check", cwd=project({"a.py": CLEAN}))
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"All clear: 1 file checked." in done.stderr


def test_findings_exit_1_and_stand_on_stdout(project: Project) -> None:
    done = run("check", "--output-format", "concise", cwd=project({"a.py": LATE}))
    assert done.returncode == 1
    assert done.stdout.startswith(b"a.py:5:1: GPU107 ")


def test_warnings_pass_when_only_errors_fail(project: Project) -> None:
    late_import = 'import os\nimport torch\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
    root = project({"a.py": late_import})
    assert run("check", cwd=root).returncode == 1
    assert run("check", "--fail-on", "error", cwd=root).returncode == 0
    assert run("check", "--exit-zero", cwd=root).returncode == 0


def test_full_report_shows_line_caret_reason_and_fix(project: Project) -> None:
    text = run("check", cwd=project({"a.py": LATE})).stdout.decode()
    assert "error[GPU107]: setting-after-freeze: `torch.cuda.init()` on line 4" in text
    assert '5 | os.environ["CUDA_VISIBLE_DEVICES"] = "1"' in text
    assert "| ^^^^^^^^^^" in text
    assert "= why: measured: cuda-facts section 1" in text
    assert "= fix: move the setting" in text
    assert "\x1b" not in text


def test_colour_follows_the_environment(project: Project) -> None:
    root = project({"a.py": LATE})
    assert b"\x1b[" in run("check", cwd=root, env={"FORCE_COLOR": "1"}).stdout
    both = {"FORCE_COLOR": "1", "NO_COLOR": "1"}
    assert b"\x1b[" not in run("check", cwd=root, env=both).stdout


def test_json_has_ruffs_fields_and_ours(project: Project) -> None:
    root = project({"a.py": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = 1\n'})
    (entry,) = json.loads(run("check", "--output-format", "json", cwd=root).stdout)
    assert entry["code"] == "GPU112"
    assert (entry["name"], entry["severity"]) == ("invalid-value", "error")
    assert Path(entry["filename"]) == root / "a.py"
    assert entry["location"] == {"row": 2, "column": 38}
    assert entry["end_location"] == {"row": 2, "column": 39}
    assert entry["fix"]["applicability"] == "safe"
    assert entry["fix"]["edits"] == [
        {
            "content": '"1"',
            "location": {"row": 2, "column": 38},
            "end_location": {"row": 2, "column": 39},
        }
    ]
    assert {"message", "url", "noqa_row", "cell"} <= entry.keys()


def test_columns_count_characters_in_json_and_utf16_units_in_sarif(project: Project) -> None:
    root = project({"é.py": 'import os\nx = "🎮"; os.environ["CUDA_VISIBLE_DEVICES"] = 1\n'})
    (entry,) = json.loads(run("check", "--output-format", "json", cwd=root).stdout)
    sarif = json.loads(run("check", "--output-format", "sarif", cwd=root).stdout)
    region = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert entry["location"]["column"] == 47
    assert region["startColumn"] == 48


def test_sarif_is_valid(project: Project) -> None:
    root = project(
        {"a.py": LATE, "sub dir/b.py": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = 1\n'}
    )
    log = json.loads(run("check", "--output-format", "sarif", cwd=root).stdout)
    schemas = [ROOT / "tests" / "data" / "sarif-2.1.0-subset.schema.json"]
    if published := os.environ.get("GPU_LINT_SARIF_SCHEMA"):
        schemas.append(Path(published))  # the whole one, as OASIS publishes it
    for path in schemas:
        jsonschema.validate(log, json.loads(path.read_text("utf-8")))
    results = log["runs"][0]["results"]
    assert [r["ruleId"] for r in results] == ["GPU107", "GPU112"]
    uri = results[1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "sub%20dir/b.py"


def test_github_annotations_cannot_be_injected(project: Project) -> None:
    value = "a\\n::error::pwned"
    root = project({"a.py": f'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "{value}"\n'})
    lines = run("check", "--output-format", "github", cwd=root).stdout.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("::error title=gpu-lint (GPU112),file=a.py,line=2,col=38,")


def test_gitlab_fingerprints_are_unique_and_survive_moved_lines(project: Project) -> None:
    bad = 'os.environ["CUDA_VISIBLE_DEVICES"] = 1\n'
    root = project({"a.py": "import os\n" + bad + bad})
    first = json.loads(run("check", "--output-format", "gitlab", cwd=root).stdout)
    (root / "a.py").write_text("import os\n\n\n" + bad + bad, "utf-8")
    second = json.loads(run("check", "--output-format", "gitlab", cwd=root).stdout)
    prints = [entry["fingerprint"] for entry in first]
    assert len(set(prints)) == len(prints) == 2
    assert prints == [entry["fingerprint"] for entry in second]
    assert first[0]["location"]["positions"]["begin"] == {"line": 2, "column": 38}


def test_output_file_takes_the_report(project: Project) -> None:
    root = project({"a.py": LATE})
    done = run("check", "--output-format", "json", "-o", "report.json", cwd=root)
    assert (done.returncode, done.stdout) == (1, b"")
    assert json.loads((root / "report.json").read_text("utf-8"))[0]["code"] == "GPU107"


def test_statistics_count_per_rule(project: Project) -> None:
    done = run("check", "--statistics", cwd=project({"a.py": LATE, "b.py": LATE}))
    assert done.stdout.decode().split() == ["2", "GPU107", "[*]", "setting-after-freeze"]


def test_stdin_is_checked_under_the_name_given(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY + '[header]\nrequired-in = ["sub/*.py"]\n'})
    source = b"import torch\n"
    inside = run("check", "--stdin-filename", "sub/x.py", "-", cwd=root, stdin=source)
    outside = run("check", "--stdin-filename", "x.py", "-", cwd=root, stdin=source)
    assert (inside.returncode, outside.returncode) == (1, 0)
    assert b"sub/x.py:1:1" in inside.stdout


def test_fix_of_stdin_prints_the_result(project: Project) -> None:
    root = project({})
    source = b'import os\r\nos.environ["CUDA_VISIBLE_DEVICES"] = 1\r\n'
    done = run("fix", "-", cwd=root, stdin=source)
    assert done.stdout == b'import os\r\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\r\n'


def test_diff_changes_nothing_and_exits_1(project: Project) -> None:
    root = project({"a.py": LATE})
    done = run("fix", "--diff", cwd=root)
    assert done.returncode == 1
    assert b'+os.environ["CUDA_VISIBLE_DEVICES"] = "1"' in done.stdout
    assert (root / "a.py").read_text("utf-8") == LATE


def test_fix_ends_with_a_table_and_exits_0_when_all_is_fixed(project: Project) -> None:
    root = project({"a.py": LATE})
    done = run("fix", cwd=root)
    assert done.returncode == 0
    assert (root / "a.py").read_text("utf-8").index("environ") < 20
    assert "setting-after-freeze" in done.stderr.decode()


def test_select_and_ignore_take_codes_prefixes_and_names(project: Project) -> None:
    root = project({"a.py": LATE})
    assert run("check", "--select", "GPU2", cwd=root).returncode == 0
    assert run("check", "--select", "GPU1,GPU2", cwd=root).returncode == 1
    assert run("check", "--ignore", "setting-after-freeze", cwd=root).returncode == 0


def test_unknown_rule_code_is_one_clear_line(project: Project) -> None:
    done = run("check", "--select", "GPU9", cwd=project({"a.py": LATE}))
    assert done.returncode == 2
    expected = "gpu-lint: --select: there is no rule 'GPU9'; `gpu-lint rule` lists them"
    assert done.stderr.decode().splitlines() == [expected]
    done = run("rule", "GPU999", cwd=ROOT)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


# --- bad input ---------------------------------------------------------------------------


def one_line(done: subprocess.CompletedProcess[bytes], *words: str) -> None:
    """Exit 2 with one line of trouble that says all of these."""
    lines = [line for line in done.stderr.decode().splitlines() if line.startswith("gpu-lint: ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]
    assert b"Traceback" not in done.stderr


def test_missing_path(project: Project) -> None:
    done = run("check", "nowhere.py", "a.py", cwd=project({"a.py": LATE}))
    one_line(done, "nowhere.py", "does not exist")
    assert b"GPU107" in done.stdout


def test_empty_file_is_fine(project: Project) -> None:
    assert run("check", cwd=project({"a.py": b""})).returncode == 0


def test_empty_file_gets_a_header_where_all_files_need_one(project: Project) -> None:
    policy = POLICY + '[header]\nrequired-in = "all"\n'
    root = project({"a.py": b"", "gpu-lint.toml": policy})
    assert run("fix", cwd=root).returncode == 0
    assert run("check", cwd=root).returncode == 0
    assert (root / "a.py").read_text("utf-8").startswith("import os\n")


def test_syntax_error_is_a_finding_on_its_line(project: Project) -> None:
    done = run("check", "--output-format", "concise", cwd=project({"a.py": "x = 1\ndef f(:\n"}))
    assert done.returncode == 1
    assert done.stdout.startswith(b"a.py:2:7: GPU001 syntax error: ")


def test_not_utf8(project: Project) -> None:
    root = project({"a.py": b"x = '\xe9'\n", "b.py": LATE})
    done = run("check", "--output-format", "concise", cwd=root)
    one_line(done, "a.py", "is not UTF-8", "0xe9", "offset 5")
    assert b"b.py:5:1: GPU107" in done.stdout


def test_null_bytes(project: Project) -> None:
    one_line(run("check", cwd=project({"a.py": b"x = 1\0\n"})), "a.py", "null bytes")


def test_wrong_coding_cookie(project: Project) -> None:
    root = project({"a.py": b"# -*- coding: nonsense -*-\n"})
    one_line(run("check", cwd=root), "a.py", "cannot be decoded", "coding line")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user bound by modes")
def test_unreadable_file(project: Project) -> None:
    root = project({"a.py": LATE})
    (root / "a.py").chmod(0)
    one_line(run("check", cwd=root), "a.py", "cannot be read")


def test_directory_where_a_file_is_expected(project: Project) -> None:
    root = project({"dir/a.py": CLEAN})
    assert run("check", "dir", cwd=root).returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")
def test_directory_loop_and_broken_link(project: Project) -> None:
    root = project({"pkg/a.py": LATE})
    (root / "pkg" / "again").symlink_to(root, target_is_directory=True)
    done = run("check", cwd=root)
    one_line(done, "again", "directory loop")
    assert done.stdout.count(b"GPU107") == 1
    (root / "pkg" / "again").unlink()
    (root / "pkg" / "gone.py").symlink_to(root / "nowhere.py")
    one_line(run("check", cwd=root), "gone.py", "broken link")


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")
def test_a_file_and_a_link_to_it_are_one_file(project: Project) -> None:
    root = project({"b.py": LATE})
    (root / "a.py").symlink_to("b.py")
    (root / "c.py").symlink_to("b.py")
    done = run("fix", cwd=root)
    assert (done.returncode, b"1 file" in done.stderr) == (0, True)
    assert (root / "a.py").is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    before = ROOT / "fixtures" / "superwhisper" / "before"
    command = f"'{sys.executable}' -m gpu_lint check -q '{before}' | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, cwd=ROOT, check=False)
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


LEAVING = """
import os, subprocess, sys
reader, writer = os.pipe()
os.close(reader)  # who reads has left already
both = writer if sys.argv[1] == "both" else subprocess.PIPE
command = [sys.executable, "-m", "gpu_lint", *sys.argv[2:]]
done = subprocess.run(command, stdout=writer, stderr=both, stdin=subprocess.DEVNULL)
sys.stderr.buffer.write(done.stderr or b"")
sys.exit(done.returncode)
"""


@pytest.mark.parametrize("streams", ["stdout", "both"])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["config"], 0),
        (["config", "--schema"], 0),
        (["rule"], 0),
        (["rule", "--all"], 0),
        (["--help"], 0),
        (["check", "--help"], 0),
        (["graph"], 0),
        (["undo", "--list"], 0),
        (["check", "clean.py"], 0),
        (["check"], 1),
        (["check", "--statistics"], 1),
        (["fix", "--diff"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_reader_that_leaves_early_leaves_the_exit_status_alone(
    project: Project, streams: str, arguments: list[str], status: int
) -> None:
    root = project({"a.py": LATE, "clean.py": CLEAN})
    done = subprocess.run(
        [sys.executable, "-c", LEAVING, streams, *arguments],
        cwd=root,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert b"Broken" not in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["config", "check", "rule"])
def test_output_that_cannot_be_written_is_2_and_no_traceback(
    project: Project, command: str
) -> None:
    root = project({"a.py": LATE})
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-m", "gpu_lint", command],
            cwd=root,
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
    assert done.returncode == 2
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_diff_of_stdin_exits_1_where_something_would_change(project: Project) -> None:
    root = project({"a.py": ""})
    late = run("fix", "--diff", "-", cwd=root, stdin=LATE.encode())
    assert late.returncode == 1
    assert late.stdout.startswith(b"--- stdin.py")
    assert run("fix", "--diff", "-", "--exit-zero", cwd=root, stdin=LATE.encode()).returncode == 0
    clean = run("fix", "--diff", "-", cwd=root, stdin=CLEAN.encode())
    assert (clean.returncode, clean.stdout) == (0, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of arbitrary bytes")
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_can_name_any_file(project: Project, form: str) -> None:
    root = project({})
    name = os.fsdecode(b"\xff \xc3\xa9\n%25,::.py")
    (root / name).write_bytes(LATE.encode())
    done = run("check", "--output-format", form, cwd=root)
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    if form in ("json", "gitlab", "sarif"):
        json.loads(done.stdout)
    if form in ("concise", "github"):
        assert len(done.stdout.splitlines()) == 1


def test_very_long_line_is_cut_in_the_report(project: Project) -> None:
    long = "x = '" + "é" * 300_000 + "'; import os; os.environ['CUDA_VISIBLE_DEVICES'] = 1\n"
    done = run("check", cwd=project({"a.py": long}))
    assert done.returncode == 1
    assert len(done.stdout) < 2_000


@pytest.mark.parametrize(
    "text",
    ["x = " + "(" * 5000 + ")" * 5000, "x = " + "1+" * 50_000 + "1", "x = " + "-" * 9000 + "1",
     "x = " + "f(" * 150 + ")" * 150, "x = a" + ".b" * 1900, "if x:\n" * 1, "x = " + "1+" * 1500 + "1"],
    ids=["brackets", "sum", "signs", "calls", "attributes", "unfinished", "recursion"],
)  # fmt: skip
def test_source_that_would_break_the_parser_is_one_line_or_a_finding(
    project: Project, text: str
) -> None:
    done = run("check", cwd=project({"a.py": text + "\n", "b.py": LATE}))
    assert done.returncode in (1, 2)
    assert b"b.py:5:1" in done.stdout
    assert b"Traceback" not in done.stderr
    assert len([x for x in done.stderr.splitlines() if x.startswith(b"gpu-lint: a.py")]) <= 1


def test_a_long_text_of_many_literals_is_checked(project: Project) -> None:
    # LibCST writes such a text recursively through C; Python 3.12 alone has a fixed bound there.
    lines = 700 if sys.version_info[:2] == (3, 12) else 2500
    text = "HELP = (\n" + "    'a line of help'\n" * lines + ")\n" + LATE
    done = run("check", "--output-format", "concise", cwd=project({"a.py": text}))
    assert done.stdout.startswith(f"a.py:{lines + 7}:1: GPU107".encode())


def test_escapes_in_names_and_source_do_not_reach_the_terminal(project: Project) -> None:
    name = "a\x1b[31m.py" if os.name != "nt" else "a.py"
    text = 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "\x1b]0;pwned\x07"\n'
    done = run("check", name, cwd=project({name: text}))
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\x07" not in done.stdout


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("[gpu]\nvisible-device = '1'\n", ["gpu-lint.toml:2", "visible-device", "visible-devices"]),
        ("[gpus]\n", ["gpus", "'gpu'"]),
        ("[gpu]\nvisible-devices = true\n", ["gpu-lint.toml:2", "index", "boolean"]),
        ("[gpu]\nvisible-devices = '1'\n", ["device-order", "PCI_BUS_ID"]),
        ("[gpu]\nvisible-devices = '1,1'\ndevice-order = 'PCI_BUS_ID'\n", ["listed twice"]),
        (
            "[gpu]\nvisible-devices = '1'\ndevice-order = 'pci_bus_id'\n",
            ["gpu-lint.toml:3", "gpu.device-order", "PCI_BUS_ID", "FASTEST_FIRST"],
        ),
        (POLICY + "alloc-conf = 'max_split_size:1024'\n", [":4", "max_split_size_mb"]),
        (POLICY + "pytorch = 2.4\n", [":4", "gpu.pytorch", "release in quotes", "2.4"]),
        ("[gpu]\npytorch = '2.4'\n", ["gpu", "lacks visible-devices"]),
        (
            POLICY + "pytorch = '2.0'\nalloc-conf = 'expandable_segments:True'\n",
            [":5", "gpu.alloc-conf", "expandable_segments from 2.1 on", "gpu.pytorch says 2.0"],
        ),
        (POLICY + "min-memory-gib = '20'\n", [":4", "number", "string"]),
        (POLICY + "[header]\nrequired-in = 'everywhere'\n", [":5", "all, gpu-files"]),
        ("select = ['GPU7']\n", [":1", "GPU7"]),
        ("exclude = 'x'\n", [":1", "list of strings"]),
        ("[[overrides]]\ngpu = {}\n", ["overrides", "paths"]),
        ("[gpu\n", ["not valid TOML", "line 1"]),
    ],
)
def test_broken_policy_is_one_clear_line(project: Project, policy: str, words: list[str]) -> None:
    done = run("check", cwd=project({"a.py": CLEAN, "gpu-lint.toml": policy}))
    one_line(done, "gpu-lint.toml", *words)
    assert done.stdout == b""


def test_config_option_sets_keys_and_names_files(project: Project) -> None:
    root = project(
        {"a.py": "import torch\n", "ci/strict.toml": POLICY + '[header]\nrequired-in="all"\n'}
    )
    assert run("check", cwd=root).returncode == 0
    assert run("check", "--config", "ci/strict.toml", cwd=root).returncode == 1
    keys = ["gpu.visible-devices='1'", "gpu.device-order=PCI_BUS_ID", "header.required-in=all"]
    options = [part for key in keys for part in ("--config", key)]
    assert run("check", *options, cwd=root).returncode == 1
    one_line(run("check", "--config", "gpu.visble-devices=1", cwd=root), "did you mean")
    one_line(run("check", "--config", "nowhere.toml", cwd=root), "nowhere.toml")


def test_named_config_is_not_relaxed_by_a_nearer_one(project: Project) -> None:
    strict = POLICY + '[header]\nrequired-in = "all"\n'
    root = project({"sub/a.py": "import torch\n", "sub/gpu-lint.toml": "ignore = ['ALL']\n"})
    (root / "ci.toml").write_text(strict, "utf-8")
    assert run("check", cwd=root).returncode == 0
    assert run("check", "--config", "ci.toml", cwd=root).returncode == 1


@pytest.mark.skipif(os.name == "nt", reason='Windows has no file names with "')
def test_a_file_in_the_tree_does_not_stand_in_for_a_key_on_the_command_line(
    project: Project,
) -> None:
    late_import = 'import os\nimport torch\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
    root = project({"a.py": late_import, 'fail-on="warning"': 'fail-on = "error"\n'})
    assert run("check", "--config", 'fail-on="warning"', "a.py", cwd=root).returncode == 1
    assert run("check", "--config", './fail-on="warning"', "a.py", cwd=root).returncode == 0


def test_a_file_with_an_equals_sign_in_its_name_is_given_by_its_path(project: Project) -> None:
    root = project({"a.py": LATE, "old=1.toml": 'ignore = ["GPU1"]\n', "sub/x=1.toml": ""})
    wrong = run("check", "--config", "old=1.toml", cwd=root)
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert b"the file of that name is ./old=1.toml" in wrong.stderr
    assert run("check", "--config", "./old=1.toml", cwd=root).returncode == 0
    assert run("check", "--config", "sub/x=1.toml", cwd=root).returncode == 1
    missing = run("check", "--config", "nope.toml", cwd=root)
    assert missing.returncode == 2
    assert b"no such file, and not KEY=VALUE" in missing.stderr


def test_config_command_shows_where_each_key_came_from(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY, "sub/a.py": CLEAN})
    text = run("config", "sub/a.py", cwd=root).stdout.decode()
    assert 'gpu.visible-devices = "1"  # ' in text
    assert "gpu-lint.toml:2" in text
    assert 'header.required-in = "entry-points"  # default' in text


def test_init_writes_a_policy_that_check_accepts(project: Project) -> None:
    root = project({"a.py": CLEAN})
    options = ["--visible-devices", "1", "--name", "RTX 3090", "--min-memory-gib", "20"]
    assert run("init", *options, cwd=root).returncode == 0
    assert run("check", cwd=root).returncode == 0
    one_line(run("init", *options, cwd=root), "exists", "--force")
    one_line(run("init", "--visible-devices", "1,1", "--force", cwd=root), "listed twice")
    assert 'visible-devices = "1"' in (root / "gpu-lint.toml").read_text("utf-8")


def test_init_without_a_terminal_asks_for_the_option(project: Project) -> None:
    one_line(run("init", cwd=project({}), stdin=b""), "--visible-devices")


def test_rule_command_lists_and_explains(project: Project) -> None:
    listed = run("rule", cwd=ROOT).stdout.decode()
    assert all(code in listed for code in load_rulebook().codes)
    page = run("rule", "gpu107", cwd=ROOT).stdout.decode()
    assert page.startswith("# setting-after-freeze (GPU107)")
    assert "Evidence: cuda-facts 1 and 5" in page


def test_version() -> None:
    assert run("--version", cwd=ROOT).stdout.decode().strip() == f"gpu-lint, version {__version__}"


def test_stdout_holds_nothing_but_findings_when_quiet(project: Project) -> None:
    done = run("check", "-q", cwd=project({"a.py": CLEAN}))
    assert (done.stdout, done.stderr) == (b"", b"")


def test_a_fault_of_ours_is_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("\x1b[31m\n")

    monkeypatch.chdir(project({"a.py": CLEAN}))
    monkeypatch.setattr("gpu_lint.engine.Survey.broken", fail)
    monkeypatch.setattr(sys, "argv", ["gpu-lint", "check"])
    with pytest.raises(SystemExit) as leaving:
        main()
    told = capsys.readouterr().err
    assert leaving.value.code == 2
    assert told.startswith("gpu-lint: internal error (KeyError:")
    assert "please report it" in told
    assert ("\x1b" in told, told.count("\n")) == (False, 1)


def test_a_file_that_we_fail_over_is_one_line_and_the_rest_is_checked(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = View.judged

    def fail(view: View, read: Read) -> Judged:
        if read.path.name == "a.py":
            raise AttributeError("no such thing")
        return real(view, read)

    monkeypatch.chdir(project({"a.py": LATE, "b.py": LATE}))
    monkeypatch.setattr(View, "judged", fail)
    monkeypatch.setattr(sys, "argv", ["gpu-lint", "fix", "-j1", "--output-format", "concise"])
    with pytest.raises(SystemExit) as leaving:
        main()
    told = capsys.readouterr()
    assert leaving.value.code == 2
    lines = [line for line in told.err.splitlines() if line.startswith("gpu-lint: a.py")]
    assert len(lines) == 1
    assert "internal error (AttributeError: no such thing); please report it" in lines[0]
    assert "b.py" in told.out or (Path("b.py").read_text() != LATE)


def test_nothing_of_the_scanned_tree_is_imported(project: Project) -> None:
    bomb = "open('exploded', 'w').close()\n"
    names = ("conftest.py", "sitecustomize.py", "setup.py", "gpu_lint_plugin.py", "torch.py")
    root = project(dict.fromkeys(names, bomb))
    env = {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    assert run("check", cwd=root, env=env).returncode == 0
    assert not (root / "exploded").exists()
