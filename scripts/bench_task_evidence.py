"""What a search's Gaussian process makes of known tasks: a task kernel, weights of the tasks, or nothing.

    GENNAS_DATA=... python scripts/bench_task_evidence.py --seeds 3

Each task of a table in turn is the new one, and what the table holds of the others is the prior, as in `gennas search
--table`. Some archs are evaluated: random ones, or those that the prior, with noise of half a standard deviation,
promises most of. Printed are, of the other archs drawn, Kendall's tau and the mean percentile of the 20 that are
predicted best, as means over tasks and seeds, and the difference of tau from the weights' over tasks, with a bootstrap
interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import machine
from meta_page import interval_text
from scipy.stats import kendalltau, rankdata

from gennas.metrics import MetricKind
from gennas.predictors.gaussian_process import Process
from gennas.predictors.task_kernel import TaskKernel
from gennas.problem import Problem
from gennas.search import metric_surrogate
from gennas.search.inputs import Inputs
from gennas.search.kernels import View
from gennas.search.metric_surrogate import fit_process, weights_kernel
from gennas.search.prior_mean import TablePrior
from gennas.search.scale import Scale
from gennas.spaces import get_space
from gennas.tables import load_table

METHODS = ("nothing", "weights", "task kernel")
#: Whose networks' latencies a table has.
ANY_TASK = "cifar10"
#: Of the archs that a prior promises most of, the noise by which they are drawn, in stds of its functions.
NOISE = 0.5


def main(
    tables: Sequence[str] = ("nasbench_graph", "transnas_micro", "nasbench201"),
    evaluations: Sequence[int] = (10, 30, 80),
    archs: int = 3000,
    seeds: int = 3,
    objective: str = "accuracy",
) -> None:
    """Prints a row per table, way of evaluating, number of evaluations, and method.

    Args:
        tables: with accuracies of several tasks.
        evaluations: of the new task.
        archs: of the table that are drawn.
        seeds: draws of the evaluated ones.
        objective: accuracy, or -latency_ms: devices are then in the place of tasks.
    """
    torch.set_num_threads(1)
    print(f"{archs} archs, {seeds} seeds; {machine()}")
    print("| table | evaluated | evaluations | known tasks as | tau | percentile of 20 best | tau less weights' |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for table in tables:
        rows = pd.DataFrame(_of_table(table, objective, evaluations, archs, seeds))
        for (evaluated, count), part in rows.groupby(["evaluated", "evaluations"]):
            taus = part.pivot_table("tau", "task", "method")
            for method, own in part.groupby("method", sort=False):
                cells = [table, str(evaluated), str(count), str(method)]
                cells += [f"{own[name].mean():.3f}" for name in ("tau", "top")]
                less = (taus[method] - taus["weights"]).to_numpy()
                difference = interval_text(less, 3) if less.any() else ""
                print("| " + " | ".join([*cells, difference]) + " |", flush=True)


def _of_table(
    name: str, objective: str, evaluations: Sequence[int], archs: int, seeds: int
) -> Iterator[dict[str, object]]:
    table = load_table(name)
    space = get_space(table.space) if isinstance(table.space, str) else table.space
    for target in [metric for metric in table.metrics() if metric.startswith(f"{objective.lstrip('-')}@")]:
        on = target.partition("@")[2]
        problem = Problem(space, *((on, objective) if objective == "accuracy" else (ANY_TASK, objective, (), on)))
        inputs = Inputs(space, problem.task, problem.metrics, TablePrior.of_others(table, problem))
        values = table.frame[target].dropna()
        drawn = values.iloc[np.random.default_rng(0).permutation(len(values))[:archs]]
        points, measured = inputs.of([space.parse(str(key)) for key in drawn.index]), drawn.to_numpy(float)
        metric, columns = problem.metrics[0], inputs.prior_columns[0]
        truth, prior = metric.kind.sign * measured, metric.kind.sign * points[:, list(columns)].mean(1).numpy()
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            promised = prior + NOISE * rng.standard_normal(len(prior))
            for evaluated, order in (("random", rng.permutation(len(truth))), ("promising", np.argsort(-promised))):
                for count in evaluations:
                    seen, others = order[:count], np.setdiff1d(np.arange(len(truth)), order[:count])
                    scores = torch.from_numpy(Scale.by_rank(metric, measured[seen])(measured[seen]))
                    for method in METHODS:
                        process = _fitted(method, points[seen], scores, inputs.view, columns, metric.kind)
                        predicted = process.mean(points[others]).numpy()
                        best = others[np.argsort(-predicted)[:20]]
                        yield {
                            "task": target, "evaluated": evaluated, "evaluations": count, "method": method,
                            "tau": float(kendalltau(predicted, truth[others]).statistic),
                            "top": float((rankdata(truth) / len(truth))[best].mean()),
                        }  # fmt: skip


def _fitted(
    method: str, points: torch.Tensor, scores: torch.Tensor, view: View, columns: Sequence[int], kind: MetricKind
) -> Process:
    kernel = weights_kernel if method == "weights" else TaskKernel
    metric_surrogate.TaskKernel = metric_surrogate.weights_kernel = kernel  # type: ignore[misc,assignment]
    return fit_process(points, scores, view, () if method == "nothing" else columns, kind)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
