"""Holds the promise of a clean check against the cards that programs touch, on real GPUs.

    python bench/promises.py OUT.json [--programs 500] [--first 0] [--seconds 480] [--stand-ins N]

Composes projects (``tests/differential/promises.py``), judges each under a policy, runs it in a
process of its own, and notes the GPUs that it and all its children touch, by their UUIDs. Every
fourth has GPU 0 for its policy's card, the others GPU 1: on a machine with one GPU that names no
card, so that a program that keeps its mask touches nothing, and one that loses it touches GPU 0.
What needs a package that is not installed is left out. ``--stand-ins N`` runs the same on ``N``
GPUs of ``tests/fakecuda``. Needs Linux, nvidia-smi and PyTorch, and of gpu-lint the repository
alone. Prints what it found, and ends with 1 if a promise was broken.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from watched import machine_gpus, missing, read_options, run, watched_python, write

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from gpu_lint.engine import Engine  # noqa: E402
from gpu_lint.policy import check_table  # noqa: E402
from gpu_lint.rulebook import load_rulebook  # noqa: E402
from gpu_lint.settings import SettingsFinder  # noqa: E402
from tests.differential.outcome import POLICY  # noqa: E402
from tests.differential.programs import Seeded  # noqa: E402
from tests.differential.promises import Promises  # noqa: E402


@dataclass(slots=True)
class Trial:
    """One project, what is found in it, and what it did."""

    seed: int
    card: int
    """The policy's GPU, as a physical index."""
    is_harmless: bool
    """Nothing may be found in it."""
    files: dict[str, str]
    found: list[str]
    status: int = -1
    """-1 if it was not run, or was stopped."""
    error: str = ""
    touched: list[str] = field(default_factory=list)
    """UUIDs of the GPUs that it and its children have used."""
    late: int = 0
    """Writes of another mask after CUDA was initialised."""

    def broken(self, gpus: list[str]) -> str:
        """How its run breaks the promise of a clean check; empty if it keeps it."""
        if self.found:
            return ""
        if more := set(self.touched) - self._wanted(gpus):
            return f"it touches {sorted(more)}"
        if self.late:
            return "a mask is written too late"
        if self._wanted(gpus) and not self._reaches_its_gpu(gpus):
            return f"it does not reach its GPU (status {self.status})"
        return ""

    def is_blamed(self, gpus: list[str]) -> bool:
        """It is right in every part, runs so, and something is found in it."""
        return self.is_harmless and self._reaches_its_gpu(gpus) and bool(self.found)

    def _wanted(self, gpus: list[str]) -> set[str]:
        return set(gpus[self.card : self.card + 1])

    def _reaches_its_gpu(self, gpus: list[str]) -> bool:
        return not (self.status or self.late) and set(self.touched) == self._wanted(gpus) != set()


def compose(first: int, count: int) -> list[Trial]:
    """Projects that this machine can run, judged under the policy of their card."""
    trials: list[Trial] = []
    seed = first
    while len(trials) < count:
        card = 0 if seed % 4 == 3 else 1
        maker = Promises(Seeded(seed), card)
        files = maker.project().files
        if not missing(files):
            trials.append(Trial(seed, card, maker.is_harmless, files, _found(files, card)))
        seed += 1
    return trials


def _found(files: dict[str, str], card: int) -> list[str]:
    """What is found in a project but for what is wanted of a validator."""
    policy = {**POLICY, "gpu": {**POLICY["gpu"], "visible-devices": str(card)}}
    book = load_rulebook()
    keys = check_table(policy, lambda code: bool(book.matching(code)))
    engine = Engine(SettingsFinder(book, config_keys=keys, isolated=True))
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory), files)
        run = engine.check([Path(directory, name) for name in files if name.endswith(".py")])
    assert run.troubles == [], run.troubles
    codes = {finding.code for result in run.files for finding in result.findings}
    return sorted(code for code in codes if not code.startswith("GPU30"))


def main() -> int:
    options = read_options(__doc__, 500)
    started = time.monotonic()
    gpus = machine_gpus(options.stand_ins)
    trials = compose(options.first, options.programs)

    def timely(trial: Trial) -> bool:
        if time.monotonic() - started > options.seconds:
            return False
        ran = run(trial.files, python)
        trial.status, trial.error, trial.late = ran.status, ran.error, ran.late
        trial.touched = ran.touched
        return True

    with tempfile.TemporaryDirectory() as directory:
        python = watched_python(Path(directory), options.stand_ins)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            is_run = list(pool.map(timely, trials))
    ran = [trial for trial, was_run in zip(trials, is_run, strict=True) if was_run]
    broken = {trial.seed: why for trial in ran if (why := trial.broken(gpus))}
    blamed = [trial.seed for trial in ran if trial.is_blamed(gpus)]
    facts = {
        "gpus": gpus,
        "python": platform.python_version(),
        "system": platform.platform(),
        "programs": len(ran),
        "not run": len(trials) - len(ran),
        "seconds": round(time.monotonic() - started),
        "broken promises": broken,
        "blamed though right": blamed,
        "verdict and what it touched": {
            " ".join(key): count for key, count in sorted(_counted(ran, gpus).items())
        },
    }
    rows = ",\n".join(json.dumps(asdict(trial)) for trial in ran)
    options.out.write_text(f'{{"meta": {json.dumps(facts)},\n"programs": [\n{rows}\n]}}\n')
    print(json.dumps(facts, indent=1))
    return int(bool(broken or blamed))


def _counted(trials: list[Trial], gpus: list[str]) -> Counter[tuple[str, str, str]]:
    """How many programs of each card were found wrong or not, and touched which GPUs."""
    return Counter(
        (
            f"card {trial.card}:",
            "found," if trial.found else "nothing found,",
            ", ".join(f"GPU {gpus.index(uuid)}" for uuid in trial.touched) or "no GPU",
        )
        for trial in trials
    )


if __name__ == "__main__":
    sys.exit(main())
