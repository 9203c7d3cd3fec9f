"""Accuracy learnt from few labels, and what each sort of features adds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from bench_predictors_data import Bench, bench_of, drawn, over_seeds, tau, tell
from sklearn.ensemble import ExtraTreesRegressor

from gennas.predictors.features import GraphFeatures
from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.teacher import fit_teacher

Variant = Literal["all", "without_costs", "with_proxies"]
#: How many features, the first ones, are costs; scores that are costs too say nothing new.
COSTS, COST_SCORES = 2, ("params_m", "macs_m")
#: Validation accuracy on CIFAR-10: labels -> Kendall tau that we want.
TARGETS = {
    "nasbench201": {39: 0.72, 78: 0.77, 156: 0.82, 469: 0.86},
    "nasbench101": {100: 0.70, 172: 0.77, 424: 0.80},
}


def accuracy(
    variants: Sequence[Variant] = ("all", "without_costs", "with_proxies"),
    benchmarks: Sequence[str] = ("nasbench201", "nasbench101"),
    labels: Sequence[int] | None = None,
    proxies_nasbench201: Path | None = None,
    proxies_nasbench101: Path | None = None,
    seeds: int = 10,
) -> dict[str, Any]:
    """Kendall tau of CIFAR-10 accuracy, from some random cells' validation accuracy, on all other cells.

    Of NAS-Bench-101 cells are the 30,001 whose validation accuracy is known; their test accuracy is foretold too.

    Args:
        variants: all graph features; without costs; with training-free scores too (where there is a file of them).
        benchmarks: nasbench201, nasbench101.
        labels: how many; by default those that there are targets for.
        proxies_nasbench201: scores of some functions, by `build_proxies.py`; those of other cells are foretold.
        proxies_nasbench101: the same.
        seeds: of cells and trees, from 0.
    """
    files = {"nasbench201": proxies_nasbench201, "nasbench101": proxies_nasbench101}
    results: dict[str, Any] = {}
    for name in benchmarks:
        bench, file = bench_of(name), files.get(name)
        results[name] = {"cells": len(bench.archs), "features": bench.features.shape[1]}
        if file is not None and "with_proxies" in variants:
            scores, computed = proxy_columns(bench, file)
            results[name]["proxies"] = {"number": scores.shape[1], "cells_computed": computed}
        for variant in variants:
            if variant == "with_proxies" and file is None:
                continue
            features, views = bench.features, bench.views
            if variant == "without_costs":
                features, views = features[:, COSTS:], views - COSTS
            if variant == "with_proxies":
                features = np.hstack([features[:, :COSTS], scores, features[:, COSTS:]])
                views += scores.shape[1]
            for count in labels or TARGETS[name]:
                runs = [_taus(bench, features, views, count, seed) for seed in range(seeds)]
                answer = {metric: over_seeds(run[metric] for run in runs) for metric in runs[0]}
                target = TARGETS[name].get(count)
                results[name].setdefault(variant, {})[str(count)] = {"target": target, **answer}
                means = ", ".join(f"{metric} {values['mean']}" for metric, values in answer.items())
                tell(f"{name}, {variant}, {count} labels: {means}; target {target}")
    return {"tests_on": "all other cells", "benchmarks": results}


def _taus(bench: Bench, features: np.ndarray, views: int, count: int, seed: int) -> dict[str, float]:
    rows, others = drawn(count, len(features), seed)
    values = bench.values["accuracy@cifar10"].to_numpy()
    told = fit_teacher(features, rows, values[rows], num_simple=views, seed=seed).mean
    truths = bench.values.loc[:, bench.values.columns.str.endswith("accuracy@cifar10")]
    return {str(metric): tau(truths[metric].to_numpy()[others], told[others]) for metric in truths}


def proxy_columns(bench: Bench, file: Path) -> tuple[np.ndarray, int]:
    """``(N, p)`` training-free scores of all archs as normal scores, and of how many archs they were computed.

    Those of other archs are foretold from graph features. Undefined scores rank last.
    """
    frame = pd.read_parquet(file)
    frame = frame.set_index("key") if "key" in frame else frame
    frame = frame.drop(columns=list(COST_SCORES), errors="ignore").fillna(-np.inf).apply(normal_scores)
    archs = bench.space.canonicalised([bench.space.parse(key) for key in frame.index])
    features = GraphFeatures(bench.space).of(archs, bench.task)
    forest = ExtraTreesRegressor(200, max_features=0.5, random_state=0).fit(features, frame.to_numpy())
    scores = forest.predict(bench.features)
    # Telling which NAS-Bench-101 cells compute the same function takes long; there only the same cell counts.
    same = bench.space.canonical if bench.space.name == "nasbench201" else (lambda arch: arch)
    place = {same(arch).key: row for row, arch in enumerate(archs)}
    found = np.array([place.get(same(arch).key, -1) for arch in bench.archs])
    scores[found >= 0] = frame.to_numpy()[found[found >= 0]]
    tell(f"{frame.shape[1]} training-free scores: computed for {(found >= 0).sum()} of {len(found)} cells")
    return scores, int((found >= 0).sum())
