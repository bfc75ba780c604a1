"""``gpu-lint verify``: what is run, by which Python, what is proved, and what is told of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from click.testing import Result

from gpu_lint.runtime import verifyrun
from gpu_lint.runtime.cards import Card, Machine, NoDriver
from tests import fakecuda
from tests.conftest import ROOT, run_cli
from tests.fakedriver import be_on_machine

SMALL = "GPU-00000000-0000-0000-0000-000000000000"
BIG = "GPU-10000000-0000-0000-0000-000000000001"
POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\nname = "RTX 3090"\n'
ORDER = 'import os\nos.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
HEADER = ORDER + 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
USE = 'import torch\nif __name__ == "__main__":\n    torch.zeros(1, device="cuda:0")\n'
LATE = "import torch\ntorch.cuda.is_available()\n" + HEADER
PRINTS = 'open("ran", "w").close()\nprint("RTX 3090 \u2705")\n'
SCHEMA = json.loads((ROOT / "gpu_lint" / "runtime" / "verify.schema.json").read_text("utf-8"))


class Verify:
    """Verifies files in a directory of their own, on the machine of the stand-ins."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.document: dict[str, Any] = {}

    def write(self, files: dict[str, str], policy: str = POLICY) -> None:
        for name, text in {"gpu-lint.toml": policy, **files}.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def __call__(
        self,
        files: dict[str, str],
        *arguments: str,
        policy: str = POLICY,
        python: str = sys.executable,
    ) -> Result:
        self.write(files, policy)
        target = self.root.parent / "verify.json"
        target.unlink(missing_ok=True)
        chosen = ("--python", python) if python else ()
        done = run_cli("verify", *chosen, "--json", str(target), *arguments)
        self.document = json.loads(target.read_text("utf-8")) if target.exists() else {}
        if self.document:
            jsonschema.validate(self.document, SCHEMA)
        return done

    @property
    def results(self) -> dict[str, str]:
        return {one["name"].replace(os.sep, "/"): one["result"] for one in self.document["entries"]}

    def why(self, name: str) -> str:
        return str(next(one["why"] for one in self.document["entries"] if one["name"] == name))


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fakedriver: Path) -> Verify:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    path = os.environ["PATH"]
    be_on_machine(monkeypatch, None, fakedriver)  # which NVML cannot be shown once Python runs
    variables = {
        **fakecuda.environment(tmp_path / "log"),
        "LD_LIBRARY_PATH": str(fakedriver),
        "FAKECUDA_DRIVER": "libcuda.so.1",
        "PATH": os.pathsep.join([str(fakedriver / "bin"), path]),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("gpu_lint.runtime.processtree.GRACE_SECONDS", 0.3)
    return Verify(root)


# --- what is proved ----------------------------------------------------------------------------

IMPORTED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "a header": ({"a.py": HEADER + USE}, {"a.py": "proved"}),
    "no header": ({"a.py": USE}, {"a.py": "violated"}),
    "the order alone": ({"a.py": ORDER + USE}, {"a.py": "violated"}),
    "the forbidden card": ({"a.py": HEADER.replace('"1"', '"0"') + USE}, {"a.py": "violated"}),
    "a late header": ({"a.py": LATE + USE}, {"a.py": "violated"}),
    "a header in a module of the project": (
        {"policy.py": HEADER, "a.py": "import policy\n" + USE},
        {"a.py": "proved"},
    ),
    "a header that only the main guard runs": (
        {"a.py": "import torch\ndef main():\n    import os\n    os.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
         "    torch.zeros(1, device='cuda:0')\nif __name__ == '__main__':\n    main()\n"},
        {"a.py": "unproven"},
    ),
    "a file in a package, which imports its neighbours": (
        {"app/__init__.py": "", "app/policy.py": HEADER, "app/a.py": "from . import policy\n" + USE},
        {"app/a.py": "proved"},
    ),
    "a script beside its modules, which imports from the project's root": (
        {"tools/near.py": "", "lib/far.py": HEADER, "tools/a.py": "import near\nfrom lib import far\n" + USE},
        {"tools/a.py": "proved"},
    ),
    "what raises": ({"a.py": HEADER + USE + "raise RuntimeError('no')\n"}, {"a.py": "failed"}),
    "what leaves": ({"a.py": HEADER + USE + "raise SystemExit(3)\n"}, {"a.py": "failed"}),
    "a wrong card, and an error": (
        {"a.py": "import torch\ntorch.cuda.init()\n" + USE + "raise SystemExit(1)\n"},
        {"a.py": "violated"},
    ),
    "a library and a script without a GPU": (
        {"a.py": HEADER + USE, "helpers.py": "X = 1\n", "csv_tool.py": "if __name__ == '__main__':\n    print(1)\n"},
        {"a.py": "proved"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", IMPORTED)
def test_importing_proves(verify: Verify, what: str) -> None:
    files, expected = IMPORTED[what]
    done = verify(files, ".")
    assert verify.results == expected
    is_proved = set(expected.values()) == {"proved"}
    assert done.exit_code == (0 if is_proved else 1)
    verdicts = {"proved": "as-demanded", "violated": "violated"}
    assert verify.document["verdict"] == verdicts.get(next(iter(expected.values())), "unproven")


RUN: dict[str, tuple[str, str, str]] = {
    "a header": (HEADER + USE, "proved", "sees NVIDIA GeForce RTX 3090"),
    "a header in the main guard": (
        "import os, torch\nif __name__ == '__main__':\n    " + HEADER.partition("\n")[2].replace("\n", "\n    ")
        + "torch.zeros(1, device='cuda:0')\n",
        "proved",
        "alone",
    ),
    "no header": (USE, "violated", "x.py:3"),
    "a late header": (LATE + USE, "violated", "x.py:4: CUDA_DEVICE_ORDER is set to 'PCI_BUS_ID' after"),
    "what only prints": (PRINTS, "unproven", "no process initialised CUDA"),
    "an exit status": (HEADER + USE + "    raise SystemExit(3)\n", "failed", "ended with status 3"),
    "an error": (HEADER + USE + "    raise ValueError('--token abc')\n", "failed", "ValueError: --token ***"),
    "what never ends": (HEADER + USE + "    while True: pass\n", "timeout", "had not ended after 4 s"),
    "a child without the mask": (
        "import subprocess, sys\n" + HEADER + "import torch\nif __name__ == '__main__':\n"
        "    torch.zeros(1, device='cuda:0')\n    env = {**os.environ}\n"
        "    del env['CUDA_VISIBLE_DEVICES']\n    code = 'import torch; torch.cuda.init()'\n"
        "    subprocess.run([sys.executable, '-c', code], env=env, check=True)\n",
        "violated",
        "RTX 5060 Ti",
    ),
    "a child that the recorder does not see": (
        "import subprocess, sys\n" + HEADER + "import torch\nif __name__ == '__main__':\n"
        "    torch.zeros(1, device='cuda:0')\n"
        "    subprocess.run([sys.executable, '-I', '-c', 'pass'], check=True)\n",
        "unproven",
        "not recorded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", RUN)
def test_running_proves(verify: Verify, what: str) -> None:
    source, result, why = RUN[what]
    done = verify({"x.py": source}, "--mode", "run", "--timeout", "4", "x.py")
    assert verify.results == {"x.py": result}
    assert why in verify.why("x.py")
    assert done.exit_code == (0 if result == "proved" else 1)
    assert "\n" not in verify.why("x.py")
    assert os.path.join(verify.root, "") not in done.stdout


def test_what_only_prints_is_unproven_and_not_imported(verify: Verify) -> None:
    done = verify({"x.py": PRINTS}, "x.py")
    assert (done.exit_code, verify.results) == (1, {"x.py": "unproven"})
    assert "it reaches no GPU framework" in done.stdout
    assert not (verify.root / "ran").exists()


def test_each_entry_is_judged_by_its_own_policy(verify: Verify) -> None:
    policy = (
        POLICY
        + '[[overrides]]\npaths = ["training/**"]\ngpu = { visible-devices = "0,1", name = "RTX" }\n'
    )
    both = ORDER + 'os.environ["CUDA_VISIBLE_DEVICES"] = "0,1"\n' + USE
    files = {
        "a.py": HEADER + USE,
        "training/b.py": both,
        "training/c.py": HEADER + USE,
        "d.py": both,
    }
    done = verify(files, policy=policy)
    assert verify.results == {
        "a.py": "proved", "training/b.py": "proved", "training/c.py": "violated", "d.py": "violated"
    }  # fmt: skip
    assert done.exit_code == 1
    seen = {
        one["name"]: [card["uuid"] for card in one["visible"]] for one in verify.document["entries"]
    }
    assert seen[os.path.join("training", "b.py")] == [SMALL, BIG]


@pytest.mark.parametrize(("arguments", "result"), [((), "violated"), (("--keep-env",), "proved")])
def test_the_policys_variables_are_taken_out_of_the_environment(
    verify: Verify, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], result: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    verify({"x.py": USE}, *arguments)
    assert verify.results == {"x.py": result}


def test_a_used_card_is_in_the_document(verify: Verify) -> None:
    verify({"x.py": HEADER + USE}, "--mode", "run", "x.py")
    (entry,) = verify.document["entries"]
    assert [one["uuid"] for one in entry["touched"]] == [BIG]
    assert set(entry["touched"][0]) >= {"name", "pci", "ordinal", "first_s", "peak_mib", "evidence"}


def test_a_policy_with_an_index_that_the_machine_lacks_proves_nothing(verify: Verify) -> None:
    verify({"x.py": HEADER.replace('"1"', '"7"') + USE}, policy=POLICY.replace('"1"', '"7"'))
    assert verify.results == {"x.py": "unproven"}


def test_the_whole_way_from_the_command_line(verify: Verify) -> None:
    verify.write({"good.py": HEADER + USE, "bad.py": USE})
    python = script(
        verify.root.parent / "python",
        f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{fakecuda.SITE}" exec {sys.executable} "$@"\n',
    )
    command = [sys.executable, "-m", "gpu_lint", "verify", "--python", str(python)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}  # its own pynvml, not the stand-in of programs
    good = subprocess.run([*command, "good.py"], env=env, capture_output=True, text=True)
    bad = subprocess.run([*command, "bad.py"], env=env, capture_output=True, text=True)
    assert (good.returncode, bad.returncode) == (0, 1), good.stderr + bad.stderr
    assert f"sees NVIDIA GeForce RTX 3090 ({BIG}) alone" in good.stdout
    assert SMALL in bad.stdout


def test_the_migrated_voice_assistant_is_proved_but_for_the_file_that_removes_the_mask(
    verify: Verify,
) -> None:
    shutil.copytree(ROOT / "fixtures" / "superwhisper" / "after", verify.root, dirs_exist_ok=True)
    verify({}, policy=(verify.root / "gpu-lint.toml").read_text("utf-8"))
    assert verify.document["files"]["looked_at"] == 40
    results = verify.results
    assert results.pop("test_cuda_debug.py") == "violated"
    assert set(results.values()) == {"proved"}
    assert len(results) == 26
    found = run_cli("check", "--output-format", "concise", "test_cuda_debug.py").stdout
    assert "GPU107" in found
    assert "GPU118" in found


# --- commands of the configuration ---------------------------------------------------------------


def entry(name: str, command: Any, **keys: Any) -> str:
    table = {"name": name, "command": command, **keys}
    return "[[runtime.entry]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items())


def test_commands_of_the_configuration(verify: Verify) -> None:
    policy = (
        POLICY
        + '[[overrides]]\npaths = ["two.py"]\ngpu = { visible-devices = "0,1", name = "RTX" }\n'
        + entry("by string", "python one.py --token abc", run=True)
        + entry("by list", ["python3", "one.py"], run=True)
        + entry("with its file's policy", "python two.py", run=True)
        + entry("in a directory", "python one.py", cwd="sub", run=True)
        + entry("lacks a module", "python one.py", needs=["json", "no_such_module.x"], run=True)
        + entry("no such command", "no-such-command", run=True)
        + entry("ends late", "python loop.py", run=True, timeout=2)
        + entry("on demand", "python one.py")
    )
    one = HEADER + "import torch\ntorch.zeros(1, device='cuda:0')\n"
    files = {"one.py": one, "two.py": one, "sub/one.py": one, "loop.py": "while True: pass\n"}
    done = verify(files, policy=policy)
    expected = {
        "by string": "proved",
        "by list": "proved",
        "with its file's policy": "violated",
        "in a directory": "proved",
        "lacks a module": "unproven",
        "no such command": "failed",
        "ends late": "timeout",
    }
    assert {name: verify.results[name] for name in expected} == expected
    assert "on demand" not in verify.results
    assert done.exit_code == 1
    assert "it needs the module no_such_module.x" in verify.why("lacks a module")
    assert verify.why("no such command") == "there is no command 'no-such-command'"
    assert "abc" not in json.dumps(verify.document)
    verify({}, "one.py", policy=policy)
    assert verify.results == {"one.py": "proved"}


def test_mode_run_without_files_runs_all_commands_of_the_configuration(verify: Verify) -> None:
    one = HEADER + "import torch\ntorch.zeros(1, device='cuda:0')\n"
    policy = POLICY + entry("on demand", "python one.py")
    verify({"one.py": one, "two.py": USE}, "--mode", "run", policy=policy)
    assert verify.results == {"on demand": "proved"}


def test_no_command_of_a_configuration_runs_for_an_untrusted_tree(verify: Verify) -> None:
    harm = entry("harm", "python harm.py", run=True) + '[runtime]\npython = "./harm.sh"\n'
    files = {"a.py": HEADER + USE, "harm.py": PRINTS, ".venv/bin/python": "#!/bin/sh\ntouch ran\n"}
    verify.write(files, POLICY + harm)
    (verify.root / ".venv/bin/python").chmod(0o755)
    trusted = verify.root.parent / "trusted.toml"
    trusted.write_text(POLICY + entry("harm", "python harm.py", run=True))
    refused = verify({}, "--untrusted", policy=POLICY + harm)
    assert refused.exit_code == 2
    assert "--untrusted needs --config FILE" in refused.stderr
    inside = verify({}, "--untrusted", "--config", "gpu-lint.toml", policy=POLICY + harm)
    assert inside.exit_code == 2
    assert "lies in the tree" in inside.stderr
    done = verify({}, "--untrusted", "--config", str(trusted), "a.py", policy=POLICY + harm)
    assert (done.exit_code, verify.results) == (0, {"a.py": "proved"})
    verify({}, "--untrusted", "--config", str(trusted), policy=POLICY + harm, python="")
    assert "harm" not in verify.results
    assert verify.document["python"]["origin"] == "PATH"
    assert not (verify.root / "ran").exists()


# --- no GPU, nothing to verify, bad input --------------------------------------------------------


@pytest.mark.parametrize("cards", [None, ()], ids=["no driver", "no card"])
@pytest.mark.parametrize(
    ("arguments", "status", "verdict"),
    [((), 1, "unproven"), (("--no-gpu", "skip"), 0, "skipped")],
)
def test_without_a_gpu_nothing_is_run(
    verify: Verify,
    monkeypatch: pytest.MonkeyPatch,
    cards: tuple[Card, ...] | None,
    arguments: tuple[str, ...],
    status: int,
    verdict: str,
) -> None:
    def read_machine() -> Machine:
        if cards is None:
            raise NoDriver("no NVIDIA driver answers: none here")
        return Machine("580", "13.0", cards, "NVML")

    monkeypatch.setattr(verifyrun, "read_machine", read_machine)
    done = verify({"x.py": HEADER + USE + 'open("ran", "w")\n'}, *arguments, "--junit", "j.xml")
    assert (done.exit_code, verify.document["verdict"]) == (status, verdict)
    why = "no NVIDIA driver answers: none here" if cards is None else "the driver shows no GPU"
    assert why in done.stdout
    assert not (verify.root / "ran").exists()
    root = ElementTree.parse(verify.root / "j.xml").getroot()
    assert root.get("skipped") == ("1" if arguments else "0")


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({"x.py": "print(1)\n"}, (), "nothing to verify: of 1 Python file, none is an entry point"),
        ({}, (), "nothing to verify: of 0 Python files"),
        ({"x.py": USE}, ("--mode", "run"), "nothing to verify: --mode run needs FILES"),
        ({"x.py": USE}, ("missing.py",), "missing.py"),
        ({"x.py": "import torch\nif (\n"}, ("x.py",), "x.py is left out"),
        ({"x.py": USE}, ("--isolated",), "verify needs a policy"),
        ({"x.py": USE}, ("--timeout", "0"), "--timeout"),
        ({"x.py": USE}, ("--config", "runtime.python='no-such-python'"), "--python"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    verify: Verify, files: dict[str, str], arguments: tuple[str, ...], message: str
) -> None:
    if message == "--python":
        message, python = "runtime.python: there is no Python", ""
    else:
        python = sys.executable
    done = verify(files, *arguments, python=python)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "internal error" not in done.stderr


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_which_python_is_used(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    there = verify.root.parent
    run = f'#!/bin/sh\nexec {sys.executable} "$@"\n'
    files = {"x.py": HEADER + USE}
    named = script(there / "named" / "bin" / "python", run)
    active = script(there / "active" / "bin" / "python", run)
    script(there / "configured" / "python", run)
    path = script(there / "path" / "python3", run)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")

    def used(*arguments: str, policy: str = POLICY) -> tuple[str, str]:
        verify(files, *arguments, policy=policy, python="")
        python = verify.document["python"]
        return python["origin"], python["path"]

    assert used() == ("PATH", str(path))
    script(verify.root / ".venv" / "bin" / "python", run)
    assert used()[0] == ".venv"
    monkeypatch.setenv("VIRTUAL_ENV", str(active.parent.parent))
    assert used() == ("VIRTUAL_ENV", str(active))
    configured = POLICY + '[runtime]\npython = "../configured/python"\n'
    assert used(policy=configured)[0] == "runtime.python"
    assert used("--python", str(named.parent.parent), policy=configured) == ("--python", str(named))
    assert used("--python", "python3") == ("--python", str(path))
    assert verify.results == {"x.py": "proved"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!/bin/sh\necho hello\n", "is no Python: it gives no version"),
        ("#!/bin/sh\necho gpu-lint 3 6\n", "is Python 3.6; verify needs 3.8 or newer"),
        ("\x7fELF", "cannot be run"),
    ],
)
def test_what_is_no_python_is_one_line(verify: Verify, text: str, message: str) -> None:
    wrong = script(verify.root.parent / "wrong", text)
    done = verify({"x.py": HEADER + USE}, python=str(wrong))
    assert done.exit_code == 2
    assert f"--python: {str(wrong)!r} " in done.stderr
    assert message in done.stderr


# --- what is told --------------------------------------------------------------------------------

SEVERAL = {
    "good.py": HEADER + USE,
    "bad.py": USE,
    "broken.py": HEADER + USE + "print('--token abc')\nraise SystemExit(5)\n",
    "lib.py": "X = 1\n",
}


def test_the_summary_counts_files_and_share(verify: Verify) -> None:
    done = verify(SEVERAL)
    assert done.exit_code == 1
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["Files", "Entry", "points", "Commands", "Proved", "Share"] in rows
    assert ["4", "3", "0", "1", "33", "%"] in rows
    assert "1 proved, 1 violated, 1 failed, 1 file without an entry point" in done.stdout
    assert verify.document["files"] == {"looked_at": 4, "entry_points": 3, "no_entry_point": 1}
    assert verify(SEVERAL, "-q").stdout == ""


def test_junit_has_a_case_for_each_entry(verify: Verify) -> None:
    verify(SEVERAL, "--junit", "verify.xml")
    root = ElementTree.parse(verify.root / "verify.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    kinds = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert kinds == {
        "good.py": [],
        "bad.py": ["failure"] + ["system-out"] * (len(kinds["bad.py"]) - 1),
        "broken.py": ["error", "system-out"],
    }
    text = (verify.root / "verify.xml").read_text()
    assert "--token ***" in text
    assert "abc" not in text


def test_the_document_can_go_to_standard_output(verify: Verify) -> None:
    verify.write({"good.py": HEADER + USE})
    done = run_cli("verify", "--python", sys.executable, "--json", "-")
    assert json.loads(done.stdout)["verdict"] == "as-demanded"
    assert "good.py" in done.stderr


def test_every_field_of_the_document_is_described(verify: Verify) -> None:
    verify({"good.py": HEADER + USE}, "--mode", "run", "good.py")
    undescribed = list(_undescribed(verify.document, SCHEMA))
    assert undescribed == []
    assert SCHEMA["properties"]["entries"]["items"]["required"] == [
        "name", "command", "result", "seconds", "touched", "why"
    ]  # fmt: skip


def _undescribed(value: Any, schema: dict[str, Any]) -> Iterable[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in schema["properties"]:
                yield from _undescribed(inner, schema["properties"][key])
            else:
                yield key
    elif isinstance(value, list):
        for inner in value:
            yield from _undescribed(inner, schema["items"])


@pytest.mark.parametrize("command", ["check .", "fix .", "graph", "rule GPU107", "config ."])
def test_what_runs_no_code_does_not_know_how_to(
    project: Callable[[dict[str, str | bytes]], Path], command: str
) -> None:
    root = project({"gpu-lint.toml": POLICY + entry("a", "b"), "a.py": LATE + USE})
    code = (
        "import sys\nfrom gpu_lint.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code in (0, 1), end.code\n"
        "print([name for name in sys.modules if name.startswith('gpu_lint.runtime')], file=sys.stderr)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_says_first_that_it_runs_code() -> None:
    text = run_cli("verify", "--help").stdout
    assert text.split("\n\n")[1].strip().startswith("This runs code")
    assert "Example: gpu-lint verify " in text


# --- history -------------------------------------------------------------------------------------


def history(state: Path) -> list[dict[str, Any]]:
    file = state / "history.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_run_is_remembered_without_secrets(
    verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = verify.root.parent / "state"
    monkeypatch.setenv("GPU_LINT_STATE_DIR", str(state))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("MY_API_KEY", "hidden-value")
    verify({"x.py": HEADER + USE}, "--no-history")
    assert history(state) == []
    policy = POLICY + entry("command", "python x.py --token hidden-value", run=True)
    verify({"x.py": HEADER + USE}, policy=policy)
    (run,) = history(state)
    assert run["variables"] == {"CUDA_VISIBLE_DEVICES": "0"}
    assert [one["result"] for one in run["document"]["entries"]] == ["proved", "proved"]
    assert "hidden-value" not in json.dumps(run)


def test_a_history_that_cannot_be_written_changes_no_verdict(
    verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    (verify.root.parent / "file").write_text("")
    monkeypatch.setenv("GPU_LINT_STATE_DIR", str(verify.root.parent / "file" / "state"))
    done = verify({"x.py": HEADER + USE})
    assert (done.exit_code, verify.results) == (0, {"x.py": "proved"})
    assert done.stderr.count("the history in") == 1


# --- the keys of the policy ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[runtime.entry]]\nname = 'a'\n", "runtime.entry[1]: lacks command"),
        ("[[runtime.entry]]\ncommand = 'a'\n", "runtime.entry[1]: lacks name"),
        (
            "[[runtime.entry]]\nname = 'a'\ncommand = 'a'\ntimout = 1\n",
            "gpu-lint.toml:8: runtime.entry[1].timout: unknown key; did you mean 'timeout'?",
        ),
        (entry("a", "b", shell=True), "unknown key; accepted: command, cwd, name, needs, run, timeout"),
        (entry("a", 3), "runtime.entry[1].command: must be a string or a list of strings"),
        (entry("a", []), "names no command"),
        (entry("a", "  "), "names no command"),
        (entry("a", "x 'y"), "cannot be split into arguments: no closing quotation"),
        (entry("a", ["x", 1]), "must be a string or a list of strings, not a list"),
        (entry("a", "b", timeout=0), "runtime.entry[1].timeout: 0 is not accepted"),
        (entry("a", "b", timeout=True), "must be a number of seconds, not a boolean"),
        (entry("a", "b", needs="torch"), "must be a list of module names, not a string"),
        (entry("a", "b", needs=["faster-whisper"]), "'faster-whisper' is no module's name"),
        (entry("a", "b", run="yes"), "must be true or false, not a string"),
        (entry("", "b"), "runtime.entry[1].name: must not be empty"),
        (entry("a", "b") + entry("a", "c"), "runtime.entry[2].name: 'a' is the name of two"),
        ("[runtime]\nentry = 3\n", "runtime.entry: must be an array of tables"),
        ("[runtime]\npyton = 'x'\n", "runtime.pyton: unknown key; did you mean 'python'?"),
        ("[runtime]\nhistory = 3\n", "runtime.history: must be a table, not an integer"),
        ("[runtime.history]\ndays = 0\n", "runtime.history.days: 0 is not accepted"),
        ("[runtime.history]\nday = 1\n", "runtime.history.day: unknown key; did you mean 'days'?"),
        ("[runtim]\n", "unknown key; did you mean 'runtime'?"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_one_line(
    project: Callable[[dict[str, str | bytes]], Path],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    message: str,
) -> None:
    monkeypatch.chdir(project({"gpu-lint.toml": POLICY + text}))
    done = run_cli("config")
    assert done.exit_code == 2
    assert message in done.stderr


def test_keys_are_shown_with_their_origins(
    project: Callable[[dict[str, str | bytes]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = POLICY + entry("a", "b c", run=True) + "[runtime.history]\ndays = 3\n"
    monkeypatch.chdir(project({"gpu-lint.toml": policy}))
    shown = run_cli("config", "--config", "runtime.history.mib=7").stdout
    assert 'runtime.entry = [{ "name" = "a", "command" = "b c", "run" = true }]' in shown
    days = next(line for line in shown.splitlines() if "history.days" in line)
    assert days.startswith("runtime.history.days = 3  # ")
    assert days.endswith("gpu-lint.toml:10")
    assert "runtime.history.mib = 7  # --config" in shown
