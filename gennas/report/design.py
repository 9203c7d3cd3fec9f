"""The networks of a design, the baselines among them, as a run keeps them beside its study."""

from __future__ import annotations

from typing import Any

from gennas.design.result import FILE
from gennas.documents import read_json
from gennas.report.run import Run

#: Columns of the table: title -> field, and how it is written.
_COLUMNS = (
    ("network", "name", "{}"),
    ("validation", "accuracy", "{:.3f}"),
    ("test", "test_accuracy", "{:.3f}"),
    ("latency, ms", "latency_ms", "{:.3g}"),
    ("pixels", "pixels", "{}"),
    ("parameters, M", "params_m", "{:.3g}"),
    ("multiply-adds, M", "macs_m", "{:.3g}"),
    ("networks/", "handed_over", "{}"),
    ("note", "note", "{}"),
)


def design_rows(run: Run) -> list[dict[str, str]]:
    """Column -> text for every network, the best first; nothing for runs that are no designs, or are not finished."""
    if not run.is_design:
        return []
    try:
        networks = read_json(run.folder / FILE)["networks"]
        return [{title: _text(one, field, form) for title, field, form in _COLUMNS} for one in networks]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # The files of a run are anybody's to change.
        return []


def _text(facts: dict[str, Any], field: str, form: str) -> str:
    value = facts.get(field)
    if value is None:
        return ""
    text = form.format(value)
    if field == "test_accuracy" and facts.get("test_interval"):
        low, high = facts["test_interval"]
        text += f" ({low:.2f} to {high:.2f})"
    return text
