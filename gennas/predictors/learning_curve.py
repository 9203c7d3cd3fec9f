"""Learning curves: rank correlation on unlabelled archs by the number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import kendalltau

from gennas.graph import GraphBatch
from gennas.predictors.features import GraphFeatures
from gennas.predictors.slot_features import SlotFeatures
from gennas.predictors.teacher import fit_teacher
from gennas.progress import progress
from gennas.spaces import Space
from gennas.tasks import Task

if TYPE_CHECKING:
    from gennas.predictors.labels import Labels

#: Numbers of labels on a model card.
COUNTS = (50, 100, 200, 400)
#: At most this many archs are used; more would change the third digit.
MAX_ARCHS = 6000


def learning_curve(
    space: Space, labels: Labels, metric: str, task: Task, *, counts: Sequence[int] = COUNTS, seeds: int = 10
) -> dict[str, Any]:
    """Kendall tau of :func:`gennas.predictors.teacher.fit_teacher`, by the number of labels.

    Args:
        space: space of the archs.
        labels: the labels of a table.
        metric: one of its metrics.
        task: determines the input size for the costs among the features.
        counts: numbers of labels, drawn at random; those above half of the archs are skipped.
        seeds: number of draws, with seeds from 0; with none the curve is empty.

    Returns:
        ``metric``, the number of ``archs``, and the ``curve``: for each count ``labels``, ``kendall_tau`` of each draw
        on all other archs, and their ``mean`` and ``std``.
    """
    values = labels.values[:, labels.metrics.index(metric)]
    rows = np.flatnonzero(~np.isnan(values))
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:MAX_ARCHS])
    archs = [arch for arch in _graphs(labels, rows).to_archs(space) if arch is not None]
    extractor, truth = GraphFeatures(space), values[rows]
    features, slots, simple = extractor.of(archs, task), SlotFeatures(space).of(archs), extractor.simple
    kept = [count for count in counts if count <= len(rows) // 2] if seeds else []
    curve: list[dict[str, Any]] = []
    with progress(f"learning curve of {metric}", len(kept) * seeds) as report:
        for count in kept:
            taus = []
            for seed in range(seeds):
                order = np.random.default_rng(seed).permutation(len(rows))
                labelled, others = order[:count], order[count:]
                model = fit_teacher(features, labelled, truth[labelled], num_simple=simple, seed=seed, slots=slots)
                taus.append(round(float(kendalltau(model.mean[others], truth[others]).statistic), 4))
                report(len(curve) * seeds + seed + 1, f"({count} labels)")
            std = float(np.std(taus, ddof=1)) if seeds > 1 else 0.0
            mean = round(float(np.mean(taus)), 4)
            curve.append({"labels": count, "mean": mean, "std": round(std, 4), "kendall_tau": taus})
    return {"metric": metric, "archs": len(rows), "curve": curve}


def _graphs(labels: Labels, rows: np.ndarray) -> GraphBatch:
    return labels.graphs[torch.from_numpy(rows)]
