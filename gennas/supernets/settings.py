"""SupernetSettings: how a supernet is adapted to a task."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from gennas.errors import InvalidInputError
from gennas.supernets.paths import Draw
from gennas.training.recipe import Augmentation, Recipe

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class SupernetSettings:
    """How a supernet is adapted to a task; what a strategy leaves open.

    Args:
        epochs: passes over the training images with all paths.
        head_epochs: passes before them in which only a new classifier is trained; without one there are none.
        batch_size: images per step.
        learning_rate: peak of AdamW's learning rate; it decays to 0 as a cosine.
        head_learning_rate: of the classifier when it is trained alone.
        weight_decay: of AdamW, but not on norms and biases.
        warmup_epochs: length of the linear warm-up; may be a fraction.
        ema_epochs: time constant, in epochs, of the average of the weights that is kept; 0 for the last weights.
        label_smoothing: weight of the uniform distribution in the labels.
        teacher_weight: share of the loss that compares with a teacher's answers, where there are some.
        augmentation: of the training images, where batches do not come from elsewhere.
        clip_norm: largest norm of all gradients of a step; 0 for no limit.
        draw: how random paths are drawn, see :class:`gennas.supernets.paths.Paths`.
        resolutions: sides of images in pixels that paths are drawn with; empty for all of the space's. A step costs
            most at the largest one, at which the largest path is trained in every step.
        precision: of the arithmetic: ``float32``, or mixed with ``bfloat16``.
        seed: of the order of images, the augmentation and the paths.

    Raises:
        InvalidInputError: a value is out of range.
    """

    epochs: int = 10
    head_epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 1e-3
    head_learning_rate: float = 1e-2
    weight_decay: float = 0.01
    warmup_epochs: float = 0.5
    ema_epochs: float = 1.0
    label_smoothing: float = 0.1
    teacher_weight: float = 0.5
    augmentation: Augmentation = "flip+crop"
    clip_norm: float = 5.0
    draw: Draw = "near"
    resolutions: tuple[int, ...] = ()
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.head_epochs, bool) or not isinstance(self.head_epochs, int) or self.head_epochs < 0:
            _reject("head_epochs", self.head_epochs, "an integer of at least 0")
        rate = self.head_learning_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf"):
            _reject("head_learning_rate", rate, "a number above 0")
        if self.draw not in get_args(Draw):
            _reject("draw", self.draw, f"one of {', '.join(get_args(Draw))}")
        if self.precision not in get_args(Precision):
            _reject("precision", self.precision, f"one of {', '.join(get_args(Precision))}")
        object.__setattr__(self, "resolutions", tuple(self.resolutions))
        for side in self.resolutions:
            if isinstance(side, bool) or not isinstance(side, int) or side < 1:
                _reject("resolutions", self.resolutions, "sides of images in pixels")
        try:
            _ = self.recipe
        except InvalidInputError as error:
            argument = (error.argument or "").replace("recipe.", "supernet.")
            raise InvalidInputError(error.message, argument=argument or None) from error

    @property
    def recipe(self) -> Recipe:
        """The part that trainings of single networks have, too."""
        return Recipe(
            optimiser="adamw",
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup_epochs=self.warmup_epochs,
            epochs=self.epochs,
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            label_smoothing=self.label_smoothing,
            seed=self.seed,
            decay_norms=False,
            ema_epochs=self.ema_epochs,
            clip_norm=self.clip_norm,
            precision=self.precision,
            teacher_weight=self.teacher_weight,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as they are stored."""
        return {**asdict(self), "resolutions": list(self.resolutions)}

    def with_seed(self, seed: int) -> SupernetSettings:
        """The same settings with another seed."""
        return replace(self, seed=seed)


def _reject(name: str, value: object, expected: str) -> None:
    raise InvalidInputError(f"is {value!r}; expected {expected}.", argument=f"supernet.{name}")
