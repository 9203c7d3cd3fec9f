"""Calibration: what was predicted of archs when they were proposed, against what came of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gennas.errors import GennasError
from gennas.metrics import Metric
from gennas.report.figures import COLOURS, Figure, axis_title, layout
from gennas.report.run import Run

#: The share of values that the stored intervals are to hold.
STATED = 0.9
#: A rank correlation of fewer archs says nothing.
_FEWEST = 5


@dataclass(frozen=True, eq=False)
class Calibration:
    """The predictions of one metric.

    Attributes:
        metric: that was predicted.
        rows: a row per arch that was predicted and then evaluated: ``key``, ``median``, ``low``, ``high``,
            ``measured``, ``is_inside`` the interval.
        waiting: archs that were predicted and of which no value is known.
    """

    metric: Metric
    rows: pd.DataFrame
    waiting: int

    @property
    def coverage(self) -> float:
        """The share of values within their intervals."""
        return float(self.rows["is_inside"].mean())

    @property
    def error(self) -> float:
        """The median absolute error, in the metric's unit."""
        return float((self.rows["median"] - self.rows["measured"]).abs().median())

    @property
    def rank_correlation(self) -> float | None:
        """Spearman's, of predictions and values; None of fewer than five archs, or of equal ones."""
        if len(self.rows) < _FEWEST or self.rows[["median", "measured"]].nunique().min() < 2:
            return None
        return float(self.rows["median"].corr(self.rows["measured"], method="spearman"))

    @property
    def sentence(self) -> str:
        """The numbers in words."""
        inside, count = int(self.rows["is_inside"].sum()), len(self.rows)
        rank = self.rank_correlation
        return (
            f"{inside} of {count} measured values ({self.coverage:.0%}) lie within their {STATED:.0%} interval; "
            f"the median error is {self.error:.3g} {self.metric.kind.unit}"
            f"{'' if rank is None else f', and the rank correlation {rank:.2f}'}."
        )

    def figure(self) -> Figure:
        """Predicted against measured, with the line on which both are the same."""
        rows, name = self.rows, self.metric.name
        low = float(min(rows["measured"].min(), rows["median"].min()))
        high = float(max(rows["measured"].max(), rows["median"].max()))
        margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
        ends = [low - margin, high + margin]
        same = {
            "type": "scatter",
            "mode": "lines",
            "name": "predicted = measured",
            "x": ends,
            "y": ends,
            "hoverinfo": "skip",
            "line": {"color": "#9aa1a9", "dash": "dash", "width": 1.2},
        }
        traces = [same]
        for is_inside, word, colour, symbol in (
            (True, "within the interval", COLOURS[0], "circle"),
            (False, "outside of it", COLOURS[1], "diamond"),
        ):
            own = rows[rows["is_inside"] == is_inside]
            if not len(own):
                continue
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": word,
                    "x": own["measured"].tolist(),
                    "y": own["median"].tolist(),
                    "customdata": own["row"].tolist(),
                    "hoverinfo": "none",
                    "marker": {"color": colour, "size": 10, "symbol": symbol},
                    "error_y": {
                        "type": "data",
                        "symmetric": False,
                        "array": (own["high"] - own["median"]).tolist(),
                        "arrayminus": (own["median"] - own["low"]).tolist(),
                        "color": colour,
                        "thickness": 1,
                        "width": 0,
                    },
                }
            )
        title = axis_title(self.metric)
        shape = layout(f"measured {title}", f"predicted {title}", 380, x={"range": ends}, y={"range": ends})
        slug = "".join(letter if letter.isalnum() else "-" for letter in name)
        return Figure(f"calibration-{slug}", f"Predicted against measured {name}: {self.sentence}", traces, shape)


def calibrations(run: Run) -> list[Calibration]:
    """Of every metric that was predicted of an arch and then measured; the objective's first."""
    values: dict[tuple[str, str], list[float]] = {}
    for row in run.evaluations:
        if row.source != "predicted":
            values.setdefault((row.arch, row.metric), []).append(row.value)
    measured = {which: float(np.mean(own)) for which, own in values.items()}
    rows_of = {key: row + 1 for row, key in enumerate(run.archs["key"])}
    names = dict.fromkeys((*(metric.name for metric in run.metrics), *(row.metric for row in run.predictions)))
    found = []
    for name in names:
        own = [row for row in run.predictions if row.metric == name]
        rows = [
            {
                "row": rows_of[row.arch],
                "key": row.arch,
                "median": row.median,
                "low": row.low,
                "high": row.high,
                "measured": measured[row.arch, name],
                "is_inside": bool(row.low <= measured[row.arch, name] <= row.high),
            }
            for row in own
            if (row.arch, name) in measured
        ]
        metric = metric_of(name)
        if rows and metric is not None:
            found.append(Calibration(metric, pd.DataFrame(rows), len(own) - len(rows)))
    return found


def metric_of(name: str) -> Metric | None:
    """None where no such metric is registered: one of the user's own is known to their program only."""
    try:
        return Metric.parse(name)
    except GennasError:
        return None
