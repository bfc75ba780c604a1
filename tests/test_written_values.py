"""What is written to the mask: values that are no string, and strings that name no device."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.conftest import check_text, codes

PREPARED = """
import argparse
import enum
import json
import os
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--gpu", type=int, default=0)
parser.add_argument("--number", type=int)
parser.add_argument("--name", default="0")
parser.add_argument("--gpus", nargs="+")
args = parser.parse_args()


class Card(enum.Enum):
    BIG = "1"


class Said(enum.Enum):
    BIG = "1"

    def __str__(self):
        return self.value


class Named(str, enum.Enum):
    BIG = "1"


class Number(enum.IntEnum):
    BIG = 1


class Settings:
    gpu = "1"

    def chosen(self):
        return "1"

    @property
    def card(self):
        return "1"


class Text(str):
    pass


NAMES = {Card.BIG: "1"}


def choose():
    return "1"


"""
ROW = PREPARED.count("\n") + 1

NO_STRINGS = [
    "[0, 1]", '["1"]', "(1,)", '"1",', "{1}", '{"gpu": 1}', 'b"1"', "range(2)", 'Path("1")',
    "Card.BIG", "Number.BIG", "Settings()", "Settings", "Settings().chosen", "choose",
    "(str(n) for n in [1])", "[str(n) for n in [1]]", "[n for n in sys.argv]", "map(str, [1])",
    '"0,1".split(",")', 'sys.argv[1].split(",")', "len(sys.argv)", "int(sys.stdin.read())",
    "args.gpu", "args.number", "args.gpus", "[*sys.argv]", "lambda: 1", "1", "True", "None",
]  # fmt: skip
WRONG_STRINGS = [
    "str([1])", "str((1,))", "json.dumps([1])", 'json.dumps("1")', 'repr("1")', 'f"{[1]}"',
    'f"{Card.BIG}"', "str(Card.BIG)", '"{}".format([1])', '"%s" % [1]', "str(None)",
    "str(args.gpus)", 'f"cuda:{sys.argv[1]}"', 'f"[{args.name}]"', '"cuda:" + args.name',
    '"GPU-8d1f4a52-a, GPU-7c2e9b31-b"', '" GPU-8d1f4a52-a"', "\"'1'\"",
]  # fmt: skip
RIGHT_STRINGS = [
    '"1"', "str(1)", 'f"{1}"', '",".join(map(str, [0, 1]))', '",".join(str(n) for n in range(2))',
    "Card.BIG.value", "Named.BIG", "Named.BIG.value", "str(Said.BIG)", 'f"{Said.BIG}"',
    "NAMES[Card.BIG]", "Settings().gpu", "Settings().card", "Settings().chosen()", 'Text("1")',
    'sys.argv[1].split(",")[0]', '"0,1".split(",")[1]', "str(args.gpu)", "args.name", "choose()",
    'f"{args.name},{args.number}"', 'f"GPU-{args.name}"', '",".join(args.gpus)', "repr(1)",
    "json.dumps(1)", '"%s" % (1,)', "str(len([0]))", '"GPU-8d1f4a52-a ,GPU-7c2e9b31-b "',
    'f"-{args.number}"', 'str(Path("1"))', 'os.fspath(Path("1"))', 'b"1".decode()',
]  # fmt: skip


def found(value: str) -> list[tuple[str, int]]:
    return codes(check_text(f'{PREPARED}os.environ["CUDA_VISIBLE_DEVICES"] = {value}\n'))


@pytest.mark.parametrize("value", NO_STRINGS + WRONG_STRINGS)
def test_what_shows_no_gpu_or_raises_is_found(value: str) -> None:
    assert found(value) == [("GPU112", ROW)]


@pytest.mark.parametrize("value", RIGHT_STRINGS)
def test_what_is_or_may_be_a_mask_is_left_alone(value: str) -> None:
    assert found(value) == []


def test_only_a_default_that_is_none_is_no_finding() -> None:
    source = """
    import os

    gpu = os.environ.get("GPU")
    os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
    """
    assert codes(check_text(dedent(source))) == []


def test_a_value_that_may_be_a_string_is_left_alone() -> None:
    source = """
    import os
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--gpu", type=int, default=0)
    gpu = parser.parse_args().gpu
    if isinstance(gpu, int):
        gpu = str(gpu)
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    """
    assert codes(check_text(dedent(source))) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"1",', "must be a string: writing ('1',) raises TypeError"),
        ("Settings()", "must be a string: writing a value of type Settings raises TypeError"),
        ("f'{\"1\"!r}'", '"\'" is part of the value: CUDA shows no GPU at all'),
        ("Card.BIG", "must be a string: writing Card.BIG raises TypeError"),
        ('"1\\0"', "no variable can hold a null byte: writing it raises ValueError"),
        ("\"'1'\"", '"\'" is part of the value: CUDA shows no GPU at all'),
        ("str([1])", "'[' is part of the value: CUDA shows no GPU at all"),
        ('"GPU-a, GPU-b"', "CUDA stops at ' GPU-b' and shows only device GPU-a"),
        ('f"cuda:{args.name}"', "begins with 'cuda:': CUDA shows no GPU at all"),
    ],
)
def test_the_message_names_what_is_wrong(value: str, said: str) -> None:
    source = f'{PREPARED}os.environ["CUDA_VISIBLE_DEVICES"] = {value}\n'
    (finding,) = check_text(source).findings
    assert said in finding.message


UNCALLED = """import os
import torch


class Evaler:
    @{0}
    def reload({1}):
        if device:
            os.environ["CUDA_VISIBLE_DEVICES"] = device
        return torch.device("cuda")
"""


@pytest.mark.parametrize(
    ("decorator", "parameters", "wanted"),
    [
        ("staticmethod", "device, model", []),
        ("staticmethod", "device", []),
        ("classmethod", "cls, device", []),
        ("decorated", "self, device", []),
        ("classmethod", "device", [("GPU112", 9)]),
        ("decorated", "device", [("GPU112", 9)]),
    ],
)
def test_a_method_that_nothing_calls_is_given_its_object_only_where_python_gives_it(
    decorator: str, parameters: str, wanted: list[tuple[str, int]]
) -> None:
    found = codes(check_text(UNCALLED.format(decorator, parameters)))
    assert [one for one in found if one[0] == "GPU112"] == wanted
