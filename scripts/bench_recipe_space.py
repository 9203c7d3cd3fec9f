"""Archs and recipes searched together, against either alone, at equal numbers of trainings.

    python scripts/bench_recipe_space.py --out runs/recipe_space --budget 12 --seeds 2

On ``digits``: ``joint`` searches archs of NAS-Bench-201 with a recipe each, ``archs`` the archs at the default recipe,
``recipes`` the recipes of one arch, a random one that convolves. What each finds best by its validation accuracy is
compared by its accuracy on the test images, which nothing is chosen by. Every search is a study, and resumes; a
Markdown table is printed.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import machine

from gennas.executors.inline import InlineExecutor
from gennas.problem import Problem
from gennas.search.policies.choice import PolicyChoice
from gennas.search.run import search_archs
from gennas.search.settings import Measuring
from gennas.spaces import JointSpace
from gennas.spaces.joint import Value
from gennas.spaces.subset import Subset
from gennas.tasks import get_task
from gennas.training.recipe import Recipe
from gennas.training.recipe_space import RecipeSpace
from gennas.training.repeats import interval_of

#: About the default recipe, which was selected on this very task for other cells.
OPTIONS: dict[str, list[Value]] = {
    "learning_rate": [0.0003, 0.001, 0.003, 0.01, 0.03],
    "weight_decay": [0.0, 0.05],
    "batch_size": [16, 32, 64],
    "augmentation": ["none", "shift"],
}


def one_arch(space: JointSpace, seed: int) -> Subset:
    """A random arch with every recipe; it has a convolution, so that it is no bad example of its space."""
    rng = np.random.default_rng(seed)
    arch = next(arch for arch in (space.arch_space.sample(rng) for _ in range(1000)) if "nor_conv" in arch.key)
    chosen = product(*space.options.values())
    return Subset(space, [space.joined(arch, dict(zip(space.options, one, strict=True))) for one in chosen])


def main(
    out: Path,
    budget: int = 12,
    seeds: int = 2,
    epochs: int = 3,
    skeleton: str = "channels=4,cells=1",
    image_size: int = 8,
    sought: int = 300,
) -> None:
    """Runs the searches and prints the table.

    Args:
        out: folder of the studies.
        budget: trainings of a search.
        seeds: searches of each kind.
        epochs: of a training.
        skeleton: of the networks.
        image_size: side in pixels.
        sought: archs that a proposal considers.
    """
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    space, task = RecipeSpace(OPTIONS).joined("nasbench201", skeleton), get_task("digits", image_size=image_size)
    policy = PolicyChoice("gennas", {"sought": str(sought), "first": "6"}, prior="none")
    rows = []
    for seed in range(seeds):
        problems = {
            "joint": Problem(space, task),
            "archs": Problem(space.arch_space, task),
            "recipes": Problem(space, task, among=one_arch(space, seed)),
        }
        for kind, problem in problems.items():
            with InlineExecutor() as executor:
                result = search_archs(
                    problem,
                    budget,
                    policy=policy,
                    evaluators=Measuring(recipe=replace(Recipe(), epochs=epochs)),
                    workers=executor,
                    study=out / f"{kind}_{seed}",
                    seed=seed,
                )
            (best,) = result.best
            values = {name.partition("@")[0]: value for name, value in best.metrics.items()}
            rows.append({"kind": kind, "seed": seed, "key": best.key, **values})
            print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    print(f"\n{skeleton}, {image_size}x{image_size} pixels, {epochs} epochs, {budget} trainings a search\n")
    print("| searched | validation accuracy | test accuracy |\n| --- | --- | --- |")
    for name, group in frame.groupby("kind", sort=False):
        print(f"| {name} | {interval_of(group['accuracy'])} | {interval_of(group['test_accuracy'])} |")
    print(f"\nMeans with 95 % t-intervals over {seeds} seeds; one thread of {machine()}")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
