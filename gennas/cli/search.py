"""`gennas search`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from gennas.cli.output import Outcome, cell
from gennas.evaluators.latency_spec import LatencySpec
from gennas.training.recipe import Recipe


def search(
    out: Path,
    task: str,
    objective: str = "accuracy",
    where: Sequence[str] = (),
    space: str = "nasbench201",
    hardware: str | None = None,
    budget: int = 50,
    batch: int | None = None,
    policy: str = "gennas",
    options: str = "",
    prior: Literal["known", "none"] = "known",
    table: str | None = None,
    checkpoint: str | None = None,
    skeleton: str = "",
    image_size: int | None = None,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen, and the command line reads it
    latency: LatencySpec = LatencySpec(),  # noqa: B008 - frozen, and the command line reads it
    workers: int = 1,
    ray: str | None = None,
    timeout: float | None = None,
    cache: str | None = None,
    database: str | None = None,
    study_name: str | None = None,
    export: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Searches archs by evaluating some: generate, pick, evaluate, learn, repeat; repeat the command to go on.

    Args:
        out: run folder: the study, and of every trained arch its weights and ONNX file.
        task: digits, a folder with train/<class>/*.png (or jpg), or with --table one that the table knows.
        objective: metrics to optimise, e.g. "accuracy, -latency_ms@cpu".
        space: a name of `gennas list spaces`, or package.module:Class.
        hardware: whose latency is meant where none is named; cpu is this machine, of others it is foretold.
        budget: archs to evaluate in all; a larger one goes on with a finished run.
        batch: archs proposed at once; as many as workers by default, 5 with a table.
        policy: search method: gennas, or a baseline of `gennas bench search`.
        options: of the policy, as NAME=VALUE,NAME=VALUE.
        prior: known starts from what a predictor, or the table's other tasks and devices, foretell; none from nothing.
        table: look values up in a table of `gennas list tables` in place of training and measuring.
        checkpoint: a name of `gennas list checkpoints`, or a folder; the one of the space's name by default.
        skeleton: settings of the network around what is searched, e.g. "channels=16,cells=3".
        image_size: side to which images are resized.
        recipe: how networks are trained.
        latency: how latency on this machine is measured.
        workers: evaluations at a time, each in a process of its own.
        ray: address of a Ray cluster whose nodes are the workers, e.g. auto; needs gennas[ray].
        timeout: seconds after which an evaluation has failed.
        cache: database of evaluations that runs share, as an SQLAlchemy URL, e.g. sqlite:///evaluations.sqlite.
        database: where the study's rows are kept, as an SQLAlchemy URL; a file in --out by default.
        study_name: of the study in its database, which is resumed from any --out; one at random by default.
        export: write all evaluations to this .parquet, .csv or .json file.
        seed: of everything.
    """
    import torch

    from gennas.problem import Problem
    from gennas.progress import progress
    from gennas.search.policies.choice import PolicyChoice
    from gennas.search.policies.registry import parse_options
    from gennas.search.run import search_archs
    from gennas.search.settings import Measuring, Storage, Workers
    from gennas.studies.study import Study

    # Graphs are small: a second thread gains nothing, and makes sums depend on it. Workers have threads of their own.
    torch.set_num_threads(1)
    problem = Problem(space, task, objective, where, hardware, skeleton=skeleton, image_size=image_size)
    with progress("searching", budget) as report:
        result = search_archs(
            problem,
            budget,
            policy=PolicyChoice(policy, parse_options(options), prior),
            evaluators=Measuring(table, recipe, latency),
            workers=Workers(workers, ray, timeout, batch),
            study=Storage(out, database, cache, study_name),
            checkpoint=checkpoint,
            seed=seed,
            report=report,
        )
    wrote = [out / "study.sqlite", *(found.folder for found in result.best if found.folder)]
    if export is not None:
        Study(out, database).write(export)
        wrote.append(export)
    return _outcome(problem.metrics[0].name, result, out, wrote, space)


def _outcome(first: str, result: Any, out: Path, wrote: list[Path], space: str) -> Outcome:
    entries = [
        {
            "key": found.key,
            "evaluated": found.metrics,
            "number": found.number,
            "origin": found.proposed_by,
            **({"folder": str(found.folder)} if found.folder else {}),
        }
        for found in result.best
    ]
    document: dict[str, Any] = {
        "archs": entries,
        "proposed": result.proposed,
        "evaluated": result.evaluated,
        "infeasible": result.infeasible,
        "failed": result.failed,
        "study": str(out),
    }
    notes = list(result.notes)
    if result.failed:
        notes.append(f"{result.failed} of {result.proposed} evaluations failed; see table failures in {out}.")
    if not entries:
        notes.append("no evaluated arch keeps all bounds: loosen one, or raise --budget.")
    title = f"best of {result.evaluated} evaluated" if len(entries) < 2 else f"front of {result.evaluated} evaluated"
    rows = [{"key": found.key, **{n: cell(v) for n, v in found.metrics.items()}} for found in result.best]
    following = "" if not entries else f"gennas export '{entries[0]['key']}' --draw --out {out}"
    if following and space != "nasbench201":
        following += f" --space {space}"
    document["notes"] = notes
    return Outcome(document, {title: rows} if rows else {}, notes, wrote, following)
