"""Composes small projects as their owners write them: what decides which GPU, and what uses it.

``run.py`` is started. Most projects run to their end on two GPUs; each kind of thing that makes a
fix hard stands in one method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.differential.programs import Chooser

MASK = "CUDA_VISIBLE_DEVICES"
_VALUES = ("0", "1", "1", "0,1", "1,0")
_SUPPRESSED = "  # gpu-lint: ignore[{}] on purpose"
_VALIDATORS = (
    ["def check_gpu():", '    assert "3090" in torch.cuda.get_device_name(0)'],
    ["def validate_gpu():", "    name = torch.cuda.get_device_name(0)",
     '    if "3090" not in name:', "        raise RuntimeError(name)"],
    ["def validate_gpu():", "    if not torch.cuda.is_available():",
     '        raise RuntimeError("no GPU")'],
    ["def show_gpus():", "    for i in range(torch.cuda.device_count()):",
     "        print(torch.cuda.get_device_name(i))"],
)  # fmt: skip


@dataclass
class Owned:
    """A project's files; ``argv`` is what follows the program's name when it is started."""

    files: dict[str, str]
    argv: str = ""

    @property
    def is_suppressed(self) -> bool:
        return any("gpu-lint: ignore" in text for text in self.files.values())


@dataclass
class _Parts:
    """The parts of one file, in their order."""

    early: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    """Calls of ``add_argument``."""
    frameworks: list[str] = field(default_factory=list)
    stdlib: set[str] = field(default_factory=lambda: {"os"})


class Owners:
    """Writes one project."""

    def __init__(self, chooser: Chooser) -> None:
        self._pick = chooser.pick
        self._names = 0
        self._probes = 0
        self._files: dict[str, str] = {}
        self._argv: list[str] = []
        self._is_narrow = False
        """Some mask shows one GPU; then an index of 1 fails more often than not."""
        self._removes = self._pick((True, True, True, False))
        """Variables may be removed; what ``putenv`` wrote would outlive that."""

    def project(self) -> Owned:
        main = _Parts()
        for framework in self._pick((["torch"], ["torch"], ["torch"], *_SEVERAL)):
            self._import(main, framework)
        for _ in range(self._pick((0, 0, 1, 1, 2))):
            self._helper(main)
        for _ in range(self._pick((0, 1, 1, 2))):
            main.early += self._setting(main)
        for _ in range(self._pick((0, 0, 0, 1, 1, 2))):
            main.late += self._late(main)
        makers = self._uses(main)
        for _ in range(self._pick((1, 1, 2, 3, 4))):
            main.body += self._pick(makers)(main)
        self._files["run.py"] = self._text(main)
        return Owned(self._files, " ".join(self._argv))

    def _text(self, parts: _Parts) -> str:
        head = self._pick(([], [], ['"""Does the work."""'], ["# Copyright: the owner"]))
        early = list(parts.early)
        body = list(parts.body)
        if parts.options:
            parts.stdlib.add("argparse")
            parse = ["parser = argparse.ArgumentParser()", *parts.options]
            parse.append("args = parser.parse_args()")
            above = any("args." in line for line in (*early, *parts.late, *parts.definitions))
            if above:
                early = [*parse, *early]
            else:
                body = [*parse, *body]
        lines = [*head, *(f"import {name}" for name in sorted(parts.stdlib)), *early, ""]
        lines += [*parts.imports, *parts.late, "", *parts.definitions]
        form = self._pick(("guard", "guard", "main", "main", "module"))
        if form == "module" and not any("multiprocessing" in line for line in parts.stdlib):
            lines += body
        elif form == "main":
            lines += ["def main():", *_indented(body), ""]
            lines += ['if __name__ == "__main__":', "    main()"]
        else:
            lines += ['if __name__ == "__main__":', *_indented(body)]
        return "\n".join(lines) + "\n"

    # --- the other files -----------------------------------------------------------------

    def _import(self, parts: _Parts, framework: str) -> None:
        if framework not in parts.frameworks:
            parts.frameworks.append(framework)
            parts.imports.append(_IMPORTS[framework])

    def _helper(self, main: _Parts) -> None:
        """A module of the project that loads, holds constants, or sets the mask."""
        name = self._name("part")
        form = self._pick(
            (
                "loads",
                "loads",
                "default",
                "constant",
                "sets",
                "setter",
                "freezes",
                "number",
                "number",
            )
        )
        lines = ["import os", ""]
        if form == "sets":
            lines = ["import os", *self._plain_setting()]
            use = f"import {name}"
            where = self._pick((main.early, main.imports))
            where.append(use)
        elif form == "setter":
            function = self._name("choose")
            write = f'    os.environ["{MASK}"] = gpu'
            lines += [f'def {function}(gpu="{self._pick(_VALUES)}"):', write]
            if self._chance(2):
                lines.append('    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"')
            where = self._pick((main.early, main.late, main.body))
            argument = self._pick(("", f'"{self._pick(_VALUES)}"'))
            where += [f"from {name} import {function}", f"{function}({argument})"]
        elif form == "number":
            lines = self._taking_a_number(main, name)
        elif form == "constant":
            constant = self._name("DEVICE")
            lines = [f'{constant} = "cuda:{self._index()}"']
            main.imports.append(f"from {name} import {constant}")
            self._import(main, "torch")
            main.body += self._tried(f"torch.zeros(1).to({constant})")
        else:
            function = self._name("load")
            device = f'="cuda:{self._index()}"' if form == "default" else ""
            argument = self._pick(("", self._text_of_device())) if device else None
            argument = self._text_of_device() if argument is None else argument
            lines += ["import torch", ""]
            lines += ["HAS_GPU = torch.cuda.is_available()"] if form == "freezes" else []
            lines += [f"def {function}(device{device}):", "    return torch.zeros(1).to(device)"]
            main.imports.append(f"from {name} import {function}")
            main.body += self._tried(f"{function}({argument})")
        self._files[f"{name}.py"] = "\n".join(lines) + "\n"

    def _taking_a_number(self, main: _Parts, module: str) -> list[str]:
        """A module that takes a bare number for a device, which another file gives it."""
        function, index, n = (
            self._name("load"),
            self._index(),
            self._pick(("n", "gpu_id", "device")),
        )
        kept = self._chance(3)
        value = f"self.{n}" if kept else n
        use = self._pick(
            (f"torch.zeros(1).to({value})", f"torch.zeros(1).cuda({value})",
             f"torch.cuda.set_device({value})", f'torch.zeros(1).to(f"cuda:{{{value}}}")',
             f'torch.zeros(1, device=torch.device("cuda", {value}))')
        )  # fmt: skip
        default = f"={index}" if self._chance(4) else ""
        taking = ["import torch", "", f"def {function}({n}{default}):", f"    {use}"]
        if kept:
            taking = ["import torch", "", f"class {function.title()}:"]
            taking += [f"    def __init__(self, {n}{default}):", f"        self.{n} = {n}"]
            taking += ["    def work(self):", f"        {use}"]
            function = function.title()
        given = self._pick((str(index), str(index), f"{n}={index}", "" if default else str(index)))
        if given == str(index) and self._chance(4):
            constants, constant = self._name("settings"), self._name("GPU")
            self._files[f"{constants}.py"] = f"{constant} = {index}\n"
            main.imports.append(f"from {constants} import {constant}")
            given = constant
        if given and "=" not in given and self._chance(3):
            between, passing = self._name("between"), self._name("go")
            called = f"{function}(which){'.work()' if function[0].isupper() else ''}"
            self._files[f"{between}.py"] = (
                f"from {module} import {function}\n\ndef {passing}(which):\n    return {called}\n"
            )
            module, function = between, passing
        main.imports.append(f"from {module} import {function}")
        called = f"{function}({given})"
        main.body += self._tried(f"{called}.work()" if function[0].isupper() else called)
        return taking

    # --- what is visible -----------------------------------------------------------------

    def _setting(self, parts: _Parts) -> list[str]:
        """Something that may decide what is visible."""
        return self._pick(
            (self._plain_setting, self._plain_setting, self._weak_setting, self._misspelt,
             lambda: self._by_option(parts), lambda: self._by_environment(),
             lambda: self._for_the_cpu(parts), self._removal, self._in_a_function, self._order)
        )()  # fmt: skip

    def _late(self, parts: _Parts) -> list[str]:
        """Something between the imports and the definitions."""
        freeze = ["torch.cuda.is_available()", "print(torch.cuda.device_count())",
                  "torch.cuda.init()", "torch.manual_seed(0)"]  # fmt: skip
        if "torch" in parts.frameworks and self._chance(3):
            return [self._pick(freeze)]
        return self._setting(parts)

    def _plain_setting(self) -> list[str]:
        value = self._value()
        write = self._pick(
            (f'os.environ["{MASK}"] = "{value}"', f'os.environ["{MASK}"] = "{value}"',
             f'os.environ["{MASK}"] = str({value.partition(",")[0]})',
             f'os.environ.update({{"{MASK}": "{value}"}})',
             f'os.environ |= {{"{MASK}": "{value}"}}')
        )  # fmt: skip
        suppressed = _SUPPRESSED.format(self._pick(("GPU102", "GPU1"))) if self._chance(8) else ""
        return [*(self._order() if self._chance(2) else ()), write + suppressed]

    def _order(self) -> list[str]:
        value = self._pick(("PCI_BUS_ID", "PCI_BUS_ID", "FASTEST_FIRST"))
        return [f'os.environ["CUDA_DEVICE_ORDER"] = "{value}"']

    def _weak_setting(self) -> list[str]:
        value = self._value()
        written = f'os.environ["{MASK}"] = "{value}"'
        return self._pick(
            ([f'os.environ.setdefault("{MASK}", "{value}")'],
             [f'if "{MASK}" not in os.environ:', "    " + written],
             [f'if not os.environ.get("{MASK}"):', "    " + written],
             [f'os.environ["{MASK}"] = os.environ.get("{MASK}", "{value}")'],
             [f'os.putenv("{MASK}", "{value}")' if not self._removes else written])
        )  # fmt: skip

    def _misspelt(self) -> list[str]:
        name = self._pick(("CUDA_VISIBLE_DEVICE", "CUDA_VISIBLE_DEVICES ", "cuda_visible_devices"))
        return [f'os.environ["{name}"] = "{self._pick(_VALUES)}"']

    def _by_option(self, parts: _Parts) -> list[str]:
        option = self._name("gpu")
        self._is_narrow = True
        default = self._pick(("0", "1", "1"))
        parts.options.append(f'parser.add_argument("--{option}", default="{default}")')
        write = f'os.environ["{MASK}"] = args.{option}'
        return self._pick(([write], [f"if args.{option}:", "    " + write]))

    def _by_environment(self) -> list[str]:
        self._is_narrow = True
        name, default = self._name("MY_GPU"), self._pick(("0", "1"))
        value = self._pick((f'os.environ.get("{name}", "{default}")', f'os.getenv("{name}", "1")'))
        return [f'os.environ["{MASK}"] = {value}']

    def _for_the_cpu(self, parts: _Parts) -> list[str]:
        """The GPUs are hidden where an option says so."""
        option, hidden = self._name("cpu"), self._pick(('""', '"-1"'))
        write = f'    os.environ["{MASK}"] = {hidden}'
        if self._chance(2):
            parts.options.append(f'parser.add_argument("--{option}", action="store_true")')
            if self._chance(2):
                self._argv.append(f"--{option}")
            return [f"if args.{option}:", write]
        parts.options.append(f'parser.add_argument("--{option}", default="cuda")')
        if self._chance(2):
            self._argv += [f"--{option}", "cpu"]
        return [f'if args.{option} == "cpu":', write]

    def _removal(self) -> list[str]:
        if not self._removes:
            return self._plain_setting()
        suppressed = _SUPPRESSED.format("GPU118") if self._chance(6) else ""
        return self._pick(
            ([f'if "{MASK}" in os.environ:', f'    del os.environ["{MASK}"]{suppressed}'],
             [f'os.environ.pop("{MASK}", None){suppressed}'],
             [f'for name in ("{MASK}", "CUDA_DEVICE_ORDER"):',
              f"    os.environ.pop(name, None){suppressed}"])
        )  # fmt: skip

    def _in_a_function(self) -> list[str]:
        name = self._name("setup")
        lines = [f"def {name}():", *_indented(self._plain_setting())]
        return [*lines, f"{name}()"] if self._chance(4) is False else lines

    # --- what uses it ----------------------------------------------------------------------

    def _uses(self, parts: _Parts) -> list[Callable[[_Parts], list[str]]]:
        found: list[Callable[[_Parts], list[str]]] = [self._setting_in_body, self._child]
        if "torch" in parts.frameworks:
            found += [self._direct] * 3
            found += [self._by_constant, self._by_index_option, self._dictionary, self._device_ids]
            found += [self._loop, self._count, self._validator, self._workers, self._hidden]
        found += [self._engine] * len([f for f in parts.frameworks if f in _ENGINES]) * 3
        return found

    def _setting_in_body(self, parts: _Parts) -> list[str]:
        return self._pick((self._setting, self._late))(parts)

    def _direct(self, parts: _Parts) -> list[str]:
        i = self._index()
        call = self._pick(
            (f'torch.zeros(1).to("cuda:{i}")', f"torch.zeros(1).cuda({i})",
             f'torch.zeros(1, device="cuda:{i}")', f"torch.cuda.set_device({i})",
             f'torch.zeros(1, device=torch.device("cuda", {i}))', f"torch.cuda.mem_get_info({i})",
             f'torch.load("x.pt", map_location="cuda:{i}")', "torch.zeros(1).cuda()",
             f"torch.cuda.get_device_properties({i})", f"torch.cuda.synchronize(device={i})")
        )  # fmt: skip
        return self._tried(call)

    def _by_constant(self, parts: _Parts) -> list[str]:
        name, i = self._name("GPU"), self._index()
        form = self._pick(("number", "text", "class", "parameter", "method", "conditional"))
        if form == "number":
            parts.definitions.append(f"{name} = {i}")
            return self._tried(f'torch.zeros(1).to(f"cuda:{{{name}}}")')
        if form == "text":
            parts.definitions.append(f'{name} = "cuda:{i}"')
            return self._tried(f"torch.zeros(1).to({name})")
        if form == "class":
            parts.definitions += [f"class {name}:", f'    device = "cuda:{i}"', f"    index = {i}"]
            use = self._pick((f".to({name}.device)", f".cuda({name}.index)"))
            return self._tried(f"torch.zeros(1){use}")
        if form == "conditional":
            choice = f'"cuda:{i}" if torch.cuda.is_available() else "cpu"'
            return [f"{name} = {choice}", *self._tried(f"torch.zeros(1).to({name})")]
        function, device = self._name("load"), self._text_of_device()
        if form == "parameter":
            parts.definitions += [f'def {function}(device="cuda:{i}"):']
            parts.definitions += ["    return torch.zeros(1).to(device)"]
            return self._tried(f"{function}({self._pick(('', device))})")
        parts.definitions += [f"class {name}:", f"    def __init__(self, device={device}):"]
        parts.definitions += ["        self.device = device", "    def load(self):"]
        parts.definitions += ["        return torch.zeros(1).to(self.device)"]
        return self._tried(f"{name}().load()")

    def _by_index_option(self, parts: _Parts) -> list[str]:
        i = self._index()
        if self._chance(3):
            name = self._pick((self._name("MY_RANK"), "LOCAL_RANK"))
            return self._tried(f'torch.cuda.set_device(int(os.environ.get("{name}", "{i}")))')
        option = self._name("card")
        if self._chance(2):
            parts.options.append(f'parser.add_argument("--{option}", default="cuda:{i}")')
            use = f"torch.zeros(1).to(args.{option})"
        else:
            parts.options.append(f'parser.add_argument("--{option}", type=int, default={i})')
            use = f'torch.zeros(1).to(f"cuda:{{args.{option}}}")'
        return self._tried(use)

    def _dictionary(self, parts: _Parts) -> list[str]:
        name = self._name("DEVICES")
        parts.definitions.append(
            f'{name} = {{"stt": "cuda:{self._index()}", "llm": "cuda:{self._index()}"}}'
        )
        item = self._name("device")
        return self._pick(
            (self._tried(f'torch.zeros(1).to({name}["llm"])'),
             [f"for {item} in {name}.values():",
              *_indented(self._tried(f"torch.zeros(1).to({item})"))])
        )  # fmt: skip

    def _device_ids(self, parts: _Parts) -> list[str]:
        ids = self._pick(("[0]", "[1]", "[0, 1]", "None"))
        return self._tried(f"torch.nn.DataParallel(torch.nn.Linear(2, 2), device_ids={ids})")

    def _loop(self, parts: _Parts) -> list[str]:
        i, count = self._name("i"), self._pick(("torch.cuda.device_count()", "2", "1"))
        call = self._pick(
            (f'torch.zeros(1).to(f"cuda:{{{i}}}")', f"print(torch.cuda.get_device_name({i}))")
        )
        return [f"for {i} in range({count}):", *_indented(self._tried(call))]

    def _count(self, parts: _Parts) -> list[str]:
        """What is done depends on how many devices there are."""
        return self._pick(
            (["if torch.cuda.device_count() > 1:", *_indented(self._direct(parts))],
             ["if torch.cuda.device_count() < 2:", '    print("one GPU")'],
             ["if torch.cuda.device_count() < 2:", '    raise SystemExit("two GPUs are needed")'],
             ["assert torch.cuda.device_count() == 2"])
        )  # fmt: skip

    def _validator(self, parts: _Parts) -> list[str]:
        lines = list(self._pick(_VALIDATORS))
        name = self._name(lines[0][4:].partition("(")[0] + "_")
        parts.definitions += [f"def {name}():", *lines[1:]]
        return [f"{name}()"]

    def _hidden(self, parts: _Parts) -> list[str]:
        """The GPUs are hidden, and that is what the program counts on."""
        value = self._pick(('""', '"-1"'))
        parts.early.append(f'os.environ["{MASK}"] = {value}')
        return ["assert not torch.cuda.is_available()"]

    def _engine(self, parts: _Parts) -> list[str]:
        i = self._index()
        calls = [call for name, call in _ENGINES.items() if name in parts.frameworks]
        lines = self._tried(self._pick(calls).format(i))
        if self._chance(3):  # two engines, each under a mask of its own
            lines = [f'os.environ["{MASK}"] = "{self._pick("01")}"', *lines]
            lines += [f'os.environ["{MASK}"] = "{self._pick("01")}"', *self._engine(parts)]
        return lines

    # --- children --------------------------------------------------------------------------

    def _child(self, parts: _Parts) -> list[str]:
        form = self._pick(("process", "process", "pool", "executor", "program", "program"))
        if form == "program":
            return self._program(parts)
        parts.stdlib.add("multiprocessing as mp")
        name = self._name("work")
        self._import(parts, "torch")
        device = self._pick((self._text_of_device(), "n", '"cpu"', '"cuda"'))
        parts.definitions += [f"def {name}(n):", f"    return torch.zeros(1).to({device})"]
        parts.definitions[-1] = parts.definitions[-1].replace("to(n)", 'to(f"cuda:{n}")')
        context = self._pick(("mp", "mp", 'mp.get_context("spawn")', 'mp.get_context("fork")'))
        number = self._pick(("0", "0", "1"))
        mask = [f'os.environ["{MASK}"] = "{self._pick("01")}"'] if self._chance(4) else []
        if form == "process":
            child = self._name("child")
            lines = [f"{child} = {context}.Process(target={name}, args=({number},))"]
            return [*mask, *lines, f"{child}.start()", f"{child}.join()"]
        if form == "pool":
            numbers = self._pick(("[0]", "[0, 1]", "range(2)"))
            return [*mask, f"with {context}.Pool(2) as pool:", f"    pool.map({name}, {numbers})"]
        parts.stdlib.add("concurrent.futures")
        lines = ["with concurrent.futures.ProcessPoolExecutor(2) as pool:"]
        return [*mask, *lines, f"    pool.submit({name}, {number}).result()"]

    def _program(self, parts: _Parts) -> list[str]:
        """Another program of the project, started under an environment."""
        parts.stdlib |= {"subprocess", "sys"}
        name = self._name("child")
        inner = _Parts()
        self._import(inner, "torch")
        if self._chance(3):
            inner.early += self._plain_setting()
        body = self._direct(inner)
        guarded = ['if __name__ == "__main__":', *_indented(body)] if self._chance(2) else body
        lines = ["import os", *inner.early, "import torch", "", *guarded]
        self._files[f"{name}.py"] = "\n".join(lines) + "\n"
        value = self._pick(('"0"', '"1"', '"1"', '""', "None"))
        env = f"dict(os.environ, {MASK}={value})" if value != "None" else "None"
        if value != "None" and self._chance(2):
            copied = self._name("env")
            made = [f"{copied} = os.environ.copy()", f'{copied}["{MASK}"] = {value}']
            return [*made, f'subprocess.run([sys.executable, "{name}.py"], env={copied})']
        return [f'subprocess.run([sys.executable, "{name}.py"], env={env})']

    def _workers(self, parts: _Parts) -> list[str]:
        """A loader whose workers are forked, and may use the GPU."""
        name = self._name("Items")
        if "from torch.utils.data import DataLoader, Dataset" not in parts.imports:
            parts.imports.append("from torch.utils.data import DataLoader, Dataset")
        value = self._pick(("n", "torch.zeros(1)", "torch.zeros(1).cuda()"))
        parts.definitions += [
            f"class {name}(Dataset):",
            "    def __len__(self):",
            "        return 2",
        ]
        parts.definitions += ["    def __getitem__(self, n):", f"        return {value}"]
        workers, batch = self._pick(("0", "2", "2")), self._name("batch")
        return [f"for {batch} in DataLoader({name}(), num_workers={workers}):", "    pass"]

    # --- small things ----------------------------------------------------------------------

    def _tried(self, call: str) -> list[str]:
        """A use, whose failure may be caught, and which may be suppressed."""
        if self._chance(10):
            call += _SUPPRESSED.format(self._pick(("GPU201", "GPU2")))
        if not self._chance(3):
            return [call]
        self._probes += 1
        number = self._probes
        lines = ["try:", f"    {call}", f'    print("WORKED", {number})']
        return [*lines, "except Exception:", f'    print("FAILED", {number})']

    def _value(self) -> str:
        value = self._pick(_VALUES)
        self._is_narrow |= len(value) == 1
        return value

    def _index(self) -> str:
        return self._pick("0000000001" if self._is_narrow else "00111")

    def _text_of_device(self) -> str:
        return self._pick((f'"cuda:{self._index()}"', f'"cuda:{self._index()}"', '"cuda"'))

    def _chance(self, of: int) -> bool:
        return self._pick(range(of)) == 0

    def _name(self, stem: str) -> str:
        self._names += 1
        return f"{stem}{self._names}"


_SEVERAL = (["llama_cpp"], ["torch", "faster_whisper"], ["faster_whisper"], ["torch", "transformers"],
            ["torch", "llama_cpp"], ["onnxruntime"])  # fmt: skip
_IMPORTS = {
    "torch": "import torch",
    "llama_cpp": "from llama_cpp import Llama",
    "faster_whisper": "from faster_whisper import WhisperModel",
    "transformers": "from transformers import pipeline",
    "onnxruntime": "import onnxruntime as ort",
}
_ENGINES = {
    "llama_cpp": 'Llama("x.gguf", n_gpu_layers=-1, main_gpu={})',
    "faster_whisper": 'WhisperModel("small", device="cuda", device_index={})',
    "transformers": 'pipeline("text-generation", device={})',
    "onnxruntime": 'ort.InferenceSession("x.onnx", providers=["CUDAExecutionProvider"], '
    'provider_options=[{{"device_id": {}}}])',
}


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else line for line in lines]
