"""Outcome: what every verb returns, whatever form it is shown in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennas.errors import StudyError

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


def stored_result(out: Path, has: str = "archs") -> dict[str, Any] | None:
    """The result that ``out`` holds already, if any; ``has`` is a field that such results have.

    Raises:
        StudyError: ``out`` is something else, which is not ours to overwrite.
    """
    if not out.exists():
        return None
    try:
        stored = json.loads(out.read_text())
        stored[has]
    except (OSError, ValueError, KeyError, TypeError):
        raise StudyError(f"--out {out} exists and is no result of gennas; choose another file.") from None
    return dict(stored)
