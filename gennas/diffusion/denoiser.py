"""Denoiser: predicts the masked decisions of a graph from those already made."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.predictors.value_embedding import ValueEmbedding
from gennas.spaces import Template
from gennas.spaces.template import FIXED, FREE

#: States of a pair as seen from one of its slots; see ``Denoiser._pair_states``.
PAIR_STATES = 10


class Denoiser(nn.Module):
    """A graph transformer over slots whose attention depends on the state of every pair of slots.

    Vignac et al., "DiGress: Discrete Denoising Diffusion for Graph Generation", ICLR 2023, with the state of a pair
    as a learned attention bias in place of separate edge features. There is no time embedding: in absorbing diffusion
    the optimal denoiser does not depend on the time (Zheng et al., "Masked Diffusion Models are Secretly
    Time-Agnostic Masked Models", ICLR 2025).

    The input features of a slot include the states of all its pairs, so that edges can be counted, which attention
    alone, being an average, cannot do.

    Shapes: ``GraphBatch`` of ``b`` graphs -> features of the slots ``(b, n, width)``; see :meth:`log_probs`.

    Args:
        template: the template of the space.
        width: features per slot.
        layers: transformer layers.
        heads: attention heads; divides ``width``.
    """

    pair_kind: Tensor
    ends: Tensor
    is_edge: Tensor
    allowed: Tensor

    def __init__(self, template: Template, width: int = 64, layers: int = 3, heads: int = 4) -> None:
        super().__init__()
        n, k = len(template.slots), len(template.vocabulary)
        self.template = template
        self.config = {"width": width, "layers": layers, "heads": heads}
        self.op = nn.Embedding(k + 1, width)
        self.slot = nn.Embedding(n, width)
        self.pair = nn.Parameter(torch.randn(PAIR_STATES * n, width) / math.sqrt(n * width))
        self.layers = nn.ModuleList(PairBiasedLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.op_head = nn.Linear(width, k)
        self.edge_source, self.edge_target = nn.Linear(width, width), nn.Linear(width, width)
        self.edge_head = nn.Linear(width, 1)
        self.value = ValueEmbedding.of(template, width)
        layout = decisions_of(template)
        self.has_free_edges = len(layout.edges) > 0
        for name, table in (
            ("pair_kind", torch.from_numpy(template.edges).long()),
            ("ends", layout.ends),
            ("is_edge", torch.arange(len(layout.ends)) >= len(layout.slots)),
            ("allowed", layout.allowed),
        ):
            self.register_buffer(name, table.clone(), persistent=False)

    def forward(self, graph: GraphBatch) -> Tensor:
        k, pairs = len(self.template.vocabulary), self._pair_states(graph)
        h = self.op(torch.where(graph.ops == MASK, k, graph.ops)) + self.slot.weight  # (b, n, d)
        if self.value is not None:
            h = h + self.value(torch.arange(h.shape[1], device=h.device), graph.ops)
        h = h + nn.functional.one_hot(pairs, PAIR_STATES).flatten(2).to(h.dtype) @ self.pair
        for layer in self.layers:
            h = layer(h, pairs)
        return self.norm(h)

    def log_probs(self, graph: GraphBatch, decisions: Tensor | None = None) -> Tensor:
        """``(b, q, c)`` log-probabilities of all choices of the given decisions; -inf for forbidden ones.

        Args:
            graph: ``b`` partly masked graphs.
            decisions: ``(b, q)`` decisions to predict; by default all ``D``.
        """
        h = self(graph)
        if decisions is None:
            decisions = torch.arange(len(self.ends), device=h.device).expand(len(graph), -1)
        row = torch.arange(len(graph), device=h.device)[:, None]
        first, second = self.ends[decisions].unbind(-1)
        source, target = h[row, first], h[row, second]  # (b, q, d)
        c = self.allowed.shape[1]
        op_logits = nn.functional.pad(self.op_head(source), (0, c - self.op_head.out_features))
        edge_logit = self.edge_head(nn.functional.gelu(self.edge_source(source) + self.edge_target(target)))
        edge_logits = nn.functional.pad(edge_logit, (1, c - 2))
        logits = torch.where(self.is_edge[decisions][..., None], edge_logits, op_logits)
        return logits.masked_fill(~self.allowed[decisions], -torch.inf).log_softmax(dim=-1)

    def _pair_states(self, graph: GraphBatch) -> Tensor:
        """``(b, n, n)``: 0 self or forbidden, 1 fixed, 2 absent, 3 present, 4 masked; 5 to 9 for the reverse pair.

        ``(1, n, n)`` if the template has no free edges, as all graphs then have the same states.
        """
        free = (self.pair_kind == FREE).to(graph.device)
        edges = graph.edges if self.has_free_edges else graph.edges[:1]
        state = torch.where(free, torch.where(edges == MASK, 4, edges + 2), 0)
        state = torch.where((self.pair_kind == FIXED).to(graph.device), 1, state)
        reverse = state.transpose(1, 2)
        return torch.where(reverse > 0, reverse + 5, state)


class PairBiasedLayer(nn.Module):
    """Pre-norm transformer layer with an attention bias for the state of every pair."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.pair_bias = nn.Embedding(PAIR_STATES, heads)
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor, pairs: Tensor) -> Tensor:
        b, n, d = h.shape
        # (b, n, 3 d) -> three of (b, heads, n, d / heads)
        q, k, v = self.qkv(self.norm_attention(h)).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.pair_bias(pairs).permute(0, 3, 1, 2)  # (b, heads, n, n)
        attended = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        h = h + self.out(attended.transpose(1, 2).reshape(b, n, d))
        return h + self.mlp(self.norm_mlp(h))
