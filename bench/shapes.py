"""Writes hostile trees: input under 1 MiB of a shape that no person writes.

    python bench/shapes.py                   # the names
    python bench/shapes.py NAME FOLDER       # writes one tree
    python bench/shapes.py --small NAME FOLDER

Each shape is a function from a size to the files of a tree, the same for every call. All show
signs of a GPU, so that gpu-lint runs them and does not only read their bytes. ``bench/run.py``
checks each at its full size against a limit of time and memory, ``tests/test_shapes.py`` at a
small size, where it must end and give a report.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

START = "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\nimport torch\n"
"""A mask is set, so that every program and all it imports is run."""
END = "torch.cuda.init()\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
"""A write that is too late: GPU107 wherever the program is followed to its end."""
WRITE = "os.environ['CUDA_VISIBLE_DEVICES'] = "
LARGEST = 1 << 20
"""Bytes of all files of a tree."""


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link in a tree."""

    target: str


@dataclass(frozen=True, slots=True)
class Pipe:
    """A named pipe in a tree: reading it blocks for ever."""


Tree: TypeAlias = "dict[str, str | bytes | Link | Pipe]"


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of hostile tree."""

    name: str
    build: Callable[[int], Tree]
    full: int
    """The size at which it is timed."""
    small: int
    """The size at which the test suite checks it."""
    arguments: tuple[str, ...]
    """Options of ``gpu-lint check`` that it needs."""

    @property
    def description(self) -> str:
        return (self.build.__doc__ or "").rstrip(".")

    def write(self, folder: Path, *, small: bool = False) -> int:
        """Write the tree into a folder that does not exist; its size in bytes.

        Raises :class:`OSError` where the system has no links or pipes.
        """
        size = 0
        for name, content in self.build(self.small if small else self.full).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            match content:
                case Link(target):
                    path.symlink_to(target)
                case Pipe():
                    os.mkfifo(path)
                case str():
                    path.write_bytes(content.encode())
                case bytes():
                    path.write_bytes(content)
            if isinstance(content, (str, bytes)):
                size += path.stat().st_size
        return size


SHAPES: dict[str, Shape] = {}


def shape(
    full: int, small: int, *arguments: str
) -> Callable[[Callable[[int], str | Tree]], Callable[[int], str | Tree]]:
    """Enter a generator in :data:`SHAPES`; what gives a text gives the body of ``a.py``."""

    def enter(build: Callable[[int], str | Tree]) -> Callable[[int], str | Tree]:
        def whole(size: int) -> Tree:
            built = build(size)
            return {"a.py": f"{START}{built}{END}"} if isinstance(built, str) else built

        whole.__doc__ = build.__doc__
        name = build.__name__.replace("_", "-")
        SHAPES[name] = Shape(name, whole, full, small, arguments or ("--isolated",))
        return build

    return enter


def lines(template: str, count: int) -> str:
    """A template once for each number, which stands for ``$``, and its successor for ``$$``."""
    return "".join(
        template.replace("$$", str(number + 1)).replace("$", str(number)) for number in range(count)
    )


def nested(heads: Iterator[str] | list[str], innermost: str) -> str:
    """Compound statements in one another, each with the heading that stands for it."""
    depth, found = 0, []
    for head in heads:
        found += [f"{' ' * depth}{line}\n" for line in head.split("\n")]
        depth += 1
    found += [f"{' ' * depth}{line}\n" for line in innermost.split("\n")]
    return "".join(found)


def tree(heads: tuple[str, ...], leaf: str, depth: int, indent: int = 0) -> str:
    """Branches in branches: below each heading the whole tree of one level less."""
    blank = " " * indent
    if depth == 0:
        return f"{blank}{leaf}\n"
    found = []
    for head in heads:
        below = indent + 1 + (len(head) - len(head.lstrip(" ")))
        found.append(f"{blank}{head}\n")
        if head.endswith(":") and not head.startswith("match "):
            found.append(tree(heads, leaf, depth - 1, below))
    return "".join(found)


# --- parsers and readers -----------------------------------------------------------------


@shape(8_500, 400)
def elif_chain(size: int) -> str:
    """One ``if`` with thousands of ``elif``."""
    return "if os.sep == 'a':\n x = 0\n" + lines("elif os.sep == '$':\n x = $\n", size)


@shape(30_000, 300)
def subscripts(size: int) -> str:
    """``a[0][0]…``"""
    return f"a = []\nx = a{'[0]' * size}\n"


@shape(20_000, 300)
def calls_of_calls(size: int) -> str:
    """``f()()…``"""
    return f"f = torch.device\nx = f{'()' * size}\n"


@shape(1_900, 300)
def attributes(size: int) -> str:
    """``torch.a.a…`` just below the limit of operators."""
    return f"x = torch{'.a' * size}\n" * (1 + size // 10)


@shape(300, 60)
def long_conditions(size: int) -> str:
    """``and`` and ``or`` chains just below the limit of operators."""
    chain = " and ".join(f"torch.cuda.is_available() or c{n}" for n in range(80))
    return "import sys\n" + lines(f"if {chain}:\n {WRITE}'$'\n", size)


@shape(480, 90)
def conditional_expressions(size: int) -> str:
    """``'0' if a else '1' if b else …`` written to the environment."""
    arms = lines("'$' if os.sep == '$' else ", size)
    return f"{WRITE}{arms}'1'\n"


@shape(60, 30)
def format_strings(size: int) -> str:
    """An f-string of names that may each be one of two texts."""
    names = lines("v$ = '$' if os.sep == '$' else '$$'\n", size)
    return f'{names}{WRITE}f"{",".join(f"{{v{n}}}" for n in range(size))}"\n'


@shape(35_000, 1_000)
def suppression_comments(size: int) -> str:
    """Nothing but suppression comments."""
    return "# gpu-lint: ignore[GPU101]\n" * size


@shape(1_000_000, 10_000)
def punycode(size: int) -> Tree:
    """A coding line whose codec takes the square of the text's length."""
    return {"a.py": f"# coding: punycode\n{START}# -{'a' * size}"}


@shape(1, 1)
def endless_links(size: int) -> Tree:
    """Ignore file and modules are links to a device that never ends."""
    endless = Link("/dev/zero")
    return {"a.py": f"{START}import zero\n{END}", "zero.py": endless, ".gitignore": endless}


@shape(1, 1)
def pipes(size: int) -> Tree:
    """Ignore file and modules are pipes that nothing writes to."""
    return {"a.py": f"{START}import pipe\n{END}", "pipe.py": Pipe(), ".gitignore": Pipe()}


@shape(40, 6, "--no-cache")
def exclude_globs(size: int) -> Tree:
    """A pattern of many stars in the configuration's ``exclude``."""
    pattern = "*a" * size + "*b"
    return {
        "gpu-lint.toml": f'exclude = ["{pattern}", "{pattern}.py"]\n',
        f"{'a' * 200}.py": START + END,
    }


@shape(40, 6)
def ignore_globs(size: int) -> Tree:
    """A pattern of many stars in ``.gitignore``."""
    pattern = "*a" * size + "*b"
    return {".gitignore": f"{pattern}\n**/{pattern}/**\n", f"{'a' * 200}.py": START + END}


# --- branches and loops ------------------------------------------------------------------


@shape(13, 4)
def nested_for(size: int) -> str:
    """Loops over three numbers in one another around one write."""
    return nested([f"for i{n} in range(3):" for n in range(size)], f"{WRITE}str(i0)")


@shape(18, 4)
def nested_while(size: int) -> str:
    """``while`` loops that count to two, in one another around one write."""
    counted = [f"i{n} += 1\ni{n + 1} = 0\nwhile i{n + 1} < 2:" for n in range(size - 1)]
    return nested(["i0 = 0\nwhile i0 < 2:", *counted], f"i{size - 1} += 1\n{WRITE}'2'")


@shape(90, 12)
def nested_with(size: int) -> str:
    """``with`` statements in one another whose managers change the environment."""
    manager = (
        "import contextlib\n@contextlib.contextmanager\ndef m(v):\n"
        f" {WRITE}v\n try:\n  yield v\n finally:\n  {WRITE}'1'\n"
    )
    return manager + nested([f"with m('{n}') as c{n}:" for n in range(size)], f"{WRITE}c0")


@shape(90, 8)
def nested_finally(size: int) -> str:
    """``try`` in ``finally`` in ``finally``, with an early end in each."""
    head = "try:\n if os.sep == 'a': raise KeyError\nfinally:"
    return nested([head] * size, f"{WRITE}'2'")


@shape(4_000, 100)
def conditional_writes(size: int) -> str:
    """``if c: environ[V] = …`` over and over."""
    return lines(f"if os.sep == '$': {WRITE}'$'\n", size)


@shape(12, 4)
def tree_of_if(size: int) -> str:
    """``if`` and ``else`` in one another, a write in each leaf."""
    return tree(("if os.sep == 'a':", "else:"), f"{WRITE}'2'", size)


@shape(11, 4)
def tree_of_try(size: int) -> str:
    """``try`` and ``except`` in one another, a call that may fail in each leaf."""
    return tree(("try:", "except KeyError:"), f"{WRITE}os.environ['A']", size)


@shape(11, 4)
def tree_of_match(size: int) -> str:
    """``match`` statements in one another, a write in each leaf."""
    heads = ("match os.sep:", " case 'a':", " case _:")
    return tree(heads, f"{WRITE}'2'", size)


@shape(9, 3)
def loops_with_break(size: int) -> str:
    """Loops in one another, two in each, that end early."""
    heads = ("for i in range(3):", "while os.sep:", " if os.sep == 'b': break", "else:")
    return _loops(heads, size, 0)


def _loops(heads: tuple[str, ...], depth: int, indent: int) -> str:
    blank = " " * indent
    if depth == 0:
        return f"{blank}{WRITE}'2'\n"
    below = _loops(heads, depth - 1, indent + 1)
    return (
        f"{blank}for i{depth} in range(3):\n{blank} if os.sep == 'a': break\n{below}"
        f"{blank}while os.sep:\n{blank} if os.sep == 'b': continue\n{below}{blank} break\n"
    )


@shape(9_000, 100)
def many_cases(size: int) -> str:
    """One ``match`` of thousands of cases."""
    return "match os.sep:\n" + lines(f" case '$': {WRITE}'$'\n", size)


@shape(2_000, 60)
def names_and_branches(size: int) -> str:
    """Thousands of names, each of which a branch may change."""
    return lines("v$ = $\n", size) + lines("if os.sep == '$': v$ = v$$ = w$\n", size)


# --- values ------------------------------------------------------------------------------


@shape(24, 6)
def dicts_of_dicts(size: int) -> str:
    """Dicts that hold the one before twice, written to the environment."""
    return "d0 = {}\n" + lines("d$$={'a':d$,'b':d$}\n", size) + f"os.environ.update(d{size})\n"


@shape(2_000, 40)
def strings_that_double(size: int) -> str:
    """A text that grows to twice its length with every line."""
    return "s = '01'\n" + "s = s + s\ns = f'{s}{s}'\ns = '%s,%s' % (s, s)\n" * size + f"{WRITE}s\n"


@shape(30, 6)
def texts_of_two(size: int) -> str:
    """A sum of names that may each be one of two texts."""
    names = lines("v$ = '$' if os.sep == '$' else '$$,'\n", size)
    return f"{names}{WRITE}{' + '.join(f'v{n}' for n in range(size))}\n"


@shape(400, 40)
def containers_in_containers(size: int) -> str:
    """Lists that hold the one before twice and are changed in place."""
    grown = lines("c$$ = [c$, c$]\nc$$.append(c$)\nc$.append('2')\n", size)
    return f"c0 = ['1']\n{grown}{WRITE}str(c{size})\n"


@shape(3_000, 60)
def aliases(size: int) -> str:
    """Thousands of names of one list, which is changed as often."""
    return "c = ['1']\n" + lines("a$ = c\n", size) + lines("a$.append('$')\n", size)


@shape(12_000, 200)
def growing_dict(size: int) -> str:
    """A dict that gets thousands of keys, one by one."""
    return "d = {}\n" + lines("d['k$'] = '$'\n", size) + "os.environ.update(d)\n"


@shape(3_000, 60)
def appended_in_loops(size: int) -> str:
    """Loops that let a list grow."""
    return "c = []\n" + lines("for i in range(8):\n c.append(i)\n c = c + [i, c]\n", size)


@shape(40, 8)
def pairs_of_pairs(size: int) -> str:
    """``a = (a, a)``, taken apart and compared."""
    grown = "a = (a, a)\nb = (b, b)\nif a == b:\n a, b = b, a\n"
    return f"a = b = ('1', '2')\n{grown * size}{WRITE}a[0]\n"


@shape(6_000, 100)
def instances(size: int) -> str:
    """Thousands of attributes of one object."""
    return "class A: pass\na = A()\n" + lines(f"a.v$ = str(a)\n{WRITE}a.v$\n", size)


@shape(60, 10)
def nested_comprehensions(size: int) -> str:
    """Comprehensions in one another, and with many clauses."""
    clauses = " ".join(f"for i{n} in range(3)" for n in range(size))
    inner = "str(x)"
    for number in range(size):
        inner = f"[{inner} for x{number} in range(3) if torch.device(x{number})]"
    return f"a = [os.environ.update(A=str(i0)) {clauses}]\nx = 0\nb = {inner}\n"


# --- functions and calls -----------------------------------------------------------------


@shape(8_000, 100)
def uncalled_functions(size: int) -> str:
    """700 kB of functions that nothing calls."""
    body = f"def f$(device):\n x = torch.device('cuda:1')\n {WRITE}'$'\n"
    return lines(body, size)


@shape(4_000, 100)
def uncalled_that_call(size: int) -> str:
    """Functions that nothing calls from outside, each of which calls the next four."""
    calls = "".join(f" f{{{n}}}(device)\n" for n in range(4))
    found = []
    for number in range(size):
        body = calls.format(*(str((number + step) % size) for step in (1, 2, 3, 5)))
        found.append(f"def f{number}(device):\n {WRITE}'{number}'\n{body}")
    return "".join(found)


@shape(5_000, 100)
def call_chain(size: int) -> str:
    """Functions that each call the next one."""
    body = lines(f"def f$(d):\n {WRITE}d\n f$$(d)\n", size)
    return f"{body}def f{size}(d): torch.cuda.set_device(d)\nf0('1')\n"


@shape(1_500, 60)
def call_fan_out(size: int) -> str:
    """Layers of functions, each of which calls ten of the next layer."""
    width = size // 12
    found = []
    for number in range(size):
        after = (number // width + 1) * width
        called = [after + (number * 7 + step) % width for step in range(10)]
        body = "".join(f" f{other}(d)\n" for other in called if other < size)
        found.append(f"def f{number}(d):\n torch.cuda.set_device(d)\n{body}")
    return "".join(found) + "f0(1)\n"


@shape(1_500, 60)
def call_fan_out_with_state(size: int) -> str:
    """Layers of functions, each of which changes a global and calls six of the next layer."""
    width = size // 12
    found = ["state = 0\n"]
    for number in range(size):
        after = (number // width + 1) * width
        called = [after + (number * 5 + step) % width for step in range(6)]
        body = "".join(f" f{other}(d + 1)\n" for other in called if other < size)
        found.append(
            f"def f{number}(d):\n global state\n state += {number}\n {WRITE}str(state)\n{body}"
        )
    return "".join(found) + "f0(1)\n"


@shape(3_000, 60)
def mutual_recursion(size: int) -> str:
    """Functions that call one another in cycles."""
    found = []
    for number in range(size):
        called = [(number * 2 + 1) % size, (number * 3 + 2) % size, (number + 1) % size]
        body = "".join(f" f{other}(d)\n" for other in called)
        found.append(f"def f{number}(d):\n if d: {WRITE}str(d)\n{body}")
    return "".join(found) + "f0(1)\n"


@shape(30, 5)
def recursion_with_state(size: int) -> str:
    """Functions that call themselves twice with other arguments, and count in a global."""
    body = (
        "def f$(n, d):\n global state\n state += 1\n if n == 0:\n  torch.cuda.set_device(d)\n"
        "  return state\n f$(n - 1, d + 1)\n f$$(n - 1, state)\n return f$(n - 2, d)\n"
    )
    return f"state = 0\n{lines(body, size)}def f{size}(n, d): return f0(n, d)\nf0(30, 0)\n"


@shape(5_000, 100)
def one_function_called_often(size: int) -> str:
    """One function called thousands of times, each time with another argument."""
    inside = "".join(f" x{n} = d + {n}\n if x{n}: torch.device(x{n})\n" for n in range(40))
    return f"def f(d):\n{inside} {WRITE}str(d)\n" + lines("f($)\n", size)


@shape(5_000, 100)
def imported_function_called_often(size: int) -> Tree:
    """A function of another module called thousands of times, each time in another state."""
    inside = "".join(f"    y{n} = x + {n}\n" for n in range(40))
    module = f"import torch\nimport b\ndef f(x):\n{inside}    torch.cuda.set_device(b.v)\n"
    calls = lines("b.v = $\nm.f($)\n", size)
    return {"a.py": f"{START}import b\nimport m\n{calls}{END}", "m.py": module, "b.py": "v = 0\n"}


@shape(2_000, 60)
def changed_globals(size: int) -> str:
    """Thousands of functions that change globals which all others read."""
    body = "def f$():\n global g$, h\n g$, h = h, g$$\n torch.cuda.set_device(h)\n f$$()\n"
    names = lines("g$ = $\n", size + 1)
    return f"h = 0\n{names}{lines(body, size)}def f{size}(): pass\nf0()\n" + lines("f$()\n", size)


@shape(3_000, 60)
def at_exit(size: int) -> str:
    """Thousands of functions that run when the program ends."""
    return "import atexit\n" + lines(
        f"@atexit.register\ndef f$():\n {WRITE}'$'\n torch.cuda.set_device($)\n", size
    )


@shape(3_000, 60)
def one_at_exit(size: int) -> str:
    """One function registered thousands of times, on paths that may end there."""
    return "import atexit, sys\ndef f(n): torch.cuda.set_device(n)\n" + lines(
        "atexit.register(f, $)\nif os.sep == '$': sys.exit($)\n", size
    )


@shape(40, 8)
def closures(size: int) -> str:
    """Functions that give functions which call the one before twice."""
    body = "def make$$(f):\n def g(d):\n  f(d)\n  return f(d + 1)\n return g\nf$$ = make$$(f$)\n"
    return f"f0 = torch.device\n{lines(body, size)}f{size}(0)\n"


@shape(40, 8)
def lambdas(size: int) -> str:
    """Lambdas that call the one before twice."""
    chain = lines("f$$ = lambda d: f$(f$(d))\n", size)
    return f"f0 = lambda d: torch.device(d)\n{chain}f{size}(0)\n"


@shape(40, 8)
def generators(size: int) -> str:
    """Generators that go through the one before twice."""
    body = "def g$$(d):\n for x in g$(d):\n  yield x\n yield from g$(d + 1)\n"
    first = "def g0(d):\n torch.cuda.set_device(d)\n yield d\n"
    return f"{first}{lines(body, size)}for x in g{size}(0):\n {WRITE}str(x)\n"


@shape(2_000, 40)
def decorators(size: int) -> str:
    """Thousands of decorators on one function, each of which calls what it wraps twice."""
    wrap = "def w(f):\n def g(*a):\n  f(*a)\n  return f(*a)\n return g\n"
    stacked = "@w\n" * size
    return f"{wrap}{stacked}def f(d): torch.cuda.set_device(d)\nf(1)\n"


@shape(3_000, 60)
def keyword_arguments(size: int) -> str:
    """Calls with hundreds of keywords of functions with as many parameters."""
    width = 100
    parameters = ", ".join(f"k{n}=None" for n in range(width))
    given = ", ".join(f"k{n}={n}" for n in range(width // 4))
    functions = max(1, size // 100)
    head = f"def f$({parameters}, **rest):\n"
    body = lines(f"{head} torch.cuda.set_device(k1)\n f$$(**rest, k1=k2)\n", functions)
    calls = "".join(f"f{n % functions}({given}, **os.environ)\n" for n in range(size))
    return f"{body}def f{functions}(**rest): pass\n{calls}"


@shape(5_000, 100)
def forwarded_arguments(size: int) -> str:
    """``f(*a, *a, **k)``: the arguments double with each call."""
    chain = lines("def f$(*a, **k):\n f$$(*a, *a, **k)\n", 40)
    return f"{chain}def f40(*a, **k): torch.cuda.set_device(a[0])\n" + lines("f0($, k=$)\n", size)


@shape(3_000, 60)
def child_processes(size: int) -> str:
    """Thousands of child processes, each with a copy of the environment before."""
    return "import subprocess, sys\nenv = dict(os.environ)\n" + lines(
        "env = {**env, 'CUDA_VISIBLE_DEVICES': '$', 'A$': '$'}\n"
        "subprocess.run([sys.executable, 'a.py', '$'], env=env)\n",
        size,
    )


@shape(3_000, 60)
def processes(size: int) -> str:
    """Thousands of processes that are spawned or forked with a function."""
    return (
        "import multiprocessing as mp\n"
        f"def f(n):\n {WRITE}str(n)\n torch.cuda.set_device(0)\n"
        + lines("mp.Process(target=f, args=($,)).start()\n", size)
    )


@shape(5_000, 100)
def devices_without_mask(size: int) -> Tree:
    """Functions that hand a device on to the next two, in a program that sets no variable."""
    body = lines(
        "def f$(d=None, *, device='cuda:1'):\n x = torch.device(device)\n"
        " f$$(x, device=d)\n return f$$(device=x)\n",
        size,
    )
    last = f"def f{size}(d=None, *, device): torch.cuda.set_device(device)\n"
    fork = f"mp.set_start_method('fork')\nmp.Process(target=f{size}, args=(0,)).start()\n"
    start = "import multiprocessing as mp\nimport torch\ntorch.cuda.init()\n"
    return {"a.py": f"{start}{body}{last}{fork}f0(device='cuda:2')\n"}


# --- classes and modules -----------------------------------------------------------------


@shape(60, 8)
def diamonds(size: int) -> str:
    """Classes with two bases that share theirs: 2 to the 60 ways up."""
    classes = lines("class A$$(A$, B$): pass\nclass B$$(A$, B$): pass\n", size)
    method = "class A0:\n def f(self): torch.cuda.set_device(self.d)\nclass B0: pass\n"
    return f"{method}{classes}a = A{size}()\na.d = '1'\na.f()\na.g()\n"


@shape(3_000, 60)
def lineage(size: int) -> str:
    """Each class has the one before for its base, and methods that call its."""
    body = "class A$$(A$):\n def f(self):\n  super().f()\n  torch.device(self.d)\nA$$().f()\n"
    return f"class A0:\n d = 1\n def f(self): {WRITE}'2'\n{lines(body, size)}"


@shape(6_000, 100)
def methods(size: int) -> str:
    """One class of thousands of methods, each of which calls the next two."""
    body = lines(" def m$(self, d):\n  self.d$ = d\n  self.m$$(self.d$)\n  self.m$$(d)\n", size)
    return f"class A:\n{body} def m{size}(self, d): torch.cuda.set_device(d)\nA().m0(1)\n"


@shape(500, 30)
def import_cycles(size: int) -> Tree:
    """Modules that all import one another in cycles, and set the mask."""
    files: Tree = {}
    for number in range(size):
        others = {(number * 2 + 1) % size, (number * 3 + 2) % size, (number + 1) % size}
        imports = "".join(f"import p.m{other}\n" for other in sorted(others))
        files[f"p/m{number}.py"] = f"import os\n{imports}{WRITE}'{number}'\nimport torch\n"
    return {**files, "p/__init__.py": "", "a.py": f"{START}import p.m0\n{END}"}


@shape(400, 30)
def star_imports(size: int) -> Tree:
    """Modules that take all names of two others each."""
    files: Tree = {}
    for number in range(size):
        stars = "".join(
            f"from p.m{other} import *\n" for other in (number + 1, number + 2) if other < size
        )
        names = "".join(f"n{number}_{name} = {name}\n" for name in range(40))
        files[f"p/m{number}.py"] = f"{stars}{names}"
    start = f"{START}from p.m0 import *\n{WRITE}str(n{size - 1}_1)\n{END}"
    return {**files, "p/__init__.py": "", "a.py": start}


@shape(300, 20)
def programs_and_modules(size: int) -> Tree:
    """Programs that all import the same modules, which set the mask and call one another."""
    files: Tree = {}
    for number in range(size):
        after = "".join(
            f"from p import m{other}\n" for other in range(number + 1, min(number + 9, size))
        )
        called = "".join(f" m{other}.f(d)\n" for other in range(number + 1, min(number + 9, size)))
        files[f"p/m{number}.py"] = (
            f"import os\nimport torch\n{after}def f(d):\n torch.cuda.set_device(d)\n{called}"
            f"if os.environ.get('A') == '{number}': {WRITE}'{number}'\n"
        )
        files[f"run{number}.py"] = (
            f"{START}from p import m0, m{number}\nif __name__ == '__main__':\n"
            f" m0.f({number})\n m{number}.f(0)\n {END.replace(chr(10), chr(10) + ' ').rstrip()}\n"
        )
    return {**files, "p/__init__.py": ""}


@shape(500, 30)
def packages_of_packages(size: int) -> Tree:
    """Packages that import all they hold, and the one above, before they set the mask."""
    files: Tree = {}
    for number in range(size):
        parent = f"p{(number - 1) // 2}" if number else "p0"
        below = "".join(
            f"from . import p{child}\n"
            for child in (2 * number + 1, 2 * number + 2)
            if child < size
        )
        files[f"{_path(number)}/__init__.py"] = (
            f"import os\n{below}from p0 import v as {parent}_v\nv = os.environ.get('V{number}')\n"
            f"if v: {WRITE}v\nimport torch\n"
        )
    return {**files, "a.py": f"{START}from p0 import *\n{WRITE}v\n{END}"}


# --- guards, patches, commands and files ---------------------------------------------------


@shape(4_000, 60)
def chain_of_fixtures(size: int) -> str:
    """Fixtures that each ask for the next one, of which the last skips the test."""
    fixtures = lines("@pytest.fixture\ndef f$(f$$): return 1\n", size)
    last = f"@pytest.fixture\ndef f{size}():\n if torch.cuda.device_count() < 2: pytest.skip('')\n"
    return f"import pytest\n{last}{fixtures}def test_a(f0): torch.cuda.set_device(1)\n"


@shape(2_000, 60)
def tests_with_marks(size: int) -> str:
    """Thousands of tests, each with a mark, a fixture for all and a set-up that may skip it."""
    few = "torch.cuda.device_count() <"
    head = f"""import pytest
pytestmark = [pytest.mark.skipif({few} n, reason="") for n in range(5)]
@pytest.fixture(autouse=True)
def one():
 if {few} 2: pytest.skip("")
class A:
 def setup_method(self):
  if {few} 2: pytest.skip("")
"""
    mark = f" @pytest.mark.skipif({few} $, reason='')\n"
    return head + lines(f"{mark} def test_$(self, one): torch.cuda.set_device(1)\n", size)


@shape(8_000, 60)
def cases_of_a_count(size: int) -> str:
    """One ``match`` of thousands of numbers of devices."""
    cases = lines(" case $ | $$: torch.cuda.set_device($)\n", size)
    return f"match torch.cuda.device_count():\n{cases}"


@shape(1_200, 60)
def kept_counts(size: int) -> str:
    """Tests of the number of devices, each made of the one before."""
    kept = lines("m$$ = not (m$ and n > $) or m$\n", size)
    return f"n = torch.cuda.device_count()\nm0 = n > 1\n{kept}if m{size}: torch.cuda.init()\n"


@shape(7, 3)
def counted_loops(size: int) -> str:
    """Loops in one another, each up to the number of devices."""
    heads = [
        f"for i{depth} in range(8):\n if i{depth} < torch.cuda.device_count():"
        for depth in range(size)
    ]
    found, depth = [], 0
    for head in heads:
        for line in head.split("\n"):
            found.append(f"{' ' * depth}{line.lstrip()}\n")
            depth += 1
    return "".join(found) + f"{' ' * depth}torch.cuda.set_device(i0)\n"


@shape(18, 8)
def probes(size: int) -> str:
    """Handlers of devices that may be missing, in one another."""
    found = "torch.cuda.set_device(0)"
    for depth in range(size):
        inner = "\n".join(f" {line}" for line in found.split("\n"))
        found = f"try: torch.cuda.set_device({depth})\nexcept RuntimeError:\n{inner}"
    return f"{found}\n"


@shape(40, 8)
def patches(size: int) -> str:
    """Patches of the number of devices in one another, and hundreds on one function."""
    head = "with patch('torch.cuda.device_count', return_value=2):"
    decorators = "@patch('torch.cuda.device_count', lambda: 2)\n" * size * 10
    body = nested([head] * size, "assert torch.cuda.device_count() == 2")
    return f"from unittest.mock import patch\n{body}{decorators}def test_a(*a): torch.cuda.init()\n"


@shape(6_000, 60)
def many_variables(size: int) -> str:
    """Thousands of variables, written and put back one by one, and all together."""
    entries = lines("'V$': '$', ", size)
    again = lines("os.environ['W$'] = '1'\nos.environ['W$'] = '2'\n", size)
    loop = "for k, v in D.items(): os.environ[k] = v\n"
    return f"{again}D = {{{entries}}}\nos.environ.update({{{entries}}})\n{loop}"


@shape(3_000, 60)
def writes_of_one_variable(size: int) -> str:
    """One mask, written, removed and put back thousands of times."""
    return (f"{WRITE}'0'\nos.environ.pop('CUDA_VISIBLE_DEVICES')\n{WRITE}'1'\n") * size


@shape(9_000, 60)
def shell_words(size: int) -> str:
    """Commands of quotes, comments, subshells and programs that start others."""
    texts = ["(" * size, "env -S " * size, "if ! { " * size, "# '" * size, "a=1;(" * size]
    texts += ["sh -c 'nice -n 5 " * size, "\\\\' \\\\" * size]
    return "".join(f'os.system("{text} python x.py")\n' for text in texts)


@shape(1_900, 200)
def branches_that_bind(size: int) -> str:
    """Thousands of branches, each of which binds a name of its own."""
    return "c = input()\nif c == 'a': pass\n" + lines("elif c == '$': n$ = c\n", size)


@shape(100_000, 1_000)
def short_lines(size: int) -> str:
    """A file of 100,000 lines."""
    return "x = 1\n" * size


@shape(24_000, 200)
def device_texts(size: int) -> str:
    """A list of thousands of devices, and one text that holds as many."""
    listed = lines("'cuda:$', ", size)
    return f"D = [{listed}]\nT = '{'cuda:1 ' * size}'\ntorch.zeros(1, device=D[1])\n"


@shape(90, 10)
def deep_definitions(size: int) -> str:
    """Functions and classes defined in one another, with decorators and defaults."""
    heads = [
        f"@(lambda f: f)\ndef f{depth}(d=torch.cuda.device_count()):"
        if depth % 2
        else f"class C{depth}:"
        for depth in range(size)
    ]
    found = [
        f"{' ' * depth}{line}\n" for depth, head in enumerate(heads) for line in head.split("\n")
    ]
    return "".join(found) + f"{' ' * size}torch.cuda.init()\n"


@shape(400, 30)
def deep_displays(size: int) -> str:
    """Dicts in dicts just below the limit of brackets, merged into one another."""
    deep = "{'a': " * 90 + "'1'" + "}" * 90
    return "d = {}\n" + f"d = {{**d, 'b': d, **{deep}}}\n" * size + f"{WRITE}str(d)\n"


@shape(3_000, 60)
def dicts_in_dicts(size: int) -> str:
    """Dicts that are entered into one another in a loop, and updated by themselves."""
    steps = (
        "d[k] = e\n e[k] = d\n d.update(e)\n e.setdefault(k, d).update(d)\n d = d | {k: dict(d)}\n"
    )
    return "d, e = {}, {}\n" + lines(f"for k in ('$', '$$'):\n {steps}", size)


@shape(400, 30)
def growing_arguments(size: int) -> str:
    """Functions that call themselves and each other with arguments that grow."""
    return (
        lines("def f$(a, **k):\n f$(a + [a], x=k, **k)\n return f$$((*a, a), **k)\n", size)
        + f"def f{size}(a, **k): torch.cuda.set_device(len(a))\nf0([1], b=2)\n"
    )


@shape(1_500, 30)
def endless_generators(size: int) -> str:
    """Generators that yield themselves, and go through themselves."""
    return (
        lines(
            "def g$():\n while True:\n  x = g$()\n  yield x\n  yield from g$$()\n  yield from x\n",
            size,
        )
        + f"def g{size}(): yield from g0()\nfor x in g0():\n for y in x: break\n break\n"
    )


@shape(6_000, 60)
def texts_to_run(size: int) -> str:
    """Texts that are given to ``exec``, ``eval`` and ``compile``, in one another."""
    text = "exec('" + "eval(" * 60 + "1" + ")" * 60 + "')\n"
    return lines("exec(\"os.environ['CUDA_VISIBLE_DEVICES'] = '$'\")\neval('a$')\n", size) + text


@shape(100, 10)
def odd_encodings(size: int) -> Tree:
    """Files in UTF-16, with a mark, with NUL, of single CRs, and cut off in a character."""
    text = f"{START}{'x = 1' + chr(10)}" * size + END
    return {
        "utf16.py": text.encode("utf-16"),
        "utf32.py": text.encode("utf-32"),
        "bom.py": b"\xef\xbb\xbf" + text.encode(),
        "boms.py": b"\xef\xbb\xbf\xef\xbb\xbf" + text.encode(),
        "nul.py": text.encode() + b"\0" * size,
        "cr.py": text.replace("\n", "\r").encode(),
        "cut.py": text.encode() + "x = 'é".encode()[:-1],
        "feed.py": text.replace("\n", "\n\x0c").encode(),
        "empty.py": b"",
        "a.py": f"{START}import cr, bom\n{END}",
    }


@shape(30, 5)
def linked_folders(size: int) -> Tree:
    """Folders that hold links to themselves, to each other and to nothing."""
    files: Tree = {"a.py": f"{START}import p0.a\n{END}"}
    for number in range(size):
        files[f"p{number}/a.py"] = f"import p{(number + 1) % size}.a\n"
        files[f"p{number}/self"] = Link(".")
        files[f"p{number}/up"] = Link("..")
        files[f"p{number}/next"] = Link(f"../p{(number + 1) % size}")
        files[f"p{number}/loop.py"] = Link("loop.py")
        files[f"p{number}/gone.py"] = Link("nowhere.py")
    return files


@shape(20_000, 200)
def annotations(size: int) -> str:
    """A type of thousands of texts, and as many annotated names."""
    listed = lines("'cuda:$', ", size)
    return f"from typing import Literal\nD = Literal[{listed}]\n" + "x: D = 'cuda:1'\n" * size


@shape(600, 30)
def wrapped_tests(size: int) -> str:
    """Decorators of one function, each of which may skip what it wraps."""
    skipping = """import unittest
def needs(n):
 def deco(f):
  def inner(*a):
   if torch.cuda.device_count() < n: raise unittest.SkipTest("")
   return f(*a)
  return inner
 return deco
"""
    return skipping + lines("@needs($)\n", size) + "def test_a(): torch.cuda.set_device(1)\n"


@shape(700, 30)
def returned_functions(size: int) -> str:
    """Functions that give another one only where there are several devices."""
    return "def f0(): torch.cuda.set_device(1)\n" + lines(
        "def f$$():\n if torch.cuda.device_count() < $: return False\n return f$\nf$$()()\n", size
    )


@shape(250, 20)
def conditions_in_comprehensions(size: int) -> str:
    """Comprehensions with many conditions on the number of devices, in one another."""
    inner = "[i for i in range(9) if i < torch.cuda.device_count()]"
    for _ in range(12):
        inner = f"[j for i in {inner} for j in range(8) if j < torch.cuda.device_count()]"
    return f"for d in {inner}: torch.cuda.set_device(d)\n" * size


def _path(number: int) -> str:
    """The folder of a package in a tree of packages with two in each."""
    above = f"{_path((number - 1) // 2)}/" if number else ""
    return f"{above}p{number}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="at the size of the test suite")
    parser.add_argument("name", nargs="?", choices=SHAPES, metavar="NAME")
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    if options.name is None or options.folder is None:
        print("\n".join(f"{one.name:32}{one.description}" for one in SHAPES.values()))
        return 0
    size = SHAPES[options.name].write(options.folder, small=options.small)
    print(f"{size} bytes; gpu-lint check {' '.join(SHAPES[options.name].arguments)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
