"""What a predictor knows of every arch, as functions from which another metric can be composed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.predictors.gnn import GNNPredictor
from gennas.spaces import Space

#: Random archs over which known functions are standardised.
REFERENCE = 2000
#: Of them those that are masked, to see how the functions vary together over completions.
MASKED = 512
#: Weight of a number that describes the graph, beside one known task.
DESCRIPTION = 0.35
_NODES, _WEIGHTS = hermegauss(5)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class BasisFunctions:
    """What a predictor knows of every arch, as functions with mean 0 and std 1 over the space.

    Latencies are taken as logarithms, in which devices differ by sums; accuracies as normal scores.

    Args:
        predictor: what knows them.
        kind: ``latency_ms`` or ``accuracy``: the metrics that are the functions; to the accuracies come the numbers
            that describe the graph, and to latencies where no device is known.
    """

    def __init__(self, predictor: GNNPredictor, space: Space, kind: str) -> None:
        self.predictor, self.space, self.logs = predictor, space, kind == "latency_ms"
        metrics = [column for column, name in enumerate(predictor.metrics) if name.startswith(f"{kind}@")]
        described = [] if self.logs and metrics else range(predictor.described)
        self.columns = torch.tensor([*metrics, *(len(predictor.metrics) + column for column in described)])
        self.known = len(metrics)
        if not len(self.columns):
            raise InvalidInputError(
                f"this checkpoint's predictor knows no {kind} from which another could be foretold; train it again: "
                "gennas pretrain predictor"
            )
        rng = np.random.default_rng(0)
        self.archs = list(dict.fromkeys(space.sample(rng) for _ in range(REFERENCE)))
        self.graphs = GraphBatch.from_archs(self.archs, space.template)
        self.centre, self.spread = torch.zeros(len(self.columns)), torch.ones(len(self.columns))
        values = self.of(self.archs)
        self.centre = torch.from_numpy(values.mean(axis=0)).float()
        self.spread = torch.from_numpy(values.std(axis=0)).float().clamp_min(1e-6)
        self.spread[self.known :] /= DESCRIPTION

    @property
    def prior(self) -> np.ndarray:
        """``(D,)`` expected weights: a new place is like the mean of the known ones."""
        weights = np.zeros(len(self.columns))
        weights[: self.known] = 1 / max(self.known, 1)
        return weights

    @torch.inference_mode()
    def of(self, archs: Sequence[Arch]) -> np.ndarray:
        """``(N, D)`` values of the functions."""
        graphs = GraphBatch.from_archs(archs, self.space.template)
        parts = []
        for rows in torch.arange(len(graphs)).split(1024):
            graph = graphs[rows]
            mean, std = self.predictor.score_everything(graph, graph.no_decision())
            parts.append(self.moments(mean[:, 0], std[:, 0])[0])
        return torch.cat(parts).double().numpy()

    def moments(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """``(..., D)`` mean and std of the functions, of scores ``(..., m + described)``."""
        mean, std = mean[..., self.columns.to(mean.device)], std[..., self.columns.to(mean.device)]
        if self.logs and self.known:
            logs = []
            for column, metric in enumerate(self.columns.tolist()):
                at = mean[..., column, None] + std[..., column, None] * _like(_NODES, mean)
                logs.append(self.predictor.scores.value_of(metric, at).clamp_min(1e-6).log())
            values, weights = torch.stack(logs, dim=-2), _like(_WEIGHTS, mean)
            mean = (values * weights).sum(-1)
            std = ((values - mean[..., None]).square() * weights).sum(-1).sqrt()
        return (mean - self.centre.to(mean.device)) / self.spread.to(mean.device), std / self.spread.to(mean.device)

    @torch.inference_mode()
    def masked(self) -> tuple[Tensor, Tensor]:
        """``(M, D)`` what partly masked graphs lack of the functions of an arch that completes them, and the std of it
        that each function claims."""
        rng = torch.Generator().manual_seed(0)
        graphs = self.graphs[torch.arange(min(MASKED, len(self.graphs)))]
        level = torch.rand(len(graphs), 1, generator=rng)
        where = torch.rand(len(graphs), graphs.template.decisions, generator=rng) < level
        whole, partly = (
            tuple(part[:, 0] for part in self.predictor.score_everything(graph, graph.no_decision()))
            for graph in (graphs, graphs.with_mask(where))
        )
        value, spread = self.moments(*partly)
        return self.moments(*whole)[0] - value, self.completions(partly[0], spread)

    def completions(self, mean: Tensor, spread: Tensor) -> Tensor:
        """``(..., D)`` the std beyond that of whole graphs, of mean scores ``(..., m + described)`` and the functions'
        std ``(..., D)``."""
        decided_std = torch.cat([self.predictor.decided_std, mean.new_zeros(self.predictor.described)])
        sure = self.moments(mean, decided_std.expand_as(mean))[1]
        return (spread.square() - sure.square()).clamp_min(0).sqrt()


def _like(values: np.ndarray, other: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=other.dtype, device=other.device)
