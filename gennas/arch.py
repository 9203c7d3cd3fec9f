"""Arch: one neural architecture as a frozen, labelled directed acyclic graph; PartialArch: one not yet whole."""

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

    def __hash__(self) -> int:
        # Equal archs have equal keys; searches hash archs by the hundred thousand.
        return hash(self.key)


@dataclass(frozen=True)
class PartialArch:
    """An architecture of which some decisions are left open; what ``?`` in a native notation means.

    Attributes:
        space: name of the space it belongs to.
        ops: the operation of every slot of the space's template, None where it is open.
        edges: the pairs ``(i, j)`` that are surely present, sorted.
        open_edges: the pairs that may or may not be present, sorted; all other pairs are absent.
    """

    space: str
    ops: tuple[str | None, ...]
    edges: tuple[tuple[int, int], ...]
    open_edges: tuple[tuple[int, int], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is open."""
        return None not in self.ops and not self.open_edges
