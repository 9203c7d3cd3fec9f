"""The TransNAS-Bench-101 micro table: validation values of 711 of the 4,096 cells on seven tasks, one training each.

None of it is shipped. It is read from the folder ``GENNAS_DATA``: ``transnas101_micro.parquet``, which has the values
that NASLib (https://github.com/automl/NASLib) took from the benchmark for its study of training-free scores
(Krishnakumar et al., "NAS-Bench-Suite-Zero", NeurIPS 2022).
"""

from __future__ import annotations

import pandas as pd

from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces.transnas_micro.space import TransNasMicro
from gennas.tables.base import Table, data_file, how_to_get, read_columns

CELLS = "transnas101_micro.parquet"
ROWS = 711
#: Metric -> the factor from a value of the file to one in gennas units.
METRICS = {
    "accuracy@class_scene": 0.01,
    "accuracy@class_object": 0.01,
    "accuracy@jigsaw": 0.01,
    "accuracy@segmentsemantic": 0.01,
    "ssim@autoencoder": 1.0,
    "ssim@normal": 1.0,
    # The file has negative losses.
    "mse@room_layout": -1.0,
}


def load() -> Table:
    """Reads and checks the table; see :func:`gennas.tables.load_table`."""
    path = data_file(CELLS)
    if path is None:
        frame = pd.DataFrame(index=pd.Index([], dtype=object, name="key"), dtype=float)
        return Table(
            "transnas_micro", "transnas_micro", frame, dict.fromkeys(METRICS, how_to_get(CELLS)), latency_input_shape=()
        )
    space, rows = TransNasMicro(), read_columns(path, ["task", "arch", "val_accuracy"])
    try:
        rows["key"] = [space.parse(str(arch)).key for arch in rows["arch"]]
    except InvalidArchError as error:
        raise InvalidInputError(f"{path}: {error} Download the file again.") from error
    if rows.duplicated(["task", "key"]).any():
        raise InvalidInputError(f"{path} contains a cell twice for one task; download the file again.")
    values = rows.pivot_table(index="key", columns="task", values="val_accuracy", dropna=False)
    tasks = [metric.partition("@")[2] for metric in METRICS]
    counts = values.reindex(columns=tasks).notna().sum()
    if len(values) != ROWS or (counts != ROWS).any():
        raise InvalidInputError(
            f"{path} has {len(values)} cells, on {counts.idxmin()} {counts.min()}; expected {ROWS} on each of "
            f"{', '.join(tasks)}; download the file again."
        )
    frame = pd.DataFrame(
        {metric: values[task] * factor for (metric, factor), task in zip(METRICS.items(), tasks, strict=True)}
    )
    return Table("transnas_micro", "transnas_micro", frame, {}, latency_input_shape=())
