"""Searches that may propose none but some archs of the space, as a table of a part of it has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toys import drawn

from gennas import search_archs
from gennas.benchmarks.simulation import simulate
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.mutation import mutated, neighbours, random_archs
from gennas.search.settings import Measuring
from gennas.spaces import get_space
from gennas.spaces.subset import Subset
from gennas.tables import Table

SPACE = get_space("nasbench201")
ARCHS = list(dict.fromkeys(drawn(SPACE, 25)))
VALUES = np.linspace(0.5, 0.9, len(ARCHS))
FRAME = pd.DataFrame({"accuracy@cifar10": VALUES}, index=pd.Index([arch.key for arch in ARCHS], name="key"))
TABLE = Table("part", "nasbench201", FRAME, {}, (), {"accuracy@cifar10": 0.01}, Path("part.csv"))
WITHIN = TABLE.within(Problem(SPACE, "cifar10"))


@dataclass(frozen=True, eq=False)
class Anywhere(Policy):
    """Knows nothing of tables."""

    problem: Problem
    name = "anywhere"

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        return [Proposal(arch, "drawn") for arch in random_archs(SPACE, q, rng, history.taken)]


def test_what_is_drawn_and_mutated_is_among_them() -> None:
    among, rng = Subset(SPACE, ARCHS), np.random.default_rng(0)
    assert sorted(arch.key for arch in random_archs(SPACE, 100, rng, among=among)) == sorted(FRAME.index)
    children = mutated(SPACE, ARCHS, rng, among)
    assert all(child in among for child in children)
    assert all(child != parent for child, parent in zip(children, ARCHS, strict=True))
    near = neighbours(SPACE, ARCHS[0], among)
    assert near
    assert all(other in among and other != ARCHS[0] for other in near)
    whole = Subset(SPACE, SPACE.enumerate())
    assert neighbours(SPACE, ARCHS[0], whole) == neighbours(SPACE, ARCHS[0])


@pytest.mark.parametrize("policy", ["gennas", "random", "local_search", "regularised_evolution"])
def test_a_search_finds_the_best_of_the_table_and_ends_with_it(policy: str) -> None:
    result = search_archs(WITHIN, 60, policy=policy, evaluators=Measuring(TABLE), distinct="archs")
    assert result.failed == 0
    # gennas does not propose what ignores its input.
    usable = [arch for arch in ARCHS if policy != "gennas" or not SPACE.is_constant(arch)]
    assert set(result.frame()["key"]) == {arch.key for arch in usable}
    assert result.best[0].metrics["accuracy@cifar10"] == pytest.approx(0.9)
    assert f"among the {len(ARCHS)} of the table" in result.notes[-1]


def test_a_policy_that_knows_no_tables_gets_archs_of_the_table() -> None:
    result = search_archs(WITHIN, 10, policy=Anywhere(WITHIN), evaluators=Measuring(TABLE))
    assert (result.evaluated, result.failed) == (10, 0)
    run = simulate(WITHIN, Anywhere(WITHIN), FRAME, budget=10, batch=5, seed=0)
    assert not run.failed.any()
    assert set(run.keys) <= set(FRAME.index)


def test_without_the_restriction_what_the_table_lacks_says_what_to_do() -> None:
    result = search_archs(replace(WITHIN, among=None), 5, policy="random", evaluators=Measuring(TABLE), seed=7)
    assert result.failed == 5
    assert any("`within_table` proposes none but the archs of the table" in note for note in result.notes)


def test_policies_are_told_the_noise_of_a_table() -> None:
    told = []

    @dataclass(frozen=True, eq=False)
    class Noted(Anywhere):
        def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
            told.append(dict(history.noise))
            return super().propose(q, history, rng)

    search_archs(WITHIN, 5, policy=Noted(WITHIN), evaluators=Measuring(TABLE))
    simulate(WITHIN, Noted(WITHIN), FRAME, budget=5, batch=5, seed=0, noise=TABLE.noise)
    assert told == [{"accuracy@cifar10": 0.01}] * 2
