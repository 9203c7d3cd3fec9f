"""Whole searches whose most accurate archs break a limit, or cannot be trained: they learn it, and get away."""

from __future__ import annotations

import numpy as np

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.evaluators.base import Evaluator
from gennas.evaluators.predicted import PredictedEvaluator
from gennas.executors.inline import InlineExecutor
from gennas.problem import Problem
from gennas.search.policies.choice import PolicyChoice
from gennas.search.run import SearchResult, search_archs
from gennas.spaces import get_space
from gennas.tasks import Task, get_task

SPACE, DIGITS = get_space("nasbench201", "channels=4,cells=1"), get_task("digits")


class LargerIsBetter(Evaluator):
    """A training whose accuracy grows with the network, and which is too slow for large ones.

    Args:
        most: million multiply-adds that can be trained.
    """

    source = "trained"

    def __init__(self, most: float = np.inf) -> None:
        self.most, self.trained = most, 0

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        cost = SPACE.costs(arch, task)["macs_m"]
        if cost > self.most:
            raise TimeoutError("timed out after 8 s")
        self.trained += 1
        return {f"accuracy@{task.name}": 1 - 1 / (2 + cost)}


def searched(problem: Problem, evaluators: list[Evaluator], budget: int) -> SearchResult:
    # A tenth of what each proposal considers: what these tests ask for shows as well.
    policy = PolicyChoice(options={"sought": 300})
    with InlineExecutor() as executor:
        return search_archs(problem, budget, policy=policy, evaluators=evaluators, workers=executor)


def test_a_limit_on_a_predicted_latency_that_the_best_break() -> None:
    problem = Problem(SPACE, DIGITS, "accuracy", ["latency_ms@raspi4 <= 10"])
    source = Checkpoint("nasbench201")
    predicted = PredictedEvaluator(source, SPACE, DIGITS, [bound.metric for bound in problem.where])
    training = LargerIsBetter()
    result = searched(problem, [predicted, training], 6)
    assert training.trained == 6
    # Hardly anything is proposed in vain: one in eight random archs keeps the limit.
    assert result.proposed <= 9
    assert result.best[0].metrics["latency_ms@raspi4"] <= 10


def test_trainings_that_time_out() -> None:
    """All but one in three."""
    rng = np.random.default_rng(0)
    costs = [SPACE.costs(SPACE.sample(rng), DIGITS)["macs_m"] for _ in range(200)]
    training = LargerIsBetter(float(np.quantile(costs, 0.35)))
    result = searched(Problem(SPACE, DIGITS), [training], 9)
    assert result.proposed == 9
    assert training.trained >= 5
    # Nor are only the very smallest trained.
    assert result.best[0].metrics["macs_m"] > np.quantile(costs, 0.15)
