"""A world of tasks in which the truth is known: what a task prefers is linear in its encoding, plus its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.predictor import TrainedTask
from gennas.spaces import get_space
from gennas.tasks import Task

NB201 = get_space("nasbench201", "channels=8,cells=1")
SIZED = Task("sized", (3, 16, 16), 10)
FACTS = ("one", "two", "three")


@dataclass(frozen=True, eq=False)
class World:
    """Draws tasks.

    Attributes:
        basis: functions of the arch.
        own: std of a task's own weights, those that its encoding does not tell.
    """

    basis: ArchBasis
    own: float = 0.3

    def tasks(self, count: int, archs: int, seed: int = 0) -> list[TrainedTask]:
        """``count`` tasks with as many archs each; the law is the same for every seed."""
        law, rng = np.random.default_rng(1), np.random.default_rng(seed)
        shared, coefficients = law.normal(size=self.basis.width), law.normal(size=(self.basis.width, len(FACTS)))
        every = self.basis.of([NB201.sample(rng) for _ in range(archs)])
        found = []
        for index in range(count):
            z = rng.normal(size=len(FACTS))
            weights = 0.5 * shared + coefficients @ z + self.own * rng.normal(size=self.basis.width)
            logits = 0.5 + 0.5 * z[0] + 0.2 * rng.normal() + every @ weights + 0.05 * rng.normal(size=archs)
            found.append(TrainedTask(f"task{seed}_{index}", z, every, expit(logits)))
        return found


def facts_of(task: TrainedTask) -> dict[str, float]:
    """The encoding of a task, as the predictor takes it."""
    return dict(zip(FACTS, task.encoding.tolist(), strict=True))
