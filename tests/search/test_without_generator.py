"""Searches of a space for which no generator was trained: uniform draws take its place, and that is said."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from widths import Widths

from gennas.errors import DataMissingError, InvalidInputError
from gennas.problem import Problem
from gennas.search.run import search_archs
from gennas.search.search import Search
from gennas.tasks import get_task

SPACE, TASK = Widths(), get_task("cifar10")
PROBLEM = Problem(SPACE, TASK, "-macs_m", ["params_m >= 0.002", "params_m <= 0.004"])


def test_a_search_goes_on_without_a_generator(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gennas"):
        result = search_archs(PROBLEM, budget=15, seed=0)
    assert any("no generator of space 'widths': archs are drawn uniformly" in note for note in result.notes)
    assert "no generator of space 'widths'" in caplog.text
    assert result.evaluated == 15
    for key in result.frame()["key"]:
        assert 0.002 <= SPACE.costs(SPACE.parse(key), TASK)["params_m"] <= 0.004
    costs = {arch.key: SPACE.costs(arch, TASK) for arch in SPACE.enumerate()}
    kept = sorted(cost["macs_m"] for cost in costs.values() if 0.002 <= cost["params_m"] <= 0.004)
    assert len(kept) > 100
    assert costs[result.best[0].key]["macs_m"] <= kept[20]
    assert {"mutated", "generated"} & set(result.frame()["proposed_by"]), "what follows the first ten is chosen"


def test_a_policy_that_only_draws_from_a_generator_is_refused_at_once() -> None:
    with pytest.raises(DataMissingError, match="gennas pretrain generator --space"):
        search_archs(PROBLEM, budget=3, policy="generator")


def test_a_search_for_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="objective is none; a search needs metrics"):
        search_archs(Problem(SPACE, TASK, "none"), budget=3)
    with pytest.raises(InvalidInputError, match="objective is none"):
        Search(replace(PROBLEM, objective=Problem(SPACE, TASK, "none").objective))
