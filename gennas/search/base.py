"""History, Proposal and Policy: what a search method sees, and what it proposes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from gennas.arch import Arch
from gennas.metrics import Metric
from gennas.problem import Problem
from gennas.search.taken import Taken
from gennas.spaces.functions import Distinct, KeyOf, arch_key, key_of

#: Of a normal distribution, 90 % lie within so many stds.
NORMAL_95 = 1.645
#: ``proposed_by`` of archs that nobody proposed: the user had evaluated them.
EVALUATED = "evaluated"


@dataclass(frozen=True, eq=False)
class History:
    """The archs of a run so far, in the order in which they were proposed.

    Attributes:
        archs: ``N`` distinct archs, numbered as :meth:`gennas.spaces.Space.canonicalised` does; those that the user had
            evaluated come first.
        values: ``(N, M)`` the metrics of :attr:`Problem.metrics` in their units; NaN where they are not known: not yet,
            because a bound was broken before, or because the evaluation failed.
        pending: ``(N,)`` boolean, which are being evaluated.
        failed: ``(N,)`` boolean, of which no further value will come.
        proposed_by: ``N`` words on how each came to be proposed.
        key_of: tells which archs count as one, and are proposed once; each as itself by default.
        noise: metric -> std of the error of its values, in its unit, where it is known.
    """

    archs: tuple[Arch, ...]
    values: np.ndarray
    pending: np.ndarray
    failed: np.ndarray
    proposed_by: tuple[str, ...]
    key_of: KeyOf = arch_key
    noise: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def nothing(cls, problem: Problem, distinct: Distinct = "functions") -> History:
        """The beginning of a run."""
        none = np.zeros(0, dtype=bool)
        return cls((), np.zeros((0, len(problem.metrics))), none, none, (), key_of(problem.space, distinct))

    def begun_with(self, evaluated: Mapping[Arch, Mapping[str, float]], metrics: Sequence[Metric]) -> History:
        """The same run, had it begun with some evaluated archs.

        Args:
            evaluated: ``E`` archs with metric names and values; one that is missing is not known.
            metrics: the ``M`` columns of the values.
        """
        first = [[values.get(metric.name, np.nan) for metric in metrics] for values in evaluated.values()]
        none = np.zeros(len(first), dtype=bool)
        return History(
            (*evaluated, *self.archs),
            np.vstack([np.array(first, dtype=float).reshape(len(first), len(metrics)), self.values]),
            np.concatenate([none, self.pending]),
            np.concatenate([none, self.failed]),
            (*[EVALUATED] * len(first), *self.proposed_by),
            self.key_of,
            self.noise,
        )

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the archs."""
        return frozenset(arch.key for arch in self.archs)

    @cached_property
    def taken(self) -> Taken:
        """What is not proposed again: the archs, and all others that count as the same."""
        return Taken(self.key_of, self.archs)


@dataclass(frozen=True)
class PredictedValue:
    """What a value is expected to be, before it is evaluated.

    Attributes:
        median: in the metric's unit.
        low: where the central 90 % interval begins, noise of the evaluation included.
        high: where it ends.
    """

    median: float
    low: float
    high: float

    @classmethod
    def normal(cls, mean: float, std: float) -> PredictedValue:
        """Of a normal distribution."""
        return cls(mean, mean - NORMAL_95 * std, mean + NORMAL_95 * std)


@dataclass(frozen=True)
class Proposal:
    """An arch to be evaluated.

    Attributes:
        arch: the arch.
        proposed_by: how it came to be proposed, one word, e.g. ``random``, ``mutated``, ``generated``.
        acquisition_value: what made it better than others, on the method's own scale; None where nothing did.
        predicted: metric -> what is expected of it, as far as the policy models its values.
    """

    arch: Arch
    proposed_by: str
    acquisition_value: float | None = None
    predicted: Mapping[str, PredictedValue] = field(default_factory=dict)


class Policy(ABC):
    """Chooses archs to evaluate.

    A policy may keep what is costly to compute again, but no state: what it proposes depends on its arguments alone.
    Hence a run that was killed resumes as if nothing had happened.
    """

    #: Under which it is registered.
    name: str
    #: Whether it takes a prior of the metrics, as its field ``prior``.
    accepts_prior: ClassVar[bool] = False
    #: Whether it draws from a generator, which its field ``checkpoint`` names.
    uses_generator: ClassVar[bool] = False

    @abstractmethod
    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        """``q`` archs, none of them in ``history.taken`` or twice; fewer only where the space has no more.

        They satisfy all bounds on costs (``params_m``, ``macs_m``), which are known before any evaluation, and are of
        :attr:`gennas.problem.Problem.among` where the problem has it: :func:`gennas.search.mutation.cost_feasibility`
        tells both.

        Args:
            q: how many.
            history: all archs so far.
            rng: all randomness.
        """
