"""Figure: what a drawing shows, before it is laid out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A graph of boxes.

    Attributes:
        title: above it; empty for none.
        boxes: an operation and the name below it, which is left out where it is the same.
        edges: pairs of boxes ``(i, j)``, ``i < j``.
        starts: boxes in the first column.
        ends: boxes in the last column.
    """

    title: str
    boxes: tuple[tuple[str, str], ...]
    edges: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
