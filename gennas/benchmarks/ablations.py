"""The gennas method with one choice made otherwise each: what ``scripts/bench_search_ablations.py`` compares.

They are search methods by their address, e.g. ``gennas.benchmarks.ablations:MutantsOnly``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from botorch.models import ModelListGP
from torch import Tensor

from gennas.benchmarks.weisfeiler_lehman import WeisfeilerLehmanView
from gennas.pareto import pareto_order
from gennas.predictors.gaussian_process import Process
from gennas.problem import Problem
from gennas.search.acquisition import Acquisition, baseline_rows, improvement_over
from gennas.search.base import History
from gennas.search.improvement import LogEHVI
from gennas.search.inputs import Inputs
from gennas.search.policies.guided_bo import Candidates, GuidedBO
from gennas.search.policies.noisy_ei import noisy_improvement
from gennas.search.selection import select
from gennas.search.surrogate import Bound, ProblemSurrogate

#: The best archs so far, front after front, with which noisy improvements compare; more make hypervolumes slow.
COMPARED = 40


@dataclass(frozen=True, eq=False)
class FilteredDraws(GuidedBO):
    """The best of unguided draws, more than are considered where they are guided."""

    def candidates(self, acquisition: Acquisition, history: History, rng: np.random.Generator) -> Candidates:
        candidates = Candidates(history, self.is_feasible)
        candidates.evaluate(self.mutants_of_best(history, rng), acquisition.values_of, "mutated")
        candidates.evaluate(self.unguided, acquisition.values_of, "generated")
        return candidates


@dataclass(frozen=True, eq=False)
class MutantsOnly(GuidedBO):
    """Without the generator."""

    def candidates(self, acquisition: Acquisition, history: History, rng: np.random.Generator) -> Candidates:
        candidates = Candidates(history, self.is_feasible)
        candidates.evaluate(self.mutants_of_best(history, rng), acquisition.values_of, "mutated")
        return candidates


@dataclass(frozen=True, eq=False)
class WholeSpace(GuidedBO):
    """The best of all archs of a space that can be enumerated."""

    def candidates(self, acquisition: Acquisition, history: History, rng: np.random.Generator) -> Candidates:
        candidates = Candidates(history, self.is_feasible)
        candidates.evaluate(list(self.problem.space.enumerate()), acquisition.values_of, "enumerated")
        return candidates


@dataclass(frozen=True, eq=False)
class WeisfeilerLehman(GuidedBO):
    """The kernel of NASBOWL (Ru et al., ICLR 2021) in place of features."""

    @cached_property
    def inputs(self) -> Inputs:
        space, view = self.problem.space, WeisfeilerLehmanView(self.problem.space)
        return Inputs(space, self.problem.task, self.modelled.metrics, self.prior, view)


@dataclass(frozen=True, eq=False)
class AcquisitionOfMeans(Acquisition):
    """Improvements of noiseless scores over the means of what was evaluated.

    Attributes:
        compared: ``(R, d)`` inputs of the archs over which others improve, the best first.
    """

    compared: Tensor

    @classmethod
    def of_means(cls, plain: Acquisition, rows: np.ndarray, history: History) -> AcquisitionOfMeans:
        """Beside :meth:`Acquisition.of`.

        Args:
            plain: the acquisition of outcomes.
            rows: of the archs over which others improve; see :func:`gennas.search.acquisition.baseline_rows`.
            history: all archs so far.
        """
        surrogate = plain.surrogate
        points = surrogate.inputs.of([history.archs[row] for row in rows])
        expected = surrogate.expected_objectives(points)
        improvement = improvement_over(surrogate, expected)
        return cls(surrogate, improvement, plain.any_feasible, plain.pending, points[pareto_order(expected)])

    def improvement_std(self, std: Tensor) -> Tensor:
        return std


@dataclass(frozen=True, eq=False)
class ImprovementOfMeans(GuidedBO):
    """qLogNEI, or with several objectives qLogNEHVI (Ament et al., NeurIPS 2023), of means in place of outcomes."""

    def acquisition_of(self, problem: Problem, surrogate: ProblemSurrogate, history: History) -> Acquisition:
        plain = super().acquisition_of(problem, surrogate, history)
        return AcquisitionOfMeans.of_means(plain, baseline_rows(problem, history), history)

    def select(self, acquisition: Acquisition, choices: Tensor, q: int) -> tuple[list[int], list[float]]:
        if not isinstance(acquisition, AcquisitionOfMeans):
            # Before any evaluation there is no process to sample from.
            return super().select(acquisition, choices, q)
        models = [surrogate.model for surrogate in acquisition.surrogate.metrics if isinstance(surrogate, Process)]
        improvement = acquisition.improvement
        function = noisy_improvement(
            models[0] if len(models) == 1 else ModelListGP(*models),
            acquisition.compared[:COMPARED],
            objectives=acquisition.surrogate.objectives,
            constraints=[_constraint_of(bound) for bound in acquisition.surrogate.bounds],
            reference=improvement.reference if isinstance(improvement, LogEHVI) else None,
            # The caller has seeded it; BoTorch prunes what is compared with by samples of its own.
            seed=int(torch.randint(2**31, ())),
        )
        return select(function, choices, q, acquisition.pending)


def _constraint_of(bound: Bound) -> Callable[[Tensor], Tensor]:
    """A function of samples ``(..., M)``, negative where the bound holds."""
    return partial(_excess, bound=bound)


def _excess(samples: Tensor, bound: Bound) -> Tensor:
    return bound.side * (bound.score - samples[..., bound.column])
