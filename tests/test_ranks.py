"""Ranks, groups of processes, copies of a program, and options that decide: reported, not fixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu_lint.findings import Applicability, FileFindings
from tests.conftest import check_files, check_text, codes, fix_files

GPU = {"name": "RTX 3090", "visible-devices": "1", "device-order": "PCI_BUS_ID"}
NEVER = {"header": {"required-in": "never"}, "validation": {"required-in": "never"}}
ONE: dict[str, Any] = {"gpu": GPU, **NEVER}
TWO: dict[str, Any] = {"gpu": {**GPU, "visible-devices": "0,1"}, **NEVER}
MIGRATING: dict[str, Any] = {**ONE, "header": {"required-in": "gpu-files"}}
GUARD = 'if __name__ == "__main__":\n'
TORCH = "import os\nimport torch\n"
SPAWN = "import torch\nimport torch.distributed as dist\nimport torch.multiprocessing as mp\n\n\n"
WORKER = SPAWN + "def work(rank, size):\n    torch.cuda.set_device(rank)\n\n\n" + GUARD
GROUP = "import torch.distributed as dist\n"
AGAIN = (
    "import os\nimport pathlib\nimport subprocess\nimport sys\nimport torch\nfor n in range(2):\n"
)
ENV = 'env={**os.environ, "CUDA_VISIBLE_DEVICES": str(n)}'

RANKS: dict[str, tuple[str, int]] = {
    "read from the environment": (
        TORCH + 'torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))\n',
        3,
    ),
    "read by get, without a default": (
        TORCH + 'rank = os.environ.get("LOCAL_RANK")\nx = torch.zeros(1).to(f"cuda:{rank}")\n',
        4,
    ),
    "read by getenv": (TORCH + 'torch.cuda.set_device(int(os.getenv("LOCAL_RANK")))\n', 3),
    "Slurm's": (TORCH + 'torch.cuda.set_device(int(os.environ["SLURM_LOCALID"]))\n', 3),
    "Open MPI's": (
        TORCH + 'torch.cuda.set_device(int(os.environ["OMPI_COMM_WORLD_LOCAL_RANK"]))\n',
        3,
    ),
    "asked of the group": (
        GROUP + "import torch\nrank = dist.get_rank()\nx = torch.zeros(1).cuda(rank)\n",
        4,
    ),
    "asked of horovod": (
        "import torch\nimport horovod.torch as hvd\nhvd.init()\n"
        "torch.cuda.set_device(hvd.local_rank())\n",
        4,
    ),
    "among device_ids": (
        TORCH + 'rank = int(os.environ["LOCAL_RANK"])\n'
        "m = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1), device_ids=[rank])\n",
        4,
    ),
    "an option of the launcher": (
        "import argparse\nimport torch\np = argparse.ArgumentParser()\n"
        'p.add_argument("--local_rank", type=int)\n'
        "torch.cuda.set_device(p.parse_args().local_rank)\n",
        5,
    ),
    "used twice is one finding": (
        TORCH + 'rank = int(os.environ["LOCAL_RANK"])\ntorch.cuda.set_device(rank)\n'
        'x = torch.zeros(1).to(f"cuda:{rank}")\n',
        4,
    ),
    "in a function": (
        TORCH + 'def setup():\n    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))\nsetup()\n',
        4,
    ),
    "with the group that it belongs to": (
        TORCH + GROUP + 'dist.init_process_group("nccl")\n'
        'torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))\n',
        5,
    ),
    "a group alone": (GROUP + 'dist.init_process_group("nccl")\n', 2),
    "a group by a keyword": (GROUP + 'dist.init_process_group(backend="nccl")\n', 2),
    "a group of both backends": (GROUP + 'dist.init_process_group("cpu:gloo,cuda:nccl")\n', 2),
    "a group whose size is read": (
        "import os\n" + GROUP + 'size = int(os.environ["WORLD_SIZE"])\n'
        'dist.init_process_group("nccl", world_size=size, rank=int(os.environ["RANK"]))\n',
        4,
    ),
    "two processes are spawned": (WORKER + "    mp.spawn(work, nprocs=2, args=(2,))\n", 11),
    "by the function's full name": (
        WORKER.replace("import torch.multiprocessing as mp\n", "")
        + "    torch.multiprocessing.spawn(work, (2,), 2)\n",
        10,
    ),
    "they join a group": (
        SPAWN + "def work(rank, size):\n"
        '    dist.init_process_group("nccl", rank=rank, world_size=size)\n\n\n'
        + GUARD
        + "    mp.spawn(work, nprocs=2, args=(2,))\n",
        11,
    ),
    "their function is not seen": (SPAWN + "mp.spawn(work, nprocs=2)\n", 6),
    "as many as an option's default": (
        "import argparse\n" + WORKER + "    p = argparse.ArgumentParser()\n"
        '    p.add_argument("--world", type=int, default=2)\n'
        "    mp.spawn(work, nprocs=p.parse_args().world, args=(2,))\n",
        14,
    ),
    "torchrun": (
        'import subprocess\nsubprocess.run(["torchrun", "--nproc-per-node=2", "t.py"])\n',
        2,
    ),
    "accelerate": ('import os\nos.system("accelerate launch --num_processes 2 t.py")\n', 2),
    "copies of the program": (
        AGAIN + f"    subprocess.Popen([sys.executable, __file__, str(n)], {ENV})\n",
        7,
    ),
    "copies by their path": (
        AGAIN + "    me = pathlib.Path(__file__).resolve()\n"
        f"    subprocess.Popen([sys.executable, str(me), str(n)], {ENV})\n",
        8,
    ),
    "copies by sys.argv": (
        AGAIN + f"    subprocess.Popen([sys.executable] + sys.argv, {ENV})\n",
        7,
    ),
    "copies by all of sys.argv": (
        AGAIN + f"    subprocess.Popen([sys.executable, *sys.argv], {ENV})\n",
        7,
    ),
    "copies by the file's name": (
        AGAIN + f'    subprocess.Popen([sys.executable, "run.py", str(n)], {ENV})\n',
        7,
    ),
    "copies with an environment that is made before": (
        AGAIN + '    env = os.environ.copy()\n    env["CUDA_VISIBLE_DEVICES"] = str(n)\n'
        "    subprocess.Popen([sys.executable, sys.argv[0], str(n)], env=env)\n",
        9,
    ),
    "copies with a mask that only the run will tell": (
        "import os\nimport subprocess\nimport sys\nfor n in open('gpus'):\n"
        f"    subprocess.Popen([sys.executable, __file__], {ENV.replace('str(n)', 'str(sys.argv[1])')})\n",
        5,
    ),
}

FINE: dict[str, str] = {
    "asked of the group where there is one": GROUP + "import torch\n"
    "rank = dist.get_rank() if dist.is_initialized() else 0\nx = torch.zeros(1).cuda(rank)\n",
    "asked of the group and bounded": GROUP + "import torch\n"
    "torch.cuda.set_device(dist.get_rank() % torch.cuda.device_count())\n",
    "a default that fits": TORCH + 'torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))\n',
    "a default that is no index": TORCH + 'rank = int(os.environ.get("LOCAL_RANK", -1))\n'
    "if rank != -1:\n    torch.cuda.set_device(rank)\n",
    "another value where it is not set": TORCH
    + 'rank = int(os.environ["LOCAL_RANK"]) if "LOCAL_RANK" in os.environ else 0\n'
    "torch.cuda.set_device(rank)\n",
    "a default that is not on the way to an index": TORCH
    + 'rank = int(os.environ.get("LOCAL_RANK", "0"))\nif rank == 0:\n    torch.zeros(1).cuda()\n',
    "only compared": TORCH + 'if int(os.environ["LOCAL_RANK"]) == 0:\n    torch.zeros(1).cuda()\n',
    "only logged": 'import logging\nimport os\nlogging.info("rank %s", os.environ["LOCAL_RANK"])\n',
    "written by the program": TORCH + 'os.environ["LOCAL_RANK"] = "0"\n'
    'torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))\n',
    "another variable": TORCH + 'torch.cuda.set_device(int(os.environ["SHARD"]))\n',
    "bounded by the count": TORCH
    + 'torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())\n',
    "an option's default": "import argparse\nimport torch\np = argparse.ArgumentParser()\n"
    'p.add_argument("--local_rank", type=int, default=0)\n'
    "torch.cuda.set_device(p.parse_args().local_rank)\n",
    "a group of one": GROUP + 'dist.init_process_group("nccl", world_size=1, rank=0)\n',
    "a group of one, by the environment": "import os\n"
    + GROUP
    + 'os.environ["WORLD_SIZE"] = "1"\ndist.init_process_group("nccl")\n',
    "a group of one, unless it is said": "import os\n"
    + GROUP
    + 'dist.init_process_group("nccl", world_size=int(os.environ.get("WORLD_SIZE", 1)))\n',
    "a group on the CPU": GROUP + 'dist.init_process_group("gloo")\n',
    "a group in a function that nothing calls": GROUP
    + 'def setup():\n    dist.init_process_group("nccl")\n',
    "one process": WORKER + "    mp.spawn(work, nprocs=1, args=(1,))\n",
    "as many as there are": WORKER
    + "    mp.spawn(work, nprocs=torch.cuda.device_count(), args=(2,))\n",
    "processes on the CPU": SPAWN + "def work(rank, size):\n"
    '    dist.init_process_group("gloo", rank=rank, world_size=size)\n    print(torch.ones(1))\n\n\n'
    + GUARD
    + "    mp.spawn(work, nprocs=2, args=(2,))\n",
    "processes that share the first GPU": SPAWN + "def work(rank, size):\n"
    '    print(rank, torch.zeros(1, device="cuda"))\n\n\n'
    + GUARD
    + "    mp.spawn(work, nprocs=2, args=(2,))\n",
    "a copy with the policy's mask": AGAIN
    + f"    subprocess.Popen([sys.executable, __file__], {ENV.replace('str(n)', repr('1'))})\n",
    "a copy without a GPU": AGAIN
    + f"    subprocess.Popen([sys.executable, __file__], {ENV.replace('str(n)', repr(''))})\n",
    "a copy with the mask that is there": AGAIN
    + "    subprocess.Popen([sys.executable, __file__, str(n)])\n",
    "another program beside this one": AGAIN + "    at = os.path.dirname(__file__)\n"
    f"    subprocess.Popen([sys.executable, os.path.join(at, 'x.py')], {ENV.replace('str(n)', repr('1'))})\n",
}


def of_ranks(result: FileFindings) -> list[tuple[str, int]]:
    return [found for found in codes(result) if found[0] == "GPU209"]


@pytest.mark.parametrize(("program", "line"), RANKS.values(), ids=RANKS.keys())
def test_more_processes_than_the_policy_shows(program: str, line: int, tmp_path: Path) -> None:
    found = check_files(tmp_path, {"run.py": program}, ONE)["run.py"]
    assert codes(found) == [("GPU209", line)]
    assert found.findings[0].fix is None


@pytest.mark.parametrize(("program", "line"), RANKS.values(), ids=RANKS.keys())
def test_an_override_with_more_gpus_is_enough(program: str, line: int, tmp_path: Path) -> None:
    found = codes(check_files(tmp_path, {"run.py": program}, TWO)["run.py"])
    assert found == [("GPU210", line)] * ("dist.get_rank()" in program)


@pytest.mark.parametrize("program", FINE.values(), ids=FINE.keys())
def test_a_rank_or_launch_that_is_in_order(program: str, tmp_path: Path) -> None:
    assert codes(check_files(tmp_path, {"run.py": program}, ONE)["run.py"]) == []


@pytest.mark.parametrize(
    ("mask", "found"), [('"1"', ["GPU209"]), ('"0,1"', []), ("os.environ['GPUS']", [])]
)
def test_without_a_policy_the_mask_in_effect_counts(mask: str, found: list[str]) -> None:
    program = "import os\n" + f'os.environ["CUDA_VISIBLE_DEVICES"] = {mask}\nimport torch\n'
    program += 'torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))\n'
    assert [code for code, _ in codes(check_text(program))] == found
    assert (
        codes(check_text(program.replace(f'os.environ["CUDA_VISIBLE_DEVICES"] = {mask}\n', "")))
        == []
    )


def test_another_program_with_another_mask_is_no_copy(tmp_path: Path) -> None:
    program = AGAIN + f'    subprocess.Popen([sys.executable, "x.py", *sys.argv[1:]], {ENV})\n'
    found = check_files(tmp_path, {"run.py": program}, ONE)["run.py"]
    assert codes(found) == [("GPU207", 7)]


REASONS: dict[str, str] = {
    "read from the environment": "as the index of a device that the mask does not show: LOCAL_RANK",
    "with the group that it belongs to": "each need a device of their own",
    "a group alone": "each need a device of their own",
    "two processes are spawned": "would start more processes than the mask shows devices",
    "copies of the program": "copies that no longer see the devices they are given",
}


@pytest.mark.parametrize(("name", "reason"), REASONS.items(), ids=REASONS.keys())
def test_no_header_of_one_card_is_safe_there(name: str, reason: str, tmp_path: Path) -> None:
    files = {"run.py": RANKS[name][0]}
    assert_unsafe(files, reason, tmp_path)
    two = {**TWO, "header": {"required-in": "gpu-files"}}
    assert "begin header" in fix_files(tmp_path / "two", files, two)["run.py"]


@pytest.mark.parametrize("joined", ["-1", "None"])
def test_a_program_that_may_be_one_of_several_gets_no_header(joined: str, tmp_path: Path) -> None:
    program = (
        TORCH + f'rank = os.environ.get("LOCAL_RANK", {joined})\nif rank not in (-1, None):\n'
        "    torch.cuda.set_device(int(rank))\n"
    )
    assert codes(check_files(tmp_path / "as is", {"run.py": program}, ONE)["run.py"]) == []
    assert_unsafe({"run.py": program}, "LOCAL_RANK", tmp_path)


OF_SEVERAL: dict[str, str] = {
    "a default, and the number of processes": 'size = int(os.environ.get("WORLD_SIZE", 1))\n'
    'torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))\n',
    "or nothing": 'ddp = int(os.environ.get("WORLD_SIZE", 1)) != 1\n'
    'if ddp:\n    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK") or 0))\n',
    "in a map of devices": 'device_map = "auto"\nif int(os.environ.get("WORLD_SIZE", 1)) != 1:\n'
    '    device_map = {"": int(os.environ.get("LOCAL_RANK") or 0)}\n'
    'from transformers import AutoModel\nAutoModel.from_pretrained("x", device_map=device_map)\n',
    "in a text": 'n = int(os.environ.get("SLURM_NTASKS", 1))\n'
    "torch.zeros(1).to(f\"cuda:{os.environ.get('SLURM_LOCALID', 0)}\")\n",
}
OF_ONE: dict[str, str] = {
    "a default alone": 'torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))\n',
    "a number of processes alone": 'print(os.environ.get("WORLD_SIZE", 1))\n'
    "torch.cuda.set_device(0)\n",
    "a rank that is only compared": 'if os.environ.get("WORLD_SIZE") and '
    'int(os.environ.get("LOCAL_RANK", 0)) == 0:\n    torch.zeros(1).cuda()\n',
    "a map of devices by itself": 'size = os.environ.get("WORLD_SIZE", 1)\n'
    'from transformers import AutoModel\nAutoModel.from_pretrained("x", device_map={"": 0})\n',
}


@pytest.mark.parametrize("name", [*OF_SEVERAL, *OF_ONE])
def test_a_rank_with_a_default_counts_where_the_number_of_processes_is_asked_for(
    name: str, tmp_path: Path
) -> None:
    program = TORCH + (OF_SEVERAL.get(name) or OF_ONE[name])
    assert of_ranks(check_files(tmp_path / "as is", {"run.py": program}, ONE)["run.py"]) == []
    if name in OF_SEVERAL:
        assert_unsafe({"run.py": program}, "as the index of a device", tmp_path)
    else:
        assert "begin header" in fix_files(tmp_path, {"run.py": program}, MIGRATING)["run.py"]


TRAINING = (
    "import transformers\nfrom transformers import HfArgumentParser, Trainer, TrainingArguments\n"
)
OF_TRAININGS: dict[str, str] = {
    "kept for the whole file": "local_rank = None\n\n\ndef train():\n    global local_rank\n"
    "    parser = HfArgumentParser(TrainingArguments)\n"
    "    (training_args,) = parser.parse_args_into_dataclasses()\n"
    "    local_rank = training_args.local_rank\n    Trainer(args=training_args).train()\n\n\n"
    "train()\n",
    "only compared": "args = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()[0]\n"
    "Trainer(args=args).train()\nif args.local_rank in (-1, 0):\n    print('done')\n",
    "of a class of the program": "class Arguments(transformers.TrainingArguments):\n"
    "    cache: str = ''\n\n\nargs = Arguments(output_dir='x')\nprint(args.local_rank)\n"
    "Trainer(args=args).train()\n",
}
OF_ONE_TRAINING: dict[str, str] = {
    "it never asks": "args = TrainingArguments(output_dir='x')\nTrainer(args=args).train()\n",
    "a rank in a comment": "Trainer(args=TrainingArguments('x')).train()  # args.local_rank is -1\n",
    "a name that is no attribute": "local_rank = 0\nargs = TrainingArguments('x')\n"
    "Trainer(args=args).train()\n",
    "an attribute of something that it sets itself": "class Args:\n    rank = 0\n\n\n"
    "print(Args.rank)\nTrainer(args=TrainingArguments('x')).train()\n",
}


@pytest.mark.parametrize("program", OF_TRAININGS.values(), ids=OF_TRAININGS.keys())
def test_a_training_that_asks_for_its_rank_gets_no_header(program: str, tmp_path: Path) -> None:
    program = TRAINING + program
    assert of_ranks(check_files(tmp_path / "as is", {"run.py": program}, ONE)["run.py"]) == []
    assert_unsafe({"run.py": program}, "each need a device of their own", tmp_path)
    two = {**TWO, "header": {"required-in": "gpu-files"}}
    assert "begin header" in fix_files(tmp_path / "two", {"run.py": program}, two)["run.py"]


@pytest.mark.parametrize("program", OF_ONE_TRAINING.values(), ids=OF_ONE_TRAINING.keys())
def test_a_training_that_does_not_ask_gets_one(program: str, tmp_path: Path) -> None:
    after = fix_files(tmp_path, {"run.py": TRAINING + program}, MIGRATING)["run.py"]
    assert "begin header" in after


def test_a_header_of_another_file_is_not_safe_either(tmp_path: Path) -> None:
    files = {
        "part.py": "import torch\n\n\ndef load():\n    return torch.zeros(1).cuda()\n",
        "run.py": TORCH + 'import part\ntorch.cuda.set_device(int(os.environ["LOCAL_RANK"]))\n',
    }
    assert fix_files(tmp_path, files, MIGRATING) == files


def test_no_mask_of_fewer_cards_is_safe_there(tmp_path: Path) -> None:
    program = (
        'import os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = "0,1"\nimport torch\n'
        'torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))\n'
    )
    assert_unsafe({"run.py": program}, "LOCAL_RANK", tmp_path)


def assert_unsafe(files: dict[str, str], reason: str, tmp_path: Path) -> None:
    """What is found in ``run.py`` has no safe fix, for a reason, and ``fix`` leaves it alone."""
    found = check_files(tmp_path / "check", files, MIGRATING)["run.py"].findings
    fixes = [one.fix for one in found if one.fix is not None]
    assert fixes
    assert all(fix.applicability is Applicability.UNSAFE for fix in fixes)
    assert any(reason in fix.message for fix in fixes)
    assert fix_files(tmp_path / "fix", files, MIGRATING) == files


PARSED = "import argparse\nimport os\np = argparse.ArgumentParser()\n"
DECIDED: dict[str, tuple[str, list[tuple[str, int]], str]] = {
    "an option is the mask": (
        PARSED + 'p.add_argument("--gpu", default="0")\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = p.parse_args().gpu\n'
        "import torch\ntorch.zeros(1).cuda()\n",
        [("GPU102", 4), ("GPU103", 6)],
        "--gpu",
    ),
    "an option is the mask, as a text": (
        PARSED + 'p.add_argument("-g", "--gpu-id", type=int)\na = p.parse_args()\n'
        'os.environ["CUDA_VISIBLE_DEVICES"] = str(a.gpu_id)\nimport torch\ntorch.zeros(1).cuda()\n',
        [("GPU102", 4), ("GPU103", 7)],
        "--gpu-id",
    ),
    "an option is the index": (
        PARSED + 'p.add_argument("--gpu", type=int, default=0)\na = p.parse_args()\n'
        "import torch\ntorch.cuda.set_device(a.gpu)\n",
        [("GPU101", 4), ("GPU103", 6)],
        "--gpu",
    ),
    "an option is part of the device": (
        PARSED + 'p.add_argument("--device", default="0")\na = p.parse_args()\n'
        'import torch\ntorch.zeros(1).to(f"cuda:{a.device}")\n',
        [("GPU101", 4), ("GPU103", 6)],
        "--device",
    ),
    "an option whose default names a card": (
        PARSED + 'p.add_argument("--device", default="cuda:0")\na = p.parse_args()\n'
        "import torch\ntorch.zeros(1).to(a.device)\n",
        [("GPU101", 4), ("GPU103", 6)],
        "--device",
    ),
    "click": (
        "import click\nimport torch\n\n\n@click.command()\n@click.option('--gpu', type=int)\n"
        "def main(gpu):\n    torch.cuda.set_device(gpu)\n\n\n" + GUARD + "    main()\n",
        [("GPU103", 1), ("GPU101", 6)],
        "--gpu",
    ),
    "typer": (
        "import torch\nimport typer\n\n\ndef main(gpu: int = typer.Option(0)):\n"
        "    torch.cuda.set_device(gpu)\n\n\n" + GUARD + "    typer.run(main)\n",
        [("GPU103", 1), ("GPU101", 5)],
        "--gpu",
    ),
    "a typer command": (
        "import torch\nimport typer\napp = typer.Typer()\n\n\n@app.command()\n"
        "def main(gpu_id: int = 0):\n    torch.cuda.set_device(gpu_id)\n\n\n"
        + GUARD
        + "    app()\n",
        [("GPU103", 1), ("GPU101", 7)],
        "--gpu-id",
    ),
}


@pytest.mark.parametrize(("program", "found", "flag"), DECIDED.values(), ids=DECIDED.keys())
def test_what_an_option_decides(
    program: str, found: list[tuple[str, int]], flag: str, tmp_path: Path
) -> None:
    result = check_files(tmp_path, {"run.py": program}, MIGRATING)["run.py"]
    assert codes(result) == found
    (named,) = (one for one in result.findings if one.code in ("GPU101", "GPU102"))
    assert named.message.startswith(f"{flag} decides ")
    assert_unsafe({"run.py": program}, flag, tmp_path)


def test_an_option_means_the_same_card_where_the_first_ones_are_shown(tmp_path: Path) -> None:
    program, _, _ = DECIDED["an option is the index"]
    two = {**TWO, "header": {"required-in": "gpu-files"}}
    found = check_files(tmp_path / "check", {"run.py": program}, two)["run.py"]
    assert codes(found) == [("GPU101", 6), ("GPU103", 6)]
    assert "begin header" in fix_files(tmp_path / "fix", {"run.py": program}, two)["run.py"]


NOT_DECIDED: dict[str, str] = {
    "a GPU or the CPU": PARSED + 'p.add_argument("--device", default="cuda")\na = p.parse_args()\n'
    "import torch\ntorch.zeros(1).to(a.device)\n",
    "whether a GPU is used": PARSED + 'p.add_argument("--gpu", action="store_true")\n'
    'a = p.parse_args()\nimport torch\ntorch.zeros(1).to("cuda" if a.gpu else "cpu")\n',
    "nothing of the GPU": PARSED + 'p.add_argument("--steps", type=int, default=1)\n'
    "a = p.parse_args()\nimport torch\nfor n in range(a.steps):\n    torch.zeros(1).cuda()\n",
}


@pytest.mark.parametrize("program", NOT_DECIDED.values(), ids=NOT_DECIDED.keys())
def test_an_option_that_decides_no_card_leaves_the_header_safe(
    program: str, tmp_path: Path
) -> None:
    assert "begin header" in fix_files(tmp_path, {"run.py": program}, MIGRATING)["run.py"]


def test_an_option_of_another_file_is_named_with_its_place(tmp_path: Path) -> None:
    files = {
        "options.py": PARSED
        + 'p.add_argument("--gpu", type=int, default=0)\nargs = p.parse_args()\n',
        "run.py": "import torch\nfrom options import args\ntorch.cuda.set_device(args.gpu)\n",
    }
    found = check_files(tmp_path, files, MIGRATING)["run.py"]
    assert codes(found)[0] == ("GPU101", 1)
    assert found.findings[0].message.startswith("--gpu (")
    assert "options.py:4) decides " in found.findings[0].message
    assert fix_files(tmp_path / "fix", files, MIGRATING) == files


GROUP_OF_RANKS = (
    "import argparse\nimport os\nimport torch\nimport torch.distributed as dist\n"
    "import torch.multiprocessing as mp\n"
)
JOIN = 'dist.init_process_group("nccl")\n'
BY_RANK = "torch.cuda.set_device(dist.get_rank())\n"
ONE_MACHINE = {
    "as many as on this machine": "assert int(os.environ['LOCAL_WORLD_SIZE']) == "
    "dist.get_world_size()\n",
    "as many, as texts": "assert os.environ['WORLD_SIZE'] == os.environ['LOCAL_WORLD_SIZE']\n",
    "no more than devices": "assert dist.get_world_size() <= torch.cuda.device_count()\n",
    "no fewer devices": "assert torch.cuda.device_count() >= dist.get_world_size(), 'too few'\n",
    "by names": "n, size = torch.cuda.device_count(), dist.get_world_size()\nassert size == n\n",
    "with another condition": "assert dist.get_world_size() <= torch.cuda.device_count() and n\n",
    "raises": "if dist.get_world_size() > torch.cuda.device_count():\n    raise SystemExit(1)\n",
    "ends": "if not dist.get_world_size() <= torch.cuda.device_count():\n    exit(1)\n",
    "machines of the environment": "if int(os.environ.get('NNODES', 1)) > 1:\n"
    "    raise ValueError('one machine')\n",
    "machines of an option": "p = argparse.ArgumentParser()\n"
    "p.add_argument('--num-nodes', type=int, default=1)\nargs = p.parse_args()\n"
    "if args.num_nodes >= 2:\n    raise ValueError('one machine')\n",
}
SEVERAL_MACHINES = {
    "nothing is said": "",
    "more than one process": "assert dist.get_world_size() > 1\n",
    "no fewer processes": "assert dist.get_world_size() >= torch.cuda.device_count()\n",
    "a warning": "if dist.get_world_size() > torch.cuda.device_count():\n    print('many')\n",
    "several machines are demanded": "if int(os.environ.get('NNODES', 1)) < 2:\n"
    "    raise ValueError('two machines')\n",
    "either will do": "assert dist.get_world_size() <= torch.cuda.device_count() or n\n",
}


@pytest.mark.parametrize("line", ONE_MACHINE.values(), ids=ONE_MACHINE.keys())
def test_a_program_that_admits_one_machine_may_use_its_rank(line: str) -> None:
    assert codes(check_text(GROUP_OF_RANKS + JOIN + line + BY_RANK)) == []
    in_function = "".join(f"    {one}\n" for one in (JOIN + line + BY_RANK).splitlines())
    program = f"{GROUP_OF_RANKS}def main():\n{in_function}\n\nmain()\n"
    assert codes(check_text(program)) == []


@pytest.mark.parametrize("line", SEVERAL_MACHINES.values(), ids=SEVERAL_MACHINES.keys())
def test_a_program_that_admits_several_machines_may_not(line: str) -> None:
    found = codes(check_text(GROUP_OF_RANKS + JOIN + line + BY_RANK))
    assert [code for code, _ in found] == ["GPU210"]


WORK = (
    "def step():\n    return torch.zeros(1).cuda(dist.get_rank())\n\n\n"
    "def work(rank, size):\n    dist.init_process_group('nccl', rank={rank}, world_size=size)\n"
    "    step()\n    torch.cuda.set_device(dist.get_rank())\n\n\n"
)
STARTS = {
    "as many as devices": (
        "rank",
        "mp.spawn(work, args=(2,), nprocs=torch.cuda.device_count())\n",
        False,
    ),
    "by a name": ("rank", "n = torch.cuda.device_count()\nmp.spawn(work, (n,), n)\n", False),
    "a default": (
        "rank",
        "p = argparse.ArgumentParser()\n"
        "p.add_argument('--size', type=int, default=torch.cuda.device_count())\n"
        "a = p.parse_args()\nmp.spawn(work, args=(a.size,), nprocs=a.size)\n",
        False,
    ),
    "a number": ("rank", "mp.spawn(work, args=(2,), nprocs=2)\n", True),
    "on several machines": (
        "int(os.environ['NODE']) * size + rank",
        "mp.spawn(work, args=(2,), nprocs=torch.cuda.device_count())\n",
        True,
    ),
}


@pytest.mark.parametrize(("rank", "start", "is_found"), STARTS.values(), ids=STARTS.keys())
def test_processes_of_which_each_device_has_one(
    rank: str, start: str, is_found: bool, tmp_path: Path
) -> None:
    program = GROUP_OF_RANKS + WORK.format(rank=rank) + start
    (result,) = check_files(tmp_path, {"run.py": program}, ONE).values()
    assert ("GPU209" in [code for code, _ in codes(result)]) is is_found
