"""Adapting a predictor to the user's hardware, and sanity checks of the resulting predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gennas.commands import command
from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.hardware.profile import Hardware
from gennas.predictors.base import Predictor
from gennas.spaces import Space, space_option
from gennas.tasks import Task

if TYPE_CHECKING:
    from gennas.predictors.few_shot import FewShotReport

#: Random archs whose predictions are checked.
CHECKED_ARCHS = 300


@dataclass(frozen=True)
class Sanity:
    """A summary of the predicted latencies of random archs.

    Attributes:
        smallest_ms: shortest predicted latency.
        largest_ms: longest predicted latency.
        spearman: rank correlation of predicted latency with ``macs_m`` and ``params_m``; None if either is constant.
        notes: what looks wrong, as sentences.
    """

    smallest_ms: float
    largest_ms: float
    spearman: dict[str, float | None]
    notes: tuple[str, ...]


def fit(predictor: Predictor, space: Space, hardware: Hardware) -> tuple[Predictor, FewShotReport]:
    """Adapts a predictor to the hardware's measurements; see :func:`gennas.predictors.few_shot.adapt_hardware`.

    Raises:
        InvalidInputError: the measurements are not valid, or the predictor does not support adaptation.
        InvalidArchError: a measured key is not a valid arch of the space.
    """
    from gennas.predictors.few_shot import adapt_hardware

    archs = [space.parse(key) for key in hardware.keys]
    return adapt_hardware(predictor, space, hardware.name, archs, hardware.latency_ms)


def check_predictions(predictor: Predictor, space: Space, task: Task, hardware: str, seed: int = 0) -> Sanity:
    """Checks that predicted latencies of random archs are positive and increase with their costs.

    Args:
        predictor: predicts ``latency_ms@hardware``.
        space: the space to draw archs from.
        task: determines the input size for the costs.
        hardware: name of the device.
        seed: seed of the random archs.

    Raises:
        InvalidInputError: a predicted latency is not a positive number.
    """
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    archs = [space.sample(rng) for _ in range(CHECKED_ARCHS)]
    column = predictor.metrics.index(f"latency_ms@{hardware}")
    mean, std = (
        values[:, column].numpy() for values in predictor.predict(GraphBatch.from_archs(archs, space.template))
    )
    invalid = ~(np.isfinite(mean) & (mean > 0) & np.isfinite(std))
    if invalid.any():
        first = int(np.flatnonzero(invalid)[0])
        raise InvalidInputError(
            f"the model fitted to these measurements predicts a non-positive latency for {invalid.sum()} of "
            f"{CHECKED_ARCHS} random archs, e.g. {mean[first]:g} ms for {archs[first].key!r}. Check the measurements "
            f"or measure more archs, chosen with: {command('hardware', 'choose', space=space_option(space))}"
        )
    costs = [space.costs(arch, task) for arch in archs]
    spearman: dict[str, float | None] = {}
    for name in ("macs_m", "params_m"):
        cost_values = np.array([cost[name] for cost in costs])
        varies = np.ptp(cost_values) > 0 and np.ptp(mean) > 0
        spearman[name] = float(spearmanr(mean, cost_values).statistic) if varies else None
    notes = []
    if (with_macs := spearman["macs_m"]) is not None and with_macs < 0:
        notes.append(
            f"larger networks are predicted to run faster (rank correlation of latency and macs_m {with_macs:.2f}): "
            "check that latency_ms is in milliseconds per run, and that each value is in the row of its arch."
        )
    if np.ptp(mean) == 0:
        notes.append("the model predicts one latency for all architectures: measure more archs of different sizes.")
    return Sanity(float(mean.min()), float(mean.max()), spearman, tuple(notes))
