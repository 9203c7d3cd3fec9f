"""Exact probabilities of partly decided archs agree with counting."""

from __future__ import annotations

import numpy as np
import pytest
from parts_spaces import Cells, DepthChain

from gennas.spaces import PartsSpace


@pytest.mark.parametrize("space_class", [DepthChain, Cells])
def test_probabilities_are_shares_of_the_archs_that_agree(space_class: type[PartsSpace]) -> None:
    space, rng = space_class(), np.random.default_rng(0)
    archs = space.patterns.all()
    for row in rng.choice(archs, 20):
        undecided = row.copy()
        undecided[1:-1][rng.random(len(row) - 2) < 0.6] = -1
        agree = archs[((archs == undecided) | (undecided == -1)).all(1)]
        # What is decided of the slot itself does not count as known of it.
        found = space.patterns.probabilities(undecided[None])[0]
        for slot in np.flatnonzero(undecided == -1):
            shares = np.bincount(agree[:, slot], minlength=found.shape[1]) / len(agree)
            np.testing.assert_allclose(found[slot], shares, atol=1e-12)


def test_contradictions_have_no_probability() -> None:
    space = DepthChain()
    index = {word: i for i, word in enumerate(space.template.vocabulary)}
    ops = np.array([[index[op] for op in space.parse("depth_chain:k3/1.0/e1").ops]])
    ops[0, space.template.slots.index("expansion.2.3")] = index["e1"]
    ops[0, space.template.slots.index("expansion.2.1")] = -1
    found = space.patterns.probabilities(ops)
    assert found[0, space.template.slots.index("expansion.2.1")].sum() == 0
    assert not space.patterns.keeps(np.abs(ops))[0]
