"""Labels: the values of a table that a predictor learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.spaces import Space
from gennas.tables import Table

#: Share of the archs below which a metric is known of few only.
RARE = 0.1


#: Labels of a metric without which nothing can be learnt of it.
FEWEST = 3


@dataclass(frozen=True)
class Labels:
    """Archs of a space with the metrics that a predictor learns.

    Attributes:
        metrics: the ``m`` predicted metrics.
        graphs: ``N`` decided graphs.
        values: ``(N, m)`` in the metrics' units, NaN where unknown.
    """

    metrics: tuple[str, ...]
    graphs: GraphBatch
    values: np.ndarray

    @classmethod
    def of(cls, space: Space, table: Table) -> Labels:
        """The rows of a table of which anything is known; no test accuracies: nothing may be chosen by them."""
        metrics = tuple(name for name in table.metrics() if not name.startswith("test_"))
        known = table.frame[list(metrics)].dropna(how="all")
        archs = [space.parse(key) for key in known.index]
        return cls(metrics, GraphBatch.from_archs(archs, space.template), known.to_numpy(float))

    def split(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers of ``count`` random archs to learn from, and of all others.

        The archs to learn from are drawn among those of which every metric is known; but what is known of few archs
        only, of less than a tenth, does not decide: these few may be of a kind.

        Raises:
            InvalidInputError: there are fewer such archs than ``count``.
        """
        unknown = np.isnan(self.values)
        complete = np.flatnonzero(~unknown[:, unknown.mean(axis=0) <= 1 - RARE].any(axis=1))
        if not 10 <= count <= len(complete):
            raise InvalidInputError(
                f"{count} labels asked; expected 10 to {len(complete)}, the archs with all metrics."
            )
        chosen = np.random.default_rng(seed).permutation(complete)[:count]
        return chosen, np.setdiff1d(np.arange(len(self.values)), chosen)

    def check(self, rows: np.ndarray) -> None:
        """Makes sure that every metric can be learnt from some rows.

        Raises:
            InvalidInputError: there are fewer than three labels of one, or all are equal.
        """
        for metric, column in zip(self.metrics, self.values.T, strict=True):
            told = column[rows][~np.isnan(column[rows])]
            if len(told) >= FEWEST and np.ptp(told) > 0:
                continue
            alike = "not all equal" if len(set(told)) > 1 else "all equal"
            raise InvalidInputError(
                f"metric {metric!r} has {len(told)} label{'' if len(told) == 1 else 's'}, {alike}, among the "
                f"{len(rows)} archs to learn from; expected at least {FEWEST} that differ (the table has "
                f"{np.count_nonzero(~np.isnan(column))}). Raise --held_out_labels if that is where these archs come "
                "from, or leave the metric out of the table."
            )
