"""Composes programs of one to four files out of what people do to their GPU.

Every program runs to its end wherever there is a GPU with PyTorch, or :mod:`tests.fakecuda`:
each use of a device stands in a ``try`` of its own and prints how it went.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

_T = TypeVar("_T")
_GUARDED = (
    "cuda.init()", "cuda.current_device()", "cuda.get_arch_list()", "cuda.get_rng_state()",
    "cuda.memory_summary()", "cuda.reset_peak_memory_stats()", "cuda.ipc_collect()",
    'amp.GradScaler("cuda")', 'autocast("cuda")', "backends.cudnn.is_available()",
    "backends.cudnn.version()", "cuda.is_bf16_supported()", "cuda.manual_seed_all(0)",
    "accelerator.current_device_index()", "accelerator.device_count()", "cuda.Stream()",
)  # fmt: skip
"""Calls that raise where there is no GPU."""
_MASKS = ("0", "1", "0,1", "1,0", "1", "0", "1", "")


class Chooser(Protocol):
    def pick(self, options: Sequence[_T]) -> _T:
        """One of several."""


class Seeded:
    """Chooses by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, options: Sequence[_T]) -> _T:
        return self._random.choice(options)


@dataclass
class Program:
    """A program's files; ``run.py`` is started. ``plain``: nothing in it is unknown."""

    files: dict[str, str]
    plain: bool


@dataclass
class _File:
    name: str
    lines: list[str] = field(default_factory=list)
    torch: str = ""
    """What ``torch`` is called, once it is imported at module level."""
    functions: list[str] = field(default_factory=list)
    """Names, in this file's words, that may be called without arguments."""
    constants: list[tuple[str, str]] = field(default_factory=list)
    """(expression, value) of known texts of digits."""


class Composer:
    """Writes one program."""

    def __init__(self, chooser: Chooser) -> None:
        self._pick = chooser.pick
        self._names = 0
        self._probes = 0
        self._plain = True
        self._files: dict[str, str] = {}
        self._modules: list[tuple[str, _File]] = []

    def program(self) -> Program:
        for number in range(self._pick((0, 0, 1, 1, 2, 3))):
            self._module(number)
        main = _File("run.py", ["import atexit", "import functools", "import os", "import sys", ""])
        self._fill(main, self._pick((3, 4, 5, 6, 8)))
        if self._chance(2):
            body = _File("run.py", torch=main.torch, functions=list(main.functions))
            body.constants = list(main.constants)
            self._fill(body, self._pick((1, 2, 3)), nested=True)
            main.lines += ["", 'if __name__ == "__main__":', *_indented(body.lines)]
        self._files["run.py"] = "\n".join(main.lines) + "\n"
        return Program(self._files, self._plain)

    # --- files ---------------------------------------------------------------------------

    def _module(self, number: int) -> None:
        in_package = self._chance(2)
        name = f"part{number}"
        file = _File(name, ["import atexit", "import functools", "import os", "import sys", ""])
        if not self._chance(3):
            self._import_torch(file)
        self._fill(file, self._pick((1, 2, 3)))
        path = f"lib/{name}.py" if in_package else f"{name}.py"
        self._files[path] = "\n".join(file.lines) + "\n"
        if in_package and "lib/__init__.py" not in self._files:
            self._files["lib/__init__.py"] = ""
        if in_package and self._chance(3):
            self._files["lib/__init__.py"] += f"from . import {name}\n"
        self._modules.append((f"lib.{name}" if in_package else name, file))

    def _fill(self, file: _File, size: int, nested: bool = False) -> None:
        for _ in range(size):
            file.lines += self._statement(file, 2, module_level=not nested)

    def _statement(self, file: _File, depth: int, module_level: bool = False) -> list[str]:
        """Lines that stand on their own in a suite."""
        makers: list[Callable[[_File, int], list[str]]] = [
            self._write, self._write, self._freeze, self._use, self._use, self._call,
        ]  # fmt: skip
        if module_level:
            makers += [self._import_torch_lines, self._import_torch_lines, self._import_module]
            makers += [self._import_module, self._define, self._define, self._constant]
        if depth:
            makers += [self._if, self._for, self._try, self._with, self._while, self._comprehension]
        return self._pick(makers)(file, depth)

    def _suite(self, file: _File, depth: int) -> list[str]:
        lines: list[str] = []
        for _ in range(self._pick((1, 1, 2))):
            lines += self._statement(file, depth - 1)
        return _indented(lines or ["pass"])

    # --- imports -------------------------------------------------------------------------

    def _import_torch_lines(self, file: _File, depth: int) -> list[str]:
        before = len(file.lines)
        self._import_torch(file)
        lines, file.lines = file.lines[before:], file.lines[:before]
        return lines

    def _import_torch(self, file: _File) -> None:
        if file.torch:
            return
        form = self._pick(("import torch", "import torch as th", "try", "importlib"))
        file.torch = "th" if form == "import torch as th" else "torch"
        if form == "try":
            file.lines += ["try:", "    import torch", "except ImportError:", "    torch = None"]
        elif form == "importlib":
            file.lines += ["import importlib", 'torch = importlib.import_module("torch")']
        else:
            file.lines.append(form)

    def _import_module(self, file: _File, depth: int) -> list[str]:
        if not self._modules:
            return self._constant(file, depth)
        dotted, module = self._pick(self._modules)
        form = self._pick(("import", "as", "from", "importlib", "local"))
        alias = self._name("m")
        if form == "local":
            name = self._name("load")
            file.functions.append(name)
            lines = [f"def {name}():", f"    import {dotted} as {alias}"]
            if module.functions:
                lines.append(f"    {alias}.{self._pick(module.functions)}()")
            return lines
        if form == "from" and (module.functions or module.constants):
            options = [(f, "f") for f in module.functions if "." not in f]
            options += [(c, v) for c, v in module.constants if c.isidentifier()]
            if options:
                chosen, kind = self._pick(options)
                line = f"from {dotted} import {chosen} as {alias}"
                if kind == "f":
                    file.functions.append(alias)
                else:
                    file.constants.append((alias, kind))
                return [line]
        if form == "importlib":
            lines = ["import importlib", f'{alias} = importlib.import_module("{dotted}")']
        else:
            lines = [f"import {dotted} as {alias}"]
        file.functions += [f"{alias}.{f}" for f in module.functions]
        file.constants += [(_in_module(alias, c), v) for c, v in module.constants]
        return lines

    # --- definitions ---------------------------------------------------------------------

    def _define(self, file: _File, depth: int) -> list[str]:
        form = self._pick(
            ("function", "function", "method", "lambda", "partial", "decorator", "early", "nested",
             "argument", "class body", "atexit", "generator", "static", "inherited", "default")
        )  # fmt: skip
        name = self._name("step")
        body = self._suite(file, depth)
        if form == "lambda":
            if not file.torch:
                return self._constant(file, depth)
            file.functions.append(name)
            return [f"{name} = lambda: {file.torch}.cuda.is_available()"]
        if form == "method":
            file.functions.append(f"{name}.go")
            cls = self._name("Step")
            return [f"class {cls}:", "    def go(self):", *_indented(body), f"{name} = {cls}()"]
        if form == "static":
            file.functions.append(f"{name}.go")
            return [f"class {name}:", "    @staticmethod", "    def go():", *_indented(body)]
        if form == "inherited":
            file.functions.append(f"{name}.go")
            base, cls = self._name("Base"), self._name("Step")
            lines = [f"class {base}:", "    def go(self):", "        return self.inner()"]
            lines += [f"class {cls}({base}):", "    def inner(self):", *_indented(body)]
            return [*lines, f"{name} = {cls}()"]
        if form == "class body":
            return [f"class {self._name('Step')}:", *body]
        if form == "atexit":
            return [f"def {name}():", *body, f"atexit.register({name})"]
        if form == "partial":
            file.functions.append(name)
            inner = self._name("inner")
            value = self._pick(_MASKS[:4])
            return [
                f"def {inner}(value):",
                '    os.environ["CUDA_VISIBLE_DEVICES"] = value',
                f'{name} = functools.partial({inner}, "{value}")',
            ]
        if form == "argument":
            inner, value = self._name("inner"), self._pick(_MASKS[:4])
            lines = [f"def {inner}(value):", '    os.environ["CUDA_VISIBLE_DEVICES"] = value']
            return [*lines, f'{inner}("{value}")']
        if form == "default":
            file.functions.append(name)
            value = self._pick(_MASKS[:4])
            lines = [f'def {name}(value="{value}"):']
            return [*lines, '    os.environ["CUDA_VISIBLE_DEVICES"] = value']
        if form == "decorator":
            file.functions.append(name)
            outer = self._name("around")
            lines = [f"def {outer}(function):", "    def inner(*args):"]
            lines += [*_indented(body), "        return function(*args)", "    return inner"]
            return [*lines, f"@{outer}", f"def {name}():", "    return None"]
        if form == "generator":
            file.functions.append(name)
            inner = self._name("each")
            lines = [f"def {inner}():", *body, "    yield 1", f"def {name}():"]
            return [*lines, f"    for item in {inner}():", "        pass"]
        file.functions.append(name)
        if form == "early":
            condition, unknown = self._condition()
            self._plain &= not unknown
            return [f"def {name}():", f"    if {condition}:", "        return None", *body]
        if form == "nested":
            inner = self._name("inner")
            lines = [f"def {name}():", f"    def {inner}():", *_indented(body)]
            return [*lines, f"    return {inner}()"]
        return [f"def {name}():", *body]

    def _call(self, file: _File, depth: int) -> list[str]:
        if not file.functions:
            return self._write(file, depth)
        return [f"{self._pick(file.functions)}()"]

    def _constant(self, file: _File, depth: int) -> list[str]:
        value = self._pick(("0", "1"))
        form = self._pick(
            ("text", "number", "dict", "tuple", "class", "conditional", "joined", "dataclass",
             "named tuple", "enum", "formatted", "percent", "lookup", "keywords", "getenv",
             "appended", "updated")
        )  # fmt: skip
        name = self._name("GPU")
        if form == "number":
            file.constants.append((f"str({name})", value))
            return [f"{name} = {value}"]
        if form == "dict":
            file.constants.append((f"{name}.get('gpu', '0')", value))
            return [f'{name} = {{"gpu": "{value}"}}']
        if form in ("dataclass", "named tuple", "enum"):
            cls = self._name("Settings")
            if form == "enum":
                file.constants.append((f"{cls}.GPU.value", value))
                return ["import enum", f"class {cls}(enum.Enum):", f'    GPU = "{value}"']
            head = f"class {cls}:" if form == "dataclass" else f"class {cls}(typing.NamedTuple):"
            file.constants.append((f"{name}.gpu", value))
            lines = ["import dataclasses", "import typing"]
            lines += ["@dataclasses.dataclass"] if form == "dataclass" else []
            lines += [head, f'    gpu: str = "{value}"', '    other: str = "x"']
            return [*lines, f"{name} = {cls}({self._pick(('', repr(value)))})"]
        if form in ("appended", "updated"):
            same = self._name("same")
            start, change, end = ("[]", f'append("{value}")', "[0]")
            if form == "updated":
                start, change, end = ('{"gpu": "9"}', f'update(gpu="{value}")', '["gpu"]')
            file.constants.append((f"{name}{end}", value))
            return [f"{name} = {start}", f"{same} = {name}", f"{same}.{change}"]
        if form in ("formatted", "percent", "lookup", "keywords"):
            file.constants.append((name, value))
            text = {
                "formatted": f'"{{}}".format({value})',
                "percent": f'"%s" % {value}',
                "lookup": f'{{"a": "{value}", "b": "9"}}["a"]',
                "keywords": f'dict(**{{"gpu": "{value}"}})["gpu"]',
            }
            return [f"{name} = {text[form]}"]
        if form == "getenv":
            self._plain = False
            file.constants.append((name, value))
            return [f'{name} = os.getenv("NOT_SET_ANYWHERE", "{value}")']
        if form == "tuple":
            other = self._name("OTHER")
            file.constants.append((name, value))
            return [f'{name}, {other} = "{value}", "x"']
        if form == "class":
            file.constants.append((f"{name}.gpu", value))
            return [f"class {name}:", f'    gpu = "{value}"']
        if form == "conditional":
            file.constants.append((name, value))
            return [f'{name} = "{value}" if 1 < 2 else "9"']
        if form == "joined":
            file.constants.append((name, value))
            return [f'{name} = "".join(["{value}", ""])']
        file.constants.append((name, value))
        return [f'{name} = "{value}"']

    # --- what matters --------------------------------------------------------------------

    def _write(self, file: _File, depth: int) -> list[str]:
        value = f'"{self._pick(_MASKS)}"'
        if file.constants and self._chance(2):
            value = self._pick(file.constants)[0]
        key = '"CUDA_VISIBLE_DEVICES"'
        return [
            self._pick(
                (
                    f"os.environ[{key}] = {value}",
                    f"os.environ[{key}] = {value}",
                    f"os.environ.update({{{key}: {value}}})",
                    f"os.environ.update(CUDA_VISIBLE_DEVICES={value})",
                    f"os.environ |= {{{key}: {value}}}",
                    f"os.environ.setdefault({key}, {value})",
                    f"os.environ.pop({key}, None)",
                )
            )
        ]

    def _freeze(self, file: _File, depth: int) -> list[str]:
        if not file.torch:
            return self._write(file, depth)
        call = self._pick(
            ("cuda.is_available()", "cuda.is_available()", "cuda.device_count()",
             "manual_seed(0)", "cuda.memory_allocated()",
             'device("cuda:1")', "accelerator.is_available()", "cuda.empty_cache()", *_GUARDED)
        )  # fmt: skip
        line = f"{file.torch}.{call}"
        if call in _GUARDED:
            return ["try:", f"    {line}", "except Exception:", "    pass"]
        return [self._pick((line, f"print({line} is not None)"))]

    def _use(self, file: _File, depth: int) -> list[str]:
        if not file.torch:
            return self._write(file, depth)
        index = self._pick(("0", "1"))
        if file.constants and self._chance(3):
            index = f"int({self._pick(file.constants)[0]})"
        inner = index.replace('"', "'")  # within an f-string
        th = file.torch
        call = self._pick(
            (
                f"{th}.cuda.set_device({index})",
                f'{th}.zeros(1, device=f"cuda:{{{inner}}}")',
                f"{th}.zeros(1).cuda({index})",
                f'{th}.zeros(1).to("cuda:" + str({index}))',
                f"{th}.cuda.get_device_name({index})",
                f"{th}.cuda.mem_get_info({index})",
                f'{th}.zeros(1, device={th}.device("cuda", {index}))',
            )
        )
        self._probes += 1
        number = self._probes
        if self._chance(6):
            call = f"with {th}.cuda.device({index}): pass"
        return [
            "try:",
            f"    {call}",
            f'    print("WORKED", {number})',
            "except Exception:",
            f'    print("FAILED", {number})',
        ]

    # --- control -------------------------------------------------------------------------

    def _condition(self) -> tuple[str, bool]:
        """A condition, and whether only the run can tell how it comes out."""
        known = ("True", "False", "1 < 2", 'not "x"', "0", '"a" in "abc"')
        unknown = ("len(sys.argv) > 5", "len(sys.argv) < 5")
        condition = self._pick((*known, *unknown))
        return condition, condition in unknown

    def _if(self, file: _File, depth: int) -> list[str]:
        condition, unknown = self._condition()
        self._plain &= not unknown
        lines = [f"if {condition}:", *self._suite(file, depth)]
        if self._chance(2):
            lines += ["else:", *self._suite(file, depth)]
        return lines

    def _for(self, file: _File, depth: int) -> list[str]:
        items = self._pick(('("0", "1")', '["1"]', "()", "range(2)"))
        name = self._name("item")
        lines = [f"for {name} in {items}:"]
        if self._chance(2):
            lines.append(f'    os.environ["CUDA_VISIBLE_DEVICES"] = str({name})')
        lines += self._suite(file, depth)
        end = self._pick(("", "", "break", "continue"))
        return lines + ([f"    {end}"] if end else [])

    def _while(self, file: _File, depth: int) -> list[str]:
        name = self._name("count")
        form = self._pick(("counted", "endless"))
        if form == "endless":
            return ["while True:", *self._suite(file, depth), "    break"]
        lines = [f"{name} = 0", f"while {name} < {self._pick(('1', '2'))}:", f"    {name} += 1"]
        return lines + self._suite(file, depth)

    def _try(self, file: _File, depth: int) -> list[str]:
        form = self._pick(("raise", "no raise", "finally", "other"))
        lines = ["try:", *self._suite(file, depth)]
        if form in ("raise", "other"):
            lines.append('    raise ValueError("on purpose")')
        handler = self._pick(("ValueError", "Exception", "(KeyError, ValueError)"))
        lines += [f"except {handler}:", *self._suite(file, depth)]
        if form == "no raise":
            lines += ["else:", *self._suite(file, depth)]
        if form == "finally":
            lines += ["finally:", *self._suite(file, depth)]
        return lines

    def _with(self, file: _File, depth: int) -> list[str]:
        cls = self._name("Around")
        if self._chance(2):
            lines = ["import contextlib", "@contextlib.contextmanager", f"def {cls}():"]
            lines += [*self._suite(file, depth), "    yield 1", *self._suite(file, depth)]
        else:
            lines = [f"class {cls}:", "    def __enter__(self):", *_indented(self._suite(file, 1))]
            lines += ["    def __exit__(self, *error):", *_indented(self._suite(file, 1))]
        return [*lines, f"with {cls}():", *self._suite(file, depth)]

    def _comprehension(self, file: _File, depth: int) -> list[str]:
        if not file.torch:
            return self._write(file, depth)
        items = self._pick(("range(2)", "()", "[1]"))
        call = self._pick(("cuda.is_available()", "cuda.device_count()"))
        name = self._name("found")
        return [f"{name} = [{file.torch}.{call} for _ in {items}]"]

    # --- small things --------------------------------------------------------------------

    def _chance(self, of: int) -> bool:
        return self._pick(range(of)) == 0

    def _name(self, stem: str) -> str:
        self._names += 1
        return f"{stem}{self._names}"


def _in_module(alias: str, constant: str) -> str:
    """A constant of a module as an importer of it writes it."""
    inner = constant.removeprefix("str(")
    return f"str({alias}.{inner}" if inner != constant else f"{alias}.{constant}"


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else line for line in lines]
