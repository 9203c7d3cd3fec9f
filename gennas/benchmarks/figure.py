"""All runs as one frame, what a figure of a benchmark shows, and the figure itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gennas.benchmarks.protocol import against_cost, over_seeds
from gennas.benchmarks.summary import curve_of

#: Points of a curve against cost.
_GRID = 100
#: One after the other, distinguishable without colour vision (Okabe and Ito, 2008).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#F0E442")
_TITLES = {
    "regret": "regret of the best validation value",
    "selected_test": "test value of the selected arch",
    "hypervolume": "share of the exact front's hypervolume",
}


def frame_of(documents: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A row per query of every run, of documents of :func:`gennas.benchmarks.runner.run_bench`.

    Columns: benchmark, method, options, seed, query (from 1), key, origin, and the curves; NaN where a benchmark has no
    such curve.
    """
    parts = []
    for document in documents:
        setting = document["setting"]
        options = ",".join(f"{name}={value}" for name, value in setting["options"].items())
        for run in document["runs"]:
            curves = {name: np.array(curve, dtype=float) for name, curve in run["curves"].items()}
            about = {"benchmark": document["benchmark"], "method": setting["method"], "options": options}
            count = range(1, len(run["keys"]) + 1)
            moment = {"seed": run["seed"], "query": count, "key": run["keys"], "origin": run["origins"]}
            parts.append(pd.DataFrame({**about, **moment, **curves}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


@dataclass(frozen=True)
class Line:
    """One method in one panel: mean, and the quartiles around the median."""

    method: str
    x: np.ndarray
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_title: str
    logarithmic: bool
    lines: tuple[Line, ...]


def panels_of(documents: Iterable[Mapping[str, Any]]) -> list[Panel]:
    """What the figure of one benchmark shows: every curve against queries, and the first one against cost.

    Args:
        documents: of the methods on one benchmark.
    """
    documents = list(documents)
    names = [name for name in _TITLES if all(name in run["curves"] for d in documents for run in d["runs"])]
    panels = [_against_queries(documents, name) for name in names]
    return [*panels, _against_cost(documents, names[0])] if names else []


def _against_queries(documents: list[Mapping[str, Any]], name: str) -> Panel:
    lines = []
    for document in documents:
        budget = document["setting"]["budget"]
        statistics = over_seeds([curve_of(run, name, budget) for run in document["runs"]])
        lines.append(_line(document, statistics.index.to_numpy(dtype=float), statistics))
    return Panel(_TITLES[name], "queries", name == "regret", tuple(lines))


def _against_cost(documents: list[Mapping[str, Any]], name: str) -> Panel:
    spent = [(curve_of(run, "cost", d["setting"]["budget"])) for d in documents for run in d["runs"]]
    grid = np.linspace(max(costs[0] for costs in spent), max(costs[-1] for costs in spent), _GRID)
    lines = []
    for document in documents:
        budget = document["setting"]["budget"]
        runs = [(curve_of(run, "cost", budget), curve_of(run, name, budget)) for run in document["runs"]]
        # Beyond the cheapest run's end a curve would be a mean over fewer and fewer runs.
        own = grid[grid <= min(costs[-1] for costs, _ in runs)]
        if len(own):
            lines.append(_line(document, own, over_seeds([against_cost(c, curve, own) for c, curve in runs])))
    return Panel(
        _TITLES[name], "summed multiply-adds of the evaluated archs (millions)", name == "regret", tuple(lines)
    )


def _line(document: Mapping[str, Any], x: np.ndarray, statistics: pd.DataFrame) -> Line:
    mean, lower, upper = (statistics[name].to_numpy() for name in ("mean", "lower", "upper"))
    return Line(document["setting"]["method"], x, mean, lower, upper)


def write_figure(panels: list[Panel], title: str, path: Path) -> None:
    """One HTML page that needs nothing else, with the panels side by side."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    from gennas.files import write_text

    figure = make_subplots(cols=len(panels), subplot_titles=[panel.title for panel in panels])
    methods = list(dict.fromkeys(line.method for panel in panels for line in panel.lines))
    for column, panel in enumerate(panels, start=1):
        for line in panel.lines:
            colour = _COLOURS[methods.index(line.method) % len(_COLOURS)]
            around = np.concatenate([line.upper, line.lower[::-1]])
            band = go.Scatter(
                x=np.concatenate([line.x, line.x[::-1]]), y=around, fill="toself", fillcolor=colour, opacity=0.15,
                line={"width": 0}, hoverinfo="skip", showlegend=False, legendgroup=line.method,
            )  # fmt: skip
            mean = go.Scatter(
                x=line.x, y=line.mean, name=line.method, line={"color": colour}, legendgroup=line.method,
                showlegend=column == 1,
            )  # fmt: skip
            figure.add_traces([band, mean], rows=1, cols=column)
        figure.update_xaxes(title_text=panel.x_title, row=1, col=column)
        if panel.logarithmic:
            figure.update_yaxes(type="log", exponentformat="power", row=1, col=column)
    figure.update_layout(title=f"{title}: mean over seeds, and the quartiles", template="plotly_white")
    write_text(path, figure.to_html(include_plotlyjs=True, full_html=True))
