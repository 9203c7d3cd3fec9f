"""`gennas check-space` and `gennas check-table`: what is right and what is wrong with files of the user's own."""

from __future__ import annotations

from typing import Any

from gennas.cli.output import Outcome, cell
from gennas.commands import command
from gennas.errors import GennasError, InvalidInputError

#: Archs of which the costs are shown.
_SHOWN_ARCHS = 200


def check_space(space_or_file: str, skeleton: str = "", task: str | None = None, seed: int = 0) -> Outcome:
    """Checks a space of your own: template, notation, canonical forms, enumeration, costs and networks.

    Args:
        space_or_file: the space.
        skeleton: settings of the network around the searched part, e.g. "channels=16,cells=3".
        task: the task that networks are built for; cifar10's shape by default.
        seed: chooses the archs that are looked at.
    """
    import numpy as np

    from gennas.spaces import address_of, get_space, name_in_files
    from gennas.tables.user import sizing_task
    from gennas.tasks import get_task
    from gennas.testing import check_space as check
    from gennas.user_files import failure_of

    space = get_space(space_or_file, skeleton)
    name_in_files(space)
    try:
        the_task = get_task(task) if task is not None else sizing_task(space)
        check(space, the_task, seed)
        rng = np.random.default_rng(seed)
        costs = [space.costs(space.sample(rng), the_task) for _ in range(_SHOWN_ARCHS)]
    except AssertionError as error:
        raise InvalidInputError(f"space {space.name!r}: {error}") from error
    except GennasError:
        raise
    except Exception as error:
        # Whatever the user's own code raises.
        raise InvalidInputError(f"space {space.name!r} fails: {failure_of(error)}") from error
    template = space.template
    facts: dict[str, Any] = {
        "archs": _number(space),
        "slots with a choice": len(template.free_slots),
        "edges that are a choice": len(template.free_edges),
        "operations": len({op for slot in template.free_slots for op in template.operations[slot]}),
    }
    facts |= {
        f"{name} of random archs": f"{cell(min(c[name] for c in costs))} to {cell(max(c[name] for c in costs))}"
        for name in costs[0]
    }
    title = f"space {space.name} passes all checks"
    document = {"space": space.name, "passed": True, **facts}
    # Archs that can be counted are drawn without a trained generator.
    if space.is_exact:
        following = command("generate", task=task or the_task.name, space=address_of(space))
    else:
        following = command("pretrain", "generator", space=address_of(space))
    return Outcome(document, {title: [{"what": what, "value": value} for what, value in facts.items()]}, next=following)


def check_table(table_or_file: str, space: str | None = None, seed: int = 0) -> Outcome:
    """Checks a table of your own: keys, metrics, units, ranges, missing values, repeated rows and noise.

    Args:
        table_or_file: the table.
        space: its space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class; by default the
            one whose notation it is written in.
        seed: chooses the archs that are looked at, where there are many.
    """
    from gennas.spaces import address_of, get_space, registered_space
    from gennas.tables import is_table_file, load_table
    from gennas.tables.user import read_table_file
    from gennas.testing import check_table as check

    named = get_space(space) if space is not None else None
    file = read_table_file(table_or_file, named) if is_table_file(table_or_file) else None
    table = file.table() if file is not None else load_table(table_or_file, named)
    try:
        check(table, seed)
    except AssertionError as error:
        raise InvalidInputError(f"table {table.name!r}: {error}") from error
    the_space = named or registered_space(table.space)
    noise = file.noise() if file is not None else {}
    columns = [_described(table, name, noise.get(name)) for name in table.metrics()]
    notes = []
    share = "" if the_space.size is None else f" of {the_space.size:,} ({len(table.frame) / the_space.size:.1%})"
    facts: dict[str, Any] = {"space": the_space.name, "archs": f"{len(table.frame):,}{share}"}
    if file is not None:
        several = sum(len(rows) > 1 for rows in file.by_arch().values())
        facts |= {"rows": len(file.rows) + file.repeated, "rows that repeat another": file.repeated}
        facts |= {"archs with several rows": several}
        if file.unused:
            notes.append(f"columns not used: {', '.join(file.unused)}; costs are computed from the arch.")
    if table.is_partial:
        notes.append("the table has only a part of the space: search it with --within-table.")
    notes += [
        f"all values of {name} are equal: nothing can be learnt from them."
        for name in table.metrics()
        if table.frame[name].nunique() == 1
    ]
    following = command(
        "pretrain", "predictor", table=table_or_file, space=None if space is None else address_of(the_space)
    )
    document = {"table": table.name, "passed": True, **facts, "columns": columns, "notes": notes}
    shown = [{"what": what, "value": value} for what, value in facts.items()]
    tables = {f"table {table.name} passes all checks": shown, "columns": columns}
    return Outcome(document, tables, notes, next=following)


# Not typed as a Space: jsonargparse imports what is imported for types only.
def _number(space: Any) -> int | str:
    """How many archs there are: exactly, or at most where nobody has counted what the space's own rules leave."""
    if space.size is not None:
        return int(space.size)
    if space.count is None:
        return "not counted"
    return int(space.count) if space.is_exact else f"at most {space.count}"


# Not typed as a Table: see above, and pandas with it.
def _described(table: Any, name: str, noise: tuple[float, int] | None) -> dict[str, Any]:
    """What is known of a column; of its noise the std, and how many archs it was learnt from."""
    from gennas.metrics import Metric

    values, kind = table.frame[name].dropna(), Metric.parse(name.removeprefix("test_")).kind
    return {
        "column": name,
        "unit": kind.unit,
        "better": "larger" if kind.direction == "max" else "smaller",
        "archs": len(values),
        "missing": f"{1 - len(values) / max(len(table.frame), 1):.1%}",
        "least": cell(float(values.min())),
        "mean": cell(float(values.mean())),
        "greatest": cell(float(values.max())),
        "noise": f"{noise[0]:.3g} (from {noise[1]} archs)" if noise else "not known: no repeated measurements",
    }
