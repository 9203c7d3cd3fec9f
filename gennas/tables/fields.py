"""The fields of a table file: a row per arch, or a row per value as exports of evaluations have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gennas.errors import InvalidInputError, short
from gennas.tables.arch_csv import KEYS, NUMBER, CsvFile, key_column

if TYPE_CHECKING:
    import pandas as pd

#: Endings of the files that are read.
CSV_ENDINGS, PARQUET_ENDINGS = (".csv", ".tsv"), (".parquet", ".pq")
ARGUMENT = "table"
EXPECTED = (
    "expected a CSV or Parquet file with a column key (or arch) and columns named like metrics with their target, e.g. "
    "key,accuracy@mytask,latency_ms@mydevice"
)
#: Columns of a file with a row per value.
_METRIC, _VALUE = "metric", "value"
#: Columns that tell one measurement of an arch from another, and how long its training took.
_SEED, _LENGTHS = "seed", ("fidelity", "epochs")
#: Columns of such a file that say where a value comes from, and the sources that measured nothing.
_ORIGIN, _NOT_MEASURED = ("source", "recipe"), ("computed", "predicted")
#: Where a row is, its fields, and those beyond the columns.
Fields = list[tuple[str, list[str], list[str]]]


def read_fields(path: Path) -> tuple[tuple[str, ...], Fields]:
    """The names of the columns, and the rows, of a file, with a row per arch and seed.

    Raises:
        InvalidInputError: a file that cannot be read, has no rows, or has a column twice that says what a row is; or
            values of one metric from several sources or recipes.
    """
    if path.suffix.lower() in PARQUET_ENDINGS:
        frame = _parquet(path)
        names = tuple(str(name).strip() for name in frame.columns)
        if key_column([name.casefold() for name in names]) is None:
            raise InvalidInputError(f"{path} has the columns {short(', '.join(names))}; {EXPECTED}.", argument=ARGUMENT)
        fields = list(_texts(frame))
    else:
        file = CsvFile.open(path, ARGUMENT, EXPECTED, lambda names: key_column(names) is not None)
        names = file.names
        fields = [(f"line {line}", [file.number(text) for text in row], extra) for line, row, extra in file.rows()]
    if not fields:
        raise InvalidInputError(f"{path} has no rows; {EXPECTED}.", argument=ARGUMENT)
    folded = Counter(name.casefold() for name in names)
    if twice := [name for name in (*KEYS, _SEED, *_LENGTHS, *_ORIGIN, _METRIC, _VALUE) if folded[name] > 1]:
        written = [name for name in names if name.casefold() == twice[0]]
        raise InvalidInputError(
            f"{path} has {folded[twice[0]]} columns {twice[0]} ({', '.join(written)}); keep one.", argument=ARGUMENT
        )
    return _per_arch(path, names, fields) if {_METRIC, _VALUE} <= set(folded) else (names, fields)


def _per_arch(path: Path, names: tuple[str, ...], fields: Fields) -> tuple[tuple[str, ...], Fields]:
    """Rows of one value each, as rows of an arch with a seed; where one stands is where its first value does.

    What is computed from the arch or predicted was not measured, and joins no row.
    """
    folded = [name.casefold() for name in names]
    key, metric, value = key_column(folded) or 0, folded.index(_METRIC), folded.index(_VALUE)
    # Trainings are of one length for each metric, as is checked here; what a device measures has none.
    kept = [at for at, name in enumerate(folded) if name == _SEED]
    source = folded.index("source") if "source" in folded else None
    fields = [(where, row, extra) for where, row, extra in fields if source is None or row[source] not in _NOT_MEASURED]
    if not fields:
        raise InvalidInputError(
            f"{path} has no measured values, only {' and '.join(_NOT_MEASURED)} ones; {EXPECTED}.", argument=ARGUMENT
        )
    _check_origins(path, names, fields)
    found: dict[tuple[str, ...], tuple[str, dict[str, str]]] = {}
    repeated: Fields = []
    for where, row, extra in fields:
        if extra:
            # Left for the error that names the row.
            repeated.append((where, row, extra))
            continue
        _, values = found.setdefault((row[key], *(row[at] for at in kept)), (where, {}))
        if not _equal(values.setdefault(row[metric], row[value]), row[value]):
            repeated.append((where, row, extra))
    metrics = list(dict.fromkeys(name for _, values in found.values() for name in values))
    rows: Fields = [
        (where, [*identity, *(values.get(name, "") for name in metrics)], [])
        for identity, (where, values) in found.items()
    ]
    for where, row, extra in repeated:
        own = [row[value] if row[metric] == name else "" for name in metrics]
        rows.append((where, [row[key], *(row[at] for at in kept), *own], extra))
    return ("key", *(names[at] for at in kept), *metrics), rows


def _check_origins(path: Path, names: Sequence[str], fields: Fields) -> None:
    """Refuses values of one metric that were got in different ways."""
    folded = [name.casefold() for name in names]
    metric = folded.index(_METRIC)
    for name in (*_ORIGIN, *_LENGTHS):
        found: dict[str, Counter[str]] = {}
        for _, row, extra in fields if name in folded else ():
            if not extra:
                found.setdefault(row[metric], Counter())[row[folded.index(name)]] += 1
        for of, counts in found.items():
            if len(counts) > 1:
                counted = ", ".join(f"{value or 'nothing'} in {count} rows" for value, count in counts.most_common(3))
                what = f"different {name}s" if name in _ORIGIN else "trainings of different length"
                raise InvalidInputError(
                    f"{path}: column {name} has {counted} of {of}: values of {what} cannot be compared; "
                    "keep the rows of one.",
                    argument=ARGUMENT,
                )


def _equal(one: str, other: str) -> bool:
    """Whether two fields say the same: 0.9 and 0.90 do."""
    if NUMBER.fullmatch(one) and NUMBER.fullmatch(other):
        return float(one) == float(other)
    return one == other


def _parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError, KeyError) as error:
        reason = getattr(error, "strerror", None) or (str(error) or type(error).__name__).splitlines()[0]
        raise InvalidInputError(f"{path} cannot be read: {reason}; {EXPECTED}.", argument=ARGUMENT) from error
    return frame.reset_index() if frame.index.name else frame


def _texts(frame: pd.DataFrame) -> Iterator[tuple[str, list[str], list[str]]]:
    """Rows as a CSV file would have them."""
    known = frame.notna().to_numpy()
    columns = [
        frame[name].tolist() if frame.columns.is_unique else frame.iloc[:, at].tolist()
        for at, name in enumerate(frame.columns)
    ]
    for at, row in enumerate(zip(*columns, strict=True)):
        yield f"row {at + 1}", [str(value).strip() if known[at, i] else "" for i, value in enumerate(row)], []
