"""The log of a training: ``training.csv``, and event files for TensorBoard."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gennas.files import write_text

CSV, EVENTS = "training.csv", "tensorboard"


@dataclass(frozen=True)
class EpochLog:
    """What is known of one epoch.

    Attributes:
        epoch: its number, from 1.
        loss: mean of its steps.
        learning_rate: of its last step.
        val_score: accuracy on the validation images of the weights after it, or the score of another kind of targets;
            None where it was not measured.
        seconds: that it took, without measuring.
    """

    epoch: int
    loss: float
    learning_rate: float
    val_score: float | None
    seconds: float


class TrainingLog:
    """Writes the log of one training; events of an earlier training in the same folder are removed.

    Args:
        folder: of the network.
        known: epochs that were trained, and logged, before an interruption.
        score: what is measured on validation images, e.g. ``accuracy``.
    """

    def __init__(self, folder: Path, known: Sequence[EpochLog] = (), score: str = "accuracy") -> None:
        from tensorboardX import SummaryWriter

        self.path, self.score = folder / CSV, score
        shutil.rmtree(folder / EVENTS, ignore_errors=True)
        self._events = SummaryWriter(str(folder / EVENTS))
        for row in known:
            self._show(row)
        if known:
            self._write(known)
        else:
            self.path.unlink(missing_ok=True)

    def write(self, rows: Sequence[EpochLog]) -> None:
        """Adds the last one of all epochs."""
        self._show(rows[-1])
        self._write(rows)

    def close(self) -> None:
        """Writes out all events."""
        self._events.close()

    def _show(self, row: EpochLog) -> None:
        self._events.add_scalar("loss/train", row.loss, row.epoch)
        self._events.add_scalar("learning_rate", row.learning_rate, row.epoch)
        if row.val_score is not None:
            self._events.add_scalar(f"{self.score}/val", row.val_score, row.epoch)
        self._events.flush()

    def _write(self, rows: Sequence[EpochLog]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(field.name.replace("score", self.score) for field in fields(EpochLog))
        writer.writerows(asdict(row).values() for row in rows)
        write_text(self.path, text.getvalue())


def epochs_of(documents: Any) -> list[EpochLog]:
    """The epochs that a checkpoint keeps as dicts; those of earlier versions know accuracies only."""
    named = [{name.replace("accuracy", "score"): value for name, value in one.items()} for one in documents]
    return [EpochLog(**document) for document in named]
