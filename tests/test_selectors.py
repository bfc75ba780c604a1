"""What reaches a device API, and what only looks like it."""

from __future__ import annotations

import textwrap

import pytest

from gpu_lint.findings import Applicability
from tests.conftest import VOICE_POLICY, check_text, codes, fix_text

POLICY = {**VOICE_POLICY, "header": {"required-in": "never"}}


def found(program: str) -> list[tuple[str, int]]:
    return codes(check_text(textwrap.dedent(program).lstrip("\n"), POLICY))


MOVED = (
    "import torch\nclass Base:\n    d = 'cuda:0'\nclass Sub(Base):\n    def move(self, n):\n"
    "        self.d = f'cuda:{n}'\na, b = Sub(), Sub()\na.move(1)\n"
)
NOOP = {
    "compared": 'import torch\nd = "x"\nif "cuda:1" in d or d == "cuda:1":\n    print("cuda:1")',
    "searched for": 'text = open("f").read()\ntext.find("cuda:1")\ntext.replace("cuda:1", "cuda:0")',
    "logged": 'import logging\nlogging.info("cuda:1 %s", "cuda:1")',
    "docstring": 'def f():\n    """Use cuda:1."""',
    "expected in a test": "import unittest\nclass T(unittest.TestCase):\n"
    '    def test(self):\n        self.assertEqual(x.device, "cuda:1")',
    "a mock was called with it": 'm.to.assert_called_with("cuda:1")\nm.assert_called_with(device="cuda:1")',
    "an option's default text": "import argparse\np = argparse.ArgumentParser()\n"
    'p.add_argument("--device", default="cuda:1")',
    "a dict of expectations": 'EXPECTED = {"stt": "cuda:1", "llm": 1}',
    "index 0 exists": 'import torch\ntorch.cuda.set_device(0)\nx = torch.zeros(1, device="cuda:0")',
    "guarded by the count": "import torch\nif torch.cuda.device_count() > 1:\n    torch.cuda.set_device(1)",
    "guarded in an expression": 'import torch\nd = "cuda:1" if torch.cuda.device_count() >= 2 else "cuda:0"\n'
    "x = torch.zeros(1, device=d)",
    "not a device": 'import torch\nx = torch.zeros(1).to(torch.float16)\ny = x.to("cpu")',
    "unknown index": "import sys\nimport torch\ntorch.cuda.set_device(int(sys.argv[1]))",
    "cpu is -1 for a pipeline": 'from transformers import pipeline\npipeline("x", device=-1)',
    "a module function named cuda": "import mylib\nmylib.cuda(1)",
    "an integer for .to() where torch is not imported": "reader.to(1)",
    "the project's own folder TTS is not Coqui": "from TTS.mine import Voice\nv = Voice(gpu=1)",
    "the default in a base class of an object that nothing changes": f"{MOVED}torch.zeros(1, device=b.d)",
    "the default of a field that the base of a dataclass has": "import torch\n"
    "from dataclasses import dataclass\n"
    "@dataclass\nclass Base:\n    d: str = 'cuda:0'\n@dataclass\nclass Sub(Base):\n    n: int = 0\n"
    "other = Sub(d='cpu' if x else f'cuda:{n}')\nb = Sub(n=1)\ntorch.zeros(1, device=b.d)",
    "the default of a class itself": "import torch\nclass Sub:\n    d = 'cuda:0'\n"
    "    def move(self, d):\n        self.d = d\na, b = Sub(), Sub()\na.move('cpu')\n"
    "torch.zeros(1, device=b.d)",
    "a device that another is compared with": "import torch\n\n\ndef is_second(t):\n"
    '    return t.device == torch.device("cuda:1") or torch.device("cuda", 1) != t.device',
    "devices among which one is looked for": "import torch\n\n\ndef is_known(t):\n"
    '    return t.device in (torch.device("cuda:0"), torch.device("cuda:1"))',
}
FAULTS = {
    "torch.device in both forms": (
        'import torch\na = torch.device("cuda:1")\nb = torch.device("cuda", 1)',
        [("GPU201", 2), ("GPU201", 3)],
    ),
    "what is compared is on the device": (
        'import torch\nd = torch.device("cuda:1")\n'
        'print(d == torch.device("cuda:2"), torch.ones(1).to("cuda:1") == 1)\n'
        'print(f(torch.device("cuda:1")) == 1)',
        [("GPU201", 2), ("GPU201", 3), ("GPU201", 4)],
    ),
    "methods": (
        'import torch\nm = torch.nn.Linear(1, 1)\nm.cuda(1)\nm.to(1)\nm.to(device="cuda:1")',
        [("GPU201", 3), ("GPU201", 4), ("GPU201", 5)],
    ),
    "with torch.cuda.device": (
        "import torch\nwith torch.cuda.device(1):\n    pass",
        [("GPU201", 2)],
    ),
    "map_location": ('import torch\ntorch.load("m.pt", map_location="cuda:1")', [("GPU201", 2)]),
    "a module constant": ("import torch\nGPU = 1\ntorch.cuda.set_device(GPU)", [("GPU201", 2)]),
    "an f-string with known parts": (
        'import torch\nINDEX = 1\ntorch.zeros(1, device=f"cuda:{INDEX}")',
        [("GPU201", 2)],
    ),
    "format and concatenation": (
        'import torch\ntorch.device("cuda:{}".format(1))\ntorch.device("cuda:" + str(1))',
        [("GPU201", 2), ("GPU201", 3)],
    ),
    "an attribute": (
        "import torch\nclass A:\n    def __init__(self):\n        self.device = 'cuda:1'\n"
        "    def run(self, x):\n        return x.to(self.device)",
        [("GPU201", 4)],
    ),
    "an attribute of the object that was changed": (
        f"{MOVED}torch.zeros(1, device=a.d)",
        [("GPU201", 8)],
    ),
    "an attribute that a method of the class sets, whenever that is": (
        "import torch\nclass Base:\n    pass\nclass Sub(Base):\n    def move(self):\n"
        "        self.d = 'cuda:1'\nb = Sub()\ndef run(s: Sub):\n    torch.zeros(1, device=b.d)\n"
        "b.move()\nrun(b)",
        [("GPU201", 6)],
    ),
    "the default in a base class": (
        "import torch\nclass Base:\n    d = 'cuda:1'\nclass Sub(Base):\n    def move(self, n):\n"
        "        self.d = 'cpu'\nb = Sub()\ntorch.zeros(1, device=b.d)",
        [("GPU201", 3)],
    ),
    "a parameter's default that is passed on": (
        "import torch\ndef load(gpu=1):\n    torch.cuda.set_device(gpu)",
        [("GPU201", 2)],
    ),
    "the default of a device parameter": (
        'def load(model, device="cuda:1"):\n    pass',
        [("GPU201", 1)],
    ),
    "a dataclass field": (
        "import torch\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n    index: int = 1\n"
        "c = C()\ntorch.cuda.set_device(c.index)",
        [("GPU201", 5)],
    ),
    "a simple dict": (
        'import torch\nDEVICES = {"stt": 1}\ntorch.cuda.set_device(DEVICES["stt"])',
        [("GPU201", 2)],
    ),
    "one arm of a conditional": (
        'import torch\nd = "cuda:1" if torch.cuda.is_available() else "cpu"\n'
        "torch.nn.Linear(1, 1).to(d)",
        [("GPU201", 2)],
    ),
    "reported once, where it is written": (
        "import torch\nD = 'cuda:1'\na = torch.zeros(1, device=D)\nb = torch.ones(1, device=D)",
        [("GPU201", 2)],
    ),
    "a list of one": (
        "from faster_whisper import WhisperModel\nWhisperModel('x', device='cuda', device_index=[1])",
        [("GPU201", 2)],
    ),
    "re-exported from a submodule": (
        "from faster_whisper.transcribe import WhisperModel\nWhisperModel('x', device_index=1)",
        [("GPU201", 2)],
    ),
    "provider options": (
        "import onnxruntime\nonnxruntime.InferenceSession('m', providers=['CUDAExecutionProvider'],"
        " provider_options=[{'device_id': '1'}])",
        [("GPU201", 2)],
    ),
    "a keyword to a class of the project": (
        'from app.stt import Engine\nEngine(device="cuda:1")',
        [("GPU201", 2)],
    ),
    "max_memory names devices": (
        "from transformers import AutoModel\nAutoModel.from_pretrained('x', max_memory={0: '8GiB', 1: '8GiB'})",
        [("GPU204", 2)],
    ),
}


@pytest.mark.parametrize("program", NOOP.values(), ids=NOOP.keys())
def test_only_a_string_or_an_index_that_exists(program: str) -> None:
    assert found(program) == []


@pytest.mark.parametrize(("program", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_selector(program: str, expected: list[tuple[str, int]]) -> None:
    assert found(program) == expected


def test_without_policy_and_mask_an_index_is_nobodys_business() -> None:
    assert codes(check_text("import torch\ntorch.cuda.set_device(1)\n")) == []


@pytest.mark.parametrize(
    "setup",
    [
        'if a:\n    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n',
        'os.environ.setdefault("CUDA_VISIBLE_DEVICES", "1")\n',
        'def f():\n    os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n',
        'os.environ["CUDA_VISIBLE_DEVICES"] = "-1"\n',
        'os.environ["CUDA_VISIBLE_DEVICES"] = "2,3"\n',
        'os.environ["CUDA_VISIBLE_DEVICES"] = cards\n',
    ],
)
def test_without_policy_only_a_mask_that_surely_holds_decides(setup: str) -> None:
    text = f"import os\n{setup}import torch\ntorch.cuda.set_device(1)\n"
    assert "GPU201" not in dict(codes(check_text(text)))


def test_only_the_digits_of_a_literal_change() -> None:
    text = "import torch\nt = torch.zeros(1, device='cuda:1')  # GPU 1\nu = t.to(r\"cuda:1\")\n"
    fixed = fix_text(text, POLICY).after.source.text
    assert fixed == text.replace("'cuda:1'", "'cuda:0'").replace('"cuda:1"', '"cuda:0"')


def test_a_string_that_is_also_compared_is_not_changed_without_asking() -> None:
    text = 'import torch\nd = "cuda:1"\ntorch.zeros(1, device=d)\nif d == "cuda:1":\n    pass\n'
    assert fix_text(text, POLICY).after.source.text == text
    assert 'd = "cuda:0"' in fix_text(text, POLICY, unsafe=True).after.source.text


def test_a_number_behind_a_name_is_not_changed_without_asking() -> None:
    text = "import torch\nGPU = 1\ntorch.cuda.set_device(GPU)\nprint(GPU)\n"
    assert fix_text(text, POLICY).after.source.text == text


FEW = "torch.cuda.device_count() < 2"
ENOUGH = "def enough(n=2):\n    count = torch.cuda.device_count()\n    return count >= n\n"
TOO_FEW = f"def too_few():\n    return {FEW}\n"
EARLY = f"def enough():\n    if {FEW}:\n        return False\n    return True\n"


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("if torch.cuda.device_count() < 2:\n    raise RuntimeError", "raises"),
        ("if not torch.cuda.device_count() > 1:\n    sys.exit(1)", "exits"),
        ("if not ready or torch.cuda.device_count() <= 1:\n    device = 'cpu'", "CPU"),
        ("assert torch.cuda.device_count() == 2", "raises"),
        ("d = 'cuda' if torch.cuda.device_count() > 1 else 'cpu'", "CPU"),
        ("@unittest.skipIf(torch.cuda.device_count() < 2, 'two')\ndef test(): pass", "skips"),
        ("n = torch.cuda.device_count()\nif n < 2:\n    raise RuntimeError", "raises"),
        (f"{ENOUGH}if not enough(2):\n    sys.exit(1)", "exits"),
        (f"{ENOUGH}if not ready or not enough():\n    raise RuntimeError", "raises"),
        (f"{ENOUGH}assert enough()", "raises"),
        (f"{ENOUGH}@unittest.skipUnless(enough(), 'two')\ndef test(): pass", "skips"),
        (ENOUGH.replace(" >= n", " >= n and ready") + "if not enough():\n    sys.exit()", "exits"),
        (f"{TOO_FEW}if too_few():\n    sys.exit(1)", "exits"),
        (f"{EARLY}if not enough():\n    sys.exit(1)", "exits"),
        (f"import pytest\npytestmark = pytest.mark.skipif({FEW}, reason='two')", "skips"),
        (f"import pytest\npytestmark = [pytest.mark.slow, pytest.mark.skipif({FEW})]", "skips"),
        (f"import pytest\n{ENOUGH}pytestmark = pytest.mark.skipif(not enough())", "skips"),
        (f"@unittest.skipIf({FEW}, 'two')\nclass Two(unittest.TestCase): pass", "skips"),
    ],
)
def test_a_count_that_the_mask_decides(test: str, message: str) -> None:
    result = check_text(f"import sys\nimport unittest\nimport torch\n{test}\n", POLICY)
    assert [f.code for f in result.findings] == ["GPU203"]
    assert message in result.findings[0].message


@pytest.mark.parametrize(
    "test",
    [
        "if torch.cuda.device_count() < 1:\n    raise RuntimeError",
        "if torch.cuda.device_count() > 1:\n    model = torch.nn.DataParallel(model)",
        "if torch.cuda.device_count() != 1:\n    raise RuntimeError",
        "if ready and torch.cuda.device_count() < 2:\n    raise RuntimeError",
        "print(torch.cuda.device_count() < 2)",
        "if torch.cuda.device_count() <= 1:\n    return_early = True",
        f"{ENOUGH}if enough():\n    raise SystemExit",
        f"{ENOUGH}if not enough(1):\n    raise SystemExit",
        f"{ENOUGH}if not enough():\n    print('slow')",
        f"{ENOUGH}print(enough())",
        f"{ENOUGH}ready = enough() or input()\nif not ready:\n    raise SystemExit",
        f"{ENOUGH}if not (enough() or ready):\n    raise SystemExit",
        ENOUGH.replace(" >= n", " >= n or ready") + "if not enough():\n    raise SystemExit",
        f"{TOO_FEW}if not too_few():\n    raise SystemExit",
        f"import pytest\npytestmark = pytest.mark.skipif({FEW.replace('2', '1')})",
        f"import pytest\nmark = pytest.mark.skipif({FEW})",
        f"import pytest\npytestmark = pytest.mark.xfail({FEW})",
    ],
)
def test_a_count_that_is_no_fault(test: str) -> None:
    assert "GPU203" not in dict(found(f"import torch\n{test}\n"))


@pytest.mark.parametrize(
    "guard",
    [
        f"if {FEW}:\n        return",
        f"if {FEW}:\n        print('one')\n        return\n    else:\n        print('two')",
        "n = torch.cuda.device_count()\n    if n == 1:\n        return",
    ],
)
def test_a_path_that_needs_two_devices_names_the_second(guard: str) -> None:
    text = f"import torch\n\n\ndef main():\n    {guard}\n    torch.zeros(1, device='cuda:1')\n"
    assert "GPU201" not in dict(found(f"{text}\n\nmain()\n"))
    assert "GPU201" in dict(found(f"{text.replace('return', 'pass')}\n\nmain()\n"))


YOLO = "from ultralytics import YOLO\n\nm = YOLO('yolo26n.pt')\n"


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ("m.predict('bus.jpg', device=1)", ""),
        ("m.predict('bus.jpg', device='1')", ""),
        ("m.predict('bus.jpg', device=0)", "GPU201"),
        ("m.train(data='coco8.yaml', device='0')", "GPU201"),
        ("m('bus.jpg', device=0)", "GPU201"),
        ("m('bus.jpg', device='2')", "GPU201"),
        ("m('bus.jpg', device=1)", ""),
        ("m('bus.jpg')", ""),
        ("m.predict('bus.jpg', device='cpu')", ""),
        ("m.train(data='coco8.yaml', device=2)", "GPU201"),
        ("m.train(data='coco8.yaml', device=[1, 2])", "GPU204"),
    ],
)
def test_a_number_that_releases_read_differently_is_never_put_right(call: str, wrong: str) -> None:
    program = f"import os\n\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n\n{YOLO}{call}\n"
    found = check_text(program).findings
    assert [one.code for one in found] == [wrong] * bool(wrong)
    assert all(one.fix is None and "up to 8.4.86" in one.message for one in found)


def test_a_late_mask_is_not_moved_above_a_number_that_releases_read_differently() -> None:
    late = 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
    program = f"import os\nimport torch\ntorch.cuda.init()\n{late}{YOLO}m.predict('x', device=%s)\n"
    fixes = {}
    for device in ("0", "1"):
        (found,) = check_text(program % device).findings
        assert found.code == "GPU107"
        assert found.fix is not None
        fixes[device] = found.fix.applicability
    assert fixes == {"0": Applicability.UNSAFE, "1": Applicability.SAFE}
