"""The examples in ``rules/*.toml`` are tests: bad is found, good is not, fixed is exact."""

from __future__ import annotations

import pytest

from gpu_lint.checks import CHECKS, ENGINE_CHECKS
from gpu_lint.rulebook import Example, Rule, load_rulebook
from tests.conftest import check_text, codes, fix_text

BOOK = load_rulebook()
EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.code}-{example.title}")
    for rule in BOOK.rules.values()
    for example in rule.examples
]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_bad_example_is_found_on_its_lines(rule: Rule, example: Example) -> None:
    found = codes(check_text(example.bad.lstrip("\n"), example.policy))
    assert [line for code, line in found if code == rule.code] == list(example.lines), found


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_good_example_is_not_found(rule: Rule, example: Example) -> None:
    found = codes(check_text(example.good.lstrip("\n"), example.policy))
    assert [item for item in found if item[0] == rule.code] == []


@pytest.mark.parametrize(("rule", "example"), [item for item in EXAMPLES if item.values[1].fixed])
def test_fix_makes_exactly_the_fixed_example(rule: Rule, example: Example) -> None:
    fixed = fix_text(example.bad.lstrip("\n"), example.policy)
    assert fixed.after.source.text == example.fixed.lstrip("\n")
    assert fixed.dropped == ()
    again = fix_text(fixed.after.source.data, example.policy)
    assert again.after.source.data == fixed.after.source.data


@pytest.mark.parametrize("rule", BOOK.rules.values(), ids=lambda rule: rule.code)
def test_rule_names_a_check_that_exists_and_has_examples(rule: Rule) -> None:
    assert rule.check in CHECKS or rule.check in ENGINE_CHECKS
    assert rule.examples
    assert rule.code[3:].isdigit()


def test_every_check_is_named_by_a_rule() -> None:
    assert set(CHECKS) | ENGINE_CHECKS == {rule.check for rule in BOOK.rules.values()}
