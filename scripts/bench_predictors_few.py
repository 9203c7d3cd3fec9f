"""What a predictor of few labels ranks, and how long its training takes: the teacher, and what is distilled from it.

Prints a line per space and number of labels: Kendall tau on archs without a label, mean and standard deviation over
draws of the labels, and seconds of one thread. The chain is made up: eight layers of three widths, whose accuracy grows
with the logarithms of the widths and suffers from every change between neighbours.

    python scripts/bench_predictors_few.py --seeds 3
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from unittest import mock

import numpy as np
import pandas as pd
import torch
from jsonargparse import CLI
from machine import machine
from scipy.stats import kendalltau
from torch import nn

from gennas.arch import Arch, PartialArch
from gennas.predictors import training as module
from gennas.predictors.labels import Labels
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.training import fit_predictor
from gennas.spaces import SPACES, Space, get_space
from gennas.spaces.template import FIXED, Template
from gennas.tables import Table, load_table
from gennas.tasks import Task

WIDTHS, LAYERS = (16.0, 24.0, 32.0), 8
#: Archs without a label on which the ranking is tested.
TESTED = 4000


@SPACES.register("width_chain")
@dataclass(frozen=True)
class WidthChain(Space):
    """Eight layers of three widths."""

    name = "width_chain"
    size = 3**LAYERS
    template = Template(
        tuple(f"layer{i}" for i in range(LAYERS)),
        tuple(str(int(width)) for width in WIDTHS),
        np.ones((LAYERS, 3), bool),
        FIXED * np.eye(LAYERS, k=1, dtype=np.int8),
        np.tile(WIDTHS, (LAYERS, 1)),
    )

    def key(self, ops, edges):  # type: ignore[no-untyped-def]
        return "-".join(ops)

    def read(self, key: str) -> PartialArch:
        return PartialArch(self.name, tuple(key.split("-")), self.template.fixed_edges)

    def canonical(self, arch: Arch) -> Arch:
        return arch

    def enumerate(self):  # type: ignore[no-untyped-def]
        return map(self.arch, product(*self.template.operations))

    def slot_costs(self, task: Task) -> dict[str, tuple[float, np.ndarray]]:
        squares = np.tile(np.square(WIDTHS), (LAYERS, 1))
        return {"params_m": (0.01, 9e-6 * squares), "macs_m": (0.1, 9e-3 * squares)}

    def build(self, arch: Arch, task: Task) -> nn.Module:
        raise NotImplementedError


def chain_table() -> Table:
    """All archs of the chain with a made-up accuracy."""
    rng = np.random.default_rng(8)
    archs = list(WidthChain().enumerate())
    widths = np.log([[float(op) for op in arch.ops] for arch in archs])
    weight = rng.uniform(0.2, 1.8, LAYERS)
    accuracy = 0.9 - 0.5 * np.exp(-(widths * weight).sum(1) / weight.sum() / 2)
    accuracy -= 0.02 * np.abs(np.diff(widths, axis=1)).sum(1) + rng.normal(0, 0.003, len(archs))
    index = pd.Index([arch.key for arch in archs], name="key")
    return Table("width_chain", "width_chain", pd.DataFrame({"accuracy@mine": accuracy}, index=index), {}, ())


def labels_of(name: str) -> tuple[Space, Labels]:
    if name == "width_chain":
        return WidthChain(), Labels.of(WidthChain(), chain_table())
    table, space = load_table(name), get_space(name)
    part = Table(name, name, table.frame[["accuracy@cifar10"]].dropna(), {}, ())
    return space, Labels.of(space, part)


def measured(space: Space, labels: Labels, count: int, kind: Literal["mlp", "gnn"], seed: int) -> dict[str, float]:
    """Kendall tau of the teacher's targets and of the predictor, and seconds of the whole training."""
    order = np.random.default_rng(seed).permutation(len(labels.values))
    rows, others = order[:count], order[count:][:TESTED]
    taught = {}
    original = module.distillation_targets

    def noted(*args, **options):  # type: ignore[no-untyped-def]
        taught["targets"] = original(*args, **options)
        return taught["targets"]

    start = time.perf_counter()
    # Without the limit for few labels, a graph network is distilled.
    limit = module.QUICK_LABELS if kind == "mlp" else 0
    with (
        mock.patch.object(module, "distillation_targets", noted),
        mock.patch.object(module, "QUICK_LABELS", limit),
        TemporaryDirectory() as folder,
    ):
        settings = PredictorTraining() if kind == "mlp" else module.few_label_training(PredictorTraining())
        predictor = fit_predictor(space, labels, rows, replace(settings), seed=seed, folder=Path(folder))
    seconds = time.perf_counter() - start
    predicted = predictor.predict(labels.graphs[torch.from_numpy(others)])[0][:, 0].numpy()
    targets = taught["targets"]
    known = {
        choices.tobytes(): float(mean)
        for choices, mean in zip(targets.graphs.choices().numpy(), targets.mean[:, 0], strict=True)
    }
    asked = labels.graphs[torch.from_numpy(others)].choices().numpy()
    teacher = np.array([known.get(row.tobytes(), np.nan) for row in asked])
    seen = ~np.isnan(teacher)
    truth = labels.values[others, 0]
    return {
        "teacher": float(kendalltau(teacher[seen], truth[seen]).statistic),
        kind: float(kendalltau(predicted, truth).statistic),
        "seconds": seconds,
    }


def main(
    spaces: list[str] = ["width_chain", "nasbench201"],  # noqa: B006
    counts: list[int] = [50, 100, 200],  # noqa: B006
    kinds: list[Literal["mlp", "gnn"]] = ["mlp"],  # noqa: B006
    seeds: int = 3,
) -> None:
    """Prints what is measured.

    Args:
        spaces: width_chain, or one with a table.
        counts: numbers of labels.
        kinds: of networks that are distilled.
        seeds: draws of the labels.
    """
    torch.set_num_threads(1)
    print(f"{machine()}; {seeds} draws of labels, seeds from 0; tau on up to {TESTED} archs without a label")
    for name in spaces:
        space, labels = labels_of(name)
        for count, kind in product(counts, kinds):
            runs = pd.DataFrame([measured(space, labels, count, kind, seed) for seed in range(seeds)])
            columns = [
                f"{column} {runs[column].mean():.3f} +- {runs[column].std():.3f}" for column in ("teacher", kind)
            ]
            print(f"{name}, {count} labels: {', '.join(columns)}; {runs['seconds'].mean():.0f} s", flush=True)


if __name__ == "__main__":
    CLI(main)
