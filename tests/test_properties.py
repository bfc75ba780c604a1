"""What holds for every program that is fixed, in whatever form its bytes are.

Either a file is reported and untouched, or: what a fix does not speak of is there byte for byte,
in order; the outer form is kept; fixing twice is fixing once; undo gives the bytes back.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from gpu_lint.findings import Applicability
from gpu_lint.journal import Journal
from gpu_lint.source import decode_source
from gpu_lint.undo import undo
from gpu_lint.writing import Writing
from tests.conftest import VOICE_POLICY, engine_for

EXAMPLES = int(os.environ.get("GPU_LINT_EXAMPLES", "250"))
POLICIES: list[dict[str, Any] | None] = [
    None,
    VOICE_POLICY,
    {**VOICE_POLICY, "validation": {**VOICE_POLICY["validation"], "required-in": "entry-points"}},
]
SPEAKS_OF = re.compile(
    rb"cuda|device|gpu|environ|PYTORCH|import|__name__|validate|\bos\b|#", re.IGNORECASE
)
"""A statement that a fix may move, rewrite or stand beside."""
TEXTS = [
    "x",
    "é",
    "ß ñ",
    "日本",
    "\U0001f3ae\U0001d11e",
    "a\\nb",
    "{y}",
    "\t",
    "\f",
    "“”",
    "\u2028",
]
STATEMENTS = [
    "import os", "import torch", "import sys, os; import json", "import torch as th", "from os import environ",
    "import numpy as np  # {t}", "# {t}", "", "   ", "x = '{t}'", "'''{t}'''", "x = 1; y = '{t}'; z = 2",
    "os.environ['CUDA_VISIBLE_DEVICES'] = '1'", "os.environ['CUDA_VISIBLE_DEVICES'] = '0'  # {t}",
    "os.environ['CUDA_VISIBLE_DEVICE'] = '1'", "os.environ.setdefault('CUDA_DEVICE_ORDER', 'PCI_BUS_ID')",
    "os.putenv('CUDA_VISIBLE_DEVICES', '1'); y = '{t}'", "torch.cuda.is_available()",
    "t = torch.zeros(1, device='cuda:1'); u = '{t}'", "if torch.cuda.device_count() > 1: torch.cuda.set_device(1)",
    "if x: y = 1; z = '{t}'", "if x:\n\ty = '{t}'\n\tz = 2\nelse: pass", "while x: break", "for i in y: print(i); continue",
    "try:\n    import torch\nexcept ImportError: torch = None", "with a as b, c: pass",
    "def f(a, device='cuda:1'):\n    '''{t}'''\n    return a.to(device)", "def g(a): return '{t}'",
    "@dec\n@dec2(x=[1,\n  2])\ndef h(): pass", "class C(B, k=1):\n    '''{t}'''\n    a: int = 1\n    def go(self, m): m.cuda(1)",
    "x = f'{{y!r:>{{w}}}} {{z[\"k\"]}} {t}'", "x = f'''{{f\"{{y}}\"}}{t}'''", "x = (1 +\n     2)", "x = 1 + \\\n  2",
    "x = [\n  'a',  # {t}\n  'b',\n]", "\fx = 1", "x = lambda: (yield)", "async def k():\n    await x",
    "if __name__ == '__main__':\n    f(1)", "if __name__ == '__main__': print('{t}')", "assert x, '{t}'",
    "# gpu-lint: ignore[GPU101] {t}", "x = 1  # noqa: GPU201", "# gpu-lint: begin header", "global_ = 0x1F_00",
    "match x:\n    case [1, *_] | {{'k': 2}}: pass\n    case P(a=3) if y: z = '{t}'\n    case _: pass",
]  # fmt: skip
if sys.version_info >= (3, 12):
    STATEMENTS += ["type X[T] = list[T]", "def p[T: int](a: T) -> T: return a", "class Q[*Ts, **P]: pass",
                   "x = f'{{f'{{'{t}'}}'}}'"]  # fmt: skip
FORMS = [
    "utf-8",
    "bom",
    "latin-1",
    "cp1252",
    "shift_jis",
    "utf-8 cookie",
    "wrong cookie",
    "no such",
]
COOKIES = {
    "latin-1": "latin-1", "cp1252": "cp1252", "shift_jis": "shift_jis", "utf-8 cookie": "utf-8",
    "wrong cookie": "ascii", "no such": "nonsense",
}  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> bytes:
    """A program in some outer form; perhaps one that Python cannot read."""
    form = draw(st.sampled_from(FORMS))
    texts = st.sampled_from(TEXTS)
    chosen = draw(st.lists(st.sampled_from(STATEMENTS), max_size=10))
    lines = "\n".join(
        one.replace("{t}", draw(texts)).replace("{{", "{").replace("}}", "}") for one in chosen
    )
    if form in COOKIES:
        lines = f"# -*- coding: {COOKIES[form]} -*-\n{lines}"
    if draw(st.booleans()):
        lines = f"#!/usr/bin/env python3\n{lines}"
    newlines = draw(
        st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n"], ["\n", "\r\n", "\r"]])
    )
    parts = lines.split("\n")
    ends = [draw(st.sampled_from(newlines)) if len(newlines) > 1 else newlines[0] for _ in parts]
    if draw(st.booleans()):
        ends[-1] = ""
    text = "".join(part + end for part, end in zip(parts, ends, strict=True))
    encoding = {"bom": "utf-8-sig", "wrong cookie": "utf-8", "no such": "utf-8"}.get(
        form, COOKIES.get(form, "utf-8")
    )
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode("utf-8")  # with a cookie that is not true


def kept_statements(data: bytes) -> list[bytes]:
    """The bytes of the top-level statements that no fix speaks of."""
    source = decode_source(Path("x.py"), data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source.text)
    starts, found = source.line_starts, []
    if source.encoding != "utf-8":
        return [s.strip() for s in data.splitlines() if s.strip() and not SPEAKS_OF.search(s)]
    for node in tree.body:
        end_row, end_column = node.end_lineno, node.end_col_offset
        assert end_row is not None
        assert end_column is not None
        first = node.lineno
        text = data[starts[first - 1] + node.col_offset : starts[end_row - 1] + end_column]
        if not SPEAKS_OF.search(text):
            found.append(text)
    return found


def in_order(pieces: list[bytes], data: bytes) -> bytes | None:
    """The first piece that does not follow those before it."""
    position = 0
    for piece in pieces:
        position = data.find(piece, position)
        if position < 0:
            return piece
        position += len(piece)
    return None


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(data=b"import os\n\n# gpu-lint: ignore[GPU101] x", policy=None, unsafe=False)
@example(data=b"import torch\r\rx = 1\n\ny = 2\r\n", policy=VOICE_POLICY, unsafe=False)
@example(
    data=b"# -*- coding: shift_jis -*-\nx = '\x93\xfa\x96\x7b'\n", policy=VOICE_POLICY, unsafe=False
)
@given(data=programs(), policy=st.sampled_from(POLICIES), unsafe=st.booleans())
def test_a_fix_keeps_its_promises(data: bytes, policy: dict[str, Any] | None, unsafe: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path, journal = Path(directory) / "x.py", Journal(Path(directory) / "state")
        path.write_bytes(data)
        run = engine_for(policy).fix([path], [path], unsafe=unsafe, writing=Writing(journal))
        after = path.read_bytes()
        if run.troubles or any(f.code == "GPU001" for one in run.files for f in one.findings):
            event("reported and untouched")
            assert after == data
            return
        event("changed" if after != data else "nothing to change")
        assert "internal" not in " ".join(reason for one in run.fixed for reason in one.dropped)
        if after == data:
            return
        source, fixed = decode_source(path, data), decode_source(path, after)
        assert (fixed.encoding, fixed.bom) == (source.encoding, source.bom)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ast.parse(source.text)
            except SyntaxError:
                assume(False)  # newer syntax, which LibCST reads
            ast.parse(fixed.text)
        assert in_order(kept_statements(data), after) is None
        if data.strip() and after.strip(b"\xef\xbb\xbf"):
            assert after.endswith((b"\n", b"\r")) == data.endswith((b"\n", b"\r"))
        if b"\r\n" in data and b"\n" not in data.replace(b"\r\n", b""):
            assert b"\n" not in after.replace(b"\r\n", b"")
        (one,) = run.fixed
        again = engine_for(policy).fix_source(fixed, unsafe=unsafe)
        assert again.after.source.data == after
        least = Applicability.UNSAFE if unsafe else Applicability.SAFE
        if not one.dropped:
            assert not [f for f in again.before.findings if f.fix and f.fix.applicability >= least]
        assert undo(journal.records()[-1], Writing(journal)).troubles == []
        assert path.read_bytes() == data
