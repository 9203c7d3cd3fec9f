"""Settings of generator training; in a module of their own, so that the command line can read them without torch."""

from dataclasses import asdict, dataclass

from gennas.errors import InvalidInputError


@dataclass(frozen=True)
class GeneratorTraining:
    """Settings of generator training.

    Args:
        steps: optimiser steps.
        batch_size: archs per step.
        learning_rate: peak of a one-cycle schedule (AdamW).
        archs: number of training archs, drawn at random if the space cannot be enumerated.
        width: features per slot of the denoiser.
        layers: transformer layers of the denoiser.
        held_out: fraction of the archs that is held out from training, to measure how well the generator generalises.

    Raises:
        InvalidInputError: a value is out of range.
    """

    steps: int = 2000
    batch_size: int = 256
    learning_rate: float = 2e-3
    archs: int = 50_000
    width: int = 32
    layers: int = 2
    held_out: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise InvalidInputError(f"is {self.held_out}; must be in [0, 1).", argument="training.held_out")
        for name, value in asdict(self).items():
            if value <= 0 and name != "held_out":
                raise InvalidInputError(f"is {value}; must be positive.", argument=f"training.{name}")
        if self.width % 4:
            raise InvalidInputError(f"is {self.width}; must be a multiple of 4.", argument="training.width")
