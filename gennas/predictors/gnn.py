"""GNNPredictor: an ensemble of graph neural networks that predicts all metrics of a space at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing, global_mean_pool

from gennas.graph import GraphBatch, decisions_of
from gennas.predictors.base import Predictor
from gennas.predictors.conformal import Residuals
from gennas.predictors.normal_scores import NormalScores
from gennas.predictors.value_embedding import ValueEmbedding
from gennas.spaces import Template


class GatedDagConv(MessagePassing):
    """Message passing along a DAG and against it, gated by the operation of the receiving node.

    Operations modulate the information that flows through them, as in Ning et al., "A Generic Graph-based
    Neural Architecture Encoding Scheme for Predictor-based NAS" (GATES), ECCV 2020:

        h_i' = h_i + MLP(norm(h_i), g(o_i) * sum_{j -> i} e_ji * W h_j, g'(o_i) * sum_{i -> j} e_ij * W' h_j)

    with the embedding ``o`` of the operation, ``g`` the sigmoid of a linear map of it, and ``e`` an embedding of the
    edge's state, present or masked.

    Shapes: ``h, o (nodes, d)``, ``edge_index (2, e)``, ``edge_state (e,)`` -> ``(nodes, d)``.
    """

    def __init__(self, width: int) -> None:
        super().__init__(aggr="add")
        self.norm = nn.LayerNorm(width)
        self.values = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        # Initially the state of an edge does not change its messages.
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
    """Embeds partly masked graphs: ``GraphBatch`` -> embeddings of slots ``(b, n, d)`` and of graphs ``(b, 2 d)``."""

    def __init__(self, template: Template, width: int, layers: int) -> None:
        super().__init__()
        n, k = len(template.slots), len(template.vocabulary)
        self.op = nn.Embedding(k + 1, width)
        # If all edges are fixed, slots have an identity; if they are free, slots are interchangeable.
        self.slot = nn.Embedding(n, width) if not template.free_edges else None
        self.convs = nn.ModuleList(GatedDagConv(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.value = ValueEmbedding.of(template, width)

    def forward(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        b, n = graph.ops.shape
        data = graph.to_pyg()
        op = self.op(data.x)
        if self.value is not None:
            op = op + self.value(torch.arange(n, device=op.device), graph.ops).flatten(0, 1)
        h = op if self.slot is None else op + self.slot.weight.repeat(b, 1)
        for conv in self.convs:
            h = conv(h, op, data.edge_index, data.edge_state)
        h = self.norm(h)
        slots = h.view(b, n, -1)
        return slots, torch.cat([slots[:, -1], global_mean_pool(h, data.batch, b)], dim=-1)


class ChoiceHead(nn.Module):
    """Predicts the outputs of a partly masked graph after one more decision, for any decision and choice.

    The resulting graphs are not encoded.

    Shapes: slots ``(b, n, d)``, whole graph ``(b, 2 d)``, decisions ``(b, q)``, their choices ``(b, q, c)`` ->
    ``(b, q, c, outputs)``.
    """

    def __init__(self, template: Template, width: int, outputs: int) -> None:
        super().__init__()
        self.template = template
        hidden = 2 * width
        self.whole, self.slot = nn.Linear(2 * width, hidden), nn.Linear(width, hidden)
        self.source, self.target = nn.Linear(width, hidden), nn.Linear(width, hidden)
        # Operations come first, then "absent" and "present".
        self.choice = nn.Embedding(len(template.vocabulary) + 2, hidden)
        self.mlp = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, outputs))
        self.value = ValueEmbedding.of(template, hidden)

    def forward(self, slots: Tensor, whole: Tensor, decisions: Tensor, choices: Tensor) -> Tensor:
        layout, row = decisions_of(self.template), torch.arange(len(decisions), device=decisions.device)[:, None]
        ends = layout.ends.to(decisions.device)[decisions]  # (b, q, 2)
        is_edge = (decisions >= len(layout.slots))[..., None]
        source, target = slots[row, ends[..., 0]], slots[row, ends[..., 1]]  # (b, q, d)
        location = torch.where(is_edge, self.source(source) + self.target(target), self.slot(source))
        choice = self.choice(choices + is_edge * len(self.template.vocabulary))  # (b, q, c, hidden)
        if self.value is not None:
            number = self.value(ends[..., :1], choices.clamp_max(len(self.template.vocabulary) - 1))
            choice = choice + torch.where(is_edge[..., None], 0.0, number)
        return self.mlp((self.whole(whole)[:, None] + location)[:, :, None] + choice)


class Member(nn.Module):
    """One network of the ensemble: an encoder, a head for the graph as it is and one for its next decisions."""

    def __init__(self, template: Template, width: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.encoder = Encoder(template, width, layers)
        self.now = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, outputs))
        self.then = ChoiceHead(template, width, outputs)

    def forward(self, graph: GraphBatch, decisions: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs ``(b, outputs)`` of the graphs, and ``(b, q, c, outputs)`` after each choice."""
        slots, whole = self.encoder(graph)
        return self.now(whole), self.then(slots, whole, decisions, choices)


class GNNPredictor(Predictor):
    """A deep ensemble of graph networks with a Gaussian head per metric.

    Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", NeurIPS 2017:
    the mean is the average of the members' means, the variance that of their mixture.

    Args:
        template: the template of the space.
        metrics: names of the ``m`` predicted metrics.
        width: features per node.
        layers: rounds of message passing.
        members: networks in the ensemble.
        described: number of graph descriptors (:func:`gennas.predictors.features.describe`) that are predicted in
            addition to the metrics. They need no labels, and extend metrics that are composed of them to masked graphs.
    """

    spread_scale: Tensor
    masked_scale: Tensor
    decided_std: Tensor
    #: Masked decisions per graph whose choices a step of the training predicts.
    trained_choices = 8

    def __init__(
        self,
        template: Template,
        metrics: tuple[str, ...],
        width: int = 64,
        layers: int = 4,
        members: int = 2,
        described: int = 0,
    ) -> None:
        super().__init__()
        self.metrics = tuple(metrics)
        self.config = {"width": width, "layers": layers, "members": members, "described": described}
        self.described = described
        self.scores = NormalScores(len(metrics))
        self.template = template
        outputs = 2 * (len(metrics) + described)
        self.members = nn.ModuleList(self.member(width, layers, outputs) for _ in range(members))
        self.residuals = Residuals(len(metrics))
        # Decided graphs deviate from their prediction by its error, masked ones mainly by their open decisions, so that
        # their stds are calibrated separately.
        self.register_buffer("spread_scale", torch.ones(len(metrics)))
        self.register_buffer("masked_scale", torch.ones(len(metrics)))
        self.register_buffer("decided_std", torch.zeros(len(metrics)))

    def member(self, width: int, layers: int, outputs: int) -> nn.Module:
        """A network of the ensemble: graphs, decisions ``(b, q)`` and their choices ``(b, q, c)`` ->
        ``(b, outputs)`` of the graphs, and ``(b, q, c, outputs)`` after each choice."""
        return Member(self.template, width, layers, outputs)

    def member_scores(self, graph: GraphBatch, decisions: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each member in normal scores, not calibrated.

        Returns:
            Mean and variance, both ``(members, b, 1 + q * c, m + described)``: the graph as it is, then after each
            choice of each decision.
        """
        heads = [member(graph, decisions, choices) for member in self.members]
        raw = torch.stack([torch.cat([now[:, None], then.flatten(1, 2)], dim=1) for now, then in heads])
        mean, raw_variance = raw.chunk(2, dim=-1)
        return mean, nn.functional.softplus(raw_variance) + 1e-4

    def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self.score_everything(graph, decisions)
        return mean[..., : len(self.metrics)], std[..., : len(self.metrics)]

    def score_everything(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`score_choices` with graph descriptors after the metrics: ``(b, 1 + q * c, m + described)``."""
        c = decisions_of(self.template).allowed.shape[1]
        # Entries of choices that a decision does not have are never used, so any valid index will do.
        counts = torch.where(decisions < len(decisions_of(self.template).slots), len(self.template.vocabulary), 2)
        choices = torch.arange(c, device=decisions.device).minimum(counts[..., None] - 1)
        mean, variance = self.member_scores(graph, decisions, choices)
        total = variance.mean(0) + mean.var(0, correction=0)
        # The first entry is the graph as it is; the others have one more decision made.
        made = torch.arange(mean.shape[2], device=decisions.device).clamp_max(1)
        undecided = graph.masked_decisions().sum(1, keepdim=True) > made  # (b, 1 + q * c)
        unscaled = self.masked_scale.new_ones(self.described)
        masked, whole = (torch.cat([scale, unscaled]) for scale in (self.masked_scale, self.spread_scale))
        return mean.mean(0), total.sqrt() * torch.where(undecided[..., None], masked, whole)

    def noise(self) -> Tensor:
        return self.decided_std

    def satisfaction_quantile(self, metric: int, mean: Tensor, margin: Tensor) -> Tensor:
        return self.residuals.normal_quantile(metric, mean, margin)
