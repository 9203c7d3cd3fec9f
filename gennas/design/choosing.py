"""Choosing among the networks of a design: by validation accuracy, and what a difference may be by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gennas.design.chance import chance_of
from gennas.design.result import Designed
from gennas.training.network_files import PREDICTIONS

#: A difference that is more likely than this where there is none may be one by chance.
LIKELY = 0.05


def ranked(entries: Sequence[Designed]) -> list[Designed]:
    """The networks, the best first: those that keep all limits by validation accuracy, of equal ones the surest of the
    right classes."""

    def merit(entry: Designed) -> tuple[bool, float, float]:
        return entry.keeps, entry.accuracy, _certainty(entry)

    return sorted(entries, key=merit, reverse=True)


def handed_over(entries: Sequence[Designed], n: int) -> list[Designed]:
    """The same networks with the best ``n`` that keep all limits numbered, an ensemble after them if it is not among
    them, and what is to be said of the baselines."""
    found = []
    place = 0
    for entry in entries:
        if entry.keeps and place < n:
            place += 1
            entry = replace(entry, handed_over=place)
        found.append(entry)
    # Who asks for an ensemble gets it, also where it is not among the best.
    found = [
        replace(entry, handed_over=place + 1)
        if entry.kind == "ensemble" and entry.keeps and entry.handed_over is None
        else entry
        for entry in found
    ]
    best = next((entry for entry in found if entry.kind == "generated" and entry.keeps), None)
    return [replace(entry, note=_note(entry, best)) for entry in found]


def _note(entry: Designed, best: Designed | None) -> str:
    if entry.kind == "generated":
        return "" if entry.keeps else "breaks a limit"
    text = "what you would have done" if entry.kind == "baseline" else f"the mean of {len(entry.members)} networks"
    if not entry.keeps:
        return f"{text}; breaks a limit"
    if best is not None:
        split = "test" if entry.test is not None else "val"
        chance = chance_of(_correct(best, split), _correct(entry, split))
        text += f"; the difference to {best.name} is {'within' if chance > LIKELY else 'beyond'} chance"
    if entry.kind == "ensemble":
        return text
    return text + ("; best on validation images, so it is handed over" if entry.handed_over == 1 else "")


def _correct(entry: Designed, split: str) -> np.ndarray:
    """``(n,)`` boolean: which images of a split are classified correctly."""
    rows = _rows(entry, split)
    found: np.ndarray = rows["label"].to_numpy() == rows["predicted"].to_numpy()
    return found


def _certainty(entry: Designed) -> float:
    """Mean log-probability of the validation images' classes."""
    probabilities = _rows(entry, "val")["label_probability"].to_numpy(dtype=float)
    return float(np.log(np.maximum(probabilities, 1e-9)).mean())


def _rows(entry: Designed, split: str) -> Any:
    import pandas as pd

    frame = pd.read_parquet(entry.folder / PREDICTIONS)
    return frame[frame["split"] == split].sort_values("row")
