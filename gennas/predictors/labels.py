"""Labels: the values of a table that a predictor is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.predictors.domain import Domain
from gennas.spaces import Space
from gennas.tables import Table

#: Metrics with labels for less than this share of the archs do not restrict which archs are training data.
SPARSE_SHARE = 0.1
#: Archs that the held-out predictor is trained on where there are enough, and how many are needed.
HELD_OUT_LABELS, MIN_TRAINING = 1000, 10
#: Labels needed to hold some out for calibration.
MIN_CALIBRATION_LABELS = 200
#: Labels needed to train on a metric.
MIN_LABELS = 3


@dataclass(frozen=True)
class Labels:
    """Archs of a space with the metrics that a predictor is trained on.

    Attributes:
        metrics: names of the ``m`` metrics.
        graphs: ``N`` decided graphs.
        values: ``(N, m)`` in the metrics' units; NaN if unknown.
        noise: metric -> std of the error of its values, in its unit, where it is known.
        input_shape: of the images that latencies were measured with; empty where it is not known.
    """

    metrics: tuple[str, ...]
    graphs: GraphBatch
    values: np.ndarray
    noise: Mapping[str, float] = field(default_factory=dict)
    input_shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, space: Space, table: Table) -> Labels:
        """The rows of a table with any value, without test accuracies: nothing may be selected by these.

        Raises:
            InvalidInputError: a value that its metric cannot have.
        """
        metrics = tuple(name for name in table.metrics() if not name.startswith("test_"))
        rows = table.columns(metrics).dropna(how="all")
        archs = [space.parse(key) for key in rows.index]
        graphs, shape = GraphBatch.from_archs(archs, space.template), table.latency_input_shape
        return cls(metrics, graphs, rows.to_numpy(float), table.noise, shape)

    def split(self, count: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers of ``count`` random archs for training, and of all others.

        Training archs are drawn from those with all metrics. Metrics known for less than a tenth of the archs are not
        required: these few archs may not be representative.

        Args:
            count: how many; None for 1,000, or three quarters of fewer archs. They are drawn from all where fewer than
                half have all metrics, or where hardly any have and ``count`` is given.
            seed: of the draw.

        Raises:
            InvalidInputError: ``count`` is below 10, or exceeds the number of such archs.
        """
        unknown = np.isnan(self.values)
        complete = np.flatnonzero(~unknown[:, unknown.mean(axis=0) <= 1 - SPARSE_SHARE].any(axis=1))
        if 2 * len(complete) < len(self.values) and (count is None or len(complete) < MIN_TRAINING):
            complete = np.arange(len(self.values))
        if count is None:
            count = min(HELD_OUT_LABELS, max(3 * len(complete) // 4, min(MIN_TRAINING, len(complete))))
        if len(complete) < MIN_TRAINING:
            raise InvalidInputError(
                f"the table has {len(complete)} archs with all metrics; a predictor needs {MIN_TRAINING} at least. "
                "Measure more."
            )
        if not MIN_TRAINING <= count <= len(complete):
            raise InvalidInputError(
                f"{count} labels requested; expected {MIN_TRAINING} to {len(complete)}, the number of archs with all "
                "metrics."
            )
        chosen = np.random.default_rng(seed).permutation(complete)[:count]
        return chosen, np.setdiff1d(np.arange(len(self.values)), chosen)

    def domain(self, space: Space, metric: str, rows: np.ndarray) -> Domain:
        """What those of some archs that have a label of the metric have in common."""
        labelled = rows[~np.isnan(self.values[rows, self.metrics.index(metric)])]
        return Domain.of(space, self.graphs.ops[torch.from_numpy(labelled)].numpy())

    def check(self, rows: np.ndarray) -> None:
        """Checks that some rows suffice to train on every metric.

        Raises:
            InvalidInputError: a metric has fewer than three labels, or all its labels are equal.
        """
        for metric, column in zip(self.metrics, self.values.T, strict=True):
            present = column[rows][~np.isnan(column[rows])]
            if len(present) >= MIN_LABELS and np.ptp(present) > 0:
                continue
            equal = "not all equal" if len(set(present)) > 1 else "all equal"
            raise InvalidInputError(
                f"metric {metric!r} has {len(present)} label{'' if len(present) == 1 else 's'}, {equal}, among the "
                f"{len(rows)} training archs; expected at least {MIN_LABELS} different ones (the table has "
                f"{np.count_nonzero(~np.isnan(column))}). Raise held_out_labels if this is the held-out predictor, or "
                "drop the metric from the table."
            )
