"""Operations on constants are carried out: a mask that is computed is judged by what it comes to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import check_text, codes

POLICY: dict[str, Any] = {"gpu": {"visible-devices": "1", "device-order": "PCI_BUS_ID"}}
BEFORE = """
import configparser, decimal, enum, json, os, random, shlex
from collections import namedtuple
from typing import NamedTuple
import numpy as np

class Card(enum.Enum):
    BIG = "1"

Choice = namedtuple("Choice", "gpu, batch")

class Settings(NamedTuple):
    gpu: str = "1"

config = configparser.ConfigParser()
os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
"""
ONE = [
    "str(1)",
    "'{:d}'.format(1)",
    "'{0:>1}'.format('1')",
    "'{!s}'.format(1)",
    "f'{1:d}'",
    "f'{1!r}'",
    "f'{1:01d}'",
    "f'{Card.BIG.value:s}'",
    "format(1)",
    "format(1, 'd')",
    "','.join(map(str, [1]))",
    "'gpu1'[-1]",
    "'gpu1'[3:]",
    "'1,0'[:1]",
    "['0', '1'][1:][0]",
    "'cuda:1'.removeprefix('cuda:')",
    "'cuda:1'.split(':')[1]",
    "'cuda:1'.rsplit(':', 1)[-1]",
    "'cuda:1'.partition(':')[2]",
    "'cuda:1'.replace('cuda:', '')",
    "'gpu1'.strip('gpu')",
    "str(1).zfill(1)",
    "chr(49)",
    "repr(1)",
    "str(max(0, 1))",
    "str(min([1, 2]))",
    "str(abs(-1))",
    "str(sum([1, 0]))",
    "str(len(['a']))",
    "str('ab'.index('b'))",
    "sorted(['1', '2'])[0]",
    "b'1'.decode()",
    "'1'.encode().decode('ascii')",
    "json.dumps(1)",
    "shlex.split('-g 1')[1]",
    "shlex.quote('1')",
    "Choice('1', 32).gpu",
    "Choice(gpu='1', batch=32).gpu",
    "Settings().gpu",
    "dict.fromkeys(['gpu'], '1')['gpu']",
]
ZERO = [
    "'{:d}'.format(0)",
    "f'{0:d}'",
    "'gpu0'[-1]",
    "'1,0'[2:]",
    "'cuda:0'.removeprefix('cuda:')",
    "'cuda:0'.rpartition(':')[2]",
    "chr(48)",
    "str(min(0, 1))",
    "shlex.split('-g 0')[1]",
    "Choice('0', 32).gpu",
    "Settings('0').gpu",
    "dict.fromkeys(('gpu', 'card'), '0')['card']",
]
INVALID = ["bin(1)", "hex(1)", "repr('1')", "f'{\"1\"!r}'", "'1'.center(3, 'x')", "ascii('1')"]
NO_STRING = [
    "'1:x'.partition(':')",
    "'1'.encode()",
    "'1 2'.split()",
    "sum([1])",
    "max(0, 1)",
    "round(1.0)",
    "shlex.split('1')",
    "np.int64(1)",
    "np.array([1])",
    "random.randint(0, 1)",
    "config.getint('gpu', 'index')",
    "print('1')",
    "sorted('1')",
    "decimal.Decimal(1)",
    "Choice('1', 32)",
    "'1'.find('1')",
    "'1'.isdigit()",
    "','.join([1])",
]
UNKNOWN = [
    "'1'.zfill(10**9)",
    "'1' * 10**9",
    "f'{1:{input()}}'",
    "f'{1:>100000000}'",
    "'{:>100000000}'.format(1)",
    "format(1, '>' + '9' * 8)",
    "'1'[input()]",
    "'1'[int(input()):]",
    "input()[3:]",
    "'1'.join(input())",
]
"""What would take long to compute, what raises, and what only the run will tell."""


def judged(expression: str, policy: dict[str, Any] | None = POLICY) -> list[str]:
    program = f"{BEFORE}os.environ['CUDA_VISIBLE_DEVICES'] = {expression}\nimport torch\n"
    return [code for code, _ in codes(check_text(program, policy))]


@pytest.mark.parametrize("expression", ONE)
def test_what_comes_to_the_mask_that_is_demanded(expression: str) -> None:
    assert judged(expression) == []
    assert judged(expression, None) == []


@pytest.mark.parametrize("expression", ZERO)
def test_what_comes_to_another_mask(expression: str) -> None:
    assert judged(expression) == ["GPU102"]
    assert judged(expression, None) == []


@pytest.mark.parametrize("expression", INVALID)
def test_what_comes_to_a_text_that_names_no_device(expression: str) -> None:
    assert judged(expression, None) == ["GPU112"]


@pytest.mark.parametrize("expression", NO_STRING)
def test_what_comes_to_no_string(expression: str) -> None:
    assert judged(expression, None) == ["GPU112"]


@pytest.mark.parametrize("expression", UNKNOWN)
def test_what_is_not_computed(expression: str) -> None:
    assert judged(expression) == ["GPU102"]
    assert judged(expression, None) == []
