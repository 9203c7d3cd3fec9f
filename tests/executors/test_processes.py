"""Executors: every job comes back once, whatever happens to it, and no worker outlives its coordinator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.executors.base import Executor, Job, JobResult
from gennas.executors.processes import ProcessExecutor
from gennas.spaces import get_space
from gennas.tasks import Task, get_task
from gennas.user_files import load_file

TASK = get_task("cifar100")
ARCHS = tuple(islice(get_space("nasbench201").enumerate(), 8))


class Doing(Evaluator):
    """Does something to its worker, and writes down when."""

    source = "measured"

    def __init__(self, what: str = "", folder: Path | None = None, exclusive: bool = False) -> None:
        self.what, self.folder, self.is_exclusive = what, folder, exclusive

    def metrics(self, task: Task) -> tuple[str, ...]:
        return ("latency_ms@x",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        what, _, argument = self.what.partition(" ")
        if what == "raise":
            raise ValueError("no such layer " + "long " * 9999)
        if what == "exit":
            sys.exit("enough")
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "end":
            os._exit(3)
        if what == "sleep":
            time.sleep(float(argument))
        if what == "spin":
            for tick in range(int(argument)):
                self._note(f"{time.monotonic()} {tick}")
                time.sleep(0.01)
        if what == "litter":
            Path(tempfile.gettempdir(), "left").write_text("behind")
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "print":
            print("something")
        if what == "spawn":
            child = subprocess.Popen(["sleep", "100"])
            self._note(str(child.pid))
            time.sleep(100)
        threads = float(os.environ["OMP_NUM_THREADS"])
        return {"latency_ms@x": float(os.getpid()), "latency_ms@threads": threads} if what != "nothing" else {}

    def _note(self, line: str) -> None:
        assert self.folder is not None
        with (self.folder / f"{'exclusive' if self.is_exclusive else 'other'}.txt").open("a") as file:
            file.write(line + "\n")


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ProcessExecutor(2) as made:
        yield made


def job(number: int, what: str = "", timeout: float | None = None, **options: Any) -> Job:
    return Job(number, ARCHS[number % len(ARCHS)], Doing(what, **options), TASK, timeout=timeout)


def all_of(executor: Executor, *jobs: Job) -> dict[int, JobResult]:
    for one in jobs:
        executor.submit(one)
    found: dict[int, JobResult] = {}
    while len(found) < len(jobs):
        for finished in executor.wait():
            assert finished.job.number not in found
            found[finished.job.number] = finished
    assert executor.wait() == []
    return found


def test_jobs_run_in_long_lived_workers_of_few_threads(executor: Executor) -> None:
    found = all_of(executor, *(job(number, "sleep 0.05") for number in range(8)))
    values = [found[number].values for number in range(8)]
    workers = {one["latency_ms@x"] for one in values if one is not None}
    assert len(workers) == 2
    assert os.getpid() not in workers
    assert {one["latency_ms@threads"] for one in values if one is not None} == {1.0}
    assert all(0.05 <= one.seconds < 60 for one in found.values())


def test_failures_are_described_and_do_not_affect_other_jobs(executor: Executor) -> None:
    whats = ("raise", "", "exit", "die", "", "end", "nothing")
    start = time.monotonic()
    found = all_of(
        executor, *(job(number, what) for number, what in enumerate(whats)), job(7, "sleep 9999", timeout=0.3)
    )
    # Long before the sleep ends, however busy the machine is.
    assert time.monotonic() - start < 2000
    assert [found[number].reason for number in range(8)] == [
        "raised",
        None,
        "raised",
        "lost",
        None,
        "lost",
        None,
        "timeout",
    ]
    assert found[0].message.startswith("ValueError: no such layer long")
    assert len(found[0].message) == 2000
    assert found[2].message == "SystemExit: enough"
    assert found[3].message == "the worker process was killed by SIGKILL, possibly because it ran out of memory"
    assert found[5].message == "the worker process ended with exit status 3"
    assert found[6].values == {}
    assert found[7].message == "stopped after 0.3 s"
    assert 0.3 <= found[7].seconds < 2000


def test_workers_leave_nothing_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ProcessExecutor(2) as executor:
        found = all_of(executor, job(0, "litter"), job(1))
        assert [found[number].reason for number in range(2)] == ["lost", None]
        assert len(os.listdir(tmp_path)) == 1, "that of the worker that lives"
    assert os.listdir(tmp_path) == []


def test_a_timeout_ends_the_subprocesses_of_the_evaluation(executor: Executor, tmp_path: Path) -> None:
    found = all_of(executor, job(0, "spawn", timeout=0.5, folder=tmp_path))
    assert found[0].reason == "timeout"
    child = int((tmp_path / "other.txt").read_text())
    assert _ends(child)


def test_wait_returns_after_its_timeout(executor: Executor) -> None:
    executor.submit(job(0, "sleep 99"))
    start = time.monotonic()
    assert executor.wait(0.2) == []
    # Not when the job ends.
    assert 0.2 <= time.monotonic() - start < 90


def test_a_stopped_job_does_not_come_back(executor: Executor) -> None:
    for number in range(4):
        executor.submit(job(number, "sleep 99"))
    executor.submit(job(4, "sleep 99", exclusive=True))
    assert executor.capacity == 2
    executor.stop()
    assert executor.wait() == []
    assert list(all_of(executor, job(5))) == [5]


def test_exclusive_jobs_run_alone(executor: Executor, tmp_path: Path) -> None:
    for number in (0, 1):
        executor.submit(job(number, "spin 80", folder=tmp_path))
    while not (tmp_path / "other.txt").exists():
        executor.wait(0.01)
    executor.submit(job(2, "spin 15", folder=tmp_path, exclusive=True))
    found: dict[int, JobResult] = {}
    while len(found) < 3:
        found |= {finished.job.number: finished for finished in executor.wait()}
    exclusive, other = (
        [float(line.split()[0]) for line in (tmp_path / f"{name}.txt").read_text().splitlines()]
        for name in ("exclusive", "other")
    )
    assert len(exclusive) == 15
    assert len(other) == 160
    assert not [moment for moment in other if exclusive[0] < moment < exclusive[-1]]
    assert min(other) < exclusive[0] < max(other)
    # The pause does not count: the others took 80 steps of 10 ms, however long the exclusive job ran.
    slept = exclusive[-1] - exclusive[0]
    moments = sorted(other)
    assert found[0].seconds + found[1].seconds < 2 * (moments[-1] - moments[0]) - 1.5 * slept


def test_pauses_do_not_count_towards_a_timeout(executor: Executor, tmp_path: Path) -> None:
    executor.submit(job(0, "spin 50", timeout=2.5, folder=tmp_path))
    while not (tmp_path / "other.txt").exists():
        executor.wait(0.01)
    executor.submit(job(1, "sleep 3", exclusive=True))
    assert [one.reason for one in executor.wait()] == [None]
    assert [one.reason for one in executor.wait()] == [None]


def test_evaluators_that_cannot_be_pickled_are_refused(executor: Executor) -> None:
    class Local(Doing):
        pass

    with pytest.raises(InvalidInputError, match="evaluator Local cannot be pickled"):
        executor.submit(Job(0, ARCHS[0], Local(), TASK))
    with pytest.raises(InvalidInputError, match="workers is 0; must be at least 1"):
        ProcessExecutor(0)


def test_workers_write_nothing_to_standard_output(executor: Executor, capfd: pytest.CaptureFixture[str]) -> None:
    all_of(executor, job(0, "print"))
    executor.close()
    assert capfd.readouterr().out == ""


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_processes import *
if __name__ == "__main__":
    executor = ProcessExecutor(2)
    for number, what in enumerate(("sleep 0", "sleep 0", "sleep 999", "sleep 999")):
        executor.submit(job(number, what))
    done = 0
    while done < 2:
        done += len(executor.wait())
    executor.wait(0.01)
    print("working", flush=True)
    executor.wait() if sys.argv[2] == "wait" else sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["killed", "interrupted", "ended"])
def test_no_worker_outlives_its_coordinator(how: str, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(SCRIPT)
    mode = "leave" if how == "ended" else "wait"
    command = [sys.executable, str(tmp_path / "run.py"), str(Path(__file__).parent), mode]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in str(child.cmdline())]
        assert len(workers) == 2
        if how == "ended":
            process.communicate("\n", timeout=60)
        else:
            # One of them is paused, as during an exclusive job.
            workers[-1].suspend()
            process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGINT)
            try:
                process.wait(60)
            finally:
                process.kill()
    assert all(_ends(worker.pid) for worker in workers)


def test_a_script_without_a_main_guard_is_explained(tmp_path: Path) -> None:
    lines = SCRIPT.splitlines()
    unguarded = [line.removeprefix("    ") for line in lines if "__main__" not in line]
    (tmp_path / "run.py").write_text("\n".join(unguarded))
    command = [sys.executable, str(tmp_path / "run.py"), str(Path(__file__).parent), "wait"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'a script must guard its code with: if __name__ == "__main__"' in done.stderr.splitlines()[-1]


def _ends(pid: int) -> bool:
    """Whether a process is gone, or will be in a moment."""
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


OWN = """
from gennas.evaluators.base import Evaluator

class Mine(Evaluator):
    source = "measured"

    def metrics(self, task):
        return ("latency_ms@x",)

    def evaluate(self, arch, *, task, seed=0, fidelity=None):
        return {"latency_ms@x": VALUE}
"""


def test_an_evaluator_of_a_users_file_runs_as_it_was_loaded(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "own evaluators.py"
    all_of(executor, job(0))  # the workers run already when the file is loaded
    for number, value in ((1, 2.5), (2, 3.5)):
        path.write_text(OWN.replace("VALUE", str(value)))
        evaluator = load_file(path).Mine()
        path.unlink()
        executor.submit(Job(number, ARCHS[0], evaluator, TASK))
        (finished,) = executor.wait()
        assert finished.values == {"latency_ms@x": value}, finished.message


INTERRUPTED = """
import os, signal, sys
from gennas.executors.worker import Worker

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = None
    try:
        # As a terminal does it: to the whole group, while the worker has not left that yet.
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGINT))
        worker = Worker(1)
        worker.connection.poll(60)
    except KeyboardInterrupt:
        if worker is not None:
            assert worker.is_alive
            worker.kill()
        print("interrupted")
"""


def test_an_interrupt_while_a_worker_starts_is_only_ours(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(INTERRUPTED)
    command = [sys.executable, "run.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, start_new_session=True)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("interrupted\n", "", 0)
