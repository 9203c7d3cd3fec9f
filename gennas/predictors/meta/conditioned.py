"""ForecastPredictor: a predictor with the accuracy on one more task, as forecast, for partly masked graphs too."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from gennas.errors import InvalidInputError
from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.predictors.base import Predictor
from gennas.predictors.meta.forecast import TaskForecast
from gennas.predictors.normal_scores import REACH, NormalScores

#: Partly masked graphs, at most, whose moments are tabulated.
MOST_GRAPHS = 2_000_000


class ForecastPredictor(Predictor):
    """A predictor with the metric ``accuracy@TASK`` of a forecast added, or in place of its own.

    The logits of all archs are tabulated, and with them the moments of every partly masked graph: those of a uniformly
    random completion, exactly. The metric's normal scores are those of a random arch with its doubts, so that what all
    archs have in doubt does not reach beyond the scale.

    Args:
        base: a predictor with any other metrics, possibly none.
        task: name of the task.
        forecast: of its accuracies.

    Raises:
        InvalidInputError: the space is too large to be tabulated, or has free edges.
    """

    mean: Tensor
    variance: Tensor
    _strides: Tensor
    _places: Tensor

    def __init__(self, base: Predictor, task: str, forecast: TaskForecast) -> None:
        super().__init__()
        space = forecast.basis.space
        layout = decisions_of(space.template)
        counts = [int(allowed.sum()) for allowed in layout.allowed]
        if len(layout.edges) or np.prod([count + 1.0 for count in counts]) > MOST_GRAPHS:
            raise InvalidInputError(
                f"space {space.name!r} has too many graphs for a table of forecasts; it works for small cells, such as "
                "those of nasbench201."
            )
        self.base, self.metric, self.template = base, f"accuracy@{task}", space.template
        self.config = {}
        self.kept = [column for column, name in enumerate(base.metrics) if name != self.metric]
        self.metrics = (*(base.metrics[column] for column in self.kept), self.metric)
        archs, functions = forecast.basis.every
        mean, std = forecast.logits_at(functions)
        self._lay_out(layout.allowed, counts)
        self._tabulate(GraphBatch.from_archs(archs, space.template), mean, std, counts)
        # The logit of a random arch, with its doubts, is nearly normal, so that its scores are linear in it.
        self._centre, self._spread = float(mean.mean()), float(np.sqrt(mean.var() + np.square(std).mean()))
        self._noise = float(np.median(std)) / self._spread
        self.scores = NormalScores(len(self.metrics))
        grid = base.scores.grid if len(base.metrics) else torch.linspace(-REACH, REACH, len(self.scores.grid))
        units = torch.from_numpy(expit(self._centre + self._spread * grid.double().numpy())).float()
        self.scores.grid.copy_(grid)
        self.scores.values.copy_(torch.stack([*base.scores.values[self.kept], units]))

    def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        own = self._own_scores(graph, decisions)
        if not self.kept:
            return own
        mean, std = self.base.score_choices(graph, decisions)
        parts = zip((mean, std), own, strict=True)
        mean, std = (torch.cat([known[..., self.kept], new.to(known)], dim=-1) for known, new in parts)
        return mean, std

    def noise(self) -> Tensor:
        known = self.base.noise()[self.kept]
        return torch.cat([known, known.new_full((1,), self._noise)])

    def satisfaction_quantile(self, metric: int, mean: Tensor, margin: Tensor) -> Tensor:
        return margin if metric >= len(self.kept) else self.base.satisfaction_quantile(self.kept[metric], mean, margin)

    def _own_scores(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std, both ``(b, 1 + q * c, 1)``, of the forecast metric."""
        places, strides = self._places.to(graph.device), self._strides.to(graph.device)
        chosen = graph.choices()  # (b, D)
        rows = torch.arange(places.shape[0], device=graph.device)
        now = places[rows, chosen]  # MASK is the last column, as -1
        index = (now * strides).sum(1, keepdim=True)  # (b, 1)
        # What a choice adds to the index, in place of what the decision has now.
        then = places[decisions][..., :-1] - now.gather(1, decisions)[..., None]  # (b, q, c)
        after = index[..., None] + then * strides[decisions][..., None]
        every = torch.cat([index, after.flatten(1)], dim=1)
        mean, variance = self.mean.to(graph.device)[every], self.variance.to(graph.device)[every]
        return ((mean - self._centre) / self._spread)[..., None], (variance.sqrt() / self._spread)[..., None]

    def _lay_out(self, allowed: Tensor, counts: list[int]) -> None:
        """Places of each decision's choices in the table, and of MASK, ``(D, c + 1)``; and ``(D,)`` strides."""
        sizes = torch.tensor([count + 1 for count in counts])
        strides = torch.ones(len(counts), dtype=torch.long)
        strides[:-1] = sizes[1:].flip(0).cumprod(0).flip(0)
        places = torch.zeros(len(counts), allowed.shape[1] + 1, dtype=torch.long)
        for row, (choices, count) in enumerate(zip(allowed, counts, strict=True)):
            places[row, :-1][choices] = torch.arange(count)
            places[row, MASK] = count
        self.register_buffer("_strides", strides, persistent=False)
        self.register_buffer("_places", places, persistent=False)

    def _tabulate(self, graphs: GraphBatch, mean: np.ndarray, std: np.ndarray, counts: list[int]) -> None:
        rows = torch.arange(len(counts))
        at = tuple(self._places[rows, graphs.choices()].T)
        tables = []
        for values in (np.ones(len(mean)), mean, np.square(mean) + np.square(std)):
            table = torch.zeros(counts, dtype=torch.float64)
            table[at] = torch.from_numpy(values)
            # Archs that the space's rules forbid count as nothing; along each decision, the last entry is its MASK.
            for decision in range(len(counts)):
                table = torch.cat([table, table.sum(decision, keepdim=True)], dim=decision)
            tables.append(table.flatten())
        count, first, second = tables[0].clamp_min(1), tables[1], tables[2]
        self.register_buffer("mean", (first / count).float(), persistent=False)
        variance = second / count - (first / count).square()
        self.register_buffer("variance", variance.clamp_min(1e-8).float(), persistent=False)
