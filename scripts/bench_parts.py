"""Whether spaces that are composed of parts are as fast as those written by hand: NAS-Bench-201, both ways.

    python scripts/bench_parts.py --runs 20

Timed in turns, in one process: guided sampling under a bound on a cost, with the shipped generator and predictor, whose
template both spaces share, which must give the same archs; and a search of the shipped table by a Gaussian process on
features. Printed are medians with quartiles, in seconds, and the median of the ratios of pairs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import machine

from gennas.benchmarks.simulation import simulate
from gennas.checkpoint import Checkpoint
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel
from gennas.diffusion.guides.predicted import ObjectiveGuide, ScoreSource
from gennas.metrics import Constraint, Metric
from gennas.problem import Problem
from gennas.search.policies.gaussian_process import GaussianProcess
from gennas.spaces import Space
from gennas.spaces.nasbench201.space import NasBench201
from gennas.tables import load_table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from nasbench201_parts import NasBench201Again  # type: ignore[import-not-found]  # a test module


def sampled(space: Space) -> list[str]:
    """Keys of guided samples."""
    checkpoint = Checkpoint("nasbench201")
    generator = Generator(space, checkpoint.generator().denoiser)
    metric, bound = Metric.parse("accuracy@cifar10"), Constraint.parse("params_m <= 0.6")
    problem = Problem(space, "cifar10")
    guides = [
        ObjectiveGuide(ScoreSource(checkpoint.predictor, {metric.name: [metric.name]}), metric, 3.0),
        CostConstraintGuide(CostModel(space, problem.task, bound.metric), bound),
    ]
    return [arch.key for arch in generator.sample(2048, guides=guides, seed=0).archs]


def searched(space: Space) -> list[str]:
    """Keys of a search's queries."""
    problem = Problem(space, "cifar10")
    values = load_table("nasbench201").columns(["accuracy@cifar10"])
    return simulate(problem, GaussianProcess(problem), values, budget=40, batch=5, seed=0).keys


def timed(function: Callable[[Space], list[str]], space: Space) -> tuple[float, list[str]]:
    """Seconds, and what came out."""
    start = time.perf_counter()
    found = function(space)
    return time.perf_counter() - start, found


def main(runs: int = 20) -> None:
    """Prints a row per task.

    Args:
        runs: pairs of runs.
    """
    torch.set_num_threads(1)
    print(f"{runs} pairs; {machine()}\n\n| task | by hand | of parts | parts / hand |\n| --- | --- | --- | --- |")
    for name, function in (("2,048 guided samples", sampled), ("search of 40 queries", searched)):
        spaces: tuple[Space, Space] = (NasBench201(), NasBench201Again())
        found = [function(space) for space in spaces]
        # Random archs are drawn in another way, so searches differ.
        assert function is searched or found[0] == found[1]
        seconds = np.zeros((runs, 2))
        for run in range(runs):
            for row in (0, 1) if run % 2 else (1, 0):
                seconds[run, row], _ = timed(function, spaces[row])
        low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75), axis=0)
        cells = [f"{middle[row]:.3f} [{low[row]:.3f}, {high[row]:.3f}]" for row in (0, 1)]
        print(f"| {name} | {' | '.join(cells)} | {np.median(seconds[:, 1] / seconds[:, 0]):.3f} |")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
