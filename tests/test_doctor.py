"""``gpu-lint doctor``: machine, policy and shell, and what it says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from click.testing import Result

from gpu_lint.cli import init as init_command
from gpu_lint.errors import ConfigError
from gpu_lint.rulebook import load_rulebook
from gpu_lint.runtime.cards import Card, CardProcess, Machine
from gpu_lint.runtime.programs import project_python
from gpu_lint.runtime.suggest import short_name, suggest
from gpu_lint.runtime.surroundings import surroundings
from gpu_lint.runtime.torchbuild import runs_on
from gpu_lint.settings import settings_of
from tests.conftest import ROOT, run_cli
from tests.fakedriver import be_on_machine, environment

SCHEMA = json.loads((ROOT / "gpu_lint" / "runtime" / "doctor.schema.json").read_text("utf-8"))
UUIDS = [f"GPU-{n}0000000-0000-0000-0000-00000000000{n}" for n in range(3)]
TWINS = {"FAKECUDA_NAMES": "NVIDIA GeForce RTX 3090,NVIDIA GeForce RTX 3090"}
TWINS["FAKECUDA_MEMORY_GIB"] = "24,24"
ONE = {"FAKECUDA_NAMES": "NVIDIA H200", "FAKECUDA_MEMORY_GIB": "140"}


@dataclass
class Doctor:
    """Runs the command in a project, on a machine."""

    libraries: Path
    root: Path
    python: str
    """One without torch, which says so at once."""
    patch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, **machine: str) -> subprocess.CompletedProcess[str]:
        """The command in a process of its own."""
        env = environment(self.libraries, **machine)
        env = {**env, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        command = [sys.executable, "-m", "gpu_lint", "doctor", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=env, capture_output=True, encoding="utf-8", timeout=120
        )

    def here(self, *arguments: str, **machine: str) -> Result:
        """The command in this process."""
        be_on_machine(self.patch, self.libraries, **machine)
        self.patch.chdir(self.root)
        return run_cli("doctor", *arguments)

    def document(self, python: str = "", **machine: str) -> dict[str, Any]:
        """The JSON document, which its schema holds."""
        done = self.here("--json", "-", "--python", python or self.python, **machine)
        assert done.exit_code in (0, 1), done.output
        found: dict[str, Any] = json.loads(done.stdout)
        jsonschema.validate(found, SCHEMA)
        assert done.exit_code == (found["verdict"] in ("violated", "unproven"))
        return found

    def policy(self, text: str) -> None:
        (self.root / "gpu-lint.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def doctor(fakedriver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho gpu-lint-torch:null\n", encoding="utf-8")
    python.chmod(0o755)
    return Doctor(fakedriver, root, str(python), monkeypatch)


def gpu(mask: str = "1", order: str = "PCI_BUS_ID", **keys: Any) -> str:
    """The text of a policy."""
    lines = [f'visible-devices = "{mask}"']
    lines += [f'device-order = "{order}"'] * bool(order)
    lines += [f"{key.replace('_', '-')} = {json.dumps(value)}" for key, value in keys.items()]
    return "[gpu]\n" + "\n".join(lines) + "\n"


def remarks(found: dict[str, Any]) -> list[str]:
    """What is said of the policies, each behind its level."""
    said = [one for policy in found["policies"] for one in policy["remarks"]]
    return [f"{one['level']}: {one['text']}" for one in said]


FITS = "ok: 1 is card 1, NVIDIA GeForce RTX 3090, cuda:0"
CASES: list[tuple[str, dict[str, str], str, str]] = [
    # policy, machine, verdict, the beginning of a line
    (gpu(), {}, "fits", FITS),
    (gpu(name="RTX 3090"), {}, "fits", "ok: its name holds 'RTX 3090'"),
    (gpu(name="RTX 4090"), {}, "violated", "fails: card 1 is NVIDIA GeForce RTX 3090, not 'RTX 4"),
    (gpu("2"), {}, "violated", "fails: index 2 does not exist: this machine has cards 0, 1"),
    (gpu("0,7"), {}, "violated", "fails: index 7 does not exist"),
    (gpu("1"), ONE, "violated", "fails: index 1 does not exist: this machine has card 0 alone"),
    (gpu("0"), {"FAKECUDA_NAMES": ""}, "violated", "fails: index 0 does not exist: this machine h"),
    (gpu("0,1"), {}, "fits", "ok: 1 is card 1, NVIDIA GeForce RTX 3090, cuda:1"),
    (gpu(UUIDS[1], ""), {}, "fits", f"ok: {UUIDS[1]} is card 1"),
    (gpu("GPU-1", ""), {}, "fits", "ok: GPU-1 is card 1"),
    (gpu("GPU-9", ""), {}, "violated", "fails: no card of this mach"),
    (gpu("1", "FASTEST_FIRST"), {}, "unproven", "unproven: index 1 counts the fastest card first"),
    (gpu("0", "FASTEST_FIRST"), ONE, "fits", "ok: 0 is card 0, NVIDIA H200, cuda:0"),
    (gpu(min_memory_gib=20), {}, "fits", "ok: it has 24.0 GiB; 20 are demanded"),
    (gpu(min_memory_gib=24), {}, "fits", "warning: card 1 has 24.0 GiB, of which PyTorch counts"),
    (gpu(min_memory_gib=25), {}, "violated", "fails: card 1 has 24.0 GiB, less than the 25"),
    (
        gpu(min_memory_gib=20),
        {"FAKEDRIVER_UNSUPPORTED": "MemoryInfo"},
        "unproven",
        "unproven: the memory of card 1 is not available",
    ),
    (gpu(forbidden=["RTX 5060 Ti"]), {}, "fits", "note: card 0, NVIDIA GeForce RTX 5060 Ti, is fo"),
    (gpu("0", forbidden=["5060"]), {}, "violated", "fails: card 0, NVIDIA GeForce RTX 5060 Ti, is"),
    (gpu(name="RTX 3090"), TWINS, "fits", "warning: 'RTX 3090' is in the name of card 0, too"),
    (gpu(), TWINS, "fits", "warning: 'NVIDIA GeForce RTX 3090' is in the name of card 0"),
    (gpu("0,1"), TWINS, "fits", "ok: 0 is card 0"),
    (gpu(), {"FAKEDRIVER_MODES": "0,2"}, "violated", "fails: card 1 is in compute mode Prohibited"),
    (
        gpu(),
        {"FAKEDRIVER_MODES": "0,3", "FAKEDRIVER_PROCESSES": "1:4194300:5"},
        "fits",
        "warning: card 1 is in compute mode Exclusive_Process and in use",
    ),
    (gpu(), {"FAKEDRIVER_MODES": "2,3"}, "fits", FITS),
    (gpu(), {"FAKEDRIVER_MIG": "0,1"}, "unproven", "unproven: card 1 is split by MIG"),
    (gpu(), {"FAKEDRIVER_MIG": "1,0"}, "fits", FITS),
    (
        gpu(UUIDS[1].replace("GPU", "MIG"), ""),
        {"FAKEDRIVER_MIG": "0,1"},
        "fits",
        f"ok: {UUIDS[1].replace('GPU', 'MIG')} is card 1",
    ),
    (gpu(), {"FAKEDRIVER_LOST": "1:4"}, "unproven", "unproven: index 1 is not among the cards tha"),
    (gpu(UUIDS[1]), {"FAKEDRIVER_LOST": "1:4"}, "unproven", f"unproven: {UUIDS[1]} is not among"),
    (gpu(), {"FAKEDRIVER_LOST": "0:4"}, "fits", FITS),
    (gpu(), {"FAKEDRIVER_INIT": "9"}, "unproven", "unproven: no card can be read, so nothing of t"),
    (gpu(), {"FAKEDRIVER_UNSUPPORTED": "Mig,Mode,Processes,Reasons"}, "fits", FITS),
]


@pytest.mark.parametrize(("policy", "machine", "verdict", "line"), CASES)
def test_machine_and_policy_are_compared(
    doctor: Doctor, policy: str, machine: dict[str, str], verdict: str, line: str
) -> None:
    doctor.policy(policy)
    found = doctor.document(**machine)
    assert found["verdict"] == verdict
    assert any(one.startswith(line) for one in remarks(found)), remarks(found)


def test_two_beginnings_of_uuids_are_no_card(doctor: Doctor) -> None:
    names = ",".join(["NVIDIA L4"] * 12)
    doctor.policy(gpu("GPU-1", ""))
    found = doctor.document(FAKECUDA_NAMES=names, FAKECUDA_MEMORY_GIB=",".join(["24"] * 12))
    assert remarks(found)[0].startswith("fails: GPU-1 is the beginning of 3 UUIDs: CUDA shows none")


def test_twins_are_told_apart_by_the_uuid_that_the_next_step_names(doctor: Doctor) -> None:
    doctor.policy(gpu(name="RTX 3090"))
    wanted = f'name the card by its UUID: visible-devices = "{UUIDS[1]}"'
    assert wanted in doctor.document(**TWINS)["next_steps"]
    doctor.policy(gpu(UUIDS[1], name="RTX 3090"))
    assert not any("too" in line for line in remarks(doctor.document(**TWINS)))


def test_the_policies_of_overrides_are_compared_too(doctor: Doctor) -> None:
    doctor.policy(gpu() + '[[overrides]]\npaths = ["two/**"]\n[overrides.gpu]\nvisible-devices="5"')
    found = doctor.document()
    assert found["verdict"] == "violated"
    assert [policy["where"] for policy in found["policies"]] == ["this directory", "two/**"]
    places = [os.path.basename(policy["origin"]) for policy in found["policies"]]
    assert places == ["gpu-lint.toml:2", "gpu-lint.toml:4"]


def test_without_a_policy_the_status_is_0_with_and_without_a_driver(doctor: Doctor) -> None:
    assert doctor.document()["verdict"] == "no-policy"
    found = doctor.document(FAKEDRIVER_INIT="9")
    assert (found["verdict"], found["machine"]) == ("no-policy", None)
    assert found["no_driver"].endswith("its kernel module is not loaded")
    assert "modprobe nvidia" in found["next_steps"]


# --- variables -------------------------------------------------------------------------------

VARIABLES: list[tuple[dict[str, str], str]] = [
    ({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "ok: CUDA shows card 1 (NV"),
    ({"CUDA_VISIBLE_DEVICES": UUIDS[1]}, "ok: CUDA shows card 1 (NVIDIA GeForce RTX 3090)"),
    (
        {"CUDA_VISIBLE_DEVICES": UUIDS[0]},
        "warning: CUDA shows card 0 (NVIDIA GeForce RTX 5060 Ti); ",
    ),
    (
        {"CUDA_VISIBLE_DEVICES": "0"},
        "warning: index 0 counts the fastest card first, an order that",
    ),
    ({"CUDA_VISIBLE_DEVICES": "cuda:1"}, "warning: 'cuda:1' is neither an index nor a UUID"),
    ({"CUDA_VISIBLE_DEVICES": "'1'"}, 'warning: "\'" is part of the value'),
    ({"CUDA_VISIBLE_DEVICES": ""}, "warning: CUDA shows no GPU at all"),
    ({"CUDA_VISIBLE_DEVICES": "9", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "warning: index 9 does not"),
    ({"CUDA_DEVICE_ORDER": "pci_bus_id"}, "warning: 'pci_bus_id' is not accepted: CUDA error 101"),
    ({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, "warning: the policy demands 'PCI_BUS_ID'"),
    ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "ok: an index means what nvidia-smi shows"),
    ({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512"}, "ok: PyTorch accepts it"),
    ({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size:512"}, "warning: PyTorch does not know the key"),
    ({"CUDA_VISIBLE_DEVICE": "1"}, "warning: nothing reads a variable of that name; CUDA_VISIBLE_"),
    ({"NVIDIA_VISIBLE_DEVICES": "all"}, "note: read by the NVIDIA container runtime"),
    ({"TF_FORCE_GPU_ALLOW_GROWTH": "1"}, "warning: accepted are true, false; TensorFlow logs"),
]


@pytest.mark.parametrize(("shell", "line"), VARIABLES)
def test_variables_of_the_shell_are_read_as_cuda_reads_them(
    doctor: Doctor, shell: dict[str, str], line: str
) -> None:
    doctor.policy(gpu())
    found = doctor.document(**shell)
    said = [f"{one['level']}: {one['text']}" for one in found["variables"]]
    assert any(one.startswith(line) for one in said), said
    assert {one["place"] for one in found["variables"]} == {"shell"}
    assert found["verdict"] == "fits"


DOTENV = """\
TOKEN=hf_secret
export CUDA_DEVICE_ORDER=PCI_BUS_ID
CUDA_VISIBLE_DEVICES="0"  # the small one
PYTORCH_CUDA_ALLOC_CONF=${CONF}
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_nearest_env_file_is_read_and_nothing_else_of_it_is_shown(
    doctor: Doctor, newline: str
) -> None:
    doctor.policy(gpu())
    (doctor.root / ".env").write_bytes(DOTENV.replace("\n", newline).encode())
    doctor.root /= "app"
    doctor.root.mkdir()
    found = doctor.document()
    place = os.path.join("..", ".env")
    assert [(one["place"], one["name"], one["value"]) for one in found["variables"]] == [
        (place, "CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
        (place, "CUDA_VISIBLE_DEVICES", "0"),
        (place, "PYTORCH_CUDA_ALLOC_CONF", None),
    ]
    assert "card 0" in found["variables"][1]["text"]
    assert "hf_secret" not in json.dumps(found)
    shadowed = doctor.document(CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="PCI_BUS_ID")
    assert [one["text"] for one in shadowed["variables"] if one["place"] == place][1] == (
        "the shell sets it, too, which load_dotenv() leaves as it is"
    )


# --- PyTorch ---------------------------------------------------------------------------------

TORCH = """\
import json, os
__version__ = {version!r}
class version: cuda = {cuda!r}; hip = {hip!r}
class _C:
    @staticmethod
    def _cuda_getArchFlags(): return {archs!r}
print("noise on standard output")
with open(os.environ["ASKED"], "w") as file:
    json.dump([os.environ["CUDA_VISIBLE_DEVICES"], os.listdir(".")], file)
"""


@pytest.fixture(scope="session")
def project_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("python") / "venv"
    venv.create(directory, with_pip=False, symlinks=os.name != "nt")
    return directory


@pytest.fixture
def torch(doctor: Doctor, project_venv: Path, tmp_path: Path) -> Any:
    """Puts a torch into a Python, and examines the machine with that."""
    site = next(project_venv.glob("lib/python*/site-packages"))
    module = site / "torch.py"

    def ask(text: str | None, **machine: str) -> dict[str, Any]:
        if text is not None:
            module.write_text(text, encoding="utf-8")
        asked = str(tmp_path / "asked.json")
        python = str(project_venv / "bin" / "python")
        return doctor.document(python, ASKED=asked, **machine)

    yield ask
    module.unlink(missing_ok=True)


def built(
    version: str = "2.4.1+cu121",
    cuda: str | None = "12.1",
    hip: str | None = None,
    archs: str | None = "sm_80 sm_86 sm_90",
) -> str:
    return TORCH.format(version=version, cuda=cuda, hip=hip, archs=archs)


BUILDS = [
    (built(), {}, "fits", "ok: torch has code for card 1 (sm_86)"),
    (built(), {}, "fits", "ok: torch's CUDA 12.1 runs on this driver (CUDA 13.0)"),
    (built(archs="sm_90"), {}, "violated", "fails: torch 2.4.1+cu121 has no code for card 1"),
    (built(cuda="13.0"), {"FAKEDRIVER_CUDA": "12020"}, "violated", "fails: torch needs CUDA 13.0"),
    (built(cuda="12.8"), {"FAKEDRIVER_CUDA": "12020"}, "fits", "ok: torch's CUDA 12.8 runs on thi"),
    (built(cuda=None, archs=None), {}, "fits", "warning: torch 2.4.1+cu121 is built without CUDA"),
    (built(cuda=None, hip="6.1"), {}, "fits", "warning: torch 2.4.1+cu121 is built for ROCm"),
    ("import missing_library", {}, "fits", "warning: torch could not be asked: ModuleNotFoundErro"),
    (
        "raise OSError('libcudart')",
        {},
        "fits",
        "warning: torch could not be asked: OSError: libcud",
    ),
    ("import os; os._exit(3)", {}, "fits", "warning: torch could not be asked: it ended with stat"),
    (None, {}, "fits", "note: torch is not installed there"),
]


@pytest.mark.parametrize(("text", "machine", "verdict", "line"), BUILDS)
def test_what_torch_was_built_for_is_compared_with_driver_and_card(
    doctor: Doctor, torch: Any, text: str | None, machine: dict[str, str], verdict: str, line: str
) -> None:
    doctor.policy(gpu())
    found = torch(text, **machine)
    said = [f"{one['level']}: {one['text']}" for one in found["torch_remarks"]]
    assert found["verdict"] == verdict
    assert any(one.startswith(line) for one in said), said


def test_torch_is_asked_in_an_empty_directory_and_sees_no_gpu(
    doctor: Doctor, torch: Any, project_venv: Path, tmp_path: Path
) -> None:
    (doctor.root / "torch.py").write_text("raise SystemExit('of the tree')", encoding="utf-8")
    (doctor.root / "json.py").write_text("raise SystemExit('of the tree')", encoding="utf-8")
    (doctor.root / "pynvml.py").write_text("raise SystemExit('of the tree')", encoding="utf-8")
    torch(built())
    asked = tmp_path / "asked.json"
    python = str(project_venv / "bin" / "python")
    done = doctor("--python", python, "--json", "-", CUDA_VISIBLE_DEVICES="1", ASKED=str(asked))
    found = json.loads(done.stdout)
    assert found["torch"]["version"] == "2.4.1+cu121"
    assert found["machine"]["source"] == "NVML"
    assert json.loads(asked.read_text("utf-8")) == ["-1", []]


def test_the_release_decides_about_allocator_settings(doctor: Doctor, torch: Any) -> None:
    found = torch(built(), PYTORCH_ALLOC_CONF="max_split_size_mb:512")
    assert found["variables"][0]["text"] == "PyTorch 2.4 does not read it for CUDA"


@pytest.mark.parametrize(
    ("archs", "capability", "runs"),
    [
        ("sm_80", (8, 6), True),
        ("sm_86", (8, 0), False),
        ("sm_80", (9, 0), False),
        ("sm_80 compute_80", (9, 0), True),
        ("compute_90", (8, 6), False),
        ("sm_90a", (9, 0), True),
        ("sm_90a", (9, 1), False),
        ("sm_100f", (10, 3), True),
        ("compute_100a", (12, 0), False),
        ("sm_120", (12, 0), True),
        ("gfx90a", (9, 0), False),
        ("", (9, 0), False),
    ],
)
def test_architectures_run_on_cards(archs: str, capability: tuple[int, int], runs: bool) -> None:
    assert runs_on(tuple(archs.split()), capability) is runs


def test_the_python_of_a_project_is_found(tmp_path: Path) -> None:
    def python(*parts: str) -> Path:
        file = tmp_path.joinpath(*parts)
        file.parent.mkdir(parents=True)
        file.touch(0o755)
        return file

    inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    on_path = python("path", "python3.exe" if os.name == "nt" else "python3")
    env = {"PATH": os.pathsep.join([".", "", str(on_path.parent)])}
    project = tmp_path / "project"
    assert project_python(None, project, env) == on_path
    own = python("project", ".venv", *inside)
    assert project_python(None, project, env) == own
    assert project_python(None, project, {**env, "VIRTUAL_ENV": str(tmp_path / "no")}) == own
    active = python("active", *inside)
    env["VIRTUAL_ENV"] = str(tmp_path / "active")
    assert project_python(None, project, env) == active
    assert project_python("python3", project, env) == on_path
    assert project_python(None, project, env, (".venv", project)) == own
    with pytest.raises(ConfigError, match=r"runtime\.python gone: there is no such program"):
        project_python(None, project, env, ("gone", project))
    assert project_python(None, tmp_path / "elsewhere", {"PATH": "."}) is None


# --- surroundings ----------------------------------------------------------------------------


def machine_with(*processes: CardProcess) -> Machine:
    card = Card(0, UUIDS[0], "x", "0000:01:00.0", 1, 0, None, None, (), None, processes)
    return Machine("580", "13.0", (card,), "NVML")


SURROUNDINGS: list[tuple[dict[str, str], dict[str, str], Machine | None, list[str]]] = [
    ({}, {}, None, []),
    ({}, {}, machine_with(), []),
    ({"self/x": ""}, {}, machine_with(CardProcess(7, "", 5)), ["some processes on the cards have"]),
    ({"self/x": "", "7/x": ""}, {}, machine_with(CardProcess(7, "", 5)), []),
    (
        {"7/x": "", "self/x": ""},
        {},
        machine_with(CardProcess(7, "", None)),
        ["the memory of singl"],
    ),
    ({"1/cgroup": "0::/docker/1"}, {}, machine_with(), ["in a container"]),
    ({}, {"container": "podman"}, None, ["in a container", "the container was given no card"]),
    ({}, {"KUBERNETES_SERVICE_HOST": "x"}, machine_with(), ["in a container"]),
    ({"version": "Linux 5.15 microsoft-standard-WSL2"}, {}, machine_with(), ["in WSL"]),
    ({"version": "Linux Microsoft"}, {}, None, ["in WSL", "WSL finds no driver of Windows"]),
]


@pytest.mark.parametrize(("files", "env", "machine", "lines"), SURROUNDINGS)
def test_surroundings_say_what_cannot_be_known(
    tmp_path: Path,
    files: dict[str, str],
    env: dict[str, str],
    machine: Machine | None,
    lines: list[str],
) -> None:
    for name, text in files.items():
        path = tmp_path / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = [one.text for one in surroundings(machine, env, tmp_path)]
    assert len(found) == len(lines)
    assert all(text.startswith(line) for text, line in zip(found, lines, strict=True)), found


# --- the policy that fits --------------------------------------------------------------------

SUGGESTED = [
    ({}, "1", "RTX 3090", 22, ("RTX 5060 Ti",)),
    (TWINS, UUIDS[0], "RTX 3090", 22, ()),
    (ONE, "0", "H200", 133, ()),
    (
        {"FAKECUDA_NAMES": "NVIDIA GeForce RTX 3090 Ti,NVIDIA GeForce RTX 3090,NVIDIA A2",
         "FAKECUDA_MEMORY_GIB": "12,24,16", "FAKEDRIVER_CAPABILITY": "8.6,8.6,8.6"},
        UUIDS[1],
        "RTX 3090",
        22,
        ("A2",),
    ),
    ({"FAKEDRIVER_MIG": "0,1"}, UUIDS[1].replace("GPU", "MIG")[:-1] + "0", "RTX 3090", None,
     ("RTX 5060 Ti",)),
    ({"FAKEDRIVER_UNSUPPORTED": "MemoryInfo"}, "0", "RTX 5060 Ti", None, ("RTX 3090",)),
]  # fmt: skip


@pytest.mark.parametrize(("machine", "mask", "name", "memory", "forbidden"), SUGGESTED)
def test_the_policy_that_is_suggested_fits_the_machine(
    doctor: Doctor,
    machine: dict[str, str],
    mask: str,
    name: str,
    memory: int | None,
    forbidden: tuple[str, ...],
) -> None:
    done = doctor.here("--suggest", **machine)
    assert (done.exit_code, done.stderr) == (0, "")
    settings = settings_of(doctor.root / "gpu-lint.toml", done.stdout, load_rulebook())
    policy = settings.policy_for(doctor.root / "x.py")
    assert policy is not None
    assert (policy.gpu.visible_devices, policy.gpu.name) == (mask, name)
    assert (policy.gpu.min_memory_gib, policy.gpu.forbidden) == (memory, forbidden)
    doctor.policy(done.stdout)
    found = doctor.document(**machine)
    assert found["verdict"] == "fits", remarks(found)
    assert "warning" not in {line.partition(":")[0] for line in remarks(found)}


def test_names_are_shortened_by_their_makers_alone() -> None:
    names = ["NVIDIA GeForce RTX 3090", "NVIDIA H200", "GeForce GTX 1080", "Tesla T4", "NVIDIA"]
    assert [short_name(name) for name in names] == [
        "RTX 3090",
        "H200",
        "GTX 1080",
        "Tesla T4",
        "NVIDIA",
    ]


def test_init_offers_the_cards_that_the_driver_shows_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, Any]] = []

    def prompt(text: str, default: Any = None, **_: Any) -> Any:
        asked.append((text, default))
        return default if default is not None else "3"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr(init_command, "is_asked_on_terminal", lambda: True)
    card = Card(1, UUIDS[1], "NVIDIA L4", "0000:01:00.0", 24576, 0, None, None, (), None, ())
    for machine, mask, name in [(Machine("", "", (card,), "NVML"), "1", "L4"), (None, "3", "")]:
        asked.clear()
        monkeypatch.setattr("gpu_lint.runtime.cards.read_at_once", lambda found=machine: found)
        done = run_cli("init", "--force")
        assert done.exit_code == 0, done.output
        assert [default for _, default in asked] == [mask if machine else None, name]
        assert f'visible-devices = "{mask}"' in Path("gpu-lint.toml").read_text("utf-8")
        assert ("NVIDIA L4, 24 GiB" in done.output) is (machine is not None)
    assert suggest(Machine("", "", (), "NVML")) is None


# --- the command -----------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80])
def test_the_summary_fits_a_terminal(doctor: Doctor, columns: int) -> None:
    doctor.policy(gpu("1,7", name="RTX 3090", min_memory_gib=24, forbidden=["5060"]))
    machine = {"FAKEDRIVER_PROCESSES": ",".join(f"1:{n}:5" for n in range(4194300, 4194312))}
    done = doctor.here(
        "--python", doctor.python, COLUMNS=str(columns), CUDA_VISIBLE_DEVICES="0", **machine
    )
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert "and 4 more" in done.stdout
    assert "This machine does not fit the policy." in lines


HOSTILE = "NVIDIA \x1b[2J##[error]\u202eL4"


def test_nothing_foreign_commands_a_terminal(doctor: Doctor) -> None:
    done = doctor(FAKECUDA_NAMES=HOSTILE, CUDA_VISIBLE_DEVICES="\x1b]0;x\x07")
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "##[" not in done.stdout
    assert "NVIDIA \\x1b[2J" in done.stdout


def test_json_goes_to_a_file_beside_the_summary(doctor: Doctor) -> None:
    done = doctor("--python", doctor.python, "--json", "found.json")
    found = json.loads((doctor.root / "found.json").read_text("utf-8"))
    jsonschema.validate(found, SCHEMA)
    assert done.stdout.startswith("Driver\n")
    done = doctor("--python", doctor.python, "--json", "-")
    assert json.loads(done.stdout) == found
    assert done.stderr.startswith("Driver\n")


def test_the_schema_refuses_another_document(doctor: Doctor) -> None:
    found = doctor.document()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**found, "verdict": "good"}, SCHEMA)
    del found["machine"]["cards"][0]["uuid"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, SCHEMA)


BAD = [
    (["--python", "nowhere/python"], {}, "--python nowhere/python: there is no such program"),
    (["--python", "no-such-python"], {}, "--python no-such-python: there is no such program"),
    (["--json", "no/such/file.json"], {}, "--output-file"),
    (["--suggest", "--json", "-"], {}, "--suggest and --json exclude each other"),
    (["--suggest"], {"FAKEDRIVER_INIT": "9"}, "gpu-lint: the NVIDIA driver does not answer: its k"),
    (["--suggest"], {"FAKECUDA_NAMES": ""}, "gpu-lint: the driver shows no card, so no policy"),
    (["--config", "gpu.visible-device=1"], {}, "did you mean"),
]


@pytest.mark.parametrize(("arguments", "machine", "line"), BAD)
def test_bad_input_is_one_line_and_status_2(
    doctor: Doctor, arguments: list[str], machine: dict[str, str], line: str
) -> None:
    done = doctor.here(*arguments, **machine)
    assert done.exit_code == 2
    assert line in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_policy_is_one_line(doctor: Doctor) -> None:
    doctor.policy('[gpu]\nvisible-devices = "x"\n')
    done = doctor.here()
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("gpu-lint: ")
    assert "gpu-lint.toml:2" in done.stderr


def test_help_says_that_code_runs_and_gives_an_example() -> None:
    text = run_cli("doctor", "--help").output
    assert "runs the project's Python" in " ".join(text.split())
    assert "gpu-lint doctor --suggest > gpu-lint.toml" in " ".join(text.split())


_STATIC = """
import sys
from gpu_lint.cli import main
for words in sys.argv[1].split(","):
    try:
        main(words.split())
    except SystemExit as ended:
        assert ended.code in (0, 1), (words, ended.code)
print(*[name for name in sys.modules if name.startswith(("gpu_lint.runtime", "pynvml"))])
"""


def test_the_static_half_imports_nothing_of_the_runtime_half(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import torch\ntorch.zeros(1).cuda()\n", encoding="utf-8")
    commands = (
        "check a.py,fix --diff a.py,graph a.py,rule GPU107,init --visible-devices 1,config,clean,"
        "check a.py,--help,doctor --help"
    )
    done = subprocess.run(
        [sys.executable, "-c", _STATIC, commands],
        cwd=tmp_path,
        env={**environment(None), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""
