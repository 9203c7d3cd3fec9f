"""What predictors are worth, each question one JSON document.

    GENNAS_DATA=... python scripts/bench_predictors.py accuracy --proxies_nasbench201 runs/proxies/nasbench201.parquet
    GENNAS_DATA=... python scripts/bench_predictors.py latency | calibration | adaptation | units | masked | proxies
    GENNAS_DATA=... python scripts/bench_predictors.py held_out

Accuracy is validation accuracy where nothing else is said. `proxies` has options of its own: see `--help`.
"""

import json
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from bench_predictors_accuracy import accuracy
from bench_predictors_adaptation import adaptation
from bench_predictors_calibration import calibration
from bench_predictors_data import over_seeds, tell
from bench_predictors_latency import latency
from bench_predictors_proxies import proxies
from bench_predictors_units import units
from jsonargparse import auto_cli
from machine import machine

from gennas.checkpoint import Checkpoint
from gennas.graph import MASK, GraphBatch
from gennas.predictors import load_predictor
from gennas.predictors.labels import Labels
from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.training import few_label_training, held_out_quality
from gennas.spaces import Space, get_space
from gennas.tables import load_table


def masked(checkpoint: str = "nasbench201") -> dict[str, Any]:
    """R^2 of predictions on all 31,031 partly masked NAS-Bench-201 cells with the table's means over all completions.

    By mask level: how many slots are masked. Of the graph as it is (the single cell with six masked slots has no R^2),
    and, from the same graph, of each of its masked slots with each operation. No randomness, hence no seeds. What is
    predicted are normal scores by rank among all cells, as in training; equal values have equal scores.

    Args:
        checkpoint: whose predictor is tested, for all its metrics that the table knows of every cell.
    """
    predictor, _ = load_predictor(Checkpoint(checkpoint).folder)
    space, table = get_space("nasbench201"), load_table("nasbench201")
    metrics = [name for name in predictor.metrics if table.column(name).notna().all()]
    columns = [predictor.metrics.index(name) for name in metrics]
    means = _conditional_means(table.frame[metrics], space)
    graph_head: dict[str, dict[str, float | None]] = {name: {} for name in metrics}
    choice_head: dict[str, dict[str, float | None]] = {name: {} for name in metrics}
    slots = means.ndim - 1
    for level in range(1, slots + 1):
        states = np.argwhere((np.indices(means.shape[:-1]) == 5).sum(axis=0) == level)  # (g, 6), 5 where masked
        decisions = torch.from_numpy(np.argwhere(states == 5)[:, 1].reshape(-1, level))
        decided = GraphBatch.undecided_batch(space.template, len(states)).decide(
            torch.arange(slots).expand(len(states), -1), torch.from_numpy(np.where(states == 5, MASK, states + 1))
        )
        with torch.inference_mode():
            parts = [
                predictor.score_choices(decided[at], decisions[at])[0] for at in torch.arange(len(states)).split(1024)
            ]
        told = torch.cat(parts)[..., columns].double().numpy()  # (g, 1 + level * c, m)
        # Of the vocabulary's seven operations the first and last are those of input and output.
        choices = told[:, 1:].reshape(len(states), level, -1, len(metrics))[:, :, 1:6]
        made = np.repeat(states[:, None, None], level, axis=1).repeat(5, axis=2)  # (g, level, 5, 6)
        np.put_along_axis(made, decisions.numpy()[:, :, None, None], np.arange(5)[None, None, :, None], axis=3)
        for column, name in enumerate(metrics):
            truth = means[..., column]
            graph_head[name][str(level)] = _r2(truth[tuple(states.T)], told[:, 0, column])
            choice_head[name][str(level)] = _r2(truth[tuple(np.moveaxis(made, -1, 0))], choices[..., column])
        tell(f"{level} masked slots, {len(states)} cells")
    heads = {"graph_head": graph_head, "choice_head": choice_head}
    known = [r2 for head in heads.values() for levels in head.values() for r2 in levels.values() if r2 is not None]
    return {"checkpoint": checkpoint, "lowest": min(known), **heads}


def _conditional_means(frame: pd.DataFrame, space: Space) -> np.ndarray:
    """``(6, 6, 6, 6, 6, 6, m)`` mean normal scores over all completions; a slot's sixth state is masked."""
    cells = GraphBatch.from_archs([space.parse(key) for key in frame.index], space.template)
    means = np.full((5,) * 6 + (frame.shape[1],), np.nan)
    means[tuple(cells.choices().T.numpy() - 1)] = frame.apply(normal_scores)
    for slot in range(6):
        means = np.concatenate([means, means.mean(axis=slot, keepdims=True)], axis=slot)
    return means


def _r2(truth: np.ndarray, told: np.ndarray) -> float | None:
    spread = np.square(truth - truth.mean()).sum()
    return round(float(1 - np.square(truth - told).sum() / spread), 4) if truth.size > 1 else None


def held_out(table: str = "nasbench201", labels: int = 1000, seeds: int = 3) -> dict[str, Any]:
    """Quality of predictors as `gennas pretrain` tests them; seed 0 is the one on a checkpoint's card.

    Args:
        table: whose metrics.
        labels: random archs that a predictor learns from, and is calibrated on; it is tested on all others.
        seeds: of archs and training, from 0.
    """
    the_table = load_table(table)
    space = get_space(the_table.space)
    known = Labels.of(space, the_table)
    runs = []
    for seed in range(seeds):
        runs.append(held_out_quality(space, known, few_label_training(PredictorTraining()), labels, seed))
        tell(f"seed {seed}")
    measures = ("kendall_tau", "spearman", "coverage90")
    metrics = {
        name: {measure: over_seeds(run[name][measure] for run in runs) for measure in measures}
        for name in known.metrics
    }
    return {"table": table, "labels": labels, "metrics": metrics}


if __name__ == "__main__":
    torch.set_num_threads(1)
    start = time.monotonic()
    answer = auto_cli([accuracy, proxies, latency, calibration, adaptation, units, masked, held_out])
    seconds = round(time.monotonic() - start)
    print(json.dumps({**answer, "seconds": seconds, "machine": machine()}, indent=2))
