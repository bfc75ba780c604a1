"""What a command that is given to a shell starts, and what it sets for it."""

from __future__ import annotations

import pytest

from gpu_lint.facts.commandlines import read_text
from tests.conftest import check_text, codes

MASK = "CUDA_VISIBLE_DEVICES"
STARTS = {
    "V=2 python x.py # V=3 python y.py": ["V=2: python x.py"],
    "# V=1\npython x.py": ["python x.py"],
    "echo 'a # b'; V=2 python x.py": ["echo a # b", "V=2: python x.py"],
    "python a#b.py": ["python a#b.py"],
    "echo $# && V=1 python x.py": ["echo $#", "V=1: python x.py"],
    "(export V=2; python a.py); python b.py": ["V=2: python a.py", "python b.py"],
    "(cd a && V=2 python x.py)": ["cd a", "V=2: python x.py"],
    "if true; then V=2 python x.py; fi": ["true", "V=2: python x.py"],
    "export V=1\nif [ -f a ]; then\n  python x.py\nfi": ["V=1: [ -f a ]", "V=1: python x.py"],
    "for g in 0 1; do V=$g python x.py; done": ["V=$g: python x.py"],
    "{ V=2; python x.py; }": ["V=2: python x.py"],
    "python x.py \\\n  --gpu 1": ["python x.py --gpu 1"],
    "numactl -C 0-3 -m 0 python x.py": ["python x.py"],
    "numactl --cpunodebind=0 python x.py": ["python x.py"],
    "timeout --signal KILL 10 python x.py": ["python x.py"],
    "timeout -k 5s 10m python x.py": ["python x.py"],
    "nice -n 5 python x.py": ["python x.py"],
    "nice python -n 5": ["python -n 5"],
    "stdbuf -oL python x.py": ["python x.py"],
    "stdbuf -o L python x.py": ["python x.py"],
    "taskset -c 0-3 python x.py": ["python x.py"],
    "taskset 0xff python x.py": ["python x.py"],
    "env -S 'V=2 python x.py'": ["V=2: python x.py"],
    "env -S'V=2 python' x.py": ["V=2: python x.py"],
    "env --split-string='V=2 python x.py'": ["V=2: python x.py"],
}


@pytest.mark.parametrize(("text", "started"), STARTS.items(), ids=STARTS)
def test_what_a_command_starts(text: str, started: list[str]) -> None:
    found = [
        " ".join([*(f"{name}={said}:" for name, said in one.variables.items()), *one.words])
        for one in read_text(text)[0]
    ]
    assert found == started


HEADER = f'import os\nimport subprocess\nos.environ["{MASK}"] = "1"\n'


@pytest.mark.parametrize(
    ("command", "differs"),
    [
        (f"# {MASK}=0\\npython train.py", False),
        ("sudo python train.py", True),
        ("sudo -u gpu -- python train.py", True),
        (f"{MASK}=1 sudo python train.py", True),
        ("sudo -E python train.py", False),
        (f"sudo {MASK}=1 python train.py", False),
        (f"sudo {MASK}=0 python train.py", True),
        (f"{MASK}=1 sudo --preserve-env={MASK} python train.py", False),
        (f"({MASK}=0); python train.py", False),
        (f"(export {MASK}=0; python train.py)", True),
        (f"if true; then {MASK}=0 python train.py; fi", True),
        (f"numactl -C 0-3 env {MASK}=0 python train.py", True),
        (f"env -S '{MASK}=0 python train.py'", True),
        (f"python -c \\\"d['{MASK}'] = '0'; import torch; torch.cuda.init()\\\"", False),
        (
            f"python -c \\\"environ['{MASK}'] = '0'; environ['{MASK}'] = '1'; import torch; torch.cuda.init()\\\"",
            False,
        ),
        (
            f"python -c \\\"environ['{MASK}'] = '1'; environ['{MASK}'] = '0'; import torch; torch.cuda.init()\\\"",
            True,
        ),
        (f"python -c \\\"environb[b'{MASK}'] = b'0'; import torch; torch.cuda.init()\\\"", True),
    ],
)
def test_a_child_with_another_mask(command: str, differs: bool) -> None:
    text = f'{HEADER}subprocess.run("{command}", shell=True)\nimport torch\ntorch.cuda.init()\n'
    assert ("GPU207" in dict(codes(check_text(text)))) is differs
