"""TrainEvaluator: trains networks with Lightning; an interrupted training resumes."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import EvaluationSettings, Evaluator
from gennas.evaluators.beginning import Beginning, expect_start
from gennas.evaluators.context import EvaluatorContext
from gennas.evaluators.kept import keep
from gennas.metrics import Metric
from gennas.spaces import JointSpace, Space
from gennas.spaces.network_part import network_of, network_space
from gennas.tasks import Task
from gennas.training import checkpoints
from gennas.training.batches import Normalisation
from gennas.training.fitting import expect_precision, expect_recipe, train_network
from gennas.training.module import Progress
from gennas.training.network_files import MODEL, folder_name
from gennas.training.recipe import Recipe
from gennas.training.recipe_space import recipe_of, recipe_space_of

_LOG = logging.getLogger(__name__)


def silent(line: str) -> None:
    """Ignores a line of progress."""


def logged(line: str) -> None:
    """Logs a line of progress."""
    _LOG.info("%s", line)


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        metrics: ``accuracy@<task>`` on the validation images and, if the task has test images,
            ``test_accuracy@<task>``; balanced accuracy and macro F1 likewise; fractions. Of other targets than classes
            the metrics of their kind.
        seconds: training time, including that before interruptions.
        resumed_epoch: finished epochs found in the checkpoint; 0 if training started from scratch.
        notes: what the user should know, in sentences.
    """

    metrics: dict[str, float]
    seconds: float
    resumed_epoch: int
    notes: tuple[str, ...] = ()


class TrainEvaluator(Evaluator):
    """Trains networks, on an accelerator if there is one.

    Writes to ``folder/<hash of the arch's key>/``: ``network.safetensors``, ``network.onnx`` (for one image),
    ``arch.json`` (how to preprocess images and rebuild the network, and how it was trained), ``predictions.parquet``,
    the log ``training.csv`` and ``tensorboard/``, and during training two checkpoints. Before every epoch, modules that
    have a method ``set_training_progress`` are told which share of the training is done. Archs that have a size of
    images of their own are trained with such images (:meth:`gennas.spaces.Space.native_task`), and those of a
    :class:`gennas.spaces.joint.JointSpace` by a recipe with the settings that they chose. The same recipe gives the
    same weights on the same machine with the same number of threads, whether or not training was interrupted.

    Args:
        space: builds the networks.
        recipe: how to train.
        folder: parent folder of the networks' folders.
        progress: receives one line per epoch; logs it by default. A callable that cannot be pickled is not called in
            worker processes.
        kinds: those of the task's :attr:`.TargetKind.metrics` that are promised, the score by default. All are given,
            but values stored by an earlier version lack some, and stay of use where these are not asked for.
        place: subfolder of the networks' folders, for a further training of the same archs.

    Raises:
        InvalidInputError: archs may choose settings that the recipe refuses.
    """

    source = "trained"

    def __init__(
        self,
        space: Space,
        recipe: Recipe,
        folder: Path,
        progress: Progress = logged,
        *,
        kinds: Sequence[str] = (),
        place: str = "",
    ) -> None:
        self.space = space
        self.recipe = recipe
        self.folder = folder
        self.progress = progress
        self.kinds = tuple(kinds)
        self.place = place
        if (recipes := recipe_space_of(space)) is not None:
            recipes.check(recipe)

    def __getstate__(self) -> dict[str, Any]:
        try:
            pickle.dumps(self.progress)
        except (pickle.PicklingError, TypeError, AttributeError):
            return {**vars(self), "progress": silent}
        return vars(self)

    def is_kept(self, arch: Arch) -> bool:
        return (self.network_folder(arch) / MODEL).is_file()

    def stored(self, arch: Arch) -> None:
        self.forget_progress(arch)

    def network_folder(self, arch: Arch) -> Path:
        """The folder of an arch's network."""
        return self.folder / folder_name(arch.key) / self.place

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self | None:
        """The accuracy on the task, or what else its kind of targets is judged by, unless a table answers.

        Raises:
            DataMissingError: the task has no images; raised here, where a message is read, rather than in workers.
            InvalidInputError: there is no folder for the networks.
        """
        task = context.problem.task
        kinds = [
            kind for kind in task.targets.metrics if any(metric.name == f"{kind}@{task.name}" for metric in wanted)
        ]
        if context.table is not None or not kinds:
            return None
        task.splits()
        if context.folder is None:
            raise InvalidInputError("study is None; give a run folder, where trained networks are kept.")
        # Epochs of several trainings at once are nothing to read.
        return cls(context.problem.space, context.recipe, context.folder / "networks", silent, kinds=kinds)

    def expect_usable(self, task: Task) -> None:
        """That the recipe can be used: its precision, its teacher, and what networks begin with."""
        expect_recipe(self.recipe, task)
        expect_start(self.recipe, network_space(self.space), task)
        recipes = recipe_space_of(self.space)
        for recipe in recipes.recipes(self.recipe) if recipes else ():
            expect_precision(recipe)

    def metrics(self, task: Task) -> tuple[str, ...]:
        return tuple(f"{kind}@{task.name}" for kind in self.kinds or task.targets.metrics[:1])

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        return _conditions(_at(self.recipe, seed, fidelity))

    def conditions_of(self, arch: Arch, seed: int, fidelity: int | None) -> EvaluationSettings:
        return _conditions(self.recipe_of(arch, seed, fidelity))

    def recipe_of(self, arch: Arch, seed: int = 0, fidelity: int | None = None) -> Recipe:
        """The recipe that an arch's network is trained with: with the arch's own choices in a joint space."""
        return _at(recipe_of(self.space, arch, self.recipe), seed, fidelity)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """``accuracy@<task>`` on the validation images, and ``test_accuracy@<task>`` if there are test images.

        Balanced accuracy and macro F1 are given likewise; of other targets than classes the metrics of their kind.

        Raises:
            InvalidInputError: training diverged, or the recipe cannot be used here.
            DataMissingError: the task has no images.
        """
        return self.train(arch, task=task, seed=seed, fidelity=fidelity).metrics

    def forget_progress(self, arch: Arch) -> None:
        """Removes the checkpoints from which training would resume."""
        checkpoints.remove(self.network_folder(arch))

    def train(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> Trained:
        """Like :meth:`evaluate`, and says how long it took.

        The checkpoints stay until :meth:`stored`: whoever stores the values before that trains no epoch twice.
        """
        recipe, folder = self.recipe_of(arch, seed, fidelity), self.network_folder(arch)
        space, built = network_of(self.space, arch)
        task = space.native_task(built, task)
        identity = f"{built.key} {space.skeleton} {task.name} {task.splits().fingerprint} {recipe.hash}"
        normalise = Normalisation.of(space, task)
        begun = Beginning(space, built, task, recipe)
        trained = train_network(
            begun.network, task, recipe, folder, identity, self.progress, normalise, begun.features()
        )
        metrics = trained.metrics(task)
        keep(
            folder,
            trained,
            arch=built,
            space=space,
            task=task,
            recipe=recipe,
            metrics=metrics,
            inherited=begun.inherited,
            initial_weights=(begun.inherited or {}).get("initial_weights"),
            chosen=self.space.choices(arch) if isinstance(self.space, JointSpace) else None,
        )
        return Trained(metrics, trained.seconds, trained.resumed_epoch, trained.notes)


def _at(recipe: Recipe, seed: int, fidelity: int | None) -> Recipe:
    return replace(recipe, seed=seed, epochs=recipe.epochs if fidelity is None else fidelity)


def _conditions(recipe: Recipe) -> EvaluationSettings:
    return EvaluationSettings(recipe.seed, recipe.epochs, recipe.hash)
