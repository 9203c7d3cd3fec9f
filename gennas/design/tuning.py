"""Fine-tuning: networks trained by a recipe and kept in folders, with the values that they reach."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from gennas.arch import Arch
from gennas.design.context import Workshop
from gennas.documents import read_json
from gennas.evaluators.kept import keep
from gennas.studies.records import Evaluation
from gennas.training import checkpoints
from gennas.training.batches import Normalisation
from gennas.training.fitting import train_network
from gennas.training.network_files import FACTS, MODEL
from gennas.training.recipe import Recipe

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned network.

    Attributes:
        arch: of the network.
        folder: of its files.
        metrics: that it reached on validation and, where there are some, test images.
        seconds: training time.
        recipe: that it was trained with.
    """

    arch: Arch
    folder: Path
    metrics: dict[str, float]
    seconds: float
    recipe: Recipe

    def rows(self, task: str) -> list[Evaluation]:
        """The rows of a study."""
        return [
            Evaluation(
                arch=self.arch.key,
                space=self.arch.space,
                task=task,
                metric=name,
                value=value,
                source="trained",
                seed=self.recipe.seed,
                fidelity=self.recipe.epochs,
                seconds=self.seconds,
                recipe=self.recipe.hash,
            )
            for name, value in self.metrics.items()
        ]


def tune(
    workshop: Workshop, arch: Arch, build: Callable[[], nn.Module], recipe: Recipe, folder: Path, title: str
) -> Tuned:
    """Fine-tunes a network on images of its own resolution; resumes, and a folder that holds the result is only read.

    Args:
        workshop: of the arch.
        arch: of the network.
        build: the network with the weights that it starts from.
        recipe: how to train.
        folder: receives the files of the network.
        title: what is trained, for the log; empty where that was said.

    Raises:
        InvalidInputError: training diverged.
    """
    context, space = workshop.context, workshop.space
    task = space.native_task(arch, context.task)
    if (folder / MODEL).is_file():
        facts = read_json(folder / FACTS)
        if facts.get("recipe_hash") == recipe.hash and facts.get("key") == arch.key:
            return Tuned(arch, folder, facts["metrics"], float(facts["seconds"]), recipe)
    start = context.checksum or context.weights
    identity = f"{arch.key} {task.name} {task.splits().fingerprint} {recipe.hash} {start} {context.seed}"
    if title:
        _LOG.info("%s", title)
    trained = train_network(
        build, task, recipe, folder, identity, lambda line: _LOG.debug("%s", line), Normalisation.of(space, task)
    )
    metrics = trained.metrics(task)
    keep(
        folder,
        trained,
        arch=arch,
        space=space,
        task=task,
        recipe=recipe,
        metrics=metrics,
        initial_weights=workshop.origin,
    )
    checkpoints.remove(folder)
    return Tuned(arch, folder, metrics, trained.seconds, recipe)
