"""Numbers that describe sub-networks."""

import numpy as np
import pytest
from torch import nn

from gennas.design.blocks import Blocks
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from tests.design_toys import colours, some
from tests.elastic_spaces import TinyLite


def test_work_is_that_of_the_networks() -> None:
    space, task = TinyLite(), colours()
    archs = some(space)
    for arch, work in zip(archs, Blocks(space).work(space.arrays(archs)[0]), strict=True):
        network = space.build(arch, space.native_task(arch, task))
        classifier = next(layer for layer in network.modules() if isinstance(layer, nn.Linear))
        # The classifier is the same for all.
        macs = space.costs(arch, task)["macs_m"] - classifier.in_features * classifier.out_features / 1e6
        assert work[1] + work[2] + work[3] == pytest.approx(macs)
        convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        # All but the stem's, which are the same for all.
        weights = sum(layer.weight.numel() for layer in convolutions) - 27 * space.parent.stem
        assert work[5] == pytest.approx(weights / 1e6)
        assert work[0] == 1


def test_shares_are_those_of_the_parent() -> None:
    space = get_space("lite0")
    assert isinstance(space, ElasticSpace)
    blocks, parent = Blocks(space), space.parent_arch(130 * 2)
    (shares,) = blocks.shares(space.arrays([parent])[0])
    assert shares[0] == 0
    assert (shares[1:] == 1).all()
    (smaller,) = blocks.shares(space.arrays([blocks.at(parent, 64)])[0])
    assert smaller[0] == pytest.approx(np.log2(64 / 260))


def test_the_smallest_arch_has_the_least_of_everything() -> None:
    space = TinyLite()
    smallest = Blocks(space).smallest()
    least = space.costs(smallest, colours())
    for arch in some(space, 50):
        costs = space.costs(arch, colours())
        assert costs["params_m"] >= least["params_m"]
        assert costs["macs_m"] >= least["macs_m"]
