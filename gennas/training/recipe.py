"""Recipe: the settings that a network is trained with, validated and hashed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Literal, get_args

from gennas.errors import InvalidInputError

Optimiser = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "constant"]
Augmentation = Literal["none", "shift", "flip+crop"]

# To be increased when a change of the training code changes its results, so that older values are not reused.
# 2: batch norm statistics are made anew before a network is evaluated.
_VERSION = 2


@dataclass(frozen=True)
class Recipe:
    """The settings that a network is trained with.

    The defaults were selected by validation accuracy of three random NAS-Bench-201 cells on ``digits``, among SGD and
    AdamW, batch sizes 32 and 64, and 8 to 12 epochs.

    Args:
        optimiser: ``sgd`` (with Nesterov momentum) or ``adamw``.
        learning_rate: peak learning rate, reached after the warm-up.
        momentum: momentum of ``sgd``; first beta of ``adamw``.
        weight_decay: weight decay, applied to all weights.
        schedule: learning-rate schedule after the warm-up: ``cosine`` decay to 0, or ``constant``.
        warmup_epochs: length of the linear warm-up; may be a fraction.
        epochs: passes over the training images.
        batch_size: images per step.
        augmentation: ``shift`` shifts images by up to an eighth of their side; ``flip+crop`` also mirrors half of them,
            which is not suitable for digits and letters; or ``none``.
        label_smoothing: weight of the uniform distribution in the targets.
        seed: seed of the initial weights, the order of images and the augmentation.

    Raises:
        InvalidInputError: a value is out of range.
    """

    optimiser: Optimiser = "adamw"
    learning_rate: float = 0.003
    momentum: float = 0.9
    weight_decay: float = 0.05
    schedule: Schedule = "cosine"
    warmup_epochs: float = 1.0
    epochs: int = 10
    batch_size: int = 32
    augmentation: Augmentation = "shift"
    label_smoothing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {"optimiser": Optimiser, "schedule": Schedule, "augmentation": Augmentation}
        for name, literal in choices.items():
            if getattr(self, name) not in get_args(literal):
                _reject(name, getattr(self, name), f"one of {', '.join(get_args(literal))}")
        for name in ("epochs", "batch_size", "seed"):
            if not isinstance(getattr(self, name), int):
                _reject(name, getattr(self, name), "an integer")
        for name in ("learning_rate", "weight_decay", "warmup_epochs"):
            if not math.isfinite(getattr(self, name)):
                _reject(name, getattr(self, name), "a finite number")
        ranges = {
            "learning_rate": (self.learning_rate > 0, "above 0"),
            "momentum": (0 <= self.momentum < 1, "in [0, 1)"),
            "weight_decay": (self.weight_decay >= 0, "at least 0"),
            "warmup_epochs": (self.warmup_epochs >= 0, "at least 0"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 2, "at least 2, because of batch norm"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "in [0, 1)"),
            "seed": (0 <= self.seed < 2**32, "0 to 4294967295"),
        }
        for name, (is_valid, expected) in ranges.items():
            if not is_valid:
                _reject(name, getattr(self, name), expected)

    @property
    def hash(self) -> str:
        """A hash of the recipe, twelve hexadecimal digits; part of the key of a stored value."""
        canonical = json.dumps({"version": _VERSION, **asdict(self)}, sort_keys=True)
        return sha256(canonical.encode()).hexdigest()[:12]

    def learning_rate_factor(self, epoch: float) -> float:
        """The learning rate after ``epoch`` passes over the images, as a fraction of ``learning_rate``."""
        warmup = min(self.warmup_epochs, self.epochs)
        if epoch < warmup:
            return epoch / warmup
        if self.schedule == "constant" or warmup == self.epochs:
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (self.epochs - warmup)))


def _reject(name: str, value: object, expected: str) -> None:
    raise InvalidInputError(f"is {value!r}; expected {expected}.", argument=f"recipe.{name}")
