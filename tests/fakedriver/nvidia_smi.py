"""A stand-in for the command ``nvidia-smi``: the machine of ``nvml.c``, as far as it is asked for.

FAKEDRIVER_SMI has it fail: ``old`` knows no newer fields, ``down`` finds no driver, ``strange``
prints what is no table. FAKEDRIVER_LOST is a card that is gone.
"""

import os
import sys

NAMES = os.environ.get("FAKECUDA_NAMES", "NVIDIA GeForce RTX 5060 Ti,NVIDIA GeForce RTX 3090")
MEMORY = os.environ.get("FAKECUDA_MEMORY_GIB", "16,24").split(",")
CAPABILITY = os.environ.get("FAKEDRIVER_CAPABILITY", "12.0,8.6").split(",")
PROCESSES = os.environ.get("FAKEDRIVER_PROCESSES", "")
MIG = os.environ.get("FAKEDRIVER_MIG", "").split(",")
LOST = os.environ.get("FAKEDRIVER_LOST", "").partition(":")[0]
HOW = os.environ.get("FAKEDRIVER_SMI", "")


def uuid(index):
    return f"GPU-{index}0000000-0000-0000-0000-00000000000{index}"


def is_parted(index):
    return MIG[index : index + 1] == ["1"]


def card(index, name):
    if str(index) == LOST:
        return dict.fromkeys(("index", "uuid", "name"), "[GPU is lost]")
    return {
        "index": str(index),
        "uuid": uuid(index),
        "name": name,
        "pci.bus_id": f"00000000:{index + 1:02X}:00.0",
        "memory.total": str(int(MEMORY[index]) * 1024),
        "memory.used": "0",
        "compute_mode": "Default",
        "driver_version": "580.159.04",
        "mig.mode.current": "Enabled" if is_parted(index) else "[N/A]",
        "compute_cap": CAPABILITY[index],
    }


def main():
    if HOW == "down":
        sys.exit(
            print("NVIDIA-SMI has failed because it couldn't communicate with the driver.") or 9
        )
    if HOW == "strange":
        sys.exit(print("hello\nworld"))
    word = sys.argv[1]
    if word.startswith("--query-gpu="):
        fields = word.partition("=")[2].split(",")
        if HOW == "old" and "compute_cap" in fields:
            sys.exit(print('Field "compute_cap" is not a valid field to query.') or 2)
        for index, name in enumerate(filter(None, NAMES.split(","))):
            print(*(card(index, name).get(field, "[N/A]") for field in fields), sep=", ")
    elif word.startswith("--query-compute-apps="):
        for entry in filter(None, PROCESSES.split(",")):
            index, pid, mib = entry.split(":")
            print(uuid(int(index)), pid, "[N/A]" if mib == "-" else mib, "python, -c", sep=", ")
    elif word == "-L":
        for index, name in enumerate(filter(None, NAMES.split(","))):
            print(f"GPU {index}: {name} (UUID: {uuid(index)})")
            for part in range(2 * is_parted(index)):
                mig = uuid(index).replace("GPU", "MIG")[:-1] + str(part)
                print(f"  MIG 1g.5gb     Device  {part}: (UUID: {mig})")
    else:
        print("Driver Version                            : 580.159.04")
        print("CUDA Version                              : 13.0")


main()
