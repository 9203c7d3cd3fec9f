"""`gennas list`: the names of everything that can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gennas.checkpoint import checkpoints
from gennas.cli.output import Outcome
from gennas.errors import GennasError, InvalidInputError, file_sentence, unknown
from gennas.part_files import parts_of, read_config
from gennas.spaces import SPACES, PartsSpace, get_space
from gennas.tables import TABLES, load_table
from gennas.tasks import TASKS, describe_task

Kind = Literal["spaces", "tables", "checkpoints", "hardware", "tasks", "evaluations"]
Rows = list[dict[str, Any]]


def spaces() -> Rows:
    """Registered spaces with their size."""

    def described(name: str) -> Rows:
        space = get_space(name)
        # Too many to be enumerated, but counted.
        count = int(space.count) if isinstance(space, PartsSpace) and space.is_exact else None
        return [{"name": name, "archs": space.size or count, "slots": len(space.template.free_slots)}]

    return _each(SPACES.list(), described)


def tables() -> Rows:
    """Registered tables: what can be looked up here, and what further files would add."""

    def described(name: str) -> Rows:
        table = load_table(name)
        row = {"name": name, "space": table.space, "rows": len(table.frame), "metrics": ", ".join(table.metrics())}
        return [{**row, "missing": next(iter(table.missing.values()), "")}]

    return _each(TABLES.list(), described)


def named_checkpoints() -> Rows:
    """Checkpoints that have a name."""
    return [
        {"name": name, "parts": ", ".join(parts_of(path)), "folder": str(path)} for name, path in checkpoints().items()
    ]


def hardware() -> Rows:
    """Hardware for which a checkpoint predicts a metric, and what the user has added."""
    from gennas.hardware import store

    rows = _each(checkpoints(), _predicted_hardware, "checkpoint")
    for space in store.spaces():
        rows += _each(store.names(space), partial(_own_hardware, space))
    return rows


def _predicted_hardware(checkpoint: str) -> Rows:
    path = checkpoints()[checkpoint]
    if "predictor" not in parts_of(path):
        return []
    metrics = [str(metric).partition("@") for metric in read_config(path, "predictor").get("metrics", ())]
    kinds = ("latency_ms", "energy_mj")
    return [{"name": place, "metric": kind, "checkpoint": checkpoint} for kind, _, place in metrics if kind in kinds]


def _own_hardware(space: str, name: str) -> Rows:
    """How many archs of a user's device were measured, and how."""
    from gennas.hardware import store

    hardware = store.load(space, name)
    how = hardware.how
    runs = " ".join(str(how[name]) for name in ("runtime", "precision") if name in how)
    settings = [f"{name} {how[name]}" for name in ("threads", "batch", "machine") if name in how]
    said = ", ".join([*([str(how["csv"])] if "csv" in how else []), *([runs] if runs else []), *settings])
    measured = f"{len(hardware.measurements)} archs ({said})"
    return [{"name": name, "metric": "latency_ms", "space": space, "measured": measured}]


def _each(names: Iterable[str], rows_of: Callable[[str], Rows], column: str = "name") -> Rows:
    """The rows of all names; one that cannot be read does not keep the others from being listed."""
    rows = []
    for name in names:
        try:
            rows += rows_of(name)
        except (GennasError, OSError, TypeError, AttributeError) as error:
            problem = file_sentence(error) if isinstance(error, OSError) else str(error)
            rows.append({column: name, "problem": problem})
    return rows


def tasks() -> Rows:
    """Named tasks; a folder of images is one too."""
    family = TASKS.family("tiny-")
    what = f"{len(family)} small tasks that differ much, 3x16x16, for learning across tasks; see gennas.tasks.tiny"
    named = _each(TASKS, lambda name: [{"name": name, "what": describe_task(name)}])
    return [*named, {"name": "tiny-...", "what": what}]


def evaluations(study: Path, database: str | None = None) -> Rows:
    """The rows of a study."""
    from gennas.studies.study import Study

    frame = Study(study, database).frame()
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


LISTINGS: dict[str, Callable[[], Rows]] = {
    "spaces": spaces,
    "tables": tables,
    "checkpoints": named_checkpoints,
    "hardware": hardware,
    "tasks": tasks,
}


def list_names(kind: str | None = None, study: Path | None = None, database: str | None = None) -> Outcome:
    """Lists what there is: spaces, tables, checkpoints, hardware, tasks, or the evaluations of a study.

    Args:
        kind: one of them; by default all but evaluations.
        study: run folder whose evaluations to list.
        database: SQLAlchemy URL of the database with its rows, where they are not in the folder; by default that of the
            environment variable GENNAS_DATABASE.
    """
    if kind is not None and kind not in (*LISTINGS, "evaluations"):
        raise unknown("listing", kind, (*LISTINGS, "evaluations"))
    if kind == "evaluations":
        if study is None:
            raise InvalidInputError("evaluations of which study? Give its run folder: --study runs/NAME.")
        tables = {"evaluations": evaluations(study, database)}
        return Outcome(dict(tables), tables)
    tables = {name: rows() for name, rows in LISTINGS.items() if kind in (None, name)}
    return Outcome(dict(tables), tables, next="gennas generate --task digits --hardware cpu -n 8")
