"""train_network: the whole training of one network, from its untrained weights to predictions for the test images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from gennas.errors import InvalidInputError
from gennas.tasks import Split, Splits, Task
from gennas.tasks.base import image_shape
from gennas.tasks.targets import CLASSIFICATION, TargetKind
from gennas.training import checkpoints
from gennas.training.batch_norm import SETTLING_BATCH, settle_batch_norm
from gennas.training.batches import Normalisation, TrainBatches, num_batches
from gennas.training.features import FeatureDistillation
from gennas.training.memory import halving, is_out_of_memory, release
from gennas.training.module import KeepCheckpoints, NetworkTraining, Progress
from gennas.training.progress_log import EpochLog, TrainingLog, epochs_of
from gennas.training.quality import Predictions, predict
from gennas.training.recipe import Recipe
from gennas.training.teacher import load_teacher
from gennas.training.trainer import quiet
from gennas.training.views import ViewBatches, Views, kept_answers

_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network that was trained, and what it makes of images that it was not trained on.

    Attributes:
        network: with settled batch norms, in evaluation mode, on the CPU.
        normalise: of its images.
        predictions: for ``val`` and, where the task has test images, ``test``; both were predicted once, at the end.
        epochs: the log.
        seconds: training time, including that before interruptions.
        resumed_epoch: finished epochs found in the checkpoint; 0 if training started from scratch.
        notes: what the user should know, in sentences.
        targets: their kind, as it was fitted to the training images.
    """

    network: nn.Module
    normalise: Normalisation
    predictions: dict[str, Predictions]
    epochs: tuple[EpochLog, ...]
    seconds: float
    resumed_epoch: int
    notes: tuple[str, ...]
    targets: TargetKind = CLASSIFICATION

    def metrics(self, task: Task) -> dict[str, float]:
        """Name of a metric on a task -> its value on validation images, and as ``test_...`` on test images."""
        return {
            f"{prefix}{kind}@{task.name}": value
            for prefix, split in (("", "val"), ("test_", "test"))
            if split in self.predictions
            for kind, value in self.predictions[split].metrics().items()
        }


def expect_recipe(recipe: Recipe, task: Task) -> None:
    """Finds out whether networks can be trained with a recipe here, before the first of them is.

    Raises:
        InvalidInputError: no such teacher, or a precision that only a GPU has.
        DataMissingError: the task has no images.
    """
    expect_precision(recipe)
    if recipe.class_weights != "none":
        task.targets.balance(task.splits().train.labels, task.num_classes)
    if recipe.teacher is not None:
        load_teacher(Path(recipe.teacher), task, Normalisation(task.splits().train))


def expect_precision(recipe: Recipe) -> None:
    """Raises InvalidInputError for a precision that this machine does not train in."""
    if recipe.precision == "float16" and not torch.cuda.is_available():
        raise InvalidInputError(
            "is 'float16', which needs a GPU; expected float32 or bfloat16.", argument="recipe.precision"
        )


def train_network(
    build: Callable[[], nn.Module],
    task: Task,
    recipe: Recipe,
    folder: Path,
    identity: str,
    progress: Progress,
    normalise: Normalisation | None = None,
    features: FeatureDistillation | None = None,
) -> TrainedNetwork:
    """Trains a network on an accelerator, if there is one; resumes after the last finished epoch.

    Where memory does not suffice, batches are trained in halves, quarters and so on, whose gradients are added up.

    Args:
        build: makes the untrained network, by random numbers of torch's global generator.
        task: has the images.
        recipe: how to train.
        folder: receives checkpoints and the log.
        identity: of the training; checkpoints with another one are not resumed.
        progress: receives one line per epoch, and notes.
        normalise: of the images; by default, that of the training images.
        features: what the network also learns in its first ``recipe.feature_epochs``.

    Raises:
        InvalidInputError: training diverged, no such teacher, or a precision that only a GPU has.
        DataMissingError: the task has no images.
        RuntimeError: memory does not suffice for two images.
    """
    expect_precision(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    fit = _Fit(build, task, recipe, folder, identity, progress, normalise, features)
    found = checkpoints.find(folder, identity)
    resumed, notes, parts = found.epochs, [found.note] if found.note else [], 1
    for note in notes:
        progress(f"  {note}")
    while True:
        parts = max(parts, (found.state or {}).get("parts", 1))
        try:
            training = fit(found, parts)
            break
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or fit.smallest // (2 * parts) < 2:
                raise
        # Outside of the handler, where what the failed attempt held is free.
        release()
        parts *= 2
        progress(f"  out of memory; going on with {-(-recipe.batch_size // parts)} images at a time")
        found = checkpoints.find(folder, identity)
    if training.batches.parts > 1:
        size = -(-recipe.batch_size // training.batches.parts)
        notes.append(
            f"the memory did not suffice for batches of {recipe.batch_size} images; they were trained {size} at a "
            f"time, with the gradients of a batch added up, so batch norm saw {size} images."
        )
    return fit.finished(training, resumed, tuple(notes))


class _Fit:
    """What the attempts to train one network share."""

    def __init__(
        self,
        build: Callable[[], nn.Module],
        task: Task,
        recipe: Recipe,
        folder: Path,
        identity: str,
        progress: Progress,
        normalise: Normalisation | None,
        features: FeatureDistillation | None,
    ) -> None:
        self.build, self.task, self.recipe, self.features = build, task, recipe, features
        self.folder, self.identity, self.progress = folder, identity, progress
        self.splits: Splits = task.splits()
        self.targets = task.targets.fitted(self.splits.train.labels)
        self.normalise = normalise or Normalisation(self.splits.train)
        self.teacher = None if recipe.teacher is None else load_teacher(Path(recipe.teacher), task, self.normalise)
        self.views: Views | None = None
        self.taught: Tensor | None = None
        if recipe.views:
            self._make_views()

    def _make_views(self) -> None:
        """Crops of larger images than the network's, and the teacher's answers to them, which take its place.

        With a teacher they are of images of its size, whatever the network's: it answers once to all of them.
        """
        recipe, (_, height, width) = self.recipe, image_shape(self.task, "a recipe with views")
        side = 2 * max(height, width) if self.teacher is None else max(self.teacher.side)
        images = self.task.resized(side).splits().train.images
        self.views = Views(images, recipe.views, recipe.seed, mirrored=recipe.augmentation == "flip+crop")
        if self.teacher is not None and recipe.teacher is not None:
            self.progress("  the teacher answers to all views")
            self.taught = kept_answers(Path(recipe.teacher), self.teacher, self.views)
            self.teacher = None

    @property
    def smallest(self) -> int:
        """Images of the smallest batch."""
        count = len(self.splits.train)
        return count // num_batches(count, self.recipe.batch_size)

    def __call__(self, found: checkpoints.Found, parts: int) -> NetworkTraining:
        recipe = self.recipe
        if found.path is not None:
            self.progress(f"  resuming from epoch {found.epochs}/{recipe.epochs}, stored in {found.path}")
        lightning.seed_everything(recipe.seed, verbose=False)
        network = self.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        state = found.state or {}
        log = TrainingLog(self.folder, epochs_of(state.get("epochs", ())), self.targets.score)
        try:
            with quiet():
                trainer = lightning.Trainer(
                    # Training that ended early is only loaded.
                    max_epochs=found.epochs if state.get("stopped") else recipe.epochs,
                    accelerator="auto",
                    devices=1,
                    precision=_PRECISIONS[recipe.precision],  # type: ignore[arg-type]
                    accumulate_grad_batches=parts,
                    logger=False,
                    callbacks=[KeepCheckpoints(self.folder)],
                    enable_progress_bar=False,
                    enable_model_summary=False,
                )
                batches = self._batches(lambda: trainer.current_epoch, parts)
                training = NetworkTraining(
                    network,
                    recipe,
                    batches,
                    self._measured,
                    self.identity,
                    log,
                    self.progress,
                    self._class_weights(),
                    self.teacher,
                    self.features,
                    self.targets,
                )
                try:
                    trainer.fit(training, batches, ckpt_path=found.path, weights_only=True)
                except SIGTERMException as error:
                    # The process was asked to end; as an error of the training it would be the arch's failure.
                    raise KeyboardInterrupt from error
            training.to(trainer.strategy.root_device)
        finally:
            log.close()
        return training

    def _batches(self, epoch: Callable[[], int], parts: int) -> TrainBatches | ViewBatches:
        train, recipe = self.splits.train, self.recipe
        if self.views is None:
            classes = self.task.num_classes
            return TrainBatches(train, recipe, self.normalise, epoch, parts, classes, self.targets)
        return ViewBatches(
            self.targets.encoded(train.labels),
            self.views,
            self.task.input_shape[1],
            self.normalise,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            epoch=epoch,
            taught=self.taught,
            parts=parts,
        )

    def finished(self, training: NetworkTraining, resumed: int, notes: tuple[str, ...]) -> TrainedNetwork:
        """Evaluates the network; test images are read here, and nowhere else."""
        network, splits = training.finished(), self.splits
        _expect_finite(network, self.recipe)
        self._settle(network)
        predictions = {"val": self._predictions(network, splits.val)}
        if splits.test is not None:
            predictions["test"] = self._predictions(network, splits.test)
        epochs = training.epochs
        if not self.recipe.patience:
            epochs[-1] = replace(epochs[-1], val_score=predictions["val"].score)
        log = TrainingLog(self.folder, epochs, self.targets.score)
        log.close()
        if training.has_stopped and len(epochs) < self.recipe.epochs:
            notes = (
                *notes,
                f"training ended after epoch {len(epochs)} of {self.recipe.epochs}, as the validation "
                f"{self.targets.score_words} had not improved since epoch {training.best['epoch']}, whose weights were "
                "kept.",
            )
        return TrainedNetwork(
            network.cpu(), self.normalise, predictions, tuple(epochs), training.seconds, resumed, notes, self.targets
        )

    def _measured(self, network: nn.Module) -> float:
        self._settle(network)
        return self._predictions(network, self.splits.val).score

    def _predictions(self, network: nn.Module, split: Split) -> Predictions:
        return predict(network, split, self.normalise, targets=self.targets)

    def _class_weights(self) -> Tensor | None:
        """``(classes,)`` by which rare targets count as much as common ones; None where all images count the same."""
        if self.recipe.class_weights == "none":
            return None
        return torch.from_numpy(self.targets.balance(self.splits.train.labels, self.task.num_classes)).float()

    def _settle(self, network: nn.Module) -> None:
        train, seed = self.splits.train, self.recipe.seed
        halving(lambda size: settle_batch_norm(network, train, self.normalise, seed, size), SETTLING_BATCH)


def _expect_finite(network: nn.Module, recipe: Recipe) -> None:
    """Raises InvalidInputError where the last steps left weights that are not finite; no loss has shown it yet."""
    if not all(bool(torch.isfinite(weight).all()) for weight in network.parameters()):
        raise InvalidInputError(
            f"training diverged: weights are not finite after epoch {recipe.epochs} of {recipe.epochs}; lower the "
            f"learning rate ({recipe.learning_rate:g}), or lengthen the warm-up."
        )
