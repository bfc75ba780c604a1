"""Programs that several files ask about are run once, by whichever process: the same is found."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.facts.model import Written
from gpu_lint.facts.project import Project
from gpu_lint.facts.values import AnyOf, Bound, Items, Known, Pairs
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Span
from gpu_lint.work import Doing, Failed, Judging, Running, Work
from gpu_lint.workers import Workers
from tests.conftest import HereExecutor
from tests.differential.programs import Composer, Seeded
from tests.test_summaries import VARIANTS

PROGRAM = (
    "import os\nfrom shared import place\n"
    'if __name__ == "__main__":\n'
    '    os.environ["CUDA_VISIBLE_DEVICES"] = "{}"\n    place({})\n'
)
SHARED = (
    "import os\nimport torch\n\n\ndef place(index):\n"
    '    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n    torch.cuda.set_device(index)\n'
)
"""A module of which several programs ask for devices: what is found there depends on all."""


class Apart(HereExecutor):
    """An executor that does every chunk of work as a process of its own would: it is sent there,
    and what comes back is sent, too."""

    def __init__(self) -> None:
        self.done: Counter[tuple[str, str]] = Counter()
        """How often each kind of work was done on each file."""

    def each(
        self, work: Work[Any], chunks: Iterable[Sequence[str]]
    ) -> Iterator[tuple[str, Any | Failed]]:
        for chunk in chunks:
            doing = Doing(pickle.loads(pickle.dumps(work)))
            for file in chunk:
                self.done[type(work).__name__, Path(file).name] += 1
                yield file, pickle.loads(pickle.dumps(doing(file)))


def found_by(root: Path, executor: Any, run: str = "check") -> list[tuple[str, object]]:
    finder = SettingsFinder(load_rulebook(), root=root)
    files = discover([root], finder)
    engine = Engine(finder, executor_for=lambda seconds: executor)
    if run == "check":
        return [(f.path.name, f.findings) for f in engine.check(files.files, files.named).files]
    fixed = engine.fix(files.files, files.named, unsafe=True, writing=None).fixed
    return [(one.before.path.name, one.after.source.data) for one in fixed]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each program was run, not taken over from elsewhere."""
    found: Counter[str] = Counter()
    run = Project._run

    def counted(self: Project, file: str) -> Any:
        found[Path(file).name] += 1
        return run(self, file)

    monkeypatch.setattr(Project, "_run", counted)
    return found


def test_a_program_that_several_files_ask_about_is_run_once(
    project: Callable[..., Path], runs: Counter[str]
) -> None:
    names = [f"run{number}.py" for number in range(4)]
    programs = {name: PROGRAM.format(number, number) for number, name in enumerate(names)}
    root = project({"shared.py": SHARED, **programs})
    executor = Apart()
    found = found_by(root, executor)
    assert {name: count for name, count in runs.items() if name != "shared.py"} == dict.fromkeys(
        names, 1
    )
    assert all(executor.done[Running.__name__, name] == 1 for name in names)
    assert all(executor.done[Judging.__name__, name] == 1 for name in (*names, "shared.py"))
    assert found == found_by(root, None)
    (about_shared,) = [findings for name, findings in found if name == "shared.py"]
    assert about_shared, "what is asked depends on the programs, so nothing is proved without"


@pytest.mark.parametrize("job", ["check", "fix"])
def test_several_processes_find_in_composed_programs_what_one_finds(
    tmp_path: Path, job: str
) -> None:
    """With workers of their own, in which texts have other hashes."""
    compared = 0
    with Workers(2) as workers:
        for seed in range(12):
            root = tmp_path / str(seed)
            files = dict(Composer(Seeded(seed)).program().files)
            start = files.pop("run.py")
            files |= {f"{name}.py": above + start for name, above in VARIANTS.items()}
            for name, text in files.items():
                target = root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
            here = found_by(root, None, job)
            assert found_by(root, workers, job) == here, seed
            compared += len(here)
    assert compared > 60


def test_a_value_that_keeps_its_hash_gets_another_where_texts_have_others() -> None:
    key = Known("CUDA_VISIBLE_DEVICES")
    values = [
        Items("list", (key, Known("1"))),
        Pairs(((key, Known("1")),), True),
        AnyOf(frozenset({key, Known("0")})),
        Written(Known("1"), Span(1, 2), True, "a.py"),
    ]
    for value in values:
        hash(value)
    script = (
        "import pickle, sys\n"
        "values = pickle.loads(sys.stdin.buffer.read())\n"
        "again = [type(v)(*[getattr(v, n) for n in names]) for v, names in values]\n"
        "assert [v for v, _ in values] == again\n"
        "assert [hash(v) for v, _ in values] == [hash(v) for v in again]\n"
    )
    names = [("kind", "values"), ("entries", "open"), ("values",),
             ("value", "span", "weak", "file")]  # fmt: skip
    sent = pickle.dumps(list(zip(values, names, strict=True)))
    subprocess.run([sys.executable, "-c", script], input=sent, check=True)


def test_a_call_that_is_still_to_come_is_sent_without_its_arguments() -> None:
    bound = Bound("partial", Known(1), arguments=lambda: None)  # which cannot be sent
    assert pickle.loads(pickle.dumps(bound)) == bound
