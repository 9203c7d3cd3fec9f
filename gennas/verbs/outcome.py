"""Outcome: what every verb returns, whatever form it is shown in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gennas.arch import Arch


@dataclass
class Outcome:
    """What a verb has to say.

    Attributes:
        document: for ``--format json``.
        tables: for people: title -> rows, each a dict of column to cell.
        notes: sentences the user should read.
        wrote: the paths that were written.
        next: a command that makes sense now.
    """

    document: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    wrote: Sequence[Path] = ()
    next: str = ""


def predicted_archs(archs: Sequence[Arch], predicted: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"key": arch.key, "predicted": values} for arch, values in zip(archs, predicted, strict=True)]


def predicted_rows(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"key": e["key"], **{name: cell(value) for name, value in e["predicted"].items()}} for e in entries]


def cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['mean']:.4g} +- {value['std']:.2g}"
    return f"{value:.4g}"
