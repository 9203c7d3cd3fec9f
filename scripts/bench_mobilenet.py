"""Once-for-all MobileNetV3 against its published numbers: costs, and accuracies predicted from few labels.

    GENNAS_DATA=... python scripts/bench_mobilenet.py costs
    GENNAS_DATA=... python scripts/bench_mobilenet.py accuracy --counts [100,400] --seeds 3

``costs`` compares parameters and multiply-adds with all rows of the file. ``accuracy`` trains predictors on some of the
table's archs and tests them on all others: Kendall tau, and the root mean square error in percentage points; beside
them kernel ridge regression on one-hot choices, its settings chosen by cross-validation on the training archs, and
multiply-adds alone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from jsonargparse import CLI
from machine import machine
from scipy.stats import kendalltau
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV

from gennas.predictors.labels import Labels
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.training import decided, fit_predictor
from gennas.spaces import get_space
from gennas.tables import Table, load_table
from gennas.tables.mobilenet_v3 import ACCURACIES, ACCURACY
from gennas.tasks import get_task

SPACE, IMAGENET = get_space("mobilenet_v3"), get_task("imagenet")
RIDGE = {"alpha": [1e-4, 1e-3, 1e-2, 1e-1], "gamma": [0.003, 0.01, 0.03, 0.1]}


def costs() -> None:
    """Compares the costs of all rows of the published table."""
    rows = pd.read_parquet(Path(os.environ["GENNAS_DATA"], ACCURACIES))
    off = np.zeros((len(rows), 2))
    published = rows[["params", "macs"]].to_numpy(dtype=float)
    for number, text in enumerate(rows["ks"] + "/" + rows["e"] + "/" + rows["d"]):
        found = SPACE.costs(SPACE.parse(text), IMAGENET)
        off[number] = np.array([found["params_m"], found["macs_m"]]) * 1e6 - published[number]
    equal = (np.abs(off) < 0.5).all(axis=1).sum()
    print(
        f"{equal} of {len(rows)} rows have the published parameters and multiply-adds; largest difference {off.max()}"
    )


def accuracy(counts: list[int] = [100, 400], seeds: int = 3, first: int = 0) -> None:  # noqa: B006
    """Trains predictors on few of the table's archs, and tests them on the others.

    Args:
        counts: numbers of labels.
        seeds: draws of the labels.
        first: seed of the first.
    """
    torch.set_num_threads(1)
    table = load_table("mobilenet_v3")
    part = Table(table.name, table.space, table.frame[[ACCURACY]].dropna(), {}, (), table.noise)
    labels = Labels.of(SPACE, part)
    truth, ops = labels.values[:, 0], labels.graphs.ops.numpy()
    one_hot = np.eye(len(SPACE.template.vocabulary))[ops].reshape(len(ops), -1)
    macs = np.array([SPACE.costs(arch, IMAGENET)["macs_m"] for arch in decided(labels.graphs, SPACE)])
    print(f"{machine()}; {len(truth)} archs, {seeds} draws of labels, seeds from {first}")
    for count in counts:
        rows = []
        for seed in range(first, first + seeds):
            order = np.random.default_rng(seed).permutation(len(truth))
            known, others = order[:count], order[count:]
            start = time.perf_counter()
            with TemporaryDirectory() as folder:
                training = PredictorTraining()
                predictor = fit_predictor(SPACE, labels, known, training, seed=seed, folder=Path(folder))
            seconds = time.perf_counter() - start
            predicted = predictor.predict(labels.graphs[torch.from_numpy(others)])[0][:, 0].numpy()
            # Centred labels, as the regression has no constant.
            middle, scale = truth[known].mean(), truth[known].std()
            ridge = GridSearchCV(KernelRidge(kernel="rbf"), RIDGE, cv=5)
            ridge.fit(one_hot[known], (truth[known] - middle) / scale)
            plain = ridge.predict(one_hot[others]) * scale + middle
            row = {"seconds": seconds}
            for name, values in (("predictor", predicted), ("kernel ridge", plain), ("multiply-adds", macs[others])):
                row[f"{name} tau"] = float(kendalltau(values, truth[others]).statistic)
                if name != "multiply-adds":
                    row[f"{name} RMSE"] = 100 * float(np.sqrt(np.square(values - truth[others]).mean()))
            rows.append(row)
        frame = pd.DataFrame(rows)
        words = [f"{name} {frame[name].mean():.3f} +- {frame[name].std():.3f}" for name in frame if name != "seconds"]
        print(f"{count} labels: {', '.join(words)}; {frame['seconds'].mean():.0f} s", flush=True)


if __name__ == "__main__":
    CLI([costs, accuracy])
