"""Standalone SVG drawings of the archs of any space: cells, whole networks, and the differences of two archs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gennas.spaces.drawing import cells, network
from gennas.spaces.drawing.diff import draw_diff
from gennas.spaces.drawing.svg import Note, document
from gennas.spaces.network_part import network_of

if TYPE_CHECKING:
    from gennas.arch import Arch
    from gennas.spaces.base import Space
    from gennas.tasks import Task

_DASHED = "dashed: on no path from input to output"


def draw_svg(
    space: Space, arch: Arch, title: str | None = None, task: Task | None = None, latency: bool = False
) -> str:
    """Draws an arch as an SVG document: operations as boxes, arrows to what they feed, the key as a caption.

    Arrows are those of :meth:`gennas.spaces.Space.dataflow`. Slots that hold the space's ``absent`` operation are
    omitted, and so are those of which no edge carries anything. Boxes that are on no path from an input to an output
    are dashed. A space that has :meth:`gennas.spaces.Space.figures` is drawn as these, below each other. The output is
    deterministic (but for measured times).

    Args:
        space: the arch's space.
        arch: the arch to draw.
        title: a heading; none by default.
        task: draws the network for this task, too, as :func:`draw_network` does.
        latency: see :func:`draw_network`.

    Raises:
        InvalidInputError: the space builds no network for such a task.
    """
    key = arch.key
    space, arch = network_of(space, arch)
    figures = cells.figures_of(space, arch)
    panels = [cells.panel_of(figure, cells.colours_of(space, figure)) for figure in figures]
    notes = [Note(key, is_key=True)]
    if not all(panel.is_live for panel in panels):
        notes.append(Note(_DASHED))
    words = [f"{figure.title or 'operations'}: {', '.join(op for op, _ in figure.boxes)}" for figure in figures]
    if task is not None:
        panel, more, note = _network(space, arch, task, latency, "whole network")
        panels, words, notes = [*panels, panel], [*words, more], [*notes, note]
    return document(panels, notes, title or key, "; ".join(words), title or "")


def draw_network(space: Space, arch: Arch, task: Task, title: str | None = None, latency: bool = False) -> str:
    """Draws the network of an arch as an SVG document: its blocks in their order, equal ones in a row as one box with
    their number, the shapes on the wires between, and the parameters and multiply-adds of every block.

    What is drawn is the network that the space builds, so that every space is drawn, also one of the user's own. Stages
    (blocks of one resolution) alternate in tint. Multiply-adds are those of products and convolutions for one input;
    the ``macs_m`` of a space may count by another convention.

    Args:
        space: the arch's space.
        arch: the arch to draw.
        task: sizes the network.
        title: a heading; none by default.
        latency: adds the blocks' shares of the time of one image, measured here with torch on the CPU.

    Raises:
        InvalidInputError: the space builds no network for such a task.
    """
    panel, words, note = _network(space, arch, task, latency, "")
    return document([panel], [Note(arch.key, is_key=True), note], title or arch.key, words, title or "")


def _network(space: Space, arch: Arch, task: Task, latency: bool, title: str) -> tuple[network.Panel, str, Note]:
    from gennas.spaces.drawing.blocks import blocks_of

    found = blocks_of(space, arch, task, latency)
    settings = ", ".join(f"{name} {value}" for name, value in space.skeleton.items())
    text = f"task {task.name}: {task.targets.amount(task.num_classes)}"
    text += f"; skeleton: {settings}" if settings else ""
    text += "; multiply-adds of products and convolutions, one input"
    if latency:
        import torch

        whole = sum(block.seconds or 0 for block in found.blocks)
        text += f"; time: {1000 * whole:.3g} ms, torch on the CPU, threads: {torch.get_num_threads()}, median of 15"
    return network.panel_of(found, title), network.described(found), Note(text)


__all__ = ["draw_diff", "draw_network", "draw_svg"]
