"""Learning curves: how well few labels rank the archs that have none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import kendalltau

from gennas.graph import GraphBatch
from gennas.predictors.features import GraphFeatures
from gennas.predictors.teacher import fit_teacher
from gennas.progress import progress
from gennas.spaces import Space
from gennas.tasks import Task

if TYPE_CHECKING:
    from gennas.predictors.labels import Labels

#: Numbers of labels on a model card.
COUNTS = (50, 100, 200, 400)
#: Archs that are looked at; the others would change the third digit.
LOOKED_AT = 6000


def learning_curve(
    space: Space, labels: Labels, metric: str, task: Task, *, counts: Sequence[int] = COUNTS, seeds: int = 10
) -> dict[str, Any]:
    """Kendall tau of :func:`gennas.predictors.teacher.fit_teacher`, by the number of labels.

    Args:
        space: of the archs.
        labels: of a table.
        metric: one of its metrics.
        task: sizes the networks whose costs are features.
        counts: numbers of labels, drawn at random; those that leave less than half of the archs to be ranked are
            left out.
        seeds: of the draws, from 0; none give an empty curve.

    Returns:
        ``metric``, ``archs`` that are ranked or learnt from, and under ``curve`` for every count ``labels``,
        ``kendall_tau`` of every seed on all other archs, their ``mean`` and ``std``.
    """
    values = labels.values[:, labels.metrics.index(metric)]
    rows = np.flatnonzero(~np.isnan(values))
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:LOOKED_AT])
    archs = [arch for arch in _graphs(labels, rows).to_archs(space) if arch is not None]
    extractor, truth = GraphFeatures(space), values[rows]
    features = extractor.of(archs, task)
    kept = [count for count in counts if count <= len(rows) // 2] if seeds else []
    curve: list[dict[str, Any]] = []
    with progress(f"learning curve of {metric}", len(kept) * seeds) as report:
        for count in kept:
            found = []
            for seed in range(seeds):
                order = np.random.default_rng(seed).permutation(len(rows))
                learnt, others = order[:count], order[count:]
                model = fit_teacher(features, learnt, truth[learnt], views=extractor.simple, seed=seed)
                found.append(round(float(kendalltau(model.mean[others], truth[others]).statistic), 4))
                report(len(curve) * seeds + seed + 1, f"({count} labels)")
            spread = float(np.std(found, ddof=1)) if seeds > 1 else 0.0
            mean = round(float(np.mean(found)), 4)
            curve.append({"labels": count, "mean": mean, "std": round(spread, 4), "kendall_tau": found})
    return {"metric": metric, "archs": len(rows), "curve": curve}


def _graphs(labels: Labels, rows: np.ndarray) -> GraphBatch:
    return labels.graphs[torch.from_numpy(rows)]
