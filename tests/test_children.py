"""Child processes: whatever form a start has, what it says of the child's mask and order counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu_lint.facts.commandlines import Started, read_text, read_words
from tests.conftest import check_files, check_text, codes, run_cli

POLICY: dict[str, Any] = {
    "gpu": {"name": "RTX 3090", "visible-devices": "1", "device-order": "PCI_BUS_ID"},
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "never"},
}
IMPORTS = "import asyncio\nimport copy\nimport os\nimport subprocess\nimport sys\n"
HEADER = (
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
)
RUN = 'subprocess.run([sys.executable, "a.py"], env=env)'
GPU = "\"import torch; torch.zeros(1, device='cuda')\""

OTHER_MASK = {
    "a copy without the mask": f'env = os.environ.copy()\nenv.pop("CUDA_VISIBLE_DEVICES")\n{RUN}',
    "deleted": f'env = dict(os.environ)\ndel env["CUDA_VISIBLE_DEVICES"]\n{RUN}',
    "deep copy": f"env = copy.deepcopy(os.environ)\ndel env['CUDA_VISIBLE_DEVICES']\n{RUN}",
    "comprehension": "env = {k: v for k, v in os.environ.items() if k != 'CUDA_VISIBLE_DEVICES'}\n"
    + RUN,
    "by a prefix": "env = {k: v for k, v in os.environ.items() if not k.startswith('CUDA')}\n"
    + RUN,
    "of a copy": "base = os.environ.copy()\n"
    "env = {k: v for k, v in base.items() if not k.startswith(('NCCL_', 'CUDA_'))}\n" + RUN,
    "some names alone": "env = {k: os.environ[k] for k in ('PATH', 'HOME')}\n" + RUN,
    "perhaps left out": "from x import keep\n"
    "env = {k: v for k, v in os.environ.items() if keep(k)}\n" + RUN,
    "env -u": 'os.system("env -u CUDA_VISIBLE_DEVICES python a.py")',
    "env -u in a list": 'subprocess.run(["env", "-u", "CUDA_VISIBLE_DEVICES", "python", "a.py"])',
    "env --unset": 'subprocess.run(["env", "--unset=CUDA_VISIBLE_DEVICES", "python", "a.py"])',
    "env -i": 'subprocess.run("env -i python a.py", shell=True)',
    "unset": 'os.system("unset CUDA_VISIBLE_DEVICES; python a.py")',
    "a shell's text": "subprocess.run(['bash', '-lc', 'unset CUDA_VISIBLE_DEVICES; python a.py'])",
    "a command behind another": 'os.system("echo hi; CUDA_VISIBLE_DEVICES=0 python a.py")',
    "known and unknown": "import random\ngpu = random.choice('01') if sys.argv[1:] else '0'\n"
    "subprocess.run(['t'], env={**os.environ, 'CUDA_VISIBLE_DEVICES': gpu})",
    "unknown": "subprocess.run(['t'], env={**os.environ, 'CUDA_VISIBLE_DEVICES': sys.argv[1]})",
    "unknown in a command": 'os.system(f"CUDA_VISIBLE_DEVICES={input()} python a.py")',
    "a variable of the shell": 'os.system("CUDA_VISIBLE_DEVICES=$GPU python a.py")',
    "asyncio": "async def main():\n    await asyncio.create_subprocess_exec(\n"
    "        'python', 'a.py', env={**os.environ, 'CUDA_VISIBLE_DEVICES': '0'})\n"
    "asyncio.run(main())",
    "asyncio's shell": "async def main():\n"
    "    await asyncio.create_subprocess_shell('CUDA_VISIBLE_DEVICES=0 python a.py')\n"
    "asyncio.run(main())",
    "execle": 'os.execle("/bin/python", "python", "a.py", {**os.environ, "CUDA_VISIBLE_DEVICES": "0"})',
    "spawnlpe": 'os.spawnlpe(os.P_WAIT, "python", "python", "a.py", {"PATH": "/bin"})',
    "posix_spawn": 'os.posix_spawn("python", ["python", "a.py"], {"PATH": "/bin"})',
    "a program as a text": 'subprocess.run([sys.executable, "-c", "import os; '
    "os.environ['CUDA_VISIBLE_DEVICES'] = '0'; import torch\"])",
    "a text that removes": 'subprocess.run([sys.executable, "-c", "import os; '
    "os.environ.pop('CUDA_VISIBLE_DEVICES'); import torch\"])",
    "accelerate as a module": "subprocess.run([sys.executable, '-m', 'accelerate.commands.launch',"
    " '--gpu_ids=0', 't.py'])",
    "deepspeed includes": 'subprocess.run(["deepspeed", "--include", "localhost:0", "t.py"])',
    "deepspeed counts": 'os.system("deepspeed --num_gpus=2 t.py")',
    "another order": 'env = {**os.environ, "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}\n' + RUN,
    "another order, unless one is given": "order = os.environ.get('APP_ORDER', 'FASTEST_FIRST')\n"
    'env = {**os.environ, "CUDA_DEVICE_ORDER": order}\n' + RUN,
    "another order, unless a copy of the environment has one": "env = os.environ.copy()\n"
    'env["CUDA_DEVICE_ORDER"] = env.get("APP_ORDER", "FASTEST_FIRST")\n' + RUN,
    "another order, unless a filtered copy has one": "env = {k: v for k, v in os.environ.items() "
    "if k != 'DEBUG'}\n"
    'env["CUDA_DEVICE_ORDER"] = env.get("APP_ORDER", "FASTEST_FIRST")\n' + RUN,
    "an order that is given, or this one": "order = os.environ.get('APP_ORDER', 'PCI_BUS_ID')\n"
    'env = {**os.environ, "CUDA_DEVICE_ORDER": order}\n' + RUN,
    "an unknown order": 'env = {**os.environ, "CUDA_DEVICE_ORDER": sys.argv[1]}\n' + RUN,
    "an order by an option": "import argparse\nparser = argparse.ArgumentParser()\n"
    "parser.add_argument('--order', default='PCI_BUS_ID')\nenv = os.environ.copy()\n"
    'env["CUDA_DEVICE_ORDER"] = parser.parse_args().order\n' + RUN,
    "an order that something unknown may replace": "import json\n"
    'env = {**os.environ, **json.loads(sys.argv[1]), "CUDA_VISIBLE_DEVICES": "1"}\n' + RUN,
    "no order": 'env = {"CUDA_VISIBLE_DEVICES": "1", "PATH": os.environ["PATH"]}\n' + RUN,
    "no order in the shell": 'os.system("env -u CUDA_DEVICE_ORDER python a.py")',
}
RIGHT = {
    "a copy": f"env = os.environ.copy()\n{RUN}",
    "a copy without another": f'env = os.environ.copy()\nenv.pop("DEBUG", None)\n{RUN}',
    "a copy with the mask again": 'env = dict(os.environ)\nenv.pop("CUDA_VISIBLE_DEVICES")\n'
    f'env["CUDA_VISIBLE_DEVICES"] = "1"\n{RUN}',
    "filtered by other names": "env = {k: v for k, v in os.environ.items() if k != 'DEBUG'}\n"
    + RUN,
    "some names, the two among them": "env = {k: os.environ[k] for k in "
    "('PATH', 'CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER')}\n" + RUN,
    "what is set is kept": "env = {k: os.environ[k] for k in "
    "('CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER') if k in os.environ}\n" + RUN,
    "an unknown order, and no GPU": "order = os.environ.get('APP_ORDER', 'PCI_BUS_ID')\n"
    'env = {**os.environ, "CUDA_DEVICE_ORDER": order, "CUDA_VISIBLE_DEVICES": ""}\n' + RUN,
    "an unknown order of a tool": "env = {**os.environ, 'CUDA_DEVICE_ORDER': sys.argv[1]}\n"
    "subprocess.run(['git', 'gc'], env=env)",
    "one of two orders that are the same": "order = 'PCI_BUS_ID' if sys.argv[1:] else 'PCI_' + 'BUS_ID'\n"
    'env = {**os.environ, "CUDA_DEVICE_ORDER": order}\n' + RUN,
    "the order that a filtered copy has": "env = {k: v for k, v in os.environ.items() if k != 'DEBUG'}\n"
    'env["CUDA_DEVICE_ORDER"] = env.get("CUDA_DEVICE_ORDER", "FASTEST_FIRST")\n' + RUN,
    "all as text": "env = {str(k): str(v) for k, v in os.environ.items()}\n" + RUN,
    "the environment wins": 'env = {"CUDA_VISIBLE_DEVICES": "0", **os.environ}\n' + RUN,
    "env -u of another": 'os.system("env -u DEBUG python a.py")',
    "env -i with both": 'os.system("env -i CUDA_VISIBLE_DEVICES=1 CUDA_DEVICE_ORDER=PCI_BUS_ID '
    'python a.py")',
    "a tool by its path on Windows": "subprocess.run([r'C:\\Git\\git.exe', 'gc'], env={})",
    "a tool": 'subprocess.run("env -i git status && unset CUDA_VISIBLE_DEVICES", shell=True)',
    "hidden": 'os.system("CUDA_VISIBLE_DEVICES= python a.py")',
    "asyncio": "async def main():\n    await asyncio.create_subprocess_exec('python', 'a.py')\n"
    "asyncio.run(main())",
    "execle": 'os.execle("/bin/python", "python", "a.py", {**os.environ, "DEBUG": "0"})',
    "a program that reads it": 'subprocess.run([sys.executable, "-c", "import os; '
    "print(os.environ['CUDA_VISIBLE_DEVICES'])\"])",
    "a script that is named like a launcher": "os.system('python train_deepspeed.py --num_gpus 2')",
    "another one": "os.system('python my_torchrun_test.py --nproc_per_node 4')",
    "deepspeed with the policy's": 'os.system("deepspeed --include localhost:1 t.py")',
    "set for this process alone": "subprocess.Popen(['a'], preexec_fn=os.setsid)",
}


DEAD_MASK = {
    "None in a text": 'os.system(f"CUDA_VISIBLE_DEVICES={None} python a.py")',
    "no index": 'os.system("CUDA_VISIBLE_DEVICES=gpu python a.py")',
    "None as text": 'subprocess.run(["a"], env={**os.environ, "CUDA_VISIBLE_DEVICES": str(None)})',
    "a list": 'subprocess.run(["a"], env={**os.environ, "CUDA_VISIBLE_DEVICES": str([1])})',
    "another separator": 'os.environ |= {"A": "1"}\nos.system("CUDA_VISIBLE_DEVICES=1:2 python a.py")',
}
"""Masks that CUDA cannot read."""


def found(program: str, policy: dict[str, Any] | None = POLICY) -> list[str]:
    return [code for code, _ in codes(check_text(program, policy))]


@pytest.mark.parametrize("line", DEAD_MASK.values(), ids=DEAD_MASK.keys())
def test_a_child_whose_mask_names_no_device(line: str) -> None:
    assert found(f"{IMPORTS}{HEADER}{line}\n") == ["GPU112"]
    assert found(f"{IMPORTS}{line}\n", None) == ["GPU112"]


@pytest.mark.parametrize("line", OTHER_MASK.values(), ids=OTHER_MASK.keys())
def test_a_child_that_may_see_another_gpu(line: str) -> None:
    assert found(f"{IMPORTS}{HEADER}{line}\n") == ["GPU207"]


@pytest.mark.parametrize("line", RIGHT.values(), ids=RIGHT.keys())
def test_a_child_that_sees_the_same(line: str) -> None:
    assert found(f"{IMPORTS}{HEADER}{line}\n") == []


@pytest.mark.parametrize(
    ("line", "codes_found"),
    [
        (f'subprocess.run([sys.executable, "-c", {GPU}])', ["GPU207"]),
        ('subprocess.run([sys.executable, "train.py"])', ["GPU207"]),
        (f"env = os.environ.copy()\n{HEADER}{RUN}", ["GPU207"]),
        ('subprocess.run(["git", "status"])', []),
        ('subprocess.run([sys.executable, "-m", "pip", "install", "x"])', []),
        ('subprocess.run([sys.executable, "-c", "print(1)"])', []),
        ('subprocess.run(["python", "--version"])', []),
        ("subprocess.run(sys.argv[1:])", []),
    ],
)
def test_a_child_before_the_header(line: str, codes_found: list[str]) -> None:
    program = f"{IMPORTS}{line}\n{HEADER}import torch\ntorch.zeros(1).cuda()\n"
    assert found(program) == codes_found


@pytest.mark.parametrize(
    ("line", "codes_found"),
    [
        ('os.system("export CUDA_VISIBLE_DEVICES=2")', ["GPU110"]),
        ('os.system("set CUDA_VISIBLE_DEVICES=2")', ["GPU110"]),
        ('os.system("CUDA_VISIBLE_DEVICES=2")', ["GPU110"]),
        ('subprocess.call("export CUDA_VISIBLE_DEVICES=$GPU", shell=True)', ["GPU110"]),
        ('os.system(f"export CUDA_VISIBLE_DEVICES={sys.argv[1]}")', ["GPU110"]),
        ('os.system("export CUDA_VISIBLE_DEVICES=2; python a.py")', []),
        ('os.system("export CUDA_VISIBLE_DEVICES=2 && ./run.sh")', []),
        ('os.system("export DEBUG=2")', []),
        ('os.system("CUDA_VISIBLE_DEVICE=1 python a.py")', ["GPU114"]),
        ('subprocess.run(["env", "CUDA_VISIBLE_DEVICE=1", "python", "a.py"])', ["GPU114"]),
        ('subprocess.run(["a"], env={**os.environ, "CUDA_VISIBLE_DEVICE": "1"})', ["GPU114"]),
    ],
)
def test_what_a_shell_sets_for_itself(line: str, codes_found: list[str]) -> None:
    assert found(f"{IMPORTS}{line}\nimport torch\ntorch.zeros(1).cuda()\n", None) == codes_found


def test_a_child_counts_otherwise_than_this_process() -> None:
    line = f'env = {{"CUDA_VISIBLE_DEVICES": "1", "PATH": "/bin"}}\n{RUN}\n'
    mask = HEADER.splitlines(keepends=True)[1]
    assert found(f"{IMPORTS}{HEADER}{line}", None) == ["GPU207"]
    assert found(f"{IMPORTS}{mask}{line}", None) == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ('os.environ.pop("CUDA_VISIBLE_DEVICES")', True),
        ("pass", False),
        ('os.environ.pop("CUDA_VISIBLE_DEVICES")\n' + HEADER, False),
    ],
)
def test_a_mask_that_is_removed_when_cuda_has_read_it(line: str, is_found: bool) -> None:
    program = f"{IMPORTS}{HEADER}import torch\n\ntorch.cuda.init()\n{line}\n"
    codes_found = found(f'{program}subprocess.run(["python", "a.py"])\n')
    assert ("GPU207" in codes_found) is is_found


def test_a_file_that_only_starts_another_is_looked_at(tmp_path: Path) -> None:
    for number, line in enumerate(("env -i python a.py", "deepspeed --include localhost:0 a.py")):
        program = f'import asyncio\nasyncio.create_subprocess_shell("{line}")\n'
        (result,) = check_files(tmp_path / str(number), {"run.py": program}, POLICY).values()
        assert [code for code, _ in codes(result)] == ["GPU207"]


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("V=0 python a.py", [Started(("python", "a.py"), {"V": "0"})]),
        ("(V=0 a) && b", [Started(("a",), {"V": "0"}), Started(("b",), {})]),
        ("export V=1; V=2 a; b", [Started(("a",), {"V": "2"}), Started(("b",), {"V": "1"})]),
        ("timeout 9 env -u V nohup a > l 2>&1 &", [Started(("a", ">", "l", ">"), {"V": None})]),
        ("env -i W=1 a", [Started(("a",), {"W": "1"}, True)]),
        ("sh -c 'V=\"0,1\" a'", [Started(("a",), {"V": "0,1"})]),
        ("bash run.sh", [Started(("bash", "run.sh"), {})]),
        ("a 'b", [Started(("a", "'b"), {})]),
        ("export V=1", []),
        ("", []),
    ],
)
def test_command_lines_are_read_as_a_shell_reads_them(text: str, started: list[Started]) -> None:
    assert list(read_text(text)[0]) == started


def test_words_are_not_split_again() -> None:
    assert read_words(["env", "V=1;2", "a b", "c"])[0] == (Started(("a b", "c"), {"V": "1;2"}),)
    assert read_text("export V=1; unset W")[1] == {"V": "1", "W": None}


ALONE = "env = os.environ.copy()\nenv.pop('CUDA_VISIBLE_DEVICES', None)\n"
OWN = f"import os\n{HEADER}import torch\n\ntorch.zeros(1).cuda()\n"
WEAK = OWN.replace('["CUDA_VISIBLE_DEVICES"] = "1"', '.setdefault("CUDA_VISIBLE_DEVICES", "1")')
GPU_WORK = "import torch\n\ntorch.zeros(1).cuda()\n"
LATE = f"import os\nimport torch\n\ntorch.cuda.init()\n{HEADER}"
TIDY = "import shutil\n\nshutil.rmtree('x')\n"
HERE = "from pathlib import Path\nHERE = Path(__file__).resolve().parent\n"


def run(command: str, before: str = ALONE) -> str:
    return f"{IMPORTS}{HEADER}{before}subprocess.run({command}, env=env)\n"


OWN_PROGRAMS: dict[str, tuple[dict[str, str], bool]] = {
    "sets all": ({"run.py": run("[sys.executable, 'a.py']"), "a.py": OWN}, False),
    "behind options": (
        {"run.py": run("[sys.executable, '-u', '-X', 'dev', 'a.py', '-n']"), "a.py": OWN},
        False,
    ),
    "in a shell": ({"run.py": run("'python a.py --n 1', shell=True"), "a.py": OWN}, False),
    "beside this file": (
        {"run.py": run("[sys.executable, str(HERE / 't' / 'a.py')]", HERE + ALONE), "t/a.py": OWN},
        False,
    ),
    "beside this file, joined": (
        {
            "run.py": run(
                "[sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'a.py')]"
            ),
            "a.py": OWN,
        },
        False,
    ),
    "beside this file, as a text": (
        {"run.py": run("[sys.executable, f'{HERE}/a.py']", HERE + ALONE), "a.py": OWN},
        False,
    ),
    "by its name beside this file": (
        {"run.py": run("['python', CHILD]", f"{HERE}CHILD = Path(__file__).with_name('a.py')\n{ALONE}"),
         "a.py": OWN},
        False,
    ),
    "in a directory that only the run knows": (
        {"run.py": run("['python', os.path.join(sys.argv[1], 'a.py')]"), "a.py": OWN},
        False,
    ),
    "a module": (
        {"run.py": run("[sys.executable, '-m', 'k.a']"), "k/__init__.py": "", "k/a.py": OWN},
        False,
    ),
    "a package": (
        {"run.py": run("[sys.executable, '-m', 'k']"), "k/__init__.py": "", "k/__main__.py": OWN},
        False,
    ),
    "in another directory": (
        {"run.py": run("[sys.executable, 'a.py'], cwd='t'"), "t/a.py": OWN},
        False,
    ),
    "by a module that it imports": (
        {"run.py": run("['python', 'a.py']"), "a.py": f"import m\n{GPU_WORK}",
         "m.py": f"import os\n{HEADER}"},
        False,
    ),
    "a default, where the call leaves it out": (
        {"run.py": run("['python', 'a.py']"), "a.py": WEAK},
        False,
    ),
    "a default, where the call gives another": (
        {"run.py": run("['python', 'a.py']", "env = {**os.environ, 'CUDA_VISIBLE_DEVICES': '0'}\n"),
         "a.py": WEAK},
        True,
    ),
    "uses no GPU": ({"run.py": run("['python', 'a.py']"), "a.py": TIDY}, False),
    "may start another": (
        {"run.py": run("['python', 'a.py']"),
         "a.py": "import subprocess\n\nsubprocess.run(['python', 'train.py'])\n"},
        True,
    ),
    "sets nothing": ({"run.py": run("['python', 'a.py']"), "a.py": GPU_WORK}, True),
    "sets it too late": ({"run.py": run("['python', 'a.py']"), "a.py": LATE}, True),
    "sets it on one path": (
        {"run.py": run("['python', 'a.py']"),
         "a.py": f"import os\nimport sys\nif sys.argv[1:]:\n"
         f"    os.environ['CUDA_VISIBLE_DEVICES'] = '1'\n{GPU_WORK}"},
        True,
    ),
    "one of two": (
        {"run.py": run("'python a.py && python b.py', shell=True"), "a.py": OWN, "b.py": GPU_WORK},
        True,
    ),
    "not of the project": ({"run.py": run("['python', 'a.py']")}, True),
    "one of two files of this name": (
        {"t/run.py": run("['python', 'a.py']"), "t/a.py": OWN, "a.py": GPU_WORK},
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "is_found"), OWN_PROGRAMS.values(), ids=OWN_PROGRAMS.keys())
def test_a_child_that_is_a_program_of_the_project(
    files: dict[str, str], is_found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = check_files(tmp_path, files, POLICY)
    (of_run,) = (result for name, result in results.items() if name.endswith("run.py"))
    assert [code for code, _ in codes(of_run)] == ["GPU207"] * is_found


@pytest.mark.parametrize(
    ("files", "is_found"),
    [({"a.py": OWN}, False), ({"a.py": TIDY}, False), ({"a.py": GPU_WORK}, True)],
)
def test_a_program_of_the_project_that_is_started_before_the_header(
    files: dict[str, str], is_found: bool, tmp_path: Path
) -> None:
    program = f"{IMPORTS}subprocess.run(['python', 'a.py'])\n{HEADER}{GPU_WORK}"
    results = check_files(tmp_path, {"run.py": program, **files}, POLICY)
    assert [code for code, _ in codes(results["run.py"])] == ["GPU207"] * is_found


@pytest.mark.parametrize(
    ("command", "is_found"),
    [
        ('[sys.executable, "-m", "pip", "install", "x"]', False),
        ('[sys.executable, "-I", "-m", "http.server", "8000"]', False),
        ('["python3", "-m", "zipfile", "-e", "x.zip", "."]', False),
        ('[sys.executable, "-m", "pytest", "--version"]', False),
        ('["python", "--version"]', False),
        ('["make", "--help"]', False),
        ('[sys.executable, "-c", "import json; print(json.dumps(1))"]', False),
        ('["ffmpeg", "-i", sys.argv[1], "-c:v", "libx264", "o.mp4"]', False),
        ('"git pull && npm install", ', False),
        ('[sys.executable, "-m", "pytest"]', True),
        ('[sys.executable, "-m", "runpy", "x.py"]', True),
        ('[sys.executable, "-m", "timeit", "-s", "import torch"]', True),
        ('[sys.executable, "-c", "import torch; torch.zeros(1).cuda()"]', True),
        ('[sys.executable, "-c", "exec(input())"]', True),
        ('["ffmpeg", "-hwaccel", "cuda", "-i", "x", "o.mp4"]', True),
        ('["ffmpeg", "-i", "x", "-c:v", sys.argv[1], "o.mp4"]', True),
        ('["make", "train"]', True),
    ],
)  # fmt: skip
def test_a_child_that_uses_no_gpu(command: str, is_found: bool) -> None:
    assert found(run(command.rstrip(", "))) == ["GPU207"] * is_found


def test_what_a_started_file_says_is_looked_up_again_when_it_changes(tmp_path: Path) -> None:
    program, child = tmp_path / "run.py", tmp_path / "a.py"
    (tmp_path / "gpu-lint.toml").write_text(
        '[gpu]\nname = "RTX 3090"\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n'
        '[validation]\nrequired-in = "never"\n'
    )
    program.write_text(run("[sys.executable, 'a.py']"))
    for text, is_found in ((OWN, False), (GPU_WORK, True), (TIDY, False)):
        child.write_text(text)
        result = run_cli("check", "--cache-dir", str(tmp_path / "cache"), str(program))
        assert ("GPU207" in result.stdout) is is_found
