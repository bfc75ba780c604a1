"""The state of an execution path: frames that paths share, and what it costs to join them."""

from __future__ import annotations

import pytest

from gpu_lint.errors import SourceError
from gpu_lint.facts.flow import Flow
from gpu_lint.facts.model import INHERITED, Written
from gpu_lint.facts.uncalled import Uncalled
from gpu_lint.facts.values import UNKNOWN, Items, Known, any_of


def test_a_change_reaches_what_a_closed_frame_held() -> None:
    held = Items("list", (Known(1),))
    flow = Flow()
    for frame in range(30):
        flow.open(frame)
    flow.bind(1, "x", held)
    flow.copy()  # all frames are shared from here on
    flow.bind(1, "y", held)
    flow.close(1)
    flow.change(held, UNKNOWN)
    assert flow.frame(1)["x"] is UNKNOWN


def test_a_path_that_stands_for_another_too_still_differs_from_it() -> None:
    flow = Flow()
    failed = flow.copy()
    flow.become(flow.copy())  # what a function returned from leaves
    written = Written(Known("1"))
    flow.put("V", frozenset({written}))
    failed.join(flow.copy())
    flow.join(failed)
    assert flow.holds("V") == {written, INHERITED}


def test_names_that_were_joined_are_joined_again_where_they_have_changed() -> None:
    module = Flow()
    module.open(1)
    module.bind(1, "x", Known(1))
    flow = Flow()
    flow.open(1)
    flow.bind(1, "x", Known(2))
    both = any_of((Known(1), Known(2)))
    for _ in range(3):
        flow.follow(module, ())
        assert flow.frame(1)["x"] == both
    flow.bind(1, "x", Known(3))
    flow.follow(module, ())
    assert flow.frame(1)["x"] == any_of((Known(1), Known(3)))


def test_branches_times_names_has_an_end() -> None:
    flow = Flow()
    flow.open(0)
    for number in range(6_000):
        flow.bind(0, f"x{number}", Known(number))

    def branch_without_end() -> None:
        for number in range(100_000):
            other = flow.copy()
            other.bind(0, "y", Known(number))
            flow.join(other)

    with pytest.raises(SourceError, match="too many branches"):
        branch_without_end()


def test_functions_wait_until_no_other_that_waits_mentions_them() -> None:
    waiting: Uncalled[str] = Uncalled()
    for name, words in (("a", ()), ("b", ("a",)), ("c", ("b", "c")), ("d", ("e",)), ("e", ("d",))):
        waiting.add(name, name.encode(), frozenset(word.encode() for word in words))
    waiting.settle()
    order = []
    while (key := waiting.take()) is not None:
        order.append(key)
    assert order == ["c", "b", "a", "d", "e"]
