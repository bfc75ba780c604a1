"""What fixes have put in the place of devices and masks, and the text that still names these."""

from __future__ import annotations

import io
import re
import token
import tokenize
from collections.abc import Iterable, Iterator

from gpu_lint.codemod.splice import splice
from gpu_lint.findings import Edit, FixedFile
from gpu_lint.records import record
from gpu_lint.source import Source

_DEVICE = re.compile(r"\bcuda:(\d+)(?!\d)", re.IGNORECASE)
_MASK = re.compile(r"CUDA_VISIBLE_DEVICES['\"]?\]?\s*[=:,]\s*['\"]?(\d+(?:\s*,\s*\d+)*)(?![\w.])")
_LITERAL = re.compile(r"(?:[bBrRuUfF]*['\"]+)?(?:cuda:)?(\d+(?:\s*,\s*\d+)*)['\"]*", re.IGNORECASE)
_TEXTS = frozenset(
    getattr(token, name)
    for name in ("STRING", "COMMENT", "FSTRING_MIDDLE", "TSTRING_MIDDLE")
    if hasattr(token, name)
)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")


@record
class Replaced:
    """What the edits of a file took away: indices of devices, and masks."""

    devices: tuple[int, ...]
    """One for each index that was changed."""
    masks: frozenset[str]


@record
class Leftover:
    """A line of a comment or a string that names a device or a mask that was replaced."""

    row: int
    text: str


def replaced_in(fixed: FixedFile) -> Replaced:
    """Return which devices and masks the edits of a file replaced by others."""
    devices: list[int] = []
    masks: set[str] = set()
    source = fixed.before.source
    for edits in fixed.edits:
        kept = {mask for edit in edits for mask in _MASK.findall(edit.content)}
        for edit in edits:
            old = source.slice(edit.span)
            devices += _devices(old, edit.content)
            masks.update(_masks(old, edit, source))
        masks -= kept
        source = splice(source, edits).source
    return Replaced(tuple(devices), frozenset(masks))


def _devices(old: str, new: str) -> Iterator[int]:
    """The devices that a literal named, where another literal of one device takes its place."""
    before, after = _LITERAL.fullmatch(old), _LITERAL.fullmatch(new)
    is_mask = before is not None and "cuda:" not in old.lower() and not old.isdigit()
    if before is None or after is None or is_mask or before[1] == after[1]:
        return
    if before[1].isdigit():
        yield int(before[1])


def _masks(old: str, edit: Edit, source: Source) -> Iterator[str]:
    """The masks that a statement wrote which is replaced or taken away, or a literal in one."""
    yield from _MASK.findall(old)
    literal = _LITERAL.fullmatch(old)
    if literal is not None and _LITERAL.fullmatch(edit.content) and "cuda:" not in old.lower():
        row = source.row(edit.span.start)
        if "CUDA_VISIBLE_DEVICES" in source.line(row) and literal[1] not in edit.content:
            yield literal[1]


def leftovers(fixed: Iterable[FixedFile]) -> Iterator[tuple[FixedFile, Leftover]]:
    """Yield the lines of changed files whose comments and strings still name a device or a mask
    that was replaced somewhere; not those of which a finding is left."""
    changed = [one for one in fixed if one.changed]
    replaced = [replaced_in(one) for one in changed]
    devices = {str(device) for one in replaced for device in one.devices}
    masks = {mask for one in replaced for mask in one.masks}
    if not devices and not masks:
        return
    for one in changed:
        source = one.after.source
        found = {source.row(finding.span.start) for finding in one.after.findings}
        rows: dict[int, None] = {}
        for row, text in _texts(source):
            if row not in found and (
                devices.intersection(_DEVICE.findall(text))
                or masks.intersection(_MASK.findall(text))
            ):
                rows[row] = None
        for row in rows:
            yield one, Leftover(row, source.line(row).strip())


def _texts(source: Source) -> Iterator[tuple[int, str]]:
    """The lines of comments and strings, each with its number (from 1)."""
    lines = [line.rstrip("\r\n") + "\n" for line in _LINE.findall(source.text)]
    try:
        for found in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
            if found.type in _TEXTS:
                for number, text in enumerate(found.string.split("\n")):
                    yield found.start[0] + number, text
    except (tokenize.TokenError, SyntaxError):
        return
