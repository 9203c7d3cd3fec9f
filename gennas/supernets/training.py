"""SupernetTraining: a supernet with its strategy, its optimiser, and all that its checkpoints must hold."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.nn import functional

from gennas.errors import InvalidInputError
from gennas.progress import Report
from gennas.supernets.base import Supernet
from gennas.supernets.batches import Batch, BatchSource
from gennas.supernets.paths import Paths
from gennas.supernets.settings import SupernetSettings
from gennas.supernets.strategies import Step, Strategy
from gennas.training import checkpoints
from gennas.training.batches import epoch_seed
from gennas.training.module import average_of
from gennas.training.optimisation import limit_gradients, optimiser_of
from gennas.training.teacher import distillation_loss


@dataclass(frozen=True)
class SupernetEpoch:
    """What is known of one epoch.

    Attributes:
        epoch: its number, from 1.
        phase: ``head`` while only the classifier was trained, else the strategy's name.
        loss: mean of its steps.
        seconds: that it took.
    """

    epoch: int
    phase: str
    loss: float
    seconds: float


class SupernetTraining(lightning.LightningModule):
    """Trains some epochs of an adaptation: first the classifier alone, then all paths by a strategy.

    Args:
        supernet: is changed.
        strategy: of the epochs after the first ``settings.head_epochs``.
        paths: draws archs.
        settings: what the strategy leaves open.
        source: of the batches.
        identity: identifies the training; checkpoints with another identity are not resumed.
        report: receives the number of finished steps, of all stages together.
        first: number of epochs that were trained before, in another stage.
        parts: into how many parts batches are split, for little memory.
    """

    def __init__(
        self,
        supernet: Supernet,
        strategy: Strategy,
        paths: Paths,
        settings: SupernetSettings,
        source: BatchSource,
        identity: str,
        report: Report,
        first: int = 0,
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.supernet, self.strategy, self.paths = supernet, strategy, paths
        self.settings, self.recipe, self.source = settings, settings.recipe, source
        self.identity, self.report, self.first, self.parts = identity, report, first, parts
        self.average = average_of(supernet, self.recipe, source.steps) if settings.ema_epochs else None
        self.epochs: list[SupernetEpoch] = []
        self.losses: list[Tensor] = []

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 0, in all stages together."""
        return self.first + self.current_epoch

    @property
    def is_head(self) -> bool:
        """Whether only the classifier is trained now."""
        return self.epoch < self.head_epochs

    @property
    def head_epochs(self) -> int:
        """Epochs in which only the classifier is trained."""
        return self.settings.head_epochs if self.supernet.classifier() is not None else 0

    @property
    def trained(self) -> Supernet:
        """The supernet to keep: that of the averaged weights, if there are some."""
        averaged = self.average is not None and bool(self.average.n_averaged)
        return self.average.module if averaged else self.supernet  # type: ignore[return-value, union-attr]

    def batches(self) -> _Epochs:
        """What Lightning iterates over."""
        return _Epochs(self)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimiser_of(self.supernet, self.recipe)

    def on_train_epoch_start(self) -> None:
        # Layers that draw random numbers, such as dropout, must draw the same ones after resuming.
        torch.manual_seed(epoch_seed(self.settings.seed, self.epoch))
        head = self.supernet.classifier() if self.is_head else None
        self.supernet.train().requires_grad_(head is None)
        if head is not None:
            head.requires_grad_(True)
        self.losses, self.start = [], time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        optimiser = self.optimizers()
        assert not isinstance(optimiser, list)
        for group in optimiser.param_groups:
            group["lr"] = self.learning_rate(batch_idx)
        optimiser.zero_grad()
        images, labels, teacher = batch
        loss = torch.zeros((), device=self.device)
        for rows in torch.arange(len(images)).tensor_split(min(self.parts, len(images) // 2 or 1)):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            answers = None if teacher is None else teacher[part]
            loss += self._learn(images[part], labels[part], answers, batch_idx, len(rows) / len(images))
        if not self.is_head:
            self.strategy.finish(self.supernet)
        limit_gradients(self.supernet, self.recipe, self.global_step)
        optimiser.step()
        if self.average is not None and not self.is_head:
            self.average.update_parameters(self.supernet)
        self.losses.append(loss)
        self.report(self.epoch * self.source.steps + batch_idx + 1, f"loss {float(loss):.3f}")
        return loss

    def step(
        self, images: Tensor, labels: Tensor, teacher: Tensor | None, rng: np.random.Generator, share: float = 1.0
    ) -> Step:
        """What a strategy needs for a batch.

        Args:
            images: ``(b, c, h, w)``.
            labels: ``(b,)``.
            teacher: logits ``(b, classes)``, or None.
            rng: of the strategy.
            share: factor of all gradients.
        """

        def criterion(logits: Tensor) -> Tensor:
            loss = functional.cross_entropy(logits, labels, label_smoothing=self.settings.label_smoothing)
            if teacher is None:
                return loss
            weight = self.settings.teacher_weight
            return (1 - weight) * loss + weight * distillation_loss(logits, teacher, 1.0)

        return Step(
            self.supernet,
            self.paths,
            images,
            criterion,
            teacher,
            rng,
            lambda loss: self.manual_backward(loss * share),
        )

    def _learn(self, images: Tensor, labels: Tensor, teacher: Tensor | None, number: int, share: float) -> Tensor:
        """Adds up the gradients of a part of a batch; returns its share of the loss."""
        # Every part of a batch takes the same paths.
        rng = np.random.default_rng((self.settings.seed, self.epoch, number))
        step = self.step(images, labels, teacher, rng, share)
        if self.is_head:
            return step.learn(self.paths.trunk(rng), step.criterion)[1] * share
        return self.strategy.learn(step) * share

    def learning_rate(self, number: int) -> float:
        """The learning rate of a step of the current epoch."""
        done = self.epoch + (number + 0.5) / self.source.steps
        if self.is_head:
            return self.settings.head_learning_rate * 0.5 * (1 + math.cos(math.pi * done / self.head_epochs))
        return self.settings.learning_rate * self.recipe.learning_rate_factor(done - self.head_epochs)

    def on_train_epoch_end(self) -> None:
        loss = float(torch.stack(self.losses).mean())
        if not math.isfinite(loss):
            raise InvalidInputError(
                f"training of the supernet diverged: the loss is {loss} in epoch {self.epoch + 1}; lower the learning "
                f"rate ({self.settings.learning_rate:g}), or lengthen the warm-up."
            )
        phase = "head" if self.is_head else self.strategy.name
        self.epochs.append(SupernetEpoch(self.epoch + 1, phase, loss, time.perf_counter() - self.start))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["gennas"] = {
            "identity": self.identity,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "parts": self.parts,
            "config": self.supernet.config(),
            "strategy": self.strategy.state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["gennas"]
        self.epochs = [SupernetEpoch(**epoch) for epoch in state["epochs"]]
        self.strategy.resume(state["strategy"])


class _Epochs:
    """The batches of the current epoch."""

    def __init__(self, training: SupernetTraining) -> None:
        self.training = training

    def __len__(self) -> int:
        return self.training.source.steps

    def __iter__(self) -> Iterator[Batch]:
        # Not before the first batch is asked for: a resumed trainer knows its epoch only then.
        yield from self.training.source.epoch(self.training.epoch)


class KeepSupernet(Checkpoint):
    """Saves a checkpoint after every epoch; Lightning calls ``Checkpoint`` callbacks last, after the loss check.

    Args:
        folder: of the stage.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        checkpoints.save(self.folder, trainer.save_checkpoint)
