"""Fuzzes everything that reads what others wrote, guided by what of our code is reached.

    pip install atheris && python bench/fuzz.py TARGET --runs N [--seed N]

Targets: see ``tests/fuzzing.py``. Begins with the seeds in ``fixtures/hostile/TARGET`` and the
examples of the rules. What makes a target fail is printed and kept beside the seeds, where
``tests/test_fuzz.py`` reads it from then on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["gpu_lint"]):
    from tests.fuzzing import TARGETS, run

from gpu_lint.rulebook import load_rulebook, rules_directory  # noqa: E402


def seeds(target: str) -> list[bytes]:
    """Valid inputs to begin with."""
    hostile = ROOT / "fixtures" / "hostile" / target
    found = [path.read_bytes() for path in sorted(hostile.glob("*"))]
    if target in ("reader", "check", "fix"):
        rules = load_rulebook().rules.values()
        found += [example.bad.encode() for rule in rules for example in rule.examples]
    if target == "policy":
        found += [path.read_bytes() for path in ROOT.glob("fixtures/**/gpu-lint.toml")]
    if target == "rules":
        found += [path.read_bytes() for path in rules_directory().rglob("*.toml")]
    if target == "suppressions":
        found += [b"ignore[GPU201] reason", b"noqa: GPU201, E501", b"ignore-file"]
    if target == "globs":
        found += [b"*.py[co]\n/build/\n!keep\0a/b.py", b"**/*a*b*/c\\*\0aab/c*"]
    if target == "surroundings":
        found += [b"export CUDA_VISIBLE_DEVICES='1' # card\nA=${B:-1}\n", b"torch==2.9.1 ; x\n"]
        found += [b"env -u A B=1 torchrun --nproc_per_node 2 a.py && (unset C; python -m b)"]
        found += [b"[project]\ndependencies = ['torch>=2']", b"[[package]]\nname = 'torch'"]
    if target == "option":
        found += [b"gpu.visible-devices='1'", b"select=['GPU1']", b"fail-on=error"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    crashes = ROOT / "fixtures" / "hostile" / options.target
    crashes.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(seeds(options.target)):
            (Path(corpus) / str(number)).write_bytes(data)
        arguments = [f"-runs={options.runs}", f"-seed={options.seed}", "-max_len=4096"]
        arguments += [f"-artifact_prefix={crashes}/", "-timeout=20", "-rss_limit_mb=4096", corpus]
        atheris.Setup([sys.argv[0], *arguments], lambda data: run(options.target, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
