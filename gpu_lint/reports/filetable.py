"""The table of a migration by file: what became of each one that was changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gpu_lint.facts.markers import HEADER_BEGIN, HEADER_END, VALIDATOR_MARK
from gpu_lint.findings import FileFindings, FixedFile, MisfitKind
from gpu_lint.reports import shown_path
from gpu_lint.reports.replaced import replaced_in
from gpu_lint.reports.table import Column, table
from gpu_lint.templates import IMPORT_MARK

_MOST_ROWS = 40
_COLUMNS = (
    Column("file", least=8),
    Column("header", least=5),
    Column("validator", least=7),
    Column("indices", number=True),
    Column("option", least=6),
    Column("CPU path", least=4),
)
_MOVES = ("GPU107", "GPU108", "GPU109", "GPU110", "GPU115")
_VALUES = ("GPU102", "GPU104", "GPU106", "GPU112", "GPU114")
_KINDS = (("torch", "torch.cuda"), ("nvidia-smi", "nvidia-smi"), ("NVML", "nvml"))
"""What a validator asks, and how its text shows that."""


def by_file(fixed: Sequence[FixedFile], base: Path, width: int | None = None) -> list[str]:
    """Return the lines of a table, a row for each changed file: its header, its validator and what
    that asks, the indices that were changed, whether an option no longer decides, and whether the
    way without a GPU is gone. What is as it was is empty; of the files above 40 only the number."""
    changed = [one for one in fixed if one.changed]
    rows = [_row(one, base) for one in changed[:_MOST_ROWS]]
    lines = table(_COLUMNS, rows, width)
    if more := len(changed) - _MOST_ROWS:
        lines += [f"and {more} more"] if more > 0 else []
    return lines


def _row(one: FixedFile, base: Path) -> tuple[str, ...]:
    gone = Counter(f.code for f in one.before.findings)
    gone.subtract(f.code for f in one.after.findings)
    fallbacks = any(finding.code == "GPU206" for finding in one.before.findings)
    validator = _validator(one, gone)
    indices = len(replaced_in(one).devices)
    overridden = _decided(one.after) > _decided(one.before)
    lost = gone["GPU206"] > 0 or (bool(validator) and fallbacks)
    return (
        shown_path(one.before.path, base),
        _header(one, gone),
        validator,
        str(indices) if indices else "",
        "overridden" if overridden else "",
        "lost" if lost else "",
    )


def _decided(side: FileFindings) -> int:
    """How many masks no longer decide, because another takes their place."""
    return sum(one.kind in (MisfitKind.DECIDES, MisfitKind.REPLACES) for one in side.unfit)


def _header(one: FixedFile, gone: Counter[str]) -> str:
    old, new = (_between(side.source.text) for side in (one.before, one.after))
    if old != new and not (old and _imports(one.after)):
        return "rewritten" if old else "added"
    if _imports(one.after) and not _imports(one.before):
        return "imported"
    if any(gone[code] > 0 for code in _MOVES):
        return "moved"
    return "corrected" if any(gone[code] > 0 for code in _VALUES) else ""


def _imports(side: FileFindings) -> bool:
    """Whether a file imports the module that holds the header, as a fix writes it."""
    return IMPORT_MARK in side.source.text


def _between(text: str) -> str:
    """What stands in the managed header of a file; empty if there is none."""
    begin, end = text.find(HEADER_BEGIN), text.find(HEADER_END)
    return text[begin:end] if 0 <= begin < end else ""


def _validator(one: FixedFile, gone: Counter[str]) -> str:
    """What became of the validator, and what it asks about the GPU if a fix wrote it."""
    old, new = (side.source.text.partition(VALIDATOR_MARK)[2] for side in (one.before, one.after))
    block = new.partition("\n\n\n")[0]
    if not block or old.partition("\n\n\n")[0] == block:
        if gone["GPU303"] > 0:
            return "completed"
        return "called" if gone["GPU301"] > 0 or gone["GPU302"] > 0 else ""
    kind = next((name for name, sign in _KINDS if sign in block), "")
    done = "rewritten" if old else "added"
    return f"{done} ({kind})" if kind else done
