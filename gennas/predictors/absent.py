"""The predictor of a space that has none: nothing is predicted, and costs are exact as ever."""

from __future__ import annotations

import torch
from torch import Tensor

from gennas.graph import GraphBatch, decisions_of
from gennas.predictors.base import Predictor
from gennas.predictors.normal_scores import NormalScores


class NoPredictor(Predictor):
    """Predicts no metric, so that one code serves requests with and without a trained predictor."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.metrics = {}, ()
        self.scores = NormalScores(0)

    def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        choices = decisions_of(graph.template).allowed.shape[1]
        nothing = torch.zeros(len(graph), 1 + decisions.shape[1] * choices, 0)
        return nothing, nothing

    def noise(self) -> Tensor:
        return torch.zeros(0)
