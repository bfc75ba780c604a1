"""Which files must carry a header or a validator, which are entry points, and why."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.journal import Journal
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.writing import Writing
from tests.conftest import ROOT, check_files, engine_for, write_files

Files = dict[str, str]
HEADER = (
    "import os\n\n"
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
    'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
)
INDENTED = HEADER.partition("\n\n")[2].replace("os.environ[", "    os.environ[")
HELPER = f"import os\n\n\ndef choose():\n{INDENTED}"
GUARD = 'if __name__ == "__main__":\n    pass\n'
MAIN = 'if __name__ == "__main__":\n    main()\n'
IN_MAIN = "def main():\n    {}\n    import torch\n    torch.zeros(1).cuda()\n\n\n" + MAIN


def policy(header: Any = "all", validation: Any = "never") -> dict[str, Any]:
    return {
        "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"},
        "header": {"required-in": header},
        "validation": {"required-in": validation},
    }


def with_code(root: Path, files: Files, wanted: str, asked: dict[str, Any]) -> set[str]:
    """The files in which a rule finds something."""
    found = check_files(root, files, asked)
    return {name for name, one in found.items() if wanted in {f.code for f in one.findings}}


# --- each file itself --------------------------------------------------------------------------

ITSELF: dict[str, tuple[Files, bool]] = {
    "own statements": ({"run.py": HEADER + "import torch\n"}, True),
    "own statements in the guard": (
        {
            "run.py": "import os\n\n\ndef main():\n    import torch\n    torch.cuda.init()\n\n\n"
            'if __name__ == "__main__":\n' + INDENTED + "    main()\n"
        },
        True,
    ),
    "a function of its own that is called": (
        {"run.py": HELPER + "\n\nchoose()\nimport torch\n"},
        True,
    ),
    "a function of another file that is called": (
        {"env.py": HELPER, "run.py": "from env import choose\n\nchoose()\nimport torch\n"},
        True,
    ),
    "a function behind another one": (
        {
            "env.py": HELPER,
            "more.py": "import env\n\n\ndef all_of_it():\n    env.choose()\n",
            "run.py": "import more\n\nmore.all_of_it()\nimport torch\n",
        },
        True,
    ),
    "a module that does it": ({"env.py": HEADER, "run.py": "import env\nimport torch\n"}, True),
    "a module behind another one": (
        {"env.py": HEADER, "first.py": "import env\n", "run.py": "import first\nimport torch\n"},
        True,
    ),
    "a module that does it and imports the framework": (
        {"env.py": HEADER + "import torch\n", "run.py": "import env\nimport torch\n"},
        True,
    ),
    "a module that is imported in the guard": (
        {
            "env.py": HEADER,
            "run.py": "def main():\n    import torch\n    torch.cuda.init()\n\n\n"
            'if __name__ == "__main__":\n    import env\n\n    main()\n',
        },
        True,
    ),
    "a module, in a file that others import": (
        {
            "env.py": HEADER,
            "lib.py": "import env\nimport torch\n",
            "run.py": HEADER + "import lib\n",
        },
        True,
    ),
    "an import in a function": (
        {"env.py": HEADER, "run.py": IN_MAIN.format("import env")},
        False,
    ),
    "an import in a function, by name": (
        {
            "env.py": HEADER,
            "run.py": "import importlib\n\n\n"
            + IN_MAIN.format('importlib.import_module("env")'),
        },
        False,
    ),
    "an import in a function of a module that uses a GPU, too": (
        {"env.py": HEADER + "import torch\n", "run.py": IN_MAIN.format("import env")},
        False,
    ),
    "an import in a function of another file": (
        {
            "env.py": HEADER,
            "more.py": "def choose():\n    import env\n",
            "run.py": "import more\n\nmore.choose()\nimport torch\n",
        },
        False,
    ),
    "an import in a method": (
        {
            "env.py": HEADER,
            "run.py": "class App:\n    def __init__(self):\n        import env\n        import torch\n"
            '\n\nif __name__ == "__main__":\n    App()\n',
        },
        False,
    ),
    "an import behind the framework": (
        {"env.py": HEADER, "run.py": "import torch\nimport env\n"},
        False,
    ),
    "a module that is imported on one path alone": (
        {"env.py": HEADER, "run.py": "import sys\n\nif sys.argv[1:]:\n    import env\nimport torch\n"},
        False,
    ),
    "what another program of the project does": (
        {"lib.py": "import torch\n", "run.py": HEADER + "import lib\n"},
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("required_in", ["all", "gpu-files"])
@pytest.mark.parametrize("name", ITSELF)
def test_each_file_must_set_the_header_itself(tmp_path: Path, name: str, required_in: str) -> None:
    files, does = ITSELF[name]
    asked = "lib.py" if "lib.py" in files else "run.py"
    found = with_code(tmp_path, files, "GPU101", policy(required_in))
    assert (asked not in found) is does


@pytest.mark.parametrize(
    "name", [name for name, (files, _) in ITSELF.items() if "lib.py" not in files]
)
def test_of_entry_points_it_is_asked_what_is_in_effect(tmp_path: Path, name: str) -> None:
    files, does = ITSELF[name]
    late = "behind the framework", "on one path alone"
    started = files["run.py"] + ("" if "__main__" in files["run.py"] else GUARD)
    found = with_code(tmp_path, {**files, "run.py": started}, "GPU101", policy("entry-points"))
    assert ("run.py" in found) is (not does and name.endswith(late))


def test_a_managed_header_that_all_others_have_counts_where_it_is_imported(tmp_path: Path) -> None:
    """Where all headers are alike no file is run for its own, but one that has none may be."""
    headed = dict.fromkeys(("a.py", "b.py", "env.py"), "import torch\n")
    asked = policy("gpu-files")
    paths = write_files(tmp_path, headed)
    engine_for(asked).fix(paths, unsafe=False, writing=Writing(Journal(tmp_path / "state")))
    files = {name: (tmp_path / name).read_text() for name in headed}
    files["direct.py"] = "import env\nimport torch\n"
    files["late.py"] = "import torch\n\n\ndef load():\n    import env\n"
    files["called.py"] = IN_MAIN.format("import env")
    assert with_code(tmp_path, files, "GPU101", asked) == {"late.py", "called.py"}


BEFORE = ROOT / "fixtures" / "superwhisper" / "before"
AFTER = ROOT / "fixtures" / "superwhisper" / "after"


@pytest.mark.parametrize(
    "migrated",
    [
        ("LLM", "LUXA_TTS", "Orchestrator", "STT", "TTS", "benchmarks", "utils"),
        ("LLM", "STT", "TTS", "validate_gpu_config.py"),
        ("tests", "test_tts_fixed.py", "test_cuda.py"),
    ],
)
def test_the_files_that_are_left_to_migrate_are_those_that_are_named(
    tmp_path: Path, migrated: tuple[str, ...]
) -> None:
    root = tmp_path / "project"
    shutil.copytree(BEFORE, root)
    left = set()
    for path in BEFORE.rglob("*.py"):
        name = path.relative_to(BEFORE)
        if name.parts[0] in migrated:
            shutil.copy(AFTER / name, root / name)
        elif name.name != "validate_gpu_config.py":  # which has a header already
            left.add(name.as_posix())
    finder = SettingsFinder(load_rulebook())
    found = Engine(finder).check(discover([root], finder).files)
    header = {"GPU101", "GPU102", "GPU103", "GPU105", "GPU107", "GPU108"}
    assert {
        one.path.relative_to(root).as_posix()
        for one in found.files
        if header & {finding.code for finding in one.findings}
    } == left
