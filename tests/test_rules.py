"""The examples in ``rules/*.toml`` are tests: bad is found, good is not, fixed is exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_lint.checks import CHECKS, ENGINE_CHECKS
from gpu_lint.rulebook import Example, Rule, Severity, load_rulebook
from tests.conftest import check_files, codes, fix_files

BOOK = load_rulebook()
EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.code}-{example.title}")
    for rule in BOOK.rules.values()
    for example in rule.examples
]


def program(example: Example, text: str) -> dict[str, str]:
    """The files of an example; ``text`` is the one it is about."""
    files = {name: content.lstrip("\n") for name, content in example.files.items()}
    return {**files, "run.py": text.lstrip("\n")}


def options(rule: Rule) -> dict[str, list[str]]:
    """Rules that are off run only where they are selected."""
    return {"extend-select": [rule.code]} if rule.severity is Severity.OFF else {}


def marked_lines(rule: Rule, text: str) -> list[int]:
    """The lines of another file on which an example says that the rule reports."""
    return [n for n, line in enumerate(text.splitlines(), 1) if line.endswith(f"# {rule.code}")]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_bad_example_is_found_on_its_lines(rule: Rule, example: Example, tmp_path: Path) -> None:
    files = program(example, example.bad)
    found = check_files(tmp_path, files, example.policy, **options(rule))
    for name, result in found.items():
        lines = [line for code, line in codes(result) if code == rule.code]
        expected = list(example.lines) if name == "run.py" else marked_lines(rule, files[name])
        assert lines == expected, (name, codes(result))
    assert any(code == rule.code for result in found.values() for code, _ in codes(result))


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_good_example_is_not_found(rule: Rule, example: Example, tmp_path: Path) -> None:
    files = program(example, example.good)
    for result in check_files(tmp_path, files, example.policy, **options(rule)).values():
        assert [item for item in codes(result) if item[0] == rule.code] == []


@pytest.mark.parametrize(("rule", "example"), [item for item in EXAMPLES if item.values[1].fixed])
def test_fix_makes_exactly_the_fixed_example(rule: Rule, example: Example, tmp_path: Path) -> None:
    files = program(example, example.bad)
    fixed_files = {name: text.lstrip("\n") for name, text in example.fixed_files.items()}
    expected = {**files, **fixed_files, "run.py": example.fixed.lstrip("\n")}
    unsafe = rule.fix == "unsafe"
    for before in (files, expected):
        after = fix_files(tmp_path, before, example.policy, unsafe=unsafe, **options(rule))
        assert after == expected


@pytest.mark.parametrize("rule", BOOK.rules.values(), ids=lambda rule: rule.code)
def test_rule_names_a_check_that_exists_and_has_examples(rule: Rule) -> None:
    assert rule.check in CHECKS or rule.check in ENGINE_CHECKS
    assert rule.examples
    assert rule.code[3:].isdigit()


def test_every_check_is_named_by_a_rule() -> None:
    assert set(CHECKS) | ENGINE_CHECKS == {rule.check for rule in BOOK.rules.values()}
