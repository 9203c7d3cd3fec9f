"""Table: measured metric values of the archs of a space."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gennas.arch import Arch
from gennas.errors import DataMissingError, InvalidInputError, unknown
from gennas.spaces import get_space

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """Measured values, one row per arch.

    Attributes:
        name: the table's registered name.
        space: name of the space its archs belong to.
        frame: index: arch keys, unique; columns: metric names with their target, in gennas units (accuracies
            are fractions); NaN where an arch was not measured.
        missing: metrics the table would have, were more files on this machine -> what to do about it.
        latency_input_shape: (channels, height, width) of the images whose latency was measured; empty where the
            names of the hardware say what was.
    """

    name: str
    space: str
    frame: "pd.DataFrame"
    missing: Mapping[str, str]
    latency_input_shape: tuple[int, ...]

    def metrics(self) -> tuple[str, ...]:
        """The metrics that can be looked up here."""
        return tuple(self.frame.columns)

    def column(self, metric: str) -> "pd.Series[float]":
        """All values of a metric, indexed by arch key; NaN where an arch was not measured.

        Raises:
            DataMissingError: the file that holds the metric is not on this machine.
            UnknownNameError: the table has no such metric; the nearest is suggested.
        """
        if metric in self.missing:
            raise DataMissingError(f"table {self.name!r} has no {metric} here: {self.missing[metric]}")
        if metric not in self.frame.columns:
            raise unknown(f"{self.name} metric", metric, [*self.frame.columns, *self.missing])
        return self.frame[metric]

    def lookup(self, arch: Arch | str, metric: str) -> float:
        """The value of a metric for one arch, given itself or by its key.

        Raises:
            InvalidInputError: an arch of another space.
            InvalidArchError: a key that is no arch of the table's space; the message names the defect.
            DataMissingError: the arch was not measured, or the file that holds the metric is not here.
            UnknownNameError: the table has no such metric; the nearest is suggested.
        """
        column = self.column(metric)
        if isinstance(arch, Arch) and arch.space != self.space:
            raise InvalidInputError(
                f"table {self.name!r} holds archs of {self.space!r}, got one of {arch.space!r}: {arch.key!r}."
            )
        key = arch.key if isinstance(arch, Arch) else arch
        if key not in column.index:
            space = get_space(self.space)
            key = space.canonicalised([space.parse(key)])[0].key
        value = float(column.get(key, float("nan")))
        if value != value:
            raise DataMissingError(
                f"table {self.name!r} has no {metric} of {key!r}, only of {column.notna().sum()} others; "
                "take one of these, or measure it."
            )
        return value


def how_to_get(name: str) -> str:
    """What to do about a file that is not gennas' to give away."""
    given = os.environ.get("GENNAS_DATA")
    found = f"GENNAS_DATA is {given!r}, where there is no {name}" if given else f"{name} is not shipped with gennas"
    return f"{found}; set the environment variable GENNAS_DATA to the folder that holds it."
