"""When does a mask take effect? Programs with the findings they deserve, and why."""

from __future__ import annotations

import textwrap

import pytest

from tests.conftest import check_text, codes

MASK = 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'


def found(program: str) -> list[tuple[str, int]]:
    text = "import os\n" + textwrap.dedent(program).replace("MASK", MASK)
    return [item for item in codes(check_text(text)) if item[0].startswith("GPU1")]


NOOP = {
    "before the import": "MASK\nimport torch\ntorch.cuda.init()",
    "a function called in time": """
        def setup():
            MASK
        setup()
        import torch
        torch.cuda.init()
        """,
    "the freeze stands in a function that runs later": """
        MASK
        def use():
            import torch
            torch.cuda.init()
        use()
        """,
    "the process has chosen its device; the mask is for its children": """
        import torch
        if torch.cuda.is_available():
            shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0,1").split(",")
            rank = int(os.environ["RANK"]) % torch.cuda.device_count()
            torch.cuda.set_device(rank)
            os.environ["CUDA_VISIBLE_DEVICES"] = str(shown[rank])
        """,
    "set for a while, and given back": """
        import torch
        def hidden():
            before = os.environ.get("CUDA_VISIBLE_DEVICES")
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
            try:
                print(torch.__version__)
            finally:
                if before is None:
                    del os.environ["CUDA_VISIBLE_DEVICES"]
                else:
                    os.environ["CUDA_VISIBLE_DEVICES"] = before
        hidden()
        """,
    "type checking never runs": """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import torch
        MASK
        """,
    "dead branch": "if False:\n    import torch\nMASK",
    "device_count asks NVML; the import came later": "MASK\nimport torch\ntorch.cuda.device_count()",
    "the same value again changes nothing": "MASK\nimport torch\ntorch.cuda.init()\nMASK",
    "a copy of the environment is not the environment": """
        import torch
        torch.cuda.init()
        child = dict(os.environ)
        child["CUDA_VISIBLE_DEVICES"] = "1"
        copy = os.environ.copy()
        copy["CUDA_VISIBLE_DEVICES"] = "1"
        """,
    "a name that only looks like torch": """
        class torch:
            class cuda:
                init = staticmethod(print)
        torch.cuda.init()
        MASK
        """,
    "a parameter shadows the module": """
        def run(torch):
            torch.cuda.init()
            MASK
        """,
    "for a child process": """
        import subprocess
        import torch
        torch.cuda.init()
        MASK
        subprocess.run(["train"])
        """,
    "a function that imports the framework itself": """
        import torch
        def worker():
            MASK
            import torch
        """,
    "a function that another file may call": """
        import torch
        import click
        @click.command()
        def choose():
            MASK
        """,
    "with PyTorch's NVML check": """
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
        MASK
        import torch
        """,
    "monkeypatch restores": """
        import torch
        def test_mask(monkeypatch):
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        """,
    "a string in a test about headers": '''
        HEADER = """
        import torch
        torch.cuda.init()
        os.environ["CUDA_VISIBLE_DEVICES"] = "1,1"
        """
        ''',
    "NVML ignores the mask anyway": "import pynvml\npynvml.nvmlInit()\nMASK",
    "the allocator setting is honoured after import torch": """
        import torch
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:128"
        """,
    "defaults of a parent process are good manners": """
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
        if "CUDA_DEVICE_ORDER" not in os.environ:
            os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        """,
    "saved and restored": """
        old = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        MASK
        os.environ["CUDA_VISIBLE_DEVICES"] = old
        """,
    "one mask per child": """
        import subprocess
        for gpu in ("0", "1"):
            pass
        os.environ["CUDA_VISIBLE_DEVICES"] = "0"
        subprocess.run(["train"])
        os.environ["CUDA_VISIBLE_DEVICES"] = "1"
        subprocess.run(["train"])
        """,
    "branches exclude each other": """
        import sys
        if len(sys.argv) > 1:
            os.environ["CUDA_VISIBLE_DEVICES"] = "0"
        else:
            MASK
        """,
    "whisper on the CPU touches no GPU": """
        MASK
        import whisper
        m = whisper.load_model("base", "cpu")
        """,
    "no GPU on purpose": 'os.environ["CUDA_VISIBLE_DEVICES"] = "-1"\nimport torch',
    "a key that may be another variable": """
        import sys
        key = "A" if len(sys.argv) > 1 else sys.argv[0]
        os.environ[key] = "1,1"
        """,
    "a value that only the machine knows": """
        import sys
        os.environ["CUDA_VISIBLE_DEVICES"] = sys.argv[1]
        import torch
        """,
}
FAULTS = {
    "branches that exclude each other: only the import was too early": (
        """
        def run(ids):
            import torch
            if len(ids) > 1:
                torch.cuda.init()
            if len(ids) == 1:
                MASK
        def other(gpu, several):
            import torch
            if gpu and several:
                torch.cuda.set_device(0)
            if not gpu:
                os.environ["CUDA_VISIBLE_DEVICES"] = ""
        """,
        [("GPU108", 8), ("GPU108", 14)],
    ),
    "branches that exclude each other in a loop alone": (
        """
        def run(numbers):
            import torch
            for number in numbers:
                if number > 1:
                    torch.cuda.init()
                if number == 1:
                    MASK
        """,
        [("GPU107", 9)],
    ),
    "branches that do not exclude each other": (
        """
        def run(ids):
            import torch
            if len(ids) > 1:
                torch.cuda.init()
            if len(ids) >= 2:
                MASK
        """,
        [("GPU107", 8)],
    ),
    "after a call that freezes": ("import torch\ntorch.cuda.init()\nMASK", [("GPU107", 4)]),
    "after the import only": ("import torch\nMASK", [("GPU108", 3)]),
    "an import that freezes": ("import torch_geometric\nMASK", [("GPU107", 3)]),
    "aliases": (
        "import torch as th\nfrom torch import cuda as c\nfrom os import environ as env\n"
        'c.init()\nenv["CUDA_VISIBLE_DEVICES"] = "1"',
        [("GPU107", 6)],
    ),
    "a freeze inside a called function": (
        "import torch\ndef probe():\n    return torch.cuda.is_available()\nprobe()\nMASK",
        [("GPU107", 6)],
    ),
    "defaults run at definition": (
        "import torch\ndef f(n=torch.cuda.current_device()):\n    pass\nMASK",
        [("GPU107", 5)],
    ),
    "decorators run at definition": (
        "import torch\n@torch.compile\ndef f(x):\n    return x\nMASK",
        [("GPU107", 6)],
    ),
    "class bodies run": (
        "import torch\nclass A:\n    ok = torch.cuda.is_available()\nMASK",
        [("GPU107", 5)],
    ),
    "the main guard runs last": (
        "import torch\nif __name__ == '__main__':\n    torch.cuda.init()\n    MASK",
        [("GPU107", 5)],
    ),
    "main() behind the guard": (
        "import torch\ndef main():\n    MASK\nif __name__ == '__main__':\n    main()",
        [("GPU108", 4)],
    ),
    "local order decides in an uncalled function": (
        "def f():\n    import torch\n    torch.cuda.init()\n    MASK",
        [("GPU107", 5)],
    ),
    "an import in try counts": (
        "try:\n    import torch\nexcept ImportError:\n    torch = None\nMASK",
        [("GPU108", 6)],
    ),
    "a freeze in the test of a branch": (
        "import torch\nif torch.cuda.is_available():\n    MASK",
        [("GPU107", 4)],
    ),
    "a freeze on one path only may come first": (
        "import sys\nimport torch\nif len(sys.argv) > 1:\n    torch.cuda.init()\nMASK",
        [("GPU107", 6)],
    ),
    "the tensor goes to a known GPU": (
        "import torch\nx = torch.zeros(1, device='cuda')\nMASK",
        [("GPU107", 4)],
    ),
    "update and |= write too": (
        "import torch\ntorch.cuda.init()\n"
        'os.environ.update({"CUDA_VISIBLE_DEVICES": "1"})\n'
        'os.environ |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}',
        [("GPU107", 4), ("GPU107", 5)],
    ),
    "the allocator after an allocation": (
        "import torch\ntorch.zeros(1).cuda()\n"
        'os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:64"',
        [("GPU107", 4)],
    ),
    "a child that uses no GPU is no reason": (
        "import torch\nMASK\nos.system('rm -r ' + 'x')",
        [("GPU108", 3)],
    ),
    "whisper looks for a GPU where it is given no device": (
        "import whisper\nm = whisper.load_model('base')\nMASK",
        [("GPU107", 4)],
    ),
    "importlib imports as well": (
        "import importlib\nimportlib.import_module('torch')\nMASK",
        [("GPU108", 4)],
    ),
    "removed again": (
        'MASK\nos.environ.pop("CUDA_VISIBLE_DEVICES")',
        [("GPU118", 3)],
    ),
    "known through names, str and join": (
        'CARDS = [1, 1]\nos.environ["CUDA_VISIBLE_DEVICES"] = ",".join(["1", str(1)])',
        [("GPU112", 3)],
    ),
    "a method of an object built at module level": (
        "import torch\nclass A:\n    def go(self):\n        torch.cuda.init()\na = A()\na.go()\nMASK",
        [("GPU107", 8)],
    ),
}


@pytest.mark.parametrize("program", NOOP.values(), ids=NOOP.keys())
def test_nothing_to_say(program: str) -> None:
    assert found(program) == []


@pytest.mark.parametrize(("program", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_fault(program: str, expected: list[tuple[str, int]]) -> None:
    assert found(program) == expected


def test_message_names_the_freezing_call_its_line_and_the_lie() -> None:
    text = f"import os, torch\ntorch.cuda.is_available()\n{MASK}\n"
    (finding,) = check_text(text).findings
    assert "`torch.cuda.is_available()` on line 2" in finding.message
    assert "device_count() may report it as if it had" in finding.message
    assert "Windows is unmeasured" in finding.note


@pytest.mark.parametrize("loops", [0, 1, 3, 5])
def test_nothing_goes_on_behind_a_finally_that_all_paths_leave_by_an_exception(loops: int) -> None:
    lines = ["import os", "import torch"]
    for depth in range(loops):
        lines.append(f"{'    ' * depth}for x{depth} in (1, 2, 3, 4, 5, 6, 7, 8):")
    pad = "    " * loops
    lines += [f"{pad}try:", f"{pad}    raise SystemExit", f"{pad}finally:"]
    lines += [f"{pad}    torch.cuda.init()", 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"']
    assert codes(check_text("\n".join(lines) + "\n")) == []
