"""Small spaces and predictors of which everything can be computed by hand; shared by many tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidArchError
from gennas.graph import GraphBatch, decisions_of
from gennas.predictors.base import Predictor
from gennas.predictors.normal_scores import REACH, NormalScores
from gennas.spaces.base import Space
from gennas.spaces.template import FIXED, FORBIDDEN, FREE, Template


@dataclass(frozen=True)
class Toy(Space):
    """A space without networks; a subclass sets ``template``. JSON is its notation: operations, edges, open edges."""

    name = "toy"
    width: int = 4

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        return json.dumps([list(ops), [list(edge) for edge in edges]])

    def read(self, key: str) -> PartialArch:
        try:
            ops, edges, *open_edges = json.loads(key)
        except ValueError as error:
            raise InvalidArchError(f"{key!r} is not a valid toy") from error
        pairs = (tuple(sorted((i, j) for i, j in part)) for part in (edges, *open_edges))
        return PartialArch(self.name, tuple(None if op == "?" else op for op in ops), *pairs)

    def canonical(self, arch: Arch) -> Arch:
        return arch

    def build(self, arch: Arch, task: object) -> object:
        raise NotImplementedError

    def slot_costs(self, task: object) -> dict[str, tuple[float, np.ndarray]] | None:
        rng = np.random.default_rng(201)
        tables = {name: rng.integers(0, 9, self.template.allowed.shape) / 4.0 for name in ("params_m", "macs_m")}
        return {name: (1.0, table) for name, table in tables.items()}

    def enumerate(self) -> Iterator[Arch]:
        template = self.template
        fixed = list(template.fixed_edges)
        ops_of = [np.array(template.vocabulary)[row].tolist() for row in template.allowed]
        free = template.free_edges
        edge_sets = list(chain.from_iterable(combinations(free, r) for r in range(len(free) + 1)))
        for ops, edges in product(product(*ops_of), edge_sets):
            if not self.problems(Arch(self.name, "", ops, tuple(sorted(fixed + list(edges))))):
                yield self.arch(ops, fixed + list(edges))


def toy(template: Template) -> Toy:
    return type("ToyOfTemplate", (Toy,), {"template": template})()


def mixed() -> Toy:
    """48 archs: two free slots (3 and 2 choices), a slot without a choice, and three free edges; one is fixed."""
    allowed = np.array([[1, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]], dtype=bool)
    edges = np.triu(np.full((3, 3), FREE, np.int8), 1)
    return toy(Template(("a", "b", "c"), ("p", "q", "r", "s"), allowed, edges))


def knotty(template: Template) -> Toy:
    """A toy whose costs are no sums: edges count, and an edge counts more between equal operations."""

    class Knotty(Toy):
        def slot_costs(self, task: object) -> None:
            return None

        def costs(self, arch: Arch, task: object) -> dict[str, float]:
            equal = sum(arch.ops[i] == arch.ops[j] for i, j in arch.edges)
            ops = sum(template.vocabulary.index(op) for op in arch.ops)
            return {"params_m": 1.0 + ops + len(arch.edges) + 3.0 * equal, "macs_m": float(len(arch.edges) ** 2)}

    Knotty.template = template
    return Knotty()


class Twins(Toy):
    """36 archs between an input and an output: two slots of which nobody can tell which is which."""

    name = "twins"
    size = 36
    template = Template(
        ("in", "one", "other", "out"),
        ("in", "p", "q", "out"),
        np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool),
        np.array([[0, FREE, FREE, 0], [0, 0, 0, FREE], [0, 0, 0, FREE], [0, 0, 0, 0]], dtype=np.int8),
    )

    def permuted(self, ops: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return self._swapped(ops, edges, rng.random(len(ops)) < 0.5)

    def canonical_form(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        one, other = (4 * ops[:, slot] + 2 * edges[:, 0, slot] + edges[:, slot, 3] for slot in (1, 2))
        return self._swapped(ops, edges, one > other)

    def enumerate(self) -> Iterator[Arch]:
        yield from dict.fromkeys(self.canonicalised(list(super().enumerate())))

    @staticmethod
    def _swapped(ops: np.ndarray, edges: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slots = np.where(where[:, None], [0, 2, 1, 3], [0, 1, 2, 3])
        graph = np.arange(len(ops))[:, None]
        return ops[graph, slots], edges[graph[:, :, None], slots[:, :, None], slots[:, None, :]]


@st.composite
def templates(draw: st.DrawFn, slots: int = 5) -> Template:
    """Random templates with 2 to ``slots`` slots, free slots and at least one free edge among them."""
    n, k = draw(st.integers(2, slots)), draw(st.integers(1, 4))
    allowed = np.array([[draw(st.booleans()) for _ in range(k)] for _ in range(n)])
    for row in allowed:
        row[draw(st.integers(0, k - 1))] = True
    edges = np.zeros((n, n), dtype=np.int8)
    for i in range(n):
        for j in range(i + 1, n):
            edges[i, j] = draw(st.sampled_from([FORBIDDEN, FIXED, FREE]))
    edges[0, 1] = FREE
    return Template(tuple(f"slot{i}" for i in range(n)), tuple(f"op{v}" for v in range(k)), allowed, edges)


def drawn(space: Space, count: int, seed: int = 0) -> list[Arch]:
    """Some archs of a space."""
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def partly_masked(space: Space, count: int, seed: int = 0) -> GraphBatch:
    """Random archs with random decisions masked: none of the first graph's, all of the second's."""
    graph = GraphBatch.from_archs(drawn(space, count, seed), space.template)
    rng = torch.Generator().manual_seed(seed)
    where = torch.rand(count, space.template.decisions, generator=rng) < torch.rand(count, 1, generator=rng)
    where[0], where[1] = False, True
    return graph.with_mask(where)


def asked_of(graph: GraphBatch, decisions: Tensor | None) -> Tensor:
    """``(b, q)`` the decisions that are asked for; all where none is named."""
    return torch.arange(graph.template.decisions).expand(len(graph), -1) if decisions is None else decisions


def uniform_log_probs(graph: GraphBatch, decisions: Tensor | None = None) -> Tensor:
    """What a denoiser of a uniform product space knows: every allowed choice is equally likely."""
    allowed = decisions_of(graph.template).allowed
    logits = torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)
    return logits.log_softmax(-1)[asked_of(graph, decisions)]


def completions(graph: GraphBatch, space: Space) -> list[Arch]:
    """All archs of an enumerable space that agree with the one graph on what it has decided."""
    archs = list(space.enumerate())
    choices = GraphBatch.from_archs(archs, space.template).choices()
    fixed = ~graph.masked_decisions()[0]
    agrees = (choices[:, fixed] == graph.choices()[0, fixed]).all(1)
    return [arch for arch, ok in zip(archs, agrees.tolist(), strict=True) if ok]


class StubPredictor(Predictor):
    """Says that decision ``d`` choosing ``v`` adds ``v * (d + 1) / 8`` to every score, a masked one half of it.

    Its scale is a straight line: units are ``2 * score + 20``.
    """

    def __init__(self, metrics: Sequence[str], std: float = 0.5, noise: float = 0.3) -> None:
        super().__init__()
        self.metrics = tuple(metrics)
        self.std, self.left = std, noise
        self.calls = 0
        self.scores = NormalScores(len(self.metrics))
        self.scores.grid.copy_(torch.linspace(-REACH, REACH, len(self.scores.grid)))
        self.scores.values.copy_((2 * self.scores.grid + 20).expand_as(self.scores.values))

    def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += len(graph)
        c = decisions_of(graph.template).allowed.shape[1]
        weight = torch.arange(1, graph.template.decisions + 1) / 8
        masked, choices = graph.masked_decisions(), graph.choices().float()
        made = torch.where(masked, 0.5, choices) * weight
        now = made.sum(1, keepdim=True)
        then = (now - made.gather(1, decisions))[..., None] + weight[decisions][..., None] * torch.arange(c)
        left = masked.float().mean(1, keepdim=True)
        after = left - masked.gather(1, decisions) / graph.template.decisions
        mean = torch.cat([now, then.flatten(1)], dim=1)
        std = self.std + torch.cat([left, after.repeat_interleave(c, dim=1)], dim=1)
        mean = mean[..., None] + torch.arange(len(self.metrics)) / 4
        return mean, std[..., None].expand_as(mean)

    def noise(self) -> Tensor:
        return torch.full((len(self.metrics),), self.left)
