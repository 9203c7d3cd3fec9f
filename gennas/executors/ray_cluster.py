"""Evaluations on the nodes of a Ray cluster; needs ``pip install 'gennas[ray]'``."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

from gennas.errors import InvalidInputError
from gennas.executors.base import Executor, Job, JobResult, Reason
from gennas.executors.processes import ProcessExecutor
from gennas.executors.worker import described, packed, unpacked

#: What a node sends back: values, or the reason and the message, and the seconds.
_Outcome = tuple[dict[str, float] | None, Reason | None, str, float]


class RayExecutor(Executor):
    """Runs every job as a task of Ray, on whichever node has place; a node that is lost loses only its jobs.

    On its node a job runs in a process of its own, with the same timeouts and the same failures as on one machine.
    What must be alone runs on the coordinator's machine, where it is alone only if that is no node of the cluster.
    gennas and the evaluator's module must be installed on all nodes; a file of the user's own is sent along.

    Args:
        address: of the cluster, e.g. ``auto`` or ``ray://head:10001``; None for the one that this process is
            connected to, or a new one on this machine.
        cores: of a node that a job takes.
        gpus: of a node that a job takes; a fraction lets jobs share one.

    Raises:
        InvalidInputError: Ray is not installed, the cluster cannot be reached, or no node has that many cores.
    """

    def __init__(self, address: str | None = None, cores: int = 1, gpus: float = 0.0) -> None:
        # Ray would report home otherwise, unless the user has decided.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = _ray()
        self._connected = not self._ray.is_initialized()
        if self._connected:
            try:
                self._ray.init(address=address, log_to_driver=False)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise InvalidInputError(
                    f"no Ray cluster at {address!r}: {error}; start one with 'ray start --head', or give its address."
                ) from error
        self._cores, self._gpus = cores, gpus
        # Ray's own retries would hide what was lost.
        options = {"num_cpus": cores, "num_gpus": gpus, "max_retries": 0, "scheduling_strategy": "SPREAD"}
        self._evaluate = self._ray.remote(**options)(_on_node)
        self._running: dict[Any, tuple[Job, float]] = {}
        self._here: ProcessExecutor | None = None
        if self.capacity < 1:
            found = self._ray.cluster_resources()
            self.close()
            raise InvalidInputError(
                f"no place in the Ray cluster for jobs of {cores} cores and {gpus:g} GPUs: it has "
                f"{found.get('CPU', 0):g} cores and {found.get('GPU', 0):g} GPUs."
            )

    @property
    def capacity(self) -> int:
        """How many jobs can run at once on the nodes that are there now."""
        places = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                place = node["Resources"].get("CPU", 0) // self._cores
                if self._gpus:
                    place = min(place, node["Resources"].get("GPU", 0) // self._gpus)
                places += int(place)
        return places

    def submit(self, job: Job) -> None:
        if job.evaluator.is_exclusive:
            self._here = self._here or ProcessExecutor(1)
            self._here.submit(job)
            return
        self._running[self._evaluate.remote(packed(job))] = job, time.monotonic()

    def wait(self, timeout: float | None = None) -> list[JobResult]:
        # All that is here is measured now, while the coordinator does nothing.
        finished = self._here.wait() if self._here is not None else []
        if not self._running:
            return finished
        running = list(self._running)
        ready, _ = self._ray.wait(running, num_returns=1, timeout=0 if finished else timeout)
        if ready:
            ready, _ = self._ray.wait(running, num_returns=len(running), timeout=0)
        return finished + [self._outcome(reference) for reference in ready]

    def stop(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._here is not None:
            self._here.stop()

    def close(self) -> None:
        self.stop()
        if self._here is not None:
            self._here.close()
        if self._connected:
            self._ray.shutdown()
            self._connected = False

    def _outcome(self, reference: Any) -> JobResult:
        job, since = self._running.pop(reference)
        errors = self._ray.exceptions
        try:
            return JobResult(job, *self._ray.get(reference))
        except errors.RayTaskError as error:
            # The evaluator's own errors do not come this way: the node cannot read the job.
            return JobResult(job, None, "raised", described(error), time.monotonic() - since)
        except errors.RayError as error:
            message = f"its node or worker is gone: {described(error).splitlines()[0]}"
            return JobResult(job, None, "lost", message, time.monotonic() - since)


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise InvalidInputError(f"workers on a cluster need Ray ({error}): pip install 'gennas[ray]'") from error
    # Ray tells of nodes on standard output, which belongs to the results; only this, which its debugger uses, stops it.
    ray._private.worker._worker_logs_enabled = False
    return ray


@cache
def _executor_of_node() -> ProcessExecutor:
    return ProcessExecutor(1)


def _on_node(document: bytes) -> _Outcome:
    """Evaluates a packed job on a node, in a process that it can kill."""
    executor = _executor_of_node()
    executor.submit(unpacked(document))
    (finished,) = executor.wait()
    return finished.values, finished.reason, finished.message, finished.seconds
