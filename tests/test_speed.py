"""What makes it fast must change nothing: two parsers, needles, skimming, the cache, start-up."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
import time
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_lint import judging, survey
from gpu_lint.cache import Cache
from gpu_lint.cli import main
from gpu_lint.discovery import discover
from gpu_lint.engine import Engine
from gpu_lint.errors import SourceError, SyntaxFault
from gpu_lint.facts import native, program, reading
from gpu_lint.facts.comments import comments_of
from gpu_lint.facts.interpreter import Interpreter
from gpu_lint.facts.limits import USUAL, Limits
from gpu_lint.facts.mentions import Mentions
from gpu_lint.facts.needles import needles_for
from gpu_lint.facts.outline import NoOutline, outlined
from gpu_lint.facts.prose import with_blank_prose
from gpu_lint.facts.reach import Reachability
from gpu_lint.facts.reading import Reading, read_file, read_heads
from gpu_lint.facts.skim import skim
from gpu_lint.facts.touch import Touch
from gpu_lint.facts.words import Vocabulary, Words
from gpu_lint.findings import Finding, Judged, Misfit, MisfitKind
from gpu_lint.headers import SettledHeaders
from gpu_lint.judging import View
from gpu_lint.notes import Note
from gpu_lint.reads import Read
from gpu_lint.records import record
from gpu_lint.reports import shown_path
from gpu_lint.rulebook import Rule, load_rulebook, rules_directory
from gpu_lint.rulebundle import from_toml, read_rule_files, write_json
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import Source, Span, decode_source
from tests.agreement import disagreement
from tests.conftest import ROOT, engine_for

KNOWLEDGE = load_rulebook().knowledge
STDLIB = Path(sysconfig.get_paths()["stdlib"])


def agree(source: Source) -> None:
    assert disagreement(source, KNOWLEDGE) == ""


SNIPPETS = [
    "x = f'{a!r:>{width}} {{b}} {c=}' 'd' rf\"{e}\\d\"\n",
    "x = f\"{', '.join(f'{n}' for n in names)}: {table['id']:<{w['id']}}\"\n",
    "x = f'{a, b} { c , d }'\n",
    "x = (a and (b) # :)\n  and c)\ny = not ((a or b) or c)\n",
    "print(x for x in y); z = (x for x in (y))\n",
    "x[1,], x[a:b, ...], x[(1, 2)], x[*a]\n" if sys.version_info >= (3, 11) else "x[1,]\n",
    "@a\n@(b)\nclass C(B, *bases, k=1, **kw):\n    def f(self, /, a, *b, c=1, **d): yield\n",
    "if x: a; b;\nelif y: c;\nelse: d;\n",
    "match x:\n    case {'a': b, **c}: pass\n    case [d, *e] | f(g=h): pass\n    case _: pass\n",
    "try:\n    import a\nexcept (ImportError, os.error) as e: pass\nexcept b().c: pass\n",
    "with a as b, (c): pass\nasync def f():\n    async with d: await e\n    async for g in h: pass\n",
    "del (a, b), c\nglobal_ = lambda x=1, *y: (yield)\nx: int\ny: int = b'a' b'b'\n",
    "s = 'é' + \"\\\n\" + '''a\n# no comment\n''' # a comment é\r\nt = 1 # another\r\n",
    "if TYPE_CHECKING:\n    import torch\nelse:\n    from . import (a, # one\n        b as c)\nimport x.y as z; import w\n",
    "x = '''\nimport torch\n'''\ndef f():\n    from ..a.b import *\n    import_module('q.r')\n",
    '# \'\'\'\nimport a\n"""it\'s\nimport b\n""" ; import c\n',
    "\ufeffimport os\nx = 1 if a else -2.5e3\n",
    "import a; import b\nif x: from c import d\nclass E: import f\ng = 1 ; from h import (i,\n  j)\n",
    "def f(): import a\ntry: import b\nexcept ImportError: from c import d\n",
    "# x: import a\nx = 'y: from a import b'; z = import_\nfrom importlib import reload\n",
    "from a \\\n  import b\n",
    "    # indented\nimport a, \\\n  b\nfrom . \\\nimport c\n",
]


@pytest.mark.parametrize("text", SNIPPETS)
def test_both_parsers_make_the_same_program(text: str) -> None:
    agree(decode_source(Path("x.py"), text.encode()))


FUNCTIONS = [
    "def f(a, *, b=1):\n    {}\n    return a\n",
    "x = 1\n@d(\n  1)\nasync def f():\n    {}\n    async with x as y: await y\n",
    "class C:\n\tdef f(self):\n\t\t{}\n\t\tyield self\n\tx = 2; y = 3\n",
    "if x:\n  def f():\n    {}\n    def g():\n        {}\n        return f\n    return g\n",
    "def f(): {}; return 1; \n",
    'class C:\n    def f(self):\n        {}\n        return """\nlow\n""" + \'\\\n\'\n    z = 1\n',
    "try:\n    def f():\n        {}\n        nonlocal_ = lambda: f'{{x!r}}'\n        return [\n1]\nfinally: pass\n",
]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("text", FUNCTIONS)
@pytest.mark.parametrize("start", ["", "\ufeff", "# é\n\n"])
def test_a_function_is_read_again_as_it_was(text: str, newline: str, start: str) -> None:
    """A longer one is parsed by itself when it is looked into."""
    filling = "; ".join(f"print('é{number}', n{number})" for number in range(20))
    whole = start + text.replace("{}", filling).replace("{{", "{").replace("}}", "}")
    agree(decode_source(Path("x.py"), whole.replace("\n", newline).encode()))


def test_both_parsers_agree_on_real_files() -> None:
    ours = sorted((ROOT / "gpu_lint").rglob("*.py"))
    project = sorted((ROOT / "fixtures" / "superwhisper" / "before").rglob("*.py"))
    library = sorted(STDLIB.glob("*.py"))[::12]
    for path in [*ours[::4], *project[::4], *library]:
        try:
            agree(decode_source(path, path.read_bytes()))
        except (SourceError, SyntaxFault):
            continue


PIECES = st.sampled_from(
    ["a", "b.c", "1", "'s'", "f'{a}'", 'f"{a!r}{b[0]:>{c}}"', "(a, b)", "[a]", "{a: b}", "a[b:c]",
     "(a)", "x and y", "not a", "a < b", "f(a, *b, c=d)", "(i for i in a)", "lambda: a", "-1"]
)  # fmt: skip
JOINS = st.sampled_from([" + ", " and ", " or ", ", ", " if a else ", " == ", "\\\n + "])


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=5), joins=st.lists(JOINS, min_size=5))
def test_both_parsers_agree_on_composed_expressions(pieces: list[str], joins: list[str]) -> None:
    text = pieces[0] + "".join(j + piece for j, piece in zip(joins, pieces[1:], strict=False))
    agree(decode_source(Path("x.py"), f"x = ({text})  # c\nif a: f({text});\n".encode()))


def test_the_fixture_has_the_same_findings_by_either_parser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = sorted((ROOT / "fixtures" / "superwhisper" / "before").rglob("*.py"))
    finder = SettingsFinder(load_rulebook())
    quick = Engine(finder).check(before).files

    def by_libcst(source: Source, knowledge: Any, limits: Limits) -> Reading:
        return read_file(source, knowledge, limits, reference=True)

    monkeypatch.setattr("gpu_lint.reads.read_file", by_libcst)
    slow = Engine(finder).check(before).files
    assert [(f.path, f.findings) for f in quick] == [(f.path, f.findings) for f in slow]


# --- needles ---------------------------------------------------------------------------------


def examples() -> list[Any]:
    return [
        pytest.param(rule, example, id=f"{rule.code} {example.title}")
        for rule in load_rulebook().rules.values()
        for example in rule.examples
    ]


@pytest.mark.parametrize(("rule", "example"), examples())
def test_no_rule_fires_on_a_file_that_its_needles_reject(rule: Rule, example: Any) -> None:
    result = engine_for(example.policy).check_source(
        decode_source(Path("run.py"), example.bad.encode())
    )
    needles = needles_for(KNOWLEDGE)
    touch = needles.touch(result.source.data)
    for finding in result.findings:
        wanted = load_rulebook().rules[finding.code].needles
        if not wanted & {"policy", "read"}:
            assert touch & Touch.named(wanted), finding


@pytest.mark.parametrize(
    ("text", "touch"),
    [
        ("os.environ['CUDA_VISIBLE_DEVICES'] = '1'", Touch.SETTINGS),
        ("os.environ['CUDA_VISBLE_DEVICES'] = '1'", Touch.SETTINGS),
        ("env['cuda-visible-devices']; os.environ", Touch.SETTINGS),
        ("os.environ[name] = '1'", Touch.ENVIRONMENT),
        ("x.cuda(1)", Touch.DEVICES),
        ("x.to(INDEX)", Touch.DEVICES),
        ("n = 1\nx.to(n)", Touch.DEVICES),
        ("self.gpu = 1\nx.to(self.gpu)", Touch.DEVICES),
        ("torch.device('cuda', index)", Touch.DEVICES),
        ('f"cuda:{n}"', Touch.DEVICES),
        ("run(device_ids=[0, 1])", Touch.DEVICES),
        ("if torch.cuda.device_count() > 1: pass", Touch.DEVICES),
        ("import gpustat\ngpustat.new_query(id=1)", Touch.DEVICES),
        ("from ours import new_query\nnew_query(id=1)", Touch.FOREIGN),
        ("from ours import WhisperModel\nWhisperModel(p, d, [1])", Touch.FOREIGN),
        ("def f(x, device):\n    x.cuda(device)\n", Touch.HANDED),
        ("def f(d):\n    x.to(d)\n", Touch.PASSED),
        ("def f(d):\n    x.to(\n        d.where,\n    )\n", Touch.PASSED),
        ("x.to(settings['gpu'])", Touch.PASSED),
        ("x.to(*args)\n", Touch.PASSED),
        ("torch.zeros(1, **options)\n", Touch.PASSED),
        ("x.cuda(y.device)\n", Touch.PASSED),
        ("torch.load(path, where)\n", Touch.PASSED),
        ("make(target_device=where)\n", Touch.PASSED),
        ("def f(device: str = WHERE): pass\n", Touch.PASSED),
        ("make({'device': where})\n", Touch.PASSED),
        ("def f(x, device):\n    x.cuda(device)\nf(y, 1)\n", Touch.DEVICES),
        ("class C:\n  def __init__(s, device):\n    x.cuda(device)\nC(2)\n", Touch.DEVICES),
        ("def f(x, device):\n    x.cuda(device)\nmap(f, [1])\n", Touch.DEVICES),
        ("from ours import (a,\n  device)\nx.cuda(device)\n", Touch.DEVICES),
        ("device = 1\nx.cuda(device)\n", Touch.DEVICES),
        ("nn.DataParallel(m(a, (b)), ids)", Touch.DEVICES),
        ("nn.DataParallel(m, device_ids=self.args.device_ids)", Touch.DEVICES),
        ("nn.DataParallel(m, device_ids=device_ids)", Touch.DEVICES),
        ("x.cuda(\n    *[1,\n    ], device=ids)", Touch.DEVICES),
        ("def f():\n    torch.zeros(1).cuda()\n\nf()\n", Touch.FREEZES),
        ("def f(x=\n      torch.cuda.Stream()\n): pass\n", Touch.FREEZES),
        ("class C:\n    def f(s):\n        x.cuda()\n\nC().f()\n", Touch.FREEZES),
        ("x = [\n1]; y = 2\nx.cuda()\r", Touch.FREEZES),
        ('x = {"a": """export CUDA_VISIBLE_DEVICES=0\n"""}', Touch.SETTINGS),
        ('x = {\n  A:\n  """\nexport CUDA_VISIBLE_DEVICES=0\n"""}', Touch.SETTINGS),
        ('run({"env": """CUDA_VISIBLE_DEVICES=1"""})', Touch.SETTINGS),
        ('if run({"env": """CUDA_VISIBLE_DEVICES=1"""}): x\n', Touch.SETTINGS),
        ("def f(x='cuda'):\n    g(x)\n\nf()\n", Touch.FREEZES),
        ("def f(x=g(\n  'cuda')): pass\n", Touch.FREEZES),
        ("class C(B, on='cuda'): pass\n", Touch.FREEZES),
        ("x = f(\n  'cuda',\n)\n", Touch.FREEZES),
        ("x = '#'; y.cuda()\n", Touch.FREEZES),
        ("load(path, device_map={'': 1})", Touch.FOREIGN),
        ("load(path, device_map={'': torch.device('cuda:1')})", Touch.DEVICES),
        ("load(path, device_map={'': 'cpu', 'a': 1})", Touch.FOREIGN),
        ("import subprocess as s\ns.run(c, env=e)\n", Touch.CHILDREN),
        ("from concurrent.futures import ProcessPoolExecutor\nenv=1\n", Touch.CHILDREN),
        ("import multiprocessing.context as c\nc.SpawnProcess(target=f)\n", Touch.CHILDREN),
        ("import os\nos.execve(c, a, env=e)\n", Touch.CHILDREN),
        ("use_cuda: bool = None\n", Touch.NEAR),
        ("def f(device='cuda'): pass\n", Touch.NEAR),
        ("import subprocess\n", Touch.NEAR),
        ("os.fork()", Touch.FORKS),
        ("import multiprocessing as mp\nmp.Process(target=f)", Touch.FORKS),
        ("from multiprocessing import Process", Touch.FORKS),
        ("x = 1  # noqa: GPU201", Touch.COMMENTS),
        ("x = 1  # gpu-lint: ignore", Touch.COMMENTS),
    ],
)
def test_what_matters_is_seen(text: str, touch: Touch) -> None:
    assert needles_for(KNOWLEDGE).touch(text.encode()) & touch


@pytest.mark.parametrize(
    "text",
    [
        "# CUDA_VISIBLE_DEVICES\nx = 1\n",
        'def f():\n    """Set CUDA_VISIBLE_DEVICES."""\n',
        "x.to(device)\ny.to(x.device)\nz.to(torch.float32)\n",
        "load(path, device_map='auto')\ndef f(device_map=None): pass\n",
        "x.cuda(y.device)\nx.cuda(None)\nx.cuda(*args)\nx.cuda(0)\n# x.cuda(1)\n",
        "nn.DataParallel(model)\nnn.DataParallel(m(a, b))\n",
        "items = [{'id': 7}, dict(id=n)]\nworld_size = 4\nf(tp_size=2)\n",
        "d.get('cuda', {}); getattr(torch.version, 'cuda', None)\n",
        "ctx.Process(target=f)\n",
        "x = 1  # noqa: E501\n",
        'def f(\n    a,\n) -> "T":\n    r"""Set CUDA_VISIBLE_DEVICES."""\n',
        'class C:\n    """Of CUDA_VISIBLE_DEVICES."""\nif x:\n    """And CUDA_VISIBLE_DEVICES."""\n',
    ],
)
def test_what_does_not_matter_is_passed(text: str) -> None:
    found = needles_for(KNOWLEDGE).touch(text.encode())
    assert not found & (Touch.SETTINGS | Touch.DEVICES | Touch.FORKS | Touch.COMMENTS)


@pytest.mark.parametrize(
    "text",
    [
        "use_cuda: bool | None = None\n",
        "cuda_kernel = None\n",
        'IMAGE = "tools-cuda:latest"  # built elsewhere\n',
        "slow = False  # on cuda\n",
        "def f(device: str = 'cuda:0') -> 'torch.cuda.Stream': pass\n",
        "def f(a=1) -> torch.cuda.Stream: pass\n",
        "import subprocess as s\n",
        "class ImageProcessor:\n    'Used by subprocessors.'\n",
        "import torch.futures, multiprocess\nclass Process: pass\n",
        "load(path, device_map={'': model.device})\nload(path, device_map=...)\n",
        "load(path, device_map={\"\": torch.device('mps')})\nload(path, device_map='mps')\n",
        'def f():\n    """Runs subprocess with env=1, os.environ and x.cuda(1)."""\n',
    ],
)
def test_what_freezes_starts_and_selects_nothing_is_passed(text: str) -> None:
    found = needles_for(KNOWLEDGE).touch(text.encode())
    doing = Touch.FREEZES | Touch.CHILDREN | Touch.DEVICES | Touch.FOREIGN | Touch.ENVIRONMENT
    assert not found & doing


@pytest.mark.parametrize(
    "text",
    [
        "x.to(torch.float16)\nx.to(x.dtype)\nx.to('cuda')\nx.to(dtype=t)\n",
        "def f(device=None): pass\n",
        "def f(**kwargs):\n    pass\n",
        "@property\ndef device(self): pass\n",
        "torch.load(path)\ntorch.load(path, map_location='cpu')\n",
    ],
)
def test_what_hands_no_device_on_is_passed(text: str) -> None:
    assert not needles_for(KNOWLEDGE).touch(text.encode()) & Touch.PASSED


def test_to_name_a_variable_is_not_to_use_a_gpu() -> None:
    header = 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\nenv["CUDA_DEVICE_ORDER"] = order\n'
    header += 'os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:512"\n'
    touch = needles_for(KNOWLEDGE).touch
    assert not touch(header.encode()) & Touch.FREEZES
    assert touch(f"{header}torch.cuda.init()\n".encode()) & Touch.FREEZES


@pytest.mark.parametrize(
    "path", ["a.py", "./a.py", "../a.py", "a/../b.py", "a..b.py", __file__, "."]
)
def test_paths_are_made_absolute_as_python_does(path: str) -> None:
    assert survey.AbsolutePaths()(Path(path)) == os.path.abspath(path)


def test_a_rejected_file_is_not_parsed(
    project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "import torch\nx = torch.zeros(1)\n" + "y = 1\n" * 400_000})
    monkeypatch.setattr(ast, "parse", lambda *_: pytest.fail("parsed"))
    run = Engine(SettingsFinder(load_rulebook())).check([root / "a.py"])
    assert (run.files, run.clean, run.troubles) == ([], 1, [])


def test_a_file_too_deep_to_follow_does_not_end_the_run(project: Callable[..., Path]) -> None:
    deep = f"x = a{'.b' * 1900}\nimport os\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
    done = lint(cwd=project({"a.py": deep, "b.py": LATE}))
    assert "b.py:4:1: GPU107" in done.stdout
    assert "Traceback" not in done.stderr


# --- reachability ----------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=4)))
def test_reachability_is_that_of_a_walk(edges: dict[int, list[int]]) -> None:
    graph = {str(a): [str(b) for b in bs] for a, bs in edges.items()}
    reach = Reachability(lambda node: graph.get(node, []))
    for node in map(str, range(10)):
        seen, waiting = {node}, [node]
        while waiting:
            new = set(graph.get(waiting.pop(), [])) - seen
            seen |= new
            waiting += new
        assert reach.closure(node) == seen


# --- the cache -------------------------------------------------------------------------------

LATE = "import torch\ntorch.cuda.init()\nimport os\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"


def lint(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpu_lint", "check", "--output-format", "concise", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )


def index_of(root: Path) -> Path:
    return next((root / ".gpu-lint-cache").glob("*.json"))


def sealed(text: bytes) -> bytes:
    """An index as if we had written it ourselves."""
    key = (Path(os.environ["GPU_LINT_STATE_DIR"]) / "cache-key").read_bytes()
    return hashlib.blake2b(text, key=key).hexdigest().encode() + b"\n" + text


def age(*paths: Path) -> None:
    """Let files be old enough for their time of change to be relied on."""
    for path in paths:
        os.utime(path, (time.time() - 100, time.time() - 100))


def test_a_second_run_says_the_same(project: Callable[..., Path]) -> None:
    root = project({"a.py": LATE, "b.py": "import a\n", "c.py": "x = 1\n"})
    age(*root.glob("*.py"))
    first = lint(cwd=root)
    assert first.returncode == 1
    content = index_of(root).read_bytes()
    second = lint(cwd=root)
    assert (second.stdout, second.stderr, second.returncode) == (
        first.stdout,
        first.stderr,
        first.returncode,
    )
    assert index_of(root).read_bytes() == content
    assert (root / ".gpu-lint-cache" / ".gitignore").read_text() == "*\n"


def test_a_changed_file_is_looked_at_again(project: Callable[..., Path]) -> None:
    root = project({"a.py": "x = 1\n" * 20})
    age(root / "a.py")
    assert lint(cwd=root).returncode == 0
    (root / "a.py").write_text(LATE)
    assert lint(cwd=root).returncode == 1


def test_a_change_at_the_same_size_and_time_is_seen_when_it_is_recent(
    project: Callable[..., Path],
) -> None:
    good = LATE.replace("torch.cuda.init()", "torch.manual_s(0)")
    root = project({"a.py": good})
    status = (root / "a.py").stat()
    lint(cwd=root)
    (root / "a.py").write_text(LATE)
    os.utime(root / "a.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "GPU107" in lint(cwd=root).stdout


def test_a_finding_goes_when_another_file_changes(project: Callable[..., Path]) -> None:
    main_ = "import lib\nimport os\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\nimport torch\n"
    root = project({"run.py": main_, "lib.py": "import torch\ntorch.cuda.init()\n"})
    assert "GPU115" in lint(cwd=root).stdout
    (root / "lib.py").write_text("x = 1\n")
    assert lint(cwd=root).returncode == 0


def test_another_policy_is_another_answer(project: Callable[..., Path]) -> None:
    root = project({"a.py": LATE.replace("torch.cuda.init()\n", "")})
    age(root / "a.py")
    policy = "gpu.visible-devices='0'", "gpu.device-order='PCI_BUS_ID'"
    without = lint(cwd=root).stdout
    with_ = lint("--config", policy[0], "--config", policy[1], cwd=root).stdout
    assert "GPU102" in with_
    assert "GPU102" not in without
    assert lint(cwd=root).stdout == without


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00", b"[]", b"{}", b'{"key": 1, "files": []}', b"[" * 100_000, b"null"],
)
def test_a_damaged_cache_costs_only_time(project: Callable[..., Path], content: bytes) -> None:
    root = project({"a.py": LATE})
    expected = lint(cwd=root).stdout
    index_of(root).write_bytes(sealed(content))
    done = lint(cwd=root)
    assert (done.stdout, done.returncode) == (expected, 1)
    assert "Traceback" not in done.stderr


def test_damaged_notes_cost_only_time(project: Callable[..., Path]) -> None:
    root = project({"a.py": LATE})
    age(root / "a.py")
    expected = lint(cwd=root).stdout
    content = json.loads(index_of(root).read_bytes().partition(b"\n")[2])
    for note in ([], {}, None, [1] * 9, ["x"] * 9, [0, 0, "", -1, 2, "t", [[]], 3, [1, [[]]]]):
        content["files"] = dict.fromkeys(content["files"], note)
        index_of(root).write_bytes(sealed(json.dumps(content).encode()))
        done = lint(cwd=root)
        assert (done.stdout, "Traceback" in done.stderr) == (expected, False)


def test_where_the_cache_is(project: Callable[..., Path], tmp_path: Path) -> None:
    root, other = project({"a.py": LATE}), tmp_path / "cache"
    lint("--no-cache", cwd=root)
    lint(cwd=root, GPU_LINT_CACHE_DIR=str(other))
    assert not (root / ".gpu-lint-cache").exists()
    assert list(other.glob("*.json"))
    (root / "gpu-lint.toml").write_text("exclude = []\n")
    lint("--cache-dir", "here", cwd=root)
    assert list((root / "here").glob("*.json"))


def test_clean_deletes_a_cache_and_nothing_else(project: Callable[..., Path]) -> None:
    root = project({"a.py": LATE, "mine/a.txt": "x"})

    def clean(*arguments: str) -> int:
        command = [sys.executable, "-m", "gpu_lint", "clean", *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, check=False).returncode

    lint(cwd=root)
    assert (clean(), (root / ".gpu-lint-cache").exists()) == (0, False)
    assert clean() == 0
    assert (clean("--cache-dir", "mine"), (root / "mine" / "a.txt").exists()) == (2, True)


def test_a_cache_that_cannot_be_written_is_no_error(project: Callable[..., Path]) -> None:
    root = project({"a.py": LATE, "blocked": "a file"})
    done = lint("--cache-dir", "blocked", cwd=root)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_many_files_do_not_make_the_cache_grow_for_ever(tmp_path: Path) -> None:
    for number in range(40):
        cache = Cache.open(tmp_path / "c", tmp_path / str(number), load_rulebook(), tmp_path)
        path = tmp_path / "a.py"
        path.write_text("x = 1\n")
        cache.add(str(path), path.stat(), Note(0, 0, 6, "0", Touch.NOTHING, grown=True))
        cache.save()
    assert len(list((tmp_path / "c").glob("*.json"))) == 32


def test_the_cache_gives_back_all_of_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    age(path)
    judged = Judged((), unfit=(Misfit(MisfitKind.RANK, 3, 1, "LOCAL_RANK"),))
    cache = Cache.open(tmp_path / "c", tmp_path, load_rulebook(), tmp_path)
    note = Note(0, 0, 6, "0", Touch.NOTHING, findings=("key", judged), grown=True)
    cache.add(str(path), path.stat(), note)
    cache.save()
    again = Cache.open(tmp_path / "c", tmp_path, load_rulebook(), tmp_path)
    kept = again.unchanged(str(path), path.stat())
    assert kept is not None
    assert kept.findings == ("key", judged)


# --- start-up --------------------------------------------------------------------------------


def modules_of(*arguments: str, cwd: Path) -> set[str]:
    code = f"import sys; sys.argv = {['gpu-lint', *arguments]!r}\nfrom gpu_lint.cli import main\n"
    code += "try:\n    main()\nexcept SystemExit:\n    pass\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_starting_up_loads_neither_parser_nor_terminal(project: Callable[..., Path]) -> None:
    root = project({"a.py": LATE, "b.py": "import torch\n"})
    heavy = {"libcst", "rich", "pathspec", "gpu_lint.facts.interpreter", "multiprocessing"}
    assert not heavy & modules_of("--version", cwd=root)
    assert not heavy & modules_of("check", "b.py", cwd=root)
    age(*root.glob("*.py"))
    lint(cwd=root)
    assert not {"libcst", "rich"} & modules_of("check", cwd=root)
    assert main is not None


def test_what_fixes_nothing_does_not_load_libcst(project: Callable[..., Path]) -> None:
    idle = "import torch\nif torch.cuda.device_count() < 2:\n    raise SystemExit\n"
    mask = 'import os\n\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n\n'
    root = project({"clean.py": f"{mask}import torch\n", "found.py": f"{mask}{idle}"})
    for command in ("check", "fix"):
        for name, found in (("clean.py", False), ("found.py", True)):
            loaded = modules_of(command, "--no-cache", name, cwd=root)
            assert "libcst" not in loaded, (command, name)
            assert any("GPU203" in word for word in loaded) is found
    (root / "late.py").write_text(LATE)
    assert "libcst" in modules_of("fix", "--diff", "--no-cache", "late.py", cwd=root)


def test_a_check_that_finds_nothing_new_looks_for_nothing(project: Callable[..., Path]) -> None:
    root = project({"a.py": "import torch\n"})
    age(root / "a.py")
    tables = {"gpu_lint.facts.needles", "gpu_lint.facts.devicetext"}
    assert tables <= modules_of("check", "a.py", cwd=root)
    assert not tables & modules_of("check", "a.py", cwd=root)


# --- files read without their functions, and headers that all files have alike ----------------


def shape(body: list[ast.stmt]) -> list[tuple[object, ...]]:
    """The places of all statements that stand outside of functions and classes."""
    found: list[tuple[object, ...]] = []
    for node in body:
        place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
        found.append((type(node).__name__, *place))
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for name in ("body", "handlers", "orelse", "finalbody"):
                for inner in getattr(node, name, ()):
                    found += shape([inner] if isinstance(inner, ast.stmt) else inner.body)
    return found


def same_outline(source: Source) -> bool:
    """Whether a file has an outline; then it must have every statement in its place."""
    try:
        tree = ast.parse(outlined(source))
    except (NoOutline, SyntaxError):
        return False
    assert shape(tree.body) == shape(ast.parse(source.text).body)
    return True


def parsable(paths: list[Path]) -> Iterator[Source]:
    """Those files that Python can parse."""
    for path in paths:
        try:
            source = decode_source(path, path.read_bytes())
            ast.parse(source.text)
        except (SourceError, SyntaxError, ValueError, RecursionError):
            continue
        yield source


def same_heads(source: Source) -> bool:
    """Whether a file's functions can be read later; then they must be read the same."""
    found = read_heads(source, KNOWLEDGE, USUAL)
    if found is None:
        return False
    assert found.program == read_file(source, KNOWLEDGE).program
    assert not found.is_broken
    return True


@pytest.mark.filterwarnings("ignore")
def test_an_outline_keeps_every_statement_in_its_place() -> None:
    paths = sorted(STDLIB.glob("*.py")) + sorted((STDLIB / "test").glob("test_[a-f]*.py"))
    assert sum(map(same_outline, parsable(paths))) > 100


@pytest.mark.filterwarnings("ignore")
def test_a_function_that_is_parsed_later_is_the_same() -> None:
    paths = sorted(STDLIB.glob("[a-d]*.py")) + sorted((STDLIB / "asyncio").glob("*.py"))
    assert sum(map(same_heads, parsable(paths))) > 50


def test_what_is_no_python_in_a_function_is_seen_when_somebody_looks_into_it() -> None:
    long = "    x = 1\n" * 50
    text = f"import torch\n\ndef f():\n{long}    return 1 +\n\ndef g():\n{long}    return 2\n"
    found = read_heads(decode_source(Path("a.py"), text.encode()), KNOWLEDGE, USUAL)
    assert found is not None
    f, g = (one for one in found.program.body if isinstance(one, program.Function))
    assert len(g.body) == 51
    assert not found.is_broken
    assert f.body == ()
    assert found.is_broken
    chained = text.replace("1 +", " + ".join("x" * 3000))
    found = read_heads(decode_source(Path("a.py"), chained.encode()), KNOWLEDGE, USUAL)
    assert found is not None
    assert next(one.body for one in found.program.body if isinstance(one, program.Function)) == ()
    assert found.is_broken


def test_a_function_in_newer_syntax_is_read_by_libcst(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "    x = 1\n" * 50 + "    return 'newer'\n"
    text = f"import torch\n\nclass C:\n    @d\n    def f(self):\n{body.replace('  ', '    ')}"
    source = decode_source(Path("a.py"), f"{text}\ndef g():\n{body}".encode())
    expected = read_file(source, KNOWLEDGE, reference=True)
    parse = native.parse_quietly

    def older(text: str, mode: str) -> ast.AST:
        if "newer" in text:
            raise SyntaxError
        return parse(text, mode)

    monkeypatch.setattr(native, "parse_quietly", older)
    found = read_heads(source, KNOWLEDGE, USUAL)
    assert found is not None
    assert found.program == expected.program
    assert not found.is_broken


def test_of_many_programs_a_syntax_error_is_told_where_they_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "_CHEAP", 0)
    (tmp_path / "gpu-lint.toml").write_text(f'{POLICY}required-in = "all"\n')
    long = "    x = 1\n" * 50
    text = f"import torch\n\ndef f():\n{long}    torch.cuda.set_device(2) +\n\nf()\n"
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text(text.replace(" +\n", "\n"))
    found = dict(found_in(tmp_path))
    assert [one.code for one in found["a.py"]] == ["GPU001"]
    assert {"GPU101", "GPU201"} <= {one.code for one in found["b.py"]}


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\ndef f(): return 1\ny = 2\n",
        "x = 1\ndef f(\n    a,  # one:\n    b,\n):\n    return a\ny = 2\n",
        'x = 1\ndef f():\n    """a\nb"""\ny = 2\n',
        'x = 1\ndef f():\n    return """\ndef g():\n    pass\n"""\ny = 2\n',
        "x = 1\nclass C:\n    def f(self):\n        return (\n1)\n    y = 3\nz = 2\n",
        "x = 1\ndef f():\n    return 1; \ny = 2\n",
        "x = 1\ndef f():\n    a = 1 + \\\n2\n    return a\ny = 2\n",
        "x = 1\ndef f():\n    return 1  # one\n# two\n\n    # three\ny = 2\n",
        "x = 1\ndef f():\n  a\ny = 2\n",
        "x = 1\n@d(1)\nasync def f():\n    return 'é'\n\nif x:\n    def g():\n        pass\nelse:\n    y\n",
        "x = 1\ndef f():\n\tif 1:\n\t\treturn 2\n\treturn [\n\t]\ny = 2\n",
        "x = 1\nclass C: pass\nclass D(C):\n    a: int = 1\n\n    class E: b = 2\n\n\ny = 2\n",
        "x = 1\ndef f():\n    return 1",
    ],
)
def test_an_outline_is_right_or_there_is_none(text: str) -> None:
    source = decode_source(Path("a.py"), text.encode())
    same_outline(source)
    longer = text.replace("    return", "    y = 3\n" * 60 + "    return")
    same_heads(decode_source(Path("a.py"), longer.encode()))


def test_the_rule_files_of_a_wheel_say_what_their_toml_says(tmp_path: Path) -> None:
    root = rules_directory()
    toml = from_toml(root)
    write_json(root, tmp_path)
    made = read_rule_files(tmp_path)
    assert (made.digest, made.rules) == (toml.digest, toml.rules)
    assert made.knowledge() == toml.knowledge()


PROJECTS = ROOT / "fixtures" / "superwhisper"


def found_in(root: Path) -> list[tuple[str, tuple[Finding, ...]]]:
    finder = SettingsFinder(load_rulebook())
    run = Engine(finder).check(discover([root], finder).files)
    assert run.troubles == []
    return [(file.path.name, file.findings) for file in run.files]


OPENINGS = [
    "import numpy as np\nimport torch\n",
    '"""Doc."""\n\nfrom __future__ import annotations\n\nimport os\nimport sys\n\nimport torch\n',
    "from .a import b\n\nx = 1\ndef f():\n    import torch\n\nif x:\n    import torch\nelse:\n    y = 2\n",
    "try:\n    import torch\nexcept ImportError:\n    torch = None\nfinally:\n    pass\nimport os\n",
    "import torch\n\nimport os\n\nprint(os.sep)\n",
    "import torch\n\nos = 3\n",
    "import json, torch\nfor os in ():\n    pass\n",
    "class A:\n    import torch\n\n@f\ndef g():\n    import torch\n\nfrom torch import nn\n",
    "def f():\n    import torch\n",
    "if TYPE_CHECKING:\n    import torch\n\nfrom . import a\n",
    "from . import a\n\nif TYPE_CHECKING:\n    import torch\n",
    "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# licence\n\n# about torch\nimport torch  # noqa\n",
    's = """\nimport numpy\n"""\nimport torch; import os\n',
    "from torch import (\n    nn,  # (\n)\nx = [\n1,\n]\n",
    "import math\n\nimport zlib  # z\nimport torch as os\n",
    "async def f():\n    x = (\n1)\n    import torch\nimport torch\n",
    "import torch\n\nx = 1  # gpu-lint: ignore[GPU101]\n",
    "import torch  # gpu-lint: ignore[GPU101]\n\ny = 2  # noqa: GPU103\n",
    "import torch\n\n# gpu-lint: begin header\nx = 1\n# gpu-lint: end header\n",
    "import a\n\n\n\n# about\n\nimport torch\n# behind\n\n\n",
    "import sys\nimport torch\nimport os\n\n\n\nprint(os, sys)\n",
]
"""Beginnings of files that use a framework, and of which little else is asked."""


@pytest.mark.parametrize("validation", ["all", "entry-points"])
def test_of_many_files_those_that_do_nothing_need_no_functions(
    validation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpu-lint.toml").write_text(
        f'{POLICY}required-in = "all"\n[validation]\nrequired-in = "{validation}"\n'
    )
    for package in ("asyncio", "email", "json", "logging", "unittest"):
        shutil.copytree(STDLIB / package, tmp_path / package)
    for number, text in enumerate(OPENINGS):
        (tmp_path / f"opening{number}.py").write_text(text + "\ndef last():\n    return 1\n")
    read = []
    quick = judging.read_outline
    monkeypatch.setattr(
        judging, "read_outline", lambda *given, **how: read.append(1) or quick(*given, **how)
    )
    opened: list[object] = []
    opening = reading._opening
    monkeypatch.setattr(
        reading, "_opening", lambda *given: opened.append(opening(*given)) or opened[-1]
    )
    monkeypatch.setattr(survey, "_CHEAP", 10**9)
    whole = found_in(tmp_path)
    assert read == []
    monkeypatch.setattr(survey, "_CHEAP", 0)
    assert found_in(tmp_path) == whole
    assert len(read) > 50
    assert sum(found is not None for found in opened) >= (0 if validation == "all" else 9)


def test_a_file_whose_outline_will_do_may_hold_syntax_of_a_newer_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quotes in the f-string are those around it, which Python 3.12 is the first to read."""
    body = "    names = ['a', 'b']\n" * 40 + "    return f'({', '.join(names)})'\n"
    text = HEADER.replace("torch", "json") + "\n\ndef call():\n" + body
    (tmp_path / "gpu-lint.toml").write_text(f'{POLICY}required-in = "all"\n')
    (tmp_path / "file.py").write_text(text)
    monkeypatch.setattr(survey, "_CHEAP", 0)
    assert found_in(tmp_path) == [("file.py", ())]


def test_a_header_that_all_files_have_changes_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    settled = []
    span_in = SettledHeaders.span_in

    def counted(self: SettledHeaders, data: bytes) -> Span | None:
        found = span_in(self, data)
        settled.append(found is not None)
        return found

    monkeypatch.setattr(SettledHeaders, "span_in", counted)
    quick = found_in(PROJECTS / "after")
    assert sum(settled) > 30
    monkeypatch.setattr(SettledHeaders, "span_in", lambda self, data: None)
    assert found_in(PROJECTS / "after") == quick


POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\n'
HEADER = (
    "import os\n\n# gpu-lint: begin header\n"
    'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
    'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
    "# gpu-lint: end header\n\nimport torch\n"
)


@pytest.mark.parametrize(
    ("text", "required_in", "settled"),
    [
        (HEADER, '"all"', True),
        (HEADER, '"gpu-files"', True),
        (HEADER.replace("\n", "\r\n"), '"all"', True),
        (HEADER, '"entry-points"', False),
        (HEADER.replace('"1"', '"0"'), '"all"', False),
        ("import numpy\n" + HEADER, '"all"', False),
        ("from . import a\n" + HEADER, '"all"', False),
        (HEADER + HEADER, '"all"', False),
        (HEADER.replace("# gpu-lint: end header\n", ""), '"all"', False),
        ("if 1:\n" + HEADER.replace("\n", "\n    ") + "pass\n", '"all"', False),
    ],
    ids=["all", "gpu files", "CRLF", "entry points", "another mask", "behind numpy",
         "behind ours", "twice", "no end", "in a branch"],
)  # fmt: skip
def test_which_headers_are_settled(
    project: Callable[..., Path], text: str, required_in: str, settled: bool
) -> None:
    root = project({"gpu-lint.toml": f"{POLICY}required-in = {required_in}\n", "a.py": ""})
    rulebook = load_rulebook()
    policy = SettingsFinder(rulebook).for_file(root / "a.py").policy_for(root / "a.py")
    found = SettledHeaders([policy], rulebook).span_in(text.encode())
    assert (found is not None) is settled
    if found is not None:
        inside = text.encode()[found.start : found.end]
        assert inside.startswith(b"# gpu-lint: begin")
        assert inside.endswith(b"end header")


def test_what_is_set_beside_a_settled_header_is_followed(project: Callable[..., Path]) -> None:
    late = HEADER + 'torch.cuda.init()\nos.environ["CUDA_VISIBLE_DEVICES"] = "0"\n'
    files = {"gpu-lint.toml": f'{POLICY}required-in = "all"\n', "a.py": late, "b.py": HEADER}
    root = project(files)
    codes = [finding.code for _, findings in found_in(root) for finding in findings]  # type: ignore[attr-defined]
    assert "GPU102" in codes or "GPU107" in codes


def test_two_policies_settle_nothing(project: Callable[..., Path]) -> None:
    override = '[[overrides]]\npaths = ["b.py"]\ngpu = { visible-devices = "0" }\n'
    root = project({"gpu-lint.toml": f'{POLICY}required-in = "all"\n{override}', "a.py": ""})
    rulebook = load_rulebook()
    settings = SettingsFinder(rulebook).for_file(root / "a.py")
    policies = [settings.policy_for(root / name) for name in ("a.py", "b.py")]
    assert SettledHeaders(policies, rulebook).span_in(HEADER.encode()) is None


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_what_ends_lines_changes_no_needle(newline: str) -> None:
    needles = needles_for(KNOWLEDGE)
    lines = ["# one", 'NAME = "CUDA_VISIBLE_DEVICES"', "", "def f():", "    x.to(1)", "y = 2", ""]
    data = newline.join(lines).encode()
    assert needles.settings(data) & Touch.SETTINGS
    assert sorted(Mentions(data, needles).lines) == [
        b"    x.to(1)",
        b'NAME = "CUDA_VISIBLE_DEVICES"',
    ]


# --- what is found out once, or not at all -----------------------------------------------


SET_LATER = """
import torch

class Runner:
    def run(self):
        torch.cuda.set_device(self.index)
    def prepare(self):
        self.index = 1
"""
HELD_LATER = """
import torch

class Holder:
    def run(self):
        torch.cuda.set_device(self.chooser.index)
    def prepare(self):
        self.chooser = Chooser()

class Chooser:
    def __init__(self):
        self.index = 1
"""
SET_EARLIER = """
import torch

class Runner:
    def __init__(self):
        self.index = 1
    def run(self):
        torch.cuda.set_device(self.index)
"""


@pytest.mark.parametrize("text", [SET_LATER, HELD_LATER, SET_EARLIER])
def test_what_attributes_are_is_known_before_it_is_set(
    text: str, project: Callable[..., Path]
) -> None:
    root = project({"gpu-lint.toml": POLICY + 'required-in = "never"\n', "a.py": text})
    codes = [finding.code for _, findings in found_in(root) for finding in findings]  # type: ignore[attr-defined]
    assert "GPU201" in codes


def test_a_program_is_run_again_only_for_what_was_asked_for_too_early(
    monkeypatch: pytest.MonkeyPatch, project: Callable[..., Path]
) -> None:
    runs: list[str] = []
    run = Interpreter.run
    monkeypatch.setattr(Interpreter, "run", lambda self: runs.append(self.start) or run(self))
    config = POLICY + 'required-in = "never"\n'
    found_in(project({"gpu-lint.toml": config, "early.py": SET_EARLIER, "late.py": SET_LATER}))
    names = [Path(name).name for name in runs]
    assert (names.count("early.py"), names.count("late.py")) == (1, 2)


def test_what_a_module_calls_while_it_is_imported_counts(project: Callable[..., Path]) -> None:
    setup = """
import torch

def setup():
    a = 1
    b = 2
    torch.zeros(a, device="cuda")
    return b

setup()
"""
    forking = """
import os
import setup

def main():
    os.fork()
    setup.torch.zeros(1, device="cuda")

main()
"""
    root = project(
        {
            "gpu-lint.toml": POLICY + 'required-in = "never"\n',
            "setup.py": setup,
            "fork.py": forking,
        }
    )
    codes = [finding.code for _, findings in found_in(root) for finding in findings]  # type: ignore[attr-defined]
    assert "GPU207" in codes


GUARD = 'if __name__ == "__main__":\n    main()\n'


@pytest.mark.parametrize(
    ("text", "guard"),
    [
        (GUARD, True),
        ("x = 1\n" + GUARD, True),
        ("if __name__=='__main__' : main()\n", True),
        (f'"""\n{GUARD}"""\n', None),
        (f'"""\n{GUARD}"""\n{GUARD}', True),
        ('if "__main__" == __name__:\n    main()\n', None),
        ("def f():\n    " + GUARD.replace("\n    ", "\n        "), None),
        ("import __main__\n", None),
        ("x = 1\n", False),
    ],
)
def test_a_main_guard_is_skimmed_or_read(text: str, guard: bool | None) -> None:
    assert skim(text.encode()).guard is guard
    reading = read_file(Source(Path("x.py"), text.encode(), "utf-8"), KNOWLEDGE)
    assert guard in (None, reading.skimmed.guard)


def test_words_that_were_forgotten_are_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_lint.facts.words._MOST_MET", 3)
    vocabulary = Vocabulary([b"gpu", b"cuda"])
    texts = [b"a b c my_gpu", b"d e f", b"my_gpu g", b"cudart my_gpu a", b"b"]
    found = [
        [part for part in (b"gpu", b"cuda") if Words(t, vocabulary).have(vocabulary.parts(part))]
        for t in texts
    ]
    assert found == [[b"gpu"], [], [b"gpu"], [b"gpu", b"cuda"], []]


@given(st.text("ab#é\n\r\t \u2028\x0c"), st.booleans(), st.data())
def test_a_line_is_found_without_all_the_others(text: str, bom: bool, data: st.DataObject) -> None:
    raw = b"\xef\xbb\xbf" * bom + text.encode()
    offset = data.draw(st.integers(3 * bom, len(raw)))
    while raw[offset : offset + 1] and raw[offset] & 0xC0 == 0x80:
        offset -= 1  # not in the middle of a character
    source, other = (Source(Path("x.py"), raw, "utf-8", 3 * bom) for _ in range(2))
    row = other.row(offset)
    assert source.location(offset).row == row
    assert source.line_at(offset) == (other.line(row) if raw[3 * bom :] else "")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("row", [1, 2, 3])
def test_an_encoding_counts_where_python_looks_for_it(row: int, newline: str) -> None:
    lines = ["#", "#", "#", "x = 1"]
    lines[row - 1] = "# -*- coding: latin-1 -*-"
    source = decode_source(Path("x.py"), newline.join(lines).encode())
    expected, _ = tokenize.detect_encoding(io.BytesIO(source.data).readline)
    assert source.encoding == expected


@pytest.mark.parametrize("path", ["a.py", "b/a.py", "../a.py", "/somewhere/a.py", "./a.py"])
@pytest.mark.parametrize("base", [".", "..", "b", "/"])
def test_paths_are_shown_relative_to_what_they_lie_below(path: str, base: str) -> None:
    try:
        expected = Path(path).absolute().relative_to(Path(base).absolute()).as_posix()
    except ValueError:
        expected = Path(path).as_posix()
    assert shown_path(Path(path), Path(base)) == expected


def test_programs_are_shared_that_others_ask_about(project: Callable[..., Path]) -> None:
    root = project(
        {
            "gpu-lint.toml": POLICY + 'required-in = "never"\n',
            "a.py": "import subprocess\nsubprocess.run(['nvidia-smi'], env={})\n",
            "b.py": "import torch\ndef use(device):\n    torch.cuda.set_device(device)\n",
            "c.py": "from a import x\nimport torch\ntorch.cuda.set_device(2)\n",
            "d.py": "from b import use\nimport torch\nuse(1)\ntorch.cuda.set_device(1)\n",
        }
    )
    finder = SettingsFinder(load_rulebook())
    reads = [Read(str(path), path, finder) for path in sorted(root.glob("*.py"))]
    view = View.of(finder, reads)
    programs = view.programs(str(read.path) for read in reads)
    assert {Path(file).name for file in programs} == {"a.py", "b.py", "c.py", "d.py"}
    assert [Path(file).name for file in view.shared(programs)] == ["d.py"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1  # device\ny = 2\n", "x = 1          \ny = 2\n"),
        ('x = "# no comment"\n', 'x = "# no comment"\n'),
        ("x = '#' # it\n", "x = '#'     \n"),
        ('def f():\n    """Says."""\n    x\n', 'def f():\n               \n    x\n'),
        ('x = """\n# kept\n"""\n', 'x = """\n# kept\n"""\n'),
        ("#" * 9 + "'\n", "#" * 9 + "'\n"),
    ],
)  # fmt: skip
def test_prose_is_blank_and_code_in_its_place(text: str, code: str) -> None:
    assert with_blank_prose(text.encode()).decode() == code


@given(st.text("#'\"a \\\n:", max_size=60))
def test_blanking_prose_moves_nothing(text: str) -> None:
    blank = with_blank_prose(text.encode())
    assert len(blank) == len(text.encode())
    assert all(new in (old, 0x20) for old, new in zip(text.encode(), blank, strict=True))


@dataclass(frozen=True, slots=True)
class Frozen:
    one: int
    two: tuple[str, ...] = ()
    three: object = field(default=None, compare=False, repr=False)


@record
class Recorded:
    one: int
    two: tuple[str, ...] = ()
    three: object = field(default=None, compare=False, repr=False)


@record
class Empty:
    pass


def test_a_record_is_told_by_its_content_as_a_dataclass_is() -> None:
    given = [(1,), (1, ("a",)), (1, ("a",), 3), (2,)]
    for kind in (Frozen, Recorded):
        made = [kind(*arguments) for arguments in given]
        assert [[one == other for other in made] for one in made] == [
            [True, False, False, False],
            [False, True, True, False],
            [False, True, True, False],
            [False, False, False, True],
        ]
        assert len(set(made)) == 3
        assert repr(made[2]) == f"{kind.__name__}(one=1, two=('a',))"
        assert made[0] != Empty()
        assert replace(made[0], one=2) == made[3]
        assert pickle.loads(pickle.dumps(made[2])).three == 3
    assert repr(Empty()) == "Empty()"
    assert len({Empty(), Empty()}) == 1


def test_trees_that_were_let_go_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "\n".join(f"    x{n} = {n} * 2" for n in range(40))
    text = f"def f():\n{body}\n    def g():\n{body.replace('  ', '    ')}\n\ndef h():\n{body}\n"
    source = Source(Path("x.py"), text.encode(), "utf-8")
    kept = read_file(source, KNOWLEDGE)
    monkeypatch.setattr("gpu_lint.facts.bodies._MOST_KEPT", 1)
    let_go = read_file(source, KNOWLEDGE)
    read_file(Source(Path("y.py"), b"z = 1\n", "utf-8"), KNOWLEDGE)
    assert kept.program == let_go.program == read_file(source, KNOWLEDGE, reference=True).program


@pytest.mark.parametrize("text", ["# one\nf'", "x = 1  # one\nf'{", "# one\n  f''\n x\n"])
def test_comments_are_found_in_what_python_does_not_read(text: str) -> None:
    source = Source(Path("x.py"), text.encode(), "utf-8")
    assert [comment.text for comment in comments_of(source)] == ["# one"]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("x = []\ndef f():\n    x.append(1)\n", {"x"}),
        ("x = {}\ndef f():\n    if a:\n        x [0] = 1\n", {"x"}),
        ("x = []\n(x).append(1)\n", {"x"}),
        ("x = []\ndef f():\n    g(x.pop())\n", {"x"}),
        ("été = []\nx = 1\ndef f():\n    été.append(x)\n", {"été"}),
        ("x = []\ndef f():\n    print(x[0], y.append(x))\n", {"y"}),
        ("x = []\nxx.append(1)\nx.index(1)\nself.x.append(1)\n", {"xx"}),
        ("x = []\n'x.append(1)'  # x.append(1)\n", set()),
    ],
)
def test_where_containers_may_be_changed_is_told_by_the_text_first(
    text: str, changed: set[str]
) -> None:
    reading = read_file(Source(Path("x.py"), text.encode(), "utf-8"), KNOWLEDGE)
    names = ("x", "y", "xx", "été")
    assert {name for name in names if reading.changes_container(name)} == changed
