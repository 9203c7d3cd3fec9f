"""The contract of executors."""

from __future__ import annotations

import os
import time
from collections import Counter

import numpy as np

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.executors.base import Executor, Job, JobResult
from gennas.spaces.base import Space
from gennas.tasks import Task
from gennas.testing.contract import check

_LONG = 600.0


class _Scripted(Evaluator):
    """Does to its worker what the arch says; its value is its process."""

    source = "measured"

    def __init__(self, what: str = "", is_exclusive: bool = False) -> None:
        self.what, self.is_exclusive = what, is_exclusive

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        if self.what == "raise":
            raise ValueError("no network for this one")
        if self.what == "die":
            os._exit(3)
        if self.what == "hang":
            time.sleep(_LONG)
        return {f"accuracy@{task.name}": (seed + 1) / 10}


def check_executor(executor: Executor, space: Space, task: Task, seed: int = 0) -> None:
    """Tests that a search can hand its evaluations to an executor.

    Every job comes back once, with its values or the reason why there are none, whatever becomes of the others; what
    was stopped does not come back, and others may be submitted then.

    Args:
        executor: without jobs; it stays open, and has none afterwards.
        space: of the archs.
        task: what the networks are for; nothing is built.
        seed: chooses the archs.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    rng = np.random.default_rng(seed)
    archs = [space.sample(rng) for _ in range(6)]
    check(executor.capacity >= 1, "capacity: is at least 1", executor.capacity)
    check(executor.wait(0.0) == [], "wait(): is empty where nothing was submitted", "something")
    scripts = [
        _Scripted(),
        _Scripted("raise"),
        _Scripted("hang"),
        _Scripted("die"),
        _Scripted(is_exclusive=True),
        _Scripted(),
    ]
    for number, (arch, script) in enumerate(zip(archs, scripts, strict=True)):
        timeout = 1.0 if script.what == "hang" else None
        executor.submit(Job(number, arch, script, task, seed=number, timeout=timeout))
    finished = _all_of(executor, len(scripts))
    counts = Counter(result.job.number for result in finished)
    check(counts == Counter(range(len(scripts))), "wait(): every job comes back once", dict(counts))
    for result in finished:
        _check_result(result, scripts[result.job.number].what, task)
    _check_stopped(executor, archs[0], task)
    _check_unsendable(executor, archs[0], task)


def _all_of(executor: Executor, count: int) -> list[JobResult]:
    finished: list[JobResult] = []
    end = time.monotonic() + _LONG / 2
    while len(finished) < count and time.monotonic() < end:
        finished += executor.wait(1.0)
    return finished


def _check_result(result: JobResult, what: str, task: Task) -> None:
    number = result.job.number
    reason = {"": None, "raise": "raised", "hang": "timeout", "die": "lost"}[what]
    does = f"an evaluation that would {what}" if what else "an evaluation"
    check(result.reason == reason, f"wait(): {does} has the reason {reason!r}", (result.reason, result.message))
    values = None if what else {f"accuracy@{task.name}": (number + 1) / 10}
    check(result.values == values, f"wait(): {does} has the values {values}", result.values)
    check(bool(result.message) == bool(what), f"wait(): {does} says in words what went wrong, if anything", result)
    if what == "raise":
        check("no network for this one" in result.message, "wait(): an error is in the message", result.message)
    check(0 <= result.seconds < _LONG / 2, f"wait(): {does} says how many seconds it took", result.seconds)


def _check_stopped(executor: Executor, arch: Arch, task: Task) -> None:
    for number in range(2):
        executor.submit(Job(number, arch, _Scripted("hang"), task))
    check(executor.wait(0.1) == [], "wait(): ends with its timeout", "something")
    executor.stop()
    check(executor.wait(0.1) == [], "stop(): no job comes back", "one that does")
    executor.submit(Job(9, arch, _Scripted(), task))
    numbers = [result.job.number for result in _all_of(executor, 1)]
    check(numbers == [9], "stop(): other jobs run afterwards", numbers)


def _check_unsendable(executor: Executor, arch: Arch, task: Task) -> None:
    class Local(_Scripted):
        pass

    try:
        executor.submit(Job(0, arch, Local(), task))
    except InvalidInputError:
        return
    raise AssertionError("submit(): raises InvalidInputError for an evaluator that cannot be sent; found no error")
