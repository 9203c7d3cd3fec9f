"""Similarity of tasks: how alike two tasks are forecast to rank archs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gennas.predictors.meta.predictor import MetaPredictor


def rank_correlations(meta: MetaPredictor, facts: Mapping[str, float] | None) -> dict[str, float]:
    """Name of a known task -> Kendall's tau that the ranks of archs there are forecast to have with those on a task.

    Of two tasks with weights ``v`` and ``w`` of functions with variances D over the space, the correlation is
    ``v D w / sqrt(v D v * w D w)``. Those of the known task are what was learnt from its archs, those of the other a
    forecast, whose doubt makes every correlation smaller; normal variables with correlation r have a tau of
    ``2 / pi arcsin r`` (Greiner 1909).

    Args:
        meta: the predictor, with its known tasks.
        facts: the encoding of the task; None if nothing is known of it.
    """
    weights, covariance = meta.hierarchy.prior(meta.encoded(facts))
    variances = meta.basis.variances
    expected = float((variances * weights**2).sum() + (variances * np.diag(covariance)).sum())
    known = meta.hierarchy.weights  # (t, p)
    products = known @ (variances * weights)
    lengths = np.sqrt(np.square(known) @ variances * expected).clip(1e-12)
    taus = 2 / np.pi * np.arcsin((products / lengths).clip(-1, 1))
    return dict(zip(meta.names, taus.tolist(), strict=True))


def prior_weights(correlations: Mapping[str, float], power: float = 1.0) -> dict[str, float]:
    """Name of a known task -> its weight, not negative, with mean 1: what is alike says more of a task.

    Tasks that are forecast to rank archs the other way round have weight 0; where all are, all weigh the same.

    Args:
        correlations: of :func:`rank_correlations`.
        power: of the correlations; the larger, the fewer tasks count.
    """
    raw = np.array([max(value, 0.0) ** power for value in correlations.values()])
    if not raw.any():
        raw = np.ones(len(raw))
    return dict(zip(correlations, (raw / raw.mean()).tolist(), strict=True))
