"""What a request seeks: scores of its objective, margins of predicted bounds, and what exact bounds leave out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gennas.checkpoint import Checkpoint
from gennas.diffusion.guides.costs import CostModel
from gennas.diffusion.guides.predicted import ConstraintGuide, ScoreSource
from gennas.generation.wanted import Wanted
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Objective
from gennas.spaces import get_space
from gennas.tasks import get_task

SPACE, TASK = get_space("nasbench201"), get_task("cifar10")


def graphs(count: int = 60) -> tuple[list[str], GraphBatch]:
    archs = list(SPACE.enumerate())[:: 15_625 // count]
    return [arch.key for arch in archs], GraphBatch.from_archs(archs, SPACE.template)


def test_scores_margins_and_what_is_kept(tiny_checkpoint: Path) -> None:
    predictor = Checkpoint(tiny_checkpoint).predictor
    accuracy = next(name for name in predictor.metrics if name.startswith("accuracy@"))
    metrics = Objective.parse(f"{accuracy}, -macs_m").metrics
    where = (Constraint.parse(f"{accuracy} >= 0.5"), Constraint.parse("params_m <= 0.5"))
    source = ScoreSource(predictor, {accuracy: [accuracy]})
    costs = {metric.name: CostModel(SPACE, TASK, metric) for metric in (metrics[1], where[1].metric)}
    wanted = Wanted(SPACE, metrics, where, 0.9, source, costs)
    keys, graph = graphs()
    worth = wanted.worth(graph)
    with torch.inference_mode():
        mean, _ = source.score(graph, accuracy)
        kept = ConstraintGuide(source, where[0]).log_values(graph, torch.arange(len(graph))).exp() >= 0.9
    assert worth.scores[:, 0].tolist() == pytest.approx(mean.tolist())
    less = costs["macs_m"].scores([SPACE.parse(key) for key in keys])
    assert worth.scores[:, 1].tolist() == pytest.approx(less.tolist())
    assert torch.equal(worth.margins[:, 0] >= 0, kept)
    expected = [
        SPACE.costs(arch, TASK)["params_m"] <= 0.5 and not SPACE.is_constant(arch) for arch in map(SPACE.parse, keys)
    ]
    assert wanted.keeps(graph).tolist() == expected
    assert 0 < sum(expected) < len(expected)
