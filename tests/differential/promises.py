"""Composes projects that have the right header, and then something that may undo it.

``run.py`` is started. Each way to write, remove, guard or hand on a variable is one line of a table,
and stands in the project with a key and a value that matter or with those that do not, so that a
wrong program and a right one differ in no more than that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.differential.owners import MASK, Owned
from tests.differential.programs import Chooser

ORDER = "CUDA_DEVICE_ORDER"
ALLOC = "PYTORCH_CUDA_ALLOC_CONF"
_USE = 'torch.zeros(1, device="cuda")'
_CODE = "import torch; torch.zeros(1, device='cuda')"
_OWN_NAMES = re.compile(
    r"\b(?:put|drop|SETTINGS|BASE|Settings|HOOKS|hook|setup|Setup|Quiet|Loud|DEBUG|check|called"
    r"|Gpu|GPUS?|chosen|Config)\b"
)
"""What the tables' lines define."""
_Form: TypeAlias = "tuple[str, list[str], list[str]]"
"""The modules that lines need, the definitions, and the lines; ``{k}`` and ``{v}`` are a key and a
value."""


@dataclass
class _Piece:
    """Lines that do one thing, with what they need above them."""

    lines: list[str]
    definitions: list[str] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)

    def followed_by(self, other: _Piece) -> _Piece:
        return _Piece(
            self.lines + other.lines,
            self.definitions + other.definitions,
            self.modules | other.modules,
        )

    def renamed(self, suffix: str) -> _Piece:
        """The same, with names of its own for what it defines."""
        lines, definitions = (
            [_OWN_NAMES.sub(rf"\g<0>{suffix}", line) for line in several]
            for several in (self.lines, self.definitions)
        )
        return _Piece(lines, definitions, self.modules)

    @property
    def text(self) -> str:
        imports = [f"import {name}" for name in sorted({"os"} | self.modules)]
        return "\n".join([*imports, "", *self.definitions, *self.lines]) + "\n"


_WRITES: dict[str, _Form] = {
    "item": ("", [], ['os.environ["{k}"] = "{v}"']),
    "update": ("", [], ['os.environ.update({{"{k}": "{v}"}})']),
    "update pairs": ("", [], ['os.environ.update([("{k}", "{v}")])']),
    "update zip": ("", [], ['os.environ.update(zip(["{k}"], ["{v}"]))']),
    "update keyword": ("", [], ['os.environ.update({k}="{v}")']),
    "update dict()": ("", [], ['os.environ.update(dict({k}="{v}"))']),
    "update merged": ("", ['BASE = {{"{k}": "{v}"}}'], ['os.environ.update({{**BASE, "A": "1"}})']),
    "update or": ("", ['BASE = {{"{k}": "{v}"}}'], ['os.environ.update(BASE | {{"A": "1"}})']),
    "or": ("", [], ['os.environ |= {{"{k}": "{v}"}}']),
    "or name": ("", ['SETTINGS = {{"A": "1", "{k}": "{v}"}}'], ["os.environ |= SETTINGS"]),
    "items": ("", ['SETTINGS = {{"{k}": "{v}", "A": "1"}}'],
              ["for key, value in SETTINGS.items():", "    os.environ[key] = value"]),
    "pairs": ("", [], ['for key, value in (("A", "1"), ("{k}", "{v}")):',
                       "    os.environ[key] = value"]),
    "target": ("", [], ['for os.environ["{k}"] in ("{v}",):', "    pass"]),
    "comprehension": ("", [], ['[os.environ.update({{k: "{v}"}}) for k in ("{k}",)]']),
    "dunder": ("", [], ['os.environ.__setitem__("{k}", "{v}")']),
    "operator": ("operator", [], ['operator.setitem(os.environ, "{k}", "{v}")']),
    "bytes": ("", [], ['os.environb[b"{k}"] = b"{v}"']),
    "putenv": ("", [], ['os.putenv("{k}", "{v}")']),
    "putenv bytes": ("", [], ['os.putenv(b"{k}", b"{v}")']),
    "helper": ("", ["def put(key, value):", "    os.environ[key] = str(value)"],
               ['put("{k}", "{v}")']),
    "helper of keywords": ("", ["def put(**settings):", "    os.environ.update(settings)"],
                           ['put({k}="{v}")']),
    "helper of a dict": ("", ["def put(settings):", "    for key in settings:",
                              "        os.environ[key] = settings[key]"],
                         ['put({{"{k}": "{v}"}})']),
    "helper twice": ("", ["def put(key, value):", "    os.environ[key] = value"],
                     ['put("A", "1")', 'put("{k}", "{v}")', 'put("B", "2")']),
    "lambda": ("", ['put = lambda key, value: os.environ.__setitem__(key, value)'],
               ['put("{k}", "{v}")']),
    "partial": ("functools", ["def put(key, value):", "    os.environ[key] = value"],
                ['functools.partial(put, "{k}")("{v}")']),
    "map": ("", ["def put(pair):", "    os.environ[pair[0]] = pair[1]"],
            ['list(map(put, [("{k}", "{v}")]))']),
    "method": ("", ["class Settings:", "    def __init__(self, value):",
                    "        self.value = value", "    def apply(self):",
                    '        os.environ["{k}"] = self.value'], ['Settings("{v}").apply()']),
    "setattr": ("", ["class Settings:", "    pass"],
                ["settings = Settings()", 'setattr(settings, "gpu", "{v}")',
                 'os.environ["{k}"] = settings.gpu']),
    "property": ("", ["class Settings:", "    @property", "    def gpu(self):",
                      '        return os.environ["{k}"]', "    @gpu.setter",
                      "    def gpu(self, value):", '        os.environ["{k}"] = value'],
                 ['Settings().gpu = "{v}"']),
    "registry": ("", ["HOOKS = []", "def hook(function):", "    HOOKS.append(function)",
                      "    return function", "@hook", "def put():",
                      '    os.environ["{k}"] = "{v}"'],
                 ["for function in HOOKS:", "    function()"]),
    "globals": ("", ["def put():", '    os.environ["{k}"] = "{v}"'], ['globals()["put"]()']),
    "alias": ("", ["from os import environ as env"], ['env["{k}"] = "{v}"']),
    "walrus": ("", [], ['os.environ["{k}"] = (gpu := "{v}")']),
    "patch.dict": ("unittest.mock", [],
                   ['unittest.mock.patch.dict(os.environ, {{"{k}": "{v}"}}).start()']),
}  # fmt: skip
_REMOVALS: dict[str, _Form] = {
    "del": ("", [], ['if "{k}" in os.environ:', '    del os.environ["{k}"]']),
    "pop": ("", [], ['os.environ.pop("{k}", None)']),
    "try": ("", [], ["try:", '    del os.environ["{k}"]', "except KeyError:", "    pass"]),
    "suppress": ("contextlib", [], ["with contextlib.suppress(KeyError):",
                                    '    del os.environ["{k}"]']),
    "names": ("", [], ['for name in ("A", "{k}"):', "    os.environ.pop(name, None)"]),
    "comprehension": ("", [], ['[os.environ.pop(name, None) for name in ("{k}", "A")]']),
    "prefix": ("", [], ["for name in list(os.environ):", '    if name.startswith("{k}"):',
                        "        del os.environ[name]"]),
    "unsetenv": ("", [], ['os.unsetenv("{k}")']),
    "bytes": ("", [], ['os.environb.pop(b"{k}", None)']),
    "helper": ("", ["def drop(key):", "    os.environ.pop(key, None)"], ['drop("{k}")']),
    "dunder": ("", [], ['if "{k}" in os.environ:', '    os.environ.__delitem__("{k}")']),
    "operator": ("operator", [], ['if "{k}" in os.environ:',
                                  '    operator.delitem(os.environ, "{k}")']),
    "put back": ("", [], ['saved = os.environ.pop("{k}", None)', "if saved is not None:",
                          '    os.environ["{k}"] = saved']),
    "patch.dict": ("unittest.mock", [],
                   ['with unittest.mock.patch.dict(os.environ, {{"{k}": "0"}}):', "    pass"]),
}  # fmt: skip
_AROUND: dict[str, _Form] = {
    # what may stand around lines; {lines} are those
    "nothing": ("", [], ["{lines}"]),
    "function": ("", ["def setup():", "    {lines}"], ["setup()"]),
    "function that nothing calls": ("", ["def setup():", "    {lines}"], []),
    "coroutine": ("asyncio", ["async def setup():", "    {lines}"], ["asyncio.run(setup())"]),
    "coroutine that nothing awaits": ("asyncio", ["async def setup():", "    {lines}"],
                                      ["setup().close()"]),
    "generator that nothing runs": ("", ["def setup():", "    {lines}", "    yield"], ["setup()"]),
    "generator": ("", ["def setup():", "    {lines}", "    yield"], ["for _ in setup():", "    pass"]),
    "context manager": ("contextlib", ["@contextlib.contextmanager", "def setup():", "    {lines}",
                                       "    yield"], ["with setup():", "    pass"]),
    "try": ("", [], ["try:", "    {lines}", "except Exception:", "    pass"]),
    "try that fails": ("", [], ["try:", '    int("x")', "    {lines}", "except ValueError:",
                                "    pass"]),
    "try that fails in a function": ("", ["def check(path):", "    if not os.path.exists(path):",
                                          "        raise RuntimeError(path)"],
                                     ["try:", '    check("/nowhere")', "    {lines}",
                                      "except Exception:", "    pass"]),
    "suppress": ("contextlib", [], ["with contextlib.suppress(Exception):", "    {lines}"]),
    "suppress that ends early": ("contextlib", [], ["with contextlib.suppress(Exception):",
                                                    '    int("x")', "    {lines}"]),
    "exit that swallows": ("", ["class Quiet:", "    def __enter__(self):", "        return self",
                                "    def __exit__(self, *error):", "        return True"],
                           ["with Quiet():", '    int("x")', "    {lines}"]),
    "exit that does not": ("", ["class Loud:", "    def __enter__(self):", "        return self",
                                "    def __exit__(self, *error):", "        return False"],
                           ["with Loud():", "    {lines}"]),
    "finally": ("", [], ["try:", "    pass", "finally:", "    {lines}"]),
    "else of a loop": ("", [], ["for _ in ():", "    pass", "else:", "    {lines}"]),
    "loop": ("", [], ["for _ in range(2):", "    {lines}"]),
    "loop over nothing": ("", [], ["for _ in ():", "    {lines}"]),
    "condition": ("", [], ["if 1:", "    {lines}"]),
    "constant": ("", ["DEBUG = False"], ["if DEBUG:", "    {lines}"]),
    "other constant": ("", ["DEBUG = True"], ["if DEBUG:", "    {lines}"]),
    "decorator": ("", ["def called(function):", "    function()", "    return function"],
                  ["@called", "def setup():", "    {lines}"]),
    "class body": ("", [], ["class Setup:", "    {lines}"]),
    "thread": ("threading", ["def setup():", "    {lines}"],
               ["thread = threading.Thread(target=setup)", "thread.start()", "thread.join()"]),
    "exit": ("atexit", ["def setup():", "    {lines}"], ["atexit.register(setup)"]),
}  # fmt: skip
_COPIES: dict[str, _Form] = {
    "itself": ("subprocess sys", [], ["env = os.environ.copy()"]),
    "dict": ("subprocess sys", [], ["env = dict(os.environ)"]),
    "stars": ("subprocess sys", [], ["env = {{**os.environ}}"]),
    "none": ("subprocess sys", [], ["env = None"]),
    "with": ("subprocess sys", [], ['env = {{**os.environ, "{k}": "{v}"}}']),
    "dict with": ("subprocess sys", [], ['env = dict(os.environ, {k}="{v}")']),
    "or": ("subprocess sys", [], ['env = os.environ | {{"{k}": "{v}"}}']),
    "item": ("subprocess sys", [], ["env = os.environ.copy()", 'env["{k}"] = "{v}"']),
    "update": ("subprocess sys", [], ["env = dict(os.environ)", 'env.update({{"{k}": "{v}"}})']),
    "pop": ("subprocess sys", [], ["env = os.environ.copy()", 'env.pop("{k}", None)']),
    "del": ("subprocess sys", [], ["env = dict(os.environ)", 'del env["CUDA_VISIBLE_DEVICES"]']),
    "comprehension": ("subprocess sys", [],
                      ['env = {{k: v for k, v in os.environ.items() if k != "{k}"}}']),
    "prefix": ("subprocess sys", [],
               ['env = {{k: v for k, v in os.environ.items() if not k.startswith("{k}")}}']),
    "fresh": ("subprocess sys", [], ['env = {{"PATH": os.environ.get("PATH", "")}}']),
    "fresh with": ("subprocess sys", [], ['env = {{"PATH": "", "{k}": "{v}"}}']),
}  # fmt: skip
_VALUES: dict[str, _Form] = {
    # modules, definitions, and one expression that gives the value
    "text": ("", [], ['"{v}"']),
    "number": ("", [], ["{v}"]),
    "str": ("", [], ["str({v})"]),
    "template": ("", ["GPU = {v}"], ['f"{{GPU}}"']),
    "list": ("", [], ["[{v}]"]),
    "tuple": ("", [], ['"{v}",']),
    "str of a list": ("", [], ["str([{v}])"]),
    "json": ("json", [], ["json.dumps([{v}])"]),
    "repr": ("", [], ['repr("{v}")']),
    "join": ("", [], ['",".join(["{v}"])']),
    "join of a map": ("", [], ['",".join(map(str, [{v}]))']),
    "split": ("", [], ['"{v}".split(",")']),
    "split item": ("", [], ['"{v},0".split(",")[0]']),
    "strip": ("", [], ['" {v} ".strip()']),
    "bytes": ("", [], ['b"{v}"']),
    "enum": ("enum", ["class Gpu(enum.Enum):", '    BIG = "{v}"'], ["Gpu.BIG"]),
    "enum value": ("enum", ["class Gpu(enum.Enum):", '    BIG = "{v}"'], ["Gpu.BIG.value"]),
    "text of an enum": ("enum", ["class Gpu(enum.Enum):", '    BIG = "{v}"'], ['f"{{Gpu.BIG}}"']),
    "enum of texts": ("enum", ["class Gpu(str, enum.Enum):", '    BIG = "{v}"'], ["Gpu.BIG"]),
    "set": ("", [], ['{{"{v}"}}']),
    "range": ("", [], ["range({v})"]),
    "none": ("", [], ["None"]),
    "path": ("pathlib", [], ['pathlib.Path("{v}")']),
    "function": ("", ["def chosen():", '    return "{v}"'], ["chosen"]),
    "call": ("", ["def chosen():", '    return "{v}"'], ["chosen()"]),
    "dictionary": ("", ['GPUS = {{"big": "{v}"}}'], ['GPUS["big"]']),
    "dataclass": ("dataclasses", ["@dataclasses.dataclass", "class Config:",
                                  '    gpu: str = "{v}"'], ["Config().gpu"]),
    "spaces": ("", [], ['" {v}"']),
    "trailing": ("", [], ['"{v},"']),
    "quoted": ("", [], ["\"'{v}'\""]),
}  # fmt: skip


_WEAK = frozenset(
    {"putenv", "putenv bytes", "pop", "del", "comprehension", "prefix", "fresh", "fresh with"}
)
"""What may be blamed wherever it stands: what CUDA reads and ``os.environ`` does not show, and what
takes variables away, which is right by luck alone."""


class Promises:
    """Writes one project."""

    def __init__(self, chooser: Chooser, card: int = 1) -> None:
        """``card`` is the policy's GPU, 0 or 1."""
        self._pick = chooser.pick
        self._card = str(card)
        self._wanted = {ORDER: "PCI_BUS_ID", MASK: self._card, ALLOC: "max_split_size_mb:1024"}
        self._pieces = 0
        self.is_harmless = True
        """Nothing in the project would be wrong, whether it runs or not."""
        self._files: dict[str, str] = {}

    def project(self) -> Owned:
        """A project, with at most two things that may undo its header."""
        places: tuple[list[_Piece], ...] = ([], [], [])
        for _ in range(self._pick((0, 1, 1, 1, 2))):
            places[self._pick((0, 1, 1, 2, 2))].append(self._disturbance())
        torch = _Piece(["import torch"])
        pieces = [*places[0], self._header(), *places[1], torch, *places[2], self._use()]
        whole = pieces[0]
        for piece in pieces[1:]:
            whole = whole.followed_by(piece)
        return Owned({**self._files, "run.py": whole.text})

    def _header(self) -> _Piece:
        """The right header: as it is taught, or by what may leave it out."""
        form = self._pick(("plain", "plain", "plain", "around", "value", "write"))
        self.is_harmless &= form in ("plain", "write")
        plain = [f'os.environ["{key}"] = "{value}"' for key, value in self._wanted.items()]
        if form == "value":
            value = self._made(_VALUES, k=MASK, v=self._card)
            value.lines[:] = [plain[0], plain[2], f'os.environ["{MASK}"] = {value.lines[0]}']
            return value
        if form == "write":
            pieces = [self._made(_WRITES, k=key, v=value) for key, value in self._wanted.items()]
            return pieces[0].followed_by(pieces[1]).followed_by(pieces[2])
        return self._around(_Piece(plain)) if form == "around" else _Piece(plain)

    def _disturbance(self) -> _Piece:
        """A write or a removal: of what matters or not, in place or in something."""
        key = self._pick((MASK, MASK, MASK, ORDER, "OMP_NUM_THREADS"))
        value = self._pick(("PCI_BUS_ID", "FASTEST_FIRST") if key == ORDER else ("0", "1"))
        forms = self._pick((_WRITES, _WRITES, _REMOVALS))
        if key in self._wanted and (forms is _REMOVALS or value != self._wanted[key]):
            self.is_harmless = False
        piece = self._made(forms, k=key, v=value)
        if self._pick((True, False)):
            piece = self._around(piece)
        if self._pick((False, False, True)):
            name = f"part{len(self._files)}"
            self._files[f"{name}.py"] = piece.text
            return _Piece([f"import {name}"])
        return piece

    def _use(self) -> _Piece:
        """What uses the GPU: this process, or a child under an environment made for it."""
        form = self._pick(("plain", "plain", "plain", "function", "child"))
        if form == "plain":
            return _Piece([_USE])
        if form == "function":
            return _Piece(["work()"], ["def work():", f"    return {_USE}"])
        key = self._pick((MASK, MASK, ORDER, "OMP_NUM_THREADS"))
        values = ("PCI_BUS_ID", "FASTEST_FIRST") if key == ORDER else ("0", "1")
        value = self._pick(values)
        self.is_harmless &= self._wanted.get(key, value) == value
        piece = self._made(_COPIES, k=key, v=value)
        piece.lines.append(f'subprocess.run([sys.executable, "-c", "{_CODE}"], env=env)')
        return piece

    def _made(self, forms: dict[str, _Form], **parts: str) -> _Piece:
        modules, definitions, lines = self._chosen(forms)
        filled = [[line.format(**parts) for line in several] for several in (lines, definitions)]
        return _Piece(*filled, {*modules.split()}).renamed(self._suffix())

    def _around(self, inner: _Piece) -> _Piece:
        modules, definitions, lines = self._chosen(_AROUND)
        outer = _Piece(lines, definitions, {*modules.split()}).renamed(self._suffix())
        above, below = (
            [each for line in several for each in _put_in(line, inner.lines)]
            for several in (outer.definitions, outer.lines)
        )
        return _Piece(below, inner.definitions + above, inner.modules | outer.modules)

    def _chosen(self, forms: dict[str, _Form]) -> _Form:
        name = self._pick(sorted(forms))
        self.is_harmless &= name not in _WEAK
        return forms[name]

    def _suffix(self) -> str:
        self._pieces += 1
        return str(self._pieces)


def _put_in(line: str, lines: list[str]) -> list[str]:
    """The lines in the place of ``{lines}``, as far indented."""
    return [line.replace("{lines}", each) for each in lines] if "{lines}" in line else [line]
