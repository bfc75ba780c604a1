"""Checks: pure functions from facts, policy and rulebook to findings.

A rule's TOML names its check; several rules may share one, where one cause must yield one
finding. Checks see neither files nor syntax trees.
"""

from __future__ import annotations

from gpu_lint.checks.children import check_children
from gpu_lint.checks.context import Check, Companion, Context, Found
from gpu_lint.checks.devices import (
    check_device_counts,
    check_dynamic_indices,
    check_fallbacks,
    check_followed_masks,
    check_numberings,
    check_selectors,
)
from gpu_lint.checks.header import check_drift, check_missing
from gpu_lint.checks.ranks import check_global_ranks, check_ranks
from gpu_lint.checks.validation import check_order, check_validation, check_validators
from gpu_lint.checks.writes import (
    check_conflicts,
    check_forced_settings,
    check_orders,
    check_removals,
    check_settings,
)

__all__ = [
    "CHECKS",
    "ENGINE_CHECKS",
    "Check",
    "Companion",
    "Context",
    "Found",
]

CHECKS: dict[str, Check] = {
    "missing-settings": check_missing,
    "settings": check_settings,
    "conflicting-settings": check_conflicts,
    "header-drift": check_drift,
    "forced-settings": check_forced_settings,
    "removals": check_removals,
    "orders": check_orders,
    "selectors": check_selectors,
    "followed-masks": check_followed_masks,
    "numberings": check_numberings,
    "dynamic-indices": check_dynamic_indices,
    "fallbacks": check_fallbacks,
    "validation-order": check_order,
    "children": check_children,
    "ranks": check_ranks,
    "global-ranks": check_global_ranks,
    "device-counts": check_device_counts,
    "validation": check_validation,
    "validators": check_validators,
}
ENGINE_CHECKS = frozenset({"syntax", "suppressions"})
"""Checks that the engine makes itself: they are about the file and its comments."""
