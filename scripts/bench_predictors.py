"""Held-out quality of predictors, as one JSON document.

    GENNAS_DATA=... python scripts/bench_predictors.py --labels 1000 --seeds 3

Trains a predictor on `labels` random archs of a table, a tenth of them kept for calibration, and tests it on all
others; seed 0 is the one on the card of the shipped checkpoint. Accuracy is validation accuracy.
"""

import json
import time

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import machine

from gennas.predictors.settings import PredictorTraining
from gennas.predictors.training import Labels, few_label_training, held_out_quality
from gennas.spaces import get_space
from gennas.tables import load_table


def main(table: str = "nasbench201", labels: int = 1000, seeds: int = 3) -> None:
    """Prints mean, standard deviation and every seed's value of each quality of each metric."""
    torch.set_num_threads(1)
    start = time.monotonic()
    the_table = load_table(table)
    space = get_space(the_table.space)
    known = Labels.of(space, the_table)
    runs = [
        held_out_quality(space, known, few_label_training(PredictorTraining()), labels, seed) for seed in range(seeds)
    ]
    metrics = {
        metric: {
            measure: {
                "mean": round(float(np.mean([run[metric][measure] for run in runs])), 4),
                "std": round(float(np.std([run[metric][measure] for run in runs], ddof=1)), 4) if seeds > 1 else None,
                "seeds": [run[metric][measure] for run in runs],
            }
            for measure in ("kendall_tau", "spearman", "coverage90")
        }
        for metric in known.metrics
    }
    devices = [name for name in known.metrics if name.startswith("latency_ms@")]
    latency = [float(np.mean([run[name]["spearman"] for run in runs])) for name in devices]
    document = {
        "table": table,
        "labels": labels,
        "seeds": seeds,
        "metrics": metrics,
        "latency_spearman": {"mean": round(float(np.mean(latency)), 4), "lowest": round(min(latency), 4)},
        "seconds": round(time.monotonic() - start),
        "machine": machine(),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    auto_cli(main)
