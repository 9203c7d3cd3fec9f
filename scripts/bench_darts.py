"""How well few labels predict the other archs of the table ``darts``, beside training-free scores and plain models.

    GENNAS_DATA=... python scripts/bench_darts.py --seeds 10

Kendall tau with the accuracies of all archs that are not labelled; these accuracies are those of NAS-Bench-301's
surrogate. The views of the archs were tried on the draws of seeds 0 and 1, and chosen among by cross-validation on the
400 labels of seed 100.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from bench_predictors_data import over_seeds, tau
from jsonargparse import auto_cli
from machine import machine
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV

from gennas.predictors.features import GraphFeatures
from gennas.predictors.labels import Labels
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.slot_features import SlotFeatures
from gennas.predictors.teacher import fit_teacher
from gennas.predictors.training import fit_predictor
from gennas.spaces import get_space
from gennas.tables import darts, load_table
from gennas.tasks import get_task

PROXIES = (
    *("synflow", "grasp", "fisher", "grad_norm", "l2_norm", "plain", "nwot", "epe_nas", "jacov", "snip"),
    *("flops", "params"),
)
#: Rows of the table in an order of their own -> predictions of all, given those that are labelled and a seed.
Model = Callable[[np.ndarray, int], np.ndarray]


def main(labels: Sequence[int] = (50, 100, 200, 400), seeds: int = 10, distil: bool = True) -> None:
    """Prints a document with all numbers.

    Args:
        labels: how many archs are labelled.
        seeds: of the draws of these, from 0.
        distil: whether the network that is shipped is trained, too, which takes a minute for each draw.
    """
    torch.set_num_threads(1)
    space, task, table = get_space("darts"), get_task("cifar10"), load_table("darts")
    published = pd.read_parquet(Path(os.environ["GENNAS_DATA"], darts.FILE))
    known = Labels.of(space, table)
    values, archs = known.values[:, 0], [space.parse(key) for key in table.frame.index]
    costs = pd.DataFrame([space.costs(arch, task) for arch in archs])
    off = {
        name: float(np.abs(costs[name] / published[column] - 1).max())
        for name, column in (("params_m", "params"), ("macs_m", "flops"))
    }
    proxies = {name: round(tau(values, published[name].to_numpy()), 3) for name in PROXIES}
    extractor, slots = GraphFeatures(space), SlotFeatures(space).of(archs)
    features = extractor.of(archs, task)
    vocabulary = np.eye(len(space.template.vocabulary))
    one_hot = vocabulary[space.arrays(archs)[0]].reshape(len(archs), -1)

    def few_labels(rows: np.ndarray, seed: int) -> np.ndarray:
        return fit_teacher(features, rows, values[rows], num_simple=extractor.simple, seed=seed, slots=slots).mean

    def distilled(rows: np.ndarray, seed: int) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            predictor = fit_predictor(space, known, rows, PredictorTraining(), seed=seed, folder=Path(folder))
        with torch.inference_mode():
            return predictor.score(known.graphs)[0][:, 0].numpy()

    models: dict[str, Model] = {
        "kernel ridge, one-hot": lambda rows, seed: kernel_ridge(one_hot, rows, values),
        "parameters and multiply-adds": lambda rows, seed: kernel_ridge(np.log(costs.to_numpy()), rows, values),
        "few-label model": few_labels,
        **({"predictor": distilled} if distil else {}),
    }
    results: dict[str, Any] = {}
    for count in labels:
        found: dict[str, list[float]] = {name: [] for name in models}
        start = time.perf_counter()
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(values))
            rows, others = order[:count], order[count:]
            for name, model in models.items():
                found[name].append(tau(values[others], model(rows, seed)[others]))
        results[str(count)] = {name: over_seeds(of) for name, of in found.items()}
        means = ", ".join(f"{name} {np.mean(of):.3f} +- {np.std(of, ddof=1):.3f}" for name, of in found.items())
        print(f"{count} labels: {means} ({time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)
    document = {
        "archs": len(values),
        "largest relative difference of costs": off,
        "training-free scores, all archs": proxies,
        "kendall tau on the others": results,
        "seeds": seeds,
        "machine": machine(),
    }
    print(json.dumps(document, indent=2))


def kernel_ridge(inputs: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Kernel ridge regression with an RBF kernel, its settings chosen by five-fold cross-validation on the labels."""
    std = inputs[rows].std(axis=0)
    inputs = (inputs - inputs[rows].mean(axis=0))[:, std > 0] / std[std > 0]
    grid = {"alpha": np.logspace(-3, 1, 5), "gamma": np.logspace(-2, 0.5, 6) / inputs.shape[1]}
    model = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=5)
    mean, scale = values[rows].mean(), values[rows].std()
    predicted: np.ndarray = model.fit(inputs[rows], (values[rows] - mean) / scale).predict(inputs)
    return predicted


if __name__ == "__main__":
    auto_cli(main)
