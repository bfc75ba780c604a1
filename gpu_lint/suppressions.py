"""Comments that silence findings: ``# gpu-lint: ignore[CODE]`` and its kin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gpu_lint.checks.context import Found
from gpu_lint.facts.program import Comment
from gpu_lint.findings import Applicability
from gpu_lint.remedies import DeleteComment
from gpu_lint.rulebook import Rulebook
from gpu_lint.source import Source, Span

_OURS = re.compile(
    r"#\s*gpu-lint:\s*(?P<kind>ignore-file|ignore)(?![\w-])(?:\s*\[(?P<codes>[^\]]*)\])?(?P<reason>[^#]*)"
)
_NOQA = re.compile(r"#\s*noqa:\s*(?P<codes>[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*)", re.IGNORECASE)
_INTENDED = re.compile(
    r"#\s*gpu[-_]?lint\b(?P<colon>\s*[:=])?\s*"
    r"(?:(?:disable|enable|ignore|skip|noqa|nolint|off|suppress|exclude|allow)(?:[-_][\w-]*)?"
    r"|\w[\w-]*(?=\s*\[))(?![\w-])(?P<end>\s*(?:\Z|[\[(=:,]|GPU\d|all\b))?",
    re.IGNORECASE,
)
"""A comment that is meant to silence something, and does not."""
_GPU_CODE = re.compile(r"GPU\d+\Z")
_GPU_CODES = re.compile(r"\bGPU\d+\b")


@dataclass
class Suppression:
    """One comment: the codes it names (none: all) and the rows it covers (None: the file)."""

    span: Span
    style: str
    codes: dict[str, tuple[str, ...]]
    """Each code or prefix as written, with the rules it stands for."""
    rows: frozenset[int] | None
    used: set[str] = field(default_factory=set)
    others: tuple[str, ...] = ()
    """Codes of other tools in a ``noqa``."""
    unnamed: bool = False

    def covers(self, code: str, rows: Iterable[int]) -> bool:
        """Whether it silences a finding of this code that stands on these rows."""
        if self.rows is not None and not self.rows.intersection(rows):
            return False
        if self.unnamed:
            self.used.add("")
            return True
        matching = [written for written, codes in self.codes.items() if code in codes]
        self.used.update(matching)
        return bool(matching)


class ByRow:
    """The suppressions of a file, found by the rows that they cover."""

    def __init__(self, suppressions: Iterable[Suppression]) -> None:
        self._everywhere: list[Suppression] = []
        self._on: dict[int, list[Suppression]] = {}
        for one in suppressions:
            if one.rows is None:
                self._everywhere.append(one)
            for row in one.rows or ():
                self._on.setdefault(row, []).append(one)

    def cover(self, code: str, rows: Iterable[int]) -> bool:
        """Return whether one silences a finding that stands on some rows; each that does is noted
        to be used."""
        there = [one for row in rows for one in self._on.get(row, ())]
        return bool([one for one in (*self._everywhere, *there) if one.covers(code, rows)])


def read_suppressions(
    comments: Iterable[Comment], source: Source, rulebook: Rulebook
) -> list[Suppression]:
    """The suppressions of a file, in order."""
    found = []
    comments = tuple(comments)
    code_below: dict[int, int] = {}
    """Of each line that is a comment, the first one below that is none."""
    for row in sorted((source.row(c.span.start) for c in comments if c.own_line), reverse=True):
        code_below[row] = code_below.get(row + 1, row + 1)
    for comment in comments:
        row = source.row(comment.span.start)
        match = _OURS.match(comment.text)
        if match:
            rows: frozenset[int] | None = None
            if match["kind"] == "ignore":
                target = code_below[row] if comment.own_line else row
                rows = frozenset({row, target})
            written = re.split(r"[,\s]+", match["codes"].strip()) if match["codes"] else []
            codes = {code: rulebook.matching(code) for code in written if code}
            span = _part(comment, match.start(), match.end(), source)
            suppression = Suppression(span, "ours", codes, rows)
            suppression.unnamed = match["codes"] is None
            found.append(suppression)
            continue
        match = _NOQA.search(comment.text)
        if match:
            written = re.split(r"[,\s]+", match["codes"].strip())
            ours = [code for code in written if _GPU_CODE.match(code.upper())]
            if ours:
                codes = {code: rulebook.matching(code.upper()) for code in ours}
                span = _part(comment, match.start(), match.end(), source)
                others = tuple(code for code in written if code not in ours)
                found.append(Suppression(span, "noqa", codes, frozenset({row}), others=others))
    return found


def count_suppressions(source: Source, rulebook: Rulebook) -> int:
    """Return how many suppression comments a file has."""
    from gpu_lint.facts.comments import comments_of
    from gpu_lint.facts.needles import needles_for

    if not needles_for(rulebook.knowledge).comments(source.data):
        return 0
    return len(read_suppressions(comments_of(source), source, rulebook))


def _part(comment: Comment, start: int, end: int, source: Source) -> Span:
    at = comment.span.start
    before = len(comment.text[:start].encode(source.encoding))
    length = len(comment.text[start:end].rstrip().encode(source.encoding))
    return Span(at + before, at + before + length)


def check_suppressions(
    suppressions: Iterable[Suppression], enabled: frozenset[str], source: Source
) -> Iterator[Found]:
    """GPU003 for codes that do not exist, GPU002 for codes that silence nothing.

    A code of a rule that is not enabled in this run may well silence something in another.
    """
    for suppression in suppressions:
        unknown = [code for code, rules in suppression.codes.items() if not rules]
        for code in unknown:
            yield Found("GPU003", suppression.span, f"there is no rule {code!r}")
        unused = [
            code
            for code, rules in suppression.codes.items()
            if rules and code not in suppression.used and enabled.issuperset(rules)
        ]
        if suppression.unnamed and not suppression.used:
            unused = [""]
        if unused:
            what = ", ".join(code for code in unused if code) or "it"
            message = f"nothing is suppressed here by {what}"
            remedy = DeleteComment(*_without(suppression, unused, source))
            yield Found("GPU002", suppression.span, message, "", remedy, Applicability.SAFE)


def check_intended(comments: Iterable[Comment], source: Source) -> Iterator[Found]:
    """GPU003 for comments that are meant as suppressions, and are none."""
    for comment in comments:
        text = comment.text
        if _OURS.match(text):
            continue
        behind = _OURS.search(text, 1)
        if behind is not None and text[behind.start() - 1].isspace():
            span = _part(comment, behind.start(), behind.end(), source)
            yield Found("GPU003", span, "behind another comment it silences nothing; put it first")
            continue
        match = _INTENDED.search(text)
        if match is None or not (match["colon"] or match["end"] is not None):
            continue
        if match.start() and not text[match.start() - 1].isspace():
            continue
        codes = ", ".join(dict.fromkeys(_GPU_CODES.findall(text.upper())))
        kind = "ignore-file" if "file" in match.group().lower() else "ignore"
        wanted = f"# gpu-lint: {kind}[{codes or 'CODE'}] reason"
        span = _part(comment, match.start(), len(text), source)
        yield Found("GPU003", span, f"this comment silences nothing; write `{wanted}`")


def _without(suppression: Suppression, unused: list[str], source: Source) -> tuple[Span, str]:
    """The bytes to replace, and by what, so that the unused codes are gone."""
    kept = [code for code in suppression.codes if code not in unused]
    span = suppression.span
    text = source.slice(span)
    if suppression.style == "noqa":
        kept = [*suppression.others, *kept]
        if kept:
            return span, f"# noqa: {', '.join(kept)}"
    elif kept:
        return span, re.sub(r"\[[^\]]*\]", f"[{', '.join(kept)}]", text, count=1)
    row = source.row(span.start)
    line = source.line_span(row)
    before = source.data[line.start : span.start]
    after = source.data[span.end : line.end].strip()
    if after:
        return span, ""
    if not before.strip():
        return line, ""
    return Span(line.start + len(before.rstrip()), span.end), ""
