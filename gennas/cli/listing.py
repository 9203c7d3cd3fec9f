"""`gennas list`: the names of everything that can be asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from gennas.checkpoint import checkpoints
from gennas.cli.output import Outcome
from gennas.errors import DataMissingError, InvalidInputError, unknown
from gennas.part_files import parts_of, read_config
from gennas.spaces import SPACES
from gennas.tables import TABLES, load_table
from gennas.tasks import TASKS, describe_task

Kind = Literal["spaces", "tables", "checkpoints", "hardware", "tasks", "evaluations"]
Rows = list[dict[str, Any]]


def spaces() -> Rows:
    """Registered spaces with their size."""
    return [
        {"name": name, "archs": SPACES.get(name).size, "slots": len(SPACES.get(name).template.free_slots)}
        for name in SPACES.list()
    ]


def tables() -> Rows:
    """Registered tables: what can be looked up here, and what further files would add."""
    rows = []
    for name in TABLES.list():
        table = load_table(name)
        rows.append(
            {
                "name": name,
                "space": table.space,
                "rows": len(table.frame),
                "metrics": ", ".join(table.metrics()),
                "missing": next(iter(table.missing.values()), ""),
            }
        )
    return rows


def named_checkpoints() -> Rows:
    """Checkpoints that have a name."""
    return [
        {"name": name, "parts": ", ".join(parts_of(path)), "folder": str(path)} for name, path in checkpoints().items()
    ]


def hardware() -> Rows:
    """Hardware for which a checkpoint predicts a metric, and what the user has added."""
    from gennas.hardware import store

    rows = []
    for name, path in checkpoints().items():
        if "predictor" not in parts_of(path):
            continue
        for metric in read_config(path, "predictor").get("metrics", ()):
            kind, _, place = metric.partition("@")
            if kind in ("latency_ms", "energy_mj"):
                rows.append({"name": place, "metric": kind, "checkpoint": name})
    for space in store.spaces():
        rows += [
            {"name": name, "metric": "latency_ms", "space": space, "measured": _measured(space, name)}
            for name in store.names(space)
        ]
    return rows


def _measured(space: str, name: str) -> str:
    """How many archs of a user's device were measured, and how."""
    from gennas.hardware import store

    try:
        hardware = store.load(space, name)
    except DataMissingError as error:
        return str(error)
    settings = [f"{name} {hardware.how[name]}" for name in ("threads", "batch", "machine") if name in hardware.how]
    how = hardware.how.get("csv") or ", ".join(
        [f"{hardware.how.get('runtime')} {hardware.how.get('dtype')}", *settings]
    )
    return f"{len(hardware.measurements)} archs ({how})"


def tasks() -> Rows:
    """Named tasks; a folder of images is one too."""
    return [{"name": name, "what": describe_task(name)} for name in TASKS]


def evaluations(study: Path) -> Rows:
    """The rows of a study."""
    from gennas.studies.study import Study

    return [{str(name): value for name, value in row.items()} for row in Study(study).frame().to_dict("records")]


LISTINGS: dict[str, Callable[[], Rows]] = {
    "spaces": spaces,
    "tables": tables,
    "checkpoints": named_checkpoints,
    "hardware": hardware,
    "tasks": tasks,
}


def list_names(kind: str | None = None, study: Path | None = None) -> Outcome:
    """Lists what there is: spaces, tables, checkpoints, hardware, tasks, or the evaluations of a study.

    Args:
        kind: one of them; by default all but evaluations.
        study: run folder whose evaluations to list.
    """
    if kind is not None and kind not in (*LISTINGS, "evaluations"):
        raise unknown("listing", kind, (*LISTINGS, "evaluations"))
    if kind == "evaluations":
        if study is None:
            raise InvalidInputError("evaluations of which study? Give its run folder: --study runs/NAME.")
        tables = {"evaluations": evaluations(study)}
    else:
        tables = {name: rows() for name, rows in LISTINGS.items() if kind in (None, name)}
    return Outcome(dict(tables), tables, next="gennas generate --task digits --hardware cpu -n 8")
