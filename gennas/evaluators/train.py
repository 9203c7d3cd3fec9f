"""TrainEvaluator: trains networks with Lightning; an interrupted training resumes."""

from __future__ import annotations

import logging
import math
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn
from torch.nn import functional

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.evaluators.base import EvaluationSettings, Evaluator
from gennas.evaluators.context import EvaluatorContext
from gennas.export.onnx import to_onnx
from gennas.files import replacing, write_bytes, write_json, write_safetensors
from gennas.metrics import Metric
from gennas.spaces import Space
from gennas.tasks import Task
from gennas.tasks.base import image_shape
from gennas.training.batches import Normalisation, TrainBatches, accuracy, epoch_seed, settle_batch_norm
from gennas.training.recipe import Recipe
from gennas.training.trainer import quiet

_LOG = logging.getLogger(__name__)

#: Receives one line of progress.
Progress = Callable[[str], None]

_LAST = "last.ckpt"


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
            ``test_accuracy@<task>``; fractions.
        seconds: training time, including that before interruptions.
        resumed_epoch: finished epochs found in the checkpoint; 0 if training started from scratch.
    """

    metrics: dict[str, float]
    seconds: float
    resumed_epoch: int


class TrainEvaluator(Evaluator):
    """Trains networks, on an accelerator if there is one.

    Writes to ``folder/<hash of the arch's key>/``: ``network.safetensors``, ``network.onnx`` (for one image),
    ``arch.json`` (how to preprocess images and rebuild the network) and, during training, ``last.ckpt`` after every
    epoch. Before every epoch, modules that have a method ``set_training_progress`` are told which share of the training
    is done. The same recipe gives the same weights on the same machine with the same number of threads, whether or not
    training was interrupted.

    Args:
        space: builds the networks.
        recipe: how to train.
        folder: parent folder of the networks' folders.
        progress: receives one line per epoch; logs it by default. A callable that cannot be pickled is not called in
            worker processes.
    """

    source = "trained"

    def __init__(self, space: Space, recipe: Recipe, folder: Path, progress: Progress = logged) -> None:
        self.space = space
        self.recipe = recipe
        self.folder = folder
        self.progress = progress

    def __getstate__(self) -> dict[str, Any]:
        try:
            pickle.dumps(self.progress)
        except (pickle.PicklingError, TypeError, AttributeError):
            return {**vars(self), "progress": silent}
        return vars(self)

    def is_kept(self, arch: Arch) -> bool:
        return (self.network_folder(arch) / "network.onnx").is_file()

    def stored(self, arch: Arch) -> None:
        self.forget_progress(arch)

    def network_folder(self, arch: Arch) -> Path:
        """The folder of an arch's network."""
        return self.folder / sha256(arch.key.encode()).hexdigest()[:12]

    @classmethod
    def make(cls, context: EvaluatorContext, wanted: Sequence[Metric]) -> Self | None:
        """The accuracy on the task, unless a table answers in its place.

        Raises:
            DataMissingError: the task has no images; raised here, where a message is read, rather than in workers.
            InvalidInputError: there is no folder for the networks.
        """
        task = context.problem.task
        if context.table is not None or all(metric.name != f"accuracy@{task.name}" for metric in wanted):
            return None
        task.splits()
        if context.folder is None:
            raise InvalidInputError("study is None; give a run folder, where trained networks are kept.")
        # Epochs of several trainings at once are nothing to read.
        return cls(context.problem.space, context.recipe, context.folder / "networks", silent)

    def metrics(self, task: Task) -> tuple[str, ...]:
        return (f"accuracy@{task.name}",)

    def conditions(self, seed: int, fidelity: int | None) -> EvaluationSettings:
        recipe = self._recipe(seed, fidelity)
        return EvaluationSettings(recipe.seed, recipe.epochs, recipe.hash)

    def _recipe(self, seed: int, fidelity: int | None) -> Recipe:
        return replace(self.recipe, seed=seed, epochs=self.recipe.epochs if fidelity is None else fidelity)

    def evaluate(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> dict[str, float]:
        """``accuracy@<task>`` on the validation images, and ``test_accuracy@<task>`` if there are test images.

        Raises:
            InvalidInputError: training diverged.
            DataMissingError: the task has no images.
        """
        return self.train(arch, task=task, seed=seed, fidelity=fidelity).metrics

    def forget_progress(self, arch: Arch) -> None:
        """Removes the checkpoint from which training would resume."""
        (self.network_folder(arch) / _LAST).unlink(missing_ok=True)

    def train(self, arch: Arch, *, task: Task, seed: int = 0, fidelity: int | None = None) -> Trained:
        """Like :meth:`evaluate`, and says how long it took.

        ``last.ckpt`` stays until :meth:`stored`: whoever stores the values before that trains no epoch twice.
        """
        recipe = self._recipe(seed, fidelity)
        splits, folder = task.splits(), self.network_folder(arch)
        folder.mkdir(parents=True, exist_ok=True)
        lightning.seed_everything(recipe.seed, verbose=False)
        network = self.space.build(arch, task).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        normalise = Normalisation(splits.train)
        identity = f"{arch.key} {self.space.skeleton} {task.name} {splits.fingerprint} {recipe.hash}"
        last = folder / _LAST
        resumed_epoch = _finished_epochs(last, identity)
        if resumed_epoch:
            self.progress(f"  resuming from epoch {resumed_epoch}/{recipe.epochs}, stored in {last}")
        with quiet():
            trainer = lightning.Trainer(
                max_epochs=recipe.epochs,
                accelerator="auto",
                devices=1,
                logger=False,
                callbacks=[_KeepLast(last)],
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            batches = TrainBatches(splits.train, recipe, normalise, epoch=lambda: trainer.current_epoch)
            training = _Training(network, recipe, len(batches), identity, self.progress)
            trainer.fit(training, batches, ckpt_path=last if resumed_epoch else None, weights_only=True)
        network.to(trainer.strategy.root_device)
        _expect_finite(network, recipe)
        settle_batch_norm(network, splits.train, normalise, recipe.seed)
        metrics = {f"accuracy@{task.name}": accuracy(network, splits.val, normalise)}
        if splits.test is not None:
            metrics[f"test_accuracy@{task.name}"] = accuracy(network, splits.test, normalise)
        self._write(network.cpu(), arch, task, normalise, folder)
        return Trained(metrics, training.seconds, resumed_epoch)

    def _write(self, network: nn.Module, arch: Arch, task: Task, normalise: Normalisation, folder: Path) -> None:
        """Writes the network in forms that can be used without the study."""
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        write_safetensors(folder / "network.safetensors", network.state_dict())
        write_bytes(folder / "network.onnx", to_onnx(network, image_shape(task, "training")))
        facts = {
            "key": arch.key,
            "space": self.space.name,
            "skeleton": self.space.skeleton,
            "task": task.name,
            "num_classes": task.num_classes,
            "class_names": list(task.class_names),
            "input_shape": list(task.input_shape),
            "preprocessing": {} if task.source is None else task.source.preprocessing(),
            "feed": "(pixels / 255 - mean) / std per channel",
            "mean": normalise.mean.flatten().tolist(),
            "std": normalise.std.flatten().tolist(),
            "rebuild": "space = gennas.get_space(space, skeleton as 'name=value,...'); network = "
            "space.build(space.parse(key), task); network.load_state_dict(safetensors.torch.load_file(...))",
        }
        write_json(folder / "arch.json", facts)


class _Training(lightning.LightningModule):
    """A network with its loss, its optimiser and what its checkpoint must hold.

    Args:
        network: ``(b, c, h, w)`` images to ``(b, classes)`` logits.
        recipe: how to train.
        steps: steps per epoch.
        identity: identifies the training; checkpoints with another identity are not resumed.
        progress: receives one line per epoch.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, steps: int, identity: str, progress: Progress) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.steps = steps
        self.identity = identity
        self.progress = progress
        self.seconds = 0.0
        self.losses: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        smoothing = self.recipe.label_smoothing
        loss = functional.cross_entropy(self.network(images), labels, label_smoothing=smoothing)
        self.losses.append(loss.detach())
        return loss

    def configure_optimizers(self) -> Any:
        recipe, weights = self.recipe, self.network.parameters()
        rate, decay = recipe.learning_rate, recipe.weight_decay
        optimiser: torch.optim.Optimizer
        if recipe.optimiser == "sgd":
            nesterov = recipe.momentum > 0
            optimiser = torch.optim.SGD(weights, rate, recipe.momentum, weight_decay=decay, nesterov=nesterov)
        else:
            optimiser = torch.optim.AdamW(weights, rate, (recipe.momentum, 0.999), weight_decay=decay)
        # Evaluated at the middle of each step, so that neither the first nor the last step has a learning rate of 0.
        factor = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: recipe.learning_rate_factor((step + 0.5) / self.steps)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": factor, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        # Layers that draw random numbers, such as dropout, must draw the same ones after resuming.
        torch.manual_seed(epoch_seed(self.recipe.seed, self.current_epoch))
        for module in self.network.modules():
            if told := getattr(module, "set_training_progress", None):
                told(self.current_epoch / self.recipe.epochs)
        self.losses = []
        self.epoch_start = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        epoch, epochs = self.current_epoch + 1, self.recipe.epochs
        loss = float(torch.stack(self.losses).mean())
        if not math.isfinite(loss):
            raise InvalidInputError(
                f"training diverged: the loss is {loss} in epoch {epoch} of {epochs}; "
                f"lower the learning rate ({self.recipe.learning_rate:g}), or lengthen the warm-up."
            )
        seconds = time.perf_counter() - self.epoch_start
        self.seconds += seconds
        remaining = seconds * (epochs - epoch)
        self.progress(f"  epoch {epoch}/{epochs}: loss {loss:.3f}, {self.seconds:.0f} s, {remaining:.0f} s left")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["gennas"] = {"identity": self.identity, "seconds": self.seconds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.seconds = checkpoint["gennas"]["seconds"]


class _KeepLast(Checkpoint):
    """Saves a checkpoint after every epoch; Lightning calls ``Checkpoint`` callbacks last, after the loss check."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        with replacing(self.path) as temporary:
            trainer.save_checkpoint(temporary)


def _expect_finite(network: nn.Module, recipe: Recipe) -> None:
    """Raises InvalidInputError where the last steps left weights that are not finite; no loss has shown it yet."""
    if not all(bool(torch.isfinite(weight).all()) for weight in network.parameters()):
        raise InvalidInputError(
            f"training diverged: weights are not finite after epoch {recipe.epochs} of {recipe.epochs}; lower the "
            f"learning rate ({recipe.learning_rate:g}), or lengthen the warm-up."
        )


def _finished_epochs(last: Path, identity: str) -> int:
    """Number of finished epochs in the checkpoint of this training; 0 if there is none."""
    if not last.is_file():
        return 0
    try:
        checkpoint = torch.load(last, map_location="cpu", weights_only=True)
        return int(checkpoint["epoch"]) + 1 if checkpoint["gennas"]["identity"] == identity else 0
    except Exception:
        # torch raises many kinds of errors for a damaged file; training then starts from scratch.
        return 0
