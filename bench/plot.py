"""Draws ``bench/results.json``: ``bench/speed.svg``, ``bench/speed.png``, and ``growth`` alike.

.bench/bin/python bench/plot.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

HERE = Path(__file__).resolve().parent
OURS, PEERS = "#2b6cb0", "#a0aec0"
WHOLE = {
    "gpu-lint, one file, warm": "gpu-lint, one file, warm",
    "gpu-lint, one file, cold": "gpu-lint, one file",
    "gpu-lint, warm": "gpu-lint, warm",
    "gpu-lint, cold": "gpu-lint",
    "ruff": "ruff F,E9",
    "ast-grep": "ast-grep, 4 patterns",
}
SUBSET = {
    "gpu-lint, subset, cold": "gpu-lint",
    "ruff, subset": "ruff F,E9",
    "ast-grep, subset": "ast-grep, 4 patterns",
    "Semgrep, subset": "Semgrep, 4 patterns",
    "TorchFix, subset": "TorchFix",
    "Fixit, subset": "Fixit",
}
GROWTH = {
    1: "gpu-lint, cold",
    2: "gpu-lint, other code 2 times, cold",
    4: "gpu-lint, other code 4 times, cold",
    8: "gpu-lint, other code 8 times, cold",
}


def medians() -> dict[str, float]:
    """The median of each command in seconds."""
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    return {one["name"]: statistics.median(one["seconds"]) for one in results["subjects"]}


def bars(axes: plt.Axes, found: dict[str, float], names: dict[str, str], title: str) -> None:
    """One bar per command that was timed, the quickest on top."""
    shown = [(label, found[name]) for name, label in names.items() if name in found]
    labels, values = zip(*reversed(shown), strict=True)
    colors = [OURS if label.startswith("gpu-lint") else PEERS for label in labels]
    drawn = axes.barh(labels, values, color=colors)
    axes.bar_label(drawn, [f" {value:.2f} s" for value in values], padding=2)
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 2, max(values) * 3)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("seconds, on a logarithmic scale")
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    found = medians()
    plt.rcParams.update({"svg.hashsalt": "gpu-lint", "font.size": 9})
    figure, (whole, subset) = plt.subplots(2, 1, figsize=(8, 5), layout="constrained")
    bars(whole, found, WHOLE, "transformers 5.17.0: 2,681 files, 49 MB of Python")
    bars(subset, found, SUBSET, "28 of its files, 10,703 lines, with the slow peers")
    save(figure, "speed")
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    times = [n for n, name in GROWTH.items() if name in found]
    axes.plot(times, [found[GROWTH[n]] for n in times], "o-", color=OURS)
    axes.set_xticks(times)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("times the code that mentions no GPU")
    axes.set_ylabel("seconds")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, "growth")


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})
    figure.savefig(HERE / f"{name}.png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
