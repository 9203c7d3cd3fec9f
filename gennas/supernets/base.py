"""Supernet: the interface of a network that holds the weights of all archs of a space."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from torch import Tensor, nn

from gennas.arch import Arch
from gennas.spaces import Space
from gennas.tasks import Task


class Supernet(nn.Module, ABC):
    """One network whose paths are the networks of all archs of a space, with shared weights.

    Attributes:
        space: of the archs.
        task: what the networks are for; their classifier has its classes.
        origin: where its first weights come from, for whoever is given copies: ``weights`` and ``licence``, in words;
            empty where they are random.
    """

    space: Space
    task: Task
    origin: Mapping[str, str] = MappingProxyType({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Weights are copied; images and what a space has counted need not be.
        memo.update({id(kept): kept for kept in (self.space, self.task)})
        made = self.__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    @abstractmethod
    def forward(self, x: Tensor, arch: Arch) -> Tensor:
        """Logits ``(b, classes)`` of an arch's path for images ``(b, c, h, w)``.

        In training mode batch norms use the statistics of the batch and keep none: those of one path are of no use to
        another. In evaluation mode they use those that the supernet has, see :meth:`inherit`.
        """

    @abstractmethod
    def inherit(self, arch: Arch, task: Task | None = None) -> nn.Module:
        """A stand-alone network of an arch, with a copy of the path's weights; equal to the path in evaluation mode.

        It is what ``space.build(arch, task)`` returns. Before it is evaluated, its batch norms need statistics of
        their own: :func:`gennas.training.batch_norm.settle_batch_norm`.

        Args:
            arch: of the space.
            task: the supernet's with images of another size, for which the network is built; by default its own.
        """

    def largest(self) -> Arch | None:
        """The arch whose path contains all others, where there is one: it teaches them."""
        return None

    def smallest(self) -> Arch | None:
        """The arch whose path is contained in all others, where there is one."""
        return None

    def classifier(self) -> nn.Module | None:
        """The part that is new to the task, and trained alone first; None where all weights are new."""
        return None

    def config(self) -> dict[str, Any]:
        """What a supernet that a strategy made of another one is made with; empty for that of the space.

        ``strategy`` is the strategy's name; the rest are numbers and words that JSON can hold.
        """
        return {}
