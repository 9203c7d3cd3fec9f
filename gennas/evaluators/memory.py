"""MemoryEvaluator: the memory that the activations of a network take."""

from __future__ import annotations

import torch

from gennas.arch import Arch
from gennas.evaluators.base import Evaluator
from gennas.spaces import Space
from gennas.spaces.memory import peak_memory_mb
from gennas.tasks import Task


class MemoryEvaluator(Evaluator):
    """Computes ``peak_memory_mb`` of one image: the largest sum of activations that are alive at the same time.

    Args:
        space: builds the networks.
    """

    source = "computed"
    is_instant = True

    def __init__(self, space: Space) -> None:
        self.space = space

    def metrics(self, task: Task) -> tuple[str, ...]:
        return ("peak_memory_mb",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        if len(task.input_shape) != 3:
            inputs = list(self.space.example_input(task))
        else:
            inputs = [torch.zeros(1, *task.input_shape)]
        return {"peak_memory_mb": peak_memory_mb(lambda: self.space.build(arch, task), inputs)}
