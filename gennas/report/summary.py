"""Summary: what a run found, in words, and the table of its archs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from gennas.commands import command
from gennas.report.costs import Costs, duration
from gennas.report.run import Run
from gennas.spaces import JointSpace, space_option
from gennas.studies.image_place import IMAGES


@dataclass(frozen=True)
class Entry:
    """An arch as the page shows it.

    Attributes:
        row: its place in the order of proposals, from 1.
        key: native notation.
        values: metric -> value; None where it is not known.
        proposed_by: how it came to be proposed.
        state: ``done``, ``failed``, ``stopped`` or ``open``.
        on_front: whether nothing beats it.
        seconds: of its evaluations.
        message: why it failed.
        command: that exports its network, or draws it where none was trained.
        has_network: whether its network is in the run folder.
        exported: path of its export, relative to the run folder; empty where there is none.
    """

    row: int
    key: str
    values: dict[str, float | None]
    proposed_by: str
    state: str
    on_front: bool
    seconds: float
    message: str
    command: str
    has_network: bool
    exported: str


def entries(run: Run, task: str | None = None) -> list[Entry]:
    """All archs, the best first.

    Args:
        run: the run.
        task: as the user names it, for the commands.
    """
    front, found = set(run.front), []
    records = run.archs.to_dict("records")
    for row in run.ranked:
        record = records[row]
        key = str(record["key"])
        values = {name: float(v) if np.isfinite(v := record[name]) else None for name in run.metric_names}
        exported = run.export_folder(key)
        found.append(
            Entry(
                row + 1,
                key,
                values,
                str(record["proposed_by"]),
                str(record["state"]),
                row in front,
                float(record["seconds"]),
                str(record["message"]),
                export_command(run, key, task),
                run.network_folder(key) is not None,
                "" if exported is None else exported.relative_to(run.folder).as_posix(),
            )
        )
    return found


def export_command(run: Run, key: str, task: str | None) -> str:
    """What writes a trained network as files that run anywhere; of an arch without one, what draws it."""
    if run.network_folder(key) is None:
        if isinstance(run.space, JointSpace):
            key = run.space.network_arch(run.space.parse(key)).key
        return command("export", key, draw=True, space=space_option(run.space_name))
    is_noted = (run.folder / IMAGES).is_file()
    return command("export", key, task=task or (None if is_noted else run.task_name), study=run.folder)


@dataclass(frozen=True)
class Summary:
    """The beginning of the page.

    Attributes:
        title: what was done, of what, for what.
        aim: the objective and the bounds.
        sentences: what was found.
        facts: label -> value, a few of them.
        notes: what is missing, or went wrong.
    """

    title: str
    aim: str
    sentences: list[str]
    facts: dict[str, str]
    notes: list[str]


def summary(run: Run) -> Summary:
    """What a run found, in words."""
    kind = "Validation of archs of" if run.is_validation else "Search of"
    kind = "Design of networks of" if run.is_design else kind
    states = Counter(run.archs["state"])
    count, done = len(run.archs), states["done"]
    aims = " and ".join(_aim(metric.name, metric.kind.sign) for metric in run.objective.metrics)
    bounds = " and ".join(map(str, run.where))
    sentences = [f"{done} of {count} archs were evaluated{_others(states)}."]
    sentences += _best(run)
    costs = Costs.of(run)
    if costs.total >= 1:
        most = next(iter(costs.by_kind))
        share = costs.by_kind[most] / costs.total
        sentences.append(f"The evaluations took {duration(costs.total)}, {share:.0%} of it {most}.")
    table = run.config.get("table")
    if table is not None:
        sentences.append(f"Values are those of table {table}; nothing was trained.")
    facts = {"evaluated": f"{done} of {count}"}
    if len(run.tasks) > 1:
        for task in run.tasks:
            first = run.objective.of_task(task).of_all_tasks().metrics[0].name
            if rows := run.front_of(task):
                facts[f"best {first}"] = number(run.archs.iloc[rows[0]][first])
        facts["archs good for all"] = str(len(run.for_all_tasks))
    elif run.front:
        best = run.archs.iloc[run.front[0]]
        first = run.objective.metrics[0].name
        facts[f"best {first}"] = number(best[first])
        if len(run.objective.metrics) > 1:
            facts["archs on the front"] = str(len(run.front))
            front = run.archs.iloc[run.front]
            for metric in run.objective.metrics[1:3]:
                ends = front[metric.name].min(), front[metric.name].max()
                facts[f"{metric.name} on the front"] = (
                    number(ends[0]) if ends[0] == ends[1] else (f"{number(ends[0])} to {number(ends[1])}")
                )
    if costs.total >= 1:
        facts["time of evaluations"] = duration(costs.total)
    tasks = " and ".join(run.tasks) or run.task_name
    return Summary(
        f"{kind} {run.space_name} for {tasks}", f"{aims}{f', within {bounds}' if bounds else ''}", sentences,
        facts, _notes(run, states),
    )  # fmt: skip


def _aim(name: str, sign: float) -> str:
    return f"{'most' if sign > 0 else 'least'} {name}"


def _others(states: Counter[Any]) -> str:
    words = {
        "failed": "failed",
        "stopped": "not evaluated whole, as a bound was broken",
        "open": "still open",
    }
    found = [f"{states[state]} {word}" for state, word in words.items() if states[state]]
    return f"; {', '.join(found)}" if found else ""


def _best(run: Run) -> list[str]:
    if len(run.tasks) > 1:
        return _best_for_tasks(run)
    if not run.front:
        return ["None of them was evaluated whole and keeps all bounds, so there is no best arch."]
    names = [metric.name for metric in run.objective.metrics]
    first = run.archs.iloc[run.front[0]]
    values = ", ".join(f"{name} {number(first[name])}" for name in names)
    if len(names) == 1:
        return [f"The best arch has {values}; it was evaluation {run.front[0] + 1}."]
    if len(run.front) == 1:
        return [f"One arch beats all others: {values}."]
    last = run.archs.iloc[run.front[-1]]
    ends = ", ".join(f"{name} {number(last[name])}" for name in names)
    return [f"No arch beats these {len(run.front)}: from {values} to {ends}."]


def _best_for_tasks(run: Run) -> list[str]:
    """What is best for each of several tasks, and for all of them."""
    sentences = []
    for task in run.tasks:
        metrics, front = run.objective.of_task(task).metrics, run.front_of(task)
        if not front:
            sentences.append(f"For {task} no arch was evaluated that keeps all bounds.")
            continue
        best = run.archs.iloc[front[0]]
        values = ", ".join(f"{metric.name} {number(best[metric.name])}" for metric in metrics)
        among = f" of a front of {len(front)}" if len(metrics) > 1 else ""
        sentences.append(f"For {task} the best{among} has {values}; it was evaluation {front[0] + 1}.")
    if run.for_all_tasks:
        row, many = run.for_all_tasks[0], len(run.for_all_tasks)
        how = "One arch beats all others" if many == 1 else f"No arch beats these {many}"
        sentences.append(
            f"{how} at all {len(run.tasks)} tasks together; evaluation {row + 1} has the best mean rank over them, "
            f"{number(run.mean_ranks[row])} of {len(run.mean_ranks)}."
        )
    else:
        sentences.append("No arch was evaluated for all tasks and keeps all bounds.")
    return sentences


def _notes(run: Run, states: Counter[Any]) -> list[str]:
    notes = []
    if run.space is None:
        notes.append(f"Space {run.space_name} is not known here, so its archs are not drawn.")
    if run.task is None and run.config.get("table") is None:
        notes.append(
            f"The images of task {run.task_name} are not known here; name their folder with --task to see mistakes."
        )
    if not run.predictions and not run.is_validation:
        notes.append(
            "The study holds no predictions: its policy makes none of values, nothing was fitted yet, or it is of an "
            "older gennas."
        )
    if states["open"]:
        notes.append("The run is not finished; the same command goes on with it.")
    return notes


def number(value: float) -> str:
    """A value as the command line shows it."""
    return f"{value:.4g}"
