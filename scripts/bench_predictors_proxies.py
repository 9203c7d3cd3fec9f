"""Training-free scores against the published ones, as one JSON document.

    GENNAS_DATA=... python scripts/bench_predictors_proxies.py --cells 500 --out runs/proxies/comparison.parquet

Random NAS-Bench-201 cells of `nasbench201_proxies.parquet` (NAS-Bench-Suite-Zero), in the published skeleton, on one
batch of CIFAR-10 with torch's own initial weights. `out` keeps what was computed: repeating the command goes on.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import machine
from scipy.stats import kendalltau, spearmanr

from gennas.files import write_parquet
from gennas.proxies import PROXIES
from gennas.proxies.scoring import AZ_NAS, BATCH_SIZE, ProxyBatch, proxy_scores, rank_aggregate
from gennas.spaces import get_space
from gennas.tables import load_table
from gennas.tasks import get_task

#: Our name -> the published one.
PUBLISHED = {
    "synflow": "synflow_c10",
    "naswot": "nwot_c10",
    "zen": "zen_c10",
    "snip": "snip_c10",
    "grasp": "grasp_c10",
    "jacov": "jacov_c10",
    "grad_norm": "grad_norm_c10",
}
CHUNK = 10


def proxies(
    cells: int = 500, seeds: int = 1, out: Path | None = None, functions: Path | None = None, timed: int = 20
) -> dict[str, Any]:
    """Rank correlations with published scores and with accuracy, and the seconds of every score.

    Args:
        cells: how many, drawn at random.
        seeds: of weights, images and noise, from 0.
        out: keeps the scores.
        functions: scores of functions that `build_proxies.py` wrote, to rank all cells that compute one of them.
        timed: cells whose seconds are taken, at least 1.
    """
    torch.set_num_threads(1)
    data = Path(os.environ["GENNAS_DATA"])
    keys = pd.read_parquet(data / "nasbench201.parquet").set_index("index")["arch_str"]
    published = pd.read_parquet(data / "nasbench201_proxies.parquet").sample(cells, random_state=0)
    published.index = pd.Index(keys.loc[published["index"]])
    runs = [_scores(list(published.index), seed, out) for seed in range(seeds)]
    return {
        "cells": cells,
        "batch_size": BATCH_SIZE,
        "spearman_with_published": {
            ours: [_round(spearmanr(_filled(run[ours]), _filled(published[theirs])).statistic) for run in runs]
            for ours, theirs in PUBLISHED.items()
        },
        "published_spearman_of_cifar10_with_imagenet16": {
            theirs: _round(published[theirs].corr(published[theirs.replace("c10", "in16")], method="spearman"))
            for theirs in PUBLISHED.values()
        },
        "spearman_between_seeds": {
            name: _round(spearmanr(_filled(runs[0][name]), _filled(runs[1][name])).statistic) for name in runs[0]
        }
        if seeds > 1
        else None,
        "kendall_tau_with_accuracy": [_taus(run) for run in runs],
        "kendall_tau_with_accuracy_of_functions": None if functions is None else _taus_of(functions),
        "undefined": [run.isna().sum().to_dict() for run in runs],
        "seconds_median": _seconds(list(published.index)[:timed]),
    }


def _scores(keys: list[str], seed: int, out: Path | None) -> pd.DataFrame:
    """Scores of the cells, those in the cache and those that are computed now."""
    space, task = get_space("nasbench201"), get_task("cifar10")
    names = PROXIES.list()
    cached = pd.read_parquet(out) if out is not None and out.exists() else pd.DataFrame(columns=["seed", "key", *names])
    known = cached[cached["seed"] == seed].set_index("key")[names]
    missing = [key for key in keys if key not in known.index]
    for first in range(0, len(missing), CHUNK):
        archs = [space.parse(key) for key in missing[first : first + CHUNK]]
        fresh = proxy_scores(space, archs, task, names, seed=seed)
        known = pd.concat([known, fresh]) if len(known) else fresh
        if out is not None:
            rows = fresh.rename_axis("key").reset_index().assign(seed=seed)
            cached = pd.concat([cached, rows]) if len(cached) else rows
            write_parquet(cached, out, {"machine": machine(), "batch_size": str(BATCH_SIZE)})
    return known.loc[keys].astype(float)


def _taus(scores: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Of every score, of AZ-NAS's aggregate and of that of all scores, with both accuracies on CIFAR-10."""
    table = load_table("nasbench201").frame.loc[scores.index]
    aggregates = {
        "az_nas": rank_aggregate(scores, AZ_NAS),
        "every score together": rank_aggregate(scores, [str(name) for name in scores.columns]),
    }
    complete = scores.assign(**aggregates)
    return {
        column: {
            name: _round(kendalltau(_filled(complete[name]), table[column]).statistic) for name in complete.columns
        }
        for column in ("accuracy@cifar10", "test_accuracy@cifar10")
        if column in table
    }


def _taus_of(functions: Path) -> dict[str, Any]:
    """The same for every cell whose function is in a file; of a part of all functions, drawn at random, a sample."""
    space = get_space("nasbench201")
    of_function = {arch.key: space.canonical(arch).key for arch in space.enumerate()}
    scores = pd.read_parquet(functions).set_index("key")
    computed = {key: function for key, function in of_function.items() if function in scores.index}
    scores = scores.loc[list(computed.values())].set_axis(list(computed))
    task = get_task("cifar10")
    # Cells that compute the same function need not cost the same.
    costs = pd.DataFrame([space.costs(space.parse(key), task) for key in scores.index], index=scores.index)
    return {"cells": len(scores), "functions": len(set(computed.values())), **_taus(scores.assign(**costs))}


def _seconds(keys: list[str]) -> dict[str, float]:
    """The median over some cells of what every score takes by itself."""
    space, task = get_space("nasbench201"), get_task("cifar10")
    batch = ProxyBatch.from_task(task, BATCH_SIZE)
    taken: dict[str, list[float]] = {name: [] for name in PROXIES.list()}
    for key in keys:
        network = space.build(space.parse(key), task)
        for name, seconds in taken.items():
            start = time.perf_counter()
            PROXIES.get(name)(network, batch)
            seconds.append(time.perf_counter() - start)
    return {name: _round(float(np.median(seconds))) for name, seconds in taken.items()}


def _filled(scores: pd.Series) -> np.ndarray:
    """What is not defined ranks last; the published file marks it by -1e8."""
    return scores.fillna(-np.inf).to_numpy()


def _round(value: float) -> float:
    return round(float(value), 4)


if __name__ == "__main__":
    print(json.dumps({**auto_cli(proxies), "machine": machine()}, indent=2))
