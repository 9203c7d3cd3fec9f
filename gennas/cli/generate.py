"""`gennas generate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from gennas.cli.checkpoints import checkpoint_and_space
from gennas.cli.following import evaluated_on, trained_or_drawn
from gennas.cli.options import Calibrate, EditOptions, GoalOptions, NetworkOptions, SamplingOptions
from gennas.cli.output import Outcome, predicted_archs, predicted_rows, saving, stored_result
from gennas.cli.parser import option_names, with_flags
from gennas.errors import StudyError
from gennas.settings import differences


def generate(
    goal: GoalOptions,
    sampling: SamplingOptions,
    edit: EditOptions,
    network: NetworkOptions,
    checkpoint: str | None = None,
    space: str | None = None,
    evaluated: str | None = None,
    calibrate: Calibrate = "once",
    out: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Samples archs for a task, a hardware and constraints.

    Args:
        checkpoint: a name of `gennas list checkpoints`, or a folder that `gennas pretrain` wrote; by default the one
            named like the space, where there is one.
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class; by default that of
            --checkpoint, or nasbench201.
        evaluated: results you already have on the task: a CSV with the columns key,accuracy (fractions, at least 3
            archs), or a folder that `gennas validate` wrote.
        calibrate: whether ten networks are measured on this machine where the hardware is cpu, and three trained for
            seconds where accuracies are forecast from images: once (for a task, a skeleton and a machine), again, or
            never.
        out: JSON file for the result, which `gennas validate --archs` reads.
        seed: seed of all randomness.
    """
    import torch

    from gennas.generation.pipeline import generate_archs
    from gennas.generation.request import Request
    from gennas.problem import Problem
    from gennas.progress import progress
    from gennas.tasks import get_task

    # Graphs are small: a second thread gains little, stalls when the cores are busy, and makes sums depend on it.
    torch.set_num_threads(1)
    source, the_space = checkpoint_and_space(checkpoint, space, network.skeleton)
    task = get_task(goal.task, image_size=network.image_size, nested=network.nested, targets=network.targets)
    learnt = source.config("predictor")["metrics"] if source is not None and "predictor" in source.parts else []
    # Predictors know accuracies of other tasks, which say nothing of values or labels.
    has_accuracy = task.targets.score == "accuracy" and any(name.startswith("accuracy@") for name in learnt)
    objective = ("accuracy" if has_accuracy else "none") if goal.objective is None else goal.objective
    problem = Problem(the_space, task, objective, goal.where, goal.hardware)
    request = Request(
        problem,
        **asdict(sampling),
        fixed=the_space.partial(edit.fix) if edit.fix is not None else None,
        mutate=the_space.parse(edit.mutate) if edit.mutate is not None else None,
        fraction=edit.fraction,
    )
    asked = {
        "checkpoint": checkpoint or the_space.name,
        "task": goal.task,
        "hardware": goal.hardware,
        "objective": str(problem.objective),
        "where": [str(constraint) for constraint in problem.where],
        **asdict(sampling),
        **asdict(edit),
        "skeleton": network.skeleton,
        "image_size": network.image_size,
        # Results of earlier versions do not know it.
        **({"nested": True} if network.nested else {}),
        **({"targets": network.targets} if network.targets != NetworkOptions.targets else {}),
        "evaluated": evaluated,
        "seed": seed,
    }
    _refuse_other(out, asked)
    observed = evaluated_on(evaluated, task, goal.task, the_space, network)
    with progress("generating", request.pool) as report:
        result = generate_archs(
            request, checkpoint=source, evaluated=observed, calibrate=calibrate, seed=seed, report=report
        )
    notes = [with_flags(note, option_names(generate)) for note in result.notes]
    if goal.objective is None and not has_accuracy:
        known = "accuracies" if task.targets.score == "accuracy" else f"values of {task.targets.score}"
        why = f"no {known} of space {the_space.name!r} are known" if learnt else "without a predictor"
        notes.append(
            f"{why}{', so that' if learnt else ''} no arch is better than another; --objective -macs_m prefers small "
            "ones, +macs_m large ones."
        )
    entries = predicted_archs(result.archs, result.predicted)
    document = {
        "archs": entries,
        "requested": result.requested,
        "sampled": result.sampled,
        "valid_rate": result.valid_rate,
        "unique_rate": result.unique_rate,
        "effective_share": result.effective_share,
        "scored": result.scored,
        "seconds": result.seconds,
        "notes": notes,
        "request": asked,
    }
    # Nothing can be trained on a benchmark whose images nobody can give.
    trained_on = goal.task if task.has_images or task.hint else "digits"
    following = trained_or_drawn(
        task=task,
        trained_on=trained_on,
        space=the_space,
        network=network,
        archs=out or "ARCHS.json",
        out=f"runs/{Path(trained_on).name}",
        top=min(3, len(entries)),
        recipe=result.recipe,
    )
    counted = f"{len(entries)} arch{'' if len(entries) == 1 else 's'}"
    return Outcome(
        document,
        {f"{counted} ({result.sampled} drawn, {result.seconds:.1f} s)": predicted_rows(entries)},
        notes,
        # A comment for the shell, so that the line can be pasted.
        next=following if out else f"{following}  # after this command with --out ARCHS.json",
        saves=saving(out, "generate", document),
    )


def _refuse_other(out: Path | None, asked: dict[str, Any]) -> None:
    """Refuses to overwrite the result of another request, or a file of another kind."""
    stored = stored_result(out, "generate")
    if stored is None:
        return
    before = request if isinstance(request := stored.get("request"), dict) else {}
    if differing := differences({name: before.get(name) for name in asked}, asked):
        raise StudyError(
            f"{out} holds the result of another request: {'; '.join(differing)}. Choose another file.", argument="out"
        )
