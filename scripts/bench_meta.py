"""What the task encoder is worth on tasks of kinds never seen: the held-out tiny tasks.

    python scripts/bench_meta.py run --trained datasets/tiny-tasks/trained.parquet \\
        --encodings datasets/tiny-tasks/encodings.parquet --out runs/meta
    python scripts/bench_meta.py page --out runs/meta --page docs/benchmarks/meta.md

Nothing is chosen here: settings and facts are those of the checkpoint, which leaving out kinds of training tasks chose.
Every method is fitted to the training tasks, and evaluated on the same archs of a held-out task. Everything that is
finished is kept; repeating the command goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jsonargparse import auto_cli
from machine import machine
from meta_methods import METHODS, Methods
from meta_page import CALIBRATED, page_of
from meta_selection import folds, width_of
from meta_tasks import TinyTables, tiny_space
from scipy.special import expit
from scipy.stats import kendalltau, rankdata

from gennas.files import write_json, write_text
from gennas.predictors.meta.forecast import logit
from gennas.predictors.meta.stored import StoredMeta
from gennas.predictors.quality import Z90
from gennas.proxies.scoring import proxy_scores
from gennas.tasks import get_task

EVALUATIONS, SEEDS = (0, 2, 5, 10, 30), 10
#: Archs predicted to be best, at most and as a share of all; and archs that have to be left to rank.
BEST, SHARE, FEWEST = 20, 0.25, 6
PROXIES = ("params_m", "naswot", "synflow")


def run(
    trained: Path,
    encodings: Path,
    out: Path,
    checkpoint: Path = Path("checkpoints/nasbench201"),
    proxy_archs: int = 100,
) -> None:
    """Evaluates every method on the held-out tasks.

    Args:
        trained: Parquet file of trainings.
        encodings: Parquet file of encodings.
        out: folder of the results.
        checkpoint: with the part ``meta``.
        proxy_archs: how many archs of each task have training-free scores.
    """
    tables = TinyTables.read(trained, encodings, held_out=True)
    stored = StoredMeta.find(checkpoint)
    if stored is None:
        raise SystemExit(f"{checkpoint} has no part meta; make it with scripts/pretrain_meta.py")
    training = tables.names(held_out=False)
    ranks, intervals = [], []
    for known, others in [(training, tables.names(held_out=True)), *folds(training)]:
        methods = Methods.fit(tables, stored, known)
        for name in others:
            for task in _evaluated(tables, methods, name):
                where = {"set": "left out" if name in training else "held out", "task": name}
                ranks += [where | row for row in task.ranks]
                intervals.append(where | task.interval)
            print(name, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(ranks).to_parquet(out / "ranks.parquet")
    pd.DataFrame(intervals).to_parquet(out / "intervals.parquet")
    write_json(
        out / "facts.json",
        {
            "machine": machine(),
            "training": len(training),
            "cells": len({key for table in tables.accuracy.values() for key in table.index}),
            "trained": sum(len(tables.accuracy[name]) for name in training),
            "archs": {name: len(tables.accuracy[name]) for name in tables.names(held_out=True)},
            "ceilings": {name: ceiling_of(tables.accuracy[name]) for name in tables.names(held_out=True)},
            "left_out": json.loads((checkpoint / "meta" / "metrics.json").read_text()),
        },
    )
    if proxy_archs:
        _proxies(tables, out / "proxies.parquet", proxy_archs)


def page(out: Path, page: Path) -> None:
    """Writes the page.

    Args:
        out: folder of the results.
        page: Markdown file.
    """
    write_text(page, page_of(out))


@dataclass(frozen=True)
class Evaluated:
    """What is found on a task after some evaluations.

    Attributes:
        ranks: a row per method.
        interval: of the meta-predictor's 90 % intervals.
    """

    ranks: list[dict[str, Any]]
    interval: dict[str, Any]


def _evaluated(tables: TinyTables, methods: Methods, name: str) -> Iterator[Evaluated]:
    table = tables.accuracy[name]
    values, functions = table.mean(axis=1).to_numpy(), tables.functions(table.index)
    single = tables.single(name)
    calibrated, own = tables.calibrated(name, methods.forecast(name))
    others = np.setdiff1d(np.arange(len(values)), own)
    later = calibrated.logits_at(functions[others])
    yield Evaluated([], {"evaluations": CALIBRATED, "seed": 0, **interval_of(*later, single[others], values[others])})
    for seed, count in product(range(SEEDS), EVALUATIONS):
        if len(values) - count < FEWEST or (seed and not count):
            continue
        few, rest = np.split(np.random.default_rng(seed).permutation(len(values)), [count])
        draw = {"evaluations": count, "seed": seed}
        ranks = []
        for method in METHODS:
            scores = methods.scores(method, name, functions, few, values[few])[rest]
            ranks.append({**draw, "method": method, **quality_of(scores, values[rest])})
        mean, std = methods.forecast(name).updated_at(functions[few], values[few]).logits_at(functions[rest])
        yield Evaluated(ranks, draw | interval_of(mean, std, single[rest], values[rest]))


def interval_of(mean: np.ndarray, std: np.ndarray, single: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """How good 90 % intervals of accuracies are.

    Args:
        mean: ``(n,)`` of the logits.
        std: ``(n,)`` likewise.
        single: ``(n,)`` accuracies of single trainings.
        values: ``(n,)`` accuracies, means over seeds where there are several.
    """
    return {
        "coverage": float(np.mean(np.abs(logit(single) - mean) <= Z90 * std)),
        "width": width_of(mean, std),
        "error": float(np.mean(np.abs(expit(mean) - values))),
        "tau": float(kendalltau(mean, values).statistic),
    }


def quality_of(scores: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """Kendall's tau, and the mean true percentile of the archs with the best scores."""
    if np.ptp(scores) == 0:
        return {"tau": 0.0, "percentile": 50.0}
    best = np.argsort(scores, kind="stable")[::-1][: min(BEST, max(int(SHARE * len(values)), 1))]
    percentiles = 100 * (rankdata(values) - 0.5) / len(values)
    return {"tau": float(kendalltau(scores, values).statistic), "percentile": float(percentiles[best].mean())}


def ceiling_of(table: pd.DataFrame) -> float:
    """The tau that a predictor of the true means reaches on these, from two seeds (Greiner 1909, Spearman 1904)."""
    both = table.dropna()
    if table.shape[1] < 2 or len(both) < 5:
        return float("nan")
    rho = np.sin(np.pi / 2 * kendalltau(both.iloc[:, 0], both.iloc[:, 1]).statistic)
    return float(2 / np.pi * np.arcsin(np.sqrt(max(rho, 0.0))))


def _proxies(tables: TinyTables, path: Path, archs: int) -> None:
    """Tau of training-free scores, a row per task and score."""
    rows = [dict(row) for _, row in pd.read_parquet(path).iterrows()] if path.is_file() else []
    space = tiny_space()
    for name in tables.names(held_out=True):
        if any(row["task"] == name for row in rows):
            continue
        table = tables.accuracy[name].iloc[:archs]
        scores = proxy_scores(space, [space.parse(key) for key in table.index], get_task(name), PROXIES)
        for proxy in PROXIES:
            ranked = scores[proxy].fillna(scores[proxy].min()).to_numpy()
            rows.append({"task": name, "proxy": proxy} | quality_of(ranked, table.mean(axis=1).to_numpy()))
        pd.DataFrame(rows).to_parquet(path)
        print(f"training-free scores of {name}", flush=True)


if __name__ == "__main__":
    auto_cli([run, page], as_positional=False)
