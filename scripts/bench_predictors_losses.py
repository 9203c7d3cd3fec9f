"""Which loss ranks best, and what teaching adds: networks that saw few labels of NAS-Bench-201, as one JSON document.

GENNAS_DATA=... python scripts/bench_predictors_losses.py --labels 300 --seeds 3
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import machine

from gennas.predictors.labels import Labels
from gennas.predictors.quality import quality
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.training import fit_predictor
from gennas.spaces import get_space
from gennas.tables import load_table

_PLAIN = PredictorTraining(batch_size=128, members=1, few=0)
VARIANTS = {
    "likelihood": _PLAIN,
    "likelihood + 0.3 pairwise": replace(_PLAIN, ranking="pairwise"),
    "likelihood + 0.3 list_mle": replace(_PLAIN, ranking="list_mle"),
    "likelihood, taught": replace(_PLAIN, few=PredictorTraining().few),
}


def main(labels: int = 300, seeds: int = 3, steps: int = 1200) -> None:
    """Prints Kendall tau on cifar10 validation accuracy of all other cells, for every variant and seed.

    Args:
        labels: random cells that the networks, or what teaches them, learn from.
        seeds: of these cells and of the networks.
        steps: of training.
    """
    torch.set_num_threads(1)
    start, space = time.monotonic(), get_space("nasbench201")
    every = Labels.of(space, load_table("nasbench201"))
    column = every.metrics.index("accuracy@cifar10")
    known = Labels(("accuracy@cifar10",), every.graphs, every.values[:, [column]])
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for seed in range(seeds):
        rows, others = known.split(labels, seed)
        for name, training in VARIANTS.items():
            with TemporaryDirectory() as folder:
                asked = replace(training, steps=steps)
                predictor = fit_predictor(space, known, rows, asked, seed=seed, folder=Path(folder))
            found[name].append(quality(predictor, known, others)["accuracy@cifar10"]["kendall_tau"])
    document = {
        "labels": labels,
        "steps": steps,
        "kendall_tau": {name: {"mean": round(float(np.mean(taus)), 4), "seeds": taus} for name, taus in found.items()},
        "seconds": round(time.monotonic() - start),
        "machine": machine(),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    auto_cli(main)
