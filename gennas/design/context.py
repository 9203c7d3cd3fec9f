"""Context: what all stages of a design know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from gennas.arch import Arch
from gennas.design.limits import Limits
from gennas.design.settings import Effort
from gennas.spaces.costs import all_costs
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.lite.pretrained import pretrained_network
from gennas.studies.study import Study
from gennas.supernets.elastic import ElasticSupernet
from gennas.tasks import Task
from gennas.training.recipe import Recipe
from gennas.weights import find_weights

#: What parents start from: ``pretrained`` weights that are found on this machine, ``random`` ones, or those of a file.
Weights = Literal["pretrained", "random"] | Path


@dataclass(frozen=True)
class Context:
    """What all stages of a design know.

    Attributes:
        folder: of the run.
        task: with images at the largest resolution.
        limits: that networks keep.
        effort: how much work goes into it.
        seed: of all randomness.
        weights: that parents start from.
        checksum: of the file of weights, where one was given.
    """

    folder: Path
    task: Task
    limits: Limits
    effort: Effort
    seed: int
    weights: Weights
    checksum: str = ""

    @property
    def pixels(self) -> int:
        """The largest resolution, at which parents are adapted."""
        return self.task.input_shape[1]

    @property
    def accuracy(self) -> str:
        """The metric by which networks are chosen."""
        return f"accuracy@{self.task.name}"

    def config(self, space: ElasticSpace, part: str) -> dict[str, Any]:
        """The settings of a study of the run, see :func:`gennas.search.settings.study_config`.

        Args:
            space: of its archs.
            part: which of the run's studies it is.
        """
        where = [str(bound) for bound in (*self.limits.costs, *self.limits.latency)]
        return {
            "space": {"name": space.name, "skeleton": space.skeleton},
            "task": {
                "name": self.task.name,
                "input_shape": list(self.task.input_shape),
                "images": self.task.splits().fingerprint,
            },
            "objective": self.accuracy + (f", -{self.limits.metric}" if self.limits.latency else ""),
            "where": where,
            "method": "design",
            "options": {"part": part, "weights": self.checksum or str(self.weights), **self.effort.settings},
            "prior": "none",
            "table": None,
            "seed": self.seed,
        }

    def epochs(self, count: int) -> int:
        """So many epochs, or more where few images make few steps of each."""
        return round(count * min(max(ENOUGH / len(self.task.splits().train), 1.0), MOST_TIMES))

    @property
    def views(self) -> int:
        """Crops of every image, the same for all networks."""
        return min(
            self.effort.views, *map(self.epochs, (self.effort.adapting, self.effort.sharing, self.effort.epochs))
        )

    @property
    def mirrored(self) -> bool:
        """Whether half of the crops are mirrored: not where classes are letters or digits."""
        names = self.task.class_names
        return not names or any(len(name) > 1 for name in names)

    def recipe(self, count: int, teacher: Path | None = None) -> Recipe:
        """How networks are fine-tuned.

        Args:
            count: of epochs, see :meth:`epochs`.
            teacher: folder of the network whose answers are learnt.
        """
        epochs = self.epochs(count)
        recipe = replace(
            FINE_TUNING, epochs=epochs, seed=self.seed, views=self.views,
            augmentation="flip+crop" if self.mirrored else "none",
            warmup_epochs=min(FINE_TUNING.warmup_epochs, epochs / 4),
        )  # fmt: skip
        return recipe if teacher is None else replace(recipe, teacher=str(teacher))


#: Efforts are meant for so many training images; fewer are shown up to so many times more often.
ENOUGH, MOST_TIMES = 400, 6.0

#: How pretrained networks are adapted to a few hundred images.
FINE_TUNING = Recipe(
    optimiser="adamw",
    learning_rate=3e-3,
    head_factor=2.0,
    weight_decay=0.01,
    decay_norms=False,
    warmup_epochs=1.0,
    batch_size=32,
    augmentation="flip+crop",
    label_smoothing=0.1,
    teacher_weight=0.5,
    teacher_temperature=2.0,
)


def file_of(weights: Weights) -> Path | None:
    """The file of weights that was given, if one was."""
    return weights if isinstance(weights, Path) else None


@dataclass(frozen=True, eq=False)
class Workshop:
    """A parent, and what a design makes of it.

    Attributes:
        space: of the parent's sub-networks.
        folder: of its adapted parent, its elastic network and its scores.
        context: of the run.
        adapted: folder of the adapted parent, where that of another workshop is meant.
    """

    space: ElasticSpace
    folder: Path
    context: Context
    adapted: Path | None = None

    @property
    def title(self) -> str:
        """As people call the parent."""
        return self.space.parent.title

    @property
    def short(self) -> str:
        """The same in a table."""
        return self.title.removeprefix("EfficientNet-")

    @property
    def resolutions(self) -> list[int]:
        """That sub-networks choose from, ascending."""
        return [side for side in self.space.resolutions if side <= self.context.pixels]

    def parent_at(self, side: int) -> Arch:
        """The parent at a resolution."""
        return self.space.parent_arch(side)

    def costs(self, arch: Arch) -> dict[str, float]:
        """Exact costs of an arch."""
        return all_costs(self.space, arch, self.context.task)

    @property
    def teacher(self) -> Path:
        """Folder of the adapted parent."""
        return self.adapted or self.folder / "teacher"

    @property
    def supernet(self) -> Path:
        """Folder of the elastic network."""
        return self.folder / "supernet"

    def network(self, side: int) -> nn.Module:
        """The parent at a resolution, with the weights that it starts from and a random classifier.

        Raises:
            DataMissingError: the weights are not on this machine.
            InvalidInputError: they are those of another network.
        """
        context, space = self.context, self.space
        torch.manual_seed(context.seed)
        task, weights = space.native_task(space.parent_arch(side), context.task), context.weights
        if weights == "random":
            return pretrained_network(space, task, random=True, side=side)
        return pretrained_network(space, task, weights=file_of(weights), side=side)

    def sub_network(self, arch: Arch) -> nn.Module:
        """The network of an arch with its part of these weights, on images of its own resolution."""
        task = self.context.task
        supernet = ElasticSupernet(self.space, task, self.network(self.context.pixels))
        supernet.sort_channels()
        return supernet.inherit(arch, self.space.native_task(arch, task))

    @property
    def origin(self) -> dict[str, str] | None:
        """Name and licence of the weights that networks start from; None for random ones."""
        weights = self.context.weights
        return None if weights == "random" else find_weights(self.space.name, file_of(weights)).facts()

    def scores(self) -> Study:
        """The study of what was measured before networks are trained, for writing."""
        return Study.open(self.folder / "scores", self.context.config(self.space, "scores"))
