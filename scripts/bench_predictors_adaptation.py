"""Accuracy on tasks that are unknown but for a few evaluations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bench_predictors_data import TRANSNAS, Bench, bench_of, drawn, over_seeds, tau, tell
from scipy.stats import rankdata
from sklearn.ensemble import ExtraTreesRegressor

from gennas.predictors.basis import DESCRIPTOR_SCALE
from gennas.predictors.features import describe
from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.task_fit import task_transfer
from gennas.predictors.task_regression import usual_task
from gennas.predictors.teacher import fit_teacher

#: What is compared: the process over the other tasks and over what describes an arch for nothing (the pretext task of
#: a predictor), a linear mix of both, one of the other tasks alone, a model of the few labels alone, and no labels at
#: all.
WAYS = ("process", "mix", "without_pretext", "few_labels", "mean_rank")


def adaptation(
    benchmarks: Sequence[str] = ("nasbench201", "nasbench_graph", TRANSNAS),
    labels: Sequence[int] = (0, 5, 10, 25, 50),
    tested: int = 6000,
    seeds: int = 10,
) -> dict[str, Any]:
    """Kendall tau on a task of which only some random archs' accuracies are known, while the others are known.

    Args:
        benchmarks: each of whose tasks is left out in turn.
        labels: how many archs are evaluated on the left-out task.
        tested: most archs to test on, drawn from all others.
        seeds: of both draws, from 0.
    """
    results = {name: _of_benchmark(bench_of(name), name, labels, tested, seeds) for name in benchmarks}
    average = {
        str(count): {
            way: round(float(np.mean([result[str(count)][way]["mean"] for result in results.values()])), 4)
            for way in WAYS
            if way in results[benchmarks[0]][str(count)]
        }
        for count in labels
    }
    return {"tested_at_most": tested, "benchmarks": results, "average": average}


def _of_benchmark(bench: Bench, name: str, labels: Sequence[int], tested: int, seeds: int) -> dict[str, Any]:
    truth = bench.values.to_numpy(float)  # (N, T)
    known, ranks = _smoothed(bench.features, truth), rankdata(truth, axis=0)
    described = DESCRIPTOR_SCALE * describe(bench.space, bench.archs, bench.task)
    found: dict[tuple[int, str], np.ndarray] = {
        (count, way): np.empty((truth.shape[1], seeds)) for count in labels for way in WAYS
    }
    for task in range(truth.shape[1]):
        others = np.arange(truth.shape[1]) != task
        inputs = np.hstack([known[:, others], described])
        prior = np.repeat([1 / others.sum(), 0], [others.sum(), described.shape[1]])
        usual = usual_task(inputs, truth[:, others])
        for count in labels:
            for seed in range(seeds):
                rows, rest = drawn(count, len(truth), seed)
                test = rest[:tested]
                mix = task_transfer(inputs[rows], truth[rows, task], prior)
                alone = task_transfer(inputs[rows, : others.sum()], truth[rows, task], prior[: others.sum()])
                told = {
                    "process": task_transfer(inputs[rows], truth[rows, task], prior, usual).mean(inputs[test]),
                    "mix": mix.predict(inputs[test])[0],
                    "without_pretext": alone.predict(inputs[test, : others.sum()])[0],
                    "mean_rank": ranks[test][:, others].mean(axis=1),
                }
                if count:
                    told["few_labels"] = _alone(bench, rows, test, truth[rows, task], seed)
                for way, values in told.items():
                    found[count, way][task, seed] = tau(truth[test, task], values)
            means = ", ".join(f"{way} {found[count, way][task].mean():.3f}" for way in told)
            tell(f"{name}: {bench.values.columns[task]} at {count} labels: {means}")
    return {
        str(count): {
            way: {
                **over_seeds(found[count, way].mean(axis=0)),
                "tasks": dict(
                    zip(map(str, bench.values), found[count, way].mean(axis=1).round(4).tolist(), strict=True)
                ),
            }
            for way in WAYS
            if count or way != "few_labels"
        }
        for count in labels
    }


def _smoothed(features: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``(N, T)`` what trees, and hence a predictor, learn of each task; with std 1."""
    columns = []
    for values in truth.T:
        forest = ExtraTreesRegressor(60, max_features=0.3, min_samples_leaf=3, random_state=0)
        smooth = forest.fit(features, normal_scores(values)).predict(features)
        columns.append(smooth / smooth.std())
    return np.column_stack(columns)


def _alone(bench: Bench, rows: np.ndarray, test: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """What the labels foretell of the tested archs without any other task; other archs it need not look at."""
    features = bench.features[np.concatenate([rows, test])]
    learnt = fit_teacher(features, np.arange(len(rows)), values, num_simple=bench.views, seed=seed)
    return learnt.mean[len(rows) :]
