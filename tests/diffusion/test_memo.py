"""GraphMemo: the values of the function, and one call per distinct graph."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toys import mixed, partly_masked, templates, toy

from gennas.diffusion.memo import GraphMemo
from gennas.graph import GraphBatch
from gennas.spaces.base import Template


class Counted:
    """A function of graphs that tells apart whatever differs, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, graph: GraphBatch) -> Tensor:
        self.asked += [tuple(row) for row in graph.choices().tolist()]
        place = 7.0 ** torch.arange(graph.template.decisions, dtype=torch.double)
        value = ((graph.choices() + 2) * place).sum(1)
        return torch.stack([value, -value], dim=1)


@given(templates(), st.integers(0, 2**31))
def test_values_are_those_of_the_function_and_each_graph_is_computed_once(template: Template, seed: int) -> None:
    counted = Counted()
    memo = GraphMemo(counted)
    batches = [partly_masked(toy(template), 6, seed + i) for i in range(3)]
    for graph in [*batches, batches[0]]:
        assert torch.equal(memo(graph), Counted()(graph))
    rows = {tuple(row) for graph in batches for row in graph.choices().tolist()}
    assert len(counted.asked) == len(rows)
    assert set(counted.asked) == rows


def test_repetitions_within_a_batch_are_computed_once() -> None:
    counted = Counted()
    graph = partly_masked(mixed(), 4)
    rows = torch.tensor([3, 1, 3, 3, 0, 1, 2])
    assert torch.equal(GraphMemo(counted)(graph[rows]), Counted()(graph)[rows])
    assert len(counted.asked) == len(graph.choices().unique(dim=0))


def test_a_masked_decision_is_not_its_first_choice() -> None:
    space = mixed()
    counted = Counted()
    memo = GraphMemo(counted)
    undecided = GraphBatch.undecided_batch(space.template, 1)
    first = undecided.decide(torch.tensor([0]), torch.tensor([0]))
    assert not torch.equal(memo(undecided), memo(first))
    assert len(counted.asked) == 2
