"""Values that the caller of a search reports, as an evaluator."""

from __future__ import annotations

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.errors import InvalidInputError
from gennas.evaluators.base import Evaluator
from gennas.evaluators.costs import CostEvaluator
from gennas.evaluators.predicted import PredictedEvaluator, is_elsewhere, predictable
from gennas.problem import Problem
from gennas.tasks import Task


class ReportedEvaluator(Evaluator):
    """Stands for whoever asked for an arch and will report its values; it evaluates nothing itself.

    Args:
        metrics: names with their target that have to be reported; others may be.
    """

    source = "reported"

    def __init__(self, metrics: tuple[str, ...]) -> None:
        self._metrics = metrics

    def metrics(self, task: Task) -> tuple[str, ...]:
        return self._metrics

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        names = ", ".join(self._metrics)
        raise InvalidInputError(f"{names} of {arch.key!r} is reported with Search.tell; nothing here evaluates it.")


def reporting_evaluators(
    problem: Problem, checkpoint: Checkpoint | None
) -> tuple[list[Evaluator], tuple[str, ...], PredictedEvaluator | None]:
    """What gives the metrics of a search whose archs the caller evaluates.

    Costs are computed. Latencies and energies that a predictor knows are predicted, so that nobody has to measure
    them, unless there is nothing else to report; ``cpu`` is the caller's machine, which no predictor knows. All others
    are reported.

    Args:
        problem: names the metrics.
        checkpoint: whose predictor predicts; the one of the space's name where it is None.

    Raises:
        InvalidInputError: all metrics are costs.

    Returns:
        The evaluators in their order; the metrics that have to be reported; and the one that predicts, if any.
    """
    open_metrics = [metric for metric in problem.metrics if not metric.is_cost]
    away = [metric for metric in open_metrics if is_elsewhere(metric)]
    source = (checkpoint or Checkpoint.for_space(problem.space, "predictor")) if away else None
    known = predictable(source, problem.space) if source and "predictor" in source.parts else ()
    predicted = [metric for metric in away if metric.name in known]
    reported = tuple(metric.name for metric in open_metrics if metric not in predicted)
    evaluators: list[Evaluator] = [CostEvaluator(problem.space)]
    if not open_metrics:
        raise InvalidInputError(
            f"{', '.join(metric.name for metric in problem.metrics)} are computed; there is nothing to report. Give an "
            "objective such as accuracy, or call search_archs."
        )
    if not reported:
        # All could be predicted, and nothing would be left to report: it is the caller who evaluates.
        names = tuple(metric.name for metric in open_metrics)
        return [*evaluators, ReportedEvaluator(names)], names, None
    predictor = PredictedEvaluator(source, problem.space, problem.task, predicted) if predicted and source else None
    chain = evaluators if predictor is None else [*evaluators, predictor]
    return [*chain, ReportedEvaluator(reported)], reported, predictor
