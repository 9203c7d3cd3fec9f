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
from gennas.graph import GraphBatch, decisions_of
from gennas.predictors.base import Predictor
from gennas.predictors.scores import REACH, NormalScores
from gennas.spaces.base import FIXED, FORBIDDEN, FREE, Space, Template


@dataclass(frozen=True)
class Toy(Space):
    """A space without networks; a subclass sets ``template``. JSON is its notation."""

    name = "toy"
    width: int = 4

    def key(self, ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
        return json.dumps([list(ops), [list(edge) for edge in edges]])

    def read(self, key: str) -> PartialArch:
        ops, edges = json.loads(key)
        return PartialArch(self.name, tuple(ops), tuple(sorted((i, j) for i, j in edges)))

    def canonical(self, arch: Arch) -> Arch:
        return arch

    def build(self, arch: Arch, task: object) -> object:
        raise NotImplementedError

    def slot_costs(self, task: object) -> dict[str, tuple[float, np.ndarray]]:
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


def uniform_log_probs(graph: GraphBatch) -> Tensor:
    """What a denoiser of a uniform product space knows: every allowed choice is equally likely."""
    allowed = decisions_of(graph.template).allowed
    logits = torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)
    return logits.log_softmax(-1).expand(len(graph), -1, -1)


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

    def score(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        self.calls += len(graph)
        weight = torch.arange(1, graph.template.decisions + 1) / 8
        choice = torch.where(graph.masked_decisions(), 0.5, graph.choices().float())
        mean = (choice * weight).sum(1, keepdim=True) + torch.arange(len(self.metrics)) / 4
        masked = graph.masked_decisions().float().mean(1, keepdim=True)
        return mean, (self.std + masked).expand_as(mean)

    def noise(self) -> Tensor:
        return torch.full((len(self.metrics),), self.left)
