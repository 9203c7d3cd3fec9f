"""Domain: what all labels of a metric have in common, outside of which nothing is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidInputError
from gennas.spaces import Space

#: With fewer labels, that all have a choice in common says little about why.
FEWEST_LABELS = 50
#: The same for a choice whose alternatives are known from other slots, as those of a cell's edges are: what is learnt
#: of an operation in one slot holds to some degree in another, and a part of a table may share one without a reason.
FEWEST_LABELS_OF_SHARED = 1000


@dataclass(frozen=True)
class Domain:
    """The archs and networks that a metric was learnt from, where these are a part of the space.

    A table of accuracies at one resolution tells nothing of others. It shows in the labels themselves: all have the
    same operation in a slot that could have others.

    Attributes:
        fixed: slot -> the operation that all labelled archs have there; empty where they differ in every slot.
        skeleton: settings of the networks that were labelled.
    """

    fixed: Mapping[str, str] = field(default_factory=dict)
    skeleton: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, space: Space, ops: np.ndarray) -> Self:
        """The domain of labelled archs.

        Args:
            space: of the archs, with the skeleton of the labelled networks.
            ops: ``(N, n)`` their operations, as indices into the vocabulary.
        """
        template, fixed = space.template, {}
        if len(ops) >= FEWEST_LABELS and space.slots_are_positions:
            seen = {template.vocabulary[index] for index in np.unique(ops).tolist()}
            for slot in template.free_slots:
                found = template.vocabulary[int(ops[0, slot])]
                is_shared = not seen.isdisjoint({*template.operations[slot]} - {found})
                enough = FEWEST_LABELS_OF_SHARED if is_shared else FEWEST_LABELS
                if np.ptp(ops[:, slot]) == 0 and len(ops) >= enough:
                    fixed[template.slots[slot]] = found
        return cls(fixed, dict(space.skeleton))

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The domain that :meth:`document` wrote."""
        return cls(dict(document["fixed"]), dict(document["skeleton"]))

    def document(self) -> dict[str, Any]:
        """For ``config.json``."""
        return {"fixed": dict(self.fixed), "skeleton": dict(self.skeleton)}

    def __bool__(self) -> bool:
        """Whether it is less than the space."""
        return bool(self.fixed)

    def text(self) -> str:
        """In words, e.g. ``resolution=r224 and width=100``."""
        parts = [f"{slot}={op}" for slot, op in self.fixed.items()]
        return " and ".join([*parts, *(f"{name}={value}" for name, value in self.skeleton.items())])

    def has_networks_of(self, space: Space) -> bool:
        """Whether networks of the space have the skeleton that was labelled."""
        return not self or dict(self.skeleton) == space.skeleton

    def holds(self, space: Space, archs: Sequence[Arch]) -> np.ndarray:
        """``(N,)`` booleans: which archs, as networks of the space, are within it."""
        if not self:
            return np.ones(len(archs), dtype=bool)
        slots = {space.template.slots.index(slot): op for slot, op in self.fixed.items()}
        same = [all(arch.ops[slot] == op for slot, op in slots.items()) for arch in archs]
        return np.array(same, dtype=bool) & self.has_networks_of(space)

    def within(self, space: Space, ops: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(c, n)`` and ``(c, n, n)`` graphs within the domain that are like the given ones, which are archs."""
        index = {word: at for at, word in enumerate(space.template.vocabulary)}
        slots = {space.template.slots.index(slot): index[op] for slot, op in self.fixed.items()}
        for slot, op in slots.items():
            ops = ops.copy()
            ops[:, slot] = op
            ops, edges = space.settled(ops, edges, slot)
        inside = np.all([ops[:, slot] == op for slot, op in slots.items()] or [np.ones(len(ops), bool)], axis=0)
        inside &= space.keeps_rules(ops, edges)
        return ops[inside], edges[inside]


def domains_of(config: Mapping[str, Any]) -> dict[str, Domain]:
    """The domains of a predictor's metrics, of its configuration; of those that it does not name all is known."""
    return {name: Domain.read(document) for name, document in config.get("domains", {}).items()}


def restricted(partial: PartialArch, space: Space, domains: Mapping[str, Domain]) -> tuple[PartialArch, list[str]]:
    """A partial arch with the choices that some metrics' domains fix, and what to say about these.

    Args:
        partial: what the user fixed.
        space: with the skeleton to deploy.
        domains: metric -> its domain, for the metrics that are to be predicted.

    Raises:
        InvalidInputError: the user fixed another choice or skeleton, or two metrics are never known together.
    """
    ops, notes = list(partial.ops), []
    fixed_by: dict[str, str] = {}
    for name, domain in domains.items():
        if not domain:
            continue
        if not domain.has_networks_of(space):
            asked = ", ".join(f"{setting}={value}" for setting, value in space.skeleton.items())
            raise InvalidInputError(
                f"{name} is known for {domain.text()} only, not for the skeleton {asked}. Ask for that skeleton, or "
                f"leave {name} out of `objective` and `where`: costs and latencies are known there."
            )
        new = {}
        for slot, op in domain.fixed.items():
            at = space.template.slots.index(slot)
            if ops[at] not in (None, op):
                other = f" for {fixed_by[slot]}" if slot in fixed_by else ""
                raise InvalidInputError(
                    f"{name} is known for {domain.text()} only, and {slot} is {ops[at]}{other}. Fix {slot}={op}, or "
                    f"leave {name} out of `objective` and `where`: costs and latencies are known there."
                )
            if ops[at] is None:
                ops[at], new[slot], fixed_by[slot] = op, op, name
        if new:
            choices = " and ".join(f"{slot}={op}" for slot, op in new.items())
            notes.append(f"{name} is known for {domain.text()} only, so {choices} is fixed.")
    return PartialArch(partial.space, tuple(ops), partial.edges, partial.open_edges), notes


def undecided(space: Space) -> PartialArch:
    """The partial arch of a space in which everything is open that has a choice."""
    template = space.template
    only = [operations[0] if len(operations) == 1 else None for operations in template.operations]
    return PartialArch(space.name, tuple(only), tuple(template.fixed_edges), tuple(template.free_edges))
