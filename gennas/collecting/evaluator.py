"""MetricsEvaluator: trains networks for their metrics only, and keeps none of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import EvaluationSettings, Evaluator
from gennas.spaces import Space
from gennas.tasks import Task
from gennas.tasks.targets import CLASSIFICATION
from gennas.training.network_files import folder_name
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member, train_stack, unknown_settings


def can_train_at_once(space: Space, recipe: Recipe, tasks: Iterable[Task]) -> bool:
    """Whether several networks of a space can be trained at once with a recipe, on tasks with classes."""
    are_classes = all(task.targets == CLASSIFICATION for task in tasks)
    return space.trains_at_once and are_classes and not unknown_settings(recipe)


def score_of(task: Task) -> str:
    """The metric that every training on a task gives: the accuracy, where it asks for classes."""
    return f"{task.targets.score}@{task.name}"


class MetricsEvaluator(Evaluator):
    """Trains networks for their metrics only, with the values of :class:`gennas.evaluators.train.TrainEvaluator`.

    Args:
        space: builds the networks.
        recipe: how to train.
        folder: where an interrupted training of a space whose networks do not stack resumes; emptied afterwards.
    """

    source = "trained"

    def __init__(self, space: Space, recipe: Recipe, folder: Path) -> None:
        self.space, self.recipe, self.folder = space, recipe, folder

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (score_of(task),)

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        recipe = self._recipe(seed, fidelity)
        return EvaluationSettings(recipe.seed, recipe.epochs, recipe.hash)

    def expect_usable(self, task: Task) -> None:
        """That the recipe can be used: its precision, its teacher, and what networks begin with."""
        if not can_train_at_once(self.space, self.recipe, [task]):
            from gennas.evaluators.beginning import expect_start
            from gennas.training.fitting import expect_recipe

            expect_recipe(self.recipe, task)
            expect_start(self.recipe, self.space, task)

    def stored(self, arch: Arch) -> None:
        shutil.rmtree(self.folder / folder_name(arch.key), ignore_errors=True)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """The metrics on validation and test images, as of :class:`.StackTrained`.

        Raises:
            InvalidInputError: training diverged, or the recipe cannot be used here.
            DataMissingError: the task has no images.
        """
        recipe = self._recipe(seed, fidelity)
        if can_train_at_once(self.space, recipe, [task]):
            (trained,) = train_stack(self.space, [Member(arch, task, seed)], recipe)
            if trained.error is not None:
                raise InvalidInputError(trained.error)
            return trained.metrics
        return self._alone(arch, task, recipe)

    def _alone(self, arch: Arch, task: Task, recipe: Recipe) -> dict[str, float]:
        from gennas.evaluators.beginning import Beginning
        from gennas.training.batches import Normalisation
        from gennas.training.fitting import train_network

        task = self.space.native_task(arch, task)
        begun = Beginning(self.space, arch, task, recipe)
        facts = f"{arch.key} {self.space.skeleton} {task.name} {task.splits().fingerprint} {recipe.hash}"
        trained = train_network(
            begun.network,
            task,
            recipe,
            self.folder / folder_name(arch.key),
            facts,
            lambda line: None,
            Normalisation.of(self.space, task),
            begun.features(),
        )
        return trained.metrics(task)

    def _recipe(self, seed: int, fidelity: int | None) -> Recipe:
        return replace(self.recipe, seed=seed, epochs=self.recipe.epochs if fidelity is None else fidelity)
