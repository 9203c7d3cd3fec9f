"""Effort: how much work goes into a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from gennas.errors import InvalidInputError, unknown

EffortName = Literal["quick", "standard", "thorough"]


@dataclass(frozen=True)
class Effort:
    """How much work goes into a design; :data:`EFFORTS` has those with a name.

    Attributes:
        parents: names of the elastic spaces whose sub-networks are considered.
        pixels: largest side of the images that a parent is adapted at.
        adapting: epochs of the parent.
        sharing: epochs of the elastic network.
        views: random crops of every image, on which the adapted parent's answers are learnt.
        scored: sub-networks whose accuracy is measured with inherited weights.
        timed: sub-networks whose latency is measured for the model of latencies.
        trained: generated networks that are fine-tuned.
        epochs: of their fine-tuning, and of the baselines'.

    Raises:
        InvalidInputError: a number below 1.
    """

    parents: tuple[str, ...] = ("lite0",)
    pixels: int = 192
    adapting: int = 8
    sharing: int = 10
    views: int = 8
    scored: int = 40
    timed: int = 24
    trained: int = 4
    epochs: int = 12

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "parents" and (not isinstance(value, int) or value < 1):
                raise InvalidInputError(f"is {value!r}; must be an integer >= 1.", argument=f"effort.{field.name}")
        if not self.parents:
            raise InvalidInputError("is empty; name at least one space, e.g. lite0.", argument="parents")

    @property
    def settings(self) -> dict[str, Any]:
        """As a study stores them; how many networks are trained may be raised later."""
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "trained"}
        return {**found, "parents": list(self.parents)}

    @classmethod
    def of(cls, effort: Effort | str) -> Effort:
        """What was given, or the effort of that name.

        Raises:
            UnknownNameError: no effort of that name.
        """
        if isinstance(effort, Effort):
            return effort
        if effort not in EFFORTS:
            raise unknown("effort", effort, EFFORTS)
        return EFFORTS[effort]


#: Name -> effort.
EFFORTS: Mapping[str, Effort] = {
    "quick": Effort(pixels=128, adapting=4, sharing=4, views=4, scored=16, timed=10, trained=2, epochs=6),
    "standard": Effort(),
    "thorough": Effort(
        parents=("lite0", "lite1"),
        pixels=224, adapting=16, sharing=30, views=16, scored=80, timed=32, trained=8, epochs=30,
    ),
}  # fmt: skip
