"""Latency of devices that are unknown but for a few measurements."""

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
from bench_predictors_data import over_seeds, tell
from scipy.stats import spearmanr

from gennas.checkpoint import Checkpoint
from gennas.predictors import load_predictor
from gennas.predictors.basis import BasisFunctions
from gennas.predictors.bayesian_regression import fit_transfer, informative_rows
from gennas.predictors.quality import Z90
from gennas.search.prior_mean import chip
from gennas.spaces import get_space
from gennas.tables import load_table

Source = Literal["measured", "predicted"]
Choice = Literal["informative", "random"]
MEASURES = ("spearman", "relative_error", "median_relative_error", "coverage90")
KIND = "latency_ms@"


def latency(
    measured: Sequence[int] = (5, 10, 20),
    sources: Sequence[Source] = ("measured", "predicted"),
    choices: Sequence[Choice] = ("informative", "random"),
    candidates: int = 2000,
    checkpoint: str = "nasbench201",
    seeds: int = 10,
) -> dict[str, Any]:
    """Each of 18 devices in turn unknown, and its chip at other batch sizes too; tested on all cells not measured.

    A device is a mix of the others' known functions, which are either their measured log latencies (`measured`, where
    nothing can have seen the device: the clean number) or, as the product does it, what the shipped network predicts of
    them (`predicted`; this network was trained on all devices together, the unknown one among them).

    Args:
        measured: how many cells are measured on the unknown device.
        sources: of the known functions.
        choices: how these cells are chosen; `informative` as `gennas hardware choose` does.
        candidates: random cells among which they are.
        checkpoint: what predicts.
        seeds: of the candidates, from 0.
    """
    runs = unknown_devices(measured, sources, choices, candidates, checkpoint, seeds)
    results: dict[str, Any] = {}
    for source, choice, count in product(sources, choices, measured):
        part = runs[(runs["source"] == source) & (runs["choice"] == choice) & (runs["measured"] == count)]
        of_all = {measure: summary(part, measure) for measure in MEASURES}
        results.setdefault(source, {}).setdefault(choice, {})[str(count)] = of_all
    return {"candidates": candidates, "checkpoint": checkpoint, "known_functions": results}


def summary(runs: pd.DataFrame, measure: str) -> dict[str, Any]:
    """Of every seed the mean over devices, of every device the mean over seeds, and the extremes."""
    devices = runs.groupby("device")[measure].mean()
    return {
        **over_seeds(runs.groupby("seed")[measure].mean()),
        "devices": devices.round(4).to_dict(),
        "lowest_device": round(float(devices.min()), 4),
        "highest_device": round(float(devices.max()), 4),
        "lowest": round(float(runs[measure].min()), 4),
        "highest": round(float(runs[measure].max()), 4),
    }


def unknown_devices(
    measured: Sequence[int],
    sources: Sequence[Source],
    choices: Sequence[Choice],
    candidates: int,
    checkpoint: str,
    seeds: int,
) -> pd.DataFrame:
    """One row per source, choice, count, device and seed; see `latency`."""
    frame = load_table("nasbench201").frame
    frame = frame[[metric for metric in frame if str(metric).startswith(KIND)]].dropna(axis=1).rename(columns=_device)
    space, logs = get_space("nasbench201"), frame.apply(np.log)
    archs = [space.parse(key) for key in frame.index]
    constant = np.array([space.is_constant(arch) for arch in archs])
    rows = []
    for source in sources:
        if source == "measured":
            known = (logs - logs.mean()) / logs.std()
        else:
            predictor, _ = load_predictor(Checkpoint(checkpoint).folder)
            functions = BasisFunctions(predictor, space, "latency_ms")
            names = [_device(predictor.metrics[column]) for column in functions.columns.tolist()]
            known = pd.DataFrame(functions.of(archs), index=frame.index, columns=names)
        for device in map(str, frame):
            others = known[[name for name in known if chip(str(name)) != chip(device)]].to_numpy()
            for seed in range(seeds):
                pool = np.random.default_rng(seed).permutation(len(archs))[:candidates]
                informative = pool[informative_rows(others[pool], max(measured), constant[pool])]
                for choice in choices:
                    chosen = pool if choice == "random" else informative
                    for count in measured:
                        quality = _quality(others, logs[device].to_numpy(), chosen[:count])
                        told = {"source": source, "choice": choice, "measured": count, "device": device, "seed": seed}
                        rows.append({**told, **quality})
            tell(f"{device} from the others, {source}")
    return pd.DataFrame(rows)


def _quality(known: np.ndarray, logs: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """What a mix that saw some rows foretells of all others."""
    others = np.setdiff1d(np.arange(len(logs)), rows)
    # As of BasisFunctions.prior_means: like the average device, or else like one of them.
    count = known.shape[1]
    mix = fit_transfer(known[rows], logs[rows], np.vstack([np.full(count, 1 / count), np.eye(count)]))
    mean, std = mix.predict(known[others])
    error = mean - logs[others]
    relative = np.abs(np.expm1(error))
    rank, covered = spearmanr(mean, logs[others]).statistic, (np.abs(error) <= Z90 * std).mean()
    values = rank, relative.mean(), np.median(relative), covered
    return dict(zip(MEASURES, map(float, values), strict=True))


def _device(metric: str) -> str:
    return metric.removeprefix(KIND)
