"""adapt: the training of a supernet for a task, from pretrained or random weights to a folder on disk."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from gennas.errors import InvalidInputError, StudyError
from gennas.files import locked
from gennas.progress import progress
from gennas.settings import differences
from gennas.supernets.base import Supernet
from gennas.supernets.batches import AugmentedBatches, BatchSource
from gennas.supernets.paths import Paths
from gennas.supernets.settings import SupernetSettings
from gennas.supernets.stored import fingerprint, holds_supernet, load_supernet, save_supernet, supernet_facts
from gennas.supernets.strategies import Step, Strategy, get_strategy
from gennas.supernets.training import KeepSupernet, SupernetEpoch, SupernetTraining
from gennas.tasks import Task
from gennas.tasks.base import expect_classes
from gennas.training import checkpoints
from gennas.training.batches import Normalisation
from gennas.training.memory import is_out_of_memory, release
from gennas.training.trainer import quiet

_LOG = logging.getLogger(__name__)
_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
# To be increased when a change of the training code changes its results.
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Adapted:
    """A supernet that was adapted to a task.

    Attributes:
        supernet: in evaluation mode, on the CPU.
        folder: that holds it.
        fingerprint: of its weights.
        epochs: the log.
        seconds: training time, including that before interruptions.
        resumed_epoch: finished epochs that were found; 0 if training began here.
        notes: what the user should know, in sentences.
    """

    supernet: Supernet
    folder: Path
    fingerprint: str
    epochs: tuple[SupernetEpoch, ...]
    seconds: float
    resumed_epoch: int
    notes: tuple[str, ...]


def adapt(
    supernet: Supernet,
    task: Task,
    settings: SupernetSettings,
    folder: Path,
    *,
    strategy: Strategy | str = "sandwich",
    batches: BatchSource | None = None,
    title: str = "adapting the supernet",
) -> Adapted:
    """Trains a supernet on a task's images, on an accelerator if there is one; resumes after the last finished epoch.

    A folder that holds the result already is only read. Where memory does not suffice, batches are trained in halves,
    quarters and so on.

    Args:
        supernet: with pretrained or random weights; it is changed.
        task: has the images.
        settings: how to train.
        folder: receives the supernet, and checkpoints until it is there.
        strategy: how its paths are trained together, or the name of that.
        batches: gives the batches; by default the task's images at the largest resolution of the paths, augmented.
        title: of the progress.

    Raises:
        InvalidInputError: training diverged, or the strategy does not fit the space.
        StudyError: the folder holds a supernet that was trained otherwise, or another process writes to it.
        DataMissingError: the task has no images.
        RuntimeError: memory does not suffice for two images.
    """
    expect_classes(task, "a supernet", "train its archs by themselves, with gennas search or gennas validate.")
    if isinstance(strategy, str):
        strategy = get_strategy(strategy)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "supernet.lock", str(folder)):
        paths = Paths(supernet, settings.draw, settings.resolutions)
        strategy.expect(paths)
        source = batches or default_batches(supernet, task, settings, paths)
        asked = _asked(supernet, settings, strategy, source)
        if holds_supernet(folder):
            return _found(folder, task, asked)
        return _Adaptation(supernet, task, settings, folder, strategy, source, paths, asked, title)()


def default_batches(supernet: Supernet, task: Task, settings: SupernetSettings, paths: Paths) -> BatchSource:
    """A task's images, augmented, at the largest resolution that paths have, unless they are smaller themselves."""
    normalise = Normalisation.of(supernet.space, task)
    if paths.side is not None and min(task.input_shape[1:]) > paths.side:
        task = task.resized(paths.side)
    return AugmentedBatches(task, settings.recipe, normalise)


class _Adaptation:
    """What the stages of an adaptation share, and the attempts at each."""

    def __init__(
        self,
        supernet: Supernet,
        task: Task,
        settings: SupernetSettings,
        folder: Path,
        strategy: Strategy,
        source: BatchSource,
        paths: Paths,
        asked: dict[str, Any],
        title: str,
    ) -> None:
        self.supernet, self.task, self.settings, self.folder = supernet, task, settings, folder
        self.strategy, self.source, self.paths, self.asked, self.title = strategy, source, paths, asked, title
        self.identity = sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
        head = settings.head_epochs if supernet.classifier() is not None else 0
        #: Epochs of the first stage, at the end of which the supernet may grow, and of both.
        self.first, self.total = head + min(strategy.shared_epochs, settings.epochs), head + settings.epochs
        self.grows = type(strategy).grown is not Strategy.grown
        self.resumed, self.parts = 0, 1
        self.notes: list[str] = []

    def __call__(self) -> Adapted:
        lightning.seed_everything(self.settings.seed, verbose=False)
        if self.settings.head_epochs and (classifier := self.supernet.classifier()) is not None:
            _renew(classifier)
        with progress(self.title, self.total * self.source.steps) as self.report:
            if not self.grows:
                return self._finished(self._stage(self.supernet, self.strategy, self.folder, 0, self.total))
            known = checkpoints.find(self.folder / "grown", self.identity).state
            epochs: list[SupernetEpoch] = []
            if known is not None:
                grown = self.strategy.regrown(self.supernet, known["config"])
            else:
                first = self._stage(self.supernet, get_strategy("sandwich"), self.folder / "first", 0, self.first)
                epochs = first.epochs
                grown = self.strategy.grown(self.supernet.train().requires_grad_(True), partial(self._trial, first))
                self.supernet.zero_grad()
            training = self._stage(grown, self.strategy, self.folder / "grown", self.first, self.total, epochs)
            return self._finished(training)

    def _trial(self, training: SupernetTraining, number: int) -> Step:
        """A batch of the next epoch, with which nothing is trained."""
        batches = self.source.epoch(self.first)
        images, labels, teacher = next(islice(batches, number % self.source.steps, None))
        rng = np.random.default_rng((self.settings.seed, self.first, number))
        device = next(training.supernet.parameters()).device
        step = training.step(images.to(device), labels.to(device), None if teacher is None else teacher.to(device), rng)
        return replace(step, backward=lambda loss: loss.backward())

    def _stage(
        self,
        supernet: Supernet,
        strategy: Strategy,
        folder: Path,
        first: int,
        last: int,
        epochs: list[SupernetEpoch] | None = None,
    ) -> SupernetTraining:
        """Trains the epochs from ``first`` up to ``last``, in smaller parts where the memory does not suffice."""
        folder.mkdir(parents=True, exist_ok=True)
        initial = {name: values.clone() for name, values in supernet.state_dict().items()}
        remembered = strategy.state()
        while True:
            found = checkpoints.find(folder, self.identity)
            if found.note:
                self.notes.append(found.note)
            state = found.state or {}
            self.parts = max(self.parts, state.get("parts", 1))
            self.resumed = max(self.resumed, first + found.epochs if found.epochs else 0)
            training = SupernetTraining(
                supernet,
                strategy,
                self.paths,
                self.settings,
                self.source,
                self.identity,
                self.report,
                first,
                self.parts,
            )
            training.epochs = list(epochs or ())
            if first == last:
                return training
            try:
                self._fit(training, found.path, folder, last - first)
                return training
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.settings.batch_size // (2 * self.parts) < 2:
                    raise
            # Outside of the handler, where what the failed attempt held is free.
            release()
            # A checkpoint is loaded over them, where there is one.
            supernet.load_state_dict(initial)
            strategy.resume(remembered)
            self.parts *= 2
            size = -(-self.settings.batch_size // self.parts)
            note = f"the memory did not suffice for batches of {self.settings.batch_size} images; they were trained "
            self.notes.append(f"{note}{size} at a time, with the gradients of a batch added up.")
            _LOG.info("out of memory; going on with %s images at a time", size)

    def _fit(self, training: SupernetTraining, checkpoint: Path | None, folder: Path, epochs: int) -> None:
        with quiet():
            trainer = lightning.Trainer(
                max_epochs=epochs,
                accelerator="auto",
                devices=1,
                precision=cast(Any, _PRECISIONS[self.settings.precision]),
                logger=False,
                callbacks=[KeepSupernet(folder)],
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            try:
                trainer.fit(training, training.batches(), ckpt_path=checkpoint, weights_only=True)
            except SIGTERMException as error:
                # The process was asked to end; that is no error of the training.
                raise KeyboardInterrupt from error
        training.to(trainer.strategy.root_device)

    def _finished(self, training: SupernetTraining) -> Adapted:
        supernet = training.trained.cpu().requires_grad_(True).eval()
        if not all(bool(torch.isfinite(weight).all()) for weight in supernet.parameters()):
            raise InvalidInputError(
                f"training of the supernet diverged: weights are not finite after epoch {self.total}; lower the "
                f"learning rate ({self.settings.learning_rate:g}), or lengthen the warm-up."
            )
        seconds = sum(epoch.seconds for epoch in training.epochs)
        facts = {
            "asked": self.asked,
            "seconds": seconds,
            "epochs": [asdict(epoch) for epoch in training.epochs],
            "notes": self.notes,
        }
        save_supernet(supernet, self.folder, facts)
        for place in (self.folder, self.folder / "first", self.folder / "grown"):
            checkpoints.remove(place)
        return Adapted(
            supernet,
            self.folder,
            fingerprint(self.folder),
            tuple(training.epochs),
            seconds,
            self.resumed,
            tuple(self.notes),
        )


def _found(folder: Path, task: Task, asked: dict[str, Any]) -> Adapted:
    """The supernet that a folder holds, if it was trained as asked."""
    facts = supernet_facts(folder)
    if differing := differences(facts.get("asked", {}), asked):
        raise StudyError(
            f"{folder} holds a supernet that was adapted with other settings: {'; '.join(differing)}. Choose another "
            "folder, or remove it."
        )
    epochs = tuple(SupernetEpoch(**epoch) for epoch in facts["epochs"])
    supernet = load_supernet(folder, task)
    return Adapted(
        supernet,
        folder,
        facts["fingerprint"],
        epochs,
        float(facts["seconds"]),
        len(epochs),
        tuple(facts["notes"]),
    )


def _asked(supernet: Supernet, settings: SupernetSettings, strategy: Strategy, source: BatchSource) -> dict[str, Any]:
    """What determines the result, in numbers and words; random weights that are replaced are left out."""
    classifier = supernet.classifier()
    new = set()
    if classifier is None:
        new = set(supernet.state_dict())
    elif settings.head_epochs:
        own = {id(weight) for weight in classifier.parameters()}
        new = {name for name, weight in supernet.named_parameters() if id(weight) in own}
    digest = sha256()
    for name, values in supernet.state_dict().items():
        if name not in new:
            digest.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return {
        "version": _VERSION,
        "space": supernet.space.name,
        "skeleton": supernet.space.skeleton,
        "weights": digest.hexdigest()[:12],
        "batches": source.fingerprint,
        "settings": settings.settings,
        "strategy": strategy.settings,
    }


def _renew(classifier: nn.Module) -> None:
    """Random weights, the same for the same seed: those that the caller's process drew are not those of the next."""
    for module in classifier.modules():
        if callable(renew := getattr(module, "reset_parameters", None)):
            renew()
