"""What ``doctor`` found out, as JSON of the schema ``gpu-lint.doctor/1``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from gpu_lint.runtime.doctor import Examination
from gpu_lint.runtime.fit import Fit
from gpu_lint.runtime.remarks import Remark

SCHEMA = "gpu-lint.doctor/1"


def render(found: Examination) -> str:
    """Return the document of an examination."""
    return json.dumps(document(found), indent=2) + "\n"


def document(found: Examination) -> dict[str, Any]:
    """Return an examination as plain data. Memory is in MiB; null is *not available*."""
    return {
        "schema": SCHEMA,
        "verdict": found.verdict.value,
        "directory": found.directory,
        "machine": None if found.machine is None else asdict(found.machine),
        "no_driver": None if found.no_driver is None else found.no_driver.text,
        "policies": list(map(_policy, found.fits)),
        "torch": None if found.torch is None else asdict(found.torch),
        "torch_remarks": list(map(_remark, found.torch_remarks)),
        "variables": [
            {"place": one.place, "name": one.name, "value": one.value, **_remark(one.remark)}
            for one in found.variables
        ],
        "surroundings": list(map(_remark, found.surroundings)),
        "next_steps": list(found.next_steps),
    }


def _policy(fit: Fit) -> dict[str, Any]:
    return {
        "where": fit.where,
        "origin": fit.origin,
        "visible_devices": fit.gpu.visible_devices,
        "device_order": fit.gpu.device_order,
        "name": fit.gpu.name,
        "min_memory_gib": fit.gpu.min_memory_gib,
        "forbidden": list(fit.gpu.forbidden),
        "devices": [
            {
                "entry": one.entry,
                "card": None if one.card is None else one.card.index,
                "uuid": None if one.card is None else one.card.uuid,
            }
            for one in fit.devices
        ],
        "remarks": list(map(_remark, fit.remarks)),
    }


def _remark(remark: Remark) -> dict[str, Any]:
    return {"level": remark.level.value, "text": remark.text, "advice": remark.advice or None}
