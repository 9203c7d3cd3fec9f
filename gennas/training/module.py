"""NetworkTraining: a network with its loss, its optimiser, and all that its checkpoints must hold."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gennas.errors import InvalidInputError
from gennas.tasks.targets import CLASSIFICATION, TargetKind
from gennas.training import checkpoints
from gennas.training.batches import TrainBatches, epoch_seed
from gennas.training.features import FeatureDistillation
from gennas.training.optimisation import limit_gradients, optimiser_of
from gennas.training.progress_log import EpochLog, TrainingLog, epochs_of
from gennas.training.recipe import Recipe
from gennas.training.teacher import Teacher
from gennas.training.views import ViewBatches

#: Receives one line of progress.
Progress = Callable[[str], None]


class NetworkTraining(lightning.LightningModule):
    """A network with its loss, its optimiser, and all that its checkpoints must hold.

    Args:
        network: ``(b, c, h, w)`` images to ``(b, classes)`` logits.
        recipe: how to train.
        batches: of an epoch.
        measure: gives the score of a network on the validation images, as its accuracy; it may change the network.
        identity: identifies the training; checkpoints with another identity are not resumed.
        log: receives every epoch.
        progress: receives one line per epoch.
        class_weights: ``(classes,)`` factors of the images' losses; None for 1.
        teacher: of the recipe; None where the batches hold its answers.
        features: what the network also learns in its first ``recipe.feature_epochs``.
        targets: their kind, which has the loss.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        batches: TrainBatches | ViewBatches,
        measure: Callable[[nn.Module], float],
        identity: str,
        log: TrainingLog,
        progress: Progress,
        class_weights: Tensor | None = None,
        teacher: Teacher | None = None,
        features: FeatureDistillation | None = None,
        targets: TargetKind = CLASSIFICATION,
    ) -> None:
        super().__init__()
        self.network = network
        self.average = average_of(network, recipe, batches.steps) if recipe.ema_epochs else None
        self.recipe = recipe
        self.batches = batches
        self.measure = measure
        self.identity = identity
        self.log_file = log
        self.progress = progress
        self.class_weights = class_weights
        self.targets = targets
        # Not a module of this one: checkpoints need not hold it.
        self.teachers = [] if teacher is None else [teacher]
        self.features = features
        self.epochs: list[EpochLog] = []
        self.best: dict[str, Any] = {}
        self.has_stopped = False
        self.losses: list[Tensor] = []

    @property
    def trained(self) -> nn.Module:
        """The network to evaluate: that of the averaged weights, if the recipe averages."""
        return self.network if self.average is None else self.average.module

    @property
    def seconds(self) -> float:
        """Training time of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    def finished(self) -> nn.Module:
        """The network at the end, with the weights of the best epoch where training may end early."""
        network = self.trained
        if self.recipe.patience and self.best:
            network.load_state_dict(self.best["weights"])
        return network

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        images, targets, *taught = batch
        recipe, features = self.recipe, self.features if self.current_epoch < self.recipe.feature_epochs else None
        if features is None:
            logits = self.network(images)
        else:
            with features.watched(self.network) as computed:
                logits = self.network(images)
        loss = self.targets.loss(logits, targets, smoothing=recipe.label_smoothing, weights=self.class_weights)
        for answers in taught or [teacher(images) for teacher in self.teachers]:
            divergence = self.targets.distance(logits, answers, recipe.teacher_temperature)
            loss = (1 - recipe.teacher_weight) * loss + recipe.teacher_weight * divergence
        if features is not None:
            loss = loss + features.loss(computed, images)
        if self.batches.parts > 1:
            # Lightning adds up means over parts as if all were equally large.
            count, steps = len(self.batches.labels), self.batches.steps
            size = count // steps + (batch_idx // self.batches.parts < count % steps)
            loss = loss * (len(images) * self.batches.parts / size)
        self.losses.append(loss.detach())
        return loss

    def configure_optimizers(self) -> Any:
        recipe, steps = self.recipe, self.batches.steps
        optimiser = optimiser_of(self.network, recipe)
        # Evaluated at the middle of each step, so that neither the first nor the last step has a learning rate of 0.
        factor = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: recipe.learning_rate_factor((step + 0.5) / steps)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": factor, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        limit_gradients(self.network, self.recipe, self.global_step)

    def on_fit_start(self) -> None:
        if self.class_weights is not None:
            self.class_weights = self.class_weights.to(self.device)
        for teacher in self.teachers:
            teacher.to(self.device)
        if self.features is not None:
            self.features.to(self.device)

    def on_train_epoch_start(self) -> None:
        # Layers that draw random numbers, such as dropout, must draw the same ones after resuming.
        torch.manual_seed(epoch_seed(self.recipe.seed, self.current_epoch))
        for module in self.network.modules():
            if told := getattr(module, "set_training_progress", None):
                told(self.current_epoch / self.recipe.epochs)
        self.losses = []
        self.epoch_start = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.average is not None and (batch_idx + 1) % self.batches.parts == 0:
            self.average.update_parameters(self.network)

    def on_train_epoch_end(self) -> None:
        epoch, recipe, steps = self.current_epoch + 1, self.recipe, self.batches.steps
        loss = float(torch.stack(self.losses).mean())
        if not math.isfinite(loss):
            raise InvalidInputError(
                f"training diverged: the loss is {loss} in epoch {epoch} of {recipe.epochs}; "
                f"lower the learning rate ({recipe.learning_rate:g}), or lengthen the warm-up."
            )
        seconds = time.perf_counter() - self.epoch_start
        rate = recipe.learning_rate * recipe.learning_rate_factor((epoch * steps - 0.5) / steps)
        score = self.measure(deepcopy(self.trained)) if self._is_measured(epoch) else None
        self.epochs.append(EpochLog(epoch, loss, rate, score, seconds))
        if score is not None and recipe.patience:
            self._judge(epoch, score)
        self.log_file.write(self.epochs)
        remaining = seconds * (recipe.epochs - epoch)
        text = "" if score is None else f", validation {self.targets.score_words} {score:.4f}"
        self.progress(
            f"  epoch {epoch}/{recipe.epochs}: loss {loss:.3f}{text}, {self.seconds:.0f} s, {remaining:.0f} s left"
        )

    def _is_measured(self, epoch: int) -> bool:
        every = self.recipe.val_every or (1 if self.recipe.patience else 0)
        # The last epoch is measured in any case, when training has ended.
        return bool(every) and epoch % every == 0 and (epoch < self.recipe.epochs or bool(self.recipe.patience))

    def _judge(self, epoch: int, score: float) -> None:
        """Keeps the best weights, and ends the training where they have not changed for too long."""
        if not self.best or score > self.best["score"]:
            weights = {name: value.detach().cpu().clone() for name, value in self.trained.state_dict().items()}
            self.best = {"score": score, "epoch": epoch, "weights": weights}
        elif epoch - self.best["epoch"] >= self.recipe.patience:
            self.has_stopped = True
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["gennas"] = {
            "identity": self.identity,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "parts": self.batches.parts,
            "best": self.best,
            "stopped": self.has_stopped,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["gennas"]
        self.epochs = epochs_of(state["epochs"])
        # Earlier versions knew accuracies only.
        self.best = {name.replace("accuracy", "score"): value for name, value in state["best"].items()}
        self.has_stopped = state["stopped"]


class KeepCheckpoints(Checkpoint):
    """Saves a checkpoint after every epoch; Lightning calls ``Checkpoint`` callbacks last, after the loss check.

    Args:
        folder: of the network.
    """

    def __init__(self, folder: Any) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        checkpoints.save(self.folder, trainer.save_checkpoint)


def average_of(network: nn.Module, recipe: Recipe, steps: int) -> AveragedModel:
    """The exponential moving average of a network's weights, with a shorter memory in the first steps.

    Args:
        network: at its start.
        recipe: has the time constant.
        steps: per epoch.
    """
    most = math.exp(-1 / (recipe.ema_epochs * steps))

    def blend(averages: Any, weights: Any, count: Any) -> None:
        decay = min(most, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averages, weights, 1 - decay)

    return AveragedModel(network, multi_avg_fn=blend)
