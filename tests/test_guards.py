"""What lets code run only on several devices: marks, set-ups, fixtures, tests, patches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import check_files, check_text, codes

HEADER = """import os
os.environ["CUDA_VISIBLE_DEVICES"] = "0"
import pytest
import sys
import unittest
import torch
"""

GUARDED: dict[str, str] = {
    "mark direct": """
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "mark named": """
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
@needs_two
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "mark named class": """
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
@needs_two
class TestA:
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "pytestmark": """
pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "pytestmark list": """
pytestmark = [pytest.mark.slow, pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")]
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "class pytestmark": """
class TestA:
    pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "skip named bool": """
MULTI = torch.cuda.device_count() >= 2
@pytest.mark.skipif(not MULTI, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "skip number": """
N = torch.cuda.device_count()
@pytest.mark.skipif(N < 2, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "ut class": """
N = torch.cuda.device_count()
@unittest.skipIf(N < 2, "two")
class A(unittest.TestCase):
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "ut unless": """
class A(unittest.TestCase):
    @unittest.skipUnless(torch.cuda.device_count() > 1, "two")
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "setUpClass": """
class A(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if torch.cuda.device_count() < 2:
            raise unittest.SkipTest("two")
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "setUp skipTest": """
class A(unittest.TestCase):
    def setUp(self):
        if torch.cuda.device_count() < 2:
            self.skipTest("two")
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "setUp base": """
class Base(unittest.TestCase):
    def setUp(self):
        if torch.cuda.device_count() < 2:
            self.skipTest("two")
class A(Base):
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "fixture named": """
@pytest.fixture
def two():
    if torch.cuda.device_count() < 2:
        pytest.skip("two")
def test_a(two):
    torch.zeros(1, device="cuda:1")
""",
    "fixture auto": """
@pytest.fixture(autouse=True)
def two():
    if torch.cuda.device_count() < 2:
        pytest.skip("two")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "fixture uses": """
@pytest.fixture
def two():
    if torch.cuda.device_count() < 2:
        pytest.skip("two")
    yield 1
@pytest.mark.usefixtures("two")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "setup_method": """
class TestA:
    def setup_method(self):
        if torch.cuda.device_count() < 2:
            pytest.skip("two")
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "setup_module": """
def setup_module():
    if torch.cuda.device_count() < 2:
        pytest.skip("two")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "module skip": """
if torch.cuda.device_count() < 2:
    pytest.skip("two", allow_module_level=True)
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "module skiptest": """
if torch.cuda.device_count() < 2:
    raise unittest.SkipTest("two")
class A(unittest.TestCase):
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "xfail": """
@pytest.mark.xfail(torch.cuda.device_count() < 2, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "xfail strict": """
@pytest.mark.xfail(raises=RuntimeError)
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "expectedFailure": """
class A(unittest.TestCase):
    @unittest.expectedFailure
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "loop if": """
for i in range(4):
    if i < torch.cuda.device_count():
        torch.zeros(1, device=f"cuda:{i}")
""",
    "loop if n": """
n = torch.cuda.device_count()
for i in range(4):
    if i < n:
        torch.cuda.set_device(i)
""",
    "loop break": """
for i in range(4):
    if i >= torch.cuda.device_count():
        break
    torch.cuda.set_device(i)
""",
    "loop continue": """
for i in range(4):
    if torch.cuda.device_count() <= i:
        continue
    torch.cuda.set_device(i)
""",
    "list if": """
xs = [torch.zeros(1, device=f"cuda:{i}") for i in range(4) if i < torch.cuda.device_count()]
""",
    "match": """
match torch.cuda.device_count():
    case 0:
        pass
    case 1:
        torch.cuda.set_device(0)
    case 2:
        torch.cuda.set_device(1)
""",
    "match rest": """
match torch.cuda.device_count():
    case 0 | 1:
        pass
    case _:
        torch.cuda.set_device(1)
""",
    "match guard": """
match torch.cuda.device_count():
    case n if n > 1:
        torch.cuda.set_device(1)
    case _:
        torch.cuda.set_device(0)
""",
    "try runtime": """
try:
    torch.cuda.set_device(1)
except RuntimeError:
    torch.cuda.set_device(0)
""",
    "try probe": """
def has_two():
    try:
        torch.zeros(1, device="cuda:1")
        return True
    except (RuntimeError, AssertionError):
        return False
print(has_two())
""",
    "try other device": """
try:
    x = torch.zeros(1, device="cuda:1")
except RuntimeError:
    x = torch.zeros(1, device="cuda:0")
""",
    "try flag": """
try:
    torch.zeros(1, device="cuda:1")
    has_two = True
except RuntimeError:
    has_two = False
""",
    "try assert error": """
try:
    torch.cuda.get_device_name(1)
except AssertionError:
    second = None
""",
    "dec own": """
def require_multi_gpu(test):
    return unittest.skipUnless(torch.cuda.device_count() > 1, "two")(test)
class A(unittest.TestCase):
    @require_multi_gpu
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "dec own if": """
def require_multi_gpu(test):
    if torch.cuda.device_count() < 2:
        return unittest.skip("two")(test)
    return test
@require_multi_gpu
class A(unittest.TestCase):
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "dec own wraps": """
import functools
def needs(n):
    def deco(f):
        @functools.wraps(f)
        def inner(*a, **k):
            if torch.cuda.device_count() < n:
                raise unittest.SkipTest("x")
            return f(*a, **k)
        return inner
    return deco
class A(unittest.TestCase):
    @needs(2)
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "dec own n": """
def needs(n):
    return unittest.skipIf(torch.cuda.device_count() < n, "x")
class A(unittest.TestCase):
    @needs(2)
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "mark param": """
@pytest.mark.parametrize("dev", ["cuda:0", pytest.param("cuda:1", marks=pytest.mark.skipif(torch.cuda.device_count() < 2, reason=""))])
def test_a(dev):
    torch.zeros(1, device=dev)
""",
    "kept bool": """
MULTI = torch.cuda.device_count() > 1
if MULTI:
    torch.cuda.set_device(1)
""",
    "kept avail": """
MULTI = torch.cuda.is_available() and torch.cuda.device_count() > 1
if MULTI:
    torch.cuda.set_device(1)
""",
    "helper ret": """
def multi():
    return torch.cuda.is_available() and torch.cuda.device_count() > 1
if multi():
    torch.cuda.set_device(1)
""",
    "helper ret2": """
def multi():
    if torch.cuda.device_count() < 2:
        return False
    return True
if not multi():
    raise SystemExit
else:
    torch.cuda.set_device(1)
""",
    "n or 0": """
N = torch.cuda.device_count() if torch.cuda.is_available() else 0
if N > 1:
    torch.cuda.set_device(1)
""",
    "n or 0 mark": """
N = torch.cuda.device_count() if torch.cuda.is_available() else 0
@pytest.mark.skipif(N < 2, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "lib": """
from transformers.testing_utils import require_torch_multi_gpu
class A(unittest.TestCase):
    @require_torch_multi_gpu
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "dec inherit": """
@unittest.skipIf(torch.cuda.device_count() < 2, "two")
class B(unittest.TestCase):
    pass
class A(B):
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "helper skip": """
def two():
    if torch.cuda.device_count() < 2:
        pytest.skip("two")
def test_a():
    two()
    torch.zeros(1, device="cuda:1")
""",
    "fixture of fixture": """
@pytest.fixture
def two():
    if torch.cuda.device_count() < 2:
        pytest.skip("two")
@pytest.fixture
def pair(two):
    return 2
def test_a(pair):
    torch.zeros(1, device="cuda:1")
""",
    "three": """
n = torch.cuda.device_count()
if n >= 3:
    torch.cuda.set_device(2)
""",
    "try tuple": """
try:
    x = torch.zeros(1, device="cuda:1")
except (RuntimeError, torch.AcceleratorError):
    x = None
""",
}
"""Programs that name a second device only where there is one."""

UNGUARDED: dict[str, str] = {
    "mark named 1": """
needs_one = pytest.mark.skipif(torch.cuda.device_count() < 1, reason="")
@needs_one
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "mark unused": """
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "mark other": """
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
@needs_two
def test_b():
    pass
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "mark for 2 uses 3": """
import os
os.environ["CUDA_VISIBLE_DEVICES"] = "0,1"
import torch
import pytest
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
@needs_two
def test_a():
    torch.zeros(1, device="cuda:2")
""",
    "mark slow": """
@pytest.mark.slow
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "mark available": """
@pytest.mark.skipif(not torch.cuda.is_available(), reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "mark wrong way": """
@pytest.mark.skipif(torch.cuda.device_count() > 1, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "mark or ok": """
@pytest.mark.skipif(torch.cuda.device_count() < 2 and slow, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "pytestmark 1": """
pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 1, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "ut class 1": """
N = torch.cuda.device_count()
@unittest.skipIf(N < 1, "one")
class A(unittest.TestCase):
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "ut unless or": """
class A(unittest.TestCase):
    @unittest.skipUnless(torch.cuda.device_count() > 1 or slow, "two")
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "setUpClass 1": """
class A(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if torch.cuda.device_count() < 1:
            raise unittest.SkipTest("two")
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "setUp raises": """
class A(unittest.TestCase):
    def setUp(self):
        if torch.cuda.device_count() < 2:
            raise RuntimeError("two")
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "setUp other class": """
class B(unittest.TestCase):
    def setUp(self):
        if torch.cuda.device_count() < 2:
            self.skipTest("two")
class A(unittest.TestCase):
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "tearDown": """
class A(unittest.TestCase):
    def tearDown(self):
        if torch.cuda.device_count() < 2:
            self.skipTest("two")
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "fixture unused": """
@pytest.fixture
def two():
    if torch.cuda.device_count() < 2:
        pytest.skip("two")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "fixture 1": """
@pytest.fixture
def two():
    if torch.cuda.device_count() < 1:
        pytest.skip("one")
def test_a(two):
    torch.zeros(1, device="cuda:1")
""",
    "called directly": """
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
@needs_two
def test_a():
    torch.zeros(1, device="cuda:1")
if __name__ == "__main__":
    test_a()
""",
    "loop no guard": """
for i in range(4):
    torch.cuda.set_device(i)
""",
    "loop wrong guard": """
for i in range(4):
    if i <= torch.cuda.device_count():
        torch.cuda.set_device(i)
""",
    "loop else": """
for i in range(4):
    if i < torch.cuda.device_count():
        pass
    torch.cuda.set_device(i)
""",
    "loop other": """
for i in range(2):
    if i < torch.cuda.device_count():
        torch.cuda.set_device(i + 1)
""",
    "match wrong": """
match torch.cuda.device_count():
    case 0:
        pass
    case 1:
        torch.cuda.set_device(1)
""",
    "match rest": """
match torch.cuda.device_count():
    case 0:
        pass
    case _:
        torch.cuda.set_device(1)
""",
    "match guarded": """
match torch.cuda.device_count():
    case 1 if slow:
        pass
    case _:
        torch.cuda.set_device(1)
""",
    "match raise": """
match torch.cuda.device_count():
    case 0 | 1:
        raise SystemExit
    case _:
        pass
torch.cuda.set_device(1)
""",
    "try falls back": """
try:
    x = torch.zeros(1, device="cuda:1")
except RuntimeError:
    x = torch.zeros(1)
""",
    "try falls back to the CPU": """
try:
    torch.cuda.set_device(1)
except RuntimeError:
    device = "cpu"
""",
    "try reraise": """
try:
    torch.cuda.set_device(1)
except RuntimeError:
    print("x")
    raise
""",
    "try print": """
try:
    torch.cuda.set_device(1)
except RuntimeError as e:
    print(e)
""",
    "try exit": """
import sys
try:
    torch.cuda.set_device(1)
except RuntimeError as e:
    x = 1
    sys.exit(1)
""",
    "try oom": """
try:
    torch.zeros(1, device="cuda:1")
except RuntimeError as e:
    if "out of memory" in str(e):
        x = 1
    else:
        raise
""",
    "try other": """
try:
    torch.cuda.set_device(1)
except ImportError:
    torch = None
""",
    "try or cpu": """
try:
    device = torch.device("cuda:1")
    model = torch.nn.Linear(1, 1).to(device)
except RuntimeError:
    device = torch.device("cpu")
    model = torch.nn.Linear(1, 1)
""",
    "try deeper": """
def main():
    torch.cuda.set_device(1)
try:
    main()
except RuntimeError:
    ok = False
""",
    "dec own none": """
def require_gpu(test):
    return unittest.skipUnless(torch.cuda.is_available(), "one")(test)
class A(unittest.TestCase):
    @require_gpu
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "dec own maybe": """
def require(test):
    if slow:
        return unittest.skipUnless(torch.cuda.device_count() > 1, "two")(test)
    return test
class A(unittest.TestCase):
    @require
    def test_a(self):
        torch.zeros(1, device="cuda:1")
""",
    "xfail cond": """
@pytest.mark.xfail(torch.cuda.device_count() < 1, reason="")
def test_a():
    torch.zeros(1, device="cuda:1")
""",
    "kept bool 1": """
SOME = torch.cuda.device_count() >= 1
if SOME:
    torch.cuda.set_device(1)
""",
    "kept bool not": """
MULTI = torch.cuda.device_count() > 1
if not MULTI:
    torch.cuda.set_device(1)
""",
    "helper ret 1": """
def some():
    if torch.cuda.device_count() < 1:
        return False
    return True
if some():
    torch.cuda.set_device(1)
""",
}
"""Programs close to these that name a device which the mask hides."""

PATCHED: dict[str, str] = {
    "decorator": """
from unittest.mock import patch
@patch("torch.cuda.device_count", return_value=2)
def test_a(c):
    if torch.cuda.device_count() < 2:
        raise RuntimeError("two")
""",
    "with": """
from unittest import mock
def main():
  with mock.patch("torch.cuda.device_count", return_value=2):
    if torch.cuda.device_count() < 2:
        raise RuntimeError("two")
main()
""",
    "monkey": """
def test_a(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    if torch.cuda.device_count() < 2:
        raise RuntimeError("two")
""",
    "monkey-text": """
def test_a(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert torch.cuda.device_count() == 2
""",
    "object": """
from unittest import mock
@mock.patch.object(torch.cuda, "device_count", return_value=2)
def test_a(c):
    assert torch.cuda.device_count() == 2
""",
    "assign": """
torch.cuda.device_count = lambda: 2
assert torch.cuda.device_count() == 2
""",
    "class": """
from unittest import mock
@mock.patch("torch.cuda.device_count", lambda: 2)
class A(unittest.TestCase):
    def test_a(self):
        assert torch.cuda.device_count() == 2
""",
    "fixture": """
def test_a(mocker):
    mocker.patch("torch.cuda.device_count", return_value=2)
    assert torch.cuda.device_count() == 2
""",
}
"""Programs that say themselves how many devices there are."""

COUNTED: dict[str, str] = {
    "none": """
from unittest.mock import patch
@patch("torch.cuda.is_available", return_value=True)
def test_a(c):
    if torch.cuda.device_count() < 2:
        raise RuntimeError("two")
""",
    "after": """
from unittest import mock
def main():
  with mock.patch("torch.cuda.device_count", return_value=2):
    pass
  if torch.cuda.device_count() < 2:
        raise RuntimeError("two")
main()
""",
    "other test": """
def test_b(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
def test_a():
    if torch.cuda.device_count() < 2:
        raise RuntimeError("two")
""",
    "one": """
def test_b(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    assert torch.cuda.device_count() == 2
""",
}
"""Programs close to these that ask how many there are."""

MARKS = """import pytest, unittest, torch
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="")
needs_one = pytest.mark.skipif(torch.cuda.device_count() < 1, reason="")


def require_torch_multi_gpu(test_case):
    if not torch.cuda.is_available():
        return unittest.skip("no GPU")(test_case)
    return unittest.skipUnless(torch.cuda.device_count() > 1, "two")(test_case)
"""
TEST = """@{}
def test_two():
    torch.zeros(1, device="cuda:1")
"""


@pytest.mark.parametrize("program", GUARDED.values(), ids=GUARDED)
def test_a_device_behind_a_guard_for_it_exists(program: str) -> None:
    assert "GPU201" not in dict(codes(check_text(HEADER + program)))


@pytest.mark.parametrize("program", UNGUARDED.values(), ids=UNGUARDED)
def test_a_guard_for_another_number_or_another_test_shows_no_device(program: str) -> None:
    found = dict(
        codes(check_text(HEADER.replace('"0"', '"0,1"' if ":2" in program else '"0"') + program))
    )
    assert "GPU201" in found


@pytest.mark.parametrize("program", PATCHED.values(), ids=PATCHED)
def test_a_number_of_devices_that_a_test_makes_up_is_not_the_masks(program: str) -> None:
    assert "GPU203" not in dict(codes(check_text(HEADER + program)))


@pytest.mark.parametrize("program", COUNTED.values(), ids=COUNTED)
def test_a_patch_of_something_else_or_elsewhere_counts_nothing(program: str) -> None:
    assert "GPU203" in dict(codes(check_text(HEADER + program)))


@pytest.mark.parametrize(
    ("imported", "mark", "wrong"),
    [
        ("from marks import needs_two", "needs_two", False),
        ("import marks", "marks.needs_two", False),
        ("from marks import require_torch_multi_gpu as two", "two", False),
        ("from marks import needs_one", "needs_one", True),
        ("import marks", "pytest.mark.slow", True),
    ],
)
def test_a_mark_may_be_of_another_file(
    tmp_path: Path, imported: str, mark: str, wrong: bool
) -> None:
    program = f"{HEADER}{imported}\n\n\n{TEST.format(mark)}"
    found = check_files(tmp_path, {"marks.py": MARKS, "test_two.py": program})
    assert ("GPU201" in dict(codes(found["test_two.py"]))) is wrong
