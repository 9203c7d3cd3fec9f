"""The order in which archs are handed over: best first by the very values that are shown."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gennas.arch import Arch
from gennas.metrics import Objective
from gennas.pareto import pareto_order
from gennas.predictors.deployment import Predicted


def in_shown_order(
    objective: Objective, archs: Sequence[Arch], predicted: Sequence[Predicted]
) -> tuple[tuple[Arch, ...], tuple[Predicted, ...]]:
    """Archs and their predictions, by non-domination rank of the values that stand for them in tables.

    Archs are drawn by normal scores, whose order is not quite that of means in units: these depend on how uncertain an
    arch is, and of an accuracy that stands for those of several tasks they are means over other scales.

    Args:
        objective: what is best.
        archs: in the order that decides between equals.
        predicted: for each its values; where one of the objective is missing, the order remains.
    """
    names = [metric.name for metric in objective.metrics]
    if not names or any(name not in values for values in predicted for name in names):
        return tuple(archs), tuple(predicted)
    signs = torch.tensor([metric.kind.sign for metric in objective.metrics], dtype=torch.double)
    rows = [[_shown(values[name]) for name in names] for values in predicted]
    order = pareto_order(torch.tensor(rows, dtype=torch.double).reshape(-1, len(names)) * signs)
    return tuple(archs[row] for row in order), tuple(predicted[row] for row in order)


def _shown(value: float | dict[str, float]) -> float:
    """The number that a table shows first."""
    return value.get("median", value["mean"]) if isinstance(value, dict) else value
