"""Facts: what a file says about GPUs, read from its syntax tree and from nothing else.

``source → tree (LibCST) → program (ours) → interpreter → facts``. :func:`read_facts` is the
whole way; every step of it is a module of this package.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

from gpu_lint.errors import SourceError
from gpu_lint.facts import program as p
from gpu_lint.facts.functions import function_facts
from gpu_lint.facts.interpreter import Interpreter
from gpu_lint.facts.knowledge import Knowledge
from gpu_lint.facts.layout import layout_of, statement_spans
from gpu_lint.facts.limits import check_limits
from gpu_lint.facts.lowering import lower
from gpu_lint.facts.markers import managed_blocks
from gpu_lint.facts.model import Certainty, FileFacts, Setting
from gpu_lint.facts.recorder import Recorder
from gpu_lint.facts.tree import SyntaxFault, parse
from gpu_lint.facts.walk import expressions, mentioned_names, statements
from gpu_lint.source import Source, Span

__all__ = ["FileFacts", "SyntaxFault", "read_facts"]


_DEEPEST_RECURSION = 10_000
"""Python frames: enough for a text of 3,000 lines that is one implicit concatenation."""


def read_facts(source: Source, knowledge: Knowledge) -> FileFacts:
    """Read everything that is known of a file.

    Raises :class:`SyntaxFault` for a syntax error and
    :class:`gpu_lint.errors.SourceError` for a file that cannot be checked.
    """
    check_limits(source.text)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEPEST_RECURSION))
    try:
        return _facts_of(lower(parse(source), source), source, knowledge)
    except RecursionError as error:
        raise SourceError("cannot be checked: an expression in it is nested too deeply") from error
    finally:
        sys.setrecursionlimit(limit)


def _facts_of(program: p.Program, source: Source, knowledge: Knowledge) -> FileFacts:
    named = frozenset(
        framework.name
        for statement in statements(program.body)
        if isinstance(statement, p.Import)
        for name in statement.names
        if (framework := knowledge.framework_of(name.module)) is not None
    )
    interpreter = Interpreter(program, knowledge, Recorder(named))
    end = interpreter.run()
    if interpreter.attributes_changed:
        again = Interpreter(program, knowledge, Recorder(named))
        again.adopt_attributes(interpreter)
        end, interpreter = again.run(), again
    recorder = interpreter.recorder
    frozen = end.frozen
    return FileFacts(
        comments=program.comments,
        layout=layout_of(program),
        framework_names=named,
        first_use=recorder.first_use,
        at_first_use=tuple(
            (variable, tuple(sorted(held, key=repr)))
            for variable, held in sorted(recorder.at_first_use.items())
        ),
        settings=_with_peers(recorder, program),
        selectors=tuple(sorted(recorder.selectors.values(), key=lambda s: s.span)),
        count_tests=tuple(sorted(recorder.count_tests.values(), key=lambda t: t.span)),
        functions=tuple(function_facts(program)),
        imported_functions=_imported_functions(program, knowledge),
        calls=tuple(sorted(recorder.calls.values(), key=lambda c: c.span)),
        module_freeze=frozen.trigger if frozen.certainty is Certainty.ALWAYS else None,
        referenced=mentioned_names(program.body) | _called_by_others(program),
        blocks=tuple(managed_blocks(program, source)),
        compared=frozenset(_compared(program)),
        children=tuple(sorted(recorder.children)),
        statements=statement_spans(program.body),
    )


def _called_by_others(program: p.Program) -> frozenset[str]:
    """Functions that something outside the file calls: methods, and decorated ones."""
    top = {id(statement) for statement in program.body}
    return frozenset(
        statement.name
        for statement in statements(program.body)
        if isinstance(statement, p.Function) and (statement.decorators or id(statement) not in top)
    )


def _compared(program: p.Program) -> Iterator[str]:
    for node in expressions(program.body):
        if isinstance(node, p.Comparison):
            for side in (node.left, node.right):
                if isinstance(side, p.Literal) and isinstance(side.value, str):
                    yield side.value


def _with_peers(recorder: Recorder, program: p.Program) -> tuple[Setting, ...]:
    """The settings in source order, each told how many its statement makes."""
    sizes: dict[Span, int] = {}
    bodies = [s.span for s in statements(program.body) if isinstance(s, p.Function)]
    for span, _ in recorder.settings:
        sizes[span] = sizes.get(span, 0) + 1
    return tuple(
        replace(
            setting,
            peers=sizes[setting.span] if setting.peers else 0,
            imports_framework_later=any(
                setting.span in body and trigger.span in body and trigger.span > setting.span
                for body in bodies
                for trigger in recorder.frameworks.values()
            ),
        )
        for setting in sorted(recorder.settings.values(), key=lambda s: (s.span, s.key_span))
    )


def _imported_functions(program: p.Program, knowledge: Knowledge) -> frozenset[str]:
    return frozenset(
        name.bound
        for statement in statements(program.body)
        if isinstance(statement, p.Import)
        for name in statement.names
        if name.name and knowledge.framework_of(name.module) is None
    )
