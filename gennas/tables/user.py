"""Tables of the user's own: a CSV or Parquet file with an arch and its metrics per row."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gennas.arch import Arch
from gennas.errors import GennasError, InvalidArchError, InvalidInputError, UnknownNameError, short
from gennas.metrics import Metric, implausible
from gennas.spaces import SPACES, Space, get_space, name_in_files
from gennas.tables.arch_csv import NUMBER, invalid_rows, key_column
from gennas.tables.base import Table
from gennas.tables.fields import ARGUMENT, CSV_ENDINGS, EXPECTED, PARQUET_ENDINGS, Fields, read_fields
from gennas.tables.units import read_as_seconds
from gennas.tasks import Task, get_task, known_by_name

#: Fields that stand for a value that was not measured.
_MISSING = ("", "nan", "na", "n/a", "none", "null")
#: Columns whose values say which of several rows of an arch is which, and under what conditions all were got.
_SEED, _CONDITIONS = "seed", ("epochs", "fidelity")
#: Share of the archs that have several rows, below which these are taken for mistakes unless a column seed says what
#: they are.
_REPEATED_SHARE = 0.1
#: Keys by which the space of a file is found out.
_TRIED_KEYS = 5


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Attributes:
        where: of the file, e.g. ``line 3``.
        arch: numbered as :meth:`gennas.spaces.Space.canonicalised` does.
        values: metric -> value; what is missing was not measured.
        seed: as written; empty where the file has no such column.
    """

    where: str
    arch: Arch
    values: Mapping[str, float]
    seed: str = ""


@dataclass(frozen=True, eq=False)
class TableFile:
    """What a file says of archs.

    Attributes:
        path: of the file.
        space: of its archs.
        metrics: names of its columns with metrics, in its order.
        rows: of the file, those that repeat another one left out. Without a column seed, equal rows of an arch are
            measurements like any others as soon as some arch has different ones.
        repeated: how many were left out.
        unused: names of its other columns.
    """

    path: Path
    space: Space
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    repeated: int
    unused: tuple[str, ...]

    @classmethod
    def read(cls, path: str | Path, space: Space | None = None) -> TableFile:
        """Reads and checks a file.

        Args:
            path: a CSV file (separated by commas, tabs or semicolons) or a Parquet file. Its column ``key`` (or
                ``arch``) has the archs, columns named like metrics their values; a column ``seed`` tells several
                measurements of an arch apart. Values may be missing.
            space: of the archs; by default the one registered space whose notation the keys are written in.

        Raises:
            InvalidInputError: it cannot be read; no column of metrics, or one without its target; a value in another
                unit, e.g. per cent; an arch with other values under the same seed; rows of trainings of different
                length; or keys that are no archs of the space, listed with their place.
            UnknownNameError: a column named like a metric that is not registered.
        """
        path = Path(path)
        names, fields = read_fields(path)
        metrics, unused = _columns(path, names)
        key_at = key_column([name.casefold() for name in names])
        assert key_at is not None
        folded = {name.casefold(): at for at, name in enumerate(names)}
        _check_conditions(path, names, fields)
        space = space or _space_of(path, list(dict.fromkeys(row[key_at] for _, row, _ in fields))[:_TRIED_KEYS])
        rows, problems, archs = [], [], dict[str, Arch]()
        for where, row, extra in fields:
            try:
                if extra:
                    raise InvalidInputError("more fields than columns in the header; quote a key that contains a comma")
                if (key := row[key_at]) not in archs:
                    archs[key] = space.canonicalised([space.parse(key)])[0]
                values = {
                    name: number for name, at in metrics.items() if (number := _number(name, row[at])) is not None
                }
                rows.append(Row(where, archs[key], values, row[folded[_SEED]] if _SEED in folded else ""))
            except (InvalidArchError, InvalidInputError) as error:
                problems.append(f"{where}: {short(str(error).rstrip('.'), 400)}")
        if problems:
            raise invalid_rows(path, problems, ARGUMENT)
        _check_units(path, list(metrics), rows, space)
        kept = _distinct(rows, has_seeds=_SEED in folded)
        file = cls(path, space, tuple(metrics), kept, len(rows) - len(kept), unused)
        file._check_repeats(has_seeds=_SEED in folded)
        return file

    def by_arch(self) -> dict[Arch, list[Row]]:
        """The rows of every arch, in the order of the file."""
        found: dict[Arch, list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row.arch].append(row)
        return dict(found)

    def _check_repeats(self, *, has_seeds: bool) -> None:
        """Refuses rows of one arch that contradict each other."""
        problems, several, archs = [], 0, self.by_arch()
        for arch, rows in archs.items():
            several += len(rows) > 1
            seen: dict[str, Row] = {}
            for row in rows if has_seeds else ():
                first = seen.setdefault(row.seed, row)
                if first is not row:
                    problems.append(
                        f"{row.where}: {short(arch.key)} with seed {row.seed or 'left empty'} is in {first.where} too, "
                        f"with other values{_difference(first, row)}"
                    )
        if not has_seeds and several and several < _REPEATED_SHARE * len(archs):
            for arch, (first, *others) in archs.items():
                problems += [
                    f"{row.where}: {short(arch.key)} is in {first.where} too, with other values"
                    f"{_difference(first, row)}; correct one, or add a column seed if both were measured"
                    for row in others
                    if row.values != first.values
                ]
        if problems:
            raise invalid_rows(self.path, problems, ARGUMENT)

    def noise(self) -> dict[str, tuple[float, int]]:
        """Metric -> std of a measurement, in its unit, and how many archs it was learnt from.

        The std is pooled over the archs with several measurements: ``sqrt(sum (x - mean)^2 / sum (n - 1))``. Metrics
        without repeated measurements are left out, and those of which every arch has the same value in all its rows:
        they were measured once and written several times.
        """
        found = {}
        for name in self.metrics:
            groups = [values for values in self._measured(name).values() if len(values) > 1]
            freedom = sum(len(values) - 1 for values in groups)
            if any(np.ptp(values) > 0 for values in groups):
                squares = sum(float(np.square(values - values.mean()).sum()) for values in groups)
                found[name] = math.sqrt(squares / freedom), len(groups)
        return found

    def _measured(self, name: str) -> dict[Arch, np.ndarray]:
        archs = self.by_arch().items()
        values = {arch: [row.values[name] for row in rows if name in row.values] for arch, rows in archs}
        return {arch: np.array(found) for arch, found in values.items() if found}

    def table(self) -> Table:
        """The table: the mean of an arch's measurements is its value."""
        import pandas as pd

        means, noise = {}, {}
        spread = self.noise()
        for name in self.metrics:
            measured = self._measured(name)
            means[name] = {arch.key: float(values.mean()) for arch, values in measured.items()}
            if name in spread:
                # Of the mean of n measurements, averaged over archs.
                share = np.mean([1 / len(values) for values in measured.values()])
                noise[name] = spread[name][0] * math.sqrt(float(share))
        index = pd.Index([arch.key for arch in self.by_arch()], name="key")
        frame = pd.DataFrame({name: pd.Series(means[name], dtype=float) for name in self.metrics}).reindex(index)
        return Table(self.path.name, self.space.name, frame, {}, (), noise, self.path)


def is_table_file(name: str | Path) -> bool:
    """Whether a table is named by its file."""
    return Path(name).suffix.lower() in (*CSV_ENDINGS, *PARQUET_ENDINGS)


def read_table(path: str | Path, space: Space | None = None) -> Table:
    """The table in a file of the user's own; see :func:`read_table_file`.

    Raises:
        InvalidInputError, UnknownNameError: see there.
    """
    return read_table_file(path, space).table()


def read_table_file(path: str | Path, space: Space | None = None) -> TableFile:
    """:meth:`TableFile.read`, whose names are known from then on.

    These are its space, and the tasks that its columns name: where nothing else is known of one, its networks are sized
    like those for CIFAR-10.

    Raises:
        InvalidInputError: see there; or a task is known by a table of another space, whose networks take other inputs.
        UnknownNameError: see there.
    """
    file = TableFile.read(path, space)
    name_in_files(file.space)
    known_by_name(file.metrics, lambda: sizing_task(file.space))
    return file


def sizing_task(space: Space) -> Task:
    """The task that sizes networks of which nothing else is known: with images, unless the space has none."""
    arch, image = space.sample(np.random.default_rng(0)), get_task("cifar10")
    try:
        space.costs(arch, image)
    except GennasError:
        graph = get_task("cora")
        with suppress(GennasError):
            space.costs(arch, graph)
            return graph
    return image


def _columns(path: Path, names: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """The metrics with their places, and the other columns."""
    metrics: dict[str, int] = {}
    unused: list[str] = []
    own = names[key_column([name.casefold() for name in names]) or 0]
    for at, name in enumerate(names):
        if name in ("", own) or name.casefold() in (_SEED, *_CONDITIONS):
            continue
        metric = _metric_of(path, name)
        if metric is None or metric.is_cost:
            unused.append(name)
            continue
        full = ("test_" if name.startswith("test_") else "") + metric.name
        if full in metrics:
            raise InvalidInputError(f"{path} has the column {full} twice; leave one out.")
        metrics[full] = at
    if not any(not name.startswith("test_") for name in metrics):
        only = f" but {', '.join(metrics)}, which nothing may be chosen by," if metrics else ""
        raise InvalidInputError(
            f"{path} has no column with a metric{only} among {short(', '.join(names), 200)}; {EXPECTED}.",
            argument=ARGUMENT,
        )
    return metrics, tuple(unused)


def _metric_of(path: Path, name: str) -> Metric | None:
    """The metric that a column is named after; None for a column of something else."""
    try:
        metric = Metric.parse(name.removeprefix("test_"))
    except UnknownNameError as error:
        # What looks like a metric is not passed over: it may be misspelt.
        if "@" in name:
            raise UnknownNameError(f"{path}: column {name!r}: {error}") from error
        return None
    except InvalidInputError as error:
        if "@" in name:
            raise InvalidInputError(f"{path}: column {name!r}: {error}") from error
        return None
    if metric.target is None and metric.kind.scope != "arch":
        raise InvalidInputError(
            f"{path}: column {name!r} lacks its {metric.kind.scope}; name it {name}@my{metric.kind.scope}."
        )
    return metric


def _number(name: str, text: str) -> float | None:
    """The value in a field; None where it was not measured."""
    if text.casefold() in _MISSING:
        return None
    if not NUMBER.fullmatch(text):
        hint = "; write a fraction, e.g. 0.93, not per cent" if re.fullmatch(r"[\d.,]+\s*%", text) else ""
        raise InvalidInputError(f"{name} is {short(text)!r}; expected a number{hint}")
    return float(text)


def _distinct(rows: Sequence[Row], *, has_seeds: bool) -> tuple[Row, ...]:
    """The rows that are a measurement each, in the order of the file."""
    distinct: dict[tuple[object, ...], Row] = {}
    for row in rows:
        distinct.setdefault((row.arch, row.seed, *sorted(row.values.items())), row)
    if not has_seeds and len(distinct) > len({row.arch for row in rows}):
        # Repeats are measurements here, and two of them may be equal.
        return tuple(rows)
    return tuple(distinct.values())


def _check_conditions(path: Path, names: Sequence[str], fields: Fields) -> None:
    """Refuses values that cannot be compared."""
    for at, name in enumerate(names):
        found = Counter(row[at] for _, row, _ in fields)
        if name.casefold() in _CONDITIONS and len(found) > 1:
            counted = ", ".join(f"{value or 'nothing'} in {count} rows" for value, count in found.most_common(3))
            raise InvalidInputError(
                f"{path}: column {name} has {counted}: values of trainings of different length cannot be compared; "
                "keep the rows of one."
            )


def _space_of(path: Path, keys: Sequence[str]) -> Space:
    """The registered space whose archs most of these keys are."""
    counts: dict[str, int] = {}
    for name in SPACES:
        with suppress(GennasError):
            counts[name] = sum(_is_arch(get_space(name), key) for key in keys)
    found = [name for name, count in counts.items() if 2 * count > len(keys)]
    if len(found) != 1:
        which = f"may be of {' and '.join(found)}" if found else "is of no registered space"
        raise InvalidInputError(
            f"{path}: the key {short(keys[0])!r} {which}; name the space of the table with `space`, e.g. "
            "path/to/file.py:MySpace."
        )
    return get_space(found[0])


def _is_arch(space: Space, key: str) -> bool:
    try:
        space.parse(key)
    except GennasError:
        return False
    return True


def _check_units(path: Path, metrics: Sequence[str], rows: Sequence[Row], space: Space) -> None:
    """Refuses values that their metric cannot have; where a whole column has another unit, with what to do about it."""
    problems: list[str] = []
    for name in metrics:
        kind = Metric.parse(name.removeprefix("test_")).kind
        known = [(row, row.values[name]) for row in rows if name in row.values]
        if not known:
            raise InvalidInputError(f"{path}: column {name} is empty; fill it in or leave it out.")
        values = np.array([value for _, value in known])
        above = int((values > kind.upper).sum())
        if kind.upper == 1 and 2 * above > len(values) and values.min() >= 0 and values.max() <= 100:
            raise InvalidInputError(
                f"{path}: column {name} is in per cent: {above} of {len(values)} values are above 1, up to "
                f"{values.max():g}; expected fractions: divide the column by 100."
            )
        problems += [f"{row.where}: {defect}" for row, value in known if (defect := implausible(name, value))]
        if name.startswith("latency_ms@") and not problems:
            task = sizing_task(space)
            # Networks on graphs move more than they multiply.
            if len(task.input_shape) != 3:
                continue
            macs_m = {row.arch: space.costs(row.arch, task)["macs_m"] for row, _ in known}
            if defect := read_as_seconds(name, values.tolist(), [macs_m[row.arch] for row, _ in known]):
                raise InvalidInputError(f"{path}: {defect}")
    if problems:
        raise invalid_rows(path, problems, ARGUMENT)


def _difference(first: Row, row: Row) -> str:
    """The first value that differs, in words."""
    for name in {**first.values, **row.values}:
        one, other = first.values.get(name), row.values.get(name)
        if one != other:
            words = ["none" if value is None else f"{value:g}" for value in (one, other)]
            return f" ({name} {words[0]} and {words[1]})"
    return ""


__all__ = ["Row", "TableFile", "is_table_file", "read_table", "read_table_file"]
