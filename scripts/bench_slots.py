"""How guided sampling grows with the slots of a template: seconds and memory, from 25 to 200 layers.

    python scripts/bench_slots.py

A chain of layers with six widths each, whose costs are sums of terms of two neighbours. Nothing is trained: uniform
choices are exact. Draws are guided by a bound on multiply-adds and by a fitted sum. A slope of 2 between two sizes is
time in proportion to the square of the slots.
"""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import machine
from torch import nn

from gennas.checkpoint import generator_for
from gennas.diffusion.additive import AdditiveFit, frequencies
from gennas.diffusion.guides.additive import AdditiveGuide
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.spaces import Choice, PartsSpace, Stage
from gennas.tasks import Task

TASK = Task("small", (3, 16, 16), 10)


class Chain(PartsSpace):
    """Convolutions of six widths."""

    name = "chain_of_widths"
    layers = 25

    def body(self) -> Iterator[Stage]:
        yield Stage(Choice("width", (4, 6, 8, 10, 12, 16)).per_block(), depth=self.layers)

    def stem(self, task: Task) -> tuple[nn.Module, int]:
        return nn.Conv2d(task.channels, 4, 1), 4

    def block(self, channels_in: int, channels: int, stride: int) -> nn.Module:
        return nn.Conv2d(channels_in, channels, 3, stride, 1)

    def head(self, channels: int, task: Task) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, task.classes))


def main(sizes: tuple[int, ...] = (25, 50, 100, 200), graphs: int = 256, repeats: int = 3) -> None:
    """Prints a row per number of layers.

    Args:
        sizes: numbers of layers.
        graphs: drawn at once.
        repeats: of which the fastest counts.
    """
    print(f"{graphs} graphs at once, fastest of {repeats}; {machine()}")
    print("| layers | seconds | slope | peak MB without torch's |")
    print("| --- | --- | --- | --- |")
    before: tuple[int, float] | None = None
    for size in sizes:
        space_class = type(f"Chain{size}", (Chain,), {"layers": size, "name": f"chain_of_{size}"})
        space = space_class()
        rng = np.random.default_rng(0)
        archs = [space.sample(rng) for _ in range(300)]
        costs = CostModel(space, TASK, Metric.parse("macs_m"))
        known = costs.of_graphs(GraphBatch.from_archs(archs, space.template))
        bound = CostConstraintGuide(costs, Constraint.parse(f"macs_m <= {float(known.quantile(0.2))}"))
        choices = GraphBatch.from_archs(archs, space.template).choices()
        fit = AdditiveFit.of(space.template, choices, known[:, None])
        guide = AdditiveGuide(fit, torch.ones(graphs, 1), None, frequencies(space))
        generator, blank = generator_for(space, None), GraphBatch.undecided_batch(space.template, graphs)
        seconds = math.inf
        tracemalloc.start()
        for repeat in range(repeats):
            start = time.perf_counter()
            generator.filled(blank, [bound, guide], torch.Generator().manual_seed(repeat))
            seconds = min(seconds, time.perf_counter() - start)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        slope = "" if before is None else f"{math.log(seconds / before[1]) / math.log(size / before[0]):.2f}"
        print(f"| {size} | {seconds:.2f} | {slope} | {peak:.1f} |", flush=True)
        before = size, seconds


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
