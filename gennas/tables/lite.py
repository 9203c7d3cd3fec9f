"""The tables ``lite0``, ``lite1`` and ``lite2``: latencies on one processor, measured by ``scripts/measure_lite.py``.

Shipped in ``datasets/lite``. No accuracies are among them: what an arch reaches depends on the user's images.
"""

import pandas as pd

from gennas.errors import DataMissingError, InvalidInputError
from gennas.paths import shipped
from gennas.spaces import get_space
from gennas.tables.base import Table, unreadable

FILE, METRIC = "latency_cpu.csv", "latency_ms@cpu"
_HALVES = ["half_1", "half_2"]


def lite0() -> Table:
    """Latencies of archs of ``lite0``."""
    return load("lite0")


def lite1() -> Table:
    """Latencies of archs of ``lite1``."""
    return load("lite1")


def lite2() -> Table:
    """Latencies of archs of ``lite2``."""
    return load("lite2")


def load(name: str) -> Table:
    """The table of one of the spaces: the shortest run of each arch's network, an image of its own resolution.

    Raises:
        DataMissingError: the file is not there.
        InvalidInputError: it is damaged.
    """
    path = shipped("datasets") / "lite" / FILE
    if not path.is_file():
        raise DataMissingError(f"{path} does not exist; reinstall gennas, or restore the file in your checkout.")
    try:
        rows = pd.read_csv(path, usecols=["space", "key", *_HALVES]).query("space == @name").drop_duplicates("key")
        values = rows[_HALVES].astype(float).min(axis=1)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if values.isna().any() or (values <= 0).any():
        raise InvalidInputError(f"{path} has a latency of {name} that is no positive number; restore the file.")
    space = get_space(name)
    keys = [space.parse(key).key for key in rows["key"]]
    frame = pd.DataFrame({METRIC: values.to_numpy()}, index=pd.Index(keys, dtype=object, name="key"))
    return Table(name, name, frame, {}, latency_input_shape=())
