"""One table of spellings: what the interpreter calls the choice of a device has a sign in the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_lint.facts.needles import needles_for
from gpu_lint.facts.spellings import DEVICE_KEYWORDS, DEVICE_WORDS
from gpu_lint.facts.touch import Touch
from gpu_lint.rulebook import load_rulebook
from tests.conftest import VOICE_POLICY, check_text

POLICY = {**VOICE_POLICY, "header": {"required-in": "never"}}
KNOWLEDGE = load_rulebook().knowledge
SIGNS = Touch.DEVICES | Touch.HANDED | Touch.PASSED | Touch.FOREIGN
NUMBERS = (
    "1", "0x1", "0X1", "0o1", "0b1", "1_0", "(1)", "2 - 1", "\\\n1", "  # which\n 1", "GPU", "which",
    "self.card", "cards['stt']", "int('1')", "(card := 1)",
)  # fmt: skip
TEXTS = tuple(
    text
    for word in DEVICE_WORDS
    for text in (
        f"'{word}:1'", f'"""{word}:1"""', f"'''{word}:1'''", f"r'{word}:1'", f"u'{word}:1'",
        f"'{word}:01'", f"'{word}' ':1'", f"'{word}' + ':1'", f"'{word}:' '1'", f"'{word}'\\\n':1'",
        f"f'{word}:{{1}}'", f"'{word}:' + str(1)", f"'{word}:%d' % 1", f"'{word}:{{}}'.format(1)",
        f"':'.join(['{word}', '1'])", f"\n  '{word}:1'\n",
    )
)  # fmt: skip
LISTS = ("[0, 1]", "[0x1]", "(1,)", "[GPU]", "list(range(2))", "'0,1'", "'1,'", "[which]")
MAPS = ("{'': 1}", "{'a': 0x1}", "{'': 'cuda:1'}", "{'cuda:0': 'cuda:1'}", "dict(a=1)")
VALUES = {
    "index": (*NUMBERS, *TEXTS),
    "device": (*NUMBERS, *TEXTS),
    "ranges": (*NUMBERS, *LISTS, "'1'", "'''1'''", "'0-1'"),
    "indices": LISTS,
    "devices": (*LISTS, "2", "0x2"),
    "count": ("2", "0x2", "GPU + 1"),
    "split": ("[0.5, 0.5]", "[0, 1]"),
    "map": MAPS,
    "memory": ("{0: '1G', 1: '1G'}", "{0x1: '1G'}"),
}
BEFORE = """GPU = which = 1
cards = {"stt": 1}


class Holder:
    card = 1


self = Holder()
"""
ROWS = [
    (framework.modules[0], api, argument)
    for framework in KNOWLEDGE.frameworks
    for api in framework.apis
    for argument in api.devices
    if argument.kind in VALUES and argument.variable is None
]


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Draw a program that gives a device to a call of a row, or to any call by a keyword."""
    if draw(st.booleans()):
        keyword = draw(st.sampled_from([*sorted(DEVICE_KEYWORDS), "to"]))
        value = draw(st.sampled_from(VALUES["device"]))
        call = f"load(x).to({value})" if keyword == "to" else f"load(x, {keyword}={value})"
        return f"import torch\nfrom app import load\n{BEFORE}{call}\n"
    module, api, argument = draw(st.sampled_from(ROWS))
    value = draw(st.sampled_from(VALUES[argument.kind]))
    if argument.key is not None:
        value = f"{{{argument.key!r}: {value}}}"
    beside = [f"{argument.after!r}"] if argument.after is not None else []
    if argument.keyword is not None and (argument.position is None or draw(st.booleans())):
        given_to = ", ".join([*beside, f"{argument.keyword}={value}"])
    else:
        filling = ["x"] * ((argument.position or 0) - len(beside))
        given_to = ", ".join([*beside, *filling, value])
    owner = "" if api.method or api.attribute else api.name.rpartition(".")[0]
    imports = f"import {module}\n" + (f"import {owner}\n" if owner else "")
    called = f"x.{api.name}" if not owner else api.name
    call = f"x.{api.name} = {value}" if api.attribute else f"{called}({given_to})"
    return f"{imports}{BEFORE}{call}\n"


@settings(max_examples=200, deadline=None)
@given(programs())
def test_what_is_called_a_device_has_a_sign(program: str) -> None:
    found = [f.code for f in check_text(program, POLICY).findings]
    if {"GPU201", "GPU204"} & set(found):
        assert needles_for(KNOWLEDGE).touch(program.encode()) & SIGNS, program


@pytest.mark.parametrize("value", [*NUMBERS, *TEXTS])
def test_every_spelling_is_one_of_a_device(value: str) -> None:
    program = f"import torch\nfrom app import load\n{BEFORE}load(x).to({value})\n"
    assert {f.code for f in check_text(program, POLICY).findings} == {"GPU201"}
    assert needles_for(KNOWLEDGE).touch(program.encode()) & Touch.DEVICES


@pytest.mark.parametrize(
    "text",
    [
        "x = model('cuda')\n",
        "x.to('cuda:0')\n",
        "x.to(0)\nx.to(None)\n",
        "print('gpu', 'memory')\n",
        "def f():\n    '''\n    Moves to cuda:1.\n    '''\n",
        "HELP = '''\nuse --device cuda:1\n'''\n",
    ],
)
def test_the_first_device_and_prose_have_no_sign(text: str) -> None:
    assert not needles_for(KNOWLEDGE).touch(text.encode()) & (Touch.DEVICES | Touch.FOREIGN)
