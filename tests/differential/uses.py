"""Forms of what uses a GPU: selectors, engines, and children in their ways to start.

As in :mod:`tests.differential.forms`; ``{i}`` is a logical index, ``{w}`` the value that a variable
should have, ``{c}`` a child's program, ``{lines}`` what a child does first.
"""

from __future__ import annotations

from tests.differential.forms import Form

SELECTORS: dict[str, Form] = {
    "text": ("", [], ['torch.zeros(1, device="cuda:{i}")']),
    "device": ("", [], ['torch.zeros(1, device=torch.device("cuda:{i}"))']),
    "device of two": ("", [], ['torch.zeros(1, device=torch.device("cuda", {i}))']),
    "to": ("", [], ['torch.zeros(1).to("cuda:{i}")']),
    "to a number": ("", [], ["torch.zeros(1).to({i})"]),
    "cuda": ("", [], ["torch.zeros(1).cuda({i})"]),
    "cuda by name": ("", [], ["torch.zeros(1).cuda(device={i})"]),
    "model": ("", [], ['torch.nn.Linear(1, 1).to("cuda:{i}")']),
    "set_device": ("", [], ["torch.cuda.set_device({i})", 'torch.zeros(1, device="cuda")']),
    "with": ("", [], ["with torch.cuda.device({i}):", '    torch.zeros(1, device="cuda")']),
    "constant": ("", ['DEVICE = "cuda:{i}"'], ["torch.zeros(1, device=DEVICE)"]),
    "number": ("", ["GPU = {i}"], ['torch.zeros(1, device=f"cuda:{{GPU}}")']),
    "hexadecimal": ("", [], ["torch.zeros(1).cuda(0x{i})"]),
    "triple": ("", [], ["torch.zeros(1, device='''cuda:{i}''')"]),
    "concatenated": ("", [], ['torch.zeros(1, device="cuda:" + str({i}))']),
    "format": ("", [], ['torch.zeros(1, device="cuda:{{}}".format({i}))']),
    "percent": ("", [], ['torch.zeros(1, device="cuda:%d" % {i})']),
    "conditional": ("", [], ['torch.zeros(1, device="cuda:{i}" if torch.cuda.is_available() else "cpu")']),
    "keywords": ("", ['OPTIONS = {{"device": "cuda:{i}"}}'], ["torch.zeros(1, **OPTIONS)"]),
    "look-up": ("", ['DEVICES = {{"big": "cuda:{i}"}}'], ['torch.zeros(1, device=DEVICES["big"])']),
    "list": ("", ['DEVICES = ["cuda:{i}"]'], ["torch.zeros(1, device=DEVICES[0])"]),
    "loop": ("", [], ["for index in [{i}]:", '    torch.zeros(1, device=f"cuda:{{index}}")']),
    "comprehension": ("", [], ['[torch.zeros(1, device=f"cuda:{{n}}") for n in [{i}]]']),
    "parameter": ("", ["def work(make, device):", "    return make(1, device=device)"],
                  ['work(torch.zeros, "cuda:{i}")']),
    "default": ("", ['def work(make, device="cuda:{i}"):', "    return make(1, device=device)"],
                ["work(torch.zeros)"]),
    "dataclass": ("dataclasses", ["@dataclasses.dataclass", "class Config:",
                                  '    device: str = "cuda:{i}"'],
                  ["torch.zeros(1, device=Config().device)"]),
    "field": ("dataclasses", ["@dataclasses.dataclass", "class Config:",
                              '    device: str = dataclasses.field(default="cuda:{i}")'],
              ["torch.zeros(1, device=Config().device)"]),
    "attribute": ("", ["class Model:", "    def __init__(self):", '        self.device = "cuda:{i}"',
                       "    def run(self, make):", "        return make(1, device=self.device)"],
                  ["Model().run(torch.zeros)"]),
    "class attribute": ("", ["class Model:", '    device = "cuda:{i}"'],
                        ["torch.zeros(1, device=Model.device)"]),
    "property": ("", ["class Model:", "    @property", "    def device(self):",
                      '        return "cuda:{i}"'], ["torch.zeros(1, device=Model().device)"]),
    "enum": ("enum", ["class Device(str, enum.Enum):", '    BIG = "cuda:{i}"'],
             ["torch.zeros(1, device=Device.BIG.value)"]),
    "function": ("", ["def chosen():", '    return "cuda:{i}"'], ["torch.zeros(1, device=chosen())"]),
    "partial": ("functools", [], ['functools.partial(torch.zeros, 1, device="cuda:{i}")()']),
    "argument": ("argparse", ["parser = argparse.ArgumentParser()",
                              'parser.add_argument("--device", default="cuda:{i}")'],
                 ["torch.zeros(1, device=parser.parse_args([]).device)"]),
    "number as argument": ("argparse", ["parser = argparse.ArgumentParser()",
                                        'parser.add_argument("--index", type=int, default={i})'],
                           ["torch.zeros(1).cuda(parser.parse_args([]).index)"]),
    "rank": ("", [], ['torch.cuda.set_device(int(os.environ.get("NO_RANK", {i})))']),
    "map": ("", [], ['torch.save(torch.zeros(1, device="cuda"), "model.pt")',
                     'torch.load("model.pt", map_location={{"cuda:0": "cuda:{i}"}})']),
    "map_location": ("", [], ['torch.save(torch.zeros(1, device="cuda"), "model.pt")',
                              'torch.load("model.pt", map_location="cuda:{i}")']),
    "length of the mask": ("", [], ['count = len(os.environ["CUDA_VISIBLE_DEVICES"].split(","))',
                                    'torch.zeros(1, device=f"cuda:{{count - 1}}")']),
    "count": ("", [], ["for number in range(torch.cuda.device_count()):",
                       '    torch.zeros(1, device=f"cuda:{{number}}")']),
    "bounded": ("", [], ["torch.zeros(1).cuda(min({i}, torch.cuda.device_count() - 1))"]),
    "last": ("", [], ["torch.zeros(1).cuda(torch.cuda.device_count() - 1)"]),
    "default device": ("", [], ['torch.set_default_device("cuda:{i}")', "torch.zeros(1)"]),
    "data parallel": ("", [], ["torch.nn.DataParallel(torch.nn.Linear(1, 1), device_ids=[{i}])"]),
}  # fmt: skip
MASK_AS_INDEX: dict[str, Form] = {
    "first of the mask": ("", [], ['number = int(os.environ["CUDA_VISIBLE_DEVICES"].split(",")[0])',
                                   "torch.cuda.set_device(number)",
                                   'torch.zeros(1, device="cuda")']),
    "the mask": ("", [], ['number = os.environ["CUDA_VISIBLE_DEVICES"]',
                          'torch.zeros(1, device=f"cuda:{{number}}")']),
    "list of the mask": ("", [], ['numbers = [int(n) for n in os.getenv("CUDA_VISIBLE_DEVICES").split(",")]',
                                  "torch.zeros(1).cuda(numbers[0])"]),
}  # fmt: skip
"""What takes a physical index for a logical one."""
ENGINES: dict[str, Form] = {
    "torch": ("torch", [], ['torch.zeros(1, device="cuda")']),
    "llama.cpp": ("llama_cpp", [], ['llama_cpp.Llama(model_path="m", n_gpu_layers=-1, main_gpu={i})']),
    "faster-whisper": ("faster_whisper", [],
                       ['faster_whisper.WhisperModel("m", device="cuda", device_index={i})']),
    "ctranslate2": ("ctranslate2", [], ['ctranslate2.Translator("m", device="cuda", device_index={i})']),
    "cupy": ("cupy", [], ["with cupy.cuda.Device({i}):", "    cupy.zeros(1)"]),
    "vllm": ("vllm", [], ['vllm.LLM(model="m")']),
}  # fmt: skip
STARTS: dict[str, Form] = {
    # with an environment that was made, as ``env``; ``None`` is one's own
    "run": ("subprocess", [], ['subprocess.run([sys.executable, "-c", "{c}"], env=env)']),
    "check": ("subprocess", [], ['subprocess.run([sys.executable, "-c", "{c}"], env=env, check=True)']),
    "Popen": ("subprocess", [], ['subprocess.Popen([sys.executable, "-c", "{c}"], env=env).wait()']),
    "with Popen": ("subprocess", [],
                   ['with subprocess.Popen([sys.executable, "-c", "{c}"], env=env) as child:',
                    "    child.wait()"]),
    "check_call": ("subprocess", [], ['subprocess.check_call([sys.executable, "-c", "{c}"], env=env)']),
    "check_output": ("subprocess", [],
                     ['subprocess.check_output([sys.executable, "-c", "{c}"], env=env)']),
    "call": ("subprocess", [], ['subprocess.call([sys.executable, "-c", "{c}"], env=env)']),
    "helper": ("subprocess", ["def launch(env):", "    command = [sys.executable, '-c', \"{c}\"]",
                              "    return subprocess.run(command, env=env)"], ["launch(env)"]),
    "options": ("subprocess", [], ['options = {{"env": env}}',
                                   'subprocess.run([sys.executable, "-c", "{c}"], **options)']),
    "asyncio": ("asyncio", ["async def launch(env):",
                            "    child = await asyncio.create_subprocess_exec(",
                            '        sys.executable, "-c", "{c}", env=env)', "    await child.wait()"],
                ["asyncio.run(launch(env))"]),
}  # fmt: skip
STARTS_WITH_ONE: dict[str, Form] = {
    # the environment must be given
    "spawnve": ("", [], ['os.spawnve(os.P_WAIT, sys.executable, ["python", "-c", "{c}"], env)']),
    "spawnle": ("", [], ['os.spawnle(os.P_WAIT, sys.executable, "python", "-c", "{c}", env)']),
    "execve": ("", [], ['os.execve(sys.executable, ["python", "-c", "{c}"], env)']),
    "execle": ("", [], ['os.execle(sys.executable, "python", "-c", "{c}", env)']),
    "posix_spawn": ("", [], ['pid = os.posix_spawn(sys.executable, ["python", "-c", "{c}"], env)',
                             "os.waitpid(pid, 0)"]),
}  # fmt: skip
COMMANDS = ("{p}", "{k}={v} {p}", "env {k}={v} {p}", "env -u {k} {p}", "env --unset={k} {p}",
            "env -i {p}", "env -i {k}={v} {p}", "unset {k}; {p}", "unset {k} && {p}",
            "export {k}={v}; {p}", "export {k}={v} && {p}", "timeout 100 env {k}={v} {p}",
            "cd . && {k}={v} {p}", "{k}={v}; {p}", "nice env -u {k} {p}", "(unset {k}; true); {p}",
            "true; {k}={v} true; {p}")  # fmt: skip
SHELLS: dict[str, Form] = {
    # {t} is a command's text
    "system": ("", [], ["os.system({t})"]),
    "popen": ("", [], ["os.popen({t}).read()"]),
    "run": ("subprocess", [], ["subprocess.run({t}, shell=True)"]),
    "Popen": ("subprocess", [], ["subprocess.Popen({t}, shell=True).wait()"]),
    "getoutput": ("subprocess", [], ["subprocess.getoutput({t})"]),
    "check_call": ("subprocess", [], ["subprocess.check_call({t}, shell=True)"]),
    "sh": ("subprocess", [], ['subprocess.run(["sh", "-c", {t}])']),
    "bash": ("subprocess", [], ['subprocess.run(["bash", "-c", {t}])']),
    "asyncio": ("asyncio", ["async def launch():",
                            "    child = await asyncio.create_subprocess_shell({t})",
                            "    await child.wait()"], ["asyncio.run(launch())"]),
    "constant": ("", ["COMMAND = {t}"], ["os.system(COMMAND)"]),
}  # fmt: skip
TAKING = frozenset({"words without", "text with a removal"})
"""Children without the variable that they name."""
OTHERS: dict[str, Form] = {
    # a child under the environment that the table's lines make
    "words": ("subprocess", [], ['subprocess.run(["env", "{k}={v}", sys.executable, "-c", "{c}"])']),
    "words without": ("subprocess", [], ['subprocess.run(["env", "-u", "{k}", sys.executable, "-c", "{c}"])']),
    "rounds": ("subprocess", [], ['for value in ("{w}", "{v}"):',
                                  '    subprocess.run([sys.executable, "-c", "{c}"],'
                                  ' env={{**os.environ, "{k}": value}})']),
    "rounds of one": ("subprocess", [], ['for value in ("{v}", "{w}"):',
                                         "    env = os.environ.copy()", '    env["{k}"] = value',
                                         '    subprocess.run([sys.executable, "-c", "{c}"], env=env)']),
    "helper": ("subprocess", ["def launch(value):",
                              '    subprocess.run([sys.executable, "-c", "{c}"],'
                              ' env={{**os.environ, "{k}": value}})'],
               ['launch("{w}")', 'launch("{v}")']),
    "class": ("subprocess", ["class Job:", "    def __init__(self, value):",
                             "        self.env = os.environ.copy()", '        self.env["{k}"] = value',
                             "    def run(self):",
                             '        subprocess.run([sys.executable, "-c", "{c}"], env=self.env)'],
              ['Job("{v}").run()']),
    "environment of a function": ("subprocess", ["def environment(value):",
                                                 "    env = dict(os.environ)",
                                                 '    env["{k}"] = str(value)', "    return env"],
                                  ['subprocess.run([sys.executable, "-c", "{c}"],'
                                   ' env=environment("{v}"))']),
    "text with a write": ("subprocess", [],
                          ['subprocess.run([sys.executable, "-c",'
                           ' "import os; os.environ[\'{k}\'] = \'{v}\'; {c}"])']),
    "text with a removal": ("subprocess", [],
                            ['subprocess.run([sys.executable, "-c",'
                             ' "import os; os.environ.pop(\'{k}\', None); {c}"])']),
    "f-string": ("", ["VALUE = '{v}'"], ['os.system(f"{k}={{VALUE}} python -c \\"{c}\\"")']),
    "percent": ("", [], ['os.system("{k}=%s python -c \\"{c}\\"" % "{v}")']),
    "environment of the machine": ("subprocess", [],
                                   ['gpu = os.environ.get("{app}", "{v}")',
                                    'subprocess.run([sys.executable, "-c", "{c}"],'
                                    ' env={{**os.environ, "{k}": gpu}})']),
}  # fmt: skip
WORKERS: dict[str, Form] = {
    # {lines} is what the worker does first; the guard keeps a spawned worker from starting others
    "preexec_fn": ("subprocess", ["def first():", "    {lines}"],
                   ['subprocess.run([sys.executable, "-c", "{c}"], preexec_fn=first)']),
    "spawned": ("multiprocessing", ["def work():", "    {lines}", "    import torch",
                                    '    torch.zeros(1, device="cuda")'],
                ['if __name__ == "__main__":',
                 '    child = multiprocessing.get_context("spawn").Process(target=work)',
                 "    child.start()", "    child.join()"]),
    "forked": ("multiprocessing", ["def work():", "    {lines}", "    import torch",
                                   '    torch.zeros(1, device="cuda")'],
               ['if __name__ == "__main__":',
                '    child = multiprocessing.get_context("fork").Process(target=work)',
                "    child.start()", "    child.join()"]),
    "pool": ("multiprocessing", ["def first():", "    {lines}", "def work(number):", "    import torch",
                                 '    torch.zeros(1, device="cuda")'],
             ['if __name__ == "__main__":',
              '    with multiprocessing.get_context("spawn").Pool(1, initializer=first) as pool:',
              "        pool.map(work, [1])"]),
    "executor": ("concurrent.futures multiprocessing",
                 ["def first():", "    {lines}", "def work(number):", "    import torch",
                  '    torch.zeros(1, device="cuda")'],
                 ['if __name__ == "__main__":', '    spawn = multiprocessing.get_context("spawn")',
                  "    with concurrent.futures.ProcessPoolExecutor(1, spawn, initializer=first) as pool:",
                  "        list(pool.map(work, [1]))"]),
}  # fmt: skip
