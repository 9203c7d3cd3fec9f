"""The contract of policies."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import is_dataclass, replace

import numpy as np
import torch

from gennas.arch import Arch
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.mutation import cost_feasibility, random_archs
from gennas.search.taken import Taken
from gennas.spaces.costs import all_costs
from gennas.spaces.functions import key_of
from gennas.spaces.subset import Subset
from gennas.testing.contract import check

_BATCH = 3


def check_policy(policy: Policy, problem: Problem, evaluated: int = 14, seed: int = 0) -> None:
    """Tests that a search can follow a policy, and resume under it.

    It proposes as many valid archs as it is asked for, which compute what no arch before them does, within the bounds
    on costs, whether nothing, something or only failures are known; the same ones for the same history and random
    numbers, whatever it was asked before and whatever else draws random numbers; and it leaves the history as it is.
    Made for the same problem with a few archs that may be proposed, it proposes none but these, and all of them.

    Args:
        policy: the policy, with options that make it quick.
        problem: what it was made for; of a space with more functions than are asked for.
        evaluated: archs in the longest history: as many as the policy needs to do more than draw at random.
        seed: chooses the archs of the history and their values.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    name = getattr(policy, "name", None)
    check(isinstance(name, str) and bool(name), "name: is a word", name)
    check(isinstance(policy.accepts_prior, bool), "accepts_prior: is True or False", policy.accepts_prior)
    untried = copy.deepcopy(policy)
    rng = np.random.default_rng(seed)
    nothing = Taken(key_of(problem.space, "functions"))
    archs = random_archs(problem.space, evaluated, rng, nothing, cost_feasibility(problem))
    histories = {
        "nothing": History.nothing(problem),
        "only failures": _history(problem, archs[:3], rng, failed=slice(None)),
        f"{len(archs)} archs": _history(problem, archs, rng, failed=slice(0, 1), pending=slice(1, 2)),
    }
    proposals = {}
    for known, history in histories.items():
        before = copy.deepcopy(history)
        proposals[known] = policy.propose(_BATCH, history, np.random.default_rng(seed))
        _check_proposals(proposals[known], problem, history, f"propose() with {known} known")
        _check_history(history, before)
    for known, history in reversed(histories.items()):
        for one, word in ((policy, "asked again"), (untried, "that was asked nothing before")):
            again = _elsewhere(one, history, seed)
            same = [_fields(proposal) for proposal in again] == [_fields(proposal) for proposal in proposals[known]]
            keys = [proposal.arch.key for proposal in again]
            check(same, f"propose() with {known} known: is the same for the same arguments, of a policy {word}", keys)
    if is_dataclass(policy) and hasattr(policy, "problem"):
        _check_within(policy, problem, archs, seed)


def _check_within(policy: Policy, problem: Problem, archs: Sequence[Arch], seed: int) -> None:
    """A table has few archs, which need not be alike."""
    rng = np.random.default_rng(seed + 1)
    known, keeps_bounds = Taken(key_of(problem.space, "functions"), archs), cost_feasibility(problem)
    # A policy need not propose what ignores its input.
    others = random_archs(
        problem.space, 2 * _BATCH, rng, known, lambda arch: keeps_bounds(arch) and not problem.space.is_constant(arch)
    )
    within = replace(problem, among=Subset(problem.space, [*archs, *others]))
    narrow: Policy = replace(policy, problem=within)  # type: ignore[type-var]
    left = {arch.key for arch in others}
    for proposed in (0, _BATCH):
        history = _history(within, [*archs, *others[:proposed]], rng, failed=slice(0, 1), pending=slice(1, 2))
        found = [proposal.arch for proposal in narrow.propose(_BATCH, history, rng)]
        keys = sorted(arch.key for arch in problem.space.canonicalised(found))
        left -= history.keys
        contract = "propose() where few archs may be proposed (problem.among): gives as many of these as are asked for"
        check(len(keys) == _BATCH and left.issuperset(keys), contract, keys)


def _history(
    problem: Problem, archs: Sequence[Arch], rng: np.random.Generator, *, failed: slice, pending: slice | None = None
) -> History:
    values = np.column_stack([_values(problem, archs, column, rng) for column in range(len(problem.metrics))])
    has_failed, is_pending = np.zeros(len(archs), dtype=bool), np.zeros(len(archs), dtype=bool)
    has_failed[failed] = True
    if pending is not None:
        is_pending[pending] = True
    for column, metric in enumerate(problem.metrics):
        if not metric.is_cost:
            values[has_failed | is_pending, column] = np.nan
    by_function = key_of(problem.space, "functions")
    return History(tuple(archs), values, is_pending, has_failed, ("random",) * len(archs), by_function)


def _values(problem: Problem, archs: Sequence[Arch], column: int, rng: np.random.Generator) -> np.ndarray:
    metric = problem.metrics[column]
    if metric.is_cost:
        return np.array([all_costs(problem.space, arch, problem.task)[metric.kind.name] for arch in archs])
    lower = metric.kind.lower if math.isfinite(metric.kind.lower) else 0.0
    upper = metric.kind.upper if math.isfinite(metric.kind.upper) else lower + 10.0
    return rng.uniform(lower, upper, len(archs))


def _elsewhere(policy: Policy, history: History, seed: int) -> list[Proposal]:
    """What it proposes in a process where others have drawn random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 201)
        state = np.random.get_state()
        np.random.seed(seed + 201)
        try:
            return policy.propose(_BATCH, history, np.random.default_rng(seed))
        finally:
            np.random.set_state(state)


def _fields(proposal: Proposal) -> tuple[str, str, float | None]:
    return proposal.arch.key, proposal.proposed_by, proposal.acquisition_value


def _check_proposals(proposals: list[Proposal], problem: Problem, history: History, what: str) -> None:
    space, is_feasible = problem.space, cost_feasibility(problem)
    check(len(proposals) == _BATCH, f"{what}: gives as many as are asked for, {_BATCH}", len(proposals))
    for proposal in proposals:
        check(isinstance(proposal, Proposal), f"{what}: gives proposals", proposal)
        arch = proposal.arch
        check(not space.problems(arch), f"{what}: archs are valid", (arch.key, space.problems(arch)))
        check(is_feasible(arch), f"{what}: archs keep the bounds on costs", arch.key)
        word = proposal.proposed_by
        check(isinstance(word, str) and len(word.split()) == 1, f"{what}: proposed_by is one word", word)
        value = proposal.acquisition_value
        finite = value is None or math.isfinite(value)
        check(finite, f"{what}: acquisition_value is None or finite", value)
    keys = [arch.key for arch in space.canonicalised([proposal.arch for proposal in proposals])]
    check(len(set(keys)) == len(keys), f"{what}: archs are distinct", keys)
    known = sorted(history.keys.intersection(keys))
    check(not known, f"{what}: archs are not in the history", known)
    new = [arch.key for arch in history.taken.untaken(proposal.arch for proposal in proposals)]
    check(len(new) == len(keys), f"{what}: archs compute what none before them does", sorted(set(keys) - set(new)))


def _check_history(history: History, before: History) -> None:
    same = history.archs == before.archs and history.proposed_by == before.proposed_by
    for name in ("values", "pending", "failed"):
        same &= np.array_equal(getattr(history, name), getattr(before, name), equal_nan=name == "values")
    check(bool(same), "propose(): leaves the history as it is", "another one")
