"""The denoiser: which operation and which edge belongs where, given the decisions already made."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gennas.graph import MASK, GraphBatch, decisions_of
from gennas.spaces import Template
from gennas.spaces.base import FIXED, FREE


class Denoiser(nn.Module):
    """A graph transformer over slots whose attention sees the state of every pair.

    Vignac et al., "DiGress: Discrete Denoising Diffusion for Graph Generation", ICLR 2023, with the pair's state
    as a learned bias on attention instead of separate edge features. It is not told the time: in absorbing
    diffusion the masks say all there is to know (Zheng et al., "Masked Diffusion Models are Secretly
    Time-Agnostic Masked Models", ICLR 2025).

    Shapes: ``GraphBatch`` of ``b`` graphs -> operation logits ``(b, n, k)``, edge logits ``(b, n, n)`` of presence,
    0 for pairs that are no choice.

    Args:
        template: the template of the space.
        width: features per slot.
        layers: transformer layers.
        heads: attention heads; divides ``width``.
    """

    pair_kind: Tensor

    def __init__(self, template: Template, width: int = 64, layers: int = 3, heads: int = 4) -> None:
        super().__init__()
        n, k = len(template.slots), len(template.vocabulary)
        self.template = template
        self.config = {"width": width, "layers": layers, "heads": heads}
        self.op = nn.Embedding(k + 1, width)
        self.slot = nn.Embedding(n, width)
        self.layers = nn.ModuleList(PairBiasedLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.op_head = nn.Linear(width, k)
        self.edge_source, self.edge_target = nn.Linear(width, width), nn.Linear(width, width)
        self.edge_head = nn.Linear(width, 1)
        self.register_buffer("pair_kind", torch.from_numpy(template.edges).long(), persistent=False)

    def forward(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        k = len(self.template.vocabulary)
        h = self.op(torch.where(graph.ops == MASK, k, graph.ops)) + self.slot.weight  # (b, n, d)
        pairs = self._pair_states(graph)
        for layer in self.layers:
            h = layer(h, pairs)
        h = self.norm(h)
        source, target = decisions_of(self.template).edges.T
        pair = nn.functional.gelu(self.edge_source(h)[:, source] + self.edge_target(h)[:, target])  # (b, e, d)
        edge_logits = h.new_zeros(len(graph), h.shape[1], h.shape[1])
        edge_logits[:, source, target] = self.edge_head(pair).squeeze(-1)
        return self.op_head(h), edge_logits

    def log_probs(self, graph: GraphBatch) -> Tensor:
        """``(b, D, c)`` log-probabilities of every choice of every decision; exactly -inf for forbidden ones."""
        decisions = decisions_of(self.template)
        op_logits, edge_logits = self(graph)
        slots, edges = decisions.slots, decisions.edges
        logits = op_logits.new_full((len(graph), *decisions.allowed.shape), -torch.inf)
        logits[:, : len(slots), : op_logits.shape[-1]] = op_logits[:, slots]
        logits[:, len(slots) :, 0] = 0.0
        logits[:, len(slots) :, 1] = edge_logits[:, edges[:, 0], edges[:, 1]]
        allowed = decisions.allowed.to(graph.device)
        return logits.masked_fill(~allowed, -torch.inf).log_softmax(dim=-1)

    def _pair_states(self, graph: GraphBatch) -> Tensor:
        """``(b, n, n)``: 0 self or forbidden, 1 fixed, 2 absent, 3 present, 4 masked; 5 to 9 for the reverse pair."""
        free = (self.pair_kind == FREE).to(graph.device)
        state = torch.where(free, torch.where(graph.edges == MASK, 4, graph.edges + 2), 0)
        state = torch.where((self.pair_kind == FIXED).to(graph.device), 1, state)
        reverse = state.transpose(1, 2)
        return torch.where(reverse > 0, reverse + 5, state)


class PairBiasedLayer(nn.Module):
    """Pre-norm transformer layer; the state of a pair shifts its attention logits."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.pair_bias = nn.Embedding(10, heads)
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
