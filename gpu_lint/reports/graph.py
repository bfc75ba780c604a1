"""The project at a glance, as text, as a Graphviz digraph, or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

from gpu_lint.facts.graph import Graph, Node, Spot, Start, Write
from gpu_lint.facts.model import Form
from gpu_lint.printable import printable, text_of
from gpu_lint.relevance import Why
from gpu_lint.reports.naming import to_json

GRAPH_FORMATS = ("text", "dot", "json")
_MAY_TOUCH = "CUDA may be initialised"
"""Where a call is given a GPU, and nobody has measured whether it initialises CUDA."""


def render_graph(name: str, graph: Graph, every_file: bool) -> str:
    """The graph in one of :data:`GRAPH_FORMATS`; files that reach no GPU only on demand."""
    renderers: dict[str, Callable[[Graph, bool], str]] = {"text": _text, "dot": _dot, "json": _json}
    return renderers[name](graph, every_file)


# --- text ----------------------------------------------------------------------------------


def _text(graph: Graph, every_file: bool) -> str:
    shown: set[str] = set()
    lines: list[str] = []
    hidden = 0
    for start in graph.starts:
        if not every_file and start.file not in graph.relevant:
            hidden += 1
            shown.add(start.file)
            continue
        what = "entry point" if start.entry_point else "may be started"
        lines += [f"{start.file}  ({what})"]
        below = _branches(graph, start.file, shown, every_file, start.first_touch)
        lines += [f"  {line}" for line in below]
        lines += [f"  => {line}" for line in _verdict(start)]
        lines.append("")
    for file in graph.nodes:
        if file in shown:
            continue
        if not every_file and file not in graph.relevant:
            hidden += 1
            continue
        lines += [f"{file}  (no entry point imports it)"]
        lines += [f"  {line}" for line in _branches(graph, file, shown, every_file)]
        lines.append("")
    if hidden:
        files = "1 file that reaches" if hidden == 1 else f"{hidden} files that reach"
        lines.append(f"{files} no GPU not shown (--all shows everything)")
    while lines and not lines[-1]:
        lines.pop()
    return text_of(lines or ["no Python files"])


def _branches(
    graph: Graph, file: str, shown: set[str], every_file: bool, touch: Spot | None = None
) -> list[str]:
    """What a file does, by line, with what it imports below; each file is opened once."""
    shown.add(file)
    node = graph.nodes[file]
    events = _events(node)
    if touch is not None and touch.file == file and touch not in (node.touch, node.possible_touch):
        events += [(touch.row, f"{touch.text}: CUDA is initialised")]
    entries = [(row, text, "") for row, text in dict.fromkeys(events)]
    for edge in node.imports:
        if every_file or edge.file in graph.relevant:
            entries.append((edge.row, f"imports {edge.file}", edge.file))
    entries.sort(key=lambda entry: entry[0])
    width = len(str(max((row for row, _, _ in entries), default=0)))
    lines: list[str] = []
    for number, (row, text, below) in enumerate(entries):
        last = number == len(entries) - 1
        seen = "  (shown above)" if below in shown else ""
        lines.append(f"{'`-' if last else '|-'} {row:>{width}}: {text}{seen}")
        if below and below not in shown:
            indent = "  " if last else "| "
            inner = _branches(graph, below, shown, every_file, touch)
            lines += [f"{indent}{' ' * (width + 1)} {line}" for line in inner]
    return lines


def _events(node: Node, frameworks: bool = True) -> list[tuple[int, str]]:
    """What a file does by itself, by line."""
    found: list[tuple[int, str]] = []
    if frameworks:
        found += [(s.row, s.text.replace("import ", "imports ", 1)) for s in node.frameworks]
    found += [(write.row, _described(write)) for write in node.writes]
    if node.touch is not None and not node.touch.text.startswith("import "):
        found.append((node.touch.row, f"{node.touch.text}: CUDA is initialised"))
    if node.touch is None and node.possible_touch is not None:
        found.append((node.possible_touch.row, f"{node.possible_touch.text}: {_MAY_TOUCH}"))
    return found


def _described(write: Write) -> str:
    what = "removed" if write.value is None else f"= {write.value!r}"
    if write.value == "?":
        what = "= a value that only the run knows"
    if Form(write.form) is Form.PUTENV:
        what += " by putenv(), which the driver sees and PyTorch does not"
    elif not Form(write.form).reaches_cuda:
        what += f" by {write.form}, which does not reach CUDA"
    elif write.weak:
        what += " unless the parent process sets it"
    return f"{write.variable} {what}: {write.effect}"


def _verdict(start: Start) -> Iterator[str]:
    parent = "what the parent process says"
    if start.default is not None:
        known = "a value that only the run knows" if start.default == "?" else repr(start.default)
        parent += f", or else {known}"
    words = {None: parent, "?": "a value that only the run knows"}
    masks = [words.get(mask, repr(mask)) for mask in start.masks]
    touch = start.first_touch
    if touch is None:
        yield "CUDA is not touched by anything that is shown to run"
        return
    way = " -> ".join(dict.fromkeys([*(step.file for step in touch.via), touch.file]))
    may = "is" if start.surely else "may be"
    yield f"CUDA {may} first touched by {touch.text} ({way}:{touch.row})"
    yield f"CUDA_VISIBLE_DEVICES is then {' or '.join(masks)}"


def render_why(name: str, file: str, why: Why) -> str:
    """What is demanded of a file, as text or as JSON."""
    answers = asdict(why)
    if name == "json":
        return to_json({"file": file, **answers})
    width = max(map(len, answers)) + 1
    lines = [
        f"{question.replace('_', ' ').replace('gpu', 'GPU') + ':':<{width}} {answers[question]}"
        for question in answers
    ]
    return text_of([file, *(f"  {line}" for line in lines)])


# --- Graphviz ------------------------------------------------------------------------------


def _dot(graph: Graph, every_file: bool) -> str:
    lines = ["digraph gpu {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    nodes = {f: n for f, n in graph.nodes.items() if every_file or f in graph.relevant}
    libraries = sorted({spot.text for node in nodes.values() for spot in node.frameworks})
    for file, node in nodes.items():
        events = [f"{row}: {text}" for row, text in sorted(_events(node, frameworks=False))]
        label = "".join(f"{_escaped(line)}\\l" for line in (file, *events))
        late = any(write.effect.endswith("too late") for write in node.writes)
        style = ", peripheries=2" * node.entry_point + ", color=red" * late
        lines.append(f'  {_quoted(file)} [label="{label}"{style}];')
    for library in libraries:
        name = _quoted(library.removeprefix("import "))
        lines.append(f"  {_quoted(library)} [label={name}, shape=ellipse];")
    for file, node in nodes.items():
        for edge in node.imports:
            if edge.file in nodes:
                lines.append(f'  {_quoted(file)} -> {_quoted(edge.file)} [label="{edge.row}"];')
        for spot in node.frameworks:
            label = f'[label="{spot.row}", style=dashed]'
            lines.append(f"  {_quoted(file)} -> {_quoted(spot.text)} {label};")
    return text_of([*lines, "}"])


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')


# --- JSON ----------------------------------------------------------------------------------


def _json(graph: Graph, every_file: bool) -> str:
    nodes = [node for file, node in graph.nodes.items() if every_file or file in graph.relevant]
    table = {
        "entry_points": [asdict(start) for start in graph.starts if start.entry_point],
        "may_be_started": [asdict(start) for start in graph.starts if not start.entry_point],
        "files": [asdict(node) for node in nodes],
    }
    return to_json(table)
