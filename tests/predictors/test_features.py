"""Training-free features: by hand, by enumeration of paths, and equal for equivalent archs."""

from __future__ import annotations

from itertools import pairwise, product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts_spaces import DepthChain, Widths
from toys import Toy, drawn, templates, toy

from gennas.predictors.features import (
    NUM_DESCRIPTORS,
    GraphFeatures,
    _distances_from,
    dataflow_between_ends,
    describe,
    live,
)
from gennas.spaces import Space, get_space
from gennas.spaces.template import FIXED, FREE, Template
from gennas.tasks import get_task

CIFAR10 = get_task("cifar10")
NB101, NB201, NBGRAPH = (get_space(name) for name in ("nasbench101", "nasbench201", "nasbench_graph"))
seeds = st.integers(0, 2**31)


def diamond() -> Toy:
    """An input, two slots of ``p``, ``q`` or ``none``, an output; every pair of slots may have an edge."""
    allowed = np.array([[1, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 1]], dtype=bool)
    edges = np.triu(np.full((4, 4), FREE, np.int8), 1)
    space = toy(Template(("in", "a", "b", "out"), ("in", "p", "q", "none", "out"), allowed, edges))
    type(space).absent = "none"
    return space


#: Where a diamond's features are, the two costs apart: what is counted, the paths of p, of q and of both, widths.
COUNTED, PATHS, WIDTHS = slice(0, 3), (slice(19, 26), slice(26, 33), slice(33, 40)), slice(40, 45)


def graph_part(space: Space, ops: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return GraphFeatures(space)._of_graphs(ops, edges)


@st.composite
def dags(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """``(n,)`` members and ``(n, n)`` edges of a random graph of 2 to 7 slots."""
    n = draw(st.integers(2, 7))
    bits = draw(st.lists(st.booleans(), min_size=n * n, max_size=n * n))
    member = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    member[[0, -1]] = False
    return member, np.triu(np.array(bits).reshape(n, n), 1)


def paths_of(edges: np.ndarray) -> list[list[int]]:
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(range(len(edges)))
    graph.add_edges_from(np.argwhere(edges).tolist())
    return list(nx.all_simple_paths(graph, 0, len(edges) - 1))


def test_every_number_of_a_small_graph() -> None:
    space = diamond()
    view = GraphFeatures(space)
    assert view.labels == ["p", "q"]
    # in -> a:p -> b:q -> out, and in -> b.
    arch = space.arch(("in", "p", "q", "out"), [(0, 1), (0, 2), (1, 2), (2, 3)])
    (found,) = view.of([arch], CIFAR10)
    cost = space.costs(arch, CIFAR10)
    expected = [np.log(cost["params_m"]), np.log(cost["macs_m"])]
    expected += [1, 1, 4]  # one p, one q, four edges
    # Sums over p and q, then the greatest: longest and shortest distance from the input, then from the output.
    expected += [1, 2, 1, 2, 1, 1, 1, 1]
    expected += [2, 1, 2, 1, 2, 1, 2, 1]
    # Most and fewest members on a path, longest and shortest path through members alone, log(1 + how many of these),
    # members that the input feeds, and that feed the output: for p, q, and both.
    expected += [1, 0, -2, 5, 0, 1, 0]
    expected += [1, 1, 2, 2, np.log(2), 1, 1]
    expected += [2, 1, 3, 2, np.log(3), 2, 1]
    expected += [1, 1, 1, 1, 1]  # widths: sums, sums of squares, the greatest
    # What follows what, among in, out, p and q.
    runs = np.zeros((4, 4))
    runs[0, 2] = runs[0, 3] = runs[2, 3] = runs[3, 1] = 1
    assert found == pytest.approx([*expected, *runs.flat], abs=1e-6)
    assert view.simple == len(expected)


def test_a_graph_without_a_path_has_no_parts() -> None:
    space = diamond()
    some = ([], [(0, 1)], [(1, 3)], [(0, 1), (2, 3)], [(1, 2), (2, 3)])
    archs = [space.arch(("in", "p", "q", "out"), edges) for edges in some]
    archs.append(space.arch(("in", "none", "q", "out"), [(0, 1), (1, 2), (2, 3)]))
    found = graph_part(space, *space.arrays(archs))
    assert (found == found[0]).all()
    assert (found[0, COUNTED] == 0).all()
    assert (found[0, WIDTHS.start :] == 0).all(), "no widths, and nothing follows anything"
    for part in PATHS:
        assert found[0, part].tolist() == [-2, 5, -2, 5, 0, 0, 0]


def test_a_direct_edge_is_a_path_through_nothing() -> None:
    space = diamond()
    arch = space.arch(("in", "p", "q", "out"), [(0, 3)])
    (found,) = graph_part(space, *space.arrays([arch]))
    assert found[COUNTED].tolist() == [0, 0, 1]
    for part in PATHS:
        assert found[part] == pytest.approx([0, 0, 1, 1, np.log(2), 0, 0])


def test_a_chain_without_slots_for_its_ends_is_fed_and_read() -> None:
    """The first and the last of its slots count like the others."""
    n, words = 3, ("p", "q")
    bare = Template(("a", "b", "c"), words, np.ones((n, 2), bool), FIXED * np.eye(n, k=1, dtype=np.int8))
    allowed = np.array([[1, 0, 0, 0], *[[0, 1, 1, 0]] * n, [0, 0, 0, 1]], dtype=bool)
    whole = Template(
        ("in", "a", "b", "c", "out"), ("in", *words, "out"), allowed, FIXED * np.eye(n + 2, k=1, dtype=np.int8)
    )
    one, two = toy(bare), toy(whole)
    chains = list(product(words, repeat=n))
    found = graph_part(one, *one.arrays([one.arch(chain) for chain in chains]))
    expected = graph_part(two, *two.arrays([two.arch(("in", *chain, "out")) for chain in chains]))
    assert np.array_equal(found, expected)
    assert (found[:, 0] == [chain.count("p") for chain in chains]).all()


def test_all_sources_are_fed_and_all_sinks_are_read() -> None:
    """Two cells' outputs come in, two slots go out."""
    edges = np.zeros((4, 4), np.int8)
    edges[0, 2] = edges[1, 3] = FIXED
    edges[0, 3] = FREE
    space = toy(Template(("a", "b", "c", "d"), ("p", "q"), np.ones((4, 2), bool), edges))
    archs = [space.arch(("p", "q", "p", "p"), chosen) for chosen in ([(0, 2), (1, 3)], [(0, 2), (0, 3), (1, 3)])]
    ops, flow = live(*dataflow_between_ends(space, *space.arrays(archs)))
    assert ops.tolist() == [[2, 0, 1, 0, 0, 3]] * 2
    paths = {(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)}
    assert {(int(i), int(j)) for i, j in np.argwhere(flow[0])} == paths
    assert {(int(i), int(j)) for i, j in np.argwhere(flow[1])} == paths | {(1, 4)}


@pytest.mark.parametrize("space", [NB101, NB201, NBGRAPH], ids=lambda space: space.name)
def test_shipped_spaces_have_slots_for_their_ends(space: Space) -> None:
    ops, edges = space.arrays(drawn(space, 5))
    given = space.dataflow(ops, edges)
    found = dataflow_between_ends(space, ops, edges)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, given, strict=True))


@given(dags())
def test_live_is_what_lies_on_a_path(dag: tuple[np.ndarray, np.ndarray]) -> None:
    _, edges = dag
    ops = np.arange(1, 1 + len(edges))
    kept_ops, kept_edges = live(ops[None], edges[None])
    paths = paths_of(edges)
    on_path = sorted({slot for path in paths for slot in path})
    steps = {(i, j) for path in paths for i, j in pairwise(path)}
    assert np.flatnonzero(kept_ops[0] >= 0).tolist() == on_path
    assert (kept_ops[0, on_path] == ops[on_path]).all()
    assert {(int(i), int(j)) for i, j in np.argwhere(kept_edges[0])} == steps


@given(dags())
def test_paths_against_their_enumeration(dag: tuple[np.ndarray, np.ndarray]) -> None:
    member, edges = dag
    (found,) = GraphFeatures._paths(member[None], edges[None])
    paths = paths_of(edges)
    members = [int(member[path].sum()) for path in paths]
    through = [len(path) - 1 for path in paths if member[path[1:-1]].all()]
    nothing = [-2, len(edges) + 1]
    expected = [max(members), min(members)] if members else nothing
    expected += [max(through), min(through)] if through else nothing
    ends = [int((edges[0] & member).sum()), int((edges[:, -1] & member).sum())]
    assert found == pytest.approx([*expected, np.log1p(len(through)), *ends])


@given(dags())
def test_distances_against_paths(dag: tuple[np.ndarray, np.ndarray]) -> None:
    ops, edges = live(np.arange(len(dag[1]))[None], dag[1][None])
    n, paths = len(ops[0]), paths_of(edges[0])
    positions = [[path.index(slot) for path in paths if slot in path] for slot in range(n)]
    left = [[len(path) - 1 - path.index(slot) for path in paths if slot in path] for slot in range(n)]
    longest, shortest = (part[0].tolist() for part in _distances_from(edges))
    assert longest == [max(sides, default=0) for sides in positions]
    assert shortest == [min(sides, default=0) for sides in positions]
    # Two labels, of even and of odd slots.
    of_label = (np.arange(n)[:, None] % 2 == [0, 1]) & (ops[0] >= 0)[:, None]
    (found,) = GraphFeatures._distances(of_label[None], edges)
    expected: list[int] = []
    for sides, choose in ((positions, max), (positions, min), (left, max), (left, min)):
        of = [[choose(sides[slot]) for slot in np.flatnonzero(column)] for column in of_label.T]
        expected += [*map(sum, of), *(max(values, default=-1) for values in of)]
    assert found.tolist() == expected


@given(dags())
def test_runs_count_edges_between_labels(dag: tuple[np.ndarray, np.ndarray]) -> None:
    member, edges = dag
    n = len(edges)
    (found,) = GraphFeatures._runs(member[None, :, None], edges[None])
    words = ["in" if i == 0 else "out" if i == n - 1 else "x" if member[i] else "" for i in range(n)]
    pairs = [(words[i], words[j]) for i, j in np.argwhere(edges)]
    assert found.tolist() == [pairs.count((a, b)) for a in ("in", "out", "x") for b in ("in", "out", "x")]


@pytest.mark.parametrize("space", [NB101, NBGRAPH], ids=lambda space: space.name)
def test_permuted_slots_have_the_same_features(space: Space) -> None:
    ops, edges = space.arrays(drawn(space, 200))
    found = graph_part(space, ops, edges)
    for seed in range(3):
        moved = space.permuted(ops, edges, np.random.default_rng(seed))
        assert not np.array_equal(moved[0], ops)
        assert np.allclose(graph_part(space, *moved), found, atol=1e-9)
    assert len(np.unique(found.round(6), axis=0)) > 150, "and others have others"


def test_unread_operations_do_not_count() -> None:
    ops, edges = NB201.arrays(drawn(NB201, 600))
    nothing = NB201.template.vocabulary.index("none")
    dead = (live(*NB201.dataflow(ops, edges))[0] < 0) & (ops != nothing)
    assert dead.any(1).sum() > 30
    # Whatever is put where nothing reads it.
    others = np.where(dead, np.random.default_rng(0).integers(nothing, nothing + 5, ops.shape), ops)
    assert (others != ops).any(1).sum() > 30
    assert np.array_equal(graph_part(NB201, others, edges), graph_part(NB201, ops, edges))


def test_an_unread_convolution_changes_only_the_costs() -> None:
    one, two = (
        NB201.parse(f"|none~0|+|nor_conv_3x3~0|{op}~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")
        for op in ("none", "nor_conv_3x3")
    )
    features = GraphFeatures(NB201).of([one, two], CIFAR10)
    assert np.array_equal(features[0, 2:], features[1, 2:])
    assert (features[1, :2] > features[0, :2]).all()


@pytest.mark.parametrize("space", [NB101, NB201, NBGRAPH], ids=lambda space: space.name)
def test_costs_come_first_and_runs_last(space: Space) -> None:
    task = get_task("cora") if space is NBGRAPH else CIFAR10
    archs, view = drawn(space, 20), GraphFeatures(space)
    found = view.of(archs, task)
    costs = [space.costs(arch, task) for arch in archs]
    for column, name in enumerate(("params_m", "macs_m")):
        assert found[:, column] == pytest.approx(np.log([max(cost[name], 1e-9) for cost in costs]))
    assert np.array_equal(found[:, 2:], graph_part(space, *space.arrays(archs)))
    assert np.isfinite(found).all()
    ops, edges = live(*space.dataflow(*space.arrays(archs)))
    for place, label in enumerate(view.labels):
        assert (found[:, 2 + place] == (ops == space.template.vocabulary.index(label)).sum(1)).all()
    runs = found[:, view.simple :].reshape(20, len(view.labels) + 2, -1)
    assert (runs[:, 0].sum(1) == edges[:, 0].sum(1)).all()
    assert (runs.sum((1, 2)) == edges.sum((1, 2))).all(), "both ends of every edge have a label"


@settings(max_examples=25)
@given(templates(), seeds)
def test_any_space_has_features(template: Template, seed: int) -> None:
    space = toy(template)
    archs = drawn(space, 6, seed)
    found = GraphFeatures(space).of(archs, CIFAR10)
    assert np.isfinite(found).all()
    # Neighbours do not matter.
    assert np.array_equal(GraphFeatures(space).of(archs[:1], CIFAR10), found[:1])
    described = describe(space, archs, CIFAR10)
    assert described.shape == (6, NUM_DESCRIPTORS)
    std = described.std(axis=0)
    assert np.allclose(std[std > 0], 1)


def test_descriptors_are_standardised_uncorrelated_and_reproducible() -> None:
    archs = drawn(NB201, 300)
    described = describe(NB201, archs, CIFAR10)
    assert described.shape == (300, NUM_DESCRIPTORS)
    assert np.allclose(described.mean(axis=0), 0, atol=1e-9)
    assert np.allclose(np.cov(described.T, bias=True), np.eye(NUM_DESCRIPTORS), atol=1e-6)
    assert np.array_equal(describe(NB201, archs, CIFAR10), described)
    # Another order of the archs changes the order of the rows and nothing else: signs are chosen, not found.
    order = np.random.default_rng(0).permutation(300)
    assert np.allclose(describe(NB201, [archs[row] for row in order], CIFAR10), described[order], atol=1e-6)


def test_descriptors_are_ordered_by_explained_variance() -> None:
    archs = drawn(NB201, 300)
    features = GraphFeatures(NB201).of(archs, CIFAR10)
    standard = (features - features.mean(axis=0)) / features.std(axis=0).clip(1e-9)
    described = describe(NB201, archs, CIFAR10)
    explained = [np.square(described[:, column] @ standard / 300).sum() for column in range(NUM_DESCRIPTORS)]
    assert explained == sorted(explained, reverse=True)
    assert explained == pytest.approx(np.linalg.svd(standard, compute_uv=False)[:NUM_DESCRIPTORS] ** 2 / 300, rel=1e-6)


def test_features_of_low_rank_have_few_descriptors() -> None:
    archs = drawn(NB201, 3)
    described = describe(NB201, archs, CIFAR10)
    assert np.allclose(described[:, :2].std(axis=0), 1)
    assert (described[:, 2:] == 0).all()
    assert (describe(NB201, archs[:1] * 4, CIFAR10) == 0).all()


def test_paths_of_chains_are_those_of_any_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    space = get_space("mobilenet_v3")
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(5)]
    archs.append(space.parse(str({"ks": [3], "e": [6], "d": [2], "r": [128]})))
    graphs = space.arrays(archs)
    extractor = GraphFeatures(space)
    found = extractor._of_graphs(*graphs)
    monkeypatch.setattr(GraphFeatures, "_are_chains", staticmethod(lambda edges: False))
    assert np.array_equal(found, extractor._of_graphs(*graphs))


@pytest.mark.parametrize("space", [DepthChain(), Widths()], ids=lambda space: space.name)
def test_many_costs_are_those_of_one(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    task = get_task("imagenet")
    assert space.slot_costs(task) is None
    assert space.cost_terms(task) is not None
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(4)]
    extractor = GraphFeatures(space)
    one_by_one = extractor.of(archs, task)
    monkeypatch.setattr("gennas.predictors.features.TABULATED", 3)
    assert extractor.of(archs, task) == pytest.approx(one_by_one, rel=1e-9)


def test_views_of_a_space_take_the_place_of_its_graph() -> None:
    space = get_space("darts")
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(3)]
    features = GraphFeatures(space)
    found = features.of(archs, CIFAR10)
    plain, detailed = space.views(*space.arrays(archs))
    assert features.simple == 2 + plain.shape[1]
    np.testing.assert_array_equal(found[:, 2:], np.hstack([plain, detailed]))
    costs = [space.costs(arch, CIFAR10) for arch in archs]
    np.testing.assert_allclose(found[:, 0], np.log([cost["params_m"] for cost in costs]))
