"""Trainings in this process, of many networks at once; the study has those of a stack as soon as it is done."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gennas.collecting.evaluator import MetricsEvaluator
from gennas.collecting.plan import equal_parts
from gennas.progress import Report
from gennas.spaces import Space
from gennas.studies.records import Row, evaluations_of, failure_row
from gennas.studies.study import Study
from gennas.training.recipe import Recipe
from gennas.training.stacked.fitting import Member, train_stack


def train_at_once(
    space: Space,
    groups: Sequence[Sequence[Member]],
    recipe: Recipe,
    study: Study,
    device: torch.device,
    most: int,
    report: Report,
) -> None:
    """Trains networks and stores their metrics.

    Args:
        space: whose networks can be trained at once.
        groups: of networks that can be.
        recipe: how.
        study: open for writing.
        device: where.
        most: networks at once.
        report: receives how many are done, those of a stack that is being trained by its epochs.
    """
    evaluator, done = MetricsEvaluator(space, recipe, study.folder), 0
    for group in groups:
        for part in equal_parts(group, most):

            def advanced(epochs: int, before: int = done, size: int = len(part)) -> None:
                report(before + size * epochs // (recipe.epochs + 1), f"{size} at once")

            rows: list[Row] = []
            found = train_stack(space, part, recipe, device=device, progress=advanced)
            for member, one in zip(part, found, strict=True):
                what, seed, seconds = (evaluator, member.arch, member.task), member.seed, one.seconds
                if one.error is None:
                    rows += evaluations_of(*what, one.metrics, seed=seed, seconds=seconds)
                else:
                    rows.append(failure_row(*what, "not_finite", one.error, seed=seed, seconds=seconds))
            study.add(rows)
            done += len(part)
            report(done, f"{part[-1].task.name}")
