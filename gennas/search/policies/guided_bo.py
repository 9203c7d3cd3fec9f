"""The gennas method: a diffusion model draws archs towards the acquisition function of Gaussian processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from gennas.arch import Arch
from gennas.checkpoint import generator_for
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel
from gennas.diffusion.sampler import SamplerConfig
from gennas.problem import Problem
from gennas.search.acquisition import Improve, Learnt
from gennas.search.acquisition_guide import PARTICLES, AcquisitionGuide, AcquisitionValues
from gennas.search.base import History, Policy, Proposal
from gennas.search.kernels import ViewName
from gennas.search.mutation import Feasibility, cost_feasibility, mutated, random_archs
from gennas.search.policies.fitness import best_rows
from gennas.search.prior_mean import Prior, TablePrior
from gennas.search.surrogate import Inputs
from gennas.tables import load_table

#: Archs that are left of all that were looked at, from which several are picked together.
SHORTLIST = 500
#: Archs of one batch of the sampler.
DRAWN = 512
#: Archs that the generator draws once with nothing to guide it, of which every batch looks at as many as are drawn.
UNGUIDED = 4096
#: Archs -> what each is worth, and how it came to be looked at.
Candidates = dict[Arch, tuple[float, str]]


@dataclass(frozen=True, eq=False)
class GennasPolicy(Policy):
    """Generate, pick, evaluate, learn, repeat.

    The first archs are random, or the best by what is known beforehand. Then Gaussian processes learn every metric of
    the problem; the generator draws archs with probability proportional to ``p(x) * EI(x)^strength``, beside mutants of
    the best archs so far; of all archs looked at on the way those that promise most are a shortlist, from which BoTorch
    picks ``q`` that promise most together.

    Args:
        problem: what is searched.
        checkpoint: a name of ``gennas list checkpoints``, or a folder; the one named as the space by default.
        prior: what is known of the metrics beforehand: ``none``, or ``others``, what the table of the space's name
            knows of the accuracy on other tasks and the latency on other devices.
        known: the same, made by the caller; it is used in place of ``prior``.
        prior_seed: of the trees that learn ``others``.
        first: archs that are evaluated before anything is learnt; none are where something is known of every objective.
        pool: how it is made: ``guided`` as above; ``filtered`` from unguided draws, more than are looked at where they
            are guided; ``mutated`` without the generator; ``everything`` from the whole space, where that can be
            enumerated.
        improve: on what: ``outcome`` or ``mean``; see :class:`gennas.search.acquisition.Learnt`.
        view: what the processes see of graphs: ``features``, or ``weisfeiler_lehman`` for the kernel of NASBOWL.
        strength: exponent of the expected improvement.
        corrections: times that one decision of every drawn arch is made again.
        steps: network calls of a drawing.
        mutants: of the best archs so far, how many are looked at.
        parents: how many of the best archs are mutated.
    """

    name = "gennas"
    accepts_prior = True
    problem: Problem
    checkpoint: str | None = None
    prior: Literal["none", "others"] = "none"
    known: Prior | None = None
    prior_seed: int = 0
    first: int = 10
    pool: Literal["guided", "filtered", "mutated", "everything"] = "guided"
    improve: Improve = "outcome"
    view: ViewName = "features"
    strength: float = 2.0
    corrections: int = 3
    steps: int = 8
    mutants: int = 500
    parents: int = 20

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        with torch.random.fork_rng(devices=[]):
            seed = int(rng.integers(2**31))
            torch.manual_seed(seed)
            learnt = self.learnt(history)
            found = self._picked(learnt, self.candidates(learnt.values_of, history, rng), q, seed) if learnt else []
        taken = history.keys | {proposal.arch.key for proposal in found}
        more = random_archs(self.problem.space, q - len(found), rng, taken, self.is_feasible)
        return [*found, *(Proposal(arch, "random") for arch in more)]

    def learnt(self, history: History) -> Learnt | None:
        """What is expected of the problem's metrics; None where nothing tells archs apart yet."""
        columns = [self.problem.metrics.index(metric) for metric in self.unknown.metrics]
        history = replace(history, values=history.values[:, columns])
        if self._learnable(history):
            return Learnt.of(self.unknown, self.inputs, history, self.improve)
        return Learnt.before(self.unknown, self.inputs, history) if self._starts_informed else None

    @staticmethod
    def _picked(learnt: Learnt, candidates: Candidates, q: int, seed: int) -> list[Proposal]:
        """Of a shortlist of the best archs those that promise most together."""
        shortlist = sorted(candidates, key=lambda arch: -candidates[arch][0])[:SHORTLIST]
        if not shortlist:
            return []
        rows, worths = learnt.pick(learnt.inputs.of(shortlist), min(q, len(shortlist)), seed)
        picks = [shortlist[row] for row in rows]
        return [
            Proposal(arch, candidates[arch][1], acquisition_value)
            for arch, acquisition_value in zip(picks, worths, strict=True)
        ]

    @cached_property
    def unknown(self) -> Problem:
        """The problem without its bounds on costs, which need not be learnt: what is drawn keeps them."""
        known = self.problem.bounds_on_costs
        return replace(self.problem, where=tuple(bound for bound in self.problem.where if bound not in known))

    @cached_property
    def inputs(self) -> Inputs:
        return Inputs(self.problem.space, self.problem.task, self.unknown.metrics, self._known, self.view)

    @cached_property
    def _known(self) -> Prior | None:
        if self.known is not None or self.prior == "none":
            return self.known
        table = load_table(self.problem.space.name)
        return TablePrior.of_others(table, self.problem, self.prior_seed)

    @cached_property
    def is_feasible(self) -> Feasibility:
        """Whether an arch keeps the bounds on costs, and reads its input."""
        space, within = self.problem.space, cost_feasibility(self.problem)
        return lambda arch: not space.is_constant(arch) and within(arch)

    @cached_property
    def generator(self) -> Generator:
        return generator_for(self.problem.space, self.checkpoint)

    @cached_property
    def _cost_guides(self) -> list[Guide]:
        """They keep what is drawn within the bounds on costs."""
        space, task, bounds = self.problem.space, self.problem.task, self.problem.bounds_on_costs
        return [CostConstraintGuide(CostModel(space, task, bound.metric), bound) for bound in bounds]

    @cached_property
    def _unguided(self) -> list[Arch]:
        """Archs as the generator draws them when nothing of what is learnt guides it."""
        drawn = self.generator.sample(
            UNGUIDED, guides=self._cost_guides, sampling=SamplerConfig(steps=self.steps), seed=0
        )
        return self.problem.space.canonicalised(drawn.archs)

    @cached_property
    def _archs(self) -> dict[bytes, Arch | None]:
        """What generated graphs were read as: a generator comes back to many of them."""
        return {}

    def _learnable(self, history: History) -> bool:
        """Whether enough archs were evaluated, and every metric has values that differ."""
        known = np.isfinite(history.values)
        differ = [len(np.unique(column[at])) > 1 for column, at in zip(history.values.T, known.T, strict=True)]
        return all(differ) and int(known.any(1).sum()) >= (2 if self._starts_informed else self.first)

    @cached_property
    def _starts_informed(self) -> bool:
        """Whether something is known of every objective, which says what archs to evaluate first."""
        return all(self.inputs.known[: len(self.problem.objective.metrics)])

    def candidates(
        self, acquisition_value: AcquisitionValues, history: History, rng: np.random.Generator
    ) -> Candidates:
        """New archs that may be proposed."""
        space = self.problem.space
        found: Candidates = {}

        def take(archs: Mapping[Arch, float], proposed_by: str) -> None:
            new = [arch for arch in archs if arch not in found and arch.key not in history.keys]
            found.update((arch, (archs[arch], proposed_by)) for arch in new if self.is_feasible(arch))

        def check_predictions(archs: Sequence[Arch], proposed_by: str) -> None:
            distinct = list(dict.fromkeys(archs))
            if distinct:
                take(dict(zip(distinct, acquisition_value(distinct).tolist(), strict=True)), proposed_by)

        if self.pool == "everything":
            check_predictions(list(space.enumerate()), "enumerated")
            return found
        best = best_rows(self.problem, history, self.parents)
        parents = [history.archs[best[row]] for row in rng.integers(len(best), size=self.mutants)] if best else []
        check_predictions(mutated(space, parents, rng) if parents else [], "mutated")
        if self.pool == "mutated":
            return found
        if self.pool == "filtered":
            check_predictions(self._unguided, "generated")
            return found
        drawn = len(self._unguided)
        check_predictions(
            [self._unguided[row] for row in rng.integers(drawn, size=DRAWN)] if drawn else [], "generated"
        )
        if not found:
            # Nothing tells what partly masked archs are worth: a guide learns from whole ones.
            return found
        seed = int(rng.integers(2**31))
        guide = AcquisitionGuide(space, acquisition_value, self.strength, list(found), seed, self._archs)
        sampling = SamplerConfig(steps=self.steps, particles=PARTICLES, corrections=self.corrections)
        self.generator.sample(DRAWN, guides=[*self._cost_guides, guide], sampling=sampling, seed=seed)
        take(guide.candidates, "generated")
        return found
