"""Values that come from elsewhere: the parent process, a ``.env`` file, a test of the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import check_files, codes, engine_for, write_files

POLICY: dict[str, Any] = {
    "gpu": {"name": "RTX 3090", "visible-devices": "1", "device-order": "PCI_BUS_ID"},
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "never"},
}
ORDER = 'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
MASK = 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
USE = "import torch\n\ntorch.zeros(1).cuda()\n"
READ = 'value = os.environ.get("CUDA_VISIBLE_DEVICES")\n'
UNSET = f"{READ}if value is None:\n    {MASK}"
DEFAULT = 'os.environ.setdefault("CUDA_VISIBLE_DEVICES", "1")\n'
STOP = '    raise SystemExit("another GPU")\n'

CHECKED = {
    "in the other branch": f'{UNSET}elif value != "1":\n{STOP}',
    "by in": f'if "CUDA_VISIBLE_DEVICES" not in os.environ:\n    {MASK}'
    f'elif os.environ["CUDA_VISIBLE_DEVICES"] != "1":\n{STOP}',
    "the other way round": f'{UNSET}elif "1" == value:\n    pass\nelse:\n{STOP}',
    "after a default": f'{DEFAULT}if os.environ["CUDA_VISIBLE_DEVICES"] != "1":\n{STOP}',
    "after a default, by get": f'{DEFAULT}if os.environ.get("CUDA_VISIBLE_DEVICES") != "1":\n{STOP}',
    "an assertion": f'{DEFAULT}assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"\n',
    "an assertion of the default": 'assert os.environ.setdefault("CUDA_VISIBLE_DEVICES", "1") == "1"\n',
    "two conditions": f'{DEFAULT}if not os.environ["CUDA_VISIBLE_DEVICES"] == "1":\n{STOP}',
}
UNCHECKED = {
    "nothing is asked": (UNSET, ["GPU110"]),
    "a default alone": (DEFAULT, ["GPU110"]),
    "a warning": (f'{UNSET}elif value != "1":\n    print("another GPU")\n', ["GPU110"]),
    "another value": (f'{UNSET}elif value != "0":\n{STOP}', ["GPU110"]),
    "another variable": (
        f'{DEFAULT}if os.environ["DEVICE"] != "1":\n{STOP}',
        ["GPU110"],
    ),
    "one of two conditions": (
        f'{DEFAULT}if os.environ["CUDA_VISIBLE_DEVICES"] != "1" and value:\n{STOP}',
        ["GPU110"],
    ),
    "nothing is written": ('assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"\n', ["GPU101"]),
    "read before it is written": (
        f'{READ}os.environ["CUDA_VISIBLE_DEVICES"] = "0"\nif value != "1":\n{STOP}',
        ["GPU102"],
    ),
}


def found(root: Path, program: str, policy: dict[str, Any] | None = POLICY) -> list[str]:
    result = check_files(root, {"run.py": f"import os\n{program}"}, policy)["run.py"]
    return [code for code, _ in codes(result)]


@pytest.mark.parametrize("program", CHECKED.values(), ids=CHECKED.keys())
def test_a_parents_value_that_ends_the_program_does_not_win(program: str, tmp_path: Path) -> None:
    assert found(tmp_path, program + ORDER + USE) == []


@pytest.mark.parametrize(("program", "codes_found"), UNCHECKED.values(), ids=UNCHECKED.keys())
def test_a_parents_value_that_may_stay_wins(
    program: str, codes_found: list[str], tmp_path: Path
) -> None:
    assert found(tmp_path, program + ORDER + USE) == codes_found


@pytest.mark.parametrize(
    ("condition", "is_found"),
    [
        ("k not in os.environ", False),
        ("k.startswith('APP_')", False),
        ("not k.startswith('CUDA_')", False),
        ("v is not None", True),
        ("k in os.environ", True),
        ("True", True),
    ],
)
def test_what_a_comprehension_takes_of_a_file_that_is_not_there(
    condition: str, is_found: bool, tmp_path: Path
) -> None:
    program = f"{ORDER}{MASK}from dotenv import dotenv_values\n"
    program += f"os.environ.update({{k: v for k, v in dotenv_values().items() if {condition}}})\n"
    assert found(tmp_path, program + USE) == ["GPU111"] * is_found
    (tmp_path / ".env").write_text("APP_NAME=x\n")
    assert found(tmp_path, program + USE) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("load_dotenv()", ""),
        ("load_dotenv('conf/local.env')", ""),
        ("load_dotenv(override=True)", "is replaced here if a .env file sets it: read that file first"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_may_hold_the_mask(
    call: str, message: str, tmp_path: Path
) -> None:
    program = f"import os\nfrom dotenv import load_dotenv\n{ORDER}{MASK}{call}\n{USE}"
    result = check_files(tmp_path, {"run.py": program}, POLICY)["run.py"]
    assert [one.severity.value for one in result.findings] == ["warning"] * bool(message)
    assert all(message in one.message for one in result.findings)
    first = f"import os\nfrom dotenv import load_dotenv\n{call}\n{ORDER}{MASK}{USE}"
    assert codes(check_files(tmp_path, {"run.py": first}, POLICY)["run.py"]) == []


def test_a_default_of_a_file_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CUDA_VISIBLE_DEVICES=1\nCUDA_DEVICE_ORDER=PCI_BUS_ID\n")
    program = f"from dotenv import load_dotenv\nload_dotenv()\n{USE}"
    (first, _) = check_files(tmp_path, {"run.py": program}, POLICY)["run.py"].findings
    assert first.code == "GPU110"
    assert first.message == (
        "load_dotenv() keeps a CUDA_VISIBLE_DEVICES that is set: the parent process wins"
    )


ASKING = (
    "import os\nimport torch\n\n\ndef device():\n"
    '    shown = os.environ.get("CUDA_VISIBLE_DEVICES")\n'
    '    return "cuda" if torch.cuda.is_available() and shown == "0" else "cpu"\n'
)
ASKED = '    assert asking.device() == "cuda"\n'
PATCH = 'patch.dict(os.environ, {"CUDA_VISIBLE_DEVICES": "0,1"})'
TESTS = {
    "monkeypatch": (
        'def test_a(monkeypatch):\n    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")\n' + ASKED,
        False,
    ),
    "an impossible value": (
        'def test_a(monkeypatch):\n    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "x")\n' + ASKED,
        False,
    ),
    "patch.dict": (f"def test_a():\n    with {PATCH}:\n    {ASKED}", False),
    "a decorator": (f"@{PATCH}\ndef test_a():\n{ASKED}", False),
    "a fixture": (
        "@pytest.fixture\ndef mask(monkeypatch):\n"
        '    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")\n\n\n'
        f"def test_a(mask):\n{ASKED}",
        False,
    ),
    "a fixture of tests that may use the GPU": (
        "import torch\n\n\n@pytest.fixture\ndef mask(monkeypatch):\n"
        '    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")\n',
        True,
    ),
    "memory of the GPU": (
        'def test_a(monkeypatch):\n    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")\n'
        "    import torch\n\n    torch.zeros(1).cuda()\n",
        True,
    ),
    "asked, then used": (
        'def test_a(monkeypatch):\n    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")\n'
        "    import torch\n\n    if torch.cuda.is_available():\n        torch.zeros(1).cuda()\n",
        True,
    ),
    "a device is chosen": (
        f"import torch\n\n\ndef test_a():\n    with {PATCH}:\n        torch.cuda.set_device(0)\n",
        True,
    ),
}


@pytest.mark.parametrize(("test", "is_found"), TESTS.values(), ids=TESTS.keys())
def test_a_value_that_code_is_tested_with(test: str, is_found: bool, tmp_path: Path) -> None:
    imports = "import os\nfrom unittest.mock import patch\n\nimport asking\nimport pytest\n"
    files = {"asking.py": ASKING, "test_it.py": f"{imports}\n\n{test}"}
    run = engine_for({**POLICY, "header": {"required-in": "never"}}).check(
        write_files(tmp_path, files)
    )
    (result,) = (one for one in run.files if one.path.name == "test_it.py")
    assert [code for code, _ in codes(result)] == ["GPU102"] * is_found
