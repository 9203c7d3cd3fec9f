"""A graph neural network that predicts all metrics of a space at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing, global_mean_pool

from gennas.checkpoint import fitting_together, read_config, read_tensors
from gennas.graph import GraphBatch
from gennas.predictors.base import Predictor
from gennas.predictors.scores import NormalScores
from gennas.spaces import Template, get_space


class GatedDagConv(MessagePassing):
    """One round of messages along a DAG and against it, gated by the operation that receives them.

    Operations modulate the information that flows through them, as in Ning et al., "A Generic Graph-based
    Neural Architecture Encoding Scheme for Predictor-based NAS" (GATES), ECCV 2020:

        h_i' = h_i + MLP(norm(h_i), g(o_i) * sum_{j -> i} e_ji * W h_j, g'(o_i) * sum_{i -> j} e_ij * W' h_j)

    with ``o`` the operation's embedding, ``g = sigmoid`` of a linear map of it, and ``e`` a learned vector for a
    present or a masked edge.

    Shapes: ``h, o (nodes, d)``, ``edge_index (2, e)``, ``edge_state (e,)`` -> ``(nodes, d)``.
    """

    def __init__(self, width: int) -> None:
        super().__init__(aggr="add")
        self.norm = nn.LayerNorm(width)
        self.values = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        # A message starts out unchanged by the state of its edge.
        self.edges = nn.ModuleList(nn.Embedding(2, width, _weight=torch.ones(2, width)) for _ in range(2))
        self.mlp = nn.Sequential(nn.Linear(3 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, h: Tensor, o: Tensor, edge_index: Tensor, edge_state: Tensor) -> Tensor:
        x = self.norm(h)
        gathered = [x]
        for direction, index in enumerate((edge_index, edge_index.flip(0))):
            messages = self.propagate(index, x=self.values[direction](x), scale=self.edges[direction](edge_state))
            gathered.append(torch.sigmoid(self.gates[direction](o)) * messages)
        return h + self.mlp(torch.cat(gathered, dim=-1))

    def message(self, x_j: Tensor, scale: Tensor) -> Tensor:
        return x_j * scale


class Encoder(nn.Module):
    """A partly masked graph as one vector: ``GraphBatch -> (b, 2 d)``."""

    def __init__(self, template: Template, width: int, layers: int) -> None:
        super().__init__()
        n, k = len(template.slots), len(template.vocabulary)
        self.op = nn.Embedding(k + 1, width)
        # Where all edges are fixed a slot is a position; where they are free its number is only a label.
        self.slot = nn.Embedding(n, width) if not template.free_edges else None
        self.convs = nn.ModuleList(GatedDagConv(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, graph: GraphBatch) -> Tensor:
        b, n = graph.ops.shape
        data = graph.to_pyg()
        op = self.op(data.x)
        h = op if self.slot is None else op + self.slot.weight.repeat(b, 1)
        for conv in self.convs:
            h = conv(h, op, data.edge_index, data.edge_state)
        h = self.norm(h)
        output = h.view(b, n, -1)[:, -1]
        return torch.cat([output, global_mean_pool(h, data.batch, b)], dim=-1)


class GNNPredictor(Predictor):
    """A deep ensemble of graph networks with a Gaussian head per metric.

    Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles",
    NeurIPS 2017: the mean is the members' average, the variance the members' own variance plus their spread.

    Args:
        template: the template of the space.
        metrics: names of the ``m`` predicted metrics.
        width: features per node.
        layers: rounds of messages.
        members: networks in the ensemble.
    """

    spread_scale: Tensor
    decided_std: Tensor

    def __init__(
        self, template: Template, metrics: tuple[str, ...], width: int = 64, layers: int = 4, members: int = 2
    ) -> None:
        super().__init__()
        self.metrics = tuple(metrics)
        self.config = {"width": width, "layers": layers, "members": members}
        self.scores = NormalScores(len(metrics))
        self.members = nn.ModuleList(
            nn.Sequential(
                Encoder(template, width, layers),
                nn.Linear(2 * width, 2 * width),
                nn.GELU(),
                nn.Linear(2 * width, 2 * len(metrics)),
            )
            for _ in range(members)
        )
        self.register_buffer("spread_scale", torch.ones(len(metrics)))
        self.register_buffer("decided_std", torch.zeros(len(metrics)))

    def member_scores(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        """Mean and variance of every member in normal scores, both ``(members, b, m)``, not calibrated."""
        raw = torch.stack([member(graph) for member in self.members])
        mean, raw_variance = raw.chunk(2, dim=-1)
        return mean, nn.functional.softplus(raw_variance) + 1e-4

    def score(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        mean, variance = self.member_scores(graph)
        total = variance.mean(0) + mean.var(0, correction=0)
        return mean.mean(0), total.sqrt() * self.spread_scale

    def noise(self) -> Tensor:
        return self.decided_std


def load_predictor(checkpoint: Path) -> tuple[GNNPredictor, dict[str, Any]]:
    """The predictor of a checkpoint folder, and its configuration.

    Raises:
        DataMissingError: the checkpoint lacks a predictor, or a file of it is damaged.
    """
    config = read_config(checkpoint, "predictor")
    template = get_space(config["space"]).template
    with fitting_together(checkpoint, "predictor"):
        predictor = GNNPredictor(template, tuple(config["metrics"]), **config["predictor"])
        predictor.load_state_dict(read_tensors(checkpoint, "predictor"))
    return predictor.eval(), config
