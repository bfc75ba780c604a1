"""Ways to write the environment beside ``os``: patches, ``.env`` files, IPython, ``operator``.

A patch that ends with a context manager, or with a test, only counts if something reads the
variable until then: it is noted when that is known.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from gpu_lint.facts import program as p
from gpu_lint.facts.environment import Arguments, Environment, is_environment
from gpu_lint.facts.evaluation import REPLACEABLE
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import Certainty, Form, Setting, Written
from gpu_lint.facts.operations import truth_of
from gpu_lint.facts.values import (
    UNKNOWN,
    Bound,
    Input,
    Known,
    Pairs,
    Returned,
    Symbol,
    Value,
    text_of,
)
from gpu_lint.facts.walk import subexpressions
from gpu_lint.variables import ALIASES, HEADER_VARIABLES

PATCH = "patch"
"""The kind of a :class:`Bound` that patches the environment when it is entered."""
SHELL = "IPython.shell"
"""The name of what ``get_ipython()`` gives."""
SHELL_COMMANDS = frozenset(
    {f"{SHELL}.{name}" for name in ("system", "getoutput", "run_cell_magic")}
)
"""Methods of it that start a shell."""
SHELL_CELLS = frozenset({"bash", "sh", "script", "!", "sx", "system"})
"""Magics of cells that a shell runs."""
_SET_MAGICS = frozenset({"env", "set_env"})
_ALL_ENTRIES = Pairs((), open=True)
"""What a file holds that only the run will read."""
_Call: TypeAlias = "Callable[[Any, p.Call, Arguments, Flow], Value | None]"


@dataclass(eq=False, slots=True)
class Patch:
    """A patch that is in force."""

    held: Mapping[str, frozenset[Written]]
    """What the header's variables held before."""
    frozen: Certainty
    """How certainly CUDA had read them."""
    used: tuple[Certainty, Certainty]
    """How certainly a GPU had been used: its memory, or PyTorch's own state of it."""
    replaced: Mapping[str, Value]
    """What stood in the place of things imported."""
    settings: list[tuple[str, Setting]] = field(default_factory=list)
    """What it writes, with the file in which that is found."""
    maker: Value = UNKNOWN
    """The ``MonkeyPatch()`` of the program's own that made it: it lasts until ``undo()``."""


class Writers(Environment):
    """Applies calls that write the environment without naming ``os.environ`` as what they are a
    method of."""

    _waiting: list[tuple[str, Setting]] | None
    """Where settings are put that count only if something reads them; None for others."""
    _patches: list[Patch]
    """Those of the function that is running which end with it."""

    @property
    @abstractmethod
    def is_at_module_level(self) -> bool:
        """Whether no function is being run."""

    @abstractmethod
    def note_setting(self, file: str, setting: Setting) -> None:
        """Record a setting of a file."""

    @abstractmethod
    def imports_framework(self) -> bool:
        """Whether the file that is run imports a framework itself."""

    @abstractmethod
    def dotenv_entries(self) -> Pairs | None:
        """The entries of the ``.env`` file that belongs to the file which is run, if there is
        one."""

    def writer_call(self, name: str, node: p.Call, args: Arguments, flow: Flow) -> Value | None:
        """Apply a call by a dotted name, if it is one of these."""
        call = _CALLS.get(name)
        return None if call is None else call(self, node, args, flow)

    def _operator(self, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """``operator.setitem`` and ``operator.delitem``."""
        key = args.find(1, None)
        if is_environment(args.value(0)) and key is not None:
            value = args.find(2, None)
            form = Form.REMOVE if value is None else Form.ASSIGN
            at = (value or key)[0].span
            self.write_under(key[0], key[1], value[1] if value else None, form, at, flow)
        return UNKNOWN

    def _load_dotenv(self, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """``load_dotenv()``, which replaces what is set only if it is told to."""
        replaces = truth_of(args.value(3, "override") or Known(False)) is not False
        form = Form.UPDATE if replaces else Form.SETDEFAULT
        self.update_from(node, self._entries(args, flow), form, flow)
        return UNKNOWN

    def _dotenv_values(self, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """``dotenv_values()``, which reads a file and writes nothing."""
        return self._entries(args, flow)

    def _entries(self, args: Arguments, flow: Flow) -> Pairs:
        """What a ``.env`` file holds; only the one that python-dotenv looks for by itself, or by
        its plain name, perhaps beside the file that is run, is known."""
        found = args.find(0, "dotenv_path")
        match found[1] if found is not None else None:
            case None | Known(value=None) | Known(value=".env"):
                is_known = args.exact and args.value(1, "stream") is None
            case Returned(symbol=symbol) if symbol.endswith(".find_dotenv"):
                is_known = True
            case _:
                is_known = found is not None and _is_beside_file(found[0])
        return (self.dotenv_entries() if is_known else None) or _ALL_ENTRIES

    def _magic(self, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """``run_line_magic("env", "NAME=value")``, or ``magic("env NAME=value")``."""
        texts = [text_of(value) or "" for _, value in args.positional]
        magic, _, rest = " ".join(texts).strip().lstrip("%").partition(" ")
        name, equals, value = rest.strip().partition("=" if "=" in rest else " ")
        if magic in _SET_MAGICS and name.strip() and equals:
            text = value.strip()
            is_known = not {"$", "{"}.intersection(text)
            given = Known(text) if is_known else UNKNOWN
            at = node.arguments[-1].value.span
            self.write(name.strip(), given, Form.ASSIGN, at, at, flow)
        return UNKNOWN

    # --- for a while -----------------------------------------------------------------------

    def _patch(self, node: p.Call, args: Arguments, flow: Flow) -> Value:
        """``patch.dict(os.environ, …)``, which patches when it is entered or started."""
        if patches_environment(args):
            return Bound(PATCH, Symbol("unittest.mock.patch.dict"), (node, args))
        return UNKNOWN

    def _patch_symbol(self, node: p.Call, args: Arguments, flow: Flow) -> Value | None:
        """``patch("torch.cuda.device_count")`` and ``patch.object(torch.cuda, …)``, which patch at
        the same time."""
        if self._symbol_patched(args) is not None:
            return Bound(PATCH, Symbol("unittest.mock.patch"), (node, args))
        return None

    def _symbol_patched(self, args: Arguments) -> tuple[str, Value] | None:
        """What a patch replaces that tests of the number of devices ask, and by what; None for one
        of anything else."""
        target, rest = args.value(0, "target") or UNKNOWN, 1
        if isinstance(target, Symbol):
            name, rest = f"{target.name}.{text_of(args.value(1) or UNKNOWN) or ''}", 2
        else:
            parts = (text_of(target) or "").split(".")
            several = (".".join(parts[start:]) for start in range(len(parts)))
            name = next((one for one in several if self.knowledge.function(one)), "")
        if name.rpartition(".")[2] not in REPLACEABLE:
            return None
        return name, args.value(rest, "new") or UNKNOWN

    def apply_patch(self, patch: Bound, flow: Flow) -> None:
        """Do to the environment what a patch does, and note it at once or when it ends."""
        assert isinstance(patch.arguments, tuple)
        node, args = patch.arguments
        if (replaced := self._symbol_patched(args)) is not None:
            self.replace_symbol(*replaced, flow)
            return
        positional = args.positional[1:2]
        if (values := args.find(None, "values")) is not None:
            positional = [values]
        named = {k: v for k, v in args.keywords.items() if k not in ("in_dict", "values", "clear")}
        outer, self.statement = self.statement, p.Evaluate(node.span, node)
        if truth_of(args.value(2, "clear") or Known(False)) is not False:
            self.clear_environment(node.span, flow)
        self.update(Arguments(positional, named, args.exact), node.span, Form.FOR_A_WHILE, flow)
        self.statement = outer

    @contextmanager
    def patched(self, patches: tuple[Bound, ...], flow: Flow) -> Iterator[None]:
        """Patch the environment while something runs; what that does is noted if it reads it."""
        patch = self._begin_patch(flow)
        with self._put_off(patch):
            for one in patches:
                self.apply_patch(one, flow)
        try:
            yield
        finally:
            self.end_patch(patch, flow)

    def _begin_patch(self, flow: Flow) -> Patch:
        names = (*HEADER_VARIABLES, *ALIASES)
        held = {name: flow.holds(name) for name in names}
        return Patch(held, flow.frozen.certainty, _use(flow), self.replaced_symbols(flow))

    @contextmanager
    def _put_off(self, patch: Patch) -> Iterator[None]:
        outer, self._waiting = self._waiting, patch.settings
        try:
            yield
        finally:
            self._waiting = outer

    def end_patch(self, patch: Patch, flow: Flow, *, always: bool = False) -> None:
        """Take a patch back. What it wrote is noted if CUDA read it, or had done so before."""
        is_read = flow.frozen.certainty > patch.frozen or patch.frozen is Certainty.ALWAYS
        if is_read or always:
            only_asked = _use(flow) == patch.used and self._only_asks(flow)
            only_asked = only_asked and not (always and self.imports_framework())
            for file, setting in patch.settings:
                self.note_setting(file, replace(setting, only_asked=only_asked))
        for name, held in patch.held.items():
            if flow.holds(name) is not held:
                flow.put(name, held)
        for name, value in self.replaced_symbols(flow).items():
            before = patch.replaced.get(name, Symbol(name))
            if value is not before:
                self.replace_symbol(name, before, flow)

    def _only_asks(self, flow: Flow) -> bool:
        """Whether what made CUDA read the mask, if anything did, only asks for the devices."""
        trigger = flow.frozen.trigger
        api = self.knowledge.function(trigger.text.removesuffix("()")) if trigger else None
        return trigger is None or (api is not None and api.counts == "probes")

    def test_patch(
        self, receiver: Value, name: str, node: p.Call, args: Arguments, flow: Flow
    ) -> Value | None:
        """Apply a method of pytest's ``monkeypatch``, of ``mocker.patch`` or of a patch, if it is
        one that has to do with the environment; it is taken back when the test ends."""
        if isinstance(receiver, Bound) and receiver.kind == PATCH:
            if name in ("start", "__enter__"):
                self.apply_patch(receiver, flow)
            return UNKNOWN
        if is_monkeypatch(receiver):
            if name == "context":
                return receiver
            if name == "undo":
                self._undo(receiver, flow)
                return UNKNOWN
            if name == "setattr" and (replaced := self._symbol_patched(args)) is not None:
                self._patch_test(lambda: self.replace_symbol(*replaced, flow), flow)
                return UNKNOWN
            if name in ("setitem", "delitem") and is_environment(args.value(0)):
                args = Arguments(args.positional[1:], args.keywords, args.exact)
            elif name not in ("setenv", "delenv"):
                return None
            key, value = args.find(0, "name"), args.find(1, "value")
            if key is not None:
                at = (value or key)[0].span
                lasts = is_own_monkeypatch(receiver)
                given, form = (value[1], Form.FOR_A_WHILE) if value else (None, Form.REMOVE)
                if name.startswith("del"):
                    given, form = None, Form.REMOVE
                elif lasts:
                    form = Form.ASSIGN
                maker = receiver if lasts else UNKNOWN
                self._patch_test(lambda: self.write_under(*key, given, form, at, flow), flow, maker)
            return UNKNOWN
        if isinstance(receiver, Input) and _is_mocker(receiver, name):
            is_known = patches_environment(args) if name == "dict" else self._symbol_patched(args)
            if is_known:
                patch = Bound(PATCH, receiver, (node, args))
                self._patch_test(lambda: self.apply_patch(patch, flow), flow)
            return UNKNOWN
        return None

    def _patch_test(self, write: Callable[[], None], flow: Flow, maker: Value = UNKNOWN) -> None:
        patch = self._begin_patch(flow)
        patch.maker = maker
        self._patches.append(patch)
        if maker != UNKNOWN and self.is_at_module_level:
            write()
            return
        with self._put_off(patch):
            write()

    def end_patches(self, flow: Flow, *, always: bool) -> None:
        """End the patches of a function that is left, but for those that outlast it."""
        for patch in self._patches:
            if patch.maker == UNKNOWN or always:
                self.end_patch(patch, flow, always=always)
            else:
                for file, setting in patch.settings:
                    self.note_setting(file, setting)

    def _undo(self, maker: Value, flow: Flow) -> None:
        for patch in reversed(self._patches):
            if patch.maker == maker:
                self.end_patch(patch, flow)
        self._patches = [patch for patch in self._patches if patch.maker != maker]


def _use(flow: Flow) -> tuple[Certainty, Certainty]:
    return flow.allocated.certainty, flow.initialised


def _is_beside_file(path: p.Expression) -> bool:
    """Whether a path is made of ``__file__`` and ``.env``, such as
    ``Path(__file__).parent / ".env"``."""
    parts = list(subexpressions(path))
    texts = [part.value for part in parts if isinstance(part, p.Literal)]
    return texts == [".env"] and any(
        isinstance(part, p.Name) and part.id == "__file__" for part in parts
    )


def patches_environment(args: Arguments) -> bool:
    """Whether a patch of a dict is one of the environment: itself, or by its name."""
    target = args.value(0, "in_dict") or UNKNOWN
    return is_environment(target) or (text_of(target) or "").endswith("os.environ")


def _is_mocker(value: Input, method: str) -> bool:
    """Whether a method of a value is one of pytest-mock's ``mocker.patch``, or that itself."""
    if method == "patch":
        return value.name.partition("@")[0] == "mocker"
    return method in ("dict", "object") and value.name.endswith(".patch")


def is_monkeypatch(value: Value) -> bool:
    """Whether a value is pytest's fixture of this name, or made by its class."""
    if isinstance(value, Input):
        return value.name.partition("@")[0] in ("monkeypatch", "monkeysession")
    return isinstance(value, Returned) and value.symbol.startswith("pytest.MonkeyPatch")


def is_patch_context(value: Value) -> bool:
    """Whether a value is ``MonkeyPatch.context()``, which takes everything back when it is left."""
    return isinstance(value, Returned) and value.symbol == "pytest.MonkeyPatch.context"


def is_own_monkeypatch(value: Value) -> bool:
    """Whether a value is a ``MonkeyPatch()`` that no context manager and no test takes back."""
    return isinstance(value, Returned) and value.symbol == "pytest.MonkeyPatch"


_CALLS: dict[str, _Call] = {
    "operator.setitem": Writers._operator,
    "operator.delitem": Writers._operator,
    "dotenv.load_dotenv": Writers._load_dotenv,
    "dotenv.main.load_dotenv": Writers._load_dotenv,
    "dotenv.dotenv_values": Writers._dotenv_values,
    "dotenv.main.dotenv_values": Writers._dotenv_values,
    f"{SHELL}.run_line_magic": Writers._magic,
    f"{SHELL}.magic": Writers._magic,
    "unittest.mock.patch.dict": Writers._patch,
    "mock.patch.dict": Writers._patch,
    "unittest.mock.patch": Writers._patch_symbol,
    "unittest.mock.patch.object": Writers._patch_symbol,
    "mock.patch": Writers._patch_symbol,
    "mock.patch.object": Writers._patch_symbol,
}
