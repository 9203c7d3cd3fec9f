"""Reading evaluated archs of a file or a run folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gennas.arch import Arch
from gennas.errors import InvalidArchError, InvalidInputError, short
from gennas.metrics import implausible
from gennas.predictors.transfer import Evaluated
from gennas.spaces import Space
from gennas.studies.study import Study
from gennas.tables.arch_csv import Column, read_numbers

#: Fewer evaluated archs than these say nothing about a task.
FEWEST = 3
ACCURACY = Column("accuracy", "evaluated", "a fraction", "0.93", "or give a folder that 'gennas validate --out' wrote")


def read_evaluated(path: Path, space: Space, task: str) -> Evaluated:
    """Evaluated archs of a file or a run folder.

    Args:
        path: a CSV with the columns ``key,accuracy`` (fractions), or a folder that ``gennas validate`` wrote.
        space: of the archs.
        task: whose accuracies are looked for in a run folder.

    Raises:
        InvalidInputError: it cannot be read, a row is not valid (named by its line), or fewer than three archs
            differ.
        StudyError: a folder that is not a study.
    """
    found = _of_study(path, space, task) if path.is_dir() else read_numbers(path, space, ACCURACY, _defect_of)
    values = np.array(list(found.values()))
    if len(values) < FEWEST or np.ptp(values) == 0:
        raise InvalidInputError(
            f"{path} has {len(values)} archs with {len(set(values))} different accuracies of task "
            f"{task!r}; expected at least {FEWEST} archs that differ. Train some: gennas validate --task {task}",
            argument="evaluated",
        )
    return Evaluated(tuple(found), values)


def _defect_of(arch: Arch, accuracy: float) -> str:
    defect = implausible("accuracy", accuracy)
    return f"{short(arch.key)}: {defect}" if defect else ""


def _of_study(folder: Path, space: Space, task: str) -> dict[Arch, float]:
    """Mean accuracy of every arch that was trained on the task.

    Only accuracies of one length of training and one recipe can be compared: those that most archs have, of equally
    many the longer.
    """
    frame = Study(folder).frame()
    trained = frame[(frame["metric"] == f"accuracy@{task}") & (frame["source"] == "trained")]
    if len(trained):
        archs = trained.groupby(["fidelity", "recipe"])["arch"].nunique()
        fidelity, recipe = max(archs.index, key=lambda group: (archs[group], *group))
        trained = trained[(trained["fidelity"] == fidelity) & (trained["recipe"] == recipe)]
    found: dict[Arch, list[float]] = {}
    for key, value in zip(trained["arch"], trained["value"], strict=True):
        try:
            (arch,) = space.canonicalised([space.parse(str(key))])
        except InvalidArchError as error:
            raise InvalidInputError(f"{folder}: {error}", argument="evaluated") from error
        if defect := _defect_of(arch, float(value)):
            raise InvalidInputError(f"{folder}: {defect}.", argument="evaluated")
        found.setdefault(arch, []).append(float(value))
    return {arch: float(np.mean(values)) for arch, values in found.items()}
