"""Which keys and values each release of PyTorch takes in PYTORCH_CUDA_ALLOC_CONF; needs no GPU.

The parser is in libc10_cuda.so (and libc10.so) of PyTorch's wheels, which need only the CUDA runtime
library to be loaded. For each release its wheel is downloaded, these libraries are taken out, and
its own parser is called, one process per value, on Linux with g++ and binutils:

    python probe_alloc_versions.py OUT.json [VERSION ...]

Releases before 1.13 parse in the allocator alone, when it allocates: for these ``--on-gpu DIRECTORY``
allocates 1 KiB with the setting in the environment, on a machine with a GPU, from libraries that
``--fetch DIRECTORY`` has put there. Wheels are 0.5 to 0.9 GB; they are deleted once they were read.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

RELEASES = {
    "1.10.2": "3.9", "1.11.0": "3.10", "1.12.1": "3.10", "1.13.1": "3.10", "2.0.1": "3.11",
    "2.1.2": "3.11", "2.2.2": "3.12", "2.3.1": "3.12", "2.4.1": "3.12", "2.5.1": "3.12",
    "2.6.0": "3.12", "2.7.1": "3.12", "2.8.0": "3.12", "2.9.1": "3.12", "2.10.0": "3.12",
    "2.11.0": "3.12", "2.12.0": "3.12", "2.13.0": "3.12", "2.14.0": "3.12", "2.15.0": "3.12",
}  # fmt: skip
"""Releases, each with a Python that it has a wheel for."""
RUNTIMES = {
    "libcudart.so.11.0": "nvidia-cuda-runtime-cu11==11.7.99",
    "libcudart.so.12": "nvidia-cuda-runtime-cu12==12.8.90",
    "libcudart.so.13": "nvidia-cuda-runtime==13.0.96",
}
VALUES = {
    "backend": ["native", "cudaMallocAsync", "Native", "async"],
    "expandable_segments": ["True", "False", "true", "1"],
    "expandable_segments_reserve": ["0.5", "4G", "0", "x"],
    "expandable_segments_reserve_by_class": ["[a:0.5,b:4G]", "0.5"],
    "garbage_collection_threshold": ["0.8", ".5", "8e-1", "0.8x", "0", "1", "1.5", "x"],
    "graph_capture_record_stream_reuse": ["True", "true"],
    "large_segment_size_mb": ["30", "20", "19", "1", "x"],
    "max_non_split_rounding_mb": ["40", "21", "20", "1", "x"],
    "max_split_size_mb": ["1024", "21", "20", "10", "-1", "1.5", "x", "1024MB", "+64", "0x400", ""],
    "per_process_memory_fraction": ["0.5", "0", "1.0", "1.5", "x"],
    "pinned_free_catch_all": ["True", "true"],
    "pinned_max_cached_size_mb": ["64", "0", "x"],
    "pinned_max_power2_size_mb": ["64"],
    "pinned_max_round_threshold_mb": ["64", "0", "x"],
    "pinned_num_register_threads": ["1", "4", "128", "3", "0", "256", "x"],
    "pinned_reserve_segment_size_mb": ["64", "0", "x"],
    "pinned_use_background_threads": ["True", "true"],
    "pinned_use_cuda_host_register": ["True", "true"],
    "pinned_use_hip_host_register": ["True", "true"],
    "release_lock_on_cudamalloc": ["True", "true"],
    "release_lock_on_hipmalloc": ["True", "true"],
    "roundup_bypass_threshold_mb": ["64", "x"],
    "roundup_power2_divisions": ["4", "1", "3", "0", "[256:1,512:2,>:4]", "[256:1,512:3]", "x"],
    "throw_on_cudamalloc_oom": ["True", "true"],
}
WHOLE = [
    "", "max_split_size_mb:1024,", " max_split_size_mb : 1024 ", "max_split_size_mb=1024",
    "max_split_size_mb", "Max_Split_Size_MB:1024", "max_split_size:1024", "no_such_key:1",
    "max_split_size_mb:1024,garbage_collection_threshold:0.8", "max_split_size_mb:1024;x:1",
    "max_split_size_mb:1024 garbage_collection_threshold:0.8",
]  # fmt: skip
CALLER = r"""
#include <dlfcn.h>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
using Hook = std::function<void(const std::string&)>;
int main(int count, char** given) {  // VALUE (HOW SYMBOL [SYMBOL])... -- LIBRARIES
  int libraries = 2;
  while (std::string(given[libraries]) != "--") ++libraries;
  for (int at = libraries + 1; at < count; ++at)
    if (!dlopen(given[at], RTLD_NOW | RTLD_GLOBAL)) { puts(dlerror()); return 3; }
  std::string value = given[1];
  static char zeroed[1 << 16];
  try {
    for (int at = 2; at < libraries; at += 2) {
      std::string how = given[at];
      void* found = dlsym(RTLD_DEFAULT, given[at + 1]);
      if (!found) { puts("no such symbol"); return 3; }
      if (how == "free") ((void (*)(const std::string&))found)(value);
      if (how == "zeroed") ((void (*)(void*, const std::string&))found)(zeroed, value);
      if (how == "hook") (*(Hook*)found)(value);
      if (how == "hook-of") ((Hook& (*)())found)()(value);
      if (how == "instance" || how == "init") {
        void* second = dlsym(RTLD_DEFAULT, given[++at + 1]);
        if (!second) { puts("no such symbol"); return 3; }
        if (how == "instance") {
          void* self = ((void* (*)())found)();
          ((void (*)(void*, const std::string&))second)(self, value);
        } else {
          setenv("PYTORCH_CUDA_ALLOC_CONF", given[1], 1);
          ((void (*)(int))found)(1);
          ((void* (*)(size_t))second)(1024);
        }
      }
    }
  } catch (const std::exception& error) { puts(error.what()); return 1; }
  puts("accepted");
}
"""
_STRING = "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
_SETTINGS = "_ZN3c104cuda20CUDACachingAllocator20setAllocatorSettingsERK"
_GENERAL = "_ZN3c1016CachingAllocator26AcceleratorAllocatorConfig"
_OF_CUDA = f"_ZN3c104cuda20CUDACachingAllocator19CUDAAllocatorConfig9parseArgsERK{_STRING}"
_HOOK = f"{_GENERAL}19getConfigParserHookB5cxx11Ev"
_HOOK_ITSELF = _HOOK.replace("_ZN", "_ZZN", 1) + "E4hook"
_RAW = "_ZN3c104cuda20CUDACachingAllocator9raw_allocEm"
_INIT = "_ZN3c104cuda20CUDACachingAllocator4initEi"


def download(requirement: str, into: Path, python: str = "3.12") -> Path:
    platforms = ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    command += [part for name in platforms for part in ("--platform", name)]
    subprocess.run([*command, "-d", str(into), requirement], check=True)
    return next(into.glob("*.whl"))


def take(requirement: str, into: Path, wanted: str, python: str = "3.12") -> None:
    """Take some libraries out of a wheel."""
    with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(
        download(requirement, Path(name), python)
    ) as archive:
        for member in archive.namelist():
            if re.search(wanted, member):
                with archive.open(member) as source, open(into / Path(member).name, "wb") as out:
                    shutil.copyfileobj(source, out)


def fetch(version: str, root: Path) -> Path:
    """The libraries of a release."""
    directory = root / version
    if not directory.is_dir():
        part = root / f"{version}.part"
        part.mkdir(parents=True, exist_ok=True)
        wanted = r"/lib/lib(c10|c10_cuda|gomp|cudart)[-.\w]*$"
        take(f"torch=={version}", part, wanted, RELEASES[version])
        needed = subprocess.run(
            ["readelf", "-d", str(part / "libc10_cuda.so")], capture_output=True, text=True
        ).stdout
        for library, requirement in RUNTIMES.items():
            if library in needed and not (part / library).exists():
                take(requirement, part, re.escape(library) + "$")
        part.rename(directory)
    return directory


def callers(root: Path) -> dict[bool, Path]:
    """The program that calls a parser, for each of the two layouts of ``std::string``."""
    source = root / "caller.cpp"
    source.write_text(CALLER)
    built = {}
    for new in (False, True):
        built[new] = root / f"caller{int(new)}"
        layout = f"-D_GLIBCXX_USE_CXX11_ABI={int(new)}"
        subprocess.run(["g++", layout, "-o", str(built[new]), str(source), "-ldl"], check=True)
    return built


def probe(directory: Path, built: dict[bool, Path], on_gpu: bool) -> dict[str, str]:
    order = ("libcudart", "libgomp", "libc10.so", "libc10_cuda.so")
    libraries = [str(path) for start in order for path in sorted(directory.glob(f"{start}*"))]
    symbols = subprocess.run(
        ["nm", "-D", *libraries[-2:]], capture_output=True, text=True
    ).stdout
    if on_gpu:
        new, call = False, ["init", _INIT, _RAW]
    elif f"{_SETTINGS}{_STRING}" in symbols:
        new, call = True, ["free", f"{_SETTINGS}{_STRING}"]
    elif f"{_SETTINGS}Ss" in symbols:
        new, call = False, ["free", f"{_SETTINGS}Ss"]
    else:  # what all accelerators share, then what is CUDA's own, as it does itself
        new = True
        call = ["instance", f"{_GENERAL}8instanceEv", f"{_GENERAL}9parseArgsERK{_STRING}"]
        if f" T {_HOOK}" in symbols:
            call += ["hook-of", _HOOK]
        elif f" u {_HOOK_ITSELF}" in symbols:
            call += ["hook", _HOOK_ITSELF]
        else:
            call += ["zeroed", _OF_CUDA]
    values = [f"{key}:{value}" for key, values in VALUES.items() for value in values] + WHOLE
    environment = {**os.environ, "LD_LIBRARY_PATH": str(directory)}
    found = {}
    for value in values:
        command = [str(built[new]), value, *call, "--", *libraries]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        said = (done.stdout.strip().splitlines() or [""])[0]
        if done.returncode == 3:
            raise SystemExit(f"{directory.name}: {said}")
        found[value] = said if done.returncode in (0, 1) else f"signal {-done.returncode}"
    return found


def main() -> None:
    match sys.argv[1:]:
        case ["--fetch", name, *versions]:
            for version in versions:
                fetch(version, Path(name))
            return
        case ["--on-gpu", name, out]:
            root, on_gpu = Path(name), True
            versions = sorted(path.name for path in root.iterdir() if path.is_dir())
        case [out, *versions]:
            root, on_gpu = Path(tempfile.gettempdir()) / "alloc-versions", False
            versions = versions or [v for v in RELEASES if v not in ("1.10.2", "1.11.0", "1.12.1")]
    root.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp())
    built = callers(work)
    results = {}
    for version in versions:
        results[version] = probe(fetch(version, root), built, on_gpu)
        print(version, sum(said == "accepted" for said in results[version].values()), flush=True)
    Path(out).write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
