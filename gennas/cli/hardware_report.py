"""The report of `gennas hardware add`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gennas.hardware.profile import Hardware
    from gennas.predictors.few_shot import FewShotReport
    from gennas.predictors.hardware_check import Sanity


def added_document(
    device: Hardware, path: Path, new: int, repeatability: float | None, report: FewShotReport, sanity: Sanity
) -> dict[str, Any]:
    """The document of `gennas hardware add`, but for its notes.

    Args:
        device: as it is stored.
        path: where.
        new: how many of its archs this command brought.
        repeatability: see :func:`gennas.evaluators.hardware_profiling.measure`.
        report: how well the predictor fits the device.
        sanity: what is predicted for it.
    """
    return {
        "hardware": {
            "name": device.name,
            "space": device.space,
            "file": str(path),
            "how": dict(device.how),
            "skeleton": device.skeleton,
            "input_shape": device.input_shape,
            "measurements": len(device.measurements),
            "new": new,
            "repeatability": repeatability,
        },
        "few_shot": {
            "archs": report.archs,
            "spearman": _number(report.spearman),
            "relative_error": _number(report.relative_error),
            "advice": report.advice,
        },
        "predicted": {
            "smallest_ms": sanity.smallest_ms,
            "largest_ms": sanity.largest_ms,
            **{f"spearman_{name}": value for name, value in sanity.spearman.items()},
        },
    }


def disturbances(device: Hardware) -> list[str]:
    """That a machine was busy while it was measured, where it was."""
    disturbed = [measured.disturbance for measured in device.measurements if measured.disturbance]
    if not disturbed:
        return []
    return [
        f"{len(disturbed)} of {len(device.measurements)} archs were measured while the machine was busy "
        f"({disturbed[0]}): their latencies may be too long. Measure again when it is idle."
    ]


def added_rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """That document for people."""
    device, quality, predicted = document["hardware"], document["few_shot"], document["predicted"]
    values = {
        "archs measured": device["measurements"],
        "measured twice, median difference": device["repeatability"],
        "rank correlation, leave-one-out": quality["spearman"],
        "median relative error, leave-one-out": quality["relative_error"],
        "shortest predicted, ms": predicted["smallest_ms"],
        "longest predicted, ms": predicted["largest_ms"],
        "rank correlation with macs_m": predicted["spearman_macs_m"],
        "rank correlation with params_m": predicted["spearman_params_m"],
    }
    return [
        {"what": what, "value": f"{value:.3g}" if isinstance(value, float) else value}
        for what, value in values.items()
        if value is not None
    ]


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
