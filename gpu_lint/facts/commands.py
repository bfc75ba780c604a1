"""What the command and the environment of a call say of the GPU of the process that it starts."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from typing import TypeAlias

from gpu_lint.digits import number_in
from gpu_lint.facts import program as p
from gpu_lint.facts.childtext import highest_index
from gpu_lint.facts.commandlines import UNKNOWN_PART, Started, program_of, read_text, read_words
from gpu_lint.facts.environment import Arguments, decoded
from gpu_lint.facts.model import Certainty, Script
from gpu_lint.facts.quiet import parse_quietly
from gpu_lint.facts.tools import may_use_gpu, python_run_by
from gpu_lint.facts.values import (
    THIS_FILE,
    UNKNOWN,
    Input,
    Items,
    Known,
    Pairs,
    Symbol,
    Text,
    Value,
    alternatives,
    any_of,
    concatenate,
    text_of,
)
from gpu_lint.records import record
from gpu_lint.source import Span
from gpu_lint.variables import MASK, ORDER

Given: TypeAlias = "tuple[p.Expression, Value]"
"""An argument: as it is written, and its value."""
_POSITIONS = {
    "execv": (1, 99), "execvp": (1, 99), "execve": (1, 2), "execvpe": (1, 2),
    "posix_spawn": (1, 2), "posix_spawnp": (1, 2), "spawnv": (2, 99), "spawnvp": (2, 99),
    "spawnve": (2, 3), "spawnvpe": (2, 3),
}  # fmt: skip
"""Where functions of ``os`` take the command, and the environment: positions from 0."""
_LISTED = {
    "os.execl": (1, False), "os.execlp": (1, False), "os.execle": (1, True),
    "os.execlpe": (1, True), "os.spawnl": (2, False), "os.spawnlp": (2, False),
    "os.spawnle": (2, True), "os.spawnlpe": (2, True),
    "asyncio.create_subprocess_exec": (0, False),
    "asyncio.subprocess.create_subprocess_exec": (0, False),
}  # fmt: skip
"""Functions that take the words of a command one by one: from which position on, and whether the
environment is the last one."""
_MOST_DEVICES = 64
_LAUNCHERS = frozenset({"torchrun", "accelerate", "deepspeed"})
_LAUNCHING_MODULES = {
    "torch.distributed.run": "torchrun",
    "torch.distributed.launch": "torchrun",
    "accelerate.commands.launch": "accelerate",
    "accelerate": "accelerate",
    "deepspeed": "deepspeed",
    "deepspeed.launcher.runner": "deepspeed",
}
"""What is started by ``python -m``."""
_PYTHON = re.compile(r"(?:.*[/\\])?(?:python|torchrun|accelerate|deepspeed)[\d.]*(?:\.exe)?")
_ON_A_DEVICE = re.compile(r"""["']cuda[:"']|\.cuda\(|\bcuda\.(?:init|set_device|synchronize)\(""")
"""What a Python text puts on a GPU; one that asks for versions or counts devices does not."""


@record
class CommandLine:
    """What is known of the command that a call is given."""

    started: tuple[Started, ...] = ()
    """The programs that it may start; none where it is not known."""
    exported: tuple[tuple[str, Value], ...] = ()
    """The variables that it sets in a shell of its own, which starts no such program."""
    is_known: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The variables that it sets for what it starts."""
        return frozenset(
            name for one in self.started for name, text in one.variables.items() if text is not None
        )

    @property
    def may_use_gpu(self) -> bool:
        """Whether a process may use a GPU: a well-known tool (``rm``, ``git`` …) does not."""
        return bool(self.started) or not self.is_known

    @property
    def uses_gpu(self) -> Certainty:
        """Whether it is a Python that uses a GPU, as far as its command line says."""
        return max((_uses_gpu(one.words) for one in self.started), default=Certainty.NEVER)

    @property
    def scripts(self) -> tuple[Script, ...]:
        """The files and modules of Python that it runs; none where it may start anything else."""
        pythons = [python_run_by(one.words) for one in self.started]
        found = [
            Script(python.file or python.module, bool(python.module))
            for python in pythons
            if python is not None and (python.file or python.module)
        ]
        return tuple(found) if len(found) == len(pythons) else ()


@record
class Command:
    """What a call that starts a process says of the child's GPU."""

    mask: Value | None = None
    """What it sets the mask to: ``Known(None)`` where it leaves it out of the environment."""
    mask_span: Span | None = None
    """The literal that says so, if one does."""
    order: Value | None = None
    """What it sets the order of devices to, likewise."""
    processes: int = 0
    """How many processes it starts that each use a GPU of their own, where it says so."""
    copies: bool = False
    """It starts the same program again."""
    uses_gpu: Certainty = Certainty.NEVER
    """Whether it is a Python that uses a GPU, as far as its command line says."""
    scripts: tuple[Script, ...] = ()
    """The files and modules of Python that it runs; none where it may start anything else."""
    index: int = 0
    """The highest index of a device that a program names which it is handed as a text."""
    ignored: Value | None = None
    """The mask that it is given and that a launcher among its words replaces by its own."""


def command_and_environment(name: str, args: Arguments) -> tuple[Given | None, Value | None]:
    """Return what a call is given as command, and as environment."""
    listed = _LISTED.get(name)
    if listed is not None:
        words, has_environment = args.positional[listed[0] :], listed[1]
        environment = words[-1][1] if has_environment and words else args.value(99, "env")
        words = words[: len(words) - has_environment]
        if not words:
            return None, environment
        return (words[0][0], Items("list", tuple(value for _, value in words))), environment
    command_at, environment_at = _POSITIONS.get(name.removeprefix("os."), (0, 99))
    return args.find(command_at, "args"), args.value(environment_at, "env")


def read_command(given: Given | None) -> CommandLine:
    """Return what is known of a command."""
    if given is None:
        return CommandLine()
    started: list[Started] = []
    exported: dict[str, Value] = {}
    is_known = False
    for single in alternatives(given[1]):
        words = [_word(item) for item in single.values] if isinstance(single, Items) else None
        text = _rendered(single)
        if not text.strip(UNKNOWN_PART):
            text = _written(given[0])
        if words or text.strip(UNKNOWN_PART):
            is_known = True
            found, own = read_words(words) if words is not None else read_text(text)
            started += [one for one in found if may_use_gpu(one.words)]
            exported |= {name: _value_of(said) for name, said in own.items() if said is not None}
    return CommandLine(tuple(started), () if started else tuple(exported.items()), is_known)


def command_of(
    given: Given | None, line: CommandLine, environment: Value | None, file: str
) -> Command:
    """Return what the command and the environment of a call in a file say of the child's GPU."""
    pairs = environment if isinstance(environment, Pairs) else None
    masks, orders = ([_set(one, name, pairs) for one in line.started] for name in (MASK, ORDER))
    launched = [one for one in line.started if _devices_of_launcher(one.words) is not None]
    if not line.started and pairs is not None:
        masks, orders = [pairs.holds(MASK)], [pairs.holds(ORDER)]
    mask, order = _either(masks), _either(orders)
    origin = mask.origin if isinstance(mask, Known) else None
    expression = given[0] if given is not None else None
    value = given[1] if given is not None else None
    words = line.started[0].words if line.started else ()
    return Command(
        mask,
        origin.span if origin is not None else None,
        order,
        max((_processes(one.words) for one in line.started), default=0),
        expression is not None and _is_copy(expression, value, words, file),
        line.uses_gpu,
        line.scripts,
        max((highest_index(_handed(one.words) or "") for one in line.started), default=0),
        _either([_given(one, MASK, pairs) for one in launched]),
    )


def _either(values: list[Value | None]) -> Value | None:
    """What one of several programs is given, where one is given something."""
    given = [value for value in values if value is not None]
    return any_of(given) if given else None


def _set(one: Started, variable: str, pairs: Pairs | None) -> Value | None:
    """What a program is given for a variable: by a launcher, by its own text, by the command, by
    the call's environment; None where it inherits it."""
    if variable == MASK and (devices := _devices_of_launcher(one.words)) is not None:
        return Known(devices)
    if (said := _set_by_text(one.words, variable)) is not None:
        return said
    return _given(one, variable, pairs)


def _given(one: Started, variable: str, pairs: Pairs | None) -> Value | None:
    """What a program is given for a variable by the command, or by the call's environment; None
    where it inherits it."""
    if variable in one.variables:
        return _value_of(one.variables[variable])
    is_python = _PYTHON.fullmatch(one.words[0]) is not None
    if one.cleared:
        return Known(None) if is_python else None
    found = pairs.holds(variable) if pairs is not None else None
    if found is None and pairs is not None and not pairs.open and is_python:
        return Known(None)
    return found


def _value_of(text: str | None) -> Value:
    """What a command sets a variable to."""
    return UNKNOWN if text is not None and _is_unknown(text) else Known(text)


def _is_unknown(text: str) -> bool:
    return UNKNOWN_PART in text or "$" in text or "`" in text


def _launcher(words: Sequence[str]) -> str:
    """The program that starts others, one for each GPU, which a command runs: by its own name or as
    a module of Python; empty for any other command."""
    names = [program_of(word) for word in words[:1]]
    if len(words) > 2 and words[1] == "-m":
        names.append(_LAUNCHING_MODULES.get(words[2], ""))
    return next((name for name in names if name in _LAUNCHERS), "")


def _devices_of_launcher(words: Sequence[str]) -> str | None:
    """The mask that a launcher sets for its processes in place of the one that it inherits."""
    launcher = _launcher(words)
    if launcher == "accelerate":
        found = _option(words, "--gpu-ids")
        return found if found and found != "all" and not _is_unknown(found) else None
    if launcher == "deepspeed":
        included = _option(words, "--include")  # with it, the mask is ignored: launcher/runner.py
        if included is not None and not _is_unknown(included):
            _, colon, slots = included.partition(":")
            return slots if colon and "@" not in included else None
        count = number_in(_option(words, "--num-gpus") or "")
        return ",".join(map(str, range(min(count, _MOST_DEVICES)))) if count else None
    return None


def _option(words: Sequence[str], name: str) -> str | None:
    """The value of an option, written with hyphens or underscores."""
    for number, word in enumerate(words):
        option, equals, after = word.partition("=")
        if option.replace("_", "-") == name:
            return after if equals else (*words[number + 1 : number + 2], "")[0]
    return None


def _handed(words: Sequence[str]) -> str | None:
    """The program that a Python is handed as a text."""
    python = python_run_by(words)
    return python.text if python is not None else None


def _set_by_text(words: Sequence[str], variable: str) -> Value | None:
    """What a program that is handed as a text writes to a variable last; ``Known(None)`` where it
    removes it."""
    text = _handed(words)
    if text is None or variable not in text:
        return None
    try:
        tree = parse_quietly(text.replace(UNKNOWN_PART, "0"), "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: Value | None = None
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.stmt, ast.expr))]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        match node:
            case ast.Assign(targets=[ast.Subscript(value=base, slice=ast.Constant(value=key))]):
                if _is_variable(base, key, variable):
                    literal = node.value.value if isinstance(node.value, ast.Constant) else None
                    found = (
                        decoded(Known(literal)) if isinstance(literal, (str, bytes)) else UNKNOWN
                    )
            case ast.Delete(targets=[ast.Subscript(value=base, slice=ast.Constant(value=key))]):
                found = Known(None) if _is_variable(base, key, variable) else found
            case ast.Call(func=ast.Attribute(value=base, attr="pop"), args=[first, *_]):
                removed = first.value if isinstance(first, ast.Constant) else None
                found = Known(None) if _is_variable(base, removed, variable) else found
    return found


def _is_variable(base: ast.expr, key: object, variable: str) -> bool:
    """Whether a key of something is a variable of the process environment."""
    name = base.attr if isinstance(base, ast.Attribute) else ""
    name = base.id if isinstance(base, ast.Name) else name
    return name in ("environ", "environb") and key in (variable, variable.encode())


def _uses_gpu(words: Sequence[str]) -> Certainty:
    """Whether a program is a Python that uses a GPU, as far as its command line says."""
    if not _PYTHON.fullmatch(words[0]):
        return Certainty.NEVER
    python = python_run_by(words)
    if python is not None and python.text is not None:
        if _ON_A_DEVICE.search(python.text):
            return Certainty.ALWAYS
        return Certainty.MAYBE if "cuda" in python.text else Certainty.NEVER
    file = words[1] if python is None and len(words) > 1 else ""
    module = ""
    if python is not None:
        file, module = python.file, python.module
    return Certainty.MAYBE if module or file.endswith(".py") else Certainty.NEVER


def _is_copy(
    expression: p.Expression, value: Value | None, words: Sequence[str], file: str
) -> bool:
    """Whether a command starts the program of a file again: by ``__file__``, by ``sys.argv``, or by
    the file's own name behind a Python's."""
    held = value.values if isinstance(value, Items) else (value,)
    parts = (part for one in held for part in (one.parts if isinstance(one, Text) else (one,)))
    if any(part == THIS_FILE or part == Input("sys.argv[0]") for part in parts):
        return True
    if _names_program(expression):
        return True
    python = python_run_by(words) if words else None
    named = python.file if python is not None else ""
    return named != "" and os.path.basename(named) == os.path.basename(file)


def _names_program(node: p.Expression) -> bool:
    """Whether a command holds ``__file__``, ``sys.argv`` or ``sys.argv[0]`` as it is."""
    match node:
        case p.Name(id=name):
            return name == THIS_FILE.name
        case p.Attribute(base=p.Name(id="sys"), name="argv"):
            return True
        case p.Subscript(base=base, key=p.Literal(value=0)):
            return _names_program(base)
        case p.Call(function=p.Name(id="str"), arguments=(only,)):
            return _names_program(only.value)
        case p.Binary(left=left, right=right):
            return _names_program(left) or _names_program(right)
        case p.Sequence(items=parts) | p.Template(parts=parts):
            return any(map(_names_program, parts))
        case p.Opaque(children=(starred,)):
            return _names_program(starred)
    return False


def _processes(words: Sequence[str]) -> int:
    """``--nproc-per-node`` of torchrun, ``--num-processes`` of accelerate, as a number."""
    if _launcher(words) not in ("torchrun", "accelerate"):
        return 0
    found = _option(words, "--nproc-per-node") or _option(words, "--num-processes")
    return number_in(found or "") or 0


def _word(value: Value) -> str:
    if value == Symbol("sys.executable"):
        return "python"
    whole = concatenate([value]) if not isinstance(value, (Items, Pairs)) else value
    several = alternatives(whole)
    return _rendered(next(iter(several))) if len(several) == 1 else UNKNOWN_PART


def _rendered(value: Value) -> str:
    """A text with a mark in place of what is not known."""
    if isinstance(value, Text):
        return "".join(map(_rendered, value.parts))
    text = text_of(value)
    return UNKNOWN_PART if text is None else text


def _written(node: p.Expression) -> str:
    """A text as an expression writes it, with marks in place of what is not known."""
    match node:
        case p.Literal(value=str(text)):
            return text
        case p.Binary(left=left, operator="+", right=right):
            return _written(left) + _written(right)
        case p.Template(parts=parts):
            return "".join(map(_written, parts))
    return UNKNOWN_PART
