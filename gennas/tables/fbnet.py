"""The FBNet table: latencies of 5,000 archs in 27 device settings; no accuracies are known.

Measured by the authors of HELP (Lee et al., "Hardware-adaptive Efficient Latency Prediction for NAS via
Meta-Learning", NeurIPS 2021, https://arxiv.org/abs/2106.08630). None of it is shipped: ``fbnet_latency_ms.parquet`` is
read from the folder ``GENNAS_DATA``, a column ``ops`` of 22 digits and a column per device, in ms.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from gennas.errors import InvalidArchError, InvalidInputError
from gennas.spaces.fbnet.space import FBNet
from gennas.tables.base import Table, data_file, how_to_get, read_columns

LATENCIES = "fbnet_latency_ms.parquet"
#: The devices; a number at the end is the batch size.
DEVICES = (
    *("1080ti_1", "1080ti_32", "1080ti_64", "2080ti_1", "2080ti_32", "2080ti_64", "essential_ph_1", "eyeriss", "fpga"),
    *("gold_6226", "gold_6240", "pixel2", "pixel3", "raspi4", "samsung_a50", "samsung_s7", "silver_4114"),
    *("silver_4210r", "titan_rtx_1", "titan_rtx_32", "titan_rtx_64", "titanx_1", "titanx_32", "titanx_64"),
    *("titanxp_1", "titanxp_32", "titanxp_64"),
)
#: Metric -> column of the file.
COLUMNS = {f"latency_ms@{device}": f"lat_{device}" for device in DEVICES}


def load() -> Table:
    """Reads and checks the table; see :func:`gennas.tables.load_table`."""
    path = data_file(LATENCIES)
    if path is None:
        frame, missing = pd.DataFrame(index=pd.Index([], dtype=object, name="key")), how_to_get(LATENCIES)
        return Table("fbnet", "fbnet", frame, dict.fromkeys(COLUMNS, missing), latency_input_shape=(3, 224, 224))
    return Table("fbnet", "fbnet", _read(path), {}, latency_input_shape=(3, 224, 224))


def _read(path: Path) -> pd.DataFrame:
    """The latencies, by key.

    Raises:
        InvalidInputError: a row that is no arch, or is there twice, or a latency that is no positive number.
    """
    frame, space = read_columns(path, ["ops", *COLUMNS.values()]), FBNet()
    keys = []
    for row, ops in enumerate(frame["ops"]):
        try:
            keys.append(space.parse(str(ops)).key)
        except InvalidArchError as error:
            raise InvalidInputError(f"{path}, row {row}: {error} Download the file again.") from error
    frame = frame[list(COLUMNS.values())].set_axis(list(COLUMNS), axis=1).astype(float)
    frame.index = pd.Index(keys, dtype=object, name="key")
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise InvalidInputError(f"{path} contains the arch {twice!r} twice; download the file again.")
    for metric, column in COLUMNS.items():
        values = frame[metric]
        wrong = values[~(np.isfinite(values) & (values > 0))]
        if len(wrong):
            raise InvalidInputError(
                f"{path}: {column} of {wrong.index[0]!r} is {wrong.iloc[0]}; expected a positive number of ms; "
                "download the file again."
            )
    return frame
