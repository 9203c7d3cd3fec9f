"""GraphMemo: the values of the function, one call per distinct question, and bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import drawn, mixed, partly_masked, templates, toy

from gennas.diffusion import memo as module
from gennas.diffusion.memo import DECISIONS, GraphMemo
from gennas.graph import GraphBatch
from gennas.spaces.template import FREE, Template

seeds = st.integers(0, 2**31)
#: Two graphs may share a bucket, once in some thousand examples, and are then computed again: always the same examples.
always_the_same = settings(derandomize=True)


class Counted:
    """A function of graphs and decisions that tells apart whatever differs, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, graph: GraphBatch, decisions: torch.Tensor) -> torch.Tensor:
        rows = torch.cat([graph.choices(), decisions], dim=1)
        self.asked += [tuple(row) for row in rows.tolist()]
        place = 3.7 ** -torch.arange(rows.shape[1], dtype=torch.double)
        value = ((rows + 2) * place).sum(1)
        # The shape depends on the number of decisions.
        return torch.cat([value[:, None], decisions.double() - value[:, None]], dim=1)


def none_of(graph: GraphBatch) -> torch.Tensor:
    return torch.empty(len(graph), 0, dtype=torch.long)


def drawn_decisions(graph: GraphBatch, count: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(graph.template.decisions, (len(graph), count), generator=rng)


@always_the_same
@given(templates(), seeds, st.lists(st.integers(0, 2), min_size=1, max_size=4))
def test_values_are_those_of_the_function_and_each_graph_is_computed_once(
    template: Template, seed: int, counts: list[int]
) -> None:
    counted = Counted()
    memo = GraphMemo(counted)
    asked = []
    for i, count in enumerate(counts):
        graph = partly_masked(toy(template), 6, seed + i)
        asked.append((graph, drawn_decisions(graph, count, seed + i)))
    for graph, decisions in [*asked, asked[0], *reversed(asked)]:
        assert torch.equal(memo(graph, decisions), Counted()(graph, decisions))
    rows = {tuple(row) for graph, decisions in asked for row in torch.cat([graph.choices(), decisions], dim=1).tolist()}
    assert len(counted.asked) == len(rows)
    assert set(counted.asked) == rows


@always_the_same
@given(templates(), seeds)
def test_repetitions_over_and_over(template: Template, seed: int) -> None:
    counted = Counted()
    memo, graph = GraphMemo(counted), partly_masked(toy(template), 8, seed)
    rng = torch.Generator().manual_seed(seed)
    for _ in range(5):
        part = graph[torch.randint(8, (20,), generator=rng)]
        decisions = drawn_decisions(part, 1, int(torch.randint(2, (), generator=rng)))
        assert torch.equal(memo(part, decisions), Counted()(part, decisions))
    assert len(counted.asked) == len(set(counted.asked))


def test_repetitions_within_a_batch_are_computed_once() -> None:
    counted = Counted()
    graph = partly_masked(mixed(), 4)[torch.tensor([3, 1, 3, 3, 0, 1, 2])]
    assert torch.equal(GraphMemo(counted)(graph, none_of(graph)), Counted()(graph, none_of(graph)))
    assert len(counted.asked) == len(graph.choices().unique(dim=0))


def test_a_masked_decision_is_not_its_first_choice() -> None:
    counted = Counted()
    memo = GraphMemo(counted)
    undecided = GraphBatch.undecided_batch(mixed().template, 1)
    first = undecided.decide(torch.tensor([[0]]), torch.tensor([[0]]))
    assert not torch.equal(memo(undecided, none_of(undecided)), memo(first, none_of(first)))
    assert len(counted.asked) == 2


def test_other_decisions_and_another_number_of_them_are_cached_apart() -> None:
    counted = Counted()
    memo, graph = GraphMemo(counted), GraphBatch.undecided_batch(mixed().template, 1)
    for decisions in ([], [0], [1], [0, 1], [1, 0], [0, 0]):
        at = torch.tensor([decisions], dtype=torch.long)
        assert torch.equal(memo(graph, at), Counted()(graph, at))
        assert torch.equal(memo(graph, at), Counted()(graph, at))
    assert len(counted.asked) == 6


def test_an_empty_batch() -> None:
    memo, graph = GraphMemo(Counted()), partly_masked(mixed(), 4)
    nothing = graph[torch.empty(0, dtype=torch.long)]
    assert memo(nothing, none_of(nothing)).shape == (0, 1)
    assert torch.equal(memo(graph, none_of(graph)), Counted()(graph, none_of(graph)))
    assert memo(nothing, none_of(nothing)).shape == (0, 1)


def binary(slots: int) -> Template:
    allowed = np.ones((slots, 2), dtype=bool)
    edges = np.zeros((slots, slots), np.int8)
    edges[0, 1] = FREE
    return Template(tuple(map(str, range(slots))), ("x", "y"), allowed, edges)


def test_memory_is_bounded_and_replaced_values_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BITS", 8)
    monkeypatch.setattr(module, "ROWS", 2**8)
    template = binary(19)
    choices = torch.randint(2, (5000, 20), generator=torch.Generator().manual_seed(0))
    decisions = torch.arange(20).expand(5000, -1)
    graph = GraphBatch.undecided_batch(template, 5000).decide(decisions, choices)
    computed = []

    def function(graph: GraphBatch, decisions: torch.Tensor) -> torch.Tensor:
        computed.append(len(graph))
        # Wide, as the values of a predictor are.
        return (graph.choices() * 2 ** torch.arange(20)).sum(1)[:, None].expand(-1, 40).clone()

    memo = GraphMemo(function)
    # Far more graphs than buckets, in large batches and small ones.
    for size in (5000, 100, 1000):
        for part in torch.arange(5000).split(size):
            assert torch.equal(memo(graph[part], none_of(graph[part])), function(graph[part], decisions))
    ((hashes, values),) = memo._cache.values()
    assert len(hashes) == len(values) == 2**8
    last = graph[torch.arange(4800, 5000)]
    computed.clear()
    memo(last, none_of(last))
    memo(last, none_of(last))
    assert 0 < sum(computed) < 2 * 200


def test_larger_graphs_are_not_cached() -> None:
    template = binary(DECISIONS)
    assert template.decisions == DECISIONS + 1
    counted = Counted()
    memo = GraphMemo(counted)
    graph = GraphBatch.from_archs(drawn(toy(template), 3), template)
    for _ in range(2):
        assert torch.equal(memo(graph, none_of(graph)), Counted()(graph, none_of(graph)))
    assert len(counted.asked) == 6
    assert not memo._cache
    largest = GraphBatch.from_archs(drawn(toy(binary(DECISIONS - 1)), 3), binary(DECISIONS - 1))
    for _ in range(2):
        memo(largest, none_of(largest))
    assert len(counted.asked) == 9


def test_several_threads_keep_hashes_and_values_together(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two graphs of one batch share a bucket: whichever stays must keep its own value.
    monkeypatch.setattr(module, "BITS", 6)
    monkeypatch.setattr(module, "ROWS", 2**6)
    template, rng = binary(19), torch.Generator().manual_seed(0)

    def function(graph: GraphBatch, decisions: torch.Tensor) -> torch.Tensor:
        return (graph.choices() * 2 ** torch.arange(20)).sum(1)[:, None].expand(-1, 300).clone()

    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        for _ in range(20):
            choices = torch.randint(2, (2000, 20), generator=rng)
            graph = GraphBatch.undecided_batch(template, 2000)
            graph = graph.decide(torch.arange(20).expand(2000, -1), choices)
            memo = GraphMemo(function)
            memo(graph, none_of(graph))
            assert torch.equal(memo(graph, none_of(graph)), function(graph, none_of(graph)))
    finally:
        torch.set_num_threads(threads)
