"""What is set for a child alone, and taken back: neither is a late write of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import check_files, check_text, codes, fix_files

GPU = {"name": "RTX 3090", "visible-devices": "1", "device-order": "PCI_BUS_ID"}
NEVER = {"header": {"required-in": "never"}, "validation": {"required-in": "never"}}
POLICY: dict[str, Any] = {"gpu": GPU, **NEVER}
REQUIRED: dict[str, Any] = {**POLICY, "header": {"required-in": "gpu-files"}}
IMPORTS = "import contextlib\nimport multiprocessing as mp\nimport os\nimport subprocess\n"
HEADER = (
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
)
OLD = 'old = os.environ.get("CUDA_VISIBLE_DEVICES")\n'
SET = 'os.environ["CUDA_VISIBLE_DEVICES"] = "{}"\n'
RUN = 'subprocess.run(["python", "a.py"])\n'
BACK = 'os.environ["CUDA_VISIBLE_DEVICES"] = old\n'
GIVE_BACK = (
    'if old is None:\n    os.environ.pop("CUDA_VISIBLE_DEVICES", None)\nelse:\n'
    '    os.environ["CUDA_VISIBLE_DEVICES"] = old\n'
)


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def tried(work: str, back: str) -> str:
    return f"try:\n{indented(work)}finally:\n{indented(back)}"


MASKED = (
    "@contextlib.contextmanager\ndef masked(value):\n"
    + indented(OLD + SET.replace('"{}"', "value") + tried("yield", GIVE_BACK))
    + "\n\n"
)
FOR_A_CHILD = {
    "given back in finally": OLD + SET + tried(RUN, GIVE_BACK),
    "given back by its name": 'old = os.environ["CUDA_VISIBLE_DEVICES"]\n' + SET + tried(RUN, BACK),
    "given back without try": OLD + SET + RUN + BACK,
    "in a context manager": MASKED + f'with masked("{{}}"):\n    {RUN}',
    "all is given back": "saved = os.environ.copy()\n"
    + SET
    + tried(RUN, "os.environ.clear()\nos.environ.update(saved)\n"),
    "what was there is written again": "saved = dict(os.environ)\n"
    + SET
    + RUN
    + "os.environ.update(saved)\n",
    "a process that starts afresh": OLD
    + SET
    + "p = mp.get_context('spawn').Process(target=print)\np.start()\n"
    + BACK,
}


@pytest.mark.parametrize("program", FOR_A_CHILD.values(), ids=FOR_A_CHILD.keys())
@pytest.mark.parametrize("freeze", ["", "torch.cuda.init()\n"])
@pytest.mark.parametrize("value", ["1", "", "-1"])
def test_what_is_set_for_a_child_and_given_back(program: str, freeze: str, value: str) -> None:
    text = f"{IMPORTS}import torch\n{freeze}"
    at_module = text + program.format(value)
    assert codes(check_text(at_module, POLICY)) == []
    in_function = f"{text}def run():\n{indented(program.format(value))}"
    assert codes(check_text(in_function, POLICY)) == []
    assert codes(check_text(f"{in_function}\n\nrun()\n", POLICY)) == []


@pytest.mark.parametrize("program", FOR_A_CHILD.values(), ids=FOR_A_CHILD.keys())
def test_a_child_that_is_given_another_card_is_found(program: str) -> None:
    text = f"{IMPORTS}import torch\n{program.format('0')}"
    assert [code for code, _ in codes(check_text(text, POLICY))] == ["GPU102"]


@pytest.mark.parametrize("program", FOR_A_CHILD.values(), ids=FOR_A_CHILD.keys())
def test_a_file_that_sets_the_mask_for_a_child_alone_lacks_its_own(
    program: str, tmp_path: Path
) -> None:
    text = f"{IMPORTS}import torch\n{program.format('1')}torch.zeros(1).cuda()\n"
    found = check_files(tmp_path, {"run.py": text}, REQUIRED)["run.py"]
    assert [code for code, _ in codes(found)] == ["GPU101", "GPU103"]
    fixed = fix_files(tmp_path, {"run.py": text}, REQUIRED)["run.py"]
    assert fixed.endswith(f"{program.format('1')}torch.zeros(1).cuda()\n")
    assert fixed.index("begin header") < fixed.index("import torch")
    assert codes(check_files(tmp_path, {"run.py": fixed}, REQUIRED)["run.py"]) == []


@pytest.mark.parametrize("program", FOR_A_CHILD.values(), ids=FOR_A_CHILD.keys())
def test_under_a_header_nothing_is_said_either(program: str, tmp_path: Path) -> None:
    text = f"{IMPORTS}{HEADER}import torch\n{program.format('1')}torch.zeros(1).cuda()\n"
    assert codes(check_files(tmp_path, {"run.py": text}, REQUIRED)["run.py"]) == []


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (OLD + SET + "torch.zeros(1).cuda()\n" + BACK, ["GPU108"]),
        (OLD + "torch.cuda.init()\n" + SET + "torch.zeros(1).cuda()\n" + BACK, ["GPU107"]),
        (OLD + SET + "subprocess.run(['git', 'status'])\n" + BACK, ["GPU108"]),
        (SET + RUN, ["GPU108"]),
        ("torch.cuda.init()\n" + SET + RUN, ["GPU107"]),
        ('os.environ["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]\n',
         ["GPU102", "GPU108"]),
    ],
)  # fmt: skip
def test_what_is_not_for_a_child_or_not_given_back(program: str, found: list[str]) -> None:
    result = check_text(f"{IMPORTS}import torch\n{program.format('1')}", POLICY)
    assert sorted(code for code, _ in codes(result)) == found


TESTS = {
    "in one function": "def test_it():\n"
    + indented(OLD + SET.format("0,1") + tried("assert parse() == [0, 1]", GIVE_BACK)),
    "a manager": MASKED
    + "\n\ndef test_it():\n    with masked('0'):\n        assert parse() == [0]\n",
    "a fixture": "@pytest.fixture\ndef masked():\n"
    + indented(OLD + SET.format("0") + "yield\n" + GIVE_BACK)
    + "\n\ndef test_it(masked):\n    assert parse() == [0]\n",
    "two methods": "class Tests(unittest.TestCase):\n    def setUp(self):\n"
    + indented(indented(OLD.replace("old", "self.old") + SET.format("3")))
    + "\n    def tearDown(self):\n"
    + indented(indented(GIVE_BACK.replace("old", "self.old"))),
}
TESTED = (
    "import contextlib\nimport os\nimport unittest\n\nimport pytest\n\nfrom app import parse\n\n\n"
)


@pytest.mark.parametrize("program", TESTS.values(), ids=TESTS.keys())
def test_what_a_test_gives_back_is_what_other_code_is_tested_with(
    program: str, tmp_path: Path
) -> None:
    found = check_files(tmp_path, {"test_app.py": TESTED + program}, REQUIRED)["test_app.py"]
    assert codes(found) == []


@pytest.mark.parametrize("program", TESTS.values(), ids=TESTS.keys())
def test_no_such_value_is_changed_where_the_test_uses_a_gpu(program: str, tmp_path: Path) -> None:
    text = f"{TESTED}{program}".replace("from app", "import torch\nfrom app")
    text += "\n\ndef test_gpu():\n    torch.zeros(1).cuda()\n"
    assert fix_files(tmp_path, {"test_app.py": text}, POLICY)["test_app.py"] == text


def in_a_test(body: str) -> str:
    return "import os\nimport subprocess\n\n\ndef test_it():\n" + indented(body)


NOT_GIVEN_BACK = {
    "left as it is": in_a_test(SET.format("0") + "assert parse() == [1]"),
    "for a child": in_a_test(OLD + SET.format("0") + tried(RUN, GIVE_BACK)),
    "of the module": "import os\n" + SET.format("0") + "\n\n" + TESTS["in one function"],
}


@pytest.mark.parametrize("program", NOT_GIVEN_BACK.values(), ids=NOT_GIVEN_BACK.keys())
def test_another_value_of_a_test_is_found(program: str, tmp_path: Path) -> None:
    found = check_files(tmp_path, {"test_app.py": program}, POLICY)["test_app.py"]
    assert "GPU102" in dict(codes(found))
