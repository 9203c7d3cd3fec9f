"""Strategy: the interface of how the paths of a supernet are trained together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.errors import InvalidInputError, unknown
from gennas.supernets.base import Supernet
from gennas.supernets.paths import Paths


@dataclass(frozen=True, eq=False)
class Step:
    """What a strategy needs for one step of the optimiser.

    Attributes:
        supernet: in training mode, with no gradients.
        paths: draws archs.
        images: ``(b, c, h, w)``, standardised.
        criterion: the loss of logits ``(b, classes)`` against the labels and, where there is one, a teacher's answers.
        teacher: logits ``(b, classes)`` of a better network, or None.
        rng: draws everything that the strategy leaves to chance; the same for every part of a batch.
        backward: adds the gradients of a loss to those that are there.
    """

    supernet: Supernet
    paths: Paths
    images: Tensor
    criterion: Callable[[Tensor], Tensor]
    teacher: Tensor | None
    rng: np.random.Generator
    backward: Callable[[Tensor], object]

    def learn(self, arch: Arch, loss: Callable[[Tensor], Tensor], share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Adds the gradients of an arch's loss.

        Args:
            arch: its path is taken.
            loss: of its logits.
            share: factor of the loss.

        Returns:
            Its logits ``(b, classes)`` and its loss, without gradients.
        """
        logits = self.supernet(self.images, arch)
        value = loss(logits)
        self.backward(value * share)
        return logits.detach(), value.detach()


class Strategy(ABC):
    """How the paths of a supernet are trained together; a subclass is a dataclass of its settings.

    Attributes:
        name: under which it is registered.
    """

    name: ClassVar[str]

    @property
    def shared_epochs(self) -> int:
        """For how many epochs the supernet is trained by the sandwich rule before :meth:`grown`."""
        return 0

    def expect(self, paths: Paths) -> None:  # noqa: B027
        """Finds out before training whether the space has the archs that the strategy draws.

        Raises:
            InvalidInputError: it does not; the message says why.
        """

    def grown(self, supernet: Supernet, trial: Callable[[int], Step]) -> Supernet:
        """The supernet that is trained: the one given, or one made of it that holds more weights.

        Args:
            supernet: after its classifier was trained, and :attr:`shared_epochs`.
            trial: gives one of the batches by its number, to try something; gradients are thrown away.
        """
        return supernet

    @classmethod
    def regrown(cls, supernet: Supernet, config: Mapping[str, Any]) -> Supernet:
        """One like that of :meth:`grown`, into which stored weights are loaded.

        Args:
            supernet: as it was before.
            config: of the supernet that was grown.
        """
        return supernet

    @abstractmethod
    def learn(self, step: Step) -> Tensor:
        """Adds up the gradients of one step, and returns the mean loss of its paths, without gradients."""

    def finish(self, supernet: Supernet) -> None:  # noqa: B027
        """May change the gradients once they are complete, before the optimiser's step."""

    def state(self) -> dict[str, Any]:
        """What the strategy remembers between steps: tensors and numbers, stored with every checkpoint."""
        return {}

    def resume(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Takes :meth:`state` back."""

    @property
    def settings(self) -> dict[str, Any]:
        """Name and settings, as they are stored."""
        return {"name": self.name, **{name: getattr(self, name) for name in setting_names(type(self))}}


def setting_names(strategy: type[Strategy]) -> list[str]:
    """The names of a strategy's settings; fields that begin with an underscore are what it remembers."""
    names = [field.name for field in fields(strategy)]  # type: ignore[arg-type]
    return [name for name in names if not name.startswith("_")]


def mean_of(losses: list[Tensor]) -> Tensor:
    """The mean of losses."""
    return torch.stack(losses).mean()


def expect_range(strategy: Strategy, name: str, low: float, high: float, expected: str) -> None:
    """Raises InvalidInputError for a setting of a strategy that is out of range."""
    value = getattr(strategy, name)
    whole = isinstance(low, int)
    kinds = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise InvalidInputError(f"is {value!r}; expected {expected}.", argument=f"{strategy.name}.{name}")


def expect_word(strategy: Strategy, name: str, words: tuple[str, ...]) -> None:
    """Raises UnknownNameError for a setting of a strategy that is none of some words."""
    value = getattr(strategy, name)
    if value not in words:
        raise unknown(f"{name} of strategy {strategy.name}", str(value), words)
