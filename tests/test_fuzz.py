"""What fuzzing found once, and random bytes; ``bench/fuzz.py`` is the long version."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import fuzzing
from tests.conftest import ROOT

KEPT = sorted(path for path in (ROOT / "fixtures" / "hostile").glob("*/*") if path.is_file())
PIECES = st.sampled_from(
    [b"import os", b"torch", b"os.environ['CUDA_VISIBLE_DEVICES'] = '1'", b"\n", b"\r\n", b"\r",
     b" ", b"\t", b"\f", b"\\", b"'", b'"""', b"#", b"(", b")", b"[", b"]", b"{", b"}", b"=", b":",
     b",", b"1", b"\xef\xbb\xbf", b"\xc3\xa9", b"\xff", b"\0", b"# -*- coding: latin-1 -*-",
     b"# coding: utf-16", b"# gpu-lint: ignore[GPU201]", b"# noqa: GPU", b"gpu.name", b"[gpu]",
     b"visible-devices", b"device-order", b"[[overrides]]", b"select", b"f'{", b"lambda: ", b"if ",
     b"def f(", b"class A:", b"match x:", b"type X = ", b"[[rule]]", b"9" * 5000]
)  # fmt: skip
BYTES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=30).map(b"".join))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_failed_once(path: Path) -> None:
    fuzzing.run(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("name", list(fuzzing.TARGETS))
@settings(max_examples=200, deadline=None)
@given(data=BYTES)
def test_no_bytes_make_it_fail(name: str, data: bytes) -> None:
    fuzzing.run(name, data)
