"""Which policy searches: by name with its options, or as an object; and what it knows beforehand."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gennas.checkpoint import Checkpoint, without_generator
from gennas.errors import DataMissingError, InvalidInputError
from gennas.predictors.domain import domains_of
from gennas.predictors.latency_conditions import LatencyConditions
from gennas.problem import Problem
from gennas.search.base import Policy
from gennas.search.policies.registry import POLICIES, make_policy, option_types
from gennas.search.prior_mean import NetworkPrior, Prior, TablePrior, resolve_prior, with_prior
from gennas.spaces import JointSpace
from gennas.tables import Table
from gennas.tasks import CLASSIFICATION

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PolicyChoice:
    """A policy by its name.

    Args:
        name: a registered policy, or ``"path/to/file.py:Class"``.
        options: of the policy, as written on the command line.
        prior: ``known`` lets policies that accept a prior start from what the checkpoint's predictor predicts, or from
            what the table has of other tasks; ``none`` from nothing. Nothing that the search is about to evaluate is
            ever part of it.
    """

    name: str = "gennas"
    options: Mapping[str, str] = field(default_factory=dict)
    prior: Literal["known", "none"] = "known"

    def __post_init__(self) -> None:
        if self.prior not in ("known", "none"):
            raise InvalidInputError(f"prior is {self.prior!r}; must be 'known' or 'none'.")
        written = {name: _written(value) for name, value in self.options.items()}
        object.__setattr__(self, "options", written)


def _written(value: object) -> str:
    """An option as it is written on the command line, so that 5 and "5" are one setting."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)


@dataclass(frozen=True)
class ChosenPolicy:
    """A policy for a problem, and how it is recorded.

    Attributes:
        policy: it.
        name: under which it is recorded.
        options: as written.
        prior: ``known`` or ``none``.
        notes: what the user should know of its generator and its prior, in sentences.
    """

    policy: Policy
    name: str
    options: Mapping[str, str]
    prior: str
    notes: tuple[str, ...] = ()


def chosen_policy(
    policy: Policy | PolicyChoice | str, problem: Problem, checkpoint: Checkpoint | None, table: Table | None = None
) -> ChosenPolicy:
    """The policy of a search.

    Args:
        policy: an object, which is taken as it is; or a name, with its options in a :class:`PolicyChoice`.
        problem: what is searched for.
        checkpoint: of the generator and the predictor; the one of the space's name where it is None.
        table: that answers, and whose other tasks make the prior.

    Raises:
        UnknownNameError: no such policy, or an option that it does not have.
        InvalidInputError: an option that cannot be read.
    """
    if isinstance(policy, Policy):
        if getattr(policy, "problem", problem) != problem:
            raise InvalidInputError(f"policy {policy.name!r} was made for another problem; make it for {problem!r}.")
        return ChosenPolicy(policy, policy.name, {}, "none")
    choice = PolicyChoice(policy) if isinstance(policy, str) else policy
    options = dict(choice.options)
    taken = option_types(POLICIES.get(choice.name))
    if checkpoint is not None and "checkpoint" in taken:
        options = {"checkpoint": str(checkpoint.folder), **options}
    made = make_policy(choice.name, problem, options)
    notes: tuple[str, ...] = ()
    if made.uses_generator:
        named = options.get("checkpoint")
        source = Checkpoint(named, problem.space) if named else Checkpoint.for_space(problem.space)
        if unguided := without_generator(problem.space, source):
            notes = (unguided,)
            _log.info(unguided)
    # A study that is resumed under another spelling of the name is the same study.
    name = POLICIES.canonical(choice.name)
    if choice.prior == "none" or not made.accepts_prior:
        return ChosenPolicy(made, name, choice.options, "none", notes)
    prior, note = _prior(problem, checkpoint, table)
    return ChosenPolicy(with_prior(made, prior), name, choice.options, choice.prior, (*notes, note))


def _prior(problem: Problem, checkpoint: Checkpoint | None, table: Table | None) -> tuple[Prior | None, str]:
    """What is known of the problem's metrics before the first evaluation, and a sentence on it."""
    if isinstance(space := problem.space, JointSpace):
        prior, note = _prior(replace(problem, space=space.arch_space), checkpoint, table)
        return None if prior is None else NetworkPrior(prior, space), note
    if table is not None:
        _log.info("fitting the prior to what table %s has of other tasks and hardware", table.name)
        others = resolve_prior("known", problem, table=table)
        if not isinstance(others, TablePrior):
            return None, f"no prior available: table {table.name!r} has no such metric of another task or device."
        return others, f"prior: {', '.join(others.metrics)} of table {table.name!r}; `prior` none starts without it."
    source = checkpoint or Checkpoint.for_space(problem.space, "predictor")
    try:
        predictor = source.predictor if source and "predictor" in source.parts else None
    except DataMissingError:
        predictor = None
    if predictor is None or source is None:
        return None, f"no prior available: no predictor of space {problem.space.name!r}."
    domains = domains_of(source.config("predictor"))
    elsewhere = _measured_elsewhere(problem, source)
    prior = resolve_prior("known", problem, predictor=predictor, elsewhere=elsewhere, domains=domains)
    known = [f" {name} is known for {domain.text()} only." for name, domain in domains.items()]
    unknown = [metric.name for metric in problem.objective.metrics if metric.kind.name in problem.task.targets.metrics]
    if problem.task.targets != CLASSIFICATION and unknown:
        known.append(f" It knows nothing of {', '.join(unknown)}.")
    return prior, f"prior: predictions of the checkpoint's predictor; `prior` none starts without it.{''.join(known)}"


def _measured_elsewhere(problem: Problem, source: Checkpoint | None) -> list[str]:
    """The problem's latencies that a predictor knows from networks of another size."""
    if source is None:
        return []
    space, config = problem.space, source.config("predictor")
    latencies = [metric for metric in problem.metrics if metric.kind.name == "latency_ms" and metric.target]
    conditions = {one.name: LatencyConditions.of_device(str(one.target), space, config) for one in latencies}
    return [name for name, measured in conditions.items() if not measured.hold_for(space, problem.task)]
