"""Whether 90 % of the truths lie in 90 % intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bench_predictors_data import bench_of, drawn, over_seeds, tell
from bench_predictors_latency import summary, unknown_devices

from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.quality import Z90
from gennas.predictors.teacher import fit_teacher

#: Benchmark -> the tasks whose accuracy is learnt.
TASKS = {
    "nasbench201": ("cifar10", "cifar100", "imagenet16-120"),
    "nasbench101": ("cifar10",),
    "nasbench_graph": ("cora", "physics", "arxiv"),
}


def calibration(
    labels: Sequence[int] = (100, 400),
    benchmarks: Sequence[str] = ("nasbench201", "nasbench101", "nasbench_graph"),
    measured: int = 10,
    seeds: int = 10,
) -> dict[str, Any]:
    """Share of all other archs' true values within their 90 % intervals.

    Args:
        labels: how many the few-label model of accuracy learns from.
        benchmarks: whose accuracies.
        measured: how many informative cells are measured on each unknown device; see `latency`.
        seeds: of archs and trees, from 0.
    """
    results: dict[str, Any] = {}
    for name in benchmarks:
        bench = bench_of(name)
        for task in TASKS[name]:
            truth = bench.values[f"accuracy@{task}"].to_numpy()
            for count in labels:
                runs = [_coverage(bench.features, bench.views, truth, count, seed) for seed in range(seeds)]
                results.setdefault(name, {}).setdefault(task, {})[str(count)] = {
                    **over_seeds(runs),
                    "range": [round(min(runs), 4), round(max(runs), 4)],
                }
                tell(f"{name}, {task}, {count} labels: {np.mean(runs):.3f}")
    devices = unknown_devices([measured], ["measured"], ["informative"], 2000, "", seeds)
    return {"accuracy": results, f"latency_{measured}_measurements": summary(devices, "coverage90")}


def _coverage(features: np.ndarray, views: int, truth: np.ndarray, count: int, seed: int) -> float:
    """The truths on the scale of the labels' normal scores; beyond the labels there is nothing but their ends."""
    rows, others = drawn(count, len(truth), seed)
    learnt = fit_teacher(features, rows, truth[rows], num_simple=views, seed=seed)
    order = np.argsort(truth[rows])
    scores = np.interp(truth[others], truth[rows][order], normal_scores(truth[rows])[order])
    return float((np.abs(scores - learnt.mean[others]) <= Z90 * learnt.std[others]).mean())
