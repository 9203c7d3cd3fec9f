"""`gennas collect`."""

from __future__ import annotations

from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gennas.cli.archs import read_archs
from gennas.cli.options import NetworkOptions
from gennas.cli.output import Outcome, cell, named_in
from gennas.cli.parser import option_names, with_flags
from gennas.cli.typed import typed_command
from gennas.commands import command
from gennas.errors import InvalidInputError
from gennas.training.recipe import RECIPES, Recipe


def collect_trainings(
    network: NetworkOptions,
    tasks: str,
    out: Path,
    space: str = "nasbench201",
    archs: str | None = None,
    count: int | None = None,
    recipe: Recipe = RECIPES["tiny"],
    workers: int = 1,
    ray: str | None = None,
    timeout: float | None = None,
    at_once: int | None = None,
    database: str | None = None,
    seed: int = 0,
    seeds: int = 1,
) -> Outcome:
    """Trains many archs on many tasks and stores their accuracies, not their networks; the same command resumes.

    Args:
        tasks: names or paths, as "digits,photos/"; * stands for any names of `gennas list tasks`, as in "tiny-*".
        out: run folder with the study, and trainings.parquet with a row per training; a further command may add tasks,
            archs and seeds.
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class.
        archs: a file with one key a line, a CSV with a column key, a JSON list, or one that `gennas generate --out`
            wrote; - is standard input.
        count: in place of a file, train so many random archs on every task; fewer are the first of more.
        recipe: how networks are trained.
        workers: trainings at a time, each in a process of its own; with 1 they are done here, on a GPU hundreds at once
            where the space can.
        ray: address of a Ray cluster whose nodes are the workers, e.g. auto; needs gennas[ray].
        timeout: seconds after which a training has failed; it is tried again when the command is repeated. With it,
            every training has a process.
        at_once: networks that are trained at once here; by default what fits in the memory of a GPU, up to 512, and one
            on a CPU.
        database: SQLAlchemy URL of a database of studies; by default a file in the run folder.
        seed: seed of weights, order and augmentation, and of --count's archs; replaces recipe.seed.
        seeds: trainings of each arch on each task, with this seed and those that follow it.
    """
    from gennas.collecting import collect as collected
    from gennas.spaces import get_space
    from gennas.studies.study import Study

    if (archs is None) == (count is None):
        raise InvalidInputError("which archs? Give --archs FILE, or --count for random ones, and not both.")
    the_space = get_space(space, network.skeleton)
    chosen = count if count is not None else [arch for arch, _ in read_archs(the_space, (), archs)]
    named = _tasks(tasks, network)
    with ExitStack() as stack:
        who = workers if ray is None else stack.enter_context(_cluster(ray))
        result = collected(
            the_space,
            named,
            chosen,
            folder=out,
            recipe=recipe,
            seed=seed,
            seeds=seeds,
            workers=who,
            timeout=timeout,
            at_once=at_once,
            database=database,
            command=typed_command(),
        )
    return _outcome(result, out, Study(out, database).location)


def _cluster(address: str) -> Any:
    from gennas.executors.ray_cluster import RayExecutor

    return RayExecutor(address)


def _tasks(text: str, network: NetworkOptions) -> list[Any]:
    """The tasks that were named, in this order, each once."""
    from gennas.tasks import TASKS, get_task

    known, found = [*TASKS, *TASKS.family("tiny-")], dict[str, Any]()
    for name in (part.strip() for part in text.split(",")):
        if not name:
            continue
        matching = [one for one in known if fnmatchcase(one, name)] if "*" in name else [name]
        if not matching:
            raise InvalidInputError(
                f"has {name!r}, and no task is called so; see `gennas list tasks`.", argument="tasks"
            )
        for one in matching:
            # Tasks of one size do not take another.
            size = None if one.startswith("tiny-") else network.image_size
            found.setdefault(one, get_task(one, image_size=size, nested=network.nested and Path(one).exists()))
    return list(found.values())


# Not typed as a Collection: jsonargparse imports what is imported for types only, and torch with it.
def _outcome(result: Any, out: Path, location: str) -> Outcome:
    frame = result.frame()
    entries = [_entry(str(task), own.dropna(axis=1, how="all")) for task, own in frame.groupby("task", sort=False)]
    rows = [{name: value if isinstance(value, str) else cell(value) for name, value in one.items()} for one in entries]
    failed = [f"{arch} on {task} with seed {seed} failed: {why}" for (task, arch, seed), why in result.failed.items()]
    document = {
        "wanted": result.wanted,
        "trained": result.trained,
        "failed": len(failed),
        "seconds": result.seconds,
        "tasks": entries,
        "study": str(out),
        "notes": [with_flags(note, option_names(collect_trainings)) for note in failed],
    }
    return Outcome(
        document,
        {f"{len(frame)} trainings": rows} if rows else {},
        failed,
        [named_in(out, location), result.table],
        command("list", "evaluations", study=out),
        failed=result.wanted == len(failed),
    )


def _entry(task: str, trainings: Any) -> dict[str, Any]:
    """How well the networks of a task are, by the first of its metrics."""
    facts = ("task", "arch", "seed", "recipe", "seconds")
    metric = next(name for name in trainings if name not in facts and not name.startswith("test_"))
    values = trainings[metric]
    return {
        "task": task,
        "trainings": len(values),
        "metric": metric,
        "worst": float(values.min()),
        "median": float(values.median()),
        "best": float(values.max()),
    }
