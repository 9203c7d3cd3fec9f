"""How outputs of a network are read, as classes, labels or values; exported programs have this module in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

#: The probability above which a label is taken to be there.
PRESENT = 0.5


def softmax(logits: np.ndarray) -> np.ndarray:
    """``(b, k)`` probabilities of logits, whose sum is 1."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """``(b, k)`` probabilities of logits, each by itself."""
    # Written so that nothing overflows: exp of what is at most 0.
    small = np.exp(-np.abs(logits.astype(np.float64)))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))


def scaled(outputs: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """``(b, k)`` values in their own units, of standardised ones."""
    return np.asarray(outputs.astype(np.float64) * np.array(std) + np.array(mean))


def _classes(outputs: np.ndarray, names: Sequence[str], facts: Mapping[str, Any], top: int) -> list[dict[str, Any]]:
    """``class``, ``probability``, and the ``top`` classes."""
    rows = []
    for probabilities in softmax(outputs):
        order = np.argsort(-probabilities, kind="stable")[: max(top, 1)].tolist()
        ranked = [{"class": names[i], "probability": float(probabilities[i])} for i in order]
        rows.append({**ranked[0], "top": ranked})
    return rows


def _labels(outputs: np.ndarray, names: Sequence[str], facts: Mapping[str, Any], top: int) -> list[dict[str, Any]]:
    """``labels``, those more probable than not, the most probable first; and ``probabilities`` of all."""
    rows = []
    for probabilities in sigmoid(outputs):
        order = np.argsort(-probabilities, kind="stable").tolist()
        chosen = [names[i] for i in order if probabilities[i] > PRESENT]
        rows.append({"labels": chosen, "probabilities": dict(zip(names, probabilities.tolist(), strict=True))})
    return rows


def _values(outputs: np.ndarray, names: Sequence[str], facts: Mapping[str, Any], top: int) -> list[dict[str, Any]]:
    """``values`` by name, in their own units."""
    found = scaled(outputs, facts["mean"], facts["std"]).tolist()
    return [{"values": dict(zip(names, row, strict=True))} for row in found]


class Reading(NamedTuple):
    """One way of reading outputs.

    Attributes:
        listed: what is told, e.g. ``classes``.
        rows: outputs ``(b, k)``, names of the outputs, facts of ``preprocess.json`` and a number of classes to a dict
            per image.
        shown: such a dict as names with numbers, to be printed on a line.
        cells: such a dict as cells of a table.
    """

    listed: str
    rows: Callable[[np.ndarray, Sequence[str], Mapping[str, Any], int], list[dict[str, Any]]]
    shown: Callable[[Mapping[str, Any]], list[tuple[str, str]]]
    cells: Callable[[Mapping[str, Any]], dict[str, str]]


def _class_cells(row: Mapping[str, Any]) -> dict[str, str]:
    others = {f"class {n}": f"{one['class']} {one['probability']:.4f}" for n, one in enumerate(row["top"][1:], 2)}
    return {"class": row["class"], "probability": f"{row['probability']:.4f}", **others}


def _shown_classes(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(one["class"], f"{one['probability']:.4f}") for one in row["top"]]


def _shown_labels(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, f"{row['probabilities'][name]:.4f}") for name in row["labels"]]


def _label_cells(row: Mapping[str, Any]) -> dict[str, str]:
    return {"labels": ", ".join(f"{name} {number}" for name, number in _shown_labels(row)) or "none"}


def _shown_values(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, f"{value:.6g}") for name, value in row["values"].items()]


#: Name -> how outputs are read.
READINGS = {
    one.listed: one
    for one in (
        Reading("classes", _classes, _shown_classes, _class_cells),
        Reading("labels", _labels, _shown_labels, _label_cells),
        Reading("values", _values, _shown_values, lambda row: dict(_shown_values(row))),
    )
}
