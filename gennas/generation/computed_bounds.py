"""ComputedBounds: bounds on what is computed from the network of an arch, and takes too long for every draw."""

from __future__ import annotations

from collections.abc import Collection

from gennas.arch import Arch
from gennas.errors import InfeasibleError
from gennas.evaluators.memory import MemoryEvaluator
from gennas.problem import Problem

#: The metric that is computed: 0.1 to 0.4 s for an arch.
METRIC = "peak_memory_mb"
#: At most so many archs are computed, plus so many for each that is asked for.
COMPUTED, COMPUTED_PER_ARCH = 32, 8


class ComputedBounds:
    """The bounds of a problem that are held against networks, at the end of a sampling.

    Args:
        problem: whose bounds they are.
        n: archs asked for; more of them allow for more computations.
        predicted: names of the metrics that a predictor predicts, whose bounds are none of these.

    Attributes:
        where: the bounds; empty where there are none.
        values: key -> ``peak_memory_mb`` of every arch that was looked at.
        most: how many may be looked at.
    """

    def __init__(self, problem: Problem, n: int, predicted: Collection[str]) -> None:
        self.problem = problem
        self.where = tuple(c for c in problem.where if c.metric.name == METRIC and METRIC not in predicted)
        self.most = COMPUTED + COMPUTED_PER_ARCH * n
        self.values: dict[str, float] = {}
        self._kept = 0
        self._evaluator = MemoryEvaluator.checked(problem.space, problem.task) if self.where else None

    def holds(self, arch: Arch) -> bool:
        """Whether an arch keeps all of them."""
        assert self._evaluator is not None
        value = self._evaluator.evaluate(arch, task=self.problem.task)[METRIC]
        self.values[arch.key] = value
        holds = all(constraint.holds(value) for constraint in self.where)
        self._kept += holds
        return holds

    def check_any(self) -> None:
        """Raises:
        InfeasibleError: none of the archs looked at keeps the bounds; says how near they come.
        """
        if self._kept or not self.values:
            return
        said = " and ".join(f"'{constraint}'" for constraint in self.where)
        raise InfeasibleError(
            f"none of the {len(self.values)} archs whose networks were looked at keeps {said}: {METRIC} is "
            f"{min(self.values.values()):.4g} to {max(self.values.values()):.4g} there. Loosen the bound, or let "
            "`objective` prefer small networks, as -macs_m does."
        )

    def note(self, wanted: int) -> str:
        """What was looked at, in words."""
        text = (
            f"{METRIC} was computed of {len(self.values)} archs, at most {self.most}: {self._kept} "
            f"keep{'s' if self._kept == 1 else ''} the bound."
        )
        return text if self._kept >= wanted else f"{text} For more, loosen it, or bound macs_m, which guides the draws."
