"""`gennas generate` and `gennas predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from gennas.cli.archs import read_archs
from gennas.cli.output import Outcome, predicted_archs, predicted_rows, stored_result
from gennas.errors import InvalidInputError, StudyError
from gennas.settings import differences


def generate(
    task: str,
    hardware: str | None = None,
    checkpoint: str = "nasbench201",
    objective: str = "accuracy",
    where: Sequence[str] = (),
    n: int = 10,
    strength: float = 3.0,
    confidence: float = 0.9,
    distinct: Literal["archs", "functions"] = "archs",
    diversity: float = 0.0,
    fix: str | None = None,
    mutate: str | None = None,
    fraction: float = 0.3,
    particles: int = 64,
    skeleton: str = "",
    image_size: int | None = None,
    evaluated: str | None = None,
    out: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Samples archs for a task, a hardware and constraints.

    Args:
        task: a name of `gennas list tasks`, or a folder with train/<class>/*.png (or jpg).
        hardware: a name of `gennas list hardware`.
        checkpoint: a name of `gennas list checkpoints`, or a folder that `gennas pretrain` wrote.
        objective: metrics to optimise, e.g. "accuracy, -latency_ms@raspi4".
        strength: how far the objective bends the sampling, in standard deviations of the space; 0 not at all.
        confidence: probability with which a bound on a predicted metric shall hold.
        distinct: whether the archs shall differ as such, or compute different functions.
        diversity: 0 returns the best, towards 1 archs that differ from each other more and more.
        fix: what all archs shall have in common, as "slot=op, slot->slot=present" or a partial arch with "?".
        mutate: an arch of which variations are wanted.
        fraction: share of its decisions that are made again.
        particles: guided graphs that compete; more of them follow a strong guidance more faithfully (1 to 512).
        skeleton: settings of the network around what is searched, e.g. "channels=16,cells=3".
        image_size: side to which images are resized.
        evaluated: what is known of the task: a CSV with the columns key,accuracy (fractions, at least 3 archs), or a
            folder that `gennas validate` wrote.
        out: JSON file for the result, which `gennas validate --archs` reads.
        seed: of all randomness.
    """
    import torch

    from gennas.checkpoint import Checkpoint
    from gennas.generation.pipeline import generate_archs
    from gennas.generation.request import Request
    from gennas.problem import Problem
    from gennas.progress import progress
    from gennas.spaces import address_of, registered_space
    from gennas.studies.observations import read_evaluated
    from gennas.tasks import get_task

    # Graphs are small: a second thread gains little, stalls when the cores are busy, and makes sums depend on it.
    torch.set_num_threads(1)
    source, the_task = Checkpoint(checkpoint), get_task(task, image_size=image_size)
    space = registered_space(source.config("generator")["space"], skeleton)
    problem = Problem(space, the_task, objective, where, hardware)
    request = Request(
        problem,
        n=n,
        strength=strength,
        confidence=confidence,
        distinct=distinct,
        diversity=diversity,
        fixed=space.partial(fix) if fix is not None else None,
        mutate=space.parse(mutate) if mutate is not None else None,
        fraction=fraction,
        particles=particles,
    )
    asked = {
        "checkpoint": checkpoint,
        "task": task,
        "hardware": hardware,
        "objective": str(problem.objective),
        "where": [str(constraint) for constraint in problem.where],
        "n": n,
        "strength": strength,
        "confidence": confidence,
        "distinct": distinct,
        "diversity": diversity,
        "fix": fix,
        "mutate": mutate,
        "fraction": fraction,
        "particles": particles,
        "image_size": image_size,
        "skeleton": skeleton,
        "evaluated": evaluated,
        "seed": seed,
    }
    if out is not None:
        _refuse_other(out, asked)
    told = read_evaluated(Path(evaluated), space, the_task.name) if evaluated else None
    with progress("generating", request.pool) as report:
        result = generate_archs(request, checkpoint=source, evaluated=told, seed=seed, report=report)
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
        "notes": list(result.notes),
        "request": asked,
    }
    if out is not None:
        from gennas.files import write_json

        write_json(out, document)
    return Outcome(
        document,
        {f"{len(result.archs)} archs ({result.sampled} drawn, {result.seconds:.1f} s)": predicted_rows(entries)},
        result.notes,
        [out] if out else [],
        f"gennas validate --task {task} --archs {out or 'ARCHS.json'} --top 3 --out runs/{the_task.name}"
        + ("" if space.name == "nasbench201" else f" --space {address_of(space)}")
        + (f" --skeleton {skeleton}" if skeleton else "")
        + (f" --image-size {image_size}" if image_size else "")
        + ("" if out else "   (ARCHS.json: repeat this command with --out ARCHS.json)"),
    )


def predict(
    key: Sequence[str] = (),
    archs: str | None = None,
    task: str | None = None,
    hardware: str | None = None,
    checkpoint: str = "nasbench201",
    proxy: str | None = None,
    skeleton: str = "",
    image_size: int | None = None,
    evaluated: str | None = None,
    out: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Predicted metrics, with uncertainty, of given archs.

    Args:
        archs: a file with one key a line, or one that `gennas generate --out` wrote; - is standard input.
        task: tells which accuracy to predict, and sizes the network; all known ones where it is not given.
        hardware: tells which latency to predict; all known ones where it is not given.
        checkpoint: a name of `gennas list checkpoints`, or a folder that `gennas pretrain` wrote.
        proxy: training-free scores to add, e.g. "naswot,synflow", or az_nas, a rank among the archs; needs a task with
            images.
        skeleton: settings of the network around what is searched, e.g. "channels=16,cells=3".
        image_size: side to which images are resized.
        evaluated: what is known of the task: a CSV with the columns key,accuracy (fractions, at least 3 archs), or a
            folder that `gennas validate` wrote.
        out: JSON file for the result.
        seed: of the images and weights of training-free scores; prediction itself draws no random numbers.
    """
    from gennas.checkpoint import Checkpoint
    from gennas.cli.proxies import asked_scores, parse_proxies
    from gennas.metrics import Metric
    from gennas.predictors import load_predictor
    from gennas.predictors.deployment import DeploymentPredictor
    from gennas.predictors.transfer import with_observations
    from gennas.spaces import registered_space
    from gennas.studies.observations import read_evaluated
    from gennas.tasks import get_task

    if out is not None:
        stored_result(out)
    proxies = parse_proxies(proxy) if proxy is not None else ()
    if evaluated and task is None:
        raise InvalidInputError("--evaluated tells accuracies of which task? Give --task.")
    source = Checkpoint(checkpoint)
    trained, config = load_predictor(source.folder)
    space = registered_space(config["space"], skeleton)
    chosen = [arch for arch, _ in read_archs(space, key, archs)]
    scored: tuple[list[dict[str, float]], list[str]] = [{} for _ in chosen], []
    if proxies:
        named = get_task(task, image_size=image_size) if task else None
        scored = asked_scores(space, chosen, named, proxies, seed=seed)
    sizing = task or trained.targets("accuracy")[0]
    the_task = get_task(sizing, image_size=image_size)
    told = read_evaluated(Path(evaluated), space, the_task.name) if evaluated else None
    predictor, learnt = with_observations(trained, space, the_task.name, told, [hardware] if hardware else [])
    placed = DeploymentPredictor(predictor, config, space, the_task, hardware)
    every = [
        Metric.parse(name)
        for name in predictor.metrics
        if (task is None and name.startswith("accuracy@")) or (hardware is None and name.startswith("latency_ms@"))
    ]
    notes = [*the_task.notes, *placed.notes, *learnt]
    if task is None:
        notes.append(f"params_m and macs_m are those of the networks for {sizing}; --task chooses another.")
    predicted = placed.values(chosen, placed.reported(every))
    predicted = [{**values, **scores} for values, scores in zip(predicted, scored[0], strict=True)]
    notes += scored[1]
    entries = predicted_archs(chosen, predicted)
    document = {"archs": entries, "notes": notes}
    if out is not None:
        from gennas.files import write_json

        write_json(out, document)
    following = f"gennas validate --task {task or 'digits'} --archs {archs or 'FILE'} --out runs/validation"
    return Outcome(document, {"predicted": predicted_rows(entries)}, notes, [out] if out else [], following)


def _refuse_other(out: Path, asked: dict[str, Any]) -> None:
    """Refuses to overwrite the result of another request, or a file of another kind."""
    stored = stored_result(out)
    if stored is None:
        return
    before = stored.get("request", {})
    if differing := differences({name: before.get(name) for name in asked}, asked):
        raise StudyError(
            f"--out {out} holds the result of another request: {'; '.join(differing)}. Choose another file."
        )
