"""Jobs that are handed out: whoever asked for them does them and brings the results back."""

from __future__ import annotations

from gennas.executors.base import Executor, Job, JobResult


class HandoutExecutor(Executor):
    """Keeps jobs until their results are reported.

    Attributes:
        jobs: those handed out, by number.
    """

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, job: Job) -> None:
        self.jobs[job.number] = job

    def wait(self, timeout: float | None = None) -> list[JobResult]:
        """Nothing: results are reported, not waited for."""
        return []

    def stop(self) -> None:
        self.jobs.clear()

    def close(self) -> None:
        self.stop()
