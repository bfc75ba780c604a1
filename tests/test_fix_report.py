"""What ``fix`` says at its end: leftovers in comments and strings, and a table by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from gpu_lint.reports.replaced import leftovers
from tests.conftest import engine_for, write_files
from tests.test_outcome import POLICY as DEMANDS
from tests.test_reports import LATE, POLICY, run

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
GUARD = 'if __name__ == "__main__":\n'
RENUMBERED = f'import torch\n{GUARD}    torch.zeros(1).to("cuda:1")\n'
HEADED = "import torch\n\n"


def left_in(root: Path, files: dict[str, str]) -> list[tuple[str, int, str]]:
    fixed = engine_for(DEMANDS).fix(write_files(root, files), unsafe=False, writing=None).fixed
    return [
        (one.before.path.name, one.before.source.text.splitlines().index(left.text) + 1, left.text)
        for one, left in leftovers(fixed)
    ]


@pytest.mark.parametrize(
    ("line", "listed"),
    [
        ("# the big card is cuda:1", True),
        ("x = 1  # CUDA:1, not the other", True),
        ('NOTE = "run on CUDA:1"', True),
        ('NOTE = f"run on cuda:1 {torch.__version__}"', True),
        ('"""Put it on cuda:1."""', True),
        # other devices, and what is no text
        ("# the small card is cuda:0", False),
        ("# a cluster has cuda:10 to cuda:15", False),
        ("part = [1, 2][cuda:1]", False),
        ("# mask the card", False),
    ],
)
def test_comments_and_strings_that_name_a_replaced_device_are_listed(
    line: str, listed: bool, tmp_path: Path
) -> None:
    files = {"a.py": RENUMBERED, "b.py": HEADED + line + "\n"}
    assert left_in(tmp_path, files) == ([("b.py", 3, line)] if listed else [])


@pytest.mark.parametrize(
    ("line", "listed"),
    [
        ("# start it with CUDA_VISIBLE_DEVICES=0 python a.py", True),
        ("HELP = \"export CUDA_VISIBLE_DEVICES='0'\"", True),
        ("# CUDA_VISIBLE_DEVICES=1 is right", False),
        ("# CUDA_VISIBLE_DEVICES=0,1 shows both", False),
        ("# device 0", False),
    ],
)
def test_texts_that_name_a_replaced_mask_are_listed(
    line: str, listed: bool, tmp_path: Path
) -> None:
    mask = 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"\nimport torch\n'
    files = {"a.py": mask + "x = torch.zeros(1)\n", "b.py": HEADED + line + "\n"}
    assert left_in(tmp_path, files) == ([("b.py", 3, line)] if listed else [])


def test_nothing_is_listed_where_no_device_was_replaced(tmp_path: Path) -> None:
    assert left_in(tmp_path, {"a.py": HEADED + "# cuda:1\n# CUDA_VISIBLE_DEVICES=0\n"}) == []


def test_a_number_that_was_replaced_counts_as_a_device(tmp_path: Path) -> None:
    files = {"a.py": f"import torch\n{GUARD}    torch.cuda.set_device(1)\n# cuda:1\n"}
    assert left_in(tmp_path, files) == [("a.py", 4, "# cuda:1")]


def test_leftovers_end_after_twenty_lines_and_are_not_told_quietly(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY, "a.py": RENUMBERED + "# cuda:1\n" * 23})
    told = run("fix", "--diff", cwd=root).stderr.decode().splitlines()
    listed = [line for line in told if line.startswith("  a.py:")]
    assert listed[0] == "  a.py:31: # cuda:1"
    assert len(listed) == 20
    assert "  and 3 lines more" in told
    assert b"cuda:1" not in run("fix", "-q", cwd=root).stderr
    assert (root / "a.py").read_text().count("# cuda:1") == 23


def test_the_table_by_file_tells_what_became_of_each(project: Project) -> None:
    choice = 'd = "cuda" if torch.cuda.is_available() else "cpu"\n'
    root = project(
        {
            "gpu-lint.toml": f'extend-select = ["GPU206"]\n{POLICY}[validation]\n'
            'required-in = "entry-points"\n',
            "a.py": RENUMBERED,
            "b.py": "import torch\n",
            "c.py": f"import torch\n\n{choice}{GUARD}    torch.zeros(1).to(d)\n",
            "d.py": "import os\nimport sys\n"
            "os.environ['CUDA_VISIBLE_DEVICES'] = sys.argv[1]\nimport torch\n",
        }
    )
    told = run("fix", "--unsafe-fixes", cwd=root).stderr.decode()
    lines = told[told.index("\nfile ") + 1 :].splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["file"] == ["header", "validator", "indices", "option", "CPU", "path"]
    assert rows["a.py"] == ["added", "added", "(torch)", "1"]
    assert rows["b.py"] == ["added"]
    assert rows["c.py"] == ["added", "added", "(torch)", "lost"]
    assert rows["d.py"] == ["added", "overridden"]


def test_the_table_by_file_ends_after_forty_files(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY, **{f"f{n:02}.py": LATE for n in range(43)}})
    lines = run("fix", "--diff", cwd=root).stderr.decode().splitlines()
    assert sum(line.startswith("f") and ".py" in line for line in lines) == 40
    assert lines[-1] == "and 3 more"


def test_without_a_policy_the_table_says_what_moved(project: Project) -> None:
    told = run("fix", cwd=project({"a.py": LATE})).stderr.decode().splitlines()
    assert told[-1].split() == ["a.py", "moved"]
