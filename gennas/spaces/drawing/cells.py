"""The drawing of a figure: operations as boxes, and arrows to what they feed.

Layered drawing after Sugiyama, Tagawa and Toda (1981): columns by longest path from the input, a lane in every
column that an edge crosses, and columns reordered to reduce crossings.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from gennas.spaces.drawing.svg import COLOURS, LETTER, MARGIN, PLAIN, Panel, line
from gennas.spaces.figure import Figure

if TYPE_CHECKING:
    from gennas.arch import Arch
    from gennas.spaces.base import Space

_BOX_HEIGHT, _LANE_HEIGHT, _ROW_GAP, _COLUMN_GAP = 46.0, 12.0, 22.0, 58.0
#: Boxes of a chain that are drawn in one row.
_LONGEST = 8

#: A slot, or the lane of an edge (source, target) in a column.
_Node = int | tuple[int, int, int]


@dataclass(frozen=True)
class _Position:
    """Position of a box or lane: left side, right side and vertical centre, in pixels."""

    left: float
    right: float
    y: float


def panel_of(
    figure: Figure,
    colours: Sequence[tuple[str, str]],
    marked: Collection[tuple[int, int]] = (),
    mark: str = "",
) -> Panel:
    """Draws a figure; boxes that are on no path from a start to an end are dashed.

    Args:
        figure: what is drawn.
        colours: fill and stroke of every box.
        marked: edges that are drawn in colour ``mark``.
        mark: their colour.
    """
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(range(len(figure.boxes)))
    graph.add_edges_from(figure.edges)
    starts, ends = list(figure.starts), list(figure.ends)
    after_starts = set(starts).union(*(nx.descendants(graph, i) for i in starts))
    before_ends = set(ends).union(*(nx.ancestors(graph, i) for i in ends))
    live = after_starts & before_ends
    columns, lanes = _columns(graph, starts, ends)
    positions, width, height = _positions(columns, figure)
    parts = _arrows(graph, lanes, positions, live, dict.fromkeys(marked, mark))
    parts += [_box(op, name, positions[i], i in live, colours[i]) for i, (op, name) in enumerate(figure.boxes)]
    return Panel(figure.title, parts, width, height, len(live) == len(graph))


def figures_of(space: Space, arch: Arch) -> list[Figure]:
    """The figures of :meth:`gennas.spaces.Space.figures`, or that of the arch's dataflow."""
    return space.figures(arch) or _rows(_figure(space, arch))


def _rows(figure: Figure) -> list[Figure]:
    """A long chain in rows, which one row would make too wide to be read."""
    count = len(figure.boxes)
    if count <= _LONGEST or figure.edges != tuple(itertools.pairwise(range(count))):
        return [figure]
    rows = []
    for first in range(0, count, _LONGEST):
        boxes = figure.boxes[first : first + _LONGEST]
        last = len(boxes) - 1
        title = f"{first + 1} to {first + len(boxes)} of {count}"
        rows.append(Figure(title, boxes, tuple(itertools.pairwise(range(len(boxes)))), (0,), (last,)))
    return rows


def _figure(space: Space, arch: Arch) -> Figure:
    """Which slots feed which, without those that have edges to others, none of which carries anything."""
    _, (edges,) = space.dataflow(*space.arrays([arch]))
    feeding = [(int(i), int(j)) for i, j in np.argwhere(edges)]
    present = {i for i, op in enumerate(arch.ops) if op != space.absent}
    # What only absent slots surround is a loose end of the arch, and is shown.
    wired = set(itertools.chain(*(edge for edge in arch.edges if present.issuperset(edge))))
    silent = wired - {*space.template.sources, *space.template.sinks, *itertools.chain(*feeding)}
    box_of = {slot: box for box, slot in enumerate(sorted(present - silent))}
    return Figure(
        "",
        tuple((arch.ops[slot], space.template.slots[slot]) for slot in box_of),
        tuple((box_of[i], box_of[j]) for i, j in feeding if i in box_of and j in box_of),
        tuple(box for slot, box in box_of.items() if slot in space.template.sources),
        tuple(box for slot, box in box_of.items() if slot in space.template.sinks),
    )


def colours_of(space: Space, figure: Figure) -> list[tuple[str, str]]:
    """Fill and stroke of every box: the same for an operation in all drawings of the space."""
    template = space.template
    free = {int(op) for i in template.free_slots for op in template.allowed[i].nonzero()[0]}
    chosen = [template.vocabulary[op] for op in sorted(free) if template.vocabulary[op] != space.absent]
    colour_of = {op: COLOURS[place % len(COLOURS)] for place, op in enumerate(chosen)}
    return [colour_of.get(op, PLAIN) for op, _ in figure.boxes]


def _columns(
    graph: nx.DiGraph, starts: list[int], ends: list[int]
) -> tuple[list[list[_Node]], dict[tuple[int, int], list[_Node]]]:
    """The nodes of every column from top to bottom, and for every edge the nodes that it passes through."""
    column_of: dict[int, int] = {}
    for i in sorted(graph):
        column_of[i] = max((column_of[j] + 1 for j in graph.predecessors(i)), default=int(i not in starts))
    last = max((c + 1 for i, c in column_of.items() if i not in ends), default=0)
    column_of |= {i: last for i in graph if i in ends}
    used = sorted(set(column_of.values()))
    column_of = {i: used.index(c) for i, c in column_of.items()}
    columns: list[list[_Node]] = [[i for i in sorted(graph) if column_of[i] == c] for c in range(len(used))]
    lanes: dict[tuple[int, int], list[_Node]] = {}
    for i, j in sorted(graph.edges):
        between: list[_Node] = [(i, j, c) for c in range(column_of[i] + 1, column_of[j])]
        for c, lane in enumerate(between, start=column_of[i] + 1):
            columns[c].append(lane)
        lanes[i, j] = [i, *between, j]

    pairs = [pair for chain in lanes.values() for pair in itertools.pairwise(chain)]
    best = columns
    for sweep in range(8):
        backwards = bool(sweep % 2)
        columns = [list(column) for column in columns]
        for column in reversed(columns) if backwards else columns:
            height = {node: h - (len(other) - 1) / 2 for other in columns for h, node in enumerate(other)}
            near = {
                node: [height[a if b == node else b] for a, b in pairs if node == (a if backwards else b)]
                for node in column
            }
            column.sort(key=lambda node: sum(near[node]) / len(near[node]) if near[node] else height[node])
        if _crossings(columns, pairs) < _crossings(best, pairs):
            best = columns
    return best, lanes


def _crossings(columns: list[list[_Node]], pairs: list[tuple[_Node, _Node]]) -> int:
    spot = {node: (c, h) for c, column in enumerate(columns) for h, node in enumerate(column)}
    lines = [(spot[a], spot[b]) for a, b in pairs]
    return sum(
        a[0] == c[0] and (a[1] - c[1]) * (b[1] - d[1]) < 0
        for index, (a, b) in enumerate(lines)
        for c, d in lines[index + 1 :]
    )


def _positions(columns: list[list[_Node]], figure: Figure) -> tuple[dict[_Node, _Position], float, float]:
    """The position of every node, and the width and height of the whole drawing."""

    def height_of(node: _Node) -> float:
        return _BOX_HEIGHT if isinstance(node, int) else _LANE_HEIGHT

    heights = [sum(map(height_of, column)) + _ROW_GAP * (len(column) - 1) for column in columns]
    positions: dict[_Node, _Position] = {}
    left = MARGIN
    for column, height in zip(columns, heights, strict=True):
        letters = [len(text) for i in column if isinstance(i, int) for text in figure.boxes[i]]
        right = left + max(14 * LETTER * max(letters, default=0) + 24, 64)
        y = (max(heights) - height) / 2
        for node in column:
            positions[node] = _Position(left, right, y + height_of(node) / 2)
            y += height_of(node) + _ROW_GAP
        left = right + _COLUMN_GAP
    return positions, left - _COLUMN_GAP + MARGIN, max(heights)


def _arrows(
    graph: nx.DiGraph,
    lanes: dict[tuple[int, int], list[_Node]],
    positions: dict[_Node, _Position],
    live: set[int],
    mark_of: dict[tuple[int, int], str],
) -> list[str]:
    """One path with an arrowhead per edge; edges that share a box attach to it at different heights."""

    def port(box: int, chains: list[list[_Node]], end: int) -> dict[tuple[_Node, ...], float]:
        chains = sorted(chains, key=lambda chain: (positions[chain[1 if end == 0 else -2]].y, str(chain)))
        step = min(12.0, (_BOX_HEIGHT - 14) / len(chains)) if chains else 0.0
        return {tuple(c): positions[box].y + (h - (len(chains) - 1) / 2) * step for h, c in enumerate(chains)}

    leaves: dict[tuple[_Node, ...], float] = {}
    enters: dict[tuple[_Node, ...], float] = {}
    for box in graph:
        leaves |= port(box, [chain for (i, _), chain in lanes.items() if i == box], 0)
        enters |= port(box, [chain for (_, j), chain in lanes.items() if j == box], -1)

    arrows = []
    for (i, j), chain in lanes.items():
        x, y = positions[i].right, leaves[tuple(chain)]
        path = f"M{x:g} {y:g}"
        for node in chain[1:]:
            position = positions[node]
            last = node == j
            to_x, to_y = (position.left - 7, enters[tuple(chain)]) if last else (position.left, position.y)
            middle = (x + to_x) / 2
            path += f" C{middle:g} {y:g} {middle:g} {to_y:g} {to_x:g} {to_y:g}"
            if not last:
                path += f" H{position.right:g}"
            x, y = position.right, to_y
        colour = mark_of.get((i, j), "#555555" if i in live and j in live else "#b5b5b5")
        weight = 2.6 if (i, j) in mark_of else 1.6
        tip = positions[j].left
        arrows.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{weight}"/>')
        arrows.append(f'<path d="M{tip:g} {y:g} l-9 -4.5 v9 z" fill="{colour}"/>')
    return arrows


def _box(op: str, slot: str, position: _Position, live: bool, colour: tuple[str, str]) -> str:
    fill, stroke = colour
    dash = "" if live else ' stroke-dasharray="5 4"'
    x, y = (position.left + position.right) / 2, position.y
    rows = [line(op, x, y + 5, 14, "#111111")]
    if slot != op:
        rows = [line(op, x, y - 2, 14, "#111111"), line(slot, x, y + 15, 11, "#555555")]
    return (
        f'<rect x="{position.left:g}" y="{y - _BOX_HEIGHT / 2:g}" width="{position.right - position.left:g}" '
        f'height="{_BOX_HEIGHT:g}" rx="9" fill="{fill}" stroke="{stroke}" stroke-width="1.6"{dash}/>\n'
        + "\n".join(rows)
    )
