"""Ensembles: trained networks whose mean is one network, and can be exported as others are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gennas.errors import InvalidInputError
from gennas.export.trained import KeptNetwork
from gennas.spaces.drawing import draw_svg
from gennas.tasks.base import expect_classes

#: Between the keys of an ensemble's archs.
AND = " + "
#: What of a training is added up.
_SUMS = ("seconds",)


class MeanOfNetworks(nn.Module):
    """Networks of the same classes, and the logarithm of their mean probabilities.

    Args:
        networks: ``(b, c, h, w) -> (b, classes)`` logits.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """``(b, c, h, w) -> (b, classes)`` logits, whose softmax is the mean of the networks' softmaxes."""
        told = [network(images).log_softmax(1) for network in self.networks]
        return torch.stack(told).logsumexp(0) - math.log(len(self.networks))


@dataclass(frozen=True, eq=False)
class KeptEnsemble(KeptNetwork):
    """Trained networks as one, which takes images of the largest side of theirs.

    Attributes:
        members: the networks, each for images of its own side.
    """

    members: tuple[KeptNetwork, ...] = ()

    @classmethod
    def of(cls, members: Sequence[KeptNetwork], facts: Mapping[str, Any] | None = None) -> KeptEnsemble:
        """The mean of networks.

        Args:
            members: for the same classes and with the same normalisation; those for smaller images than the largest
                are of a space that sizes images, and resize them (antialiased).
            facts: of the ensemble; by default those that follow from its members'.

        Raises:
            InvalidInputError: fewer than two members, or they do not fit together.
        """
        if len(members) < 2:
            raise InvalidInputError(f"an ensemble of {len(members)} networks; expected at least 2.")
        for member in members:
            expect_classes(member.task, "an ensemble", "export one network.")
        largest = max(members, key=lambda member: member.preprocessing.shape)
        for member in members:
            own, other = largest.preprocessing, member.preprocessing
            if (own.mean, own.std) != (other.mean, other.std) or largest.labels != member.labels:
                raise InvalidInputError(
                    f"{member.key} and {largest.key} take images with different normalisations, or have other classes; "
                    "the mean is of networks that take the same images."
                )
        network = MeanOfNetworks([_at(member, largest) for member in members]).eval()
        return cls(
            network, largest.space, largest.arch, largest.task, largest.preprocessing,
            ensemble_facts(members) if facts is None else facts, None, members=tuple(members),
        )  # fmt: skip

    @property
    def key(self) -> str:
        return AND.join(member.key for member in self.members)

    @property
    def space_text(self) -> str:
        return ", ".join(dict.fromkeys(member.space_text for member in self.members))

    def drawings(self) -> dict[str, str]:
        """File -> drawing of a member, each with its number."""
        return {
            f"arch{number}.svg": draw_svg(member.space, member.arch, task=member.task)
            for number, member in enumerate(self.members, start=1)
        }


def ensemble_facts(members: Sequence[KeptNetwork]) -> dict[str, Any]:
    """What ``arch.json`` says of an ensemble: as its members do, which were trained alike, and their own facts."""
    largest = max(members, key=lambda member: member.preprocessing.shape)
    left_out = {"rebuild", "metrics", "notes", "inherited"}
    return {
        **{name: value for name, value in largest.facts.items() if name not in left_out},
        **{name: sum(float(member.facts.get(name, 0)) for member in members) for name in _SUMS},
        "key": AND.join(member.key for member in members),
        "members": [
            {name: member.facts.get(name) for name in ("key", "space", "input_shape", "metrics")} for member in members
        ],
    }


def _at(member: KeptNetwork, largest: KeptNetwork) -> nn.Module:
    """A member for images of another side: with the same weights, and a resize where it needs one."""
    if member.preprocessing.shape == largest.preprocessing.shape:
        return member.network
    if not member.space.sizes_images:
        raise InvalidInputError(
            f"{member.key} takes images of shape {list(member.preprocessing.shape)}, others of the ensemble of shape "
            f"{list(largest.preprocessing.shape)}; space {member.space.name!r} resizes none."
        )
    network = member.space.build(member.arch, largest.task)
    network.load_state_dict(member.network.state_dict())
    return network.eval()
