"""Executors run evaluations elsewhere: in processes of this machine, or on the nodes of a Ray cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.tasks import Task

#: ``raised`` an error, or was ``lost`` with its worker.
Reason = Literal["raised", "timeout", "lost"]


@dataclass(frozen=True, eq=False)
class Job:
    """One evaluation to be done.

    Attributes:
        number: by which the caller knows it again.
        arch: what to evaluate.
        evaluator: does it; not an instant one.
        task: what for.
        seed: as of :meth:`Evaluator.evaluate`.
        fidelity: as of :meth:`Evaluator.evaluate`.
        timeout: seconds after which it is stopped; None for never.
    """

    number: int
    arch: Arch
    evaluator: Evaluator
    task: Task
    seed: int = 0
    fidelity: int | None = None
    timeout: float | None = None


@dataclass(frozen=True, eq=False)
class JobResult:
    """What came of a job.

    Attributes:
        job: the job.
        values: what the evaluator gave; None where it failed.
        reason: why there are no values.
        message: the same in words.
        seconds: that the evaluation took, without waiting.
    """

    job: Job
    values: dict[str, float] | None
    reason: Reason | None = None
    message: str = ""
    seconds: float = 0.0


class Executor(ABC):
    """Runs jobs, as many at a time as it has places.

    - It stores nothing: the coordinator alone writes.
    - Every submitted job comes back from :meth:`wait` exactly once, whatever happens to it: one that raises, hangs or
      takes its worker with it comes back as failed, and the other jobs do not notice.
    - While a job of an evaluator that must be ``is_exclusive`` runs, no other job does on that machine.
    - Workers end with the coordinator, however it ends.
    """

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many jobs can run at once."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Takes a job; it runs when there is place.

        Raises:
            InvalidInputError: the evaluator cannot be sent to a worker.
        """

    @abstractmethod
    def wait(self, timeout: float | None = None) -> list[JobResult]:
        """What has finished since the last call, at least one job if any is left and the timeout does not end first.

        Args:
            timeout: seconds to wait; None for as long as it takes.

        Raises:
            InvalidInputError: workers cannot be started.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stops all jobs; none of them comes back. Others may be submitted then."""

    @abstractmethod
    def close(self) -> None:
        """Stops all jobs, and ends all workers."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
