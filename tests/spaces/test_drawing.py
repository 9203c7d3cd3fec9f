"""Drawings: well-formed, complete, without overlaps, and the same every time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from parts_spaces import Cells

from gennas.arch import Arch, PartialArch
from gennas.spaces import get_space
from gennas.spaces.base import Space
from gennas.spaces.drawing import draw_svg
from gennas.spaces.nasbench201.space import NasBench201
from gennas.spaces.template import FREE, Template

SPACE = NasBench201()
FULL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
SVG = "{http://www.w3.org/2000/svg}"


def _drawn(text: str) -> tuple[ElementTree.Element, list[ElementTree.Element], list[str]]:
    """The root, the boxes and the texts of a drawing."""
    root = ElementTree.fromstring(text)
    boxes = [rect for rect in root.iter(f"{SVG}rect") if rect.get("rx")]
    return root, boxes, [element.text or "" for element in root.iter(f"{SVG}text")]


def _arrows(text: str) -> list[str]:
    root = ElementTree.fromstring(text)
    return [path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("fill") == "none"]


def test_a_full_cell_shows_all_operations_and_edges() -> None:
    arch = SPACE.parse(FULL)
    text = draw_svg(SPACE, arch, "A title")
    _, boxes, texts = _drawn(text)
    assert len(boxes) == 8
    assert len(_arrows(text)) == len(arch.edges)
    assert texts.count("nor_conv_3x3") == 3
    assert {"A title", "input", "output", "2->3", FULL} <= set(texts)
    assert "dashed" not in text


def test_what_is_absent_is_left_out_with_its_edges() -> None:
    text = draw_svg(SPACE, SPACE.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"))
    _, boxes, texts = _drawn(text)
    assert len(boxes) == 3
    assert len(_arrows(text)) == 2
    assert "none" not in texts


def test_what_leads_nowhere_is_dashed() -> None:
    text = draw_svg(
        SPACE, SPACE.parse("|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|none~2|")
    )
    _, boxes, texts = _drawn(text)
    assert [box.get("stroke-dasharray") is not None for box in boxes].count(True) == 3
    assert "dashed: on no path from input to output" in " ".join(texts)


@dataclass(frozen=True)
class Wild(Space):
    """A space of free edges and of names that need escaping."""

    name = "wild"
    template = Template(
        tuple(f"<slot & {i}>" for i in range(8)),
        ("in", "out", *(f'op "{i}" <b>&\'' for i in range(12))),
        np.array([[i == 0] + [i == 7] + [0 < i < 7] * 12 for i in range(8)]),
        np.triu(np.full((8, 8), FREE, np.int8), 1),
    )

    def key(self, ops: Any, edges: Any) -> str:
        return "<key>&" + "k" * 300

    def read(self, key: str) -> PartialArch:
        raise NotImplementedError

    def canonical(self, arch: Arch) -> Arch:
        raise NotImplementedError

    def build(self, arch: Arch, task: Any) -> Any:
        raise NotImplementedError

    def slot_costs(self, task: Any) -> Any:
        raise NotImplementedError


def _spans(box: ElementTree.Element) -> tuple[float, float, float, float]:
    x, y, width, height = (float(box.get(name, "nan")) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


@pytest.mark.parametrize("space", [SPACE, Wild()], ids=["nasbench201", "wild"])
def test_nothing_overlaps_and_nothing_sticks_out(space: Space) -> None:
    rng = np.random.default_rng(0)
    for _ in range(25):
        arch = space.sample(rng)
        text = draw_svg(space, arch, "A heading <&> that is long " * 4)
        assert draw_svg(space, arch, "A heading <&> that is long " * 4) == text
        root, boxes, texts = _drawn(text)
        total_width, total_height = float(root.get("width", 0)), float(root.get("height", 0))
        spans = [_spans(box) for box in boxes]
        for a, b in combinations(spans, 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (arch.key, a, b)
        assert all(a[0] > 0 and a[2] < total_width and a[3] < total_height for a in spans)
        assert arch.key in "".join(texts)
        for line in texts:
            assert len(line) * 6.5 < total_width, line
        for path in _arrows(text):
            _check_clear_of_boxes(path, spans)


def _check_clear_of_boxes(path: str, spans: list[tuple[float, float, float, float]]) -> None:
    """An arrow touches no box between its ends: sampled along its curves and straight stretches."""
    x, y = (float(number) for number in re.findall(r"^M(\S+) (\S+)", path)[0])
    for curve, straight in re.findall(r"C([^CH]+)|H([^CH]+)", path):
        if straight:
            points = [(u, y) for u in np.linspace(x, float(straight), 20)]
            x = float(straight)
        else:
            x1, y1, x2, y2, x3, y3 = map(float, curve.split())
            t = np.linspace(0.02, 1, 40)
            u = x * (1 - t) ** 3 + 3 * x1 * t * (1 - t) ** 2 + 3 * x2 * t**2 * (1 - t) + x3 * t**3
            v = y * (1 - t) ** 3 + 3 * y1 * t * (1 - t) ** 2 + 3 * y2 * t**2 * (1 - t) + y3 * t**3
            points = list(zip(u, v, strict=True))
            x, y = x3, y3
        for u, v in points:
            assert not any(a < u < c and b < v < d for a, b, c, d in spans), path


def test_control_characters_do_not_break_the_document() -> None:
    _, _, texts = _drawn(draw_svg(SPACE, SPACE.parse(FULL), "bell \x07 and null \x00"))
    assert "bell  and null " in texts


def test_the_same_operation_has_the_same_colour_in_every_drawing() -> None:
    def colours(key: str) -> dict[str, str]:
        root = ElementTree.fromstring(draw_svg(SPACE, SPACE.parse(key)))
        elements = list(root.iter())
        return {
            str(elements[position + 1].text): str(box.get("fill"))
            for position, box in enumerate(elements)
            if box.tag == f"{SVG}rect" and box.get("rx")
        }

    full = colours(FULL)
    assert len(set(full.values())) == 5
    other = colours("|avg_pool_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|")
    assert all(full[op] == colour for op, colour in other.items())


def test_only_what_carries_something_is_drawn() -> None:
    """The template of NAS-Bench-Graph has an edge for every link that there could be, and slots that name links."""
    space = get_space("nasbench_graph")
    arch = space.parse("0122 skip cheb gat gcn")
    text = draw_svg(space, arch)
    _, boxes, texts = _drawn(text)
    assert len(boxes) == 6
    assert not any(word.startswith("from") for word in texts)
    # The input feeds the first node, that the second, that both others, and these the output.
    assert len(_arrows(text)) == 6 < len(arch.edges)
    assert "dashed" not in text


def test_absent_edges_of_cells_are_not_drawn() -> None:
    space = Cells()
    arch = space.parse("cells:k1/2/none~0|skip~0+skip~1")
    text = draw_svg(space, arch)
    _, edges = space.dataflow(*space.arrays([arch]))
    assert len(_arrows(text)) == edges.sum() < len(arch.edges)
    assert "none" not in _drawn(text)[2]
