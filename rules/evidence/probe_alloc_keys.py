"""Probe, on a machine with a GPU, which PYTORCH_CUDA_ALLOC_CONF keys this torch accepts.

Each key is one fresh Python process that allocates on device 0.
Usage: python probe_alloc_keys.py OUT.json
"""

import concurrent.futures
import json
import os
import subprocess
import sys

VALUES = {
    "backend": ["native", "cudaMallocAsync"],
    "expandable_segments": ["True", "true"],
    "garbage_collection_threshold": ["0.8", "1.5"],
    "graph_capture_record_stream_reuse": ["True"],
    "large_segment_size_mb": ["30"],
    "max_non_split_rounding_mb": ["40"],
    "max_split_size_mb": ["20", "21", "1024"],
    "per_process_memory_fraction": ["0.5"],
    "pinned_free_catch_all": ["True"],
    "pinned_max_cached_size_mb": ["64"],
    "pinned_max_power2_size_mb": ["64"],
    "pinned_max_round_threshold_mb": ["64"],
    "pinned_num_register_threads": ["4"],
    "pinned_reserve_segment_size_mb": ["64"],
    "pinned_use_background_threads": ["True"],
    "pinned_use_cuda_host_register": ["True"],
    "pinned_use_hip_host_register": ["True"],
    "release_lock_on_cudamalloc": ["True"],
    "release_lock_on_hipmalloc": ["True"],
    "roundup_power2_divisions": ["4", "[256:1,512:2,>:4]"],
    "throw_on_cudamalloc_oom": ["True"],
    "no_such_key": ["1"],
}
CODE = "import torch; torch.zeros(1).cuda(); print('accepted')"


def probe(item: tuple[str, str]) -> tuple[str, str]:
    key, value = item
    environment = {**os.environ, "PYTORCH_CUDA_ALLOC_CONF": f"{key}:{value}"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, timeout=150
    )
    if "accepted" in done.stdout:
        return f"{key}:{value}", "accepted"
    last = done.stderr.strip().splitlines()[-1:] or [""]
    return f"{key}:{value}", f"rc {done.returncode} {last[0][:160]}"


if __name__ == "__main__":
    items = [(key, value) for key, values in VALUES.items() for value in values]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        results = dict(pool.map(probe, items))
    import torch

    meta = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(0)}
    with open(sys.argv[1], "w") as output:
        json.dump({"meta": meta, "results": results}, output, indent=1)
    for name, outcome in results.items():
        print(name, "=>", outcome)
