"""Executor: the interface for running evaluations in other processes or on other machines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.tasks import Task

#: Why a job failed: it ``raised`` an error, exceeded its ``timeout``, or was ``lost`` with its worker.
Reason = Literal["raised", "timeout", "lost"]


@dataclass(frozen=True, eq=False)
class Job:
    """An evaluation to run.

    Attributes:
        number: identifies the job to the caller.
        arch: the arch to evaluate.
        evaluator: evaluates it.
        task: the task of the network.
        seed: see :meth:`Evaluator.evaluate`.
        fidelity: see :meth:`Evaluator.evaluate`.
        timeout: seconds after which the job is stopped; None for no limit.
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
    """The result of a job.

    Attributes:
        job: the job.
        values: metric -> value as returned by the evaluator; None if the job failed.
        reason: why the job failed; None if it succeeded.
        message: description of the failure.
        seconds: run time of the evaluation, without time in the queue or paused.
        remarks: of the evaluator, see :meth:`Evaluator.remarks`.
    """

    job: Job
    values: dict[str, float] | None
    reason: Reason | None = None
    message: str = ""
    seconds: float = 0.0
    remarks: tuple[str, ...] = ()


class Executor(ABC):
    """Runs jobs in parallel.

    - Executors do not store results; only the coordinator does.
    - :meth:`wait` returns every submitted job exactly once. A job that raises, exceeds its timeout or crashes its
      worker is returned as failed, without affecting other jobs.
    - While a job of an evaluator that ``is_exclusive`` runs, no other job runs on that machine.
    - Workers end with the coordinator, however it ends.
    """

    #: Runs all jobs on the coordinator's machine; nodes of a cluster may have what this machine lacks.
    runs_here: bool = False

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Number of jobs that can run at the same time."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Queues a job.

        Raises:
            InvalidInputError: the evaluator cannot be pickled.
        """

    @abstractmethod
    def wait(self, timeout: float | None = None) -> list[JobResult]:
        """Waits for jobs; returns all that have finished since the last call.

        Args:
            timeout: maximum seconds to wait; None to wait until a job finishes. Returns at once if there are no jobs.

        Raises:
            InvalidInputError: workers cannot be started.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stops all jobs, whose results are lost. New jobs may be submitted afterwards."""

    @abstractmethod
    def close(self) -> None:
        """Stops all jobs and ends all workers."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
