"""Supernet: the interface of a network that holds the weights of all archs of a space."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gennas.arch import Arch
from gennas.spaces import Space
from gennas.tasks import Task


class Supernet(nn.Module, ABC):
    """One network whose paths are the networks of all archs of a space, with shared weights.

    Attributes:
        space: of the archs.
        task: what the networks are for; their classifier has its classes.
    """

    space: Space
    task: Task

    @abstractmethod
    def forward(self, x: Tensor, arch: Arch) -> Tensor:
        """Logits ``(b, classes)`` of an arch's path for images ``(b, c, h, w)``.

        In training mode batch norms use the statistics of the batch and keep none: those of one path are of no use to
        another. In evaluation mode they use those that the supernet has, see :meth:`inherit`.
        """

    @abstractmethod
    def inherit(self, arch: Arch) -> nn.Module:
        """A stand-alone network of an arch, with a copy of the path's weights; equal to the path in evaluation mode.

        It is what ``space.build(arch, task)`` returns. Before it is evaluated, its batch norms need statistics of
        their own: :func:`gennas.training.batch_norm.settle_batch_norm`.
        """
