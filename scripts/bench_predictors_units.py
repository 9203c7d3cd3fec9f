"""Accuracy on a new task in its own units: errors and intervals, by the shipped predictors and a few labels."""

import os
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from bench_predictors_data import TRANSNAS, bench_of, over_seeds, tau, tell

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.predictors.base import Predictor
from gennas.predictors.basis import BasisFunctions
from gennas.predictors.conformal import StdScale
from gennas.predictors.few_shot import known_tasks
from gennas.predictors.quality import Z90
from gennas.predictors.task_fit import KnownTasks, TaskFit, cross_validated, fit_task
from gennas.spaces import Space, get_space

#: Archs with the highest predictions, which is what a generation returns.
BEST = 20
#: The published metric of these TransNAS-Bench-101 tasks is a share, in per cent unless it is SSIM.
SHARES = {"class_object": 100, "class_scene": 100, "jigsaw": 100, "segmentsemantic": 100, "autoencoder": 1, "normal": 1}
#: Accuracies after 12 epochs, which are spread unlike those of trained archs.
SHORT = ("test12_c10", "test12_c100", "test12_in16")


def units(
    labels: Sequence[int] = (10, 20, 50, 100), tested: int = 1500, seeds: int = 5, archs: int = 6000
) -> dict[str, Any]:
    """What predictions of a new task are worth in its units, from random labels, and from labels of good archs only.

    Of a known task its own predictions are hidden. Good archs are the better half by the mean of the known tasks, as
    someone has who trained generated ones; the tested archs are from the same half. `linear` is a linear regression on
    the known tasks in place of the task kernel. `moved` has the scale of the known tasks, moved to the mean and std of
    the labels, and intervals that are not calibrated.

    Args:
        labels: how many archs are evaluated on the new task.
        tested: most archs to test on, drawn from all others.
        seeds: of both draws, from 0.
        archs: most archs of a table, drawn at random.
    """
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for task, inputs, known, truth in _tasks(archs):
        good = inputs[:, known.prior > 0].argsort(0).argsort(0).mean(1)
        for start, pool in (("random", np.arange(len(truth))), ("good", np.flatnonzero(good >= np.median(good)))):
            for count in labels:
                runs: dict[str, list[dict[str, float]]] = {"own": [], "linear": [], "moved": []}
                for seed in range(seeds):
                    order = np.random.default_rng(seed).permutation(pool)
                    rows, test = order[:count], order[count : count + tested]
                    fit = fit_task(inputs[rows], truth[rows], known)
                    told = _coverage(*cross_validated(inputs[rows], truth[rows], known), truth[rows])
                    runs["own"].append({**_tested(fit, inputs[test], truth[test]), "told_coverage90": told})
                    linear = fit_task(inputs[rows], truth[rows], replace(known, usual=None))
                    runs["linear"].append(_tested(linear, inputs[test], truth[test]))
                    fit = _moved(fit, inputs[rows], truth[rows], known)
                    runs["moved"].append(_tested(fit, inputs[test], truth[test]))
                for way, of in runs.items():
                    result = {name: over_seeds(run[name] for run in of) for name in of[0]}
                    results.setdefault(f"{start}_{count}_{way}", {})[task] = result
                tell(f"{task}, {count} {start} labels: coverage {results[f'{start}_{count}_own'][task]['coverage90']}")
    return {"tested_at_most": tested, "over_tasks": {name: _over_tasks(of) for name, of in results.items()}} | results


def _over_tasks(of: dict[str, Any]) -> dict[str, Any]:
    """Mean over the tasks, and the lowest and highest of them."""
    first = next(iter(of.values()))
    means = {name: [float(task[name]["mean"]) for task in of.values()] for name in first}
    return {
        name: {"mean": round(float(np.mean(values)), 3), "range": [min(values), max(values)]}
        for name, values in means.items()
    }


def _tested(fit: TaskFit, inputs: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Quality on the tested archs; errors and widths are shares of the std of their truths."""
    mean, std = fit.predict(inputs)
    best = np.argsort(-mean)[:BEST]
    return {
        "coverage90": _coverage(mean, std, truth),
        "coverage90_best": _coverage(mean[best], std[best], truth[best]),
        "rmse": float(np.sqrt(np.square(mean - truth).mean()) / truth.std()),
        "bias_best": float((mean - truth)[best].mean() / truth.std()),
        "width": float(2 * Z90 * std.mean() / truth.std()),
        "tau": tau(truth, mean),
    }


def _coverage(mean: np.ndarray, std: np.ndarray, truth: np.ndarray) -> float:
    return float((np.abs(mean - truth) <= Z90 * std).mean())


def _moved(fit: TaskFit, inputs: np.ndarray, values: np.ndarray, known: KnownTasks) -> TaskFit:
    """The fit on the scale of the known tasks."""
    assert known.units is not None
    at = torch.from_numpy(fit.transfer.mean(inputs)).float()
    predicted = np.interp(fit.own_scale.scores_of(0, at).double().numpy(), known.grid, known.units)
    units = values.mean() + values.std() / max(predicted.std(), 1e-6) * (known.units - predicted.mean())
    return replace(fit, units=units.clip(0, 1), std_scale=StdScale())


def _tasks(most: int) -> Iterator[tuple[str, np.ndarray, KnownTasks, np.ndarray]]:
    """Name of a task, basis functions of ``N`` archs by a predictor that does not know it, and their accuracies."""
    for name, space, predictor, archs, truth in _tables():
        rows = np.sort(np.random.default_rng(0).permutation(len(archs))[:most])
        basis = BasisFunctions(predictor, space, "accuracy")
        yield name, basis.of([archs[row] for row in rows]), known_tasks(basis), truth[rows]


def _tables() -> Iterator[tuple[str, Space, Predictor, list[Arch], np.ndarray]]:
    cells, space = Checkpoint("nasbench201").predictor, get_space("nasbench201")
    transnas = bench_of(TRANSNAS)
    for name, most in SHARES.items():
        yield f"transnas {name}", space, cells, transnas.archs, transnas.values[f"accuracy@{name}"].to_numpy() / most
    table = pd.read_parquet(Path(os.environ["GENNAS_DATA"]) / "nasbench201.parquet")
    archs = [space.parse(key) for key in table["arch_str"]]
    for name in SHORT:
        yield f"nasbench201 {name}", space, cells, archs, table[name].to_numpy() / 100
    for benchmark in ("nasbench201", "nasbench_graph"):
        bench, predictor = bench_of(benchmark), Checkpoint(benchmark).predictor
        for metric in map(str, bench.values):
            name = f"{benchmark} {metric.partition('@')[2]}"
            yield name, bench.space, _without(predictor, metric), bench.archs, bench.values[metric].to_numpy()


def _without(predictor: Predictor, metric: str) -> Predictor:
    """The predictor, which does not know that one of its metrics is an accuracy."""
    blind = copy(predictor)
    blind.metrics = tuple("hidden" if name == metric else name for name in predictor.metrics)
    return blind
