"""ProcessExecutor: runs evaluations in processes of this machine."""

from __future__ import annotations

import atexit
import math
import os
import time
from collections import deque
from multiprocessing.connection import wait

from gennas.consent import expect
from gennas.errors import InvalidInputError
from gennas.executors.base import Executor, Job, JobResult
from gennas.executors.worker import Worker, packed

#: Memory of a process that has imported torch and evaluates nothing yet.
_WORKER_GIGABYTES = 0.3


class ProcessExecutor(Executor):
    """Runs jobs in long-lived worker processes, which are started on demand and replaced if they die.

    Exclusive jobs run in an additional process, while all others are paused and the coordinator waits. As workers
    import the main module, a script must guard its code with ``if __name__ == "__main__":``.

    Args:
        workers: number of worker processes, among which the cores are divided.

    Raises:
        InvalidInputError: fewer than one worker.
    """

    runs_here = True

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise InvalidInputError(f"is {workers}; must be at least 1.", argument="workers")
        expect(f"{workers} worker processes", gigabytes=_WORKER_GIGABYTES * workers, instead="lower `workers`")
        self._threads = max(1, usable_cores() // workers)
        self._workers: list[Worker | None] = [None] * workers
        self._exclusive_worker: Worker | None = None
        self._queue: deque[tuple[Job, bytes]] = deque()
        self._exclusive_queue: deque[tuple[Job, bytes]] = deque()
        # Runs before the exit handler of multiprocessing, which would wait for the workers forever.
        atexit.register(self.close)

    @property
    def capacity(self) -> int:
        return len(self._workers)

    def submit(self, job: Job) -> None:
        pickled = packed(job)
        (self._exclusive_queue if job.evaluator.is_exclusive else self._queue).append((job, pickled))

    def wait(self, timeout: float | None = None) -> list[JobResult]:
        end = math.inf if timeout is None else time.monotonic() + timeout
        finished: list[JobResult] = []
        while True:
            while self._exclusive_queue:
                finished.append(self._run_exclusively(*self._exclusive_queue.popleft()))
            self._start_jobs()
            finished += self._poll()
            self._start_jobs()
            busy = self._busy
            if finished or not busy:
                return finished
            seconds = min(end - time.monotonic(), *(worker.seconds_left() for worker in busy))
            if end <= time.monotonic():
                return []
            handles = [handle for worker in busy for handle in worker.handles]
            wait(handles, None if seconds == math.inf else max(seconds, 0))

    def stop(self) -> None:
        for worker in (*self._workers, self._exclusive_worker):
            if worker is not None and worker.job is not None:
                worker.kill()
        self._queue.clear()
        self._exclusive_queue.clear()

    def close(self) -> None:
        self.stop()
        atexit.unregister(self.close)
        for worker in (*self._workers, self._exclusive_worker):
            if worker is not None and not worker.connection.closed:
                worker.kill()
        self._workers, self._exclusive_worker = [None] * len(self._workers), None

    @property
    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker is not None and worker.job is not None]

    def _start_jobs(self) -> None:
        """Gives queued jobs to idle workers."""
        for index, worker in enumerate(self._workers):
            if not self._queue:
                return
            if worker is not None and worker.job is not None:
                continue
            if worker is None or not worker.is_alive:
                worker = self._workers[index] = Worker(self._threads)
            worker.start(*self._queue.popleft())

    def _poll(self) -> list[JobResult]:
        return [finished for worker in self._busy if (finished := worker.poll()) is not None]

    def _run_exclusively(self, job: Job, pickled: bytes) -> JobResult:
        """Runs a job while all other workers are paused."""
        if self._exclusive_worker is None or not self._exclusive_worker.is_alive:
            self._exclusive_worker = Worker(usable_cores())
        exclusive, paused = self._exclusive_worker, self._busy
        for worker in paused:
            worker.pause()
        try:
            exclusive.start(job, pickled)
            while (finished := exclusive.poll()) is None:
                seconds = exclusive.seconds_left()
                wait(exclusive.handles, None if seconds == math.inf else max(seconds, 0))
        finally:
            for worker in paused:
                worker.resume()
        return finished


def usable_cores() -> int:
    """Number of cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
