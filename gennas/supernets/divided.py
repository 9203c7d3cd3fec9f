"""DividedSupernet: several supernets, each for a part of the space."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from gennas.arch import Arch
from gennas.supernets.base import Supernet
from gennas.tasks import Task


class Cut(NamedTuple):
    """A division of a space in two, by the operation of one slot.

    Attributes:
        slot: index in the template.
        second: operations of the second half; all others belong to the first, so does a slot that is not active.
    """

    slot: int
    second: tuple[str, ...]


class DividedSupernet(Supernet):
    """A copy of a supernet for every part of the space; an arch's path is one of the copy of its part.

    Args:
        supernet: the copy of the first part; taken over.
        cuts: each of them divides all parts in two.
    """

    def __init__(self, supernet: Supernet, cuts: Sequence[Cut]) -> None:
        super().__init__()
        self.space, self.task, self.origin = supernet.space, supernet.task, dict(supernet.origin)
        self.cuts = tuple(cuts)
        self.parts = nn.ModuleList([supernet, *(copy.deepcopy(supernet) for _ in range(2 ** len(cuts) - 1))])

    def part(self, arch: Arch) -> Supernet:
        """The supernet of an arch's part."""
        number = 0
        for slot, second in self.cuts:
            number = 2 * number + (arch.ops[slot] in second)
        return cast(Supernet, self.parts[number])

    def forward(self, x: Tensor, arch: Arch) -> Tensor:
        logits: Tensor = self.part(arch)(x, arch)
        return logits

    def inherit(self, arch: Arch, task: Task | None = None) -> nn.Module:
        return self.part(arch).inherit(arch, task)

    def largest(self) -> Arch | None:
        return cast(Supernet, self.parts[0]).largest()

    def smallest(self) -> Arch | None:
        return cast(Supernet, self.parts[0]).smallest()

    def classifier(self) -> nn.Module | None:
        return cast(Supernet, self.parts[0]).classifier()

    def config(self) -> dict[str, Any]:
        return {"strategy": "splits", "cuts": [[slot, list(second)] for slot, second in self.cuts]}
