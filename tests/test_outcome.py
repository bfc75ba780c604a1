"""What a fix may call safe: nothing is found after it that was not found before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gpu_lint.findings import Applicability, FileFindings
from gpu_lint.outcome import Before, New
from tests.conftest import check_files, check_text, engine_for, fix_files, write_files
from tests.differential.programs import Composer, Seeded

POLICY: dict[str, Any] = {
    "gpu": {
        "name": "RTX 3090",
        "visible-devices": "1",
        "device-order": "PCI_BUS_ID",
        "min-memory-gib": 20,
        "forbidden": ["RTX 5060 Ti"],
    },
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "entry-points"},
}
GUARD = 'if __name__ == "__main__":\n'
MASK = 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
ORDER = 'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'


@dataclass(frozen=True)
class Case:
    """A program that plain ``fix`` must leave alone, all of it or but for some texts."""

    files: dict[str, str]
    why: str = ""
    """What the reason says of a fix that is left out."""
    gets: tuple[str, ...] = ()
    """What is put into ``run.py`` all the same."""
    policy: bool = True


LEFT_ALONE: dict[str, Case] = {
    "a suppression that hides what a late mask does": Case(
        {
            "run.py": "import os\nimport torch\ntorch.cuda.init()\n"
            + MASK
            + 'x = torch.zeros(1, device="cuda:1")  # gpu-lint: ignore[GPU201] on purpose\n'
        },
        "the fix of GPU107",
        policy=False,
    ),
    "a companion of a mask that is unsafe to move": Case(
        {
            "run.py": "import os\nimport torch\nfor i in range(torch.cuda.device_count()):\n"
            "    print(torch.cuda.get_device_name(i))\n" + MASK + ORDER + "torch.zeros(1).cuda()\n"
        },
        policy=False,
    ),
    "an option whose default is another card": Case(
        {
            "run.py": "import argparse\nimport torch\np = argparse.ArgumentParser()\n"
            'p.add_argument("--gpu", type=int, default=1)\na = p.parse_args()\n'
            + GUARD
            + '    torch.zeros(1).to(f"cuda:{a.gpu}")\n'
        },
        "would name a device that the mask does not show",
    ),
    "a list of two devices": Case(
        {
            "run.py": "import torch\nfrom torch.nn import DataParallel, Linear\n"
            + GUARD
            + "    m = DataParallel(Linear(2, 2), device_ids=[0, 1])\n"
        },
        "would name a device that the mask does not show",
    ),
    "an index that is suppressed": Case(
        {
            "run.py": "import torch\n"
            + GUARD
            + '    x = torch.zeros(1).to("cuda:1")  # gpu-lint: ignore[GPU201]\n'
        },
        "would name a device that the mask does not show",
    ),
    "the header of a module whose program names the other card": Case(
        {
            "m.py": "import torch\n\n\ndef load(device):\n    return torch.zeros(1).to(device)\n",
            "run.py": "import torch\nfrom m import load\n"
            + GUARD
            + '    load("cuda:1")  # gpu-lint: ignore[GPU201]\n    torch.cuda.set_device(2)'
            "  # gpu-lint: ignore[GPU201]\n",
        },
        "would name a device that the mask does not show",
    ),
    "a mask that is parsed behind the guard": Case(
        {
            "run.py": "import argparse\nimport os\nimport torch\n"
            + GUARD
            + '    p = argparse.ArgumentParser()\n    p.add_argument("--gpu", default="1")\n'
            "    a = p.parse_args()\n"
            '    os.environ["CUDA_VISIBLE_DEVICES"] = a.gpu\n    torch.zeros(1).cuda()\n'
        },
        "GPU107 would be found",
        ("begin header",),
    ),
    "a process that is forked behind the guard": Case(
        {
            "run.py": "import multiprocessing as mp\nimport torch\n\n\ndef work(n):\n"
            "    torch.zeros(n).cuda()\n\n\n"
            + GUARD
            + "    p = mp.Process(target=work, args=(1,))\n    p.start()\n"
        },
        "GPU207 would be found",
        ("begin header",),
    ),
    "a guard that is never reached": Case(
        {"run.py": "import torch\nraise SystemExit(1)\n" + GUARD + "    torch.zeros(1)\n"},
        "GPU302 would be found",
        ("begin header",),
    ),
    "a mask that is removed, and the card behind it": Case(
        {
            "run.py": "import os\n" + ORDER + MASK + 'if "CUDA_VISIBLE_DEVICES" in os.environ:\n'
            '    del os.environ["CUDA_VISIBLE_DEVICES"]\nimport torch\n'
            + GUARD
            + '    torch.zeros(1).to("cuda:1")\n'
        },
        "GPU201 would be found",
    ),
    "a mask that hides the GPUs": Case(
        {"run.py": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = ""\nimport torch\nx = 1\n'},
        "GPU111 would be found",
    ),
    "a mask that hides the GPUs where an option says so": Case(
        {
            "run.py": "import os\nimport sys\n" + ORDER + MASK + 'if "--cpu" in sys.argv:\n'
            '    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"\nimport torch\nx = 1\n'
        },
    ),
    "two masks, each for what follows it": Case(
        {
            "run.py": "import os\nfrom llama_cpp import Llama\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = "2"\na = Llama("x.gguf")\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = "3"\nb = Llama("y.gguf")\n'
        },
        policy=False,
    ),
    "a converter that reaches no GPU": Case(
        {"run.py": "import csv\n" + GUARD + "    print(list(csv.reader(open('x.csv'))))\n"}
    ),
}


def safe(results: dict[str, FileFindings]) -> list[tuple[str, str]]:
    return [
        (name, finding.code)
        for name, found in results.items()
        for finding in found.findings
        if finding.fix is not None and finding.fix.applicability is Applicability.SAFE
    ]


@pytest.mark.parametrize("case", LEFT_ALONE.values(), ids=LEFT_ALONE.keys())
def test_what_would_not_end_well_is_left_out(case: Case, tmp_path: Path) -> None:
    policy = POLICY if case.policy else None
    before = check_files(tmp_path / "check", case.files, policy)
    offered = [f.fix.message for r in before.values() for f in r.findings if f.fix is not None]
    assert any(case.why in message for message in offered) or not case.why
    after = fix_files(tmp_path / "fix", case.files, policy)
    for name, text in case.files.items():
        if name == "run.py" and case.gets:
            assert all(put in after[name] for put in case.gets)
            assert "def validate_gpu" not in after[name]
            assert after[name].endswith(text[text.index(GUARD) :])
        else:
            assert after[name] == text
    if not case.gets:
        assert not safe(before)
    assert fix_files(tmp_path / "again", after, policy) == after


def test_check_says_safe_of_what_fix_does_and_of_nothing_else(tmp_path: Path) -> None:
    """In composed programs: what is safe is gone after a fix, nothing is new, and all that was
    left is left once more by a second one."""
    for seed in range(30):
        files = dict(Composer(Seeded(seed)).program().files)
        root = tmp_path / str(seed)
        told = check_files(root / "check", files, POLICY)
        paths = write_files(root / "fix", files)
        fixed = engine_for(POLICY).fix(paths, unsafe=False, writing=None).fixed
        after = {one.before.path.relative_to(root / "fix").as_posix(): one.after for one in fixed}
        assert not safe(after), seed
        for name, found in told.items():
            known = Before.of(found)
            edits = next(o for o in fixed if o.after is after[name])
            if edits.before.source.data == edits.after.source.data:
                assert not list(known.new_in(after[name], [])), (seed, name)
        if not safe(told):
            assert not any(one.changed for one in fixed), seed


def test_a_fix_that_must_be_asked_for_is_made_when_it_is(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    case = LEFT_ALONE["an index that is suppressed"]
    paths = write_files(tmp_path, case.files)
    (one,) = engine_for(POLICY).fix(paths, unsafe=True, writing=None).fixed
    assert "begin header" in one.after.source.text


def test_what_is_found_is_followed_through_edits() -> None:
    from gpu_lint.findings import Edit, Finding
    from gpu_lint.rulebook import Severity
    from gpu_lint.source import Span, decode_source

    def found(text: str, *places: tuple[str, str]) -> FileFindings:
        source = decode_source(Path("x.py"), text.encode())
        return FileFindings(
            source,
            tuple(
                Finding(code, "n", Severity.ERROR, "m", Span(text.index(at), text.index(at) + 1))
                for code, at in places
            ),
        )

    text = "a = 1\nb = 2\nc = 3\n"
    before = Before.of(found(text, ("GPU107", "b"), ("GPU201", "c")))
    moved = [Edit(Span(0, 0), "b = 2\n"), Edit(Span(6, 12), "")]
    assert not list(before.new_in(found("b = 2\na = 1\nc = 3\n", ("GPU107", "b")), [moved]))
    assert not list(before.new_in(found("b = 2\na = 1\nc = 3\n", ("GPU201", "c")), [moved]))
    (new,) = before.new_in(found("b = 2\na = 1\nc = 3\n", ("GPU107", "a")), [moved])
    assert (new.code, new.line) == ("GPU107", "a = 1")
    twice = found("b = 2\na = 1\nc = 3\n", ("GPU201", "c"), ("GPU201", "3"))
    assert [new.code for new in before.new_in(twice, [moved])] == ["GPU201"]


def test_where_nothing_helps_nothing_is_changed_and_fixing_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Before, "new_in", lambda *_: iter([New("GPU999", "x = 1")]))
    uses = "import torch\ntorch.zeros(1).cuda()\n"  # GPU301 is left, whose fix is unsafe
    names = {"a.py": "import c\n" + uses, "b.py": "import c\n" + uses, "c.py": "x = 1\n"}
    paths = write_files(tmp_path, names)
    fixed = engine_for(POLICY).fix(paths, unsafe=False, writing=None).fixed
    assert not any(one.changed for one in fixed)
    assert all("GPU999 would be found at `x = 1`" in one.dropped[0] for one in fixed)
    assert not safe({one.after.path.name: one.after for one in fixed})


def test_one_source_by_itself_is_told_the_same(tmp_path: Path) -> None:
    text = LEFT_ALONE["a list of two devices"].files["run.py"]
    found = check_text(text, POLICY)
    assert found.findings
    assert not safe({"run.py": found})
