"""Validation accuracy read from a training's running batch norm statistics, and from statistics made anew.

    python scripts/bench_batch_norm.py

Cells of NAS-Bench-101 on digits of 16x16 pixels, with torch's momentum and the published one. Prints a Markdown table:
mean and standard deviation over cells and seeds.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import cpu_model
from torch import nn

from gennas.evaluators.train import TrainEvaluator, silent
from gennas.spaces.nasbench101.space import NasBench101
from gennas.tasks import Split, get_task
from gennas.training import fitting
from gennas.training.batch_norm import SETTLING_BATCH, settle_batch_norm
from gennas.training.batches import Normalisation
from gennas.training.quality import accuracy
from gennas.training.recipe import Recipe


def main(
    epochs: Sequence[int] = (1, 3, 10), momenta: Sequence[float] = (0.1, 0.003), cells: int = 3, seeds: int = 2
) -> None:
    """Trains and prints.

    Args:
        epochs: lengths of the trainings.
        momenta: of all batch norms.
        cells: random ones.
        seeds: trainings of each.
    """
    torch.set_num_threads(1)
    task = get_task("digits", image_size=16)
    val = task.splits().val
    unsettled: list[float] = []

    def recording(
        network: nn.Module, train: Split, normalise: Normalisation, seed: int, batch_size: int = SETTLING_BATCH
    ) -> None:
        unsettled.append(accuracy(network, val, normalise))
        settle_batch_norm(network, train, normalise, seed, batch_size)

    fitting.settle_batch_norm = recording
    print(f"{cells} cells, {seeds} seeds, one thread of {cpu_model()}, torch {torch.__version__}\n")
    print("| momentum | epochs | running averages | made anew |\n| --- | --- | --- | --- |")
    for momentum, length in product(momenta, epochs):
        WithMomentum.momentum = momentum
        space = WithMomentum(channels=16, stacks=2, modules=1)
        rng = np.random.default_rng(0)
        archs = [space.sample(rng) for _ in range(cells)]
        unsettled.clear()
        settled = []
        for arch, seed in product(archs, range(seeds)):
            with TemporaryDirectory() as folder:
                evaluator = TrainEvaluator(space, Recipe(epochs=length), Path(folder), silent)
                settled.append(evaluator.evaluate(arch, task=task, seed=seed)["accuracy@digits"])
        parts = [f"{np.mean(found):.3f} ± {np.std(found):.3f}" for found in (unsettled, settled)]
        print(f"| {momentum} | {length} | {parts[0]} | {parts[1]} |", flush=True)


class WithMomentum(NasBench101):
    """NAS-Bench-101 with the same momentum in all batch norms."""

    momentum = 0.1

    def build(self, arch, task):  # type: ignore[no-untyped-def]
        network = super().build(arch, task)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = type(self).momentum
        return network


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
