"""How a generator is trained; apart from the training itself, so that the command line reads it without torch."""

from dataclasses import asdict, dataclass

from gennas.errors import InvalidInputError


@dataclass(frozen=True)
class GeneratorTraining:
    """How a generator is trained.

    Args:
        steps: optimiser steps.
        batch_size: archs per step.
        learning_rate: peak of a one-cycle schedule (AdamW).
        archs: how many archs are drawn to learn from where the space cannot be enumerated.
        width: features per slot of the denoiser.
        layers: transformer layers of the denoiser.
        held_out: share of the archs that is kept from training, to see how well the generator generalises.
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
            raise InvalidInputError(f"generator training: held_out is {self.held_out}; expected 0 up to, but not, 1.")
        for name, value in asdict(self).items():
            if value <= 0 and name != "held_out":
                raise InvalidInputError(f"generator training: {name} is {value}; expected a positive number.")
        if self.width % 4:
            raise InvalidInputError(f"generator training: width is {self.width}; expected a multiple of 4.")
