"""Arch: one neural architecture as a frozen, labelled directed acyclic graph."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Arch:
    """An architecture of a space.

    Made by :meth:`gennas.spaces.Space.arch` or :meth:`gennas.spaces.Space.parse`, never by hand: they
    compute the key and check the validity rules.

    Attributes:
        space: name of the space it belongs to.
        key: its native notation, the string that a user of that space knows; equal archs have equal keys.
        ops: the operation of every slot of the space's template, in template order.
        edges: the present edges ``(i, j)`` between slots, ``i < j``, sorted.
    """

    space: str
    key: str
    ops: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return self.key
