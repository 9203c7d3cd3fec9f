"""Jobs done one after the other in the process of the coordinator."""

from __future__ import annotations

import time

from gennas.executors.base import Executor, Job, JobResult
from gennas.executors.worker import described


class InlineExecutor(Executor):
    """Runs each job when it is waited for, in this process: no start-up, and what a job logs is seen.

    A job that hangs or takes the process with it ends the run, and timeouts are not kept; for these there is
    :class:`gennas.executors.processes.ProcessExecutor`.
    """

    runs_here = True

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def wait(self, timeout: float | None = None) -> list[JobResult]:
        return [evaluated_here(self._jobs.pop(0))] if self._jobs else []

    def stop(self) -> None:
        self._jobs.clear()

    def close(self) -> None:
        self.stop()


def evaluated_here(job: Job) -> JobResult:
    """Does a job in this process."""
    start = time.perf_counter()
    try:
        given = job.evaluator.evaluate(job.arch, task=job.task, seed=job.seed, fidelity=job.fidelity)
        values = {str(name): float(value) for name, value in given.items()}
    except (Exception, SystemExit) as error:
        # Whatever an evaluator raises, the other archs may fare better; only an interruption ends them all.
        return JobResult(job, None, "raised", described(error), time.perf_counter() - start)
    return JobResult(job, values, seconds=time.perf_counter() - start, remarks=job.evaluator.remarks())
