"""Evaluator: the one signature behind which tables, trainings, measurements and predictions stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gennas.arch import Arch
from gennas.metrics import Metric
from gennas.tasks import Task

if TYPE_CHECKING:
    from gennas.evaluators.context import EvaluatorContext


@dataclass(frozen=True)
class EvaluationSettings:
    """Under which conditions values were got, as their rows tell it; 0 and empty where the values depend on none.

    Attributes:
        seed: of the evaluation's randomness.
        fidelity: epochs of a training.
        recipe: hash of how a network was trained, or of what predicted the values.
    """

    seed: int = 0
    fidelity: int = 0
    recipe: str = ""


class Evaluator(ABC):
    """Gives metric values of an arch: true ones, unless its source says ``predicted``.

    An evaluator keeps no results: what was evaluated is remembered by :class:`gennas.studies.study.Study`. It can be
    sent to another process (pickled), unless it is instant.
    """

    #: ``source`` of the rows it yields, one word: ``table``, ``trained``, ``measured``, ``computed``, ``predicted``, or
    #: one of your own. Values of different sources are never taken for each other.
    source: str
    #: Takes no time worth mentioning, so that the coordinator of a search evaluates by itself.
    is_instant: bool = False
    #: Measures this very machine: nothing else may run meanwhile, and the values are of no use on another one.
    is_exclusive: bool = False

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self | None:
        """The evaluator for a search; None where it can give nothing that is wanted.

        By default it is made of the problem's space, or of nothing where its constructor takes nothing. A class that
        needs more of the context, or that is costly to make, overrides this.

        Args:
            context: what it may use.
            wanted: metrics, with their targets, that no evaluator before it gives.

        Raises:
            GennasError: it should give what is wanted, and something is missing for it.
        """
        evaluator = cls() if cls.__init__ is object.__init__ else cls(context.problem.space)  # type: ignore[call-arg]
        given = evaluator.metrics(context.problem.task)
        return evaluator if any(metric.name in given for metric in wanted) else None

    @abstractmethod
    def metrics(self, task: Task) -> tuple[str, ...]:
        """What :meth:`evaluate` gives for every arch, with places; it may give more, only to be reported."""

    @abstractmethod
    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """The values of one arch, keyed by metric name with its target, e.g. ``latency_ms@cpu``.

        Args:
            arch: an arch of the evaluator's space.
            task: what the network is for; its images where the evaluator trains.
            seed: randomness of this evaluation.
            fidelity: epochs of training; None for the evaluator's own default, ignored where it has no meaning.
        """

    def expect_usable(self, task: Task) -> None:
        """Finds out whether anything can be evaluated on this machine, before the first evaluation; of the arguments of
        the constructor alone nothing need be checked again.

        Raises:
            GennasError: it cannot.
        """
        return

    def remarks(self) -> tuple[str, ...]:
        """What the user should know about the last evaluation, in sentences without a full stop, the same for all archs
        of which it is true; asked for in the process of that evaluation."""
        return ()

    def network_folder(self, arch: Arch) -> Path | None:
        """Where an arch's trained network is kept; None for an evaluator that keeps none."""
        return None

    def is_kept(self, arch: Arch) -> bool:
        """Whether all that an evaluation of the arch left beside its values is still there."""
        return True

    def stored(self, arch: Arch) -> None:
        """Called in the coordinator once an arch's values are stored: what was kept in case they get lost may go."""
        return

    def noise(self) -> Mapping[str, float]:
        """Metric -> std of the error of its values, in its unit, where it is known; of none by default."""
        return {}

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        """On what of these its values depend; on nothing by default."""
        return EvaluationSettings()

    def conditions_of(self, arch: Arch, seed: int, fidelity: int | None) -> EvaluationSettings:
        """The same of one arch: other ones only where archs choose how they are evaluated."""
        return self.conditions(seed, fidelity)
