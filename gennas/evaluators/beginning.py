"""Beginning: the weights that the training of an arch's network begins with, by its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.spaces import Space
from gennas.supernets.start import Start
from gennas.tasks import Task
from gennas.training.batches import Normalisation
from gennas.training.features import FeatureDistillation
from gennas.training.recipe import Recipe
from gennas.training.teacher import load_teacher


class Beginning:
    """The weights that the training of an arch's network begins with.

    Args:
        space: builds the network.
        arch: of the network.
        task: what it is for.
        recipe: says what it inherits; without that it begins with random weights.

    Attributes:
        inherited: what is said of them in ``arch.json``, once the network was made; None of random weights.

    Raises:
        InvalidInputError: there is nothing to inherit in the folder, or it is of another space.
    """

    def __init__(self, space: Space, arch: Arch, task: Task, recipe: Recipe) -> None:
        self.space, self.arch, self.task, self.recipe = space, arch, task, recipe
        self.start = None if recipe.inherit is None else Start(Path(recipe.inherit), space, task)
        self.inherited: dict[str, Any] | None = None

    def network(self) -> nn.Module:
        """The network before its training; what is new in it is drawn by torch's global random numbers."""
        if self.start is None:
            return self.space.build(self.arch, self.task)
        network, self.inherited = self.start.begin(self.arch)
        return network

    def features(self) -> FeatureDistillation | None:
        """What the network learns of its parent's features in the first epochs; None where the recipe has none.

        Raises:
            InvalidInputError: the parent knows other classes or channels, or is a supernet.
        """
        if self.start is None or not self.recipe.feature_epochs:
            return None
        places, parent = self.start.places(self.arch), self.start.parent(self.arch)
        if parent is None:
            return None
        normalise = Normalisation.of(self.space, self.task)
        return FeatureDistillation(load_teacher(parent.folder, self.task, normalise), places)


def expect_start(recipe: Recipe, space: Space, task: Task) -> None:
    """Finds out whether networks can begin with what a recipe names, before the first of them is trained.

    Raises:
        InvalidInputError: they cannot.
        DataMissingError: the supernet is damaged.
    """
    if recipe.inherit is None:
        return
    start = Start(Path(recipe.inherit), space, task)
    if recipe.feature_epochs and start.is_supernet:
        raise InvalidInputError(
            "is set, but what is inherited is a supernet, whose features the network has already; leave it out.",
            argument="recipe.feature_epochs",
        )
