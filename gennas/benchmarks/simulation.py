"""A run on a table: what a policy would have found, had every evaluation been a training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.problem import Problem
from gennas.search.base import History, Policy
from gennas.search.checks import check_budget, check_proposals
from gennas.search.policies.random_search import fill_with_random
from gennas.spaces.costs import all_costs
from gennas.spaces.functions import Distinct


@dataclass(frozen=True, eq=False)
class Run:
    """What a policy proposed, and what came of it.

    Attributes:
        archs: ``N`` distinct archs in the order in which they were proposed.
        proposed_by: ``N`` words on how each came to be proposed.
        batches: ``N`` numbers of the batch that each was proposed in, from 0.
        values: ``N`` rows, indexed by arch key: the table's columns, and the problem's costs.
        failed: ``(N,)`` boolean, of which the table does not know every metric of the problem.
        seconds: what the policy took for every batch; the evaluations cost nothing here.
        seed: of all randomness.
    """

    archs: tuple[Arch, ...]
    proposed_by: tuple[str, ...]
    batches: tuple[int, ...]
    values: pd.DataFrame
    failed: np.ndarray
    seconds: tuple[float, ...]
    seed: int

    @property
    def keys(self) -> list[str]:
        return [arch.key for arch in self.archs]


def simulate(
    problem: Problem,
    policy: Policy,
    values: pd.DataFrame,
    *,
    budget: int,
    batch: int,
    seed: int,
    distinct: Distinct = "archs",
    noise: Mapping[str, float] | None = None,
) -> Run:
    """Lets a policy search a table, batch after batch; nothing is stored.

    As in a real run, batch ``b`` draws from ``np.random.default_rng([seed, b])`` alone. An arch of which the table
    lacks a metric of the problem is a failed evaluation: it counts as a query, and the policy sees it as failed. Costs
    that the table does not have are computed.

    Args:
        problem: what is searched.
        policy: who searches.
        values: index: arch keys; columns: metrics, and what is reported beside them, e.g. ``test_accuracy@cifar10``.
        budget: how many archs are evaluated; fewer only where the policy has no more.
        batch: how many are proposed at once.
        seed: of all randomness.
        distinct: what archs must differ in; by default as they are written, as the table lists them.
        noise: metric -> std of the error of its values, where it is known.

    Raises:
        InvalidInputError: the table lacks a metric; or the policy proposed an arch twice, or too many.
    """
    check_budget(budget)
    if batch < 1:
        raise InvalidInputError(f"is {batch}; must be at least 1.", argument="batch")
    names = [metric.name for metric in problem.metrics]
    absent = [metric.name for metric in problem.metrics if metric.name not in values and not metric.is_cost]
    if absent:
        raise InvalidInputError(f"the table has no {', '.join(absent)}; it has {', '.join(map(str, values.columns))}.")
    columns = [*values.columns, *(name for name in names if name not in values)]
    history = replace(History.nothing(problem, distinct), noise=dict(noise or {}))
    rows: list[pd.DataFrame] = []
    batches: list[int] = []
    seconds: list[float] = []
    while len(history.archs) < budget:
        q = min(batch, budget - len(history.archs))
        rng = np.random.default_rng([seed, len(seconds)])
        start = time.perf_counter()
        proposals = policy.propose(q, history, rng)
        seconds.append(time.perf_counter() - start)
        check_proposals([proposal.arch.key for proposal in proposals], q, history, policy.name)
        if problem.among is not None:
            # As in a search: not every policy knows which archs a table has.
            allowed = [proposal for proposal in proposals if proposal.arch in problem.among]
            proposals = fill_with_random(problem, allowed, len(proposals), history, rng)
        if not proposals:
            break
        archs = tuple(proposal.arch for proposal in proposals)
        fresh = _looked_up(problem, archs, values).reindex(columns=columns)
        rows.append(fresh)
        batches += [len(seconds) - 1] * len(archs)
        failed = np.concatenate([history.failed, fresh[names].isna().any(axis=1)])
        history = History(
            (*history.archs, *archs),
            np.vstack([history.values, fresh[names].to_numpy(dtype=float)]),
            np.zeros(len(failed), dtype=bool),
            failed,
            (*history.proposed_by, *(proposal.proposed_by for proposal in proposals)),
            history.key_of,
            history.noise,
        )
    found = pd.concat(rows) if rows else pd.DataFrame(columns=columns, dtype=float)
    return Run(history.archs, history.proposed_by, tuple(batches), found, history.failed, tuple(seconds), seed)


def _looked_up(problem: Problem, archs: tuple[Arch, ...], values: pd.DataFrame) -> pd.DataFrame:
    keys = [arch.key for arch in archs]
    found = values.reindex(keys)
    costs = [metric.name for metric in problem.metrics if metric.is_cost and metric.name not in values]
    if not costs:
        return found
    computed = [all_costs(problem.space, arch, problem.task) for arch in archs]
    return found.assign(**{name: [cost[name] for cost in computed] for name in costs})
