"""What the evaluators of a search may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gennas.checkpoint import Checkpoint
from gennas.evaluators.latency_spec import LatencySpec
from gennas.problem import Problem
from gennas.tables import Table
from gennas.training.recipe import Recipe


@dataclass(frozen=True)
class EvaluatorContext:
    """What the evaluators of a search may use.

    Attributes:
        problem: names the metrics.
        table: answers in place of trainings and measurements; None where there is none.
        recipe: how networks are trained.
        latency: how latency is measured on this machine.
        folder: run folder, for files that belong to archs; None for a search that keeps nothing.
        checkpoint: whose predictor predicts; None for the one of the space's name.
        supernet: folder of a supernet, whose weights give accuracies in place of trainings; None where there is none.
    """

    problem: Problem
    table: Table | None = None
    recipe: Recipe = field(default_factory=Recipe)
    latency: LatencySpec = field(default_factory=LatencySpec)
    folder: Path | None = None
    checkpoint: Checkpoint | None = None
    supernet: Path | None = None
