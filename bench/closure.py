"""What a hook pays for a verdict that takes the imported files into account.

    python bench/closure.py FILE...

Of each file: reading it alone, then reading what it imports of its project and judging it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gpu_lint.engine import Engine
from gpu_lint.facts.reading import read_file
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import read_source


def main(names: list[str]) -> None:
    print("| file | lines | read alone | project's files read | with them |")
    print("|---|---|---|---|---|")
    for name in names:
        path = Path(name)
        engine = Engine(SettingsFinder(load_rulebook(), isolated=True))
        read = [0]
        beside = engine.read_beside

        def counted(file: str, beside=beside, read=read):  # type: ignore[no-untyped-def]
            read[0] += 1
            return beside(file)

        engine.read_beside = counted  # type: ignore[method-assign]
        start = time.perf_counter()
        source = read_source(path)
        read_file(source, engine.rulebook.knowledge)
        alone = time.perf_counter() - start
        start = time.perf_counter()
        engine.check([path])
        whole = time.perf_counter() - start
        lines = source.text.count("\n")
        print(
            f"| {'/'.join(path.parts[-3:])} | {lines} | {alone:.2f} s | {read[0]} | {whole:.2f} s |"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
