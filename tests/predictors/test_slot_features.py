"""Features of single slots: by hand, and nothing where a position means nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Toy, drawn, templates, toy

from gennas.predictors.slot_features import SlotColumns, SlotFeatures
from gennas.spaces import Template, get_space
from gennas.spaces.template import FIXED

HALF = 0.5**0.5


def row(
    words: list[list[str]],
    numbers: dict[str, float] | None = None,
    *,
    absent: str | None = None,
    shortcut: bool = False,
) -> Toy:
    """Slots in a row between an input and an output; with ``shortcut``, absent ones let through what they read."""
    words = [["in"], *words, ["out"]]
    vocabulary = tuple(dict.fromkeys(word for slot in words for word in slot))
    allowed = np.array([[word in slot for word in vocabulary] for slot in words])
    values = np.where(allowed, [(numbers or {}).get(word, np.nan) for word in vocabulary], np.nan)
    n = len(words)
    edges = FIXED * np.eye(n, k=1, dtype=np.int8)
    names = tuple(f"s{i}" for i in range(n))
    space = toy(Template(names, vocabulary, allowed, edges, values if numbers else None))
    kind = type(space)
    kind.absent = absent
    if shortcut:
        kind.dataflow = lambda self, ops, edges: (ops, _past(ops == vocabulary.index(absent), edges))  # type: ignore
    return space


def _past(absent: np.ndarray, edges: np.ndarray) -> np.ndarray:
    flow = edges.copy()
    for slot in range(absent.shape[1]):
        flow |= absent[:, slot, None, None] & flow[:, :, slot, None] & flow[:, slot, None, :]
    return flow & ~absent[:, :, None] & ~absent[:, None]


def of(space: Toy, *ops: str) -> list[float]:
    (found,) = SlotFeatures(space).of([space.arch(("in", *ops, "out"))]).values
    return found.tolist()


def test_operations_by_position() -> None:
    space = row([["p", "q"], ["p", "q", "r"]])
    features = SlotFeatures(space)
    # Whether it is empty, a number (of which there are none), p or q; then the same of the second slot, and r.
    assert features.slot_of.tolist() == [0] * 4 + [1] * 5
    assert of(space, "p", "q") == [0, 0, HALF, 0, 0, 0, 0, HALF, 0]
    assert of(space, "q", "p") == [0, 0, 0, HALF, 0, 0, HALF, 0, 0]
    columns = features.of([space.arch(("in", *ops, "out")) for ops in (("p", "q"), ("q", "q"), ("q", "r"))]).values
    distances = np.linalg.norm(columns[:, None] - columns, axis=2)
    assert distances == pytest.approx(np.sqrt([[0, 1, 2], [1, 0, 1], [2, 1, 0]]))


def test_numbers_have_a_distance() -> None:
    space = row(
        [["w8", "w16", "w128"], ["k3", "k5", "k7", "pool"]],
        {"w8": 8, "w16": 16, "w128": 128, "k3": 3, "k5": 5, "k7": 7},
    )
    # Widths by their logarithms, kernels as they are; the pooling is no number.
    assert of(space, "w16", "k5") == pytest.approx([0.25, 0, HALF, 0.5, 0, HALF, 0])
    assert of(space, "w128", "k7") == pytest.approx([1, 0, HALF, 1, 0, HALF, 0])
    assert of(space, "w8", "pool") == pytest.approx([0, 0, HALF, 0, 0, 0, HALF])


def test_a_chain_goes_on_behind_an_absent_block() -> None:
    words = [["k3", "k5"], ["-", "k3", "k5"], ["k3", "k5"]]
    space = row(words, {"k3": 3, "k5": 5}, absent="-", shortcut=True)
    assert of(space, "k5", "-", "k5") == pytest.approx([1, 0, HALF, 0, HALF, 0, 1, 0, HALF])
    # Where an absent slot passes nothing on, no slot is read.
    broken = row(words, {"k3": 3, "k5": 5}, absent="-")
    assert of(broken, "k5", "-", "k5") == pytest.approx([0, HALF, 0] * 3)
    assert of(broken, "k5", "k5", "k5") == pytest.approx([1, 0, HALF] * 3)


def test_a_slot_beside_all_paths_is_a_setting() -> None:
    allowed = np.array([[1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1]], dtype=bool)
    edges = np.zeros((4, 4), np.int8)
    edges[0, 1] = edges[1, 3] = edges[0, 2] = FIXED

    class Beside(Toy):
        template = Template(("in", "layer", "side", "out"), ("in", "p", "q", "r192", "r224", "out"), allowed, edges)

        def dataflow(self, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            flow = edges.copy()
            flow[:, 0, 2] = False
            return ops, flow

    columns = SlotFeatures(Beside()).of([Beside().arch(("in", "p", side, "out")) for side in ("r192", "r224")])
    assert columns.values.tolist() == [[0, 0, HALF, 0, 0, 0, HALF, 0], [0, 0, HALF, 0, 0, 0, 0, HALF]]


def side_by_side(values: np.ndarray | None) -> Toy:
    """Two slots beside each other, then one that both feed."""
    allowed = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool)
    edges = np.zeros((5, 5), np.int8)
    for i, j in ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4)):
        edges[i, j] = FIXED
    names = ("in", "left", "right", "both", "out")
    return toy(Template(names, ("in", "w1", "w2", "out"), allowed, edges, values))


def test_parallel_slots_have_positions_only_if_they_are_numbers() -> None:
    found = SlotFeatures(side_by_side(None))
    archs = [found.space.arch(("in", *ops, "out")) for ops in (("w1", "w2", "w1"), ("w2", "w1", "w2"))]
    assert found.of(archs).values.tolist() == [[0, 0, HALF, 0], [0, 0, 0, HALF]]
    values = np.full((5, 4), np.nan)
    values[1:4, 1:3] = 1, 2
    found = SlotFeatures(side_by_side(values))
    assert found.of(archs).values[:, found.slot_of < 2].tolist() == [[0, 0, HALF, 1, 0, HALF], [1, 0, HALF, 0, 0, HALF]]


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "nasbench_graph"])
def test_interchangeable_and_parallel_slots_have_no_positions(name: str) -> None:
    space = get_space(name)
    columns = SlotFeatures(space).of(drawn(space, 5))
    assert columns.values.shape == (5, 0)
    assert columns.varying(np.arange(5)) is None


def test_columns_that_are_constant_are_left_out() -> None:
    values = np.array([[0.0, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 0]])
    columns = SlotColumns(values, np.array([0, 1, 2, 2]))
    found = columns.varying(np.array([0, 1]))
    assert found is not None
    assert found.values.tolist() == values[:, 2:].tolist()
    assert found.slot_of.tolist() == [0, 0]


@settings(max_examples=25)
@given(templates(), st.integers(0, 2**31))
def test_any_space_has_slot_features(template: Template, seed: int) -> None:
    space = toy(template)
    archs, features = drawn(space, 6, seed), SlotFeatures(space)
    columns = features.of(archs)
    assert columns.values.shape == (len(archs), len(features.slot_of))
    assert np.isfinite(columns.values).all()
    assert ((columns.values >= 0) & (columns.values <= 1)).all()
    assert np.array_equal(features.of(archs[:1]).values, columns.values[:1])
    assert features.of([]).values.shape == (0, len(features.slot_of))


def test_all_slots_count_in_a_space_that_has_views() -> None:
    space = get_space("darts")
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(50)]
    slots = SlotFeatures(space).of(archs)
    assert len(set(slots.slot_of.tolist())) == len(space.template.free_slots) == 22
    # Two archs are as far apart as the number of slots in which they differ.
    ops, _ = space.arrays(archs[:2])
    squared = np.square(slots.values[0] - slots.values[1]).sum()
    assert squared == pytest.approx((ops[0] != ops[1]).sum())
