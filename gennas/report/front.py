"""Front: what nothing beats, measured solid and predicted hollow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from gennas.metrics import Metric, Objective
from gennas.report.figures import COLOURS, GREY, Figure, Trace, axis_title, layout, origin_style
from gennas.report.run import Run

#: Of more predictions than these, a chart is drawn without them at first.
_MANY = 40


def front_figures(run: Run) -> list[Figure]:
    """The first metric of the objective against each of the others, at most three; none for a single objective. With
    several tasks the same of what counts for each, then the first metrics of the tasks against each other."""
    if len(run.tasks) < 2:
        return _fronts(run, run.objective, run.front, "front")
    found = []
    for place, task in enumerate(run.tasks):
        found += _fronts(run, run.objective.of_task(task), run.front_of(task), f"front-of-{place}")
    return [*found, *_fronts(run, run.objective.first_of_tasks(), run.for_all_tasks, "front-of-all")]


def _fronts(run: Run, objective: Objective, rows: list[int], name: str) -> list[Figure]:
    """At most three charts of an objective, of which nothing beats some rows of :attr:`Run.archs`."""
    first, *others = objective.metrics
    has_line = not others[1:]
    return [_front(run, other, first, rows, f"{name}-{place}", has_line) for place, other in enumerate(others[:3])]


def _front(run: Run, x: Metric, y: Metric, rows: list[int], name: str, has_line: bool) -> Figure:
    archs = run.archs
    there = archs[archs[[x.name, y.name]].notna().all(axis=1)]
    not_measured = run.is_predicted(x.name) | run.is_predicted(y.name)
    traces = [_predicted(run, x, y)] if _predictions(run, x.name, y.name) else []
    front = archs.iloc[rows]
    if has_line and len(front):
        traces.append(_staircase(front, x, y))
    origins = sorted(set(there["proposed_by"]))
    traces += _points(there, there[x.name], there[y.name], origins, not_measured, size=11, is_outlined=True)
    shape = layout(axis_title(x), axis_title(y), 460, x=_range(there[x.name], x), y=_range(there[y.name], y))
    label = (
        f"Scatter of {len(there)} evaluated archs: {y.name} against {x.name}; {len(front)} are on the front. "
        "The table of all archs has the same numbers."
    )
    return Figure(name, label, traces, shape)


def _points(
    archs: pd.DataFrame,
    x: pd.Series[Any],
    y: pd.Series[Any],
    origins: Sequence[str],
    not_measured: set[str],
    *,
    size: int,
    is_outlined: bool = False,
) -> list[Trace]:
    """A scatter of archs for each way in which they came to be proposed; hollow what is predicted or breaks a bound.

    Args:
        archs: rows of :attr:`Run.archs`.
        x: of these rows.
        y: of these rows.
        origins: ways, in the order of their colours.
        not_measured: keys of archs whose values are predicted.
        size: of a marker in pixels.
        is_outlined: whether markers have an outline that tells them apart where they overlap.
    """
    traces: list[Trace] = []
    for origin in origins:
        is_own = archs["proposed_by"] == origin
        own = archs[is_own]
        colour, symbol = origin_style(origin, origins)
        hollow = [key in not_measured or not keeps for key, keeps in zip(own["key"], own["is_feasible"], strict=True)]
        marker: dict[str, Any] = {
            "color": colour,
            "size": size,
            "symbol": [f"{symbol}-open" if is_hollow else symbol for is_hollow in hollow],
        }
        if is_outlined:
            marker["line"] = {"width": 1.6} if any(hollow) else {"color": "#ffffff", "width": 0.8}
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": origin or "evaluated",
                "x": x[is_own].tolist(),
                "y": y[is_own].tolist(),
                "customdata": (own.index + 1).tolist(),
                "hoverinfo": "none",
                "marker": marker,
            }
        )
    return traces


def _staircase(front: pd.DataFrame, x: Metric, y: Metric) -> Trace:
    """What the front dominates ends there: no value between two of its points was found."""
    points = front.sort_values(x.name)[[x.name, y.name]].to_numpy(dtype=float)
    xs, ys = [float(points[0, 0])], [float(points[0, 1])]
    for (_, before), (at, after) in pairwise(points):
        # Until the next point is affordable, the one before it is the best.
        xs += [float(at), float(at)]
        ys += [float(before) if x.kind.sign < 0 else float(after), float(after)]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "front",
        "x": xs,
        "y": ys,
        "hoverinfo": "skip",
        "line": {"color": "#22262b", "width": 1.6},
    }


def _predictions(run: Run, *metrics: str) -> dict[str, dict[str, Any]]:
    """Key -> metric -> prediction, of archs of which all of the metrics were predicted."""
    found: dict[str, dict[str, Any]] = {}
    for row in run.predictions:
        if row.metric in metrics:
            found.setdefault(row.arch, {})[row.metric] = row
    return {key: rows for key, rows in found.items() if len(rows) == len(metrics)}


def _predicted(run: Run, x: Metric, y: Metric) -> Trace:
    found = _predictions(run, x.name, y.name)
    rows_of = {key: row + 1 for row, key in enumerate(run.archs["key"])}
    trace: Trace = {
        "type": "scatter",
        "mode": "markers",
        "name": "predicted when proposed, 90 % interval",
        "customdata": [rows_of[key] for key in found],
        "hoverinfo": "none",
        "opacity": 0.55,
        "marker": {"symbol": "circle-open", "size": 9, "color": GREY, "line": {"width": 1.4}},
        "visible": True if len(found) <= _MANY else "legendonly",
    }
    for axis, metric in (("x", x), ("y", y)):
        rows = [both[metric.name] for both in found.values()]
        trace[axis] = [row.median for row in rows]
        trace[f"error_{axis}"] = {
            "type": "data",
            "symmetric": False,
            "array": [row.high - row.median for row in rows],
            "arrayminus": [row.median - row.low for row in rows],
            "color": "#a9afb6",
            "thickness": 1,
            "width": 0,
        }
    return trace


def _range(values: pd.Series[float], metric: Metric) -> dict[str, Any]:
    """The measured values with a margin: an interval may be much wider than all of them."""
    if not len(values):
        return {}
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
    return {"range": [max(low - margin, metric.kind.lower - margin), min(high + margin, metric.kind.upper + margin)]}


def tried_figures(run: Run) -> list[Figure]:
    """What was tried when: each metric of the objective over the evaluations, with the best so far."""
    return [_tried(run, metric, place) for place, metric in enumerate(run.objective.metrics)]


def _tried(run: Run, metric: Metric, place: int) -> Figure:
    archs = run.archs
    origins = sorted(set(archs["proposed_by"]))
    traces: list[Trace] = []
    counts = np.isfinite(run.gains).all(1)
    if counts.any():
        gains = np.where(counts, run.gains[:, place], -np.inf)
        best = np.maximum.accumulate(gains) * metric.kind.sign
        known = np.isfinite(best)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "best so far",
                "x": (np.flatnonzero(known) + 1).tolist(),
                "y": best[known].tolist(),
                "line": {"shape": "hv", "color": "#22262b", "width": 1.6},
                "hoverinfo": "skip",
            }
        )
    not_measured = run.is_predicted(metric.name)
    there = archs[archs[metric.name].notna()]
    traces += _points(there, there.index.to_series() + 1, there[metric.name], origins, not_measured, size=10)
    failed = archs[archs["state"] == "failed"]
    if len(failed):
        low = archs[metric.name].min() if archs[metric.name].notna().any() else 0.0
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "failed",
                "x": (failed.index + 1).tolist(),
                "y": [float(low)] * len(failed),
                "customdata": (failed.index + 1).tolist(),
                "hoverinfo": "none",
                "marker": {"color": COLOURS[1], "size": 10, "symbol": "x-thin", "line": {"width": 2}},
            }
        )
    label = f"{metric.name} of {int(archs[metric.name].notna().sum())} archs in the order in which they were proposed."
    return Figure(f"tried-{place}", label, traces, layout("evaluation", axis_title(metric)))
