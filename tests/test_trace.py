"""``gpu-lint trace``: what the recorder finds, what is judged, what is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gpu_lint.policy import Gpu, Header, Policy, Validation
from gpu_lint.runtime.cards import Card, Machine
from gpu_lint.runtime.demand import Verdict, expected_cards, judge, late_writes
from gpu_lint.runtime.records import Process
from gpu_lint.runtime.tracing import Traced, trace_tree
from tests import fakecuda

SMALL = "GPU-00000000-0000-0000-0000-000000000000"
BIG = "GPU-10000000-0000-0000-0000-000000000001"
NAMES = {SMALL: "NVIDIA GeForce RTX 5060 Ti", BIG: "NVIDIA GeForce RTX 3090"}
RIGHT = 'import os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
USE = 'import torch\ntorch.zeros(1, device="cuda:0")\n'
Trace = Callable[..., Traced]


@pytest.fixture
def traced(tmp_path: Path, fakedriver: Path) -> Trace:
    """Runs files under the recorder, on the machine of the stand-ins."""

    def run(files: dict[str, str], *words: str, timeout: float = 60, **variables: str) -> Traced:
        root = tmp_path / "project"
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        env = {
            **fakecuda.environment(tmp_path / "log"),
            "LD_LIBRARY_PATH": str(fakedriver),
            "FAKECUDA_DRIVER": "libcuda.so.1",
            **variables,
        }
        command = words or (sys.executable, next(iter(files)))
        return trace_tree(
            command, env=env, cwd=root, root=root, timeout=timeout, output=tmp_path / "output"
        )

    return run


def place(file: str, line: int) -> str:
    return f"{os.path.basename(file)}:{line}"


def freezes(process: Process) -> set[str]:
    """The lines that may have initialised CUDA."""
    freeze = process.freeze
    if freeze is None:
        return set()
    if freeze.certain:
        return {place(freeze.file, freeze.line)}
    return {os.path.basename(one) for one in freeze.candidates}


def used(traced: Traced) -> list[set[str]]:
    """The cards that each process used that used any."""
    return [
        {one.uuid for one in process.touched} for process in traced.processes if process.touched
    ]


PROGRAMS: dict[str, tuple[dict[str, str], str, list[set[str]]]] = {
    "a right header": ({"a.py": RIGHT + USE}, "a.py:5", [{BIG}]),
    "no header": ({"a.py": USE}, "a.py:2", [{BIG}]),
    "order without mask": (
        {"a.py": 'import os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n' + USE},
        "a.py:4",
        [{SMALL}],
    ),
    "a query is the freeze": (
        {"a.py": "import torch\nok = torch.cuda.is_available()\n" + RIGHT + USE},
        "a.py:2",
        [{BIG}],
    ),
    "in a helper of another file": (
        {"a.py": "import help\n" + RIGHT + USE, "help.py": "import torch\ntorch.cuda.init()\n"},
        "help.py:2",
        [{BIG}],
    ),
    "in a function that is called twice": (
        {"a.py": "import torch\ndef n():\n    return torch.cuda.is_available()\nn()\nn()\n" + USE},
        "a.py:3",
        [{BIG}],
    ),
    "an import is the freeze": (
        {"a.py": "import os\nimport torch_geometric\n" + RIGHT + USE},
        "a.py:2",
        [{BIG}],
    ),
    "cupy": ({"a.py": RIGHT + "import cupy\ncupy.zeros(10)\n"}, "a.py:5", [{BIG}]),
    "both cards": (
        {
            "a.py": 'import torch\ntorch.zeros(1, device="cuda:0")\ntorch.zeros(1, device="cuda:1")\n'
        },
        "a.py:2",
        [{BIG, SMALL}],
    ),
    "a mask written past os.environ, which PyTorch does not count by": (
        {"a.py": 'import os\nos.putenv("CUDA_VISIBLE_DEVICES", "1")\n' + USE},
        "a.py:4",
        [],
    ),
    "a removal": (
        {"a.py": RIGHT + 'del os.environ["CUDA_VISIBLE_DEVICES"]\n' + USE},
        "a.py:6",
        [{SMALL}],
    ),
    "by UUID": (
        {"a.py": f'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "{SMALL}"\n' + USE},
        "a.py:4",
        [{SMALL}],
    ),
    "an error behind it": ({"a.py": RIGHT + USE + "raise SystemExit(3)\n"}, "a.py:5", [{BIG}]),
    "os._exit": ({"a.py": RIGHT + USE + "os._exit(4)\n"}, "a.py:5", [{BIG}]),
    "killed": (
        {
            "a.py": RIGHT + USE + "import signal, time\ntime.sleep(0.3)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        },
        "a.py:5",
        [{BIG}],
    ),
    "in the standard library's call": (
        {
            "a.py": RIGHT + "import torch\nfrom functools import partial\n"
            'list(map(partial(torch.zeros, device="cuda:0"), [1]))\n'
        },
        "a.py:6",
        [{BIG}],
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_line_that_fixed_the_mask_and_the_cards_that_were_used(
    name: str, traced: Trace
) -> None:
    files, line, cards = PROGRAMS[name]
    found = traced(files)
    assert line in freezes(found.processes[0]), found
    assert used(found) == cards
    if sys.version_info >= (3, 12):
        assert freezes(found.processes[0]) == {line}


def test_a_call_through_ctypes_is_named_or_is_among_the_candidates(traced: Trace) -> None:
    """Python 3.11 and older raise no event for it."""
    text = (
        'import ctypes, os\ncuda = ctypes.CDLL("libcuda.so.1")\nx = 1\ncuda.cuInit(0)\ny = 2\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
    )
    found = traced({"a.py": text})
    assert "a.py:4" in freezes(found.processes[0])
    certain = found.processes[0].freeze
    assert certain is not None
    assert certain.certain is (sys.version_info >= (3, 12))
    assert [one.effective for one in found.processes[0].mask_writes] == [False]


def test_a_profiler_of_the_program_in_the_place_of_ours_is_a_limit(traced: Trace) -> None:
    text = RIGHT + "import sys\nsys.setprofile(lambda *_: None)\n" + USE
    found = traced({"a.py": text})
    assert used(found) == [{BIG}]
    assert ("a profiler of the program is in the place of ours" in found.limits) is (
        sys.version_info < (3, 12)
    )


def test_threads_of_the_recorder_are_not_counted_by_the_program(traced: Trace) -> None:
    text = RIGHT + USE + "import threading, time\ntime.sleep(0.05)\n"
    found = traced({"a.py": text + "assert threading.active_count() == 1\n"})
    assert (found.ended.status, found.limits) == (0, ())


def test_another_thread_may_have_done_it(traced: Trace) -> None:
    text = (
        "import threading, torch\nstop = threading.Event()\n"
        "def warm():\n    torch.cuda.init()\n    stop.set()\n"
        "def busy():\n    while not stop.is_set():\n        str(1)\n"
        "threads = [threading.Thread(target=warm), threading.Thread(target=busy)]\n"
        "threads[1].start()\nthreads[0].start()\n[one.join() for one in threads]\n"
    )
    assert "a.py:4" in freezes(traced({"a.py": text}).processes[0])


# --- children --------------------------------------------------------------------------------

CHILD = {"child.py": USE}
CHILDREN: dict[str, tuple[str, list[str], list[set[str]]]] = {
    "run with masks": (
        RIGHT + "import subprocess, sys\nfor mask in '01':\n"
        "    subprocess.run([sys.executable, 'child.py'], env={**os.environ, 'CUDA_VISIBLE_DEVICES': mask})\n",
        ["command", "subprocess", "subprocess"],
        [{SMALL}, {BIG}],
    ),
    "a shell": (
        RIGHT + "import sys\nos.system(f'cd . && {sys.executable} child.py')\n",
        ["command", "shell"],
        [{BIG}],
    ),
    "exec": (
        RIGHT + "import sys\nos.execv(sys.executable, [sys.executable, 'child.py'])\n",
        ["command", "exec"],
        [{BIG}],
    ),
    "spawn and fork": (
        RIGHT + "import multiprocessing\ndef work():\n    import torch\n"
        "    torch.zeros(1, device='cuda:0')\nif __name__ == '__main__':\n"
        "    for kind in ('spawn', 'fork'):\n"
        "        one = multiprocessing.get_context(kind).Process(target=work)\n"
        "        one.start()\n        one.join()\n",
        ["command", "spawn", "fork"],
        [{BIG}, {BIG}],
    ),
    "a pool of processes": (
        RIGHT
        + "from concurrent.futures import ProcessPoolExecutor\ndef work(n):\n    import torch\n"
        "    torch.zeros(1, device='cuda:0')\nif __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(1) as pool:\n        list(pool.map(work, [1]))\n",
        ["command", "fork"],
        [{BIG}],
    ),
    "text": (
        RIGHT + "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'import torch; torch.zeros(1, device=\"cuda\")'])\n",
        ["command", "subprocess"],
        [{BIG}],
    ),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_children_record_themselves(name: str, traced: Trace) -> None:
    text, kinds, cards = CHILDREN[name]
    found = traced({"a.py": text, **CHILD})
    kinds_found = [one.kind for one in found.processes if one.kind != "resource_tracker"]
    if name == "a pool of processes" and sys.version_info >= (3, 14):
        kinds = [kind if kind != "fork" else "forkserver" for kind in kinds]
    assert kinds_found[: len(kinds)] == kinds
    assert used(found) == cards
    assert found.unrecorded == ()
    assert all(one.parent is not None for one in found.processes[1:])


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ("[sys.executable, '-I', 'child.py']", "-I keeps the recorder out"),
        ("[sys.executable, '-sS', 'child.py']", "-S keeps the recorder out"),
        ("[sys.executable, '-E', 'child.py']", "-E keeps the recorder out"),
        ("[sys.executable, 'child.py'], env={'PATH': '/bin'}", "its environment lacks PYTHONPATH"),
        ("['./native']", "a native or remote program"),
    ],
)
def test_what_does_not_record_itself_is_listed(start: str, why: str, traced: Trace) -> None:
    files = {
        "a.py": f"import subprocess, sys\nsubprocess.run({start})\n",
        "child.py": "print(1)\n",
        "native": "#!/bin/sh\ntrue\n",
    }
    if "native" in start:
        files["a.py"] = "import os\nos.chmod('native', 0o755)\n" + files["a.py"]
    (listed,) = traced(files).unrecorded
    assert why in listed


@pytest.mark.parametrize(
    "start", ["['uname', '-a']", "'lscpu | head -1', shell=True", "['git', '--version']"]
)
def test_tools_of_the_system_are_not_listed(start: str, traced: Trace) -> None:
    assert traced({"a.py": f"import subprocess\nsubprocess.run({start})\n"}).unrecorded == ()


def test_a_command_that_is_no_python_is_not_recorded(traced: Trace) -> None:
    found = traced({"a.sh": "true\n"}, "/bin/sh", "a.sh")
    assert found.processes == ()
    assert found.unrecorded == ("/bin/sh a.sh (a native or remote program)",)


def test_an_inherited_initialisation_is_not_the_childs_own(traced: Trace) -> None:
    text = RIGHT + USE + "if os.fork() == 0:\n    os._exit(0)\nos.wait()\n"
    parent, child = traced({"a.py": text}).processes
    assert parent.freeze is not None
    assert (child.kind, child.freeze, child.touched) == ("fork", None, ())


def test_the_sitecustomize_of_the_environment_runs_too(traced: Trace, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text("import os\nos.environ['HIDDEN'] = '1'\n")
    path = os.pathsep.join([str(tmp_path / "hidden"), str(fakecuda.SITE)])
    found = traced(
        {"a.py": RIGHT + "assert os.environ['HIDDEN']\n" + USE},
        PYTHONPATH=path,
    )
    assert (found.ended.status, used(found)) == (0, [{BIG}])


HARMLESS = {
    "closes all files": ("import os\nos.closerange(3, 256)\n" + RIGHT + USE, 0),
    "closes all files, and opens its own": (
        "import os\nos.closerange(3, 256)\nown = [open(f'{n}.txt', 'w') for n in range(9)]\n"
        + RIGHT
        + USE
        + "[one.close() for one in own]\nassert not any(open(f'{n}.txt').read() for n in range(9))\n",
        0,
    ),
    "its own profiler": ("import cProfile\n" + RIGHT + "cProfile.run('import torch')\n" + USE, 0),
    "its own status": (RIGHT + USE + "raise SystemExit(7)\n", 7),
    "an uncaught error": (RIGHT + USE + "1 / 0\n", 1),
    "a callable whose attributes raise": (
        "class Odd:\n    def __call__(self): return 1\n    def __getattr__(self, name): 1 / 0\nOdd()()\n"
        + USE,
        0,
    ),
    "an unhashable class": (
        "class Meta(type):\n    __hash__ = None\n    def __eq__(self, other): return 1 / 0\n"
        "class Odd(metaclass=Meta): pass\nOdd()\n" + USE,
        0,
    ),
    "deep recursion": (
        "def down(n):\n    return 0 if n == 0 else down(n - 1)\ndown(900)\n" + USE,
        0,
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_the_recorder_changes_nothing_for_the_program(name: str, traced: Trace) -> None:
    text, status = HARMLESS[name]
    assert traced({"a.py": text}).ended.status == status


# --- as demanded -----------------------------------------------------------------------------


def card(index: int, uuid: str) -> Card:
    return Card(
        index, uuid, NAMES[uuid], f"0000:0{index + 1}:00.0", 16384 + 8192 * index, 0, "Default",
        None, (), None, None,
    )  # fmt: skip


MACHINE = Machine("580", "13.0", (card(0, SMALL), card(1, BIG)), "NVML")
POLICY = Policy(
    Gpu("1", "PCI_BUS_ID", "RTX 3090", None, None, 20, ("RTX 5060 Ti",)),
    Header("never", "builtin", "torch-files", "inline"),
    Validation("never", "validate_gpu", (), "raise"),
)
VERDICTS: dict[str, tuple[str, Verdict, str]] = {
    "right": (RIGHT + USE, Verdict.AS_DEMANDED, ""),
    "nothing": ("print('RTX 3090 ✅')\n", Verdict.UNPROVEN, "no process initialised CUDA"),
    "no mask": (USE, Verdict.VIOLATED, "CUDA read no mask at"),
    "late by luck": (
        USE + 'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n',
        Verdict.VIOLATED,
        "has no effect",
    ),
    "late and the same": (RIGHT + USE + RIGHT, Verdict.AS_DEMANDED, ""),
    "removed, and put back": (
        RIGHT
        + USE
        + "from unittest import mock\nwith mock.patch.dict(os.environ, {'FOO': '1'}): pass\n",
        Verdict.AS_DEMANDED,
        "",
    ),
    "late, by code in C": (
        RIGHT + USE + "import ctypes\nctypes.CDLL(None).setenv(b'CUDA_VISIBLE_DEVICES', b'0', 1)\n",
        Verdict.VIOLATED,
        "code in C: CUDA_VISIBLE_DEVICES is set to '0'",
    ),
    "late, for a child": (
        RIGHT + USE + "import subprocess, sys\nos.environ['CUDA_VISIBLE_DEVICES'] = ''\n"
        "subprocess.run([sys.executable, '-c', 'pass'])\n",
        Verdict.AS_DEMANDED,
        "",
    ),
    "an unrecorded child": (
        RIGHT
        + USE
        + "import subprocess, sys\nsubprocess.run([sys.executable, '-I', '-c', 'pass'])\n",
        Verdict.UNPROVEN,
        "not recorded",
    ),
    "killed": (
        RIGHT + USE + "import signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
        Verdict.UNPROVEN,
        "did not end by itself",
    ),
    "a broken order": (
        RIGHT.replace("PCI_BUS_ID", "pci_bus_id") + "import torch\ntry:\n    torch.cuda.init()\n"
        "except RuntimeError:\n    pass\n",
        Verdict.VIOLATED,
        "sees no GPU",
    ),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_as_demanded(name: str, traced: Trace) -> None:
    text, verdict, reason = VERDICTS[name]
    judgement = judge(traced({"a.py": text}), POLICY, MACHINE)
    assert judgement.verdict is verdict, judgement
    assert any(reason in one for one in judgement.reasons) or not reason


def test_without_nvml_only_a_violation_is_certain(traced: Trace) -> None:
    right, wrong = traced({"a.py": RIGHT + USE}), traced({"a.py": USE})
    assert judge(right, POLICY, None).verdict is Verdict.UNPROVEN
    assert judge(wrong, POLICY, None).verdict is Verdict.VIOLATED
    by_uuid = replace(POLICY, gpu=replace(POLICY.gpu, visible_devices=BIG))
    assert judge(right, by_uuid, None).verdict is Verdict.AS_DEMANDED


def test_the_card_must_be_what_the_policy_says_of_it(traced: Trace) -> None:
    found = traced({"a.py": RIGHT + USE})
    other = replace(
        POLICY, gpu=replace(POLICY.gpu, name="H100", min_memory_gib=40, forbidden=("RTX",))
    )
    reasons = " ".join(judge(found, other, MACHINE).reasons)
    assert "demands H100" in reasons
    assert "40 GiB" in reasons
    assert "forbids" in reasons


def test_two_cards_in_order() -> None:
    two = replace(POLICY, gpu=replace(POLICY.gpu, visible_devices="1,0"))
    assert [one.uuid for one in expected_cards(two, MACHINE)] == [BIG, SMALL]


def test_late_writes_name_their_line(traced: Trace) -> None:
    found = traced({"a.py": USE + RIGHT})
    (process,) = found.processes
    assert [(one.variable, one.line) for one in late_writes(process, found)] == [
        ("CUDA_DEVICE_ORDER", 4),
        ("CUDA_VISIBLE_DEVICES", 5),
    ]
