"""Latency of an unknown device from ten chosen measurements, on three tables, all settings of its chip unknown.

    python scripts/bench_latency_devices.py --tables "[nasbench201, fbnet, mobilenet_v3]" --seeds 5

Every device setting in turn is unknown, and with it all settings of the same chip. Ten of 2,000 random archs of the
table are measured on it, chosen as `gennas hardware choose` does, before anything is known of the device; Spearman's
rank correlation is that over all archs that were not measured. Nothing is tuned: the constants are those of the
product, and the same for all tables.

Known devices are functions of archs: either their measured latencies, or what an additive model predicts that is fitted
to these (`fitted`; ridge regression on the decisions, counts of operations and costs of the canonical archs). The
product does the latter with the checkpoint's network, which is better on cells and much slower to train for every chip
left out.

`most` is no method but a yardstick: the same additive model with the known devices, fitted to the unknown device's own
latencies of four fifths of the table, and tested on the others. Where it is far below 1, latencies are noisy.
"""

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from jsonargparse import auto_cli
from machine import machine
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from gennas.predictors.bayesian_regression import fit_transfer, informative_rows
from gennas.predictors.quality import Z90
from gennas.predictors.slot_features import SlotFeatures
from gennas.search.prior_mean import chip
from gennas.spaces import registered_space
from gennas.tables import load_table
from gennas.tasks import get_task

KIND = "latency_ms@"
#: The task that sizes the networks of a table.
TASK = {"nasbench201": "cifar10", "fbnet": "imagenet", "mobilenet_v3": "imagenet"}
#: Strengths of ridge regression, chosen by generalised cross-validation on the rows that are fitted.
ALPHAS = np.logspace(-1, 3, 9)
METHODS = ("macs", "mean rank", "lookup", "average, measured", "now, measured", "average, fitted", "now, fitted")


class Known:
    """A table's latencies, and what is told of its archs for nothing.

    Attributes:
        logs: ``(N, devices)`` logarithms of latencies.
        features: ``(N, f)`` decisions, counts of operations, and costs with their logarithms, standardised.
        macs: ``(N,)`` multiply-adds.
        constant: ``(N,)`` whether an arch ignores its input.
        fitted: ``(N, devices)`` what an additive model of each device predicts.
    """

    def __init__(self, name: str) -> None:
        frame = load_table(name).frame
        names = [column for column in map(str, frame) if column.startswith(KIND) and column != f"{KIND}cpu"]
        frame, space, task = frame[names].dropna(), registered_space(name), get_task(TASK[name])
        archs = [space.parse(key) for key in frame.index]
        self.logs = frame.rename(columns=lambda column: column.removeprefix(KIND)).apply(np.log)
        costs = np.array([list(space.costs(arch, task).values()) for arch in archs])
        ops, _ = space.arrays(canonical := [space.canonical(arch) for arch in archs])
        counts = np.stack([(ops == op).sum(1) for op in range(len(space.template.vocabulary))], axis=1)
        parts = [SlotFeatures(space).of(canonical).values, counts, costs, np.log(np.maximum(costs, 1e-3))]
        self.features = _standardised(np.hstack(parts))
        self.macs = np.array([space.costs(arch, task)["macs_m"] for arch in archs])
        self.constant = np.array([space.is_constant(arch) for arch in archs])
        self.fitted = RidgeCV(ALPHAS).fit(self.features, self.logs).predict(self.features)


def devices(
    tables: tuple[str, ...] = ("nasbench201", "fbnet", "mobilenet_v3"),
    measured: int = 10,
    candidates: int = 2000,
    seeds: int = 5,
) -> dict[str, Any]:
    """Spearman of every method, by table; see above.

    Args:
        tables: which; their files lie in GENNAS_DATA.
        measured: archs that are measured on the unknown device.
        candidates: random archs of the table among which they are chosen.
        seeds: of the candidates, from 0.
    """
    results: dict[str, Any] = {}
    for table in tables:
        known, rows = Known(table), []
        for at, device in enumerate(known.logs):
            most = _most(known, at)
            for seed in range(seeds):
                found = _unknown(known, at, measured, candidates, seed)
                rows.append({"device": device, "seed": seed, **found, "most": most})
        frame = pd.DataFrame(rows)
        by_device = frame.drop(columns="seed").groupby("device", sort=False).mean()
        by_seed = frame.drop(columns="device").groupby("seed").mean()
        results[table] = {
            "mean": by_device.mean().round(4).to_dict(),
            "std_over_seeds": by_seed.std().round(4).to_dict(),
            "devices": {name: row.round(3).to_dict() for name, row in by_device.iterrows()},
        }
        print(f"{table}\n{by_device.round(3).to_string()}\n{by_device.mean().round(4)}", file=sys.stderr, flush=True)
    return results


def _unknown(known: Known, at: int, measured: int, candidates: int, seed: int) -> dict[str, float]:
    """Spearman of every method on one device, and how many latencies its 90 % intervals cover."""
    names, logs = list(map(str, known.logs)), known.logs.to_numpy()
    others = [row for row, name in enumerate(names) if chip(name) != chip(names[at])]
    pool = np.random.default_rng(seed).permutation(len(logs))[:candidates]
    target, average = logs[:, at], np.full(len(others), 1 / len(others))
    several = np.vstack([average, np.eye(len(others))])
    ranks = known.logs.rank().to_numpy()[:, others].mean(1)
    found = {"macs": _rank(known.macs, target), "mean rank": _rank(ranks, target)}
    for source, values in (("measured", logs), ("fitted", known.fitted)):
        basis = _standardised(values[:, others])
        rows = pool[informative_rows(basis[pool], measured, known.constant[pool])]
        rest = np.setdiff1d(np.arange(len(logs)), rows)
        for name, prior in (("average", average), ("now", several)):
            mean, std = fit_transfer(basis[rows], target[rows], prior).predict(basis[rest])
            found[f"{name}, {source}"] = _rank(mean, target[rest])
            if name == "now":
                found[f"covered, {source}"] = float((np.abs(mean - target[rest]) <= Z90 * std).mean())
    lookup = RidgeCV(ALPHAS).fit(known.features[rows], target[rows])
    found["lookup"] = _rank(lookup.predict(known.features[rest]), target[rest])
    return {name: found[name] for name in (*METHODS, "covered, measured", "covered, fitted")}


def _most(known: Known, at: int) -> float:
    """Mean Spearman over five folds of a model that is fitted to the device itself."""
    names, logs = list(map(str, known.logs)), known.logs.to_numpy()
    others = [row for row, name in enumerate(names) if chip(name) != chip(names[at])]
    inputs = np.hstack([known.features, _standardised(logs[:, others])])
    folds = np.random.default_rng(0).permutation(len(logs)) % 5
    ranks = []
    for fold in range(5):
        fitted = RidgeCV(ALPHAS).fit(inputs[folds != fold], logs[folds != fold, at])
        ranks.append(_rank(fitted.predict(inputs[folds == fold]), logs[folds == fold, at]))
    return float(np.mean(ranks))


def _rank(predicted: np.ndarray, measured: np.ndarray) -> float:
    return float(spearmanr(predicted, measured).statistic)


def _standardised(values: np.ndarray) -> np.ndarray:
    """The columns that vary, with mean 0 and std 1."""
    std = values.std(axis=0)
    return (values - values.mean(axis=0))[:, std > 1e-9] / std[std > 1e-9]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    start = time.monotonic()
    answer = auto_cli(devices)
    print(json.dumps({**answer, "seconds": round(time.monotonic() - start), "machine": machine()}, indent=2))
