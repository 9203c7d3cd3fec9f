"""Evaluator: the one signature behind which tables, trainings, measurements and predictions stand."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from gennas.arch import Arch
from gennas.tasks import Task


@dataclass(frozen=True)
class EvaluationSettings:
    """Under which conditions values were got, as their rows tell it; 0 and empty where the values depend on none.

    Attributes:
        seed: of the evaluation's randomness.
        fidelity: epochs of a training.
        recipe: hash of how a network was trained, or of what foretold the values.
    """

    seed: int = 0
    fidelity: int = 0
    recipe: str = ""


class Evaluator(ABC):
    """Gives metric values of an arch: true ones, unless its source says ``predicted``.

    An evaluator keeps no results: what was evaluated is remembered by :class:`gennas.studies.study.Study`. It can be
    sent to another process (pickled), unless it is instant.
    """

    #: ``source`` of the rows it yields: ``table``, ``trained``, ``measured``, ``computed`` or ``predicted``.
    source: str
    #: Takes no time worth mentioning, so that the coordinator of a search evaluates by itself.
    is_instant: bool = False
    #: Measures this very machine: nothing else may run meanwhile, and the values are of no use on another one.
    is_exclusive: bool = False

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

    def network_folder(self, arch: Arch) -> Path | None:
        """Where an arch's trained network is kept; None for an evaluator that keeps none."""
        return None

    def is_kept(self, arch: Arch) -> bool:
        """Whether all that an evaluation of the arch left beside its values is still there."""
        return True

    def stored(self, arch: Arch) -> None:
        """Called in the coordinator once an arch's values are stored: what was kept in case they get lost may go."""
        return

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        """On what of these its values depend; on nothing by default."""
        return EvaluationSettings()
