"""The shipped predictors of latency: what is larger takes longer, and archs are generated within a limit."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from gennas.checkpoint import Checkpoint
from gennas.evaluators.deployed import deployed_here
from gennas.generation.pipeline import generate_archs
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.tables import load_table
from gennas.tasks import get_task

DIGITS, CPU = get_task("digits"), "latency_ms@cpu"


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_parents_take_as_long_as_they_did(name: str) -> None:
    """Longer than two resolutions before; of measured archs, predictions are off by some per cent in the median."""
    space = cast(ElasticSpace, get_space(name))
    deployed, _ = deployed_here(Checkpoint(name), space, DIGITS, "cpu")
    table = load_table(name).frame[CPU]
    archs = [space.parent_arch(side) for side in space.resolutions] + [space.parse(str(key)) for key in table.index]
    told = [values[CPU] for values in deployed.values(archs, deployed.reported())]
    means = np.array([one["mean"] if isinstance(one, dict) else one for one in told])
    parents, others = np.split(means, [len(space.resolutions)])
    assert (parents[2:] > parents[:-2]).all()
    assert np.median(np.abs(others / table.to_numpy() - 1)) < 0.1


def test_archs_are_generated_within_a_limit() -> None:
    problem = Problem("lite0", DIGITS, "+macs_m", f"{CPU} <= 1")
    result = generate_archs(problem, 2, seed=0)
    assert len(result.archs) == 2
    for arch, values in zip(result.archs, result.predicted, strict=True):
        latency = values[CPU]
        assert isinstance(latency, dict)
        assert latency["mean"] < 1
        # Far more than random archs of that latency, and less than what takes twice as long.
        assert 25 < problem.space.costs(arch, DIGITS)["macs_m"] < 80
