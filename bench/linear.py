"""Looks for input on which some part of gpu-lint takes more than linear time.

    python bench/linear.py [--bytes N]

gives every reader texts that are one or two short pieces over and over, perhaps with an end that
none of them leads to, at two lengths, and prints those for which doubling the length more than
doubles the time; ends with 1 if there are any. Pieces are what regular expressions stumble over:
words, blanks, quotes, brackets, comments, and what the needles look for.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import process_time

from gpu_lint.allocator import fault
from gpu_lint.engine import Engine
from gpu_lint.errors import ConfigError, SourceError, SyntaxFault
from gpu_lint.facts.comments import comments_of
from gpu_lint.facts.limits import check_limits
from gpu_lint.facts.mentions import Mentions
from gpu_lint.facts.needles import needles_for
from gpu_lint.facts.outline import NoOutline, outlined, without_bodies
from gpu_lint.facts.reading import read_file
from gpu_lint.facts.skim import Unskimmable, all_long_strings, skim
from gpu_lint.masks import read_mask
from gpu_lint.policy import check_table
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Source, decode_source
from gpu_lint.toml import line_of

BOOK = load_rulebook()
NEEDLES = needles_for(BOOK.knowledge)
POLICY = {
    "gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID", "name": "x"},
    "header": {"required-in": "all"},
}
PIECES = (
    "a", "A", "1", "_", ".", " ", "\t", "\n", "\\\n", "\\", "'", '"', "'''", '"""', "#", "(", ")",
    "[", "]", "{", "}", ",", ":", "=", ";", "-", "a.", "a =", "x: ", "é", "device=", "device ",
    "device(", ".to(", "gpu", "gpu_id", "cuda:", "'cuda',", "CUDA_VISIBLE_DEVICES", "import ",
    "from ", "from a import ", "import_module(", "def f(", "class A:\n ", "if TYPE_CHECKING:\n ",
    "@a.", "# gpu-lint: ignore[", "# noqa: GPU201,", "os.environ[", "memory(", "f'{", "lambda:",
    "multiprocessing", "__main__", "\r", "\f", "b'", "x = y\n", "if x:\n", "GPU-0,", "1,",
    "\ndef f", "\ndef f(\n", "\nclass A", "\n  def f():\n    x #",
)  # fmt: skip


def engine(policy: dict[str, object]) -> Engine:
    keys = check_table(policy, lambda code: True)
    return Engine(SettingsFinder(BOOK, config_keys=keys, isolated=True))


FREE, STRICT = engine({}), engine(POLICY)
START = "import os, torch\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"


def source_of(text: str) -> Source:
    return decode_source(Path("x.py"), text.encode())


READERS: dict[str, Callable[[str], object]] = {
    "needles": lambda text: NEEDLES.touch(text.encode()),
    "needles, with a variable": lambda text: NEEDLES.touch(START.encode() + text.encode()),
    "mentions": lambda text: Mentions(text.encode(), NEEDLES).lines,
    "skim": lambda text: skim(text.encode()),
    "limits": check_limits,
    "outline": lambda text: outlined(source_of(START + text)),
    "without bodies": lambda text: without_bodies(source_of(START + text), 300),
    "comments": lambda text: comments_of(source_of(text)),
    "reading": lambda text: read_file(source_of(text), BOOK.knowledge),
    "check": lambda text: FREE.check_source(source_of(START + text)),
    "check, as a text": lambda text: FREE.check_source(source_of(f"{START}x = {text!r}\n")),
    "check, as a mask": lambda text: FREE.check_source(
        source_of(f"{START}os.environ['CUDA_VISIBLE_DEVICES'] = {text!r}\n")
    ),
    "fix under a policy": lambda text: STRICT.fix_source(source_of(START + text)),
    "mask": read_mask,
    "allocator": fault,
    "key of a TOML file": lambda text: line_of(text, ("tool", "gpu-lint", "x")),
}
ENDS = ("", "'", '"""', "\n)", ":\n")
EXPECTED = (SourceError, SyntaxFault, Unskimmable, NoOutline, ConfigError)


def seconds(reader: Callable[[str], object], text: str) -> float:
    all_long_strings.cache_clear()  # of the same text a moment ago
    start = process_time()
    with contextlib.suppress(*EXPECTED):
        reader(text)
    return process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=8_000)
    parser.add_argument("--only", help="one reader")
    parser.add_argument("--pairs", action="store_true", help="pairs of pieces, too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    units = [*PIECES, *(map("".join, itertools.permutations(PIECES, 2)) if options.pairs else ())]
    found = tried = 0
    for name, reader in READERS.items():
        if options.only not in (None, name):
            continue
        for unit, end in itertools.product(units, ENDS):
            count = options.bytes // len(unit)
            short, long = unit * count + end, unit * count * 2 + end
            tried += 1
            try:
                once = seconds(reader, short)
            except Exception as error:
                found += 1
                print(f"{name}: {unit!r} {type(error).__name__}: {error!s:.60}", flush=True)
                continue
            if once < 0.002:
                continue
            twice = min(seconds(reader, long) for _ in range(2))
            if twice > 3 * min(once, seconds(reader, short)):
                found += 1
                shown = f"{unit!r}… {end!r}"
                print(
                    f"{name}: {shown} {once * 1e3:.0f} ms, twice {twice * 1e3:.0f} ms", flush=True
                )
    print(f"{tried} texts read, {found} took more than linear time, or failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
