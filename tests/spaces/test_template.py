"""Template: what does not fit together is refused."""

import numpy as np
import pytest

from gennas.spaces import Template

SLOTS, VOCABULARY = ("first", "second"), ("a", "b", "c")
ALLOWED, EDGES = np.ones((2, 3), bool), np.eye(2, k=1, dtype=np.int8)


def test_values_belong_to_operations_in_slots() -> None:
    assert Template(SLOTS, VOCABULARY, ALLOWED, EDGES).values is None
    with pytest.raises(ValueError, match=r"values must have shape \(2, 3\); got \(3,\)"):
        Template(SLOTS, VOCABULARY, ALLOWED, EDGES, np.array([1.0, 2.0, 3.0]))
