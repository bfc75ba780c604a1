"""Validators: which form a fix writes, what it refuses when it is run, what counts as complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import black
import pytest

from gpu_lint.errors import Problem
from gpu_lint.policy import check_table
from tests.conftest import VOICE_POLICY, check_files, check_text, codes, fix_files, fix_text
from tests.fakecuda import Outcome, run_program

POLICY: dict[str, Any] = {
    **VOICE_POLICY,
    "header": {"required-in": "entry-points"},
    "validation": {"required-in": "entry-points", "function": "validate_gpu"},
}
UUID = "GPU-10000000-0000-0000-0000-000000000001"
GUARD = '\n\nif __name__ == "__main__":\n    print("done")\n'


def policy(validation: dict[str, Any] | None = None, **gpu: Any) -> dict[str, Any]:
    return {
        **POLICY,
        "gpu": {**POLICY["gpu"], **gpu},
        "validation": {**POLICY["validation"], **(validation or {})},
    }


WARN = policy({"without-gpu": "warn"})


def end_of(outcome: Outcome) -> str:
    """How a program ended: ``done``, or the last line of its traceback."""
    lines = outcome.output.strip().splitlines()
    return "done" if outcome.status == 0 and "done" in lines else lines[-1]


# --- which form ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "imports"),
    [
        ({"run.py": f"import torch{GUARD}"}, "torch"),
        ({"run.py": f"import models{GUARD}", "models.py": "import torch\n"}, "torch"),
        ({"run.py": f"import a{GUARD}", "a.py": "import b\n", "b.py": "import torch\n"}, "torch"),
        ({"run.py": f"import models{GUARD}", "models.py": "import whisper\n"}, "torch"),
        ({"run.py": f"import cupy{GUARD}"}, "subprocess"),
        ({"run.py": f"import models{GUARD}", "models.py": "import llama_cpp\n"}, "subprocess"),
        ({"run.py": f"import cupy{GUARD}", "other.py": "import torch\n"}, "subprocess"),
    ],
    ids=["itself", "by a module", "by two", "by a framework", "cupy", "llama", "not imported"],
)
def test_a_validator_uses_torch_wherever_its_process_reaches_torch(
    tmp_path: Path, files: dict[str, str], imports: str
) -> None:
    fixed = fix_files(tmp_path, files, POLICY)["run.py"]
    validator = fixed.partition("def validate_gpu")[2]
    assert [name for name in ("torch", "subprocess") if f"    import {name}\n" in validator] == [
        imports
    ]
    assert "pynvml" not in fixed


@pytest.mark.parametrize("given", [POLICY, WARN], ids=["raise", "warn"])
@pytest.mark.parametrize("framework", ["torch", "cupy"])
def test_a_written_validator_is_complete_and_formatted(
    framework: str, given: dict[str, Any]
) -> None:
    fixed = fix_text(f"import {framework}\n{GUARD}", given)
    text = fixed.after.source.text
    assert codes(fixed.after) == []
    assert "def validate_gpu() -> None:" in text
    assert black.format_str(text, mode=black.Mode()) == text
    assert codes(check_text(text.replace("# gpu-lint: validator\n", ""), given)) == []


@pytest.mark.parametrize(
    "gpu",
    [
        {"device-order": "FASTEST_FIRST"},
        {"visible-devices": "MIG-8d1f4a52-3c0b-4f6e-9a7d-2b5c6e7f8091"},
    ],
    ids=["fastest first", "MIG"],
)
def test_no_validator_is_written_where_the_driver_cannot_tell_the_gpu(gpu: dict[str, Any]) -> None:
    fixed = fix_text(f"import cupy\n{GUARD}", policy(**gpu))
    assert "def validate_gpu" not in fixed.after.source.text
    found = {one.code: one for one in fixed.after.findings}
    assert found["GPU301"].fix is None
    assert "no fix" in found["GPU301"].note
    assert "def validate_gpu" in fix_text(f"import torch\n{GUARD}", policy(**gpu)).after.source.text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("wran", "'wran' is not accepted; accepted: raise, warn (did you mean 'warn'?)"),
        ("skip", "'skip' is not accepted; accepted: raise, warn"),
        (True, "True is not accepted; accepted: raise, warn"),
    ],
)
def test_what_is_done_without_a_gpu_is_one_of_two(value: object, message: str) -> None:
    with pytest.raises(Problem) as caught:
        check_table({"validation": {"without-gpu": value}}, lambda code: True)
    assert (str(caught.value), caught.value.keys) == (message, ("validation", "without-gpu"))


# --- run with stand-ins ----------------------------------------------------------------------

SMALL = {"FAKECUDA_MEMORY_GIB": "16,8"}
OTHER = {"FAKECUDA_NAMES": "NVIDIA GeForce RTX 3090,NVIDIA GeForce RTX 5060 Ti"}
SINGLE = {"FAKECUDA_NAMES": "NVIDIA GeForce RTX 3090", "FAKECUDA_MEMORY_GIB": "24"}
NONE = {"FAKECUDA_NAMES": "", "FAKECUDA_MEMORY_GIB": "0"}


@pytest.mark.parametrize(
    ("given", "machine", "last"),
    [
        (POLICY, {}, "done"),
        (policy(**{"visible-devices": UUID}), {}, "done"),
        (policy(**{"visible-devices": UUID[:12]}), {}, "done"),
        (WARN, {}, "done"),
        (POLICY, SMALL, "RuntimeError: GPU 1 has 8192 MiB, not 20 GiB"),
        (POLICY, OTHER, "RuntimeError: GPU 1 is not the RTX 3090"),
        (POLICY, SINGLE, "RuntimeError: nvidia-smi lists no GPU 1"),
        (POLICY, NONE, "RuntimeError: nvidia-smi does not answer: which GPU is used?"),
        (WARN, SMALL, "RuntimeError: GPU 1 has 8192 MiB, not 20 GiB"),
        (WARN, OTHER, "RuntimeError: GPU 1 is not the RTX 3090"),
        (WARN, NONE, "done"),
    ],
)
def test_a_validator_that_asks_the_driver_refuses_other_gpus(
    tmp_path: Path, given: dict[str, Any], machine: dict[str, str], last: str
) -> None:
    fix_files(tmp_path, {"run.py": f"import cupy{GUARD}"}, given)
    outcome = run_program(tmp_path / "run.py", tmp_path, **machine)
    assert end_of(outcome) == last
    assert ("no GPU is checked" in outcome.output) is (given is WARN and machine is NONE)
    assert not outcome.of("freeze")


@pytest.mark.parametrize(
    ("given", "machine", "last"),
    [
        (POLICY, {}, "done"),
        (POLICY, OTHER, "RuntimeError: device 0 is not the RTX 3090"),
        (POLICY, SINGLE, "RuntimeError: CUDA is not available"),
        (WARN, SINGLE, "done"),
        (WARN, OTHER, "RuntimeError: device 0 is not the RTX 3090"),
    ],
)
def test_a_validator_that_asks_torch_refuses_other_gpus(
    tmp_path: Path, given: dict[str, Any], machine: dict[str, str], last: str
) -> None:
    fix_files(tmp_path, {"run.py": f"import torch{GUARD}"}, given)
    outcome = run_program(tmp_path / "run.py", tmp_path, **machine)
    assert end_of(outcome) == last
    assert ("no GPU is checked" in outcome.output) is (given is WARN and machine is SINGLE)


# --- completed, and complete -----------------------------------------------------------------

CHECKS = """\
    if os.environ["CUDA_DEVICE_ORDER"] != "PCI_BUS_ID":
        raise RuntimeError
    if os.environ["CUDA_VISIBLE_DEVICES"] != "1":
        raise RuntimeError
"""
HEADER = 'import os\n\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n\n'
CALL = '\n\nif __name__ == "__main__":\n    validate_gpu()\n    print(cupy)\n'


def own(body: str) -> str:
    """A program with a validator of its own."""
    return (
        f"{HEADER}import subprocess\n\nimport cupy\n\n\ndef validate_gpu():\n{CHECKS}{body}{CALL}"
    )


def test_a_completed_validator_imports_no_torch_where_the_process_has_none() -> None:
    fixed = fix_text(own(""), POLICY).after
    assert codes(fixed) == []
    assert "torch" not in fixed.source.text
    assert '"nvidia-smi"' in fixed.source.text


def test_imports_of_a_completed_validator_are_sorted() -> None:
    text = "import cupy\n\n\ndef validate_gpu():\n    pass\n" + CALL
    body = fix_text(text, POLICY).after.source.text.partition("validate_gpu():\n")[2]
    assert body.startswith("    import os\n    import subprocess\n\n    device_order = ")


OUT = '    out = subprocess.check_output(["nvidia-smi", "--query-gpu=name,memory.total", "-i", "1"])\n'


@pytest.mark.parametrize(
    ("body", "lacks"),
    [
        (
            OUT + "    name, memory = out.decode().split(',')\n"
            "    if 'RTX 3090' not in name or int(memory) < 20000:\n        raise RuntimeError\n",
            "",
        ),
        (
            "    out = subprocess.getoutput('nvidia-smi -i 1 --query-gpu=name,memory.total')\n"
            "    assert 'RTX 3090' in out and float(out.split(',')[1]) > 2e4\n",
            "",
        ),
        (OUT + "    if b'RTX 3090' not in out:\n        raise RuntimeError\n", "memory"),
        (OUT + "    if 'RTX 3090' not in out.decode():\n        raise RuntimeError\n", "memory"),
        ("    print('see nvidia-smi')\n    run('ls')\n", "that CUDA is available"),
        ("    subprocess.run(['ls', '-l'])\n", "that CUDA is available"),
    ],
    ids=["list", "one text", "bytes", "name only", "a message", "another program"],
)
def test_what_a_validator_asks_nvidia_smi_counts(body: str, lacks: str) -> None:
    found = [one for one in check_text(own(body), POLICY).findings if one.code == "GPU303"]
    assert bool(found) is bool(lacks)
    assert all(lacks in one.message for one in found)


# --- where it is called ----------------------------------------------------------------------

ALONE = {**POLICY, "header": {"required-in": "never"}}
PARSER = (
    "import argparse\nimport sys\n\nimport torch\n\n\ndef work():\n    torch.zeros(1).cuda()\n\n\n"
)
OPTIONS = """\
def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int)
    return parser.parse_args()


"""
MAIN = """\
def main():
    \"\"\"Doc.\"\"\"
    parser = argparse.ArgumentParser()
    args = parser.parse_args()
    # HERE
    work()
    return 0


"""


@pytest.mark.parametrize(
    "program",
    {
        "behind the options": """
if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    # HERE
    work()
""",
        "behind a function that reads them": OPTIONS
        + """
if __name__ == "__main__":
    args = options()
    # HERE
    work()
""",
        "a parser of the module": """
parser = argparse.ArgumentParser()

if __name__ == "__main__":
    args = parser.parse_args()
    # HERE
    work()
""",
        "in the main function": MAIN
        + """
if __name__ == "__main__":
    main()
""",
        "in the main function that sys.exit() is given": MAIN
        + """
if __name__ == "__main__":
    sys.exit(main())
""",
        "in the main function whose result is raised": MAIN
        + """
if __name__ == "__main__":
    raise SystemExit(main())
""",
        "a result of the main function": MAIN
        + """
if __name__ == "__main__":
    print("start")
    status = main()
    sys.exit(status)
""",
        "without options": """
if __name__ == "__main__":
    # HERE
    work()
""",
        "a use above the options": """
if __name__ == "__main__":
    # HERE
    work()
    args = argparse.ArgumentParser().parse_args()
""",
        "a model above the options": """
if __name__ == "__main__":
    # HERE
    model = torch.nn.Linear(1, 1).cuda()
    args = argparse.ArgumentParser().parse_args()
    model(args)
""",
        "a use above in the main function": """
def main():
    work()
    args = argparse.ArgumentParser().parse_args()


if __name__ == "__main__":
    # HERE
    main()
""",
        "a process above the options": """
import subprocess

if __name__ == "__main__":
    # HERE
    subprocess.run([sys.executable, "other.py"])
    args = argparse.ArgumentParser().parse_args()
    work()
""",
        "a class of the module above the options": """
class Model:
    def __init__(self):
        work()


if __name__ == "__main__":
    # HERE
    model = Model()
    args = argparse.ArgumentParser().parse_args()
""",
        "a parser that is handed on": """
def add_options(parser):
    parser.add_argument("--n", type=int)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    add_options(parser)
    args = parser.parse_args()
    # HERE
    work()
""",
        "a parser that a framework adds its options to": """
from vllm import AsyncEngineArgs

if __name__ == "__main__":
    torch.multiprocessing.set_start_method("spawn")
    parser = argparse.ArgumentParser()
    parser = AsyncEngineArgs.add_cli_args(parser)
    args = parser.parse_args()
    # HERE
    work()
""",
        "a framework that is given more than the parser": """
from vllm import AsyncEngineArgs, start

if __name__ == "__main__":
    # HERE
    parser = argparse.ArgumentParser()
    start(parser, "model")
    args = parser.parse_args()
    work()
""",
        "a function that calls itself above the options": """
def count(n):
    return count(n - 1) if n else work()


if __name__ == "__main__":
    # HERE
    count(1)
    args = argparse.ArgumentParser().parse_args()
""",
        "what a function is given may use a GPU": """
def warm_up(model):
    model.cuda()


if __name__ == "__main__":
    # HERE
    warm_up(globals()["MODEL"])
    args = argparse.ArgumentParser().parse_args()
""",
        "a function in a function": """
def main():
    def warm_up():
        work()

    warm_up()
    args = argparse.ArgumentParser().parse_args()


if __name__ == "__main__":
    # HERE
    main()
""",
        "options of one branch": """
def other():
    work()


def main():
    if len(sys.argv) > 2:
        args = argparse.ArgumentParser().parse_args()
    # HERE
    other()


if __name__ == "__main__":
    main()
""",
        "two statements on the line": """
if __name__ == "__main__":
    # HERE
    args = argparse.ArgumentParser().parse_args(); work()
""",
    }.items(),
    ids=lambda case: case[0],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_validator_is_called_behind_the_options_and_before_a_use(
    program: tuple[str, str], newline: str
) -> None:
    text = PARSER + program[1].lstrip("\n")
    before = text.replace("    # HERE\n", "")
    after = text.replace("# HERE", "validate_gpu()")
    fixed = fix_text(before.replace("\n", newline), ALONE).after
    assert "GPU301" not in {one.code for one in fixed.findings}
    written = fixed.source.text.replace(newline, "\n")
    head, mark, rest = written.partition("# gpu-lint: validator\n")
    assert mark
    guard = rest.index("\n\n\nif __name__") + 3 if "\n\n\nif __name__" in rest else None
    assert guard is not None
    assert squeezed(head + rest[guard:]) == squeezed(after)


_GUARDED = 'if __name__ == "__main__":\n'
_OPTIONS = {
    "opts/__init__.py": "",
    "opts/lines.py": "import argparse\n\n\ndef add(parser):\n    parser.add_argument('--n')\n\n\n"
    "def read():\n    parser = argparse.ArgumentParser()\n    add(parser)\n"
    "    return parser.parse_args()\n",
    "opts/models.py": "import torch\nfrom .lines import read\n\n\n"
    "def load():\n    model = torch.nn.Linear(1, 1).cuda()\n    return model, read()\n",
    "read.py": "def read():\n    return None\n",
}
ELSEWHERE: dict[str, str] = {
    "a function of another module adds options": "import argparse\nfrom opts.lines import add\n"
    + _GUARDED
    + "    parser = argparse.ArgumentParser()\n    add(parser)\n    args = parser.parse_args()\n"
    "    # HERE\n    torch.zeros(1).cuda()\n",
    "a function of another module reads them": "from opts.lines import read\n"
    + _GUARDED
    + "    args = read()\n    # HERE\n    torch.zeros(1).cuda()\n",
    "a module, by its name": "import opts.lines\n"
    + _GUARDED
    + "    args = opts.lines.read()\n    # HERE\n    torch.zeros(1).cuda()\n",
    "a module, by another name": "import opts.lines as o\n"
    + _GUARDED
    + "    args = o.read()\n    # HERE\n    torch.zeros(1).cuda()\n",
    "a module of a package": "from opts import lines\n"
    + _GUARDED
    + "    args = lines.read()\n    # HERE\n    torch.zeros(1).cuda()\n",
    "in the main function": "from opts.lines import read\n\n\ndef main():\n    args = read()\n"
    "    # HERE\n    torch.zeros(1).cuda()\n\n\n" + _GUARDED + "    main()\n",
    "it uses a GPU before": "from opts.models import load\n"
    + _GUARDED
    + "    # HERE\n    model, args = load()\n    print(args)\n",
    "another function of that name reads nothing": "from read import read\n"
    + _GUARDED
    + "    # HERE\n    args = read()\n    torch.zeros(1).cuda()\n",
    "one that the project does not hold": "from elsewhere import read\n"
    + _GUARDED
    + "    # HERE\n    args = read()\n    torch.zeros(1).cuda()\n",
    "one that is imported on": "from opts.models import read\n"
    + _GUARDED
    + "    # HERE\n    args = read()\n    torch.zeros(1).cuda()\n",
}


@pytest.mark.parametrize("program", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_options_that_another_module_reads_count(program: str, tmp_path: Path) -> None:
    before = "import torch\n" + program
    files = {**_OPTIONS, "run.py": before.replace("    # HERE\n", "")}
    after = fix_files(tmp_path, files, ALONE)
    written = after.pop("run.py")
    assert after == _OPTIONS
    assert written[written.index(_GUARDED) :] in before.replace("# HERE", "validate_gpu()") or (
        "def main" in program and "    args = read()\n    validate_gpu()\n" in written
    )
    assert written.count("    validate_gpu()\n") == 1


def squeezed(text: str) -> list[str]:
    """The lines of a text that hold anything."""
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("head", "is_safe"),
    [
        ("try:\n    import torch\nexcept ImportError:\n    torch = None\n", False),
        ("try:\n    import torch\nexcept Exception as error:\n    print(error)\n", False),
        ("try:\n    import torch\nexcept:\n    pass\n", False),
        ("try:\n    import cupy as torch\nexcept ModuleNotFoundError:\n    import numpy as torch\n", False),
        ("import importlib.util\n\nif importlib.util.find_spec('torch'):\n    import torch\n", False),
        ("try:\n    import torch\nexcept ImportError:\n    raise SystemExit('pip install torch')\n", True),
        ("import sys\n\ntry:\n    import torch\nexcept ImportError:\n    sys.exit(1)\n", True),
        ("try:\n    import torch\nexcept ValueError:\n    pass\n", True),
        ("import torch\n\ntry:\n    import cupy\nexcept ImportError:\n    cupy = None\n", True),
        ("try:\n    import tqdm\nexcept ImportError:\n    tqdm = None\nimport torch\n", True),
        (
            "from typing import TYPE_CHECKING\n\nimport torch\n\nif TYPE_CHECKING:\n    import cupy\n",
            True,
        ),
    ],
)  # fmt: skip
def test_a_validator_is_unsafe_where_the_program_can_do_without_the_framework(
    head: str, is_safe: bool
) -> None:
    text = f'{head}\n\nif __name__ == "__main__":\n    print(torch)\n'
    fixed = fix_text(text, ALONE)
    assert ("def validate_gpu" in fixed.after.source.text) is is_safe
    assert "def validate_gpu" in fix_text(text, ALONE, unsafe=True).after.source.text
    left = [one for one in fixed.after.findings if one.code == "GPU301"]
    assert bool(left) is not is_safe
    assert all("the fix is unsafe: line " in one.note for one in left)


@pytest.mark.parametrize(
    "head",
    ["multiprocessing.Process(target=work).start()", "multiprocessing.Pool(2).map(work, [1])"],
)
def test_a_validator_is_not_called_before_a_fork(head: str) -> None:
    text = (
        "import multiprocessing\n\nimport torch\n\n\ndef work(n=0):\n    torch.zeros(1).cuda()\n\n\n"
        f'if __name__ == "__main__":\n    {head}\n'
    )
    fixed = fix_text(text, ALONE)
    assert fixed.after.source.text == text
    assert any("GPU207" in why for why in fixed.dropped)


# --- under any name --------------------------------------------------------------------------

FULL = (
    CHECKS
    + """\
    if not torch.cuda.is_available():
        raise RuntimeError
    if "RTX 3090" not in torch.cuda.get_device_name(0):
        raise RuntimeError
    if torch.cuda.get_device_properties(0).total_memory < 20 * 1024**3:
        raise RuntimeError
"""
)
OTHER_FILE = f"import os\n\nimport torch\n\n\ndef refuse_other_cards():\n{FULL}"
RUN = f'{HEADER}import torch\n\n\ndef refuse_other_cards():\n{FULL}\n\nif __name__ == "__main__":\n'


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"run.py": f"{RUN}    refuse_other_cards()\n    torch.zeros(1).cuda()\n"}, None),
        ({"run.py": f"{RUN}    torch.zeros(1).cuda()\n"}, "GPU302"),
        (
            {
                "run.py": f'{HEADER}import torch\nfrom cards import refuse_other_cards\n\nif __name__ == "__main__":\n'
                "    refuse_other_cards()\n    torch.zeros(1).cuda()\n",
                "cards.py": OTHER_FILE,
            },
            None,
        ),
        (
            {
                "run.py": f'{HEADER}import torch\nimport cards\n\nif __name__ == "__main__":\n'
                "    cards.refuse_other_cards()\n    torch.zeros(1).cuda()\n",
                "cards.py": OTHER_FILE,
            },
            None,
        ),
        (
            {
                "run.py": f'{HEADER}import torch\nimport cards\n\nif __name__ == "__main__":\n'
                "    torch.zeros(1).cuda()\n",
                "cards.py": OTHER_FILE,
            },
            "GPU301",
        ),
        (
            {
                "run.py": f"{RUN}    refuse_other_cards()\n".replace('"RTX 3090"', '"RTX 4090"')
            },
            "GPU301",
        ),
        ({"run.py": f"{RUN}    refuse_other_cards()\n".replace("raise RuntimeError", "print()")}, "GPU301"),
        (
            {
                "run.py": f'{HEADER}import torch\nimport gpu\n\nif __name__ == "__main__":\n'
                "    gpu.validate_gpu()\n    torch.zeros(1).cuda()\n",
                "gpu.py": OTHER_FILE.replace("refuse_other_cards", "validate_gpu"),
            },
            None,
        ),
    ],
    ids=[
        "its own", "its own, never called", "imported", "by its module", "in a module, never called",
        "another card", "it only prints", "the policy's name by its module",
    ],
)  # fmt: skip
def test_a_function_that_makes_every_check_is_a_validator_under_any_name(
    tmp_path: Path, files: dict[str, str], found: str | None
) -> None:
    results = check_files(tmp_path, files, POLICY)["run.py"]
    codes_found = {code for code, _ in codes(results) if code in ("GPU301", "GPU302")}
    assert codes_found == ({found} if found else set())


def test_a_validator_under_any_name_must_run_before_a_use() -> None:
    late = f"{RUN}    x = torch.zeros(1).cuda()\n    refuse_other_cards()\n"
    assert ("GPU305", late[: late.index("    refuse_other")].count("\n") + 1) in codes(
        check_text(late, POLICY)
    )
    early = f"{RUN}    refuse_other_cards()\n    x = torch.zeros(1).cuda()\n"
    assert "GPU305" not in dict(codes(check_text(early, POLICY)))
