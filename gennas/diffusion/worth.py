"""Worth: what is sought in archs, objectives and bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gennas.graph import GraphBatch
from gennas.pareto import spread_order


@dataclass(frozen=True, eq=False)
class Worth:
    """Scores and kept bounds of some archs.

    Attributes:
        scores: ``(b, m)`` of the objectives; larger is better.
        margins: ``(b, l)`` by which bounds are kept; negative where they are not.
    """

    scores: Tensor
    margins: Tensor

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: Tensor) -> Worth:
        return Worth(self.scores[rows], self.margins[rows])

    def __add__(self, other: Worth) -> Worth:
        return Worth(torch.cat([self.scores, other.scores]), torch.cat([self.margins, other.margins]))

    @property
    def violation(self) -> Tensor:
        """``(b,)`` what the margins lack; 0 where all bounds are kept."""
        return -self.margins.clamp_max(0).sum(1)

    def best(self, count: int) -> Tensor:
        """Rows of the best ``count``: what keeps all bounds by its scores, of several spread over their Pareto fronts;
        then what violates bounds least."""
        violation = self.violation
        kept = (violation == 0).nonzero()[:, 0]
        order = kept[torch.tensor(spread_order(self.scores[kept], count), dtype=torch.long)]
        others = (violation > 0).nonzero()[:, 0]
        return torch.cat([order, others[violation[others].argsort(stable=True)]])[:count]


#: Of decided graphs; whatever it is asked counts as an evaluation.
WorthOf = Callable[[GraphBatch], Worth]
