"""What is read of a machine's cards: through NVML by ctypes, from ``nvidia-smi``, or why not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from gpu_lint.runtime.cards import (
    Card,
    Machine,
    NoDriver,
    in_pci_order,
    pci_address,
    read_at_once,
    read_machine,
)
from tests.conftest import ROOT
from tests.fakedriver import be_on_machine, environment

UUIDS = [f"GPU-{n}0000000-0000-0000-0000-00000000000{n}" for n in range(2)]
NVML, SMI = "NVML", "nvidia-smi"
_READ = """
from gpu_lint.runtime.cards import read_machine
found = read_machine()
print(found.source, *(card.uuid for card in found.cards))
"""


class Reader:
    """Reads the machine that variables describe, by NVML or by nvidia-smi alone."""

    def __init__(self, driver: Path, patch: pytest.MonkeyPatch) -> None:
        self.driver = driver
        self._patch = patch

    def __call__(self, source: str = NVML, **machine: str) -> Machine:
        where = (self.driver, None) if source == NVML else (None, self.driver)
        be_on_machine(self._patch, *where, **machine)
        return read_machine()


@pytest.fixture
def read(fakedriver: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(fakedriver, monkeypatch)


@pytest.mark.parametrize("source", [NVML, SMI])
def test_both_sources_tell_the_same_of_a_machine(read: Reader, source: str) -> None:
    found = read(source, FAKEDRIVER_PROCESSES="1:4194300:300,1:4194301:-")
    assert (found.driver, found.cuda, found.source) == ("580.159.04", "13.0", source)
    one, other = found.cards
    assert (one.index, one.uuid, one.name) == (0, UUIDS[0], "NVIDIA GeForce RTX 5060 Ti")
    assert (other.pci, other.memory_mib, other.used_mib) == ("0000:02:00.0", 24576, 0)
    assert (other.capability, other.compute_mode) == ((8, 6), "Default")
    assert one.processes == ()
    assert [(p.pid, p.memory_mib) for p in other.processes or ()] == [
        (4194300, 300),
        (4194301, None),
    ]


@pytest.mark.parametrize("source", [NVML, SMI])
def test_the_mask_of_the_shell_hides_no_card(read: Reader, source: str) -> None:
    assert len(read(source, CUDA_VISIBLE_DEVICES="-1").cards) == 2


@pytest.mark.parametrize("source", [NVML, SMI])
def test_parts_of_a_card_are_listed_where_mig_is_on(read: Reader, source: str) -> None:
    one, other = read(source, FAKEDRIVER_MIG="0,1").cards
    assert other.mig is True
    assert other.mig_uuids == tuple(UUIDS[1].replace("GPU", "MIG")[:-1] + n for n in "01")
    assert one.mig_uuids == ()


@pytest.mark.parametrize("source", [NVML, SMI])
def test_a_machine_without_cards_is_no_failure(read: Reader, source: str) -> None:
    assert read(source, FAKECUDA_NAMES="").cards == ()


NOT_SUPPORTED = [
    ("MemoryInfo", "memory_mib"),
    ("MemoryInfo", "used_mib"),
    ("ComputeMode", "compute_mode"),
    ("MigMode", "mig"),
    ("CudaComputeCapability", "capability"),
    ("ComputeRunningProcesses", "processes"),
    ("Reasons", "slowed"),
]


@pytest.mark.parametrize("how", ["FAKEDRIVER_UNSUPPORTED", "FAKEDRIVER_MISSING"])
@pytest.mark.parametrize(("function", "field"), NOT_SUPPORTED)
def test_what_a_card_does_not_support_is_not_available(
    read: Reader, how: str, function: str, field: str
) -> None:
    found = read(**{how: function})
    assert [getattr(card, field) for card in found.cards] == [None, None]
    assert found.unread == ()


@pytest.mark.parametrize("missing", ["", "EventReasons", "ThrottleReasons"])
def test_clocks_are_asked_by_the_new_name_and_the_old_one(read: Reader, missing: str) -> None:
    one, other = read(FAKEDRIVER_MISSING=missing, FAKEDRIVER_REASONS="1,68").cards
    assert (one.slowed, other.slowed) == ((), ("power cap", "heat (hardware)"))


@pytest.mark.parametrize("missing", ["Processes_v3", "MPSCompute", "Graphics"])
def test_an_older_driver_lists_processes_too(read: Reader, missing: str) -> None:
    found = read(FAKEDRIVER_MISSING=missing, FAKEDRIVER_PROCESSES="0:4194300:7")
    listed = found.cards[0].processes
    assert [(p.pid, p.memory_mib) for p in listed or ()] == [(4194300, 7)]


@pytest.mark.parametrize("calls", range(12))
def test_a_card_that_vanishes_between_two_calls_leaves_the_others(read: Reader, calls: int) -> None:
    found = read(FAKEDRIVER_LOST=f"0:{calls}")
    assert [(card.index, card.uuid) for card in found.cards][-1] == (1, UUIDS[1])
    assert len(found.cards) + len(found.unread) == 2
    assert all(line == "card 0 does not answer: GPU is lost" for line in found.unread)


def test_nvidia_smi_tells_of_a_lost_card(read: Reader) -> None:
    found = read(SMI, FAKEDRIVER_LOST="0:0")
    assert [card.uuid for card in found.cards] == [UUIDS[1]]
    assert found.unread[0].startswith("card 0 does not answer: nvidia-smi says [GPU is lost]")


def test_an_older_nvidia_smi_is_asked_for_less(read: Reader) -> None:
    cards = read(SMI, FAKEDRIVER_SMI="old").cards
    assert [(card.uuid, card.capability) for card in cards] == [(u, None) for u in UUIDS]


REFUSED = [
    (NVML, {"FAKEDRIVER_INIT": "9"}, "its kernel module is not loaded", "modprobe nvidia"),
    (NVML, {"FAKEDRIVER_INIT": "4"}, "this user has no permission to use it", "ls -l /dev/nvidia*"),
    (NVML, {"FAKEDRIVER_INIT": "18"}, "are of different releases", "reboot"),
    (NVML, {"FAKEDRIVER_INIT": "17"}, "does not answer: The operating system has", "nvidia-smi"),
    (NVML, {"FAKEDRIVER_MISSING": "DeviceGetCount"}, "stopped answering", "nvidia-smi"),
    (SMI, {"FAKEDRIVER_SMI": "down"}, "nvidia-smi failed: NVIDIA-SMI has failed because", ""),
    (SMI, {"PATH": "/nowhere"}, "nvidia-ml-py is not installed, and there is no", "pip install"),
    (SMI, {"PATH": "bin:.:"}, "there is no nvidia-smi on PATH", "pip install"),
]


@pytest.mark.parametrize(("source", "machine", "why", "advice"), REFUSED)
def test_where_no_driver_answers_one_line_says_why(
    read: Reader, source: str, machine: dict[str, str], why: str, advice: str
) -> None:
    with pytest.raises(NoDriver) as refused:
        read(source, **machine)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.advice.startswith(advice)


def test_output_of_nvidia_smi_that_is_no_table_names_no_card(read: Reader) -> None:
    found = read(SMI, FAKEDRIVER_SMI="strange")
    assert found.cards == ()
    assert [line.rpartition(" ")[2] for line in found.unread] == ["hello", "world"]


@pytest.mark.parametrize(
    ("has_library", "has_command", "said"),
    [
        (True, True, f"NVML {UUIDS[0]} {UUIDS[1]}"),
        (False, True, f"nvidia-smi {UUIDS[0]} {UUIDS[1]}"),
        (
            False,
            False,
            "its library NVML is not on this system, and there is no nvidia-smi on PATH",
        ),
    ],
)
def test_the_loader_finds_the_library_or_nvidia_smi_is_asked(
    fakedriver: Path, has_library: bool, has_command: bool, said: str
) -> None:
    env = environment(fakedriver if has_library else None, fakedriver if has_command else None)
    command = [sys.executable, "-c", _READ]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert said in (done.stdout + done.stderr).splitlines()[-1]


def test_a_driver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    release = Event()
    monkeypatch.setattr("gpu_lint.runtime.nvml.read", release.wait)
    assert read_at_once(seconds=0.01) is None
    with pytest.raises(NoDriver, match=r"did not answer within 0\.01 seconds"):
        read_machine(seconds=0.01)
    release.set()


def test_a_fault_of_ours_is_raised_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_lint.runtime.nvml.read", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        read_machine()


def test_a_driver_that_refuses_offers_nothing(read: Reader) -> None:
    with pytest.raises(NoDriver):
        read(FAKEDRIVER_INIT="9")
    assert read_at_once() is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000:01:00.0", "0000:01:00.0"),
        ("0000:0A:00.0", "0000:0a:00.0"),
        ("00010000:3B:00.0", "10000:3b:00.0"),
        ("1:00.0", "0000:01:00.0"),
        ("[N/A]", "[n/a]"),
    ],
)
def test_pci_addresses_are_written_in_one_way(text: str, address: str) -> None:
    assert pci_address(text) == address


def card_at(index: int, pci: str) -> Card:
    return Card(index, f"GPU-{index}", "x", pci, None, None, None, None, (), None, None)


def test_cards_are_counted_by_their_addresses_and_a_gap_stays() -> None:
    found = in_pci_order([card_at(0, "0000:05:00.0"), card_at(2, "0000:02:00.0")])
    assert [(card.index, card.pci) for card in found] == [(0, "0000:02:00.0"), (2, "0000:05:00.0")]
