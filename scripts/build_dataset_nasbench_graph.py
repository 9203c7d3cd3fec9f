"""Builds datasets/nasbench_graph/table.parquet: accuracies and latencies of all NAS-Bench-Graph archs.

    python scripts/build_dataset_nasbench_graph.py

They come from the benchmark's own PyPI package nas-bench-graph (Apache-2.0). It is downloaded, checked and read as
an archive, never imported. Its files are pickles of dictionaries of numbers; they are read by a reader that knows
dictionaries, strings, numbers and NumPy's floats, and ends the script at anything else. Where ``GENNAS_DATA`` holds
independently gathered tables, every value is compared with them.
"""

import io
import os
import pickle
import struct
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jsonargparse import auto_cli
from known_wheel import downloaded

from gennas.files import write_parquet
from gennas.spaces.nasbench_graph.space import NasBenchGraph
from gennas.spaces.nasbench_graph.trees import LINKS, OPS
from gennas.tables.nasbench_graph import TASKS, hardware
from gennas.tasks import get_task

PACKAGE = "nas-bench-graph==1.4.0"
SHA256 = "f6ea43836262f1ee8d60c35bbbd20aa2536ee1f8492025e3b0b90096f5afc6ad"
#: gennas metric -> the package's name, and the factor from its unit to ours.
COLUMNS = {"accuracy": ("valid_perf", 1.0), "test_accuracy": ("perf", 1.0), "latency_ms": ("latency", 1000.0)}


class Float64:
    """What stands in the pickles for NumPy's type of the floats; it only makes sure that it is that type."""

    def __init__(self, *form: object) -> None:
        if form != ("f8", False, True):
            sys.exit(f"a number of type {form}, expected a float of 8 bytes: not the file this script knows.")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] != "<":
            sys.exit(f"numbers in byte order {state[1]!r}, expected '<': not the file this script knows.")


class NumbersOnly(pickle.Unpickler):
    """Reads a pickle of plain containers and NumPy floats without calling anything that the file names."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "dtype"):
            return Float64
        if (module, name) == ("numpy.core.multiarray", "scalar"):
            return lambda _, raw: struct.unpack("<d", raw)[0]
        sys.exit(f"the pickle asks for {module}.{name}: not the file this script knows.")


def key_of(number: int) -> str:
    """The arch that the package numbers so: decimal digits, the link and then the four operations."""
    link, *ops = (int(digit) for digit in f"{number:05}")
    return " ".join(["".join(map(str, LINKS[link])), *(OPS[op] for op in ops)])


def main(out: Path = Path("datasets/nasbench_graph/table.parquet")) -> None:
    """Downloads, converts, compares and writes."""
    bench: dict[str, pd.DataFrame] = {}
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(downloaded(PACKAGE, SHA256, Path(folder))) as archive:
        for task in TASKS:
            rows = NumbersOnly(io.BytesIO(archive.read(f"nas_bench_graph/light/{task}.bench"))).load()
            bench[task] = pd.DataFrame.from_dict(rows, orient="index").rename(index=key_of)

    space = NasBenchGraph()
    archs = list(space.enumerate())
    keys = [arch.key for arch in archs]
    if set(bench["cora"].index) != set(keys):
        sys.exit("the archs of the package are not those of the space.")
    columns = {"key": np.array(keys)}
    for metric, (name, factor) in COLUMNS.items():
        for task in TASKS:
            place = hardware(task) if metric == "latency_ms" else task
            columns[f"{metric}@{place}"] = (bench[task][name].reindex(keys) * factor).to_numpy(np.float32)
    table = pd.DataFrame(columns)

    for task in TASKS:
        rows = bench[task]
        costs = [space.costs(arch, get_task(task))["params_m"] for arch in archs]
        # The published numbers of parameters have six digits.
        differ = (rows["para"] / pd.Series(costs, keys).loc[rows.index] - 1).abs() > 6e-6
        print(
            f"{task}: {len(rows)} archs, validation {rows.valid_perf.min():.4f} to {rows.valid_perf.max():.4f}, test "
            f"{rows.perf.min():.4f} to {rows.perf.max():.4f}, latency {1000 * rows.latency.min():.2f} to "
            f"{1000 * rows.latency.max():.2f} ms; other parameters than our network: {differ.sum()}"
        )
    source = {
        "source": f"PyPI {PACKAGE}, nas_bench_graph/light/*.bench",
        "sha256": SHA256,
        "licence": "Apache-2.0",
        "origin": "NAS-Bench-Graph, Qin et al., NeurIPS 2022 Datasets and Benchmarks",
        "script": "scripts/build_dataset_nasbench_graph.py",
    }
    write_parquet(table, out, source)
    print(f"wrote {out} ({len(table)} rows, {out.stat().st_size} bytes)")
    if folder_of_others := os.environ.get("GENNAS_DATA"):
        compare(table.set_index("key"), Path(folder_of_others))
    else:
        print("GENNAS_DATA is not set: not compared with other sources")


def compare(table: pd.DataFrame, folder: Path) -> None:
    """Prints the largest difference to the values gathered in ``folder``."""
    for file, tasks in (
        ("nasbench_graph.parquet", [task for task in TASKS if task != "proteins"]),
        ("nasbench_graph_proteins.parquet", ["proteins"]),
    ):
        other = pd.read_parquet(folder / file)
        other = other.set_index(other["link"] + " " + other["ops"])
        for task in tasks:
            suffix = "" if task == "proteins" else f"_{task}"
            largest = [
                (table[f"{metric}@{place}"].dropna() / factor - other[f"{name}{suffix}"]).abs().max(skipna=False)
                for metric, place, factor, name in (
                    ("accuracy", task, 1, "valid"),
                    ("test_accuracy", task, 1, "test"),
                    ("latency_ms", hardware(task), 1000, "latency"),
                )
            ]
            print(f"{task}: largest differences to {file} there: {', '.join(f'{value:.2g}' for value in largest)}")


if __name__ == "__main__":
    auto_cli(main)
