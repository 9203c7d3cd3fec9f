"""The drawing of a whole network: blocks below each other, shapes on the wires between, and what every block costs.

Shapes stand on wires in the spirit of neural circuit diagrams (Abbott, "Neural Circuit Diagrams", TMLR 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from gennas.spaces.drawing.blocks import INPUT, Block, Blocks
from gennas.spaces.drawing.svg import COLOURS, MARGIN, PLAIN, TIMES, Panel, line, plain, shortened

_BOX_WIDTH, _BOX_HEIGHT = 330.0, 42.0
#: Length of a wire with and without a shape on it.
_WIRE, _SHORT = 30.0, 14.0
_BAR, _COLUMN = 64.0, 124.0
_LANE = 13.0
_HEADER = 30.0
_INK, _GREY, _BAND = "#222222", "#666666", "#f6f7f9"
_BARS = ("#4477aa", "#cc6633", "#228833")


@dataclass(frozen=True)
class Group:
    """Equal blocks in a row.

    Attributes:
        block: the first one, with what all of them cost.
        first, last: numbers of blocks.
        inner: what each takes beside the one before it, in words.
    """

    block: Block
    first: int
    last: int
    inner: str = ""

    @property
    def times(self) -> int:
        """How many blocks they are."""
        return self.last - self.first + 1


def grouped(blocks: Sequence[Block]) -> list[Group]:
    """Blocks in a row that have the same name, layers and output, as one group each."""
    groups: list[Group] = []
    for number, block in enumerate(blocks):
        own = groups[-1].block if groups else None
        same = own is not None and (own.name, own.detail, own.shape) == (block.name, block.detail, block.shape)
        if own is not None and same and number - 1 in block.sources:
            total = replace(own, params=own.params + block.params, macs=own.macs + block.macs)
            if own.seconds is not None and block.seconds is not None:
                total = replace(total, seconds=own.seconds + block.seconds)
            inner = "takes the two outputs before" if set(block.sources) == {number - 1, number - 2} else ""
            groups[-1] = Group(total, groups[-1].first, number, inner or groups[-1].inner)
        else:
            groups.append(Group(block, number, number))
    return groups


def panel_of(found: Blocks, title: str = "") -> Panel:
    """Draws the blocks of a network.

    Args:
        found: they, with times if a column is to show the share of each.
        title: above the drawing.
    """
    groups = grouped(found.blocks)
    arcs = _arcs(groups)
    lane_of, lanes = _lanes(arcs)
    left = MARGIN + (lanes * _LANE + 14 if lanes else 0)
    centre = left + _BOX_WIDTH / 2
    columns = _columns(found, groups)
    width = left + _BOX_WIDTH + 22 + _COLUMN * len(columns) + MARGIN - 10
    colours = _colours(groups)

    tops, y = [], _HEADER + 46
    shapes = [found.inputs, *(group.block.shape for group in groups)]
    for place in range(len(groups)):
        tops.append(y)
        y += _BOX_HEIGHT + (_WIRE if _labelled(shapes, place + 1, len(groups)) else _SHORT)
    height = y + 8
    parts = _bands(groups, tops, left, width)
    x = left + _BOX_WIDTH + 22
    for column, (name, _, _) in enumerate(columns):
        parts.append(line(name, x + column * _COLUMN, 14, 11, _GREY, "start"))
    parts.append(line("input", centre, _HEADER - 2, 12, _INK))
    begins = [_HEADER + 4, *(top + _BOX_HEIGHT for top in tops)]
    feeds = [set(_group_sources(groups, group)) for group in groups]
    for place, end in enumerate([*tops, height]):
        if place == len(groups) or place - 1 in feeds[place]:
            parts.append(_wire(centre, begins[place], end))
        if place == 0 or _labelled(shapes, place, len(groups)):
            text = TIMES.join(map(str, shapes[place]))
            parts.append(line(text, centre + 10, begins[place] + 18, 11, _INK, "start", is_fixed=True))
    parts.append(line("logits", centre, height + 14, 12, _INK))
    for (source, target), lane in lane_of.items():
        begin = _HEADER if source == INPUT else tops[source] + _BOX_HEIGHT - 12
        turn = left - 10 - lane * _LANE
        begin_x = centre - 26 if source == INPUT else left
        end = tops[target] + 12
        path = f"M{begin_x:g} {begin:g} H{turn + 6:g} q-6 0 -6 6 V{end - 6:g} q0 6 6 6 H{left - 7:g}"
        parts.append(f'<path d="{path}" fill="none" stroke="#888888" stroke-width="1.4"/>')
        parts.append(f'<path d="M{left:g} {end:g} l-8 -4 v8 z" fill="#888888"/>')
    for place, (group, top) in enumerate(zip(groups, tops, strict=True)):
        parts += _box(group, left, top, colours.get((group.block.name, group.block.detail), PLAIN))
        for column, (_, values, texts) in enumerate(columns):
            parts += _measure(x + column * _COLUMN, top, values[place], texts[place], _BARS[column])
    total = [f"{_amount(found.params)} parameters", f"{_amount(found.macs)} multiply-adds"]
    parts.append(line(", ".join(total), width - MARGIN, height + 14, 12, _INK, "end"))
    return Panel(title, parts, width, height + 20)


def described(found: Blocks) -> str:
    """The drawing in words."""
    words = ["input " + TIMES.join(map(str, found.inputs))]
    for group in grouped(found.blocks):
        block = group.block
        times = f"{group.times} times " if group.times > 1 else ""
        detail = f" ({block.detail})" if block.detail else ""
        words.append(f"{times}{block.name}{detail} to {TIMES.join(map(str, block.shape))}")
    return "; then ".join(words)


def _labelled(shapes: Sequence[tuple[int, ...]], place: int, last: int) -> bool:
    """Whether the wire out of a box has its shape on it: where it changes, and at the end."""
    return place == last or shapes[place] != shapes[place - 1]


def _group_sources(groups: Sequence[Group], group: Group) -> list[int]:
    """The groups that the first block of a group takes from; :data:`INPUT` for the input."""
    return [
        INPUT if source == INPUT else next(i for i, own in enumerate(groups) if own.first <= source <= own.last)
        for source in group.block.sources
    ]


def _arcs(groups: Sequence[Group]) -> list[tuple[int, int]]:
    """Pairs of groups (or the input) that are wired past others."""
    pairs = [(source, place) for place, group in enumerate(groups) for source in _group_sources(groups, group)]
    return sorted({pair for pair in pairs if pair[1] - pair[0] > 1}, key=lambda pair: (pair[1] - pair[0], pair))


def _lanes(arcs: Sequence[tuple[int, int]]) -> tuple[dict[tuple[int, int], int], int]:
    """A lane for every arc, so that no two overlap, and the number of lanes."""
    lanes: list[list[tuple[int, int]]] = []
    found = {}
    for arc in arcs:
        free = (i for i, own in enumerate(lanes) if all(arc[1] <= a or b <= arc[0] for a, b in own))
        lane = next(free, len(lanes))
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append(arc)
        found[arc] = lane
    return found, len(lanes)


def _colours(groups: Sequence[Group]) -> dict[tuple[str, str], tuple[str, str]]:
    """A colour for every kind of block; for every name, where there are more kinds than colours."""
    kinds = list(dict.fromkeys((group.block.name, group.block.detail) for group in groups))
    names = list(dict.fromkeys(name for name, _ in kinds))
    if len(kinds) <= len(COLOURS):
        return {kind: COLOURS[i] for i, kind in enumerate(kinds)}
    return {kind: COLOURS[names.index(kind[0]) % len(COLOURS)] for kind in kinds}


def _columns(found: Blocks, groups: Sequence[Group]) -> list[tuple[str, list[float], list[str]]]:
    """Title, lengths of bars and texts of each column."""
    blocks = [group.block for group in groups]
    columns = []
    costs = {"parameters": [float(own.params) for own in blocks], "multiply-adds": [own.macs for own in blocks]}
    for title, values in costs.items():
        most = max(values) or 1
        columns.append((title, [value / most for value in values], [_amount(value) for value in values]))
    times = [own.seconds for own in blocks if own.seconds is not None]
    if len(times) == len(blocks):
        whole, most_time = sum(times) or 1.0, max(times) or 1.0
        texts = [f"{100 * own / whole:.1f} %" for own in times]
        columns.append(("share of time", [own / most_time for own in times], texts))
    return columns


def _bands(groups: Sequence[Group], tops: Sequence[float], left: float, width: float) -> list[str]:
    """Every other stage (blocks of one resolution) on a tinted band."""
    parts = []
    stages = groupby(range(len(groups)), key=lambda place: groups[place].block.shape[1:])
    for number, (_, members) in enumerate(stages):
        places = list(members)
        if number % 2 == 0:
            begin, end = tops[places[0]] - 7, tops[places[-1]] + _BOX_HEIGHT + 7
            parts.append(
                f'<rect x="{left - 8:g}" y="{begin:g}" width="{width - left + 8 - MARGIN / 2:g}" '
                f'height="{end - begin:g}" rx="8" fill="{_BAND}"/>'
            )
    return parts


def _wire(x: float, begin: float, end: float) -> str:
    return (
        f'<path d="M{x:g} {begin:g} V{end - 7:g}" fill="none" stroke="#555555" stroke-width="1.6"/>\n'
        f'<path d="M{x:g} {end:g} l-4.5 -9 h9 z" fill="#555555"/>'
    )


def _box(group: Group, left: float, top: float, colour: tuple[str, str]) -> list[str]:
    block = group.block
    fill, stroke = colour
    whole = f"{group.times} times {block.name}" if group.times > 1 else block.name
    parts = [f"<g><title>{plain(': '.join(word for word in (whole, block.detail) if word))}</title>"]
    if group.times > 1:
        # Something below it, as of a pile.
        parts.append(
            f'<rect x="{left + 5:g}" y="{top + 5:g}" width="{_BOX_WIDTH:g}" height="{_BOX_HEIGHT:g}" rx="8" '
            f'fill="{fill}" stroke="{stroke}" stroke-width="1.2"/>'
        )
    parts.append(
        f'<rect x="{left:g}" y="{top:g}" width="{_BOX_WIDTH:g}" height="{_BOX_HEIGHT:g}" rx="8" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="1.6"/>'
    )
    room = _BOX_WIDTH - (44 if group.times > 1 else 16)
    middle = left + room / 2 + 8
    detail = "; ".join(word for word in (block.detail, group.inner) if word)
    parts.append(line(shortened(block.name, 32), middle, top + (18 if detail else 26), 13, "#111111", is_bold=True))
    if detail:
        size = 11 if len(detail) <= room / 5.6 else 9.5
        parts.append(line(shortened(detail, int(room / (size * 0.51))), middle, top + 34, size, "#444444"))
    if group.times > 1:
        parts.append(line(f"{TIMES}{group.times}", left + _BOX_WIDTH - 10, top + 27, 16, stroke, "end", is_bold=True))
    return [*parts, "</g>"]


def _measure(x: float, top: float, share: float, text: str, colour: str) -> list[str]:
    y = top + _BOX_HEIGHT / 2
    width = max(share * _BAR, 1) if share else 0
    bar = f'<rect x="{x:g}" y="{y - 5:g}" width="{width:g}" height="10" fill="{colour}"/>'
    return [bar, line(text, x + width + 5, y + 4, 11, _INK, "start")]


def _amount(value: float) -> str:
    """Three digits and a suffix: 1234567 is ``1.23 M``."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{suffix}" if value < 999.5 * size else f"{value / size:.0f}{suffix}"
    return f"{value:.0f}"
