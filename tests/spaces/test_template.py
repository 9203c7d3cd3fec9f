"""Template: what does not fit together is refused."""

import numpy as np
import pytest

from gennas.spaces import Template, get_space
from gennas.spaces.template import FIXED, FREE

SLOTS, VOCABULARY = ("first", "second"), ("a", "b", "c")
ALLOWED, EDGES = np.ones((2, 3), bool), np.eye(2, k=1, dtype=np.int8)


def test_values_belong_to_operations_in_slots() -> None:
    assert Template(SLOTS, VOCABULARY, ALLOWED, EDGES).values is None
    with pytest.raises(ValueError, match=r"values must have shape \(2, 3\); got \(3,\)"):
        Template(SLOTS, VOCABULARY, ALLOWED, EDGES, np.array([1.0, 2.0, 3.0]))


def test_values_are_scaled_slot_by_slot() -> None:
    nothing = np.nan
    values = np.array([[8.0, 32.0, 128.0], [3.0, 7.0, nothing], [5.0, nothing, nothing], [0.0, 1.0, 4.0]])
    allowed = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 0, 1]], dtype=bool)
    template = Template(("width", "kernel", "one", "zero"), VOCABULARY, allowed, np.zeros((4, 4), np.int8), values)
    expected = [[0, 0.5, 1], [0, 1, nothing], [0, nothing, nothing], [0, nothing, 1]]
    assert template.scaled_values == pytest.approx(np.array(expected, dtype=float), nan_ok=True)
    assert np.isnan(Template(SLOTS, VOCABULARY, ALLOWED, EDGES).scaled_values).all()


def test_sources_and_sinks_have_no_edge_on_one_side() -> None:
    edges = np.zeros((4, 4), np.int8)
    edges[0, 2], edges[1, 2] = FIXED, FREE
    template = Template(("a", "b", "c", "d"), ("x",), np.ones((4, 1), bool), edges)
    assert template.sources == (0, 1, 3)
    assert template.sinks == (2, 3)


def test_chains_are_told_from_graphs() -> None:
    assert get_space("fbnet").template.is_chain
    assert not get_space("nasbench201").template.is_chain
    assert not get_space("nasbench101").template.is_chain
