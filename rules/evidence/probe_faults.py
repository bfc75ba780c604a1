"""What the faults that docs/accuracy.md lists do, in their order of calls, on two GPUs.

    python rules/evidence/probe_faults.py

Each is one fresh process; what it prints is what goes wrong.
"""

import os
import subprocess
import sys

FAULTS = {
    "mask after is_available() (Informer2020, Autoformer, FEDformer, iTransformer, PatchTST, verl, …)": """
import os, torch
torch.cuda.is_available()
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
print("device_count() says", torch.cuda.device_count(), "and cuda:0 is", uuid(0), "wanted", CARDS[1])
""",
    "the same, then cuda:1 as they do": """
import os, torch
torch.cuda.is_available()
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
x = torch.zeros(1, device="cuda:1")
print("cuda:1 works, although the mask names one card: it is", uuid(1))
""",
    "the mask's number as the index behind it (InternLM-XComposer, rank 1)": """
import os, torch
os.environ["CUDA_VISIBLE_DEVICES"] = str(1 % 8)
torch.cuda.set_device(f"cuda:{1 % 8}")
""",
    "current_device() given to NVML under the mask 1 (Megatron-Core)": """
import os
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
import torch, pynvml
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(torch.cuda.current_device())
print("CUDA uses", uuid(0), "NVML measures", pynvml.nvmlDeviceGetUUID(handle))
""",
    "torch.compile() of a function at import, then the mask (rl-games)": """
import os, torch
compiled = torch.compile(lambda x: x)
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
print("cuda:0 is", uuid(0), "wanted", CARDS[1])
""",
}
HELP = """
def uuid(n):
    import torch
    return "GPU-" + str(torch.cuda.get_device_properties(n).uuid)
"""


def main() -> None:
    listed = subprocess.run(
        ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True
    )
    cards = listed.stdout.split()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CUDA_")}
    kept["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    for title, program in FAULTS.items():
        whole = f"CARDS = {cards!r}\n{HELP}{program}"
        done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, env=kept)
        errors = [line for line in done.stderr.splitlines() if "Error" in line]
        print(f"{title}:\n    {done.stdout.strip() or (errors or ['?'])[-1]}")


if __name__ == "__main__":
    main()
