"""Worker: a process that evaluates one job at a time, and can be paused and killed."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler

from gennas.errors import InvalidInputError
from gennas.executors.base import Job, JobResult, Reason
from gennas.user_files import load_again, loaded_files

#: Maximum length of a message; longer ones might not fit in a pipe's buffer.
_LONGEST = 2000
#: Additional seconds before a job's timeout until the worker has started and unpickled the job.
_START_SECONDS = 120.0
_READY, _STARTED = b"ready", b"started"
_PR_SET_PDEATHSIG = 1


def packed(job: Job) -> bytes:
    """Pickles a job together with the user's files that define its classes.

    Raises:
        InvalidInputError: the evaluator cannot be pickled.
    """
    try:
        pickled = bytes(ForkingPickler.dumps(job))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        name = type(job.evaluator).__name__
        raise InvalidInputError(
            f"evaluator {name} cannot be pickled to send it to a worker: {error}. Define its class at the top level of "
            "a module, and keep only picklable attributes."
        ) from error
    return pickle.dumps((loaded_files(), pickled))


def unpacked(pickled: bytes) -> Job:
    """The inverse of :func:`packed`; loads the user's files first, with the same text as in the coordinator."""
    files, pickled_job = pickle.loads(pickled)
    load_again(files)
    job: Job = pickle.loads(pickled_job)
    return job


class Worker:
    """The coordinator's end of a worker process.

    Args:
        threads: number of threads that torch may use.
    """

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, worker_connection = context.Pipe()
        # A killed process leaves its temporary files, and so do the libraries that it uses.
        self._scratch = tempfile.mkdtemp(prefix="gennas-worker-")
        # Not daemonic, as an evaluator may start processes of its own.
        arguments = (worker_connection, threads, os.getpid(), self._scratch)
        self._process = context.Process(target=_work, args=arguments, name="gennas worker")
        try:
            with interrupts_held():
                self._process.start()
        except BaseException:
            # Nobody else knows of it yet.
            if self._process.pid is not None:
                self._process.kill()
                self._process.join()
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        worker_connection.close()
        self.job: Job | None = None
        self._since = self._paused_since = self._paused = 0.0
        self._ready = self._started = False

    @property
    def handles(self) -> list[Connection | int]:
        """Handles that become readable when :meth:`poll` may return a result."""
        return [self.connection, self._process.sentinel]

    def start(self, job: Job, pickled: bytes) -> None:
        """Sends a job, pickled by :func:`packed`, to the process."""
        self.job, self._since, self._paused, self._started = job, time.monotonic(), 0.0, False
        # If the process is dead, poll() will notice.
        with suppress(OSError):
            self.connection.send_bytes(pickled)

    def seconds_left(self) -> float:
        """Seconds until the job's timeout; infinite if it has none."""
        if self.job is None or self.job.timeout is None:
            return float("inf")
        return self.job.timeout + (0.0 if self._started else _START_SECONDS) - self._seconds()

    def poll(self) -> JobResult | None:
        """The result of the job, or None while it runs; a worker is dead after its job timed out or was lost.

        Raises:
            InvalidInputError: the worker process could not start.
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
                values, error, seconds, remarks = pickle.loads(message)
                reason: Reason | None = "raised" if values is None else None
                finished = JobResult(self.job, values, reason, error, seconds - self._paused, remarks)
                self.job = None
                return finished
            self._since, self._paused, self._started = time.monotonic(), 0.0, True
        if not self._process.is_alive():
            return self._lost()
        if self.seconds_left() <= 0:
            text = f"stopped after {self.job.timeout:g} s"
            result = JobResult(self.job, None, "timeout", text, self._seconds())
            self.kill()
            return result
        return None

    def pause(self) -> None:
        """Suspends the process and all that it started; the time until :meth:`resume` does not count for its job."""
        self._paused_since = time.monotonic()
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continues after :meth:`pause`."""
        self._paused += time.monotonic() - self._paused_since
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kills the process and all that it started."""
        self._signal(signal.SIGKILL)
        self._process.join()
        self.connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        self.job = None

    @property
    def is_alive(self) -> bool:
        return not self.connection.closed and self._process.is_alive()

    def _seconds(self) -> float:
        return time.monotonic() - self._since - self._paused

    def _lost(self) -> JobResult:
        job, seconds = self.job, self._seconds()
        assert job is not None
        # Processes that it started may have outlived it.
        self.kill()
        code = self._process.exitcode or 0
        if not self._ready and code > 0:
            # Not the fault of the job: every other one would fail in the same way.
            raise InvalidInputError(
                f"a worker process could not start (exit status {code}; see its error message above). As workers "
                'import the main module, a script must guard its code with: if __name__ == "__main__"'
            )
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        hint = ", possibly because it ran out of memory" if code == -signal.SIGKILL else ""
        return JobResult(job, None, "lost", f"the worker process {how}{hint}", seconds)

    def _signal(self, number: int) -> None:
        pid = self._process.pid
        assert pid is not None
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            # A process that has only just started has no group yet.
            if self._process.is_alive():
                os.kill(pid, number)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Keeps Ctrl-C from whatever is started meanwhile, which inherits that until it allows interrupts itself.

    A worker leaves the terminal's process group, but not before it has imported this module, which takes a second.
    This process gets the interrupt at the end of the context.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It would allow interrupts when it is started on the way.
    resource_tracker.ensure_running()
    held: list[int] = []
    # Blocked in this thread, a signal goes to another one, and Python calls the handler here nevertheless.
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, frame: held.append(number)) if is_main else None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if is_main:
            signal.signal(signal.SIGINT, handler)
            if held:
                signal.raise_signal(signal.SIGINT)


def end_with_interrupt() -> None:
    """Lets Ctrl-C end this process, which was started while interrupts were held, without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _allow_interrupts()


def _allow_interrupts() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _work(connection: Connection, threads: int, parent: int, scratch: str) -> None:
    """The main function of a worker process."""
    # In a group of its own, it is paused and killed with all that it starts, and Ctrl-C reaches only the coordinator.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _allow_interrupts()
    # Standard output is reserved for the coordinator's results.
    os.dup2(2, 1)
    _end_with(parent)
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    _limit_threads(threads)
    with suppress(OSError):
        connection.send_bytes(_READY)
    while True:
        try:
            pickled = connection.recv_bytes()
        except (EOFError, OSError):
            return
        connection.send_bytes(ForkingPickler.dumps(_evaluated(pickled, connection)))


def _evaluated(pickled: bytes, connection: Connection) -> tuple[dict[str, float] | None, str, float, tuple[str, ...]]:
    """The values (None if the job failed), the error message, the seconds taken, and the evaluator's remarks."""
    start = time.monotonic()
    try:
        job = unpacked(pickled)
        connection.send_bytes(_STARTED)
        start = time.monotonic()
        values = job.evaluator.evaluate(job.arch, task=job.task, seed=job.seed, fidelity=job.fidelity)
        numbers = {str(name): float(value) for name, value in values.items()}
        return numbers, "", time.monotonic() - start, tuple(map(str, job.evaluator.remarks()))
    except (Exception, SystemExit) as error:
        return None, described(error), time.monotonic() - start, ()


def described(error: BaseException) -> str:
    """The message of an error, truncated; with the error's class unless it is an error of gennas."""
    # Messages of other libraries are often meaningless without the class, e.g. that of a KeyError.
    name = "" if type(error).__module__ == "gennas.errors" else type(error).__name__
    return ": ".join(part for part in (name, str(error)) if part)[:_LONGEST]


def _end_with(parent: int) -> None:
    """Makes this process end with its parent, even if that is killed, or this one is paused or running C code."""
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
    """Limits the threads of torch; a lower limit set by the user is kept."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(threads, int(limit)) if limit.isascii() and limit.isdigit() else threads
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
