"""The gennas method: a diffusion model refills parts of archs towards the acquisition of Gaussian processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint, generator_for, without_generator
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel
from gennas.diffusion.sampler import FLOOR, SamplerConfig
from gennas.diffusion.seeker import Seeker, SeekerConfig
from gennas.diffusion.worth import Worth
from gennas.graph import GraphBatch
from gennas.metrics import Objective
from gennas.problem import Problem
from gennas.search.acquisition import Acquisition
from gennas.search.base import History, Policy, Proposal
from gennas.search.inputs import Inputs
from gennas.search.mutation import Feasibility, cost_feasibility, mutated, random_archs
from gennas.search.policies.fitness import best_rows
from gennas.search.prior_mean import Prior
from gennas.search.selection import select_outcomes
from gennas.search.success import DRAWS, Success, drawn_by
from gennas.search.surrogate import ProblemSurrogate
from gennas.search.taken import Taken

_log = logging.getLogger(__name__)

#: ``N`` archs -> ``(N,)`` acquisition values.
AcquisitionValues = Callable[[Sequence[Arch]], Tensor]

#: Archs that are left of all candidates, from which several are selected together.
SHORTLIST = 500
#: Archs of one batch of the sampler.
DRAWN = 512
#: Of the only archs that may be proposed, how many every batch considers.
LISTED = 10_000
#: Archs that the generator draws once without guidance, of which every batch considers as many as it draws.
UNGUIDED = 4096


#: Acquisition values take little time: all refills are evaluated.
SEEKING = SeekerConfig(batch=300, proposals=1)


class Candidates:
    """New feasible archs, each once, with its acquisition value and how it came to be considered.

    Args:
        history: all archs so far, which are not new.
        is_feasible: whether an arch may be proposed.

    Attributes:
        found: arch -> acquisition value, and ``proposed_by``; the first way to come to an arch counts.
    """

    def __init__(self, history: History, is_feasible: Feasibility) -> None:
        self.history, self.is_feasible = history, is_feasible
        self.found: dict[Arch, tuple[float, str]] = {}

    def add(self, values: Mapping[Arch, float], proposed_by: str) -> None:
        """Adds those of some archs with their acquisition values that are new and feasible."""
        new = [arch for arch in values if arch not in self.found and arch.key not in self.history.keys]
        self.found.update((arch, (values[arch], proposed_by)) for arch in new if self.is_feasible(arch))

    def evaluate(self, archs: Sequence[Arch], acquisition_values: AcquisitionValues, proposed_by: str) -> None:
        """The same of archs whose acquisition values are computed."""
        distinct = list(dict.fromkeys(archs))
        if distinct:
            self.add(dict(zip(distinct, acquisition_values(distinct).tolist(), strict=True)), proposed_by)

    def best(self, count: int) -> list[Arch]:
        """The ``count`` best; of several that count as one only the best, and none that counts as known."""
        found = sorted(self.found, key=lambda arch: -self.found[arch][0])
        # Only here: what an arch computes takes longer to tell than all else that is asked of thousands.
        return list(islice(self.history.taken.untaken(found), count))


@dataclass(frozen=True, eq=False)
class GuidedBO(Policy):
    """Generate, select, evaluate, fit, repeat.

    The first archs are random, or the best by the prior. Then Gaussian processes are fitted to every metric of the
    problem. Mutants of the best archs so far and unguided draws are a population, whose masked parts the generator
    refills towards higher acquisition values (:class:`gennas.diffusion.seeker.Seeker`); of all archs considered on the
    way the best are a shortlist, from which BoTorch selects ``q`` that improve most together. Where no generator was
    trained, uniform draws take its place.

    Args:
        problem: what is searched.
        checkpoint: a name of ``gennas list checkpoints``, or a folder; the one named as the space by default.
        prior: what is known of the metrics before any evaluation; None for nothing.
        first: archs that are evaluated before anything is fitted; none are where there is a prior of every objective.
        strength: how much likelier an arch is among the first ones that is likelier to keep the bounds and to succeed:
            the exponent of that probability.
        steps: network calls of an unguided drawing.
        sought: archs that are considered beside the population.
        mutants: of the best archs so far, how many are considered.
        parents: how many of the best archs are mutated.
    """

    name = "gennas"
    accepts_prior = True
    uses_generator = True
    problem: Problem
    checkpoint: str | None = None
    prior: Prior | None = None
    first: int = 10
    strength: float = 2.0
    steps: int = 8
    sought: int = 3000
    mutants: int = 500
    parents: int = 20

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            success = Success.of(self.inputs, history) if history.failed.any() else None
            acquisition = self.acquisition(history, success)
            selected = self._selected(acquisition, self.candidates(acquisition, history, rng), q) if acquisition else []
        taken = history.taken.beside(proposal.arch for proposal in selected)
        more = self._random(q - len(selected), rng, taken, success)
        return [*selected, *(Proposal(arch, "random") for arch in more)]

    def _random(self, q: int, rng: np.random.Generator, taken: Taken, success: Success | None) -> list[Arch]:
        """Random archs that may be proposed, drawn the more often the likelier they are to keep the bounds, as far as
        there is a prior of these, and to succeed."""
        if not q:
            return []
        found = self._drawn(q, rng, taken, success)
        if len(found) < q and self.problem.among is None:
            # Where hardly any arch keeps the bounds on costs, the guided draws do.
            others = [self.unguided[row] for row in rng.permutation(len(self.unguided))]
            beside = taken.beside(found)
            found += list(islice(beside.untaken(others, self.is_feasible), q - len(found)))
        return found

    def _drawn(self, q: int, rng: np.random.Generator, taken: Taken, success: Success | None) -> list[Arch]:
        """Up to ``q`` of uniform draws."""
        prior = ProblemSurrogate.from_prior(self.modelled, self.inputs)
        if success is None and not prior.bounds:
            return random_archs(self.problem.space, q, rng, taken, self.is_feasible, self.problem.among)
        drawn = random_archs(self.problem.space, DRAWS * q, rng, taken, self.is_feasible, self.problem.among)
        points = self.inputs.of(drawn)
        values = prior.log_feasibility(points)
        if success is not None:
            values = values + success.log_probability(points)
        return [drawn[row] for row in drawn_by(self.strength * values.numpy(), q, rng)]

    def acquisition(self, history: History, success: Success | None = None) -> Acquisition | None:
        """What archs are expected to improve; None where nothing distinguishes them yet.

        Args:
            history: all archs so far.
            success: how likely evaluations are to succeed.
        """
        problem = self._without_constant_objectives(history)
        seen = _columns(history, self.problem, problem)
        if self._can_fit(seen):
            surrogate = ProblemSurrogate.fit(problem, self.inputs, seen)
            # Without a bound to keep or an arch that keeps all of them, all archs would be alike.
            if surrogate.bounds or (np.isfinite(seen.values).all(1) & problem.feasible(seen.values)).any():
                return replace(self.acquisition_of(problem, surrogate, seen), success=success)
        if self._has_prior:
            return Acquisition.from_prior(ProblemSurrogate.from_prior(self.modelled, self.inputs), history, success)
        return None

    def acquisition_of(self, problem: Problem, surrogate: ProblemSurrogate, history: History) -> Acquisition:
        """The acquisition function of a surrogate that was fitted to a history of the problem's metrics."""
        return Acquisition.of(problem, surrogate, history)

    def _without_constant_objectives(self, history: History) -> Problem:
        """The modelled problem without objectives of which all archs have the same value: they would be improved by
        nothing, and neither would a hypervolume. One objective always stays."""
        values = _columns(history, self.problem, self.modelled).values
        constant = []
        for column, metric in enumerate(self.modelled.objective.metrics):
            known = values[np.isfinite(values[:, column]), column]
            if len(known) >= self.first and len(np.unique(known)) == 1:
                constant.append(metric)
        left = tuple(metric for metric in self.modelled.objective.metrics if metric not in constant)
        if not constant or not left:
            return self.modelled
        for metric in constant:
            if metric.name not in self._reported:
                _log.info("%s is the same for all archs so far; it does not count until one differs", metric.name)
                self._reported.add(metric.name)
        return replace(self.modelled, objective=Objective(left))

    def select(self, acquisition: Acquisition, choices: Tensor, q: int) -> tuple[list[int], list[float]]:
        """``q`` rows of ``choices (N, d)`` that improve most together, and their acquisition values."""
        return select_outcomes(acquisition, choices, q)

    def _selected(self, acquisition: Acquisition, candidates: Candidates, q: int) -> list[Proposal]:
        found = candidates.found
        shortlist = candidates.best(SHORTLIST)
        if not shortlist:
            return []
        choices = acquisition.surrogate.inputs.of(shortlist)
        rows, values = self.select(acquisition, choices, min(q, len(shortlist)))
        archs = [shortlist[row] for row in rows]
        predicted = acquisition.surrogate.predicted(choices[rows])
        return [
            Proposal(arch, found[arch][1], value, own)
            for arch, value, own in zip(archs, values, predicted, strict=True)
        ]

    @cached_property
    def modelled(self) -> Problem:
        """The problem without its bounds on costs, which need no surrogate: whatever is drawn keeps them."""
        exact = self.problem.bounds_on_costs
        return replace(self.problem, where=tuple(bound for bound in self.problem.where if bound not in exact))

    @cached_property
    def inputs(self) -> Inputs:
        """What the surrogates see."""
        return Inputs(self.problem.space, self.problem.task, self.modelled.metrics, self.prior)

    @cached_property
    def is_feasible(self) -> Feasibility:
        """Whether an arch keeps the bounds on costs, and reads its input."""
        space, within = self.problem.space, cost_feasibility(self.problem)
        return lambda arch: not space.is_constant(arch) and within(arch)

    @cached_property
    def generator(self) -> Generator:
        space = self.problem.space
        source = Checkpoint(self.checkpoint, space) if self.checkpoint else Checkpoint.for_space(space)
        if note := without_generator(space, source):
            _log.info(note)
        return generator_for(space, source)

    @cached_property
    def _cost_guides(self) -> list[Guide]:
        """They keep what is drawn within the bounds on costs."""
        space, task, bounds = self.problem.space, self.problem.task, self.problem.bounds_on_costs
        return [CostConstraintGuide(CostModel(space, task, bound.metric), bound) for bound in bounds]

    @cached_property
    def unguided(self) -> list[Arch]:
        """Archs as the generator draws them, guided by nothing but the bounds on costs."""
        drawn = self.generator.sample(
            UNGUIDED, guides=self._cost_guides, sampling=SamplerConfig(steps=self.steps), seed=0
        )
        return self.problem.space.canonicalised(drawn.archs)

    @cached_property
    def _reported(self) -> set[str]:
        """Metrics that the log says are constant; once is enough."""
        return set()

    def _can_fit(self, history: History) -> bool:
        """Whether enough archs were evaluated, and some metric has values that differ."""
        evaluated = np.isfinite(history.values)
        differ = [len(np.unique(column[at])) > 1 for column, at in zip(history.values.T, evaluated.T, strict=True)]
        return any(differ) and int(evaluated.any(1).sum()) >= (2 if self._has_prior else self.first)

    @cached_property
    def _has_prior(self) -> bool:
        """Whether there is a prior of every objective, which says what archs to evaluate first."""
        return all(self.inputs.prior_columns[: len(self.problem.objective.metrics)])

    def candidates(self, acquisition: Acquisition, history: History, rng: np.random.Generator) -> Candidates:
        """New archs that may be proposed: mutants, and what the generator draws without and with guidance; or of the
        only archs that may be proposed as many as can be valued at once."""
        candidates, values_of = Candidates(history, self.is_feasible), acquisition.values_of
        if self.problem.among is not None:
            listed = random_archs(self.problem.space, LISTED, rng, (), self.is_feasible, self.problem.among)
            candidates.evaluate(listed, values_of, "listed")
            return candidates
        candidates.evaluate(self.mutants_of_best(history, rng), values_of, "mutated")
        drawn = len(self.unguided)
        unguided = [self.unguided[row] for row in rng.integers(drawn, size=DRAWN)] if drawn else []
        candidates.evaluate(unguided, values_of, "generated")
        if candidates.found:
            self._seek(values_of, candidates, rng)
        return candidates

    def mutants_of_best(self, history: History, rng: np.random.Generator) -> list[Arch]:
        """Mutants of the best archs so far; none where no arch was evaluated."""
        best = best_rows(self.problem, history, self.parents)
        if not best or not self.mutants:
            return []
        parents = [history.archs[best[row]] for row in rng.integers(len(best), size=self.mutants)]
        return mutated(self.problem.space, parents, rng)

    def _seek(self, values_of: AcquisitionValues, candidates: Candidates, rng: np.random.Generator) -> None:
        """Adds what masked parts of the best candidates are refilled to, and the best of these in turn."""
        space, template = self.problem.space, self.problem.space.template

        def archs_of(graph: GraphBatch) -> list[Arch]:
            return [arch for arch in graph.to_archs(space) if arch is not None]

        def worth(graph: GraphBatch) -> Worth:
            archs = archs_of(graph)
            values = values_of(archs).clamp_min(FLOOR)
            candidates.add(dict(zip(archs, values.tolist(), strict=True)), "generated")
            return Worth(values[:, None], values.new_empty(len(archs), 0))

        def keeps(graph: GraphBatch) -> Tensor:
            return torch.tensor([self.is_feasible(arch) for arch in archs_of(graph)], dtype=torch.bool)

        seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
        seeker = Seeker(self.generator, worth, keeps, seed, guides=self._cost_guides, config=SEEKING)
        found = list(candidates.found)
        known = torch.tensor([candidates.found[arch][0] for arch in found], dtype=torch.double)[:, None]
        seeker.start(GraphBatch.from_archs(found, template), Worth(known, known[:, :0]))
        seeker.run(seeker.evaluated + self.sought)


def _columns(history: History, problem: Problem, part: Problem) -> History:
    """A history of a problem's metrics with the columns of another problem's, which are among them."""
    columns = [problem.metrics.index(metric) for metric in part.metrics]
    return replace(history, values=history.values[:, columns])
