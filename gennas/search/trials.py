"""Trial: a proposed arch on its way through its evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gennas.arch import Arch
from gennas.metrics import Metric
from gennas.search.base import History
from gennas.spaces.functions import KeyOf

#: ``open`` until all values are there; ``failed`` where an evaluation failed for good.
State = Literal["open", "done", "failed"]


@dataclass(eq=False, repr=False)
class Trial:
    """A proposed arch, and what is known of it so far.

    Attributes:
        number: of the proposal, from 0.
        batch: trials of one batch were proposed together.
        arch: the arch.
        proposed_by: how it came to be proposed, one word, e.g. ``random``, ``mutated``, ``generated``.
        acquisition_value: what made it better than others, on the policy's own scale; None where nothing did.
        values: metric names with their target -> values.
        state: whether values are still to come, and whether its evaluation failed.
        message: why it failed; with several tasks it may have values of the others.
        is_stopped: whether it broke a bound before anything costly was evaluated of it.
    """

    number: int
    batch: int
    arch: Arch
    proposed_by: str
    acquisition_value: float | None = None
    values: dict[str, float] = field(default_factory=dict)
    state: State = "open"
    message: str = ""
    is_stopped: bool = False
    #: Stages that are done with it, and attempts of the present one that failed.
    _stage: int = 0
    _attempts: int = 0
    #: Task, reason and message of stages that failed for good.
    _failed: tuple[tuple[str, str, str], ...] = ()

    def __repr__(self) -> str:
        values = "".join(f", {name}={value:.4g}" for name, value in self.values.items())
        return f"Trial({self.number}, {self.arch.key!r}, {self.state}{values})"

    @property
    def is_open(self) -> bool:
        """Whether further values will come."""
        return self.state == "open"


def used(trials: Sequence[Trial], visible: Sequence[bool], budget: int) -> int:
    """How much of a budget trials use: one each, but those that a bound stopped before anything costly, up to as many
    as the budget. So a search ends after at most twice its budget, and nothing but the values decides when.

    Args:
        trials: ``N`` trials.
        visible: ``N`` booleans, of which it may be known that they were stopped.
        budget: of the search.
    """
    stopped = sum(trial.is_stopped for trial, sees in zip(trials, visible, strict=True) if sees)
    return len(trials) - min(stopped, budget)


def history_of(metrics: Sequence[Metric], trials: Sequence[Trial], visible: Sequence[bool], key_of: KeyOf) -> History:
    """What a policy sees of trials: the visible ones with their values, the others as pending.

    Args:
        metrics: the ``M`` columns of the values.
        trials: ``N`` trials in the order in which they were proposed.
        visible: ``N`` booleans.
        key_of: tells which archs count as one.
    """
    values = np.full((len(trials), len(metrics)), np.nan)
    for row, trial, is_visible in zip(values, trials, visible, strict=True):
        if is_visible:
            row[:] = [trial.values.get(metric.name, np.nan) for metric in metrics]
    return History(
        tuple(trial.arch for trial in trials),
        values,
        ~np.array(visible, dtype=bool),
        np.array([sees and trial.state == "failed" for trial, sees in zip(trials, visible, strict=True)], dtype=bool),
        tuple(trial.proposed_by for trial in trials),
        key_of,
    )
