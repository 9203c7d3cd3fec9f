"""Inputs: what the surrogates of a search see of archs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.metrics import Metric
from gennas.search.kernels import FeatureView, View
from gennas.search.prior_mean import Prior
from gennas.spaces import Space
from gennas.tasks import Task

#: How many random archs stand for the space.
REFERENCE = 2000


class Inputs:
    """Features of graphs, and beside them the prior's functions of each metric.

    Args:
        space: of the archs.
        task: what the networks are for.
        metrics: that are modelled.
        prior: of these metrics; None for none.
        view: makes the features; those of :class:`gennas.search.kernels.FeatureView` by default.

    Attributes:
        reference: random archs, that stand for the space.
        view: of the first columns.
        prior_columns: for each metric the columns with the prior's functions of it.
    """

    def __init__(
        self,
        space: Space,
        task: Task,
        metrics: Sequence[Metric],
        prior: Prior | None = None,
        view: View | None = None,
    ) -> None:
        self.metrics, self.prior = tuple(metrics), prior
        rng = np.random.default_rng(0)
        self.reference = [space.sample(rng) for _ in range(REFERENCE)]
        self.view = view or FeatureView(space, task, self.reference)
        widths = [prior.of(self.reference[:2], metric).shape[1] if prior else 0 for metric in self.metrics]
        ends = self.view.width + np.cumsum([0, *widths])
        self.prior_columns = tuple(tuple(range(start, end)) for start, end in pairwise(ends.tolist()))
        self._rows: dict[str, np.ndarray] = {}

    def prior_columns_of(self, metric: Metric) -> tuple[int, ...]:
        """The columns with the prior's functions of a metric; none where there is no prior of it."""
        return self.prior_columns[self.metrics.index(metric)]

    def of(self, archs: Sequence[Arch]) -> Tensor:
        """``(N, d)`` double; rows that were computed before are remembered."""
        new = [arch for arch in dict.fromkeys(archs) if arch.key not in self._rows]
        if new:
            features = self.view.of(new)
            functions = [self.prior.of(new, metric) for metric in self.metrics] if self.prior else []
            self._rows.update(zip((arch.key for arch in new), np.hstack([features, *functions]), strict=True))
        width = self.view.width + sum(map(len, self.prior_columns))
        rows = np.array([self._rows[arch.key] for arch in archs]).reshape(len(archs), width)
        return torch.from_numpy(rows)
