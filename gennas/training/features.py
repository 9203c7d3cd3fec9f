"""Feature distillation: in its first epochs a network learns what another one computes at the same places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from gennas.training.teacher import Teacher


class FeatureDistillation:
    """Compares what two networks compute at the same places, for the same images.

    Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, https://arxiv.org/abs/1412.6550; here without
    regressors, so that only features of the same shape are compared.

    Args:
        teacher: answers to the student's images.
        places: names of modules, as (student's, teacher's).
    """

    def __init__(self, teacher: Teacher, places: Sequence[tuple[str, str]]) -> None:
        self.teacher, self.places = teacher, tuple(places)

    def to(self, device: torch.device) -> None:
        """Moves the teacher."""
        self.teacher.to(device)

    @contextmanager
    def watched(self, network: nn.Module) -> Iterator[dict[str, Tensor]]:
        """What the student's modules return while the context is open, by name."""
        with _outputs(network, [own for own, _ in self.places]) as found:
            yield found

    def loss(self, features: dict[str, Tensor], images: Tensor) -> Tensor:
        """The mean square difference, in units of the teacher's variance; the mean over all places of the same shape.

        Args:
            features: of the student, see :meth:`watched`.
            images: ``(b, c, h, w)`` that the student saw.
        """
        with _outputs(self.teacher.network, [other for _, other in self.places]) as wanted:
            self.teacher(images)
        losses = [
            functional.mse_loss(features[own], wanted[other]) / wanted[other].var().clamp_min(1e-6)
            for own, other in self.places
            if own in features and other in wanted and features[own].shape == wanted[other].shape
        ]
        return torch.stack(losses).mean() if losses else images.new_zeros(())


@contextmanager
def _outputs(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    found: dict[str, Tensor] = {}

    def keep(name: str, value: object) -> None:
        if isinstance(value, Tensor):
            found[name] = value

    handles = [
        network.get_submodule(name).register_forward_hook(lambda module, args, out, name=name: keep(name, out))
        for name in names
    ]
    try:
        yield found
    finally:
        # A hook that stayed would be copied with the network.
        for handle in handles:
            handle.remove()
