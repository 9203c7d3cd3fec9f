"""Table: measured metric values of the archs of a space."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from gennas.arch import Arch
from gennas.errors import DataMissingError, InvalidInputError, unknown
from gennas.metrics import implausible
from gennas.problem import Problem
from gennas.spaces import registered_space
from gennas.spaces.subset import Subset

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """Measured values, one row per arch.

    Attributes:
        name: the table's registered name.
        space: name of the space that its archs belong to.
        frame: indexed by arch key, unique; columns are metric names with their target, in gennas units (accuracies
            are fractions); NaN where an arch was not measured.
        missing: metrics whose file is not on this machine -> how to get it.
        latency_input_shape: ``(channels, height, width)`` of the images that latencies were measured with; empty if the
            archs or the names of the hardware tell the input.
        noise: metric -> std of the error of its values, in its unit, where repeated measurements tell it.
        file: the user's file that it was read from; None for a registered table.
    """

    name: str
    space: str
    frame: pd.DataFrame
    missing: Mapping[str, str]
    latency_input_shape: tuple[int, ...]
    noise: Mapping[str, float] = field(default_factory=dict)
    file: Path | None = None

    @property
    def is_partial(self) -> bool:
        """Whether the space has archs that the table lacks."""
        size = registered_space(self.space).size
        return size is None or len(self.frame) < size

    @cached_property
    def identity(self) -> str:
        """The name as settings keep it; of a user's file with a hash of its values, which may change under the name."""
        if self.file is None:
            return self.name
        text = self.frame.sort_index().to_csv(float_format="%.9g") + repr(sorted(self.noise.items()))
        return f"{self.name} ({sha256(text.encode()).hexdigest()[:12]})"

    def within(self, problem: Problem) -> Problem:
        """The same problem with none but those archs that the table has all the problem's metrics of, as far as it has
        columns of them.

        Raises:
            InvalidInputError: a problem of another space, or no such arch.
        """
        if problem.space.name != self.space:
            raise InvalidInputError(
                f"table {self.name!r} is of space {self.space!r}, not {problem.space.name!r}; give `space` "
                f"{self.space}."
            )
        names = [metric.name for metric in problem.metrics if metric.name in self.frame.columns]
        keys = self.columns(names).dropna().index
        if not len(keys):
            raise InvalidInputError(f"table {self.name!r} has no arch with all of {', '.join(names)}.")
        return replace(problem, among=Subset(problem.space, (problem.space.parse(str(key)) for key in keys)))

    def metrics(self) -> tuple[str, ...]:
        """The metrics that can be looked up."""
        return tuple(self.frame.columns)

    def column(self, metric: str) -> pd.Series[float]:
        """All values of a metric, indexed by arch key; NaN where an arch was not measured.

        Raises:
            DataMissingError: the file with the metric is not on this machine.
            UnknownNameError: the table has no such metric; the nearest is suggested.
            InvalidInputError: a value that the metric cannot have, or an accuracy where the table has none at all.
        """
        if metric in self.missing:
            raise DataMissingError(f"{metric} of table {self.name!r} is not available: {self.missing[metric]}")
        if metric not in self.frame.columns:
            known = [*self.frame.columns, *self.missing]
            if metric.startswith("accuracy@") and not any("accuracy@" in str(name) for name in known):
                raise InvalidInputError(
                    f"table {self.name!r} has no {metric}, nor any other accuracies; objectives can be of "
                    f"{', '.join(map(str, known[:3]))}{', ...' if len(known) > 3 else ''}, params_m or macs_m, such as "
                    "+macs_m within bounds on the others."
                )
            raise unknown(f"{self.name} metric", metric, known)
        return self.columns([metric])[metric]

    def columns(self, metrics: Sequence[str]) -> pd.DataFrame:
        """Columns of :attr:`frame`, whose values are what the metrics can be, or NaN.

        Raises:
            InvalidInputError: a value that its metric cannot have.
        """
        for metric in metrics:
            if metric in self._defects:
                raise InvalidInputError(f"table {self.name!r}, {self._defects[metric]}. Correct the table.")
        return self.frame[list(metrics)]

    @cached_property
    def _defects(self) -> dict[str, str]:
        """Metric -> what is wrong with its column; nothing where it is as it should be."""
        found: dict[str, str] = {}
        for name, values in self.frame.items():
            known = values.dropna()
            numeric = known.dtype.kind in "fiu"
            rows = (known.argmin(), known.argmax()) if numeric and len(known) else range(len(known))
            for row in map(int, rows):
                if defect := implausible(str(name), known.iloc[row]):
                    found.setdefault(str(name), f"arch {known.index[row]!r}: {defect}")
        return found

    def lookup(self, arch: Arch | str, metric: str) -> float:
        """The value of a metric for one arch, given as an arch or as its key.

        Raises:
            InvalidInputError: the arch belongs to another space.
            InvalidArchError: the key is not a valid arch of the table's space; the message says why.
            DataMissingError: the arch was not measured, or the file with the metric is not on this machine.
            UnknownNameError: the table has no such metric; the nearest is suggested.
        """
        column = self.column(metric)
        if isinstance(arch, Arch) and arch.space != self.space:
            raise InvalidInputError(
                f"{arch.key!r} is an arch of space {arch.space!r}; table {self.name!r} expects archs of {self.space!r}."
            )
        key = arch.key if isinstance(arch, Arch) else arch
        if key not in column.index:
            space = registered_space(self.space)
            key = space.canonicalised([space.parse(key)])[0].key
        value = float(column.get(key, float("nan")))
        if value != value:
            advice = "use one of those, or measure this one"
            if self.is_partial:
                advice = "`within_table` proposes none but the archs of the table"
            raise DataMissingError(
                f"table {self.name!r} has no {metric} for {key!r}, only for {column.notna().sum()} other archs; "
                f"{advice}."
            )
        return value


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of a Parquet file of a table.

    Raises:
        DataMissingError: a file that comes with gennas is not there.
        InvalidInputError: it cannot be read, or lacks a column.
    """
    import pandas as pd

    if not path.is_file():
        raise DataMissingError(f"{path} does not exist; reinstall gennas, or restore the file in your checkout.")
    try:
        return pd.read_parquet(path, columns=list(columns))
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InvalidInputError:
    """What to raise where reading a file of a table failed."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return InvalidInputError(f"cannot read {path}: {reason}; download the file again.")


def data_file(name: str) -> Path | None:
    """A file in the folder ``GENNAS_DATA``; None if it is not there."""
    folder = os.environ.get("GENNAS_DATA")
    path = Path(folder, name) if folder else None
    return path if path is not None and path.is_file() else None


def how_to_get(name: str) -> str:
    """What to do about a missing file that gennas cannot redistribute."""
    folder = os.environ.get("GENNAS_DATA")
    problem = f"GENNAS_DATA is {folder!r}, which has no {name}" if folder else f"{name} is not shipped with gennas"
    return f"{problem}; set the environment variable GENNAS_DATA to the folder that contains it."
