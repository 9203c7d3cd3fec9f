"""What cuts destroy: effects that are learnt from measured sub-networks."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from gennas.design.blocks import Blocks
from gennas.design.cuts import EDGE, MEASURED, CutModel, left_out, logits
from gennas.paths import shipped
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.supernets.paths import arch_of
from gennas.tasks import Task
from tests.elastic_spaces import TinyLite


def lite(name: str) -> ElasticSpace:
    return cast(ElasticSpace, get_space(name))


def test_logits_are_those_of_fractions_within_the_edges() -> None:
    np.testing.assert_allclose(logits(np.array([0.5, 0.75])), [0, np.log(3)])
    np.testing.assert_allclose(logits(np.array([0.0, 1.0])), np.log((1 - EDGE) / EDGE) * np.array([-1, 1]))


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_a_parent_loses_nothing_and_is_better_than_random_archs(name: str) -> None:
    space, rng = lite(name), np.random.default_rng(0)
    model = CutModel(Blocks(space))
    parents = space.arrays([space.parent_arch(side) for side in (48, 96)])[0]
    np.testing.assert_allclose(model.cuts(parents), 0)
    assert model(parents)[1] > model(parents)[0]
    drawn = space.arrays([space.sample(rng) for _ in range(50)])[0]
    assert model.cuts(drawn).max() < 0


def test_parents_with_other_stages_have_effects_of_the_same_height() -> None:
    space = TinyLite()
    model = CutModel(Blocks(space))
    assert np.isfinite(model(space.arrays([space.sample(np.random.default_rng(seed)) for seed in range(9)])[0])).all()


def test_effects_are_learnt_from_what_was_measured() -> None:
    space, rng = lite("lite0"), np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(150)]
    shares = Blocks(space).shares(space.arrays(archs)[0])
    (depth,) = (column for column, one in enumerate(space.layout.decisions) if one.name == "depth.5")
    true = 0.5 + 0.8 * shares[:, 0] - 1.5 * (1 - shares[:, depth])
    frame = pd.DataFrame({"key": [arch.key for arch in archs], "accuracy": 1 / (1 + np.exp(-true))})
    assert np.corrcoef(left_out(frame), true)[0, 1] > 0.97


@pytest.mark.parametrize("name", ["lite0", "lite1"])
def test_no_cut_is_of_use(name: str) -> None:
    space = lite(name)
    model, parent = CutModel(Blocks(space)), space.parent_arch(64)
    options = [len(decision.choice.options) - 1 for decision in space.layout.decisions]
    options[0] = space.resolutions.index(64)
    for number in range(1, len(options)):
        one_less = [option - (place == number) for place, option in enumerate(options)]
        assert model.cuts(space.arrays([arch_of(space, one_less)])[0])[0] <= 0, space.layout.decisions[number].name
    assert model.cuts(space.arrays([parent])[0])[0] == 0


def test_what_is_shipped_ranks_archs_that_were_left_out_better_than_costs() -> None:
    frame, space = pd.read_parquet(shipped("datasets") / MEASURED), lite("lite0")
    task = Task("cifar5", (3, 32, 32), 5)
    costs = [space.costs(space.parse(key), task)["macs_m"] for key in frame["key"]]
    found, floor = (spearmanr(values, frame["accuracy"])[0] for values in (left_out(frame), costs))
    assert found > 0.8
    assert found > floor + 0.1
