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
    "a model that may be on the GPU before the guard": Case(
        {
            "run.py": "import sys\nimport torch\nuse = '--cpu' not in sys.argv\n"
            'device = torch.device("cuda" if use else "cpu")\n'
            "model = torch.nn.Linear(2, 2).to(device)\n" + GUARD + "    print(model)\n"
        },
        "would check the GPU when it may have been used already",
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
    "a mask that is removed, and the card that a module puts something on": Case(
        {
            "part.py": "import os\n" + ORDER + MASK + "import torch\n\n\ndef load(device):\n"
            "    torch.zeros(1).to(device)\n",
            "run.py": "import os\n" + ORDER + MASK + "from part import load\n"
            'del os.environ["CUDA_VISIBLE_DEVICES"]\nload("cuda:1")\n',
        },
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
    "a program that needs two cards": Case(
        {
            "run.py": "import torch\n"
            + GUARD
            + "    if torch.cuda.device_count() < 2:\n        raise SystemExit('two GPUs')\n"
        },
        "would give up: the mask shows another number of devices",
    ),
    "an assertion about two cards, where an option may hide them": Case(
        {
            "run.py": "import os\nimport sys\nimport torch\n"
            + GUARD
            + "    if '--cpu' in sys.argv:\n"
            '        os.environ["CUDA_VISIBLE_DEVICES"] = ""\n'
            "    assert torch.cuda.device_count() == 2\n"
        },
        "would give up: the mask shows another number of devices",
    ),
    "the order of the cards, while the environment chooses by number": Case(
        {
            "run.py": "import os\nimport torch\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("MY_GPU", "0")\n'
            + GUARD
            + "    torch.zeros(1).cuda()\n"
        },
        "would show another GPU: they are counted in another order",
    ),
    "the order of the cards, while a helper chooses by number": Case(
        {
            "part.py": 'import os\n\n\ndef choose(gpu="0"):\n'
            '    os.environ["CUDA_VISIBLE_DEVICES"] = gpu\n',
            "run.py": "import torch\nfrom part import choose\nchoose()\n"
            + GUARD
            + "    torch.zeros(1).cuda()\n",
        },
        "they are counted in another order: the mask is set in ",
    ),
    "the order of the cards, when the mask is removed": Case(
        {
            "run.py": "import os\nfrom llama_cpp import Llama\n"
            'os.environ.pop("CUDA_VISIBLE_DEVICES", None)\n'
            + GUARD
            + '    Llama("x.gguf", n_gpu_layers=-1, main_gpu=0)\n'
        },
        "would show another GPU: they are counted in another order",
    ),
    "the order of the cards, when the mask is removed and a parameter has another card": Case(
        {
            "run.py": "import os\nimport torch\nos.environ.pop('CUDA_VISIBLE_DEVICES', None)\n\n\n"
            'def load(device="cuda:0"):\n    pass\n\n\n' + GUARD + "    torch.zeros(1).cuda(1)\n"
        },
        "would show another GPU: they are counted in another order",
    ),
    "the order of the cards, when the mask is removed and the first must be a certain one": Case(
        {
            "run.py": "import os\nimport torch\nos.environ.pop('CUDA_VISIBLE_DEVICES', None)\n"
            + GUARD
            + "    torch.zeros(1).cuda(0)\n    torch.zeros(1).cuda(1)\n"
            '    assert "3090" in torch.cuda.get_device_name(0)\n'
        },
        "would show another GPU: they are counted in another order",
    ),
    "an index that fails, under the mask of a helper that another file sets": Case(
        {
            "part.py": 'import os\n\n\ndef choose(gpu="0"):\n'
            '    os.environ["CUDA_VISIBLE_DEVICES"] = gpu\n',
            "run.py": "import os\nfrom part import choose\nchoose()\n" + ORDER + "import torch\n"
            "try:\n    torch.zeros(1).to('cuda:1')\nexcept Exception:\n    pass\n",
        },
        "would use another GPU than the policy's",
    ),
    "an index that fails, under a mask that is suppressed": Case(
        {
            "run.py": "import os\n" + ORDER + 'os.environ["CUDA_VISIBLE_DEVICES"] = "0"'
            "  # gpu-lint: ignore[GPU102]\nimport torch\ntorch.zeros(1).to('cuda:1')\n"
        },
        "would use another GPU than the policy's",
    ),
    "an index that is suppressed, which exists by what putenv() wrote": Case(
        {
            "run.py": "import os\nimport torch\n"
            + MASK
            + 'os.putenv("CUDA_VISIBLE_DEVICES", "1,0")\n'
            + 'torch.zeros(1).to("cuda:1")  # gpu-lint: ignore[GPU201]\n'
        },
        "would name a device that the mask does not show",
    ),
    "the order of the cards, when only the children are without a mask": Case(
        {
            "run.py": "import multiprocessing as mp\nimport os\nimport torch\n"
            'os.environ.pop("CUDA_VISIBLE_DEVICES", None)\n\n\n'
            "def work():\n    torch.zeros(1).cuda(0)\n\n\n"
            "def main():\n    " + MASK + '    p = mp.get_context("spawn").Process(target=work)\n'
            "    p.start()\n\n\n" + GUARD + "    main()\n"
        },
        "would show another GPU: they are counted in another order",
    ),
    "the mask of a helper, while the header with the order is left out": Case(
        {
            "part.py": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"\n',
            "run.py": "import os\nimport part\n"
            'os.environ["CUDA_VISIBLE_DEVICES "] = "1,0"\nimport torch\n\n\n'
            "def main():\n    torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', '0')))\n\n\n"
            "main()\n",
        },
        "would show another GPU: the order in which they are counted is not set",
    ),
    "the order of the cards, which is set again when they have been counted": Case(
        {
            "mask.py": "import os\n" + MASK,
            "part.py": "import torch\n\n\ndef load(device):\n"
            "    return torch.zeros(1).to(device)\n",
            "run.py": "import argparse\nimport os\np = argparse.ArgumentParser()\n"
            'p.add_argument("--gpu", default="0")\na = p.parse_args()\nimport mask\n'
            'if a.gpu:\n    os.environ["CUDA_VISIBLE_DEVICES"] = a.gpu\nfrom part import load\n'
            'load("cuda:0")\n' + ORDER,
        },
        "would show another GPU: they are counted in another order",
    ),
    "an option above the import, which the header would replace": Case(
        {
            "run.py": "import argparse\nimport os\np = argparse.ArgumentParser()\n"
            'p.add_argument("--gpu", default="1")\na = p.parse_args()\n'
            'os.environ["CUDA_VISIBLE_DEVICES"] = a.gpu\nimport torch\n'
            + GUARD
            + "    torch.zeros(1).cuda()\n"
        },
        "would no longer decide: it is replaced before any use",
    ),
    "a mask that hides the GPUs on one of two ways": Case(
        {
            "run.py": "import argparse\nimport os\np = argparse.ArgumentParser()\n"
            'p.add_argument("--device", default="cuda")\na = p.parse_args()\n'
            'if a.device == "cpu":\n    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"\n'
            "import torch\n" + GUARD + "    torch.zeros(1).cuda()\n"
        },
        "would no longer decide: it is replaced before any use",
    ),
    "a mask that hides the GPUs, and the header of a module": Case(
        {
            "part.py": "import torch\n\n\ndef load(device):\n    return torch.zeros(1)\n",
            "run.py": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "-1"\nimport torch\n'
            "import part\n" + GUARD + "    assert not torch.cuda.is_available()\n",
        },
        "would replace what another file has set on purpose",
    ),
    "a mask of a configuration, and a module's header behind what the framework does": Case(
        {
            "params.py": "import json\nimport sys\nimport torch\n\n\ndef read():\n"
            "    return json.load(open(sys.argv[1]))\n",
            "losses.py": "import torch\n\n\ndef loss(x):\n    return torch.mean(x)\n",
            "run.py": "import os\nimport params\n"
            'os.environ["CUDA_VISIBLE_DEVICES"] = params.read()["gpus"]\nimport torch\n'
            'torch.set_float32_matmul_precision("medium")\nimport losses\n'
            + GUARD
            + "    losses.loss(torch.zeros(1).cuda())\n",
        },
        "would replace what another file has set on purpose",
    ),
    "two masks that are overwritten in turn, the last of which hides the GPUs": Case(
        {
            "run.py": 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1,0"\n\n\ndef setup():\n'
            "    " + MASK + '\n\nsetup()\nos.environ["CUDA_VISIBLE_DEVICES"] = "-1"\n'
            "import torch\n" + GUARD + "    assert not torch.cuda.is_available()\n"
        },
        "GPU111 would be found",
    ),
    "an index that is suppressed behind a mask that may be late": Case(
        {
            "run.py": "import os\nfrom faster_whisper import WhisperModel\n\n\ndef main():\n"
            '    WhisperModel("small", device="cuda", device_index=1)\n'
            '    os.environ["CUDA_VISIBLE_DEVICES"] = "0"\n'
            '    WhisperModel("small", device="cuda", device_index=1)'
            "  # gpu-lint: ignore[GPU201]\n\n\nmain()\n"
        },
        "would name a device that the mask does not show",
    ),
    "an index that is suppressed, where an option may hide the GPUs": Case(
        {
            "run.py": "import os\nimport sys\nimport torch\n"
            + GUARD
            + "    if '--cpu' in sys.argv:\n"
            '        os.environ["CUDA_VISIBLE_DEVICES"] = ""\n'
            '    torch.zeros(1).to("cuda:1")  # gpu-lint: ignore[GPU201]\n'
        },
        "would name a device that the mask does not show",
    ),
    "a number that a spawned process is given": Case(
        {
            "run.py": "import multiprocessing as mp\nimport torch\n\n\ndef work(n):\n"
            '    torch.zeros(1).to(f"cuda:{n}")\n\n\n'
            + GUARD
            + '    p = mp.get_context("spawn").Process(target=work, args=(1,))\n    p.start()\n'
        },
        "would name a device that the mask does not show",
    ),
    "numbers that a pool hands out": Case(
        {
            "run.py": "import multiprocessing as mp\nimport torch\n\n\ndef work(n):\n"
            '    torch.zeros(1).to(f"cuda:{n}")\n\n\n'
            + GUARD
            + "    with mp.Pool(2) as pool:\n        pool.map(work, range(2))\n"
        },
        "would name a device that the mask does not show",
    ),
    "processes that an executor forks behind the guard": Case(
        {
            "run.py": "import concurrent.futures\nimport torch\n\n\ndef work(n):\n"
            "    torch.zeros(n).cuda()\n\n\n"
            + GUARD
            + "    with concurrent.futures.ProcessPoolExecutor(2) as pool:\n"
            "        pool.submit(work, 1).result()\n"
        },
        "GPU207 would be found",
        ("begin header",),
    ),
    "processes that a pool forks behind the guard": Case(
        {
            "run.py": "import multiprocessing as mp\nimport torch\n\n\ndef work(n):\n"
            "    torch.zeros(n).cuda()\n\n\n"
            + GUARD
            + "    with mp.Pool(2) as pool:\n        pool.map(work, [1, 1])\n"
        },
        "GPU207 would be found",
        ("begin header",),
    ),
    "workers of a loader that are forked behind the guard": Case(
        {
            "run.py": "import torch\nfrom torch.utils.data import DataLoader, Dataset\n\n\n"
            "class Items(Dataset):\n    def __len__(self):\n        return 2\n\n"
            "    def __getitem__(self, n):\n        return torch.zeros(1).cuda()\n\n\n"
            + GUARD
            + "    for item in DataLoader(Items(), num_workers=2):\n        pass\n"
        },
        "GPU207 would be found",
        ("begin header",),
    ),
    "a late mask that would be removed if it were set earlier, and the order beside it": Case(
        {
            "run.py": 'import os\nimport torch\nos.environ.pop("CUDA_VISIBLE_DEVICES", None)\n'
            "torch.zeros(1).cuda(1)\n" + ORDER + MASK + "torch.zeros(1).cuda(0)\n"
        },
        policy=False,
    ),
    "a converter that reaches no GPU": Case(
        {"run.py": "import csv\n" + GUARD + "    print(list(csv.reader(open('x.csv'))))\n"}
    ),
}


MADE: dict[str, dict[str, str]] = {
    "a raise that the program itself catches": {
        "run.py": "import torch\n"
        + GUARD
        + "    try:\n        if torch.cuda.device_count() < 2:\n            raise RuntimeError\n"
        "    except RuntimeError:\n        print('one')\n"
    },
    "a comparison in a function that nothing calls": {
        "run.py": "import torch\n\n\ndef two():\n    if torch.cuda.device_count() < 2:\n"
        "        raise RuntimeError\n\n\n" + GUARD + "    torch.zeros(1).cuda()\n"
    },
    "each card in turn, when the mask is removed": {
        "run.py": "import os\nimport torch\nos.environ.pop('CUDA_VISIBLE_DEVICES', None)\n"
        + GUARD
        + "    torch.zeros(1).cuda(0)\n    torch.zeros(1).cuda(1)\n"
    },
    "each card in turn, when the mask is removed, and each is asked for its name": {
        "run.py": "import os\nimport torch\nos.environ.pop('CUDA_VISIBLE_DEVICES', None)\n"
        + GUARD
        + "    torch.zeros(1).cuda(0)\n    torch.zeros(1).cuda(1)\n    for i in (0, 1):\n"
        "        print(torch.cuda.get_device_name(i))\n"
    },
    "what putenv() wrote before os.environ was": {
        "run.py": 'import os\nos.putenv("CUDA_VISIBLE_DEVICES", "1,0")\n'
        + MASK
        + "import torch\n"
        + GUARD
        + "    torch.zeros(1).cuda()\n"
    },
    "an option whose default is the policy's card, behind the imports": {
        "run.py": "import argparse\nimport os\nimport torch\n"
        + GUARD
        + '    p = argparse.ArgumentParser()\n    p.add_argument("--gpu", default="1")\n'
        '    os.environ["CUDA_VISIBLE_DEVICES"] = p.parse_args().gpu\n    torch.zeros(1).cuda()\n'
    },
    "processes that are spawned": {
        "run.py": "import multiprocessing as mp\nimport torch\n\n\ndef work(n):\n"
        "    torch.zeros(n).cuda()\n\n\n"
        + GUARD
        + '    with mp.get_context("spawn").Pool(2) as pool:\n        pool.map(work, [1, 1])\n'
    },
    "workers of a loader that use no GPU": {
        "run.py": "import torch\nfrom torch.utils.data import DataLoader, Dataset\n\n\n"
        "class Items(Dataset):\n    def __len__(self):\n        return 2\n\n"
        "    def __getitem__(self, n):\n        return torch.zeros(1)\n\n\n"
        + GUARD
        + "    for item in DataLoader(Items(), num_workers=2):\n        item.cuda()\n"
    },
}


@pytest.mark.parametrize("files", MADE.values(), ids=MADE.keys())
def test_what_does_no_harm_is_safe(files: dict[str, str], tmp_path: Path) -> None:
    found = check_files(tmp_path / "check", files, POLICY)
    assert ("run.py", "GPU103") in safe(found)
    assert "begin header" in fix_files(tmp_path / "fix", files, POLICY)["run.py"]


REMOVED = 'if "CUDA_VISIBLE_DEVICES" in os.environ:\n    del os.environ["CUDA_VISIBLE_DEVICES"]\n'
BOTH_CARDS = (
    MASK + "n = torch.cuda.device_count()\na = torch.zeros(1).cuda(0)\n"
    "if n > 1:\n    b = torch.zeros(1).cuda(1)\n"
)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (REMOVED + "torch.cuda.is_available()\n" + BOTH_CARDS, True),
        ("os.environ.pop('CUDA_VISIBLE_DEVICES')\ntorch.cuda.init()\n" + BOTH_CARDS, True),
        ("helper.clear()\ntorch.cuda.init()\n" + BOTH_CARDS, True),
        # nothing is removed before CUDA reads it: the late mask goes into the header
        ("torch.cuda.is_available()\n" + MASK + REMOVED + "torch.zeros(1).cuda(0)\n", False),
    ],
)
def test_a_late_mask_behind_a_removal_stays_where_it_is(
    body: str, kept: bool, tmp_path: Path
) -> None:
    files = {
        "helper.py": "import os\n\n\ndef clear():\n"
        '    os.environ.pop("CUDA_VISIBLE_DEVICES", None)\n',
        "run.py": "import os\nimport helper\nimport torch\n" + body,
    }
    before = check_files(tmp_path / "check", files, POLICY)["run.py"]
    (late,) = [f for f in before.findings if f.code == "GPU107"]
    assert (late.fix is None) is kept
    assert ("no fix: set earlier, it would be removed" in late.note) is kept
    after = fix_files(tmp_path / "fix", files, POLICY)["run.py"]
    assert "begin header" in after
    assert (MASK in after[after.index("import torch") :]) is kept
    assert not kept or after.endswith(body)


def test_pools_that_were_there_before_cuda_was_are_no_finding() -> None:
    head = (
        "import multiprocessing as mp\nimport torch\n\n\ndef work(n):\n    torch.zeros(n).cuda()\n"
        "\n\n" + GUARD
    )
    made, used = "    pool = mp.Pool(2)\n", "    torch.cuda.init()\n"
    mapped = "    pool.map(work, [1])\n"
    assert not check_text(head + made + used + mapped).findings
    (found,) = check_text(head + used + made + mapped).findings
    assert found.code == "GPU207"


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
