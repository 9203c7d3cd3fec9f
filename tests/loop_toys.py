"""A policy that takes notice of all it is told, evaluators that fail in every way, and runs to be killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from zlib import crc32

import numpy as np

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.evaluators.costs import CostEvaluator
from gennas.executors.processes import ProcessExecutor
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.loop import run
from gennas.spaces import get_space
from gennas.studies.study import Study
from gennas.tasks import Task, get_task

SPACE, TASK = get_space("nasbench201"), get_task("cifar100")
ACCURACY = "accuracy@cifar100"


def problem(*bounds: str, objective: str = ACCURACY) -> Problem:
    return Problem(SPACE, TASK, Objective.parse(objective), tuple(map(Constraint.parse, bounds)))


class Attentive(Policy):
    """Draws at random, otherwise after the least change of what it is told."""

    name = "attentive"

    def __init__(self, most: int = 15_625) -> None:
        self.most = most
        self.histories: list[History] = []

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        self.histories.append(history)
        told = b"".join(part.tobytes() for part in (history.values, history.pending, history.failed))
        told += "".join((*(arch.key for arch in history.archs), *history.proposed_by)).encode()
        rng = np.random.default_rng([crc32(told), int(rng.integers(2**32))])
        found: dict[str, Arch] = {}
        while len(found) < min(q, self.most - len(history.archs)):
            arch = SPACE.sample(rng)
            if arch.key not in history.keys:
                found[arch.key] = arch
        return [Proposal(arch, "random", acquisition_value=float(rng.random())) for arch in found.values()]


class Toy(Evaluator):
    """An accuracy that depends on the arch alone, after a while that depends on nothing.

    Args:
        seconds: at most.
        is_instant: in the coordinator.
        fails: in which way every fourth arch does.
        log: receives the key of every arch that is evaluated.
    """

    source = "trained"

    def __init__(
        self, seconds: float = 0.0, is_instant: bool = False, fails: str = "", log: Path | None = None
    ) -> None:
        self.seconds, self.is_instant, self.fails, self.log = seconds, is_instant, fails, log

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{arch.key}\n")
        time.sleep(self.seconds * os.urandom(1)[0] / 255)
        if unlucky(arch):
            fail(self.fails)
            if self.fails in ("nan", "inf"):
                return {ACCURACY: float(self.fails)}
            if self.fails == "nothing":
                return {}
            if self.fails == "strange":
                return {ACCURACY: 0.5, "speed": 1.0}
        return {ACCURACY: accuracy_of(arch), f"test_{ACCURACY}": accuracy_of(arch) / 2}


def fail(how: str) -> None:
    if how == "raises":
        raise RuntimeError("no memory for 3 bytes")
    if how == "full":
        raise OSError(28, "No space left on device")
    if how == "hangs":
        time.sleep(1000)
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)


def accuracy_of(arch: Arch) -> float:
    return crc32(arch.key.encode()) / 2**32


def unlucky(arch: Arch) -> bool:
    return crc32(arch.key.encode()) % 4 == 0


def main(folder: str, workers: str) -> None:
    """A run of 16 archs that takes a second or two; says when it begins to evaluate."""

    def report(done: int, note: str) -> None:
        print(done, flush=True)

    with Study.open(Path(folder), {"seed": 3}) as study, ProcessExecutor(int(workers)) as executor:
        evaluators = (CostEvaluator(SPACE), Toy(0.2, fails="raises"))
        bounded = problem("params_m <= 0.8")
        run(bounded, Attentive(), evaluators, study, executor, budget=16, batch=3, seed=3, report=report)


if __name__ == "__main__":
    main(*sys.argv[1:])
