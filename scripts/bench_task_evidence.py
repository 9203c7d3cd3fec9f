"""What a search's Gaussian process makes of known tasks: a task kernel, weights of the tasks, or nothing.

    GENNAS_DATA=... python scripts/bench_task_evidence.py --seeds 3

Each task of a table in turn is the new one, and what the table holds of the others is the prior, as in `gennas search
--table`. Some archs are evaluated: random ones, or those that the prior, with noise of half a standard deviation,
promises most of. Printed are, of the other archs drawn, Kendall's tau and the mean percentile of the 20 that are
predicted best, as means over tasks and seeds, and the difference of tau from the weights' over tasks, with a bootstrap
interval. With ``--question searches`` archs are evaluated one batch after the other, five with the highest expected
improvement among half of those drawn; printed are geometric means over tasks and seeds of the rank of the best found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import machine
from meta_page import interval_text
from scipy.stats import kendalltau, norm, rankdata

from gennas.metrics import Metric
from gennas.predictors.gaussian_process import Process
from gennas.predictors.task_kernel import TaskKernel
from gennas.problem import Problem
from gennas.search import metric_surrogate
from gennas.search.inputs import Inputs
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
#: Of a search: archs of a batch, and evaluations after which it is looked at.
BATCH, LOOKED_AT = 5, (10, 20, 40, 60)


def main(
    tables: Sequence[str] = ("nasbench_graph", "transnas_micro", "nasbench201"),
    evaluations: Sequence[int] = (10, 30, 80),
    archs: int = 3000,
    seeds: int = 3,
    objective: str = "accuracy",
    question: Literal["predictions", "searches"] = "predictions",
) -> None:
    """Prints a row per table, way of evaluating, number of evaluations, and method.

    Args:
        tables: with accuracies of several tasks.
        evaluations: of the new task.
        archs: of the table that are drawn.
        seeds: draws of the evaluated ones.
        objective: accuracy, or -latency_ms: devices are then in the place of tasks.
        question: how well the others are predicted, or what a search finds.
    """
    torch.set_num_threads(1)
    print(f"{archs} archs, {seeds} seeds; {machine()}")
    if question == "searches":
        _print_searches(tables, objective, archs, seeds)
        return
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


def _print_searches(tables: Sequence[str], objective: str, archs: int, seeds: int) -> None:
    print(f"| table | known tasks as | {' | '.join(map(str, LOOKED_AT))} |")
    print("| --- | --- |" + " --- |" * len(LOOKED_AT))
    for table in tables:
        logs: dict[str, list[np.ndarray]] = {method: [] for method in METHODS[1:]}
        for new in _left_out(table, objective, archs):
            for method, of_tasks in logs.items():
                of_tasks.append(np.mean([np.log(new.search(method, seed)) for seed in range(seeds)], axis=0))
        for method, of_tasks in logs.items():
            ranks = np.exp(np.mean(of_tasks, axis=0))
            print(f"| {table} | {method} | {' | '.join(f'{rank:.1f}' for rank in ranks)} |", flush=True)
        ratios = np.subtract(logs[METHODS[2]], logs[METHODS[1]]).T
        print(f"| {table} | log of the ratio | {' | '.join(interval_text(one, 2) for one in ratios)} |", flush=True)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """A task of a table whose others are known.

    Attributes:
        metric: its accuracy, or a device's latency.
        inputs: of the search.
        points: ``(n, d)`` the archs that were drawn.
        measured: ``(n,)`` their values.
    """

    metric: Metric
    inputs: Inputs
    points: torch.Tensor
    measured: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """``(n,)`` larger is better."""
        return self.metric.kind.sign * self.measured

    @property
    def prior(self) -> np.ndarray:
        """``(n,)`` what the known tasks promise."""
        found: np.ndarray = self.points[:, list(self.inputs.prior_columns[0])].mean(1).numpy()
        return self.metric.kind.sign * found

    def fitted(self, method: str, seen: np.ndarray) -> Process:
        """The process after the archs of some rows were evaluated."""
        scores = torch.from_numpy(Scale.by_rank(self.metric, self.measured[seen])(self.measured[seen]))
        columns = self.inputs.prior_columns[0] if method != "nothing" else ()
        kernel = weights_kernel if method == "weights" else TaskKernel
        metric_surrogate.TaskKernel = metric_surrogate.weights_kernel = kernel  # type: ignore[misc,assignment]
        return fit_process(self.points[seen], scores, self.inputs.view, columns, self.metric.kind)

    def search(self, method: str, seed: int) -> np.ndarray:
        """The rank of the best arch found, from 1, after :data:`LOOKED_AT` evaluations."""
        rng = np.random.default_rng(seed)
        pool = rng.permutation(len(self.measured))[: len(self.measured) // 2]
        promised = self.prior[pool] + NOISE * rng.standard_normal(len(pool))
        seen, found = pool[np.argsort(-promised)[:BATCH]], list[int]()
        while len(found) < len(LOOKED_AT):
            process = self.fitted(method, seen)
            others = np.setdiff1d(pool, seen)
            mean, std = (moment.numpy() for moment in process.moments(self.points[others]))
            gain = mean - float(process.mean(self.points[seen]).max())
            improvement = gain * norm.cdf(gain / std) + std * norm.pdf(gain / std)
            seen = np.append(seen, others[np.argsort(-improvement)[:BATCH]])
            if len(seen) == LOOKED_AT[len(found)]:
                found.append(1 + int((self.truth[pool] > self.truth[seen].max()).sum()))
        return np.array(found)


def _left_out(name: str, objective: str, archs: int) -> Iterator[LeftOut]:
    table = load_table(name)
    space = get_space(table.space) if isinstance(table.space, str) else table.space
    for target in [metric for metric in table.metrics() if metric.startswith(f"{objective.lstrip('-')}@")]:
        on = target.partition("@")[2]
        problem = Problem(space, *((on, objective) if objective == "accuracy" else (ANY_TASK, objective, (), on)))
        inputs = Inputs(space, problem.task, problem.metrics, TablePrior.of_others(table, problem))
        values = table.frame[target].dropna()
        drawn = values.iloc[np.random.default_rng(0).permutation(len(values))[:archs]]
        points = inputs.of([space.parse(str(key)) for key in drawn.index])
        yield LeftOut(problem.metrics[0], inputs, points, drawn.to_numpy(float))


def _of_table(
    name: str, objective: str, evaluations: Sequence[int], archs: int, seeds: int
) -> Iterator[dict[str, object]]:
    for new in _left_out(name, objective, archs):
        truth, prior = new.truth, new.prior
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            promised = prior + NOISE * rng.standard_normal(len(prior))
            for evaluated, order in (("random", rng.permutation(len(truth))), ("promising", np.argsort(-promised))):
                for count in evaluations:
                    seen, others = order[:count], np.setdiff1d(np.arange(len(truth)), order[:count])
                    for method in METHODS:
                        predicted = new.fitted(method, seen).mean(new.points[others]).numpy()
                        best = others[np.argsort(-predicted)[:20]]
                        yield {
                            "task": new.metric.name, "evaluated": evaluated, "evaluations": count, "method": method,
                            "tau": float(kendalltau(predicted, truth[others]).statistic),
                            "top": float((rankdata(truth) / len(truth))[best].mean()),
                        }  # fmt: skip


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
