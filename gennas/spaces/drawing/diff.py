"""The drawing of what differs between two archs of a space."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from gennas.errors import InvalidInputError
from gennas.spaces.drawing.cells import figures_of, panel_of
from gennas.spaces.drawing.svg import Note, Panel, document
from gennas.spaces.figure import Figure

if TYPE_CHECKING:
    from gennas.arch import Arch
    from gennas.spaces.base import Space

_SAME = ("#f4f4f4", "#b0b0b0")
#: Fill and stroke of what is in the first arch only, and of what is in the second only.
_FIRST, _SECOND = ("#fde5d3", "#c2560c"), ("#dbe9f6", "#2c6399")
_MOST = 12


def draw_diff(space: Space, first: Arch, second: Arch, title: str | None = None) -> str:
    """Draws two archs below each other as an SVG document: what they share grey, what differs coloured.

    Orange is in the first arch only, blue in the second only, boxes and arrows alike; the differences are listed below.

    Args:
        space: of both.
        first: drawn above.
        second: drawn below it.
        title: a heading; none by default.

    Raises:
        InvalidInputError: archs of different spaces.
    """
    for arch in (first, second):
        if arch.space != space.name:
            raise InvalidInputError(f"{arch.key!r} is an arch of space {arch.space!r}; expected two of {space.name!r}.")
    panels: list[Panel] = []
    for one, other in zip_longest(figures_of(space, first), figures_of(space, second)):
        for name, own, against, colour in (("first", one, other, _FIRST), ("second", other, one, _SECOND)):
            if own is not None:
                panels.append(_panel(own, against, colour, name))
    changes = differences(space, first, second)
    notes = [Note(f"first:  {first.key}", True), Note(f"second: {second.key}", True)]
    notes += [Note(text) for text in changes[:_MOST]]
    if len(changes) > _MOST:
        notes.append(Note(f"and {len(changes) - _MOST} more differences"))
    if first == second:
        notes.append(Note("the same arch"))
    elif space.canonical(first) == space.canonical(second):
        notes.append(Note("both compute the same function"))
    words = "; ".join(changes) or "no difference"
    return document(panels, notes, title or f"{first.key} against {second.key}", words, title or "")


def differences(space: Space, first: Arch, second: Arch) -> list[str]:
    """What differs, in words: ``slot: old → new`` for every slot, and edges of one of the archs."""
    slots = space.template.slots
    pairs = zip(slots, first.ops, second.ops, strict=True)
    found = [f"{slot}: {old} → {new}" for slot, old, new in pairs if old != new]
    for name, own, other in (("first", first, second), ("second", second, first)):
        only = sorted({*own.edges} - {*other.edges})
        found += [f"edge {slots[i]} to {slots[j]}: in the {name} only" for i, j in only]
    return found


def _panel(own: Figure, other: Figure | None, colour: tuple[str, str], name: str) -> Panel:
    """A figure with what the other one lacks in colour."""
    place_of = _counterparts(own, other)
    same = [
        other is not None and place is not None and other.boxes[place][0] == op
        for (op, _), place in zip(own.boxes, place_of, strict=True)
    ]
    there = {*other.edges} if other is not None else set()
    marked = [(i, j) for i, j in own.edges if (place_of[i], place_of[j]) not in there]
    title = f"{name}: {own.title}" if own.title else name
    figure = Figure(title, own.boxes, own.edges, own.starts, own.ends)
    return panel_of(figure, [_SAME if is_same else colour for is_same in same], marked, colour[1])


def _counterparts(own: Figure, other: Figure | None) -> list[int | None]:
    """For every box the one that stands for it in the other figure: by its name where names tell boxes apart, else by
    its place."""
    if other is None:
        return [None] * len(own.boxes)
    names, others = [name for _, name in own.boxes], [name for _, name in other.boxes]
    if len(set(names)) == len(names) and len(set(others)) == len(others):
        return [others.index(name) if name in others else None for name in names]
    return [place if place < len(others) else None for place in range(len(names))]
