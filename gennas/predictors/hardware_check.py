"""What a few measurements make of a predictor: the fit, and whether what it says about archs makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.hardware.profile import Hardware
from gennas.predictors.base import Predictor
from gennas.spaces import Space
from gennas.tasks import Task

if TYPE_CHECKING:
    from gennas.predictors.few_shot import FewShotReport

#: Random archs whose predictions are looked at.
LOOKED_AT = 300


@dataclass(frozen=True)
class Sanity:
    """What the predictions for random archs look like.

    Attributes:
        smallest_ms: shortest predicted latency.
        largest_ms: longest predicted latency.
        spearman: rank correlation of the predicted latency with ``macs_m`` and ``params_m``; None where one of them
            is the same for all.
        notes: what looks wrong, in sentences.
    """

    smallest_ms: float
    largest_ms: float
    spearman: dict[str, float | None]
    notes: tuple[str, ...]


def fit(predictor: Predictor, space: Space, hardware: Hardware) -> tuple[Predictor, FewShotReport]:
    """A predictor that also knows ``latency_ms@name``, and how well.

    Raises:
        InvalidInputError: the measurements say nothing together, or the predictor cannot learn devices.
        InvalidArchError: a measured key is no arch of the space.
    """
    from gennas.predictors.few_shot import adapt_hardware

    archs = [space.parse(key) for key in hardware.keys]
    return adapt_hardware(predictor, space, hardware.name, archs, hardware.latency_ms)


def check_predictions(predictor: Predictor, space: Space, task: Task, hardware: str, seed: int = 0) -> Sanity:
    """Checks predicted latencies of random archs: positive, and longer where there is more to compute.

    Args:
        predictor: knows ``latency_ms@hardware``.
        space: the archs are drawn from.
        task: sizes the networks whose costs are compared.
        hardware: name of the device.
        seed: of the archs.

    Raises:
        InvalidInputError: a prediction is no positive number.
    """
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    archs = [space.sample(rng) for _ in range(LOOKED_AT)]
    column = predictor.metrics.index(f"latency_ms@{hardware}")
    mean, std = (
        values[:, column].numpy() for values in predictor.predict(GraphBatch.from_archs(archs, space.template))
    )
    bad = ~(np.isfinite(mean) & (mean > 0) & np.isfinite(std))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise InvalidInputError(
            f"these measurements do not determine a predictor: for {bad.sum()} of {LOOKED_AT} random archs it says no "
            f"positive latency, e.g. {mean[first]:g} ms for {archs[first].key!r}. Check them, or measure more archs: "
            "gennas hardware choose"
        )
    costs = [space.costs(arch, task) for arch in archs]
    spearman: dict[str, float | None] = {}
    for name in ("macs_m", "params_m"):
        column_of_costs = np.array([cost[name] for cost in costs])
        varies = np.ptp(column_of_costs) > 0 and np.ptp(mean) > 0
        spearman[name] = float(spearmanr(mean, column_of_costs).statistic) if varies else None
    notes = []
    if (found := spearman["macs_m"]) is not None and found < 0:
        notes.append(
            f"these measurements say that larger networks run faster (rank correlation of latency and macs_m "
            f"{found:.2f}): check that latency_ms holds milliseconds a run and belongs to the keys beside it."
        )
    if np.ptp(mean) == 0:
        notes.append("all archs are predicted the same latency: measure more archs, of more different sizes.")
    return Sanity(float(mean.min()), float(mean.max()), spearman, tuple(notes))
