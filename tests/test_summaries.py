"""A part of a program that is repeated from its summary does what it would do if it were run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpu_lint.facts.parts import Parts
from gpu_lint.facts.summaries import Summary
from tests.conftest import check_files
from tests.differential.programs import Composer, Seeded

Files = dict[str, str]
PROGRAMS = int(os.environ.get("GPU_LINT_PROGRAMS", "60"))
"""Composed programs, each started in five ways."""
VARIANTS = {
    "run": "",
    "again": "",
    "early": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n',
    "late": "import torch\ntorch.cuda.init()\n",
    "other": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"\nimport torch\n',
}
"""What stands above the same program in files that are started, too."""


def judged(root: Path, files: Files) -> dict[str, list[str]]:
    """Every finding of every file, as it would be reported."""
    return {name: [repr(one) for one in r.findings] for name, r in check_files(root, files).items()}


def run_each_time(
    self: Parts, part: object, steps: Any, flow: Any, run: Callable[[], None], **_: Any
) -> None:
    """The slow way: each part is run wherever it stands."""
    run()


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[Summary]:
    """The summaries that were repeated so far."""
    found: list[Summary] = []
    repeat = Parts._repeat

    def counted(self: Parts, summary: Summary, *rest: Any) -> None:
        found.append(summary)
        repeat(self, summary, *rest)

    monkeypatch.setattr(Parts, "_repeat", counted)
    return found


def both_ways(root: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The findings, which are the same whether or not parts are repeated."""
    fast = judged(root, files)
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "run_part", run_each_time)
        slow = judged(root, files)
    assert fast == slow
    return fast


def test_composed_programs_are_judged_as_if_each_part_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeated: list[Summary]
) -> None:
    for seed in range(PROGRAMS):
        program = Composer(Seeded(seed)).program()
        files = dict(program.files)
        start = files.pop("run.py")
        files |= {f"{name}.py": head + start for name, head in VARIANTS.items()}
        both_ways(tmp_path / str(seed), files, monkeypatch)
    assert len(repeated) > PROGRAMS // 4


SHARED = "import os\nimport torch\n"
MASKED = 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
GUARD = 'if __name__ == "__main__":\n    pass\n'
TRAPS: dict[str, Files] = {
    "a global that a function reads": {
        "settings.py": 'DEVICE = "cuda:0"\n',
        "work.py": "import settings\nimport torch\n"
        "def work():\n    torch.zeros(1).to(settings.DEVICE)\n",
        "a.py": MASKED + "import settings\nimport work\nwork.work()\n" + GUARD,
        "b.py": MASKED
        + 'import settings\nsettings.DEVICE = "cuda:1"\nimport work\nwork.work()\n'
        + GUARD,
    },
    "a global that a module reads": {
        "settings.py": 'DEVICE = "cuda:0"\n',
        "work.py": "import settings\nimport torch\ntorch.zeros(1).to(settings.DEVICE)\n",
        "a.py": MASKED + "import settings\nimport work\n" + GUARD,
        "b.py": MASKED + 'import settings\nsettings.DEVICE = "cuda:1"\nimport work\n' + GUARD,
    },
    "a list that modules add to": {
        "known.py": "KNOWN = []\n",
        "one.py": 'from known import KNOWN\nKNOWN.append("cuda:1")\n',
        "two.py": "import torch\nfrom known import KNOWN\ntorch.zeros(1).to(KNOWN[0])\n",
        "a.py": MASKED + "import one\nimport two\n" + GUARD,
        "b.py": MASKED
        + 'import known\nknown.KNOWN.append("cuda:0")\nimport one\nimport two\n'
        + GUARD,
        "c.py": MASKED + "import one\nimport known\nimport two\n" + GUARD,
    },
    "a dict that is changed through another name": {
        "known.py": "KNOWN = {}\n",
        "one.py": 'from known import KNOWN as MINE\nMINE["gpu"] = "cuda:1"\n',
        "two.py": 'import torch\nimport known\ntorch.zeros(1).to(known.KNOWN["gpu"])\n',
        "a.py": MASKED + "import one\nimport two\n" + GUARD,
        "b.py": MASKED
        + 'import one\nimport known\nknown.KNOWN["gpu"] = "cuda:0"\nimport two\n'
        + GUARD,
    },
    "the message names what came before in the program itself": {
        "early.py": "import torch\ntorch.cuda.init()\n",
        "writes.py": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"\n',
        "a.py": "import early\nimport writes\n" + GUARD,
        "b.py": "import torch\ntorch.cuda.current_device()\nimport writes\n" + GUARD,
        "c.py": "import writes\nimport early\n" + GUARD,
    },
    "attributes of classes that other programs add to": {
        "base.py": "import torch\n"
        'class Base:\n    device = "cuda:0"\n'
        "    def go(self):\n        torch.zeros(1).to(self.device)\n",
        "a.py": MASKED + "import base\nbase.Base().go()\n" + GUARD,
        "b.py": MASKED + 'import base\nbase.Base.device = "cuda:1"\nbase.Base().go()\n' + GUARD,
    },
    "an import that may fail": {
        "optional.py": "import os\nimport missing_library\n"
        'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n',
        "a.py": "import torch\ntry:\n    import optional\nexcept ImportError:\n    pass\n" + GUARD,
        "b.py": "import optional\nimport torch\n" + GUARD,
    },
    "a module that ends the program": {
        "ends.py": "import os, sys\nimport torch\n"
        'if len(sys.argv) > 5:\n    sys.exit(1)\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n',
        "a.py": "import atexit, torch\natexit.register(torch.cuda.init)\nimport ends\n" + GUARD,
        "b.py": "import ends\n" + GUARD,
    },
    "commands that several programs choose from": {
        "settings.py": 'DEVICE = "cuda:0"\n',
        "tool.py": "import typer\nimport settings\napp = typer.Typer()\n"
        "@app.command()\ndef train():\n    import torch\n"
        "    torch.zeros(1).to(settings.DEVICE)\n"
        "@app.command()\ndef late():\n    import os\n    import torch\n    torch.cuda.init()\n"
        '    os.environ["CUDA_VISIBLE_DEVICES"] = "0"\n',
        "a.py": MASKED + "import tool\ntool.app()\n" + GUARD,
        "b.py": MASKED
        + 'import settings\nsettings.DEVICE = "cuda:1"\nimport tool\ntool.app()\n'
        + GUARD,
        "c.py": MASKED + "import tool\nimport torch\ntorch.cuda.init()\ntool.app()\n" + GUARD,
    },
    "modules in a circle": {
        "one.py": "import torch\nimport two\n" + MASKED + "def one():\n    torch.cuda.init()\n",
        "two.py": "import one\nimport os\n"
        'def two():\n    os.environ["CUDA_VISIBLE_DEVICES"] = "0"\n    one.one()\n',
        "a.py": "import one, two\ntwo.two()\n" + GUARD,
        "b.py": "import two, one\none.one()\ntwo.two()\n" + GUARD,
    },
}


@pytest.mark.parametrize("files", TRAPS.values(), ids=TRAPS.keys())
def test_what_a_part_depends_on_is_looked_at_before_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeated: list[Summary], files: Files
) -> None:
    again = {"again.py": files["a.py"], "twice.py": files["b.py"]}
    both_ways(tmp_path, files | again, monkeypatch)
    assert repeated


def test_a_loop_that_writes_several_variables_is_a_setting_of_each_with_every_value(
    tmp_path: Path,
) -> None:
    from gpu_lint.facts.project import Project
    from gpu_lint.facts.reading import read_file
    from gpu_lint.facts.values import Known
    from gpu_lint.rulebook import load_rulebook
    from gpu_lint.source import read_source

    file = tmp_path / "run.py"
    file.write_text(
        "import os\n"
        'for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):\n'
        '    for value in ("0", "1"):\n'
        "        os.environ[name] = value\n" + GUARD
    )
    knowledge = load_rulebook().knowledge
    project = Project(
        knowledge, lambda one: read_file(read_source(Path(one)), knowledge), [str(file)]
    )
    written = {
        setting.variable: [v.value for v in setting.values if isinstance(v, Known)]
        for setting in project.facts(str(file)).settings
    }
    assert written == {"CUDA_VISIBLE_DEVICES": ["0", "1"], "CUDA_DEVICE_ORDER": ["0", "1"]}
