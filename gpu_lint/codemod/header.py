"""The header: gathered from scattered statements, or written anew, in its one right place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import libcst as cst

from gpu_lint.checks.context import Context
from gpu_lint.checks.values import gathered
from gpu_lint.codemod.cut import Cut, cut_out, rendered, within
from gpu_lint.codemod.lines import Lines
from gpu_lint.codemod.settings import Access, access_at_anchor, place, removals
from gpu_lint.facts.demands import PolicyModule
from gpu_lint.facts.markers import HEADER, HEADER_BEGIN, HEADER_END
from gpu_lint.findings import Edit
from gpu_lint.source import Span
from gpu_lint.templates import import_line, render_header
from gpu_lint.variables import ALIASES

_DOCSTRING = "Choose the GPU; import this module before anything that may use one."
_OS = re.compile(r"\bos\b")


@dataclass
class _Comments:
    """Comments of statements that are taken away, or written anew; they must live on."""

    variables: dict[Span, str]
    """What a statement is known to write, where it is one variable; else empty."""
    above: list[str] = field(default_factory=list)
    behind: dict[str, str] = field(default_factory=dict)
    """Those behind the statement that writes a variable."""

    def keep(self, cut: Cut) -> None:
        """Keep the comments of some statements."""
        for node in cut.module.children:
            variable = self.variables.get(cut.span(node), _variable(node))
            for comment in within(node, cst.Comment):
                behind = isinstance(node, cst.SimpleStatementLine) and (
                    comment is node.trailing_whitespace.comment
                )
                if behind and variable:
                    earlier = self.behind.setdefault(variable, comment.value)
                    self.above += [earlier] if earlier != comment.value else []
                    self.behind[variable] = comment.value
                else:
                    self.above.append(comment.value)


@lru_cache(maxsize=16)
def _block(
    code: str, newline: str, above: tuple[str, ...], behind: tuple[tuple[str, str], ...], known: str
) -> str:
    """A header with the comments that it, and what is ``known`` besides, has not yet, each where it
    belongs; most files of a run have the same.

    Raises :class:`libcst.ParserSyntaxError` for a template that is no Python.
    """
    block = cst.parse_module(code).with_changes(default_newline=newline)
    texts = (block, cst.parse_module(known))
    own = {comment.value for text in texts for comment in within(text, cst.Comment)}
    kept = {variable: text for variable, text in behind if text not in own}
    body = []
    for node in block.body:
        if isinstance(node, cst.SimpleStatementLine) and not node.trailing_whitespace.comment:
            if (text := kept.pop(_variable(node), "")) != "":
                end = cst.TrailingWhitespace(cst.SimpleWhitespace("  "), cst.Comment(text))
                node = node.with_changes(trailing_whitespace=end)
        body.append(node)
    lines = [text for text in (*above, *kept.values()) if text not in own]
    header = [cst.EmptyLine(comment=cst.Comment(text)) for text in lines]
    return block.with_changes(header=(*header, *block.header), body=body).code


def write_header(context: Context) -> list[Edit] | None:
    """Edits that give a file its header, or the import of the module that holds it; None where that
    cannot be done safely."""
    policy, facts, module = context.policy, context.facts, context.policy_module
    if policy is None or (module is not None and module.fault):
        return None
    source = facts.reading.source
    lines = Lines(facts.reading)
    blocks = [block for block in facts.blocks if block.kind == HEADER]
    block = next((found for found in blocks if found.span.end <= facts.layout.anchor), None)
    taken: list[range] = []
    removed: set[int] = set()
    for setting in facts.settings:
        if any(setting.span in found.span for found in blocks) or not gathered(setting, context):
            continue
        rows = lines.own_rows(setting.span)
        if rows is None:
            return None
        if not removed.issuperset(rows):
            taken.append(rows)
            removed.update(rows)
    taken = lines.without_headings(taken)
    removed = {row for rows in taken for row in rows}
    gone = [lines.span(rows) for rows in taken]
    for found in blocks:
        gone.append(found.span)
        if found is not block:
            removed.update(lines.rows(found.span))
    access = access_at_anchor(lines) if module is None else _no_access(removed, lines)
    if access is None:
        return None
    alloc = context.wanted("PYTORCH_CUDA_ALLOC_CONF") is not None
    code = f"{HEADER_BEGIN}\n{render_header(policy, context.rulebook, alloc, access.expression)}"
    code = f"{code}\n{HEADER_END}"
    comments = _Comments(
        {
            setting.span: ALIASES.get(setting.variable, setting.variable)
            if setting.peers == 1
            else ""
            for setting in facts.settings
        }
    )
    for cut in [cut_out(source, span) for span in sorted(gone)]:
        if cut is None:
            return None
        comments.keep(cut)
    above, behind = tuple(comments.above), tuple(comments.behind.items())
    if module is not None:
        if block is not None:
            removed.update(lines.rows(block.span))
        removed.update(_late_rows(module, lines))
        line = "" if module.is_in_time else import_line(module.name, _taken(module, lines))
        text = _block(line, source.newline, above, behind, code)
        kept = removals(access.obsolete.union(removed), lines)
        return place(text, access, removed, lines) if text.strip() else [*kept]
    text = _block(code, source.newline, above, behind, "")
    if block is None:
        return place(text, access, removed, lines)
    text = access.above + text
    edits = [] if source.slice(block.span) == text else [Edit(block.span, text)]
    return [*edits, *access.elsewhere, *removals(access.obsolete.union(removed), lines)]


def _no_access(removed: set[int], lines: Lines) -> Access:
    """No statement that writes the environment: an ``import os`` that only those used which are
    removed goes with them."""
    rows = {
        row
        for found in lines.layout.imports
        if found.module == "os" and found.direct and found.bound == ("os",)
        for row in lines.rows(found.span)
        if not found.star_or_from and lines.is_alone(found.span)
    }
    is_used = any(
        _OS.search(lines.source.line(row))
        for row in range(1, lines.last + 1)
        if row not in removed and row not in rows
    )
    return Access("os.environ", obsolete=frozenset() if is_used or not removed else frozenset(rows))


def _late_rows(module: PolicyModule, lines: Lines) -> Iterator[int]:
    """The rows of plain imports of the module that come too late, and of nothing else."""
    for found in lines.layout.imports if module.behind is not None else ():
        is_plain = found.direct and not found.star_or_from and found.module == module.name
        root = module.name.partition(".")[0]
        if is_plain and found.bound == (root,) and lines.is_alone(found.span):
            yield from lines.rows(found.span)


def _taken(module: PolicyModule, lines: Lines) -> frozenset[str]:
    """The names that the file binds, but for that by which it imports the module's package."""
    root = module.name.partition(".")[0]
    packages = (one.module.partition(".")[0] for one in lines.layout.imports if root in one.bound)
    return lines.layout.names - {root} if root in packages else lines.layout.names


def new_module(context: Context, newline: str) -> str | None:
    """The text of a module that holds the header for others; None without a policy."""
    if context.policy is None:
        return None
    code = render_header(context.policy, context.rulebook, alloc=True)
    imports = "import os\n\n" if _OS.search(code) and "import os" not in code else ""
    text = f'"""{_DOCSTRING}"""\n\n{imports}{HEADER_BEGIN}\n{code}\n{HEADER_END}\n'
    return rendered(text, newline)


def _variable(node: cst.CSTNode) -> str:
    """The variable that a statement seems to write; empty for another one."""
    for subscript in within(node, cst.Subscript):
        match subscript.slice:
            case [cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as key))]:
                return str(key.evaluated_value)
    return ""
