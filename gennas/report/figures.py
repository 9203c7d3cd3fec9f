"""Figures: what plotly.js draws, as plain traces and layouts, in colours that everybody can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gennas.metrics import Metric

#: Paul Tol's bright scheme, in an order in which neighbours differ in lightness too; its grey is darkened for points.
COLOURS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#66CCEE", "#CCBB44")
GREY, INK, LINES = "#767676", "#22262b", "#e6e8eb"
#: In print, and to the colour-blind, shapes say what colours do.
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "star", "x")
#: How archs come to be proposed, in the colours of all figures.
_ORIGINS = ("generated", "mutated", "listed", "given", "crossed")

Trace = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One chart.

    Attributes:
        name: of its element; letters, digits and hyphens.
        label: what it shows, for whoever does not see it.
        traces: of plotly.
        layout: of plotly.
    """

    name: str
    label: str
    traces: list[Trace]
    layout: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {"data": self.traces, "layout": self.layout}


def layout(x_title: str, y_title: str, height: int = 380, **axes: dict[str, Any]) -> dict[str, Any]:
    """A layout without decoration.

    Args:
        x_title: of the horizontal axis.
        y_title: of the vertical axis.
        height: in pixels.
        axes: what differs of ``x`` and ``y``.
    """
    axis = {"gridcolor": LINES, "zeroline": False, "linecolor": "#c3c8ce", "ticks": "outside"}
    return {
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 8, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK},
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": {**axis, "title": {"text": x_title}, **axes.get("x", {})},
        "yaxis": {**axis, "title": {"text": y_title, "standoff": 10}, "automargin": "left", **axes.get("y", {})},
    }


def axis_title(metric: Metric | str) -> str:
    """A metric's name with its unit, as far as the name does not end in it."""
    if isinstance(metric, str):
        return metric
    kind = metric.kind
    return metric.name if kind.name.endswith(("_ms", "_m", "_mj", "_mb")) else f"{metric.name} ({kind.unit})"


def origin_style(origin: str, others: Sequence[str]) -> tuple[str, str]:
    """Colour and symbol of archs that were proposed in some way; the same in all figures of a page.

    Args:
        origin: how they were.
        others: all ways that the page knows.
    """
    if origin in ("random", ""):
        return GREY, "circle"
    known = [*_ORIGINS, *sorted(set(others) - {*_ORIGINS, "random", ""})]
    place = known.index(origin)
    return COLOURS[place % len(COLOURS)], SYMBOLS[place % len(SYMBOLS)]


def thinned(figure: Figure, keep: set[int], most: int) -> Figure:
    """A figure with at most so many archs in a trace, spread evenly, beside those to keep; lines lose only points
    between which nothing changes.

    Args:
        figure: whose points are named by their ``customdata``.
        keep: numbers of archs.
        most: of a trace.
    """
    return Figure(figure.name, figure.label, [_thinned(trace, keep, most) for trace in figure.traces], figure.layout)


def _thinned(trace: Trace, keep: set[int], most: int) -> Trace:
    count = len(trace["x"])
    if count <= most or trace["type"] == "heatmap":
        return trace
    if "customdata" in trace:
        step = count / most
        spread = {int(place * step) for place in range(most)}
        rows = [row for row, number in enumerate(trace["customdata"]) if row in spread or number in keep]
    else:
        y = trace["y"]
        rows = [row for row in range(count) if row in (0, count - 1) or y[row] != y[row - 1]]
    return {name: _taken(value, rows, count) for name, value in trace.items()}


def _taken(value: Any, rows: Sequence[int], count: int) -> Any:
    """These rows of what has one entry per point, at any depth."""
    if isinstance(value, dict):
        return {name: _taken(one, rows, count) for name, one in value.items()}
    if isinstance(value, list) and len(value) == count:
        return [value[row] for row in rows]
    return value
