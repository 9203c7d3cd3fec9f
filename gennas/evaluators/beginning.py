"""Beginning: the weights that the training of an arch's network begins with, by its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.spaces import Space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.supernets.elastic import ElasticSupernet
from gennas.supernets.start import Start
from gennas.tasks import Task
from gennas.training.batches import Normalisation
from gennas.training.features import FeatureDistillation
from gennas.training.recipe import PRETRAINED, RANDOM, Recipe
from gennas.training.teacher import load_teacher
from gennas.weights import PUBLISHED, find_weights


class Beginning:
    """The weights that the training of an arch's network begins with.

    Args:
        space: builds the network.
        arch: of the network.
        task: what it is for.
        recipe: says what it inherits; see :attr:`.Recipe.inherit`.

    Attributes:
        inherited: what is said of them in ``arch.json``, once the network was made; None of random weights.

    Raises:
        InvalidInputError: there is nothing to inherit in the folder, it is of another space, or the space has no
            pretrained weights that are known.
        DataMissingError: its pretrained weights are not on this machine.
    """

    def __init__(self, space: Space, arch: Arch, task: Task, recipe: Recipe) -> None:
        self.space, self.arch, self.task, self.recipe = space, arch, task, recipe
        self.start = _start(recipe, space, task)
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
        if not isinstance(self.start, Start) or not self.recipe.feature_epochs:
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
        DataMissingError: the supernet is damaged, or pretrained weights are not on this machine.
    """
    start = _start(recipe, space, task)
    if recipe.feature_epochs and isinstance(start, Start) and start.is_supernet:
        raise InvalidInputError(
            "is set, but what is inherited is a supernet, whose features the network has already; leave it out.",
            argument="recipe.feature_epochs",
        )


class PretrainedStart:
    """The weights of the parent of an elastic space, of which every arch takes its part.

    Args:
        space: of the archs.
        task: what their networks are for.

    Raises:
        DataMissingError: the weights are not on this machine.
    """

    def __init__(self, space: ElasticSpace, task: Task) -> None:
        self.space, self.task = space, task
        self.file = find_weights(space.name)

    def begin(self, arch: Arch) -> tuple[nn.Module, dict[str, Any]]:
        """The network of an arch, and what is said of its weights in ``arch.json``; see :meth:`.Start.begin`."""
        supernet = ElasticSupernet.pretrained(self.space, self.task)
        facts = {"kind": PRETRAINED, "weights": self.file.sha256[:12], "initial_weights": self.file.facts()}
        return supernet.inherit(arch, self.task).train(), facts


def _start(recipe: Recipe, space: Space, task: Task) -> Start | PretrainedStart | None:
    word = recipe.inherit
    if word not in (None, PRETRAINED, RANDOM):
        return Start(Path(word), space, task)
    is_known = isinstance(space, ElasticSpace) and space.name in PUBLISHED
    if word == PRETRAINED and not is_known:
        raise InvalidInputError(
            f"is {PRETRAINED!r}, but no pretrained weights of space {space.name!r} are known; those of "
            f"{', '.join(PUBLISHED)} are.",
            argument="inherit",
        )
    if word == RANDOM or not is_known:
        return None
    assert isinstance(space, ElasticSpace)
    return PretrainedStart(space, task)
