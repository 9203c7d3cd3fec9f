"""Evaluations in processes of this machine."""

from __future__ import annotations

import atexit
import math
import os
import time
from collections import deque
from multiprocessing.connection import wait

from gennas.errors import InvalidInputError
from gennas.executors.base import Executor, Job, JobResult
from gennas.executors.worker import Worker, packed


class ProcessExecutor(Executor):
    """Long-lived worker processes, started when they are first needed; one that dies is replaced.

    What must be alone runs in one more process, while all others are paused, and while the coordinator waits. Python
    starts workers by importing the main module again: a script must do its work under
    ``if __name__ == "__main__":``.

    Args:
        workers: how many jobs run at once; torch in each has its share of the cores.

    Raises:
        InvalidInputError: fewer than one worker.
    """

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise InvalidInputError(f"workers is {workers}; expected at least 1.")
        self._threads = max(1, usable_cores() // workers)
        self._workers: list[Worker | None] = [None] * workers
        self._measurer: Worker | None = None
        self._queue: deque[tuple[Job, bytes]] = deque()
        self._measurements: deque[tuple[Job, bytes]] = deque()
        # Before multiprocessing's own exit handler, which would wait for the workers for ever.
        atexit.register(self.close)

    @property
    def capacity(self) -> int:
        return len(self._workers)

    def submit(self, job: Job) -> None:
        document = packed(job)
        (self._measurements if job.evaluator.is_exclusive else self._queue).append((job, document))

    def wait(self, timeout: float | None = None) -> list[JobResult]:
        end = math.inf if timeout is None else time.monotonic() + timeout
        finished: list[JobResult] = []
        while True:
            while self._measurements:
                finished.append(self._measured(*self._measurements.popleft()))
            self._fill()
            finished += self._looked()
            self._fill()
            busy = self._busy
            if finished or not busy:
                return finished
            left = min(end - time.monotonic(), *(worker.seconds_left() for worker in busy))
            if end <= time.monotonic():
                return []
            wait([handle for worker in busy for handle in worker.handles], None if left == math.inf else max(left, 0))

    def stop(self) -> None:
        for worker in (*self._workers, self._measurer):
            if worker is not None and worker.job is not None:
                worker.kill()
        self._queue.clear()
        self._measurements.clear()

    def close(self) -> None:
        self.stop()
        atexit.unregister(self.close)
        for worker in (*self._workers, self._measurer):
            if worker is not None and worker.is_alive:
                worker.kill()
        self._workers, self._measurer = [None] * len(self._workers), None

    @property
    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker is not None and worker.job is not None]

    def _fill(self) -> None:
        """Gives jobs to the workers that have none."""
        for place, worker in enumerate(self._workers):
            if not self._queue:
                return
            if worker is not None and worker.job is not None:
                continue
            if worker is None or not worker.is_alive:
                worker = self._workers[place] = Worker(self._threads)
            worker.start(*self._queue.popleft())

    def _looked(self) -> list[JobResult]:
        return [finished for worker in self._busy if (finished := worker.look()) is not None]

    def _measured(self, job: Job, document: bytes) -> JobResult:
        """Runs a job while nothing else does."""
        if self._measurer is None or not self._measurer.is_alive:
            self._measurer = Worker(usable_cores())
        measurer, paused = self._measurer, self._busy
        for worker in paused:
            worker.pause()
        try:
            measurer.start(job, document)
            while (finished := measurer.look()) is None:
                left = measurer.seconds_left()
                wait(measurer.handles, None if left == math.inf else max(left, 0))
        finally:
            for worker in paused:
                worker.go_on()
        return finished


def usable_cores() -> int:
    """The cores that this process may use, which a scheduler may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
