"""What is lost when a search's Gaussian process takes its hyperparameters from some of the observations.

    GENNAS_DATA=... python scripts/bench_surrogate_subset.py --observations 1000 --seeds 3

For each table: archs of the table are observed, half of them the best of ten times as many, as a search would have
found them, half of them random. A process is fitted whose hyperparameters come from some of them, its posterior from
all; the optimiser makes 60 steps with all and 30 with some. Printed are, of 3,000 other archs of the table, Kendall's
tau, the mean negative log-density of their scores, the share of the 50 with the highest upper confidence bound (mean +
std) that are among the best 5 %, and the seconds of processor time for the fit. Means over seeds, with the standard
deviation of the difference from the fit to all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import machine
from scipy.stats import kendalltau, norm

from gennas.benchmarks.benchmark import Benchmark, BenchmarkConfig
from gennas.search import metric_surrogate
from gennas.search.inputs import Inputs
from gennas.search.metric_surrogate import fit_process
from gennas.search.scale import Scale

ASKED = (
    ("nasbench201", "cifar10", "accuracy", None),
    ("nasbench201", "cifar10", "-latency_ms", "raspi4"),
    ("nasbench101", "cifar10", "accuracy", None),
    ("nasbench_graph", "cora", "accuracy", None),
)
HELD_OUT = 3000


def main(observations: int = 1000, sizes: Sequence[int] = (100, 200, 300, 400), seeds: int = 3) -> None:
    """Prints a row per table and number of observations from which the hyperparameters come.

    Args:
        observations: archs that were evaluated.
        sizes: how many of them the hyperparameters come from.
        seeds: draws of the observed archs.
    """
    torch.set_num_threads(1)
    print(f"{observations} observations, {seeds} seeds; {machine()}")
    print("| table | objective | fitted to | tau | negative log-density | good of 50 | processor s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for table, task, objective, hardware in ASKED:
        benchmark = Benchmark.of(BenchmarkConfig(table, task, "gennas", objective=objective, hardware=hardware))
        inputs = Inputs(benchmark.problem.space, benchmark.problem.task, benchmark.problem.metrics)
        results = {
            size: np.array([_measured(benchmark, inputs, observations, size, seed) for seed in range(seeds)])
            for size in (observations, *sizes)
        }
        for size, rows in results.items():
            spread = (rows - results[observations]).std(axis=0)
            cells = [f"{mean:.3f} ({std:.3f})" for mean, std in zip(rows.mean(axis=0), spread, strict=True)]
            words = "all" if size == observations else str(size)
            print("| " + " | ".join([table, objective, words, *cells]) + " |", flush=True)


def _measured(benchmark: Benchmark, inputs: Inputs, count: int, size: int, seed: int) -> tuple[float, ...]:
    metric = benchmark.problem.metrics[0]
    rng = np.random.default_rng(seed)
    values = benchmark.values[metric.name].dropna()
    gains = metric.kind.sign * values.to_numpy(float)
    drawn = rng.permutation(len(values))
    pool = drawn[HELD_OUT : HELD_OUT + 10 * count]
    best = pool[np.argsort(-gains[pool])][: count // 2]
    others = rng.permutation(np.setdiff1d(pool, best))[: count - len(best)]
    seen, unseen = rng.permutation(np.concatenate([best, others])), drawn[:HELD_OUT]
    space = benchmark.problem.space
    points = [inputs.of([space.parse(str(values.index[row])) for row in rows]) for rows in (seen, unseen)]
    scale = Scale.by_rank(metric, values.to_numpy(float)[seen])
    scores = [torch.from_numpy(scale(values.to_numpy(float)[rows])) for rows in (seen, unseen)]
    metric_surrogate.MANY = count if size == count else 200
    start = time.process_time()
    process = fit_process(points[0], scores[0], inputs.view, (), metric.kind, size)
    seconds = time.process_time() - start
    mean, std = (moment.numpy() for moment in process.moments(points[1]))
    truth = scores[1].numpy()
    density = np.mean(norm.logpdf(truth, mean, np.sqrt(std**2 + process.noise)))
    top = np.argsort(-(mean + std))[:50]
    good = (truth[top] >= np.quantile(truth, 0.95)).mean()
    return float(kendalltau(mean, truth).statistic), float(-density), float(good), seconds


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
