"""What the user told of a task and of devices, put into a predictor: evaluated archs and stored hardware."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gennas import hardware
from gennas.arch import Arch
from gennas.errors import InvalidArchError, InvalidInputError
from gennas.predictors.base import Predictor
from gennas.spaces import Space
from gennas.study import Study

#: Evaluated archs without which nothing is learnt of a task.
FEWEST = 3


@dataclass(frozen=True)
class Evaluated:
    """Archs with the accuracies that they truly have on a task.

    Attributes:
        archs: ``k`` distinct archs.
        accuracy: ``(k,)`` fractions.
    """

    archs: tuple[Arch, ...]
    accuracy: np.ndarray


def with_told(
    predictor: Predictor, space: Space, task: str, evaluated: Evaluated | None, places: Iterable[str]
) -> tuple[Predictor, tuple[str, ...]]:
    """A predictor that also knows the user's devices, and the task of evaluated archs, with notes on how well.

    Args:
        predictor: of a checkpoint.
        space: of its archs.
        task: name of the task that ``evaluated`` is about.
        evaluated: accuracies of some archs; None for nothing.
        places: names of hardware that are asked about; unknown ones are left to whoever asks.

    Raises:
        InvalidInputError: the predictor cannot learn from them.
    """
    from gennas.predictors.adapt import adapt_hardware, adapt_task

    notes = []
    known = predictor.places("latency_ms")
    for name in dict.fromkeys(places):
        if name in known or name not in hardware.names(space.name):
            continue
        device = hardware.load(space.name, name)
        measured = [space.parse(key) for key in device.keys]
        predictor, report = adapt_hardware(predictor, space, name, measured, device.latency_ms)
        ranked = f"leave-one-out rank correlation {report.spearman:.2f}, " if report.archs >= 5 else ""
        notes.append(
            f"latency_ms@{name} is foretold from {report.archs} measurements and {len(known)} known devices; "
            f"{ranked}relative error {report.relative_error:.0%}."
        )
        notes += [report.advice] if report.advice else []
    if evaluated is not None:
        predictor, report = adapt_task(predictor, space, task, evaluated.archs, evaluated.accuracy)
        tested = f"; leave-one-out rank correlation {report.spearman:.2f}" if report.archs >= 5 else ""
        notes.append(
            f"accuracy@{task} is foretold from {report.archs} evaluated archs and the tasks that the predictor knows"
            f"{tested}."
        )
    return predictor, tuple(notes)


def read_evaluated(path: Path, space: Space, task: str) -> Evaluated:
    """Evaluated archs of a file or a run folder.

    Args:
        path: a CSV with the columns ``key,accuracy`` (fractions), or a folder that ``gennas validate`` wrote.
        space: of the archs.
        task: whose accuracies are looked for in a run folder.

    Raises:
        InvalidInputError: it cannot be read, a row is bad (told with its line), or there are fewer than three archs.
    """
    pairs = _of_study(path, task) if path.is_dir() else _of_csv(path)
    found: dict[Arch, tuple[str, float]] = {}
    for where, key, text in pairs:
        try:
            (arch,) = space.renumbered([space.parse(key)])
            value = float(text)
        except InvalidArchError as error:
            raise InvalidInputError(f"{where}: {error}") from error
        except ValueError:
            raise InvalidInputError(f"{where}: accuracy is {text!r}; expected a fraction such as 0.93.") from None
        if not 0 <= value <= 1:
            raise InvalidInputError(f"{where}: accuracy is {value:g}; expected a fraction from 0 to 1, not per cent.")
        before, known = found.setdefault(arch, (where, value))
        if known != value:
            raise InvalidInputError(f"{where}: {arch.key} has accuracy {value:g}, but {known:g} at {before}.")
    values = np.array([value for _, value in found.values()])
    if len(values) < FEWEST or np.ptp(values) == 0:
        raise InvalidInputError(
            f"--evaluated {path} has {len(values)} archs with {len(set(values))} different accuracies of task "
            f"{task!r}; expected at least {FEWEST} archs that differ. Train some: gennas validate --task {task}"
        )
    return Evaluated(tuple(found), values)


Pair = tuple[str, str, str]


def _of_csv(path: Path) -> Sequence[Pair]:
    expected = "expected a CSV whose first line is key,accuracy, or a folder that 'gennas validate --out' wrote"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"--evaluated {path} cannot be read: {error}; {expected}.") from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not {"key", "accuracy"} <= set(rows.fieldnames or ()):
        raise InvalidInputError(f"--evaluated {path}: the first line is {text.partition(chr(10))[0]!r}; {expected}.")
    return [
        (f"{path}, line {rows.line_num}", (row["key"] or "").strip(), (row["accuracy"] or "").strip())
        for row in rows
        if any(isinstance(field, str) and field.strip() for field in row.values())
    ]


def _of_study(folder: Path, task: str) -> Sequence[Pair]:
    """Mean accuracy of every arch that was trained on the task."""
    frame = Study(folder).frame()
    trained = frame[(frame["metric"] == f"accuracy@{task}") & (frame["source"] == "trained")]
    means = trained.groupby("arch")["value"].mean()
    return [(str(folder), str(key), repr(float(value))) for key, value in means.items()]
