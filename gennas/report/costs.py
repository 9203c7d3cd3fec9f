"""Costs: where the time of a run went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gennas.report.figures import COLOURS, GREY, SYMBOLS, Figure, layout
from gennas.report.run import Run, seconds_by_arch

#: Source of values -> what was done for them.
WORDS = {
    "trained": "training",
    "measured": "measuring latency",
    "inherited": "evaluating inherited weights",
    "table": "looking up",
    "computed": "computing costs",
    "predicted": "predicting",
    "failed": "failed attempts",
}


@dataclass(frozen=True)
class Costs:
    """Seconds of a run.

    Attributes:
        by_kind: what was done -> seconds, summed over workers.
        elapsed: from the first to the last thing that was stored; None where times are not stored.
    """

    by_kind: dict[str, float]
    elapsed: float | None

    @classmethod
    def of(cls, run: Run) -> Costs:
        """What the study knows."""
        found: dict[str, float] = {}
        for kinds in seconds_by_arch(run.evaluations, run.failures).values():
            for kind, value in kinds.items():
                word = WORDS.get(kind, kind)
                found[word] = found.get(word, 0.0) + value
        ordered = dict(sorted(found.items(), key=lambda item: -item[1]))
        times = [row.created for row in run.evaluations] + [row.created for row in run.failures]
        return cls(ordered, _elapsed([*times, *(row.created for row in run.sessions)]))

    @property
    def total(self) -> float:
        """Seconds of all evaluations."""
        return sum(self.by_kind.values())


def costs_figure(run: Run) -> Figure | None:
    """A bar per arch; None where nothing took time."""
    seconds = seconds_by_arch(run.evaluations, run.failures)
    kinds = [kind for kind in WORDS if sum(one.get(kind, 0.0) for one in seconds.values()) >= 0.01]
    if not kinds:
        return None
    keys = run.archs["key"].tolist()
    patterns = ("", "/", "x", "-", "|", "+")
    traces = [
        {
            "type": "bar",
            "name": WORDS[kind],
            "x": list(range(1, len(keys) + 1)),
            "y": [seconds.get(key, {}).get(kind, 0.0) for key in keys],
            "customdata": list(range(1, len(keys) + 1)),
            "hoverinfo": "none",
            "marker": {
                "color": GREY if kind == "failed" else COLOURS[place % len(COLOURS)],
                "pattern": {
                    "shape": patterns[place % len(SYMBOLS)],
                    "fgcolor": "#ffffff",
                    "fillmode": "overlay",
                    "size": 5,
                },
            },
        }
        for place, kind in enumerate(kinds)
    ]
    shape = layout("evaluation", "seconds", 300) | {"barmode": "stack", "bargap": 0.25, "showlegend": True}
    return Figure(
        "costs",
        f"Seconds of every evaluation, by what was done: {', '.join(WORDS[kind] for kind in kinds)}.",
        traces,
        shape,
    )


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 0.995:
        return f"{seconds:.2g} s"
    if seconds < 90:
        return f"{seconds:.3g} s"
    if seconds < 5400:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"


def _elapsed(times: list[str]) -> float | None:
    try:
        moments = [datetime.fromisoformat(text) for text in times]
        return (max(moments) - min(moments)).total_seconds() if moments else None
    except (ValueError, TypeError):
        return None
