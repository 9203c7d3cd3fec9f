"""Fine-tunes sub-networks of EfficientNet-Lite0 on real images, to learn what their cuts destroy.

    GENNAS_DATA=... python scripts/collect_lite_cuts.py --out runs/cuts --count 50

Every sub-network begins with the pretrained weights of its parent, and is fine-tuned on 80 training images of each of
five classes of CIFAR-10, enlarged; 400 other training images of each class tell its accuracy. CIFAR-10's test images
are not looked at. Archs are drawn near the parent and far from it, at several resolutions. Every row is kept in a file
of its own; a repeated command resumes. In the end they are written to ``OUT/cuts.parquet``, which is shipped as
``datasets/lite/cuts.parquet``, and it is printed how well the effects of cuts predict archs that were left out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from machine import machine
from scipy.stats import spearmanr
from torch import nn

from gennas.arch import Arch
from gennas.design.cuts import left_out
from gennas.documents import read_json
from gennas.files import write_json, write_parquet
from gennas.spaces import get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.supernets.elastic import ElasticSupernet
from gennas.supernets.paths import arch_of
from gennas.tasks import Split, Splits, Task, get_task
from gennas.tasks.base import ImageSource
from gennas.training.batches import Normalisation
from gennas.training.fitting import train_network
from gennas.training.recipe import Recipe

_LOG = logging.getLogger("collect_lite_cuts")

#: Classes of CIFAR-10, and images of each for training and for validation.
CLASSES, TRAINED_ON, VALIDATED_ON = (2, 3, 5, 7, 9), 80, 400
SIDES = (48, 48, 64, 64, 80)
RECIPE = Recipe(
    learning_rate=3e-3, head_factor=2.0, weight_decay=0.01, decay_norms=False, epochs=12, batch_size=32,
    augmentation="flip+crop", label_smoothing=0.1, views=12,
)  # fmt: skip


@cache
def cifar10() -> Split:
    """The training images; they take a while to be decoded."""
    return get_task("cifar10").splits(0).train


@dataclass(frozen=True)
class Some(ImageSource):
    """Training images of some classes of CIFAR-10, for training and for validation."""

    seed: int

    def read(self, seed: int) -> Splits:
        found = cifar10()
        rng = np.random.default_rng(self.seed)
        train, val = [], []
        for label in CLASSES:
            rows = rng.permutation(np.flatnonzero(found.labels == label))
            train.append(rows[:TRAINED_ON])
            val.append(rows[TRAINED_ON : TRAINED_ON + VALIDATED_ON])
        return Splits(self._of(found, np.concatenate(train)), self._of(found, np.concatenate(val)), None)

    def _of(self, split: Split, rows: np.ndarray) -> Split:
        return Split(split.images[rows], np.searchsorted(CLASSES, split.labels[rows]))


def drawn(space: ElasticSpace, rng: np.random.Generator) -> Arch:
    """An arch with a share of cuts that is uniform from none to all, in some stages or in all."""
    share = rng.uniform(0, 1) * (rng.random(len(space.parent.stages)) < rng.choice([0.4, 1.0]))
    depth_share, side = rng.uniform(0, 1) * share, int(rng.choice(SIDES))
    options = []
    for decision in space.layout.decisions:
        last = len(decision.choice.options) - 1
        if decision.choice.name == "resolution":
            options.append(decision.choice.options.index(side))
            continue
        own = share[decision.stage - 1] if not decision.is_depth else depth_share[decision.stage - 1]
        down = 0
        while down < last and rng.random() < own:
            down += 1
        options.append(last - down)
    return arch_of(space, options)


def main(out: Path, count: int = 50, seed: int = 0, part: int = 0, parts: int = 1) -> None:
    """Fine-tunes what is missing.

    Args:
        out: folder of the rows.
        count: of archs.
        seed: of archs, images and trainings.
        part: of those, the ones that this process trains.
        parts: processes that share the work.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    space = cast(ElasticSpace, get_space("lite0"))
    rng = np.random.default_rng(seed)
    archs = [space.parent_arch(side) for side in sorted(set(SIDES))]
    while len(archs) < count:
        archs = list(dict.fromkeys([*archs, drawn(space, rng)]))
    task = Task("cifar5", (3, 32, 32), len(CLASSES), source=Some(seed))
    for number, arch in enumerate(archs):
        path = out / "rows" / f"{sha256(arch.key.encode()).hexdigest()[:12]}.json"
        if number % parts != part or path.is_file():
            continue
        _LOG.info("%d/%d %s", number + 1, count, arch.key)
        own = space.native_task(arch, task)

        def build(arch: Arch = arch, own: Task = own) -> nn.Module:
            return ElasticSupernet.pretrained(space, own).inherit(arch)

        recipe = replace(RECIPE, seed=seed)
        trained = train_network(
            build, own, recipe, out / "work" / str(part), arch.key, lambda line: None, Normalisation.of(space, own)
        )
        found = trained.predictions["val"]
        loss = -np.log(np.maximum(found.probabilities[np.arange(len(found.labels)), found.labels], 1e-9)).mean()
        write_json(path, {"key": arch.key, "accuracy": found.accuracy, "loss": float(loss), "seconds": trained.seconds})
    paths = [out / "rows" / f"{sha256(arch.key.encode()).hexdigest()[:12]}.json" for arch in archs]
    if all(path.is_file() for path in paths):
        frame = pd.DataFrame([read_json(path) for path in paths])
        write_parquet(frame, out / "cuts.parquet", {"task": "five classes of CIFAR-10", "recipe": RECIPE.hash})
        print(told(space, frame))


def told(space: ElasticSpace, frame: pd.DataFrame) -> str:
    """How well archs that were left out are ranked."""
    archs = [space.parse(key) for key in frame["key"]]
    task = Task("cifar5", (3, 32, 32), len(CLASSES))
    costs = [space.costs(arch, task) for arch in archs]
    accuracy = frame["accuracy"].to_numpy(dtype=float)
    ranked = {"effects of cuts, left out": left_out(frame)}
    ranked |= {name: np.array([found[name] for found in costs]) for name in ("macs_m", "params_m")}
    lines = [f"{len(frame)} sub-networks, accuracies {accuracy.min():.3f} to {accuracy.max():.3f}"]
    for name, values in ranked.items():
        lines.append(f"Spearman of {name} with the accuracy: {spearmanr(values, accuracy).statistic:.3f}")
    return "\n".join([*lines, machine()])


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
