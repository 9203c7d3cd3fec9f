"""RayExecutor: runs evaluations on the nodes of a Ray cluster; needs ``pip install 'gennas[ray]'``."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from functools import cache
from typing import Any

from gennas.errors import InvalidInputError
from gennas.executors.base import Executor, Job, JobResult, Reason
from gennas.executors.processes import ProcessExecutor
from gennas.executors.worker import described, packed, unpacked

#: What a node returns: values, reason and message of a failure, seconds, and remarks.
_Outcome = tuple[dict[str, float] | None, Reason | None, str, float, tuple[str, ...]]


class RayExecutor(Executor):
    """Runs every job as a Ray task on any node with free resources; if a node is lost, only its jobs fail.

    On its node, a job runs in a process of its own, with the same timeouts and failures as on one machine. Exclusive
    jobs run on the coordinator's machine, which should therefore not be a node of the cluster. gennas and the
    evaluator's module must be installed on all nodes; files of the user are sent with the job.

    Args:
        address: address of the cluster, e.g. ``auto`` or ``ray://head:10001``; ``local`` is a new one on this machine
            that listens on the loopback interface only. By default the cluster that this process is connected to, that
            of ``$RAY_ADDRESS``, or a local one.
        cores: cores of a node per job.
        gpus: GPUs of a node per job; with a fraction, jobs share one.

    Raises:
        InvalidInputError: Ray is not installed, the cluster cannot be reached, or no node has enough resources.
    """

    def __init__(self, address: str | None = None, cores: int = 1, gpus: float = 0.0) -> None:
        # Ray collects usage statistics by default; a choice of the user is kept.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address == "local" or (address is None and "RAY_ADDRESS" not in os.environ):
            address = "local"
            if "ray" not in sys.modules:
                # Without support for several machines, which this switches off on any platform and which Ray reads
                # when it is imported, it listens on the loopback interface.
                os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        self._ray = _ray()
        self._connected = not self._ray.is_initialized()
        if self._connected:
            try:
                self._ray.init(address=address, log_to_driver=False)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise InvalidInputError(
                    f"cannot connect to a Ray cluster at {address!r}: {error}. Start one with 'ray start --head', or "
                    "check the address."
                ) from error
        self._cores, self._gpus = cores, gpus
        # Without Ray's retries: the caller decides about lost jobs.
        options = {"num_cpus": cores, "num_gpus": gpus, "max_retries": 0, "scheduling_strategy": "SPREAD"}
        self._evaluate = self._ray.remote(**options)(_on_node)
        self._running: dict[Any, tuple[Job, float]] = {}
        self._local: ProcessExecutor | None = None
        if self.capacity < 1:
            total = self._ray.cluster_resources()
            self.close()
            raise InvalidInputError(
                f"no node of the Ray cluster can run jobs of {cores} cores and {gpus:g} GPUs; in total it has "
                f"{total.get('CPU', 0):g} cores and {total.get('GPU', 0):g} GPUs. Use fewer per job, or add a node."
            )

    @property
    def capacity(self) -> int:
        """Number of jobs that can run at the same time on the present nodes."""
        total = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                jobs = node["Resources"].get("CPU", 0) // self._cores
                if self._gpus:
                    jobs = min(jobs, node["Resources"].get("GPU", 0) // self._gpus)
                total += int(jobs)
        return total

    def submit(self, job: Job) -> None:
        if job.evaluator.is_exclusive:
            self._local = self._local or ProcessExecutor(1)
            self._local.submit(job)
            return
        self._running[self._evaluate.remote(packed(job))] = job, time.monotonic()

    def wait(self, timeout: float | None = None) -> list[JobResult]:
        # Exclusive jobs run first, while the coordinator is idle.
        finished = self._local.wait() if self._local is not None else []
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
        if self._local is not None:
            self._local.stop()

    def close(self) -> None:
        self.stop()
        if self._local is not None:
            self._local.close()
        if self._connected:
            self._ray.shutdown()
            self._connected = False

    def _outcome(self, reference: Any) -> JobResult:
        job, start = self._running.pop(reference)
        errors = self._ray.exceptions
        try:
            return JobResult(job, *self._ray.get(reference))
        except errors.RayTaskError as error:
            # Not an error of the evaluator, which the node would have caught: the node cannot unpickle the job.
            return JobResult(job, None, "raised", described(error), time.monotonic() - start)
        except errors.RayError as error:
            message = f"the node or worker was lost: {described(error).splitlines()[0]}"
            return JobResult(job, None, "lost", message, time.monotonic() - start)


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise InvalidInputError(f"Ray is not installed ({error}); run: pip install 'gennas[ray]'") from error
    # Ray prints lost nodes to standard output, which is reserved for results, even with log_to_driver=False. There is
    # no public option; this is the switch that Ray's own debugger uses. Without it nothing but the output changes.
    with suppress(AttributeError):
        ray._private.worker._worker_logs_enabled = False
    return ray


@cache
def _executor_of_node() -> ProcessExecutor:
    return ProcessExecutor(1)


def _on_node(pickled: bytes) -> _Outcome:
    """Evaluates a packed job on a node, in a process that can be killed."""
    executor = _executor_of_node()
    executor.submit(unpacked(pickled))
    (finished,) = executor.wait()
    return finished.values, finished.reason, finished.message, finished.seconds, finished.remarks
