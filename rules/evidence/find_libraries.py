"""Finds the libraries that bring a GPU framework in, from what packages say they require.

    git clone --bare https://github.com/conda-forge/staged-recipes CONDA
    git clone --bare https://github.com/spack/spack-packages SPACK
    python rules/evidence/find_libraries.py CONDA SPACK > rules/libraries.toml

A recipe of conda-forge says what its package requires when it runs, and which modules its test
imports; but it may require what the library can do without. So a package counts whose recipe
requires one of ``ROOTS``, and of which a second witness says so: its name, that of the module, or
the package of that name in Spack, where what is optional is a variant. ``PIP`` names packages that
are known otherwise; pip tells what they require. A name that a package without such a requirement
imports, too, is that of a namespace: the module below it counts.

Only names are taken over, and what each requires: facts, no text and no code.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOTS = {
    "torch": "pytorch pytorch-cpu pytorch-gpu torch torchvision torchaudio torchdata",
    "jax": "jax jaxlib",
    "tensorflow": "tensorflow tensorflow-base tensorflow-cpu tensorflow-gpu",
    "cupy": "cupy cupy-cuda12x",
    "paddle": "paddlepaddle paddlepaddle-gpu",
    "mxnet": "mxnet mxnet-cu112",
    "pycuda": "pycuda",
    "rapids": "cudf cuml cugraph rmm pylibraft cudf-cu12 rmm-cu12 pylibraft-cu12",
    "cuda": "nvidia-cuda-runtime-cu12 nvidia-cublas-cu12 cuda-bindings",
}
ROOT_OF = {name: root for root, names in ROOTS.items() for name in names.split()}
SPACK_ROOTS = {
    "py-torch": "torch",
    "py-torchvision": "torch",
    "py-torchaudio": "torch",
    "py-jax": "jax",
    "py-jaxlib": "jax",
    "py-tensorflow": "tensorflow",
    "py-cupy": "cupy",
    "py-cudf": "rapids",
}
PIP = {
    "axial_positional_embedding": "axial_positional_embedding",
    "basicsr": "basicsr",
    "brax": "brax",
    "captum": "captum",
    "compel": "compel",
    "cucim-cu12": "cucim",
    "cuvs-cu12": "cuvs",
    "dask-cudf-cu12": "dask_cudf",
    "ddsp": "ddsp",
    "demucs": "demucs",
    "dgl": "dgl",
    "diffrax": "diffrax",
    "e3nn": "e3nn",
    "exllamav2": "exllamav2",
    "faiss-gpu-cu12": "faiss",
    "gsplat": "gsplat",
    "julius": "julius",
    "lerobot": "lerobot",
    "lightwood": "lightwood",
    "llmcompressor": "llmcompressor",
    "materials-learning-algorithms": "mala",
    "nemo_toolkit": "nemo",
    "nerfstudio": "nerfstudio",
    "nx-cugraph-cu12": "nx_cugraph",
    "omnicloudmask": "omnicloudmask",
    "orthax": "orthax",
    "pyannote.audio": "pyannote.audio",
    "pyknos": "pyknos",
    "pylibraft-cu12": "pylibraft",
    "raft-dask-cu12": "raft_dask",
    "scvi-tools": "scvi",
    "speechbrain": "speechbrain",
    "stable_baselines3": "stable_baselines3",
    "tensordict": "tensordict",
    "tianshou": "tianshou",
    "tsai": "tsai",
    "unsloth": "unsloth",
    "unsloth_zoo": "unsloth_zoo",
    "x-transformers": "x_transformers",
    "xformers": "xformers",
}
"""Distributions on PyPI, and what they are imported as."""
NAMED = re.compile(r"torch|jax|tensorflow|keras|cupy|cuda|(?<![a-z])tf(?![a-z])", re.IGNORECASE)
NOT_NEEDED = {"jaxtyping", "sdmetrics", "silence_tensorflow", "tensorflow_datasets"}
"""What goes without the framework that its name, or an old package of it, speaks of."""
NOT_ITS_NAME = {"aurora", "benchmark", "bert_score_cli", "blitz", "dinosaur", "docs", "examples",
                "few_backend_cpu", "few_backend_cuda12x", "flash", "heat", "hydra_plugins",
                "jb_everything", "kerastuner", "laplace", "mace", "modulus", "numba", "sagemaker",
                "scripts", "simplify", "test", "tests", "tools", "trainer"}  # fmt: skip
"""What recipes test beside their own package, and words that are modules of many projects."""
DEPENDS = re.compile(r"^( *)depends_on\(\s*\"(py-[\w-]+)([^)]*)\)", re.MULTILINE)
KEY = re.compile(r"\s*(?:-\s+)?(run|imports):\s*(?:#.*)?\Z")
ITEM = re.compile(r"\s*-\s+(.*)\Z")


def recipes(clone: Path) -> dict[str, str]:
    """Return the newest text of every recipe that the repository ever held, by its directory."""
    git = ["git", "--git-dir", str(clone)]
    log = [*git, "log", "--full-history", "--no-merges", "--raw", "--no-renames", "--no-abbrev"]
    log += ["--diff-filter=AM", "--format=", "--", "recipes"]
    newest: dict[str, str] = {}
    for line in subprocess.run(log, capture_output=True, text=True, check=True).stdout.splitlines():
        change, path = line.split("\t", 1)
        found = re.fullmatch(r"recipes/([^/]+)/(?:meta|recipe)\.yaml", path)
        if found is not None:
            newest.setdefault(found[1], change.split()[3])
    wanted = "".join(f"{blob}\n" for blob in newest.values()).encode()
    data = subprocess.run(
        [*git, "cat-file", "--batch"], input=wanted, capture_output=True, check=True
    ).stdout
    texts, at = {}, 0
    for directory in newest:
        end = data.index(b"\n", at)
        size = int(data[at:end].split()[2])
        texts[directory] = data[end + 1 : end + 1 + size].decode("utf-8", "replace")
        at = end + size + 2
    return texts


def lists_of(text: str) -> tuple[set[str], set[str]]:
    """Return what a recipe requires to run, and the modules that its test imports."""
    required: set[str] = set()
    imported: set[str] = set()
    key, depth = "", 0
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith(("#", "{%")):
            continue
        indent = len(line) - len(line.lstrip())
        item = ITEM.match(line)
        if key and (indent < depth or (indent == depth and item is None)):
            key = ""
        if key:
            value = re.sub(r"\s+#.*", "", item[1]).strip(" \"'") if item is not None else ""
            if key == "run" and (name := re.match(r"[\w.-]+", value)):
                required.add(name[0].lower())
            elif key == "imports" and re.fullmatch(r"[A-Za-z_][\w.]*", value):
                imported.add(value)
        elif (found := KEY.match(line)) is not None:
            key, depth = found[1], indent
    return required, imported


def required_by_spack(clone: Path) -> dict[str, set[str]]:
    """Return the GPU frameworks that packages of Spack require whatever their variants, by name."""
    git = ["git", "--git-dir", str(clone)]
    tree = "repos/spack_repo/builtin/packages"
    grep = [*git, "grep", "-lE", "depends_on.*py-(torch|jax|tensorflow|cupy|cudf)", "HEAD", "--"]
    found: dict[str, set[str]] = {}
    for path in subprocess.run(
        [*grep, tree], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        shown = subprocess.run([*git, "show", path], capture_output=True, text=True, check=True)
        name = path.split("/")[-2].removeprefix("py_").replace("_", "-")
        for match in DEPENDS.finditer(shown.stdout):
            root = SPACK_ROOTS.get(match[2])
            if root and not re.search(r"when=\"[^\"]*[+~=]|type=\"(?:build|test)\"", match[3]):
                found.setdefault(name, set()).add(root)
    return found


def required_by_pip(distribution: str) -> set[str]:
    """Return the names that a distribution on PyPI requires, extras left out."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    command += ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--quiet"]
    done = subprocess.run(
        [*command, "--report", "-", distribution], capture_output=True, text=True, check=True
    )
    metadata = json.loads(done.stdout)["install"][0]["metadata"]
    lines = (line for line in metadata.get("requires_dist", ()) if "extra ==" not in line)
    return {re.match(r"[\w.-]+", line)[0].lower() for line in lines}  # type: ignore[index]


def described() -> set[str]:
    """Return the modules that the tables of frameworks describe."""
    tables = (Path(__file__).parent.parent / "frameworks").glob("*.toml")
    heads = (tomllib.loads(table.read_text("utf-8"))["framework"] for table in tables)
    return {module for head in heads for module in head["modules"]}


def commit_of(clone: Path) -> str:
    head = ["git", "--git-dir", str(clone), "rev-parse", "HEAD"]
    return subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()


def main(conda: Path, spack: Path) -> None:
    """Print the libraries by what they require."""
    texts, packages = recipes(conda), required_by_spack(spack)
    read = {directory: lists_of(text) for directory, text in texts.items()}
    found: dict[str, set[str]] = {}
    elsewhere: set[str] = set()
    for directory, (required, imported) in read.items():
        roots = {ROOT_OF[name] for name in required & ROOT_OF.keys()}
        if not roots or directory.lower() in ROOT_OF:
            elsewhere |= {module.partition(".")[0] for module in imported}
            continue
        for module in imported:
            names = {directory, module.partition(".")[0]}
            in_spack = {name.lower().replace("_", "-").replace(".", "-") for name in names}
            if packages.keys() & in_spack or any(map(NAMED.search, names)):
                found.setdefault(module, set()).update(roots)
    libraries: dict[str, set[str]] = {}
    known = described()
    roots_known = {module.partition(".")[0] for module in known}
    for module, roots in found.items():
        first, *below = module.split(".")
        if first in NOT_NEEDED | NOT_ITS_NAME | roots_known | sys.stdlib_module_names:
            continue
        if first not in elsewhere:
            libraries.setdefault(first, set()).update(roots)
        elif below and len(first) > 2:
            libraries.setdefault(f"{first}.{below[0]}", set()).update(roots)
    for distribution, module in PIP.items():
        roots = {ROOT_OF[name] for name in required_by_pip(distribution) & ROOT_OF.keys()}
        if not roots:
            raise SystemExit(f"{distribution} requires no GPU framework")
        libraries.setdefault(module, set()).update(roots)
    print(
        "# Libraries that bring a GPU framework in, by what they require; no table describes their\n"
        "# calls. Made by rules/evidence/find_libraries.py from pip's metadata and from\n"
        f"# conda-forge/staged-recipes {commit_of(conda)} and\n"
        f"# spack/spack-packages {commit_of(spack)}; do not edit."
    )
    for root in ROOTS:
        names = sorted(name for name, roots in libraries.items() if root in roots)
        if names:
            print(f"\n{root} = [")
            print("".join(f'    "{name}",\n' for name in names) + "]")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
