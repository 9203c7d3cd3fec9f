"""Evaluator: the one signature behind which tables, trainings and measurements stand."""

from abc import ABC, abstractmethod

from gennas.arch import Arch
from gennas.tasks import Task


class Evaluator(ABC):
    """Gives true metric values of an arch.

    An evaluator keeps no results: what was evaluated is remembered by :class:`gennas.study.Study`.
    """

    #: ``source`` of the rows it yields: ``table``, ``trained`` or ``measured``.
    source: str

    @abstractmethod
    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """The values of one arch, keyed by metric name with its place, e.g. ``latency_ms@cpu``.

        Args:
            arch: an arch of the evaluator's space.
            task: what the network is for; its images where the evaluator trains.
            seed: randomness of this evaluation.
            fidelity: epochs of training; None for the evaluator's own default, ignored where it has no meaning.
        """
