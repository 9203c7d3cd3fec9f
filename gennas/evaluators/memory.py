"""MemoryEvaluator: the memory that the activations of a network take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.metrics import Metric
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

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> MemoryEvaluator | None:
        problem = context.problem
        if not any(metric.name == "peak_memory_mb" for metric in wanted):
            return None
        return cls.checked(problem.space, problem.task)

    @classmethod
    def checked(cls, space: Space, task: Task) -> MemoryEvaluator:
        """The evaluator of a space whose networks can be run.

        Raises:
            InvalidInputError: the space builds no networks for the task, or they do not run.
        """
        evaluator = cls(space)
        try:
            evaluator.evaluate(space.sample(np.random.default_rng(0)), task=task)
        except Exception as error:
            # What the networks of a user's space may raise is unknown.
            raise InvalidInputError(
                f"peak_memory_mb cannot be computed: a network of space {space.name!r} for task {task.name!r} does not "
                f"run ({type(error).__name__}{f': {error}' if str(error) else ''}). Leave the metric out, or give a "
                "space and a task with networks."
            ) from error
        return evaluator

    def metrics(self, task: Task) -> tuple[str, ...]:
        return ("peak_memory_mb",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        task = self.space.native_task(arch, task)
        if len(task.input_shape) != 3:
            inputs = list(self.space.example_input(task))
        else:
            inputs = [torch.zeros(1, *task.input_shape)]
        return {"peak_memory_mb": peak_memory_mb(lambda: self.space.build(arch, task), inputs)}
