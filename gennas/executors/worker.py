"""A process that evaluates one job after the other, and can be paused and killed by the one that started it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler

from gennas.errors import InvalidInputError
from gennas.executors.base import Job, JobResult, Reason
from gennas.user_files import load_again, loaded_files

#: Longer messages say no more, and would not fit into a pipe at once.
_LONGEST = 2000
#: A worker may take that much longer until it has loaded what it needs.
_START_SECONDS = 120.0
_READY, _STARTED = b"ready", b"started"
_PR_SET_PDEATHSIG = 1


def packed(job: Job) -> bytes:
    """A job as a worker gets it, with the user's files that define what it holds.

    Raises:
        InvalidInputError: the evaluator cannot be sent to another process.
    """
    try:
        document = bytes(ForkingPickler.dumps(job))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        name = type(job.evaluator).__name__
        raise InvalidInputError(
            f"evaluator {name} cannot be sent to a worker process: {error}; what it holds must be picklable."
        ) from error
    return pickle.dumps((loaded_files(), document))


def unpacked(document: bytes) -> Job:
    """The job of :func:`packed`; the user's files are loaded first, as they were where it was packed."""
    files, pickled = pickle.loads(document)
    load_again(files)
    job: Job = pickle.loads(pickled)
    return job


class Worker:
    """The coordinator's end of a worker process.

    Args:
        threads: that torch may use in it.
    """

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        # Not daemonic, as an evaluator may have workers of its own.
        self._process = context.Process(target=_work, args=(theirs, threads, os.getpid()), name="gennas worker")
        self._process.start()
        theirs.close()
        self.job: Job | None = None
        self._since = self._paused_since = self._paused = 0.0
        self._ready = self._started = False

    @property
    def handles(self) -> list[Connection | int]:
        """What becomes readable when there is something to :meth:`look` at."""
        return [self.connection, self._process.sentinel]

    def start(self, job: Job, document: bytes) -> None:
        """Hands it a job, as :func:`packed` made it."""
        self.job, self._since, self._paused, self._started = job, time.monotonic(), 0.0, False
        # Where it is dead already, look() will find it.
        with suppress(OSError):
            self.connection.send_bytes(document)

    def seconds_left(self) -> float:
        """Until the job's timeout; infinite where it has none."""
        if self.job is None or self.job.timeout is None:
            return float("inf")
        return self.job.timeout + (0.0 if self._started else _START_SECONDS) - self._seconds()

    def look(self) -> JobResult | None:
        """What came of the job, if it has ended in any way; a worker whose job was stopped or lost is dead then.

        Raises:
            InvalidInputError: the worker could not start at all.
        """
        if self.job is None:
            return None
        while True:
            try:
                if not self.connection.poll():
                    break
                message = self.connection.recv_bytes()
            except (EOFError, OSError):
                return self._lost()
            if message == _READY:
                self._ready = True
                continue
            if message != _STARTED:
                values, error, seconds = pickle.loads(message)
                reason: Reason | None = "raised" if values is None else None
                finished = JobResult(self.job, values, reason, error, seconds - self._paused)
                self.job = None
                return finished
            self._since, self._paused, self._started = time.monotonic(), 0.0, True
        if not self._process.is_alive():
            return self._lost()
        if self.seconds_left() <= 0:
            text = f"stopped after {self.job.timeout:g} s"
            stopped = JobResult(self.job, None, "timeout", text, self._seconds())
            self.kill()
            return stopped
        return None

    def pause(self) -> None:
        """Stops it, with all processes that it started; time stands still for its job."""
        self._paused_since = time.monotonic()
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends :meth:`pause`."""
        self._paused += time.monotonic() - self._paused_since
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it at once, with all processes that it started."""
        self._signal(signal.SIGKILL)
        self._process.join()
        self.connection.close()
        self.job = None

    @property
    def is_alive(self) -> bool:
        return not self.connection.closed and self._process.is_alive()

    def _seconds(self) -> float:
        return time.monotonic() - self._since - self._paused

    def _lost(self) -> JobResult:
        job, seconds = self.job, self._seconds()
        assert job is not None
        # What it started may have outlived it.
        self.kill()
        code = self._process.exitcode or 0
        if not self._ready and code > 0:
            # No job's fault: it would be the same for all of them.
            raise InvalidInputError(
                f"a worker process could not start (exit status {code}; its own message is above). Python starts it "
                'by importing the main module: a script must do its work under if __name__ == "__main__":.'
            )
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        hint = "; often there was not enough memory" if code == -signal.SIGKILL else ""
        return JobResult(job, None, "lost", f"its worker process {how}{hint}", seconds)

    def _signal(self, number: int) -> None:
        pid = self._process.pid
        assert pid is not None
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            # One that has only just been started has no group yet.
            if self._process.is_alive():
                os.kill(pid, number)


def _work(connection: Connection, threads: int, parent: int) -> None:
    """The worker's end."""
    # A group of its own: it is paused and killed with what it starts, and Ctrl-C is the coordinator's to handle.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard output belongs to the coordinator's results.
    os.dup2(2, 1)
    _end_with(parent)
    _limit_threads(threads)
    connection.send_bytes(_READY)
    while True:
        try:
            document = connection.recv_bytes()
        except (EOFError, OSError):
            return
        connection.send_bytes(ForkingPickler.dumps(_evaluated(document, connection)))


def _evaluated(document: bytes, connection: Connection) -> tuple[dict[str, float] | None, str, float]:
    """Values, or what went wrong, and the seconds it took."""
    start = time.monotonic()
    try:
        job = unpacked(document)
        connection.send_bytes(_STARTED)
        start = time.monotonic()
        values = job.evaluator.evaluate(job.arch, task=job.task, seed=job.seed, fidelity=job.fidelity)
        return {str(name): float(value) for name, value in values.items()}, "", time.monotonic() - start
    except (Exception, SystemExit) as error:
        return None, described(error), time.monotonic() - start


def described(error: BaseException) -> str:
    """An error in words, not too many of them."""
    # Those of gennas are whole sentences; others often make no sense without their class.
    name = "" if type(error).__module__ == "gennas.errors" else type(error).__name__
    return ": ".join(part for part in (name, str(error)) if part)[:_LONGEST]


def _end_with(parent: int) -> None:
    """Makes this process end when its parent does, even by SIGKILL, even while this one is paused or in C code."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        return
    process = multiprocessing.parent_process()
    assert process is not None
    sentinel = process.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _limit_threads(threads: int) -> None:
    """Keeps torch from using all cores in every worker; a limit that the user set stays if it is lower."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(threads, int(limit)) if limit.isdigit() else threads
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
