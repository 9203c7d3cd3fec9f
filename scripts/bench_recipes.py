"""Trainings against published ones, and recipes against each other.

    python scripts/bench_recipes.py cells --out runs/cells
    python scripts/bench_recipes.py recipes --out runs/recipes

``cells`` trains twelve cells of NAS-Bench-201, one drawn from each twelfth of the table by its accuracy after 200
epochs, on a fraction of the training images of CIFAR-10, and prints the rank correlation of their accuracies with the
table. It needs ``GENNAS_DATA``. ``recipes`` trains some cells on ``digits`` with the named recipes, over several seeds.

Both store every training and resume; both print Markdown tables.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import machine
from scipy.stats import kendalltau, spearmanr

from gennas.arch import Arch
from gennas.errors import DataMissingError
from gennas.evaluators.train import TrainEvaluator, logged
from gennas.files import write_text
from gennas.spaces import Space, get_space
from gennas.tables import load_table
from gennas.tasks import Split, Task, get_task
from gennas.tasks.base import ImageSource, Splits, balanced
from gennas.training.recipe import Augmentation, Recipe
from gennas.training.repeats import interval_of

#: What cells are drawn by: the table's test accuracy after 200 epochs, the mean of its seeds.
FULL = "test_accuracy@cifar10"


@dataclass(frozen=True)
class Fraction(ImageSource):
    """A balanced sample of another task's training images, all images at half their side if that is asked for.

    Attributes:
        source: the other task's images.
        images: training images.
        halved: whether every 2x2 pixels become one, their mean.
    """

    source: ImageSource
    images: int
    halved: bool

    def read(self, seed: int) -> Splits:
        splits = self.source.read(seed)
        train = splits.train.take(balanced(splits.train.labels, self.images, seed))
        test = None if splits.test is None else self._sized(splits.test)
        return Splits(self._sized(train), self._sized(splits.val), test)

    def _sized(self, split: Split) -> Split:
        if not self.halved:
            return split
        n, c, h, w = split.images.shape
        blocks = split.images.reshape(n, c, h // 2, 2, w // 2, 2).astype(np.float32)
        return Split(blocks.mean((3, 5)).round().astype(np.uint8), split.labels)


def cells(
    out: Path,
    recipe: str = "thorough",
    epochs: int = 10,
    batch_size: int = 64,
    augmentation: Augmentation = "flip+crop",
    randaugment: int = 0,
    warmup_epochs: float = 1.0,
    ema_epochs: float = 0.5,
    images: int = 8000,
    halved: bool = True,
    count: int = 12,
    skeleton: str = "channels=16,cells=5",
    seed: int = 0,
) -> None:
    """Trains cells that are spread over NAS-Bench-201, and prints their rank correlation with the table.

    Args:
        out: folder of results and networks.
        recipe: that the following settings change.
        epochs: passes over the images.
        batch_size: images per step.
        augmentation: as of the recipe.
        randaugment: as of the recipe.
        warmup_epochs: as of the recipe.
        ema_epochs: as of the recipe.
        images: training images, of 40,000.
        halved: trains and evaluates at 16x16 pixels.
        count: cells.
        skeleton: of the networks; the default is the published one.
        seed: draws cells, and seeds the trainings.
    """
    start(out)
    table = load_table("nasbench201").frame
    order = table[FULL].sort_values(kind="stable")
    rng = np.random.default_rng(seed)
    drawn = [order.index[int((part + rng.random()) / count * len(order))] for part in range(count)]
    space = get_space("nasbench201", skeleton)
    whole = get_task("cifar10")
    if whole.source is None:
        raise DataMissingError(f"the images of cifar10 are not there. {whole.hint}")
    side = 16 if halved else 32
    source = Fraction(whole.source, images, halved)
    task = Task("cifar10", (3, side, side), 10, whole.class_names, source)
    how = replace(
        Recipe.named(recipe),
        epochs=epochs,
        batch_size=batch_size,
        augmentation=augmentation,
        randaugment=randaugment,
        warmup_epochs=warmup_epochs,
        ema_epochs=ema_epochs,
    )
    rows = Rows(out / "cells.csv")
    # Those in the middle first: what is known after half of the cells is spread over the table, too.
    for place in sorted(range(count), key=lambda place: (place % 2, place)):
        arch = space.parse(drawn[place])
        rows.add({"key": arch.key}, partial(train, space, how, out, arch, task, seed))
    frame = rows.frame().set_index("key").loc[drawn]
    frame["table, 200 epochs"] = table.loc[drawn, FULL]
    short = short_trainings()
    frame["table, 12 epochs"] = short.loc[drawn]
    print(f"{images} of 40,000 training images, {side}x{side} pixels, {skeleton}, {how.settings}\n")
    columns = ["table, 200 epochs", "table, 12 epochs", "accuracy", "test_accuracy", "seconds"]
    print("\n".join(markdown(frame[columns])))
    print("\n| compared | Spearman | Kendall |\n| --- | --- | --- |")
    for one, other in (
        ("accuracy", "table, 200 epochs"),
        ("accuracy", "table, 12 epochs"),
        ("table, 12 epochs", "table, 200 epochs"),
    ):
        spearman, kendall = spearmanr(frame[one], frame[other])[0], kendalltau(frame[one], frame[other])[0]
        print(f"| {one} with {other} | {spearman:.3f} | {kendall:.3f} |")
    print(f"\n{len(frame)} cells, {frame['seconds'].sum():.0f} s of training, one thread of {machine()}")


def recipes(
    out: Path,
    names: Sequence[str] = ("quick", "standard", "thorough"),
    count: int = 3,
    seeds: int = 3,
    skeleton: str = "channels=16,cells=1",
    image_size: int = 16,
    only: Literal["val", "test"] = "test",
) -> None:
    """Trains cells on digits with several recipes, and prints mean accuracies with their 95 % t-intervals over seeds.

    Args:
        out: folder of results and networks.
        names: of recipes, or their files.
        count: random cells of NAS-Bench-201.
        seeds: trainings of each.
        skeleton: of the networks.
        image_size: side in pixels.
        only: images of which accuracies are shown: to choose settings, those of ``val``.
    """
    start(out)
    space, task = get_space("nasbench201", skeleton), get_task("digits", image_size=image_size)
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(count)]
    rows = Rows(out / "recipes.csv")
    for seed in range(seeds):
        for name in names:
            how = Recipe.named(name)
            for arch in archs:
                work = partial(train, space, how, out, arch, task, seed)
                rows.add({"recipe": name, "hash": how.hash, "key": arch.key, "seed": seed}, work)
    frame = rows.frame()
    frame = frame[frame["hash"].isin([Recipe.named(name).hash for name in names])]
    shown = {"val": "", "test": "test_"}[only]
    print(f"| recipe | {only} accuracy | {only} balanced accuracy | {only} macro F1 | seconds per training |")
    print("| --- | --- | --- | --- | --- |")
    for name in names:
        # The mean over cells is one number per seed.
        mine = frame[frame["recipe"] == name].groupby("seed").mean(numeric_only=True)
        parts = [str(interval_of(mine[f"{shown}{kind}"])) for kind in ("accuracy", "balanced_accuracy", "macro_f1")]
        print(f"| {name} | {' | '.join(parts)} | {mine['seconds'].mean():.1f} |")
    print(f"\n{count} random cells, {skeleton}, digits of {image_size}x{image_size}, one thread of {machine()}")


class Rows:
    """Results in a CSV file, a row per training; what is there is not trained again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def frame(self) -> pd.DataFrame:
        return pd.read_csv(self.path) if self.path.is_file() else pd.DataFrame()

    def add(self, identity: dict[str, object], work: Callable[[], dict[str, float]]) -> None:
        known = self.frame()
        if len(known) and (known[list(identity)].astype(str) == pd.Series(identity).astype(str)).all(axis=1).any():
            return
        row = pd.DataFrame([{**identity, **work()}])
        write_text(self.path, pd.concat([known, row]).to_csv(index=False))
        print(*row.iloc[0].to_dict().items(), flush=True)


def train(space: Space, recipe: Recipe, out: Path, arch: Arch, task: Task, seed: int) -> dict[str, float]:
    """Kind of metric -> value, and ``seconds``."""
    evaluator = TrainEvaluator(space, recipe, out / "networks" / f"{recipe.hash}-{seed}", logged)
    done = evaluator.train(arch, task=task, seed=seed)
    evaluator.stored(arch)
    return {**{name.partition("@")[0]: value for name, value in done.metrics.items()}, "seconds": done.seconds}


def short_trainings() -> pd.Series:
    """Test accuracies on CIFAR-10 after the table's trainings of 12 epochs, by key; fractions."""
    import os

    frame = pd.read_parquet(Path(os.environ["GENNAS_DATA"]) / "nasbench201.parquet", columns=["arch_str", "test12_c10"])
    space = get_space("nasbench201")
    keys = [space.parse(text).key for text in frame["arch_str"]]
    return pd.Series(frame["test12_c10"].to_numpy() / 100, index=keys)


def start(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


def markdown(frame: pd.DataFrame) -> list[str]:
    """The lines of a Markdown table; whole numbers from 1 on, as seconds are."""
    names = [str(frame.index.name), *map(str, frame.columns)]
    rows = [
        [f"`{key}`", *(f"{one:.0f}" if one > 1 else f"{one:.4f}" for one in row)] for key, *row in frame.itertuples()
    ]
    return [f"| {' | '.join(cells)} |" for cells in (names, ["---"] * len(names), *rows)]


if __name__ == "__main__":
    logging.getLogger("lightning").setLevel(logging.ERROR)
    auto_cli({"cells": cells, "recipes": recipes}, as_positional=False)
