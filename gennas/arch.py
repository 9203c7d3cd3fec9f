"""Arch: a neural architecture as an immutable, labelled DAG; PartialArch: one with undecided parts."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Arch:
    """An architecture of a space.

    Create it with :meth:`gennas.spaces.Space.arch` or :meth:`gennas.spaces.Space.parse`, which compute the key and
    check the rules of the space.

    Attributes:
        space: name of its space.
        key: its native notation, the string that users of the space know; equal archs have equal keys.
        ops: the operation of every slot of the space's template, in template order.
        edges: the present edges ``(i, j)`` between slots, ``i < j``, sorted.
    """

    space: str
    key: str
    ops: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return self.key

    def _repr_svg_(self) -> str | None:
        """The drawing that notebooks show; None where the arch's space is not registered."""
        return None if drawing is None else drawing(self)

    def __hash__(self) -> int:
        # Equal archs have equal keys, and searches hash hundreds of thousands of archs.
        return hash(self.key)


@dataclass(frozen=True)
class PartialArch:
    """An architecture with undecided parts, written ``?`` in a native notation.

    Attributes:
        space: name of its space.
        ops: the operation of every slot of the space's template, None where it is undecided.
        edges: the present edges ``(i, j)``, sorted.
        open_edges: the undecided edges, sorted; all other pairs are absent.
    """

    space: str
    ops: tuple[str | None, ...]
    edges: tuple[tuple[int, int], ...]
    open_edges: tuple[tuple[int, int], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether everything is decided."""
        return None not in self.ops and not self.open_edges


#: Draws an arch as SVG, or returns None where its space is not known; set by :mod:`gennas.spaces`, which stands above.
drawing: Callable[[Arch], str | None] | None = None
