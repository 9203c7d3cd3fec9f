"""Training-free scores of many archs on CIFAR-10, as one Parquet file.

    GENNAS_DATA=... python scripts/build_proxies.py runs/proxies/nasbench201.parquet
    GENNAS_DATA=... python scripts/build_proxies.py runs/proxies/nasbench101.parquet --space nasbench101 --count 3000

One row per function that archs of the space compute (`space.canonical`), in an order drawn by the seed, so that an
unfinished file is a fair sample. Repeating the command goes on where it was stopped.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from jsonargparse import auto_cli
from machine import machine

from gennas.arch import Arch
from gennas.files import write_parquet
from gennas.proxies import PROXIES
from gennas.proxies.scoring import proxy_scores
from gennas.spaces import Space, get_space
from gennas.tasks import get_task

#: Narrow networks: where depth was cut to one cell per stage too, gradient scores ranked archs in another way.
SKELETONS = {"nasbench201": "channels=8,cells=3", "nasbench101": "channels=16"}
#: The second derivatives of GraSP take as long as all others together.
LEFT_OUT = ("grasp",)
CHUNK = 50


def main(
    out: Path,
    space: str = "nasbench201",
    count: int | None = None,
    skeleton: str | None = None,
    names: list[str] | None = None,
    batch_size: int = 16,
    task: str = "cifar10",
    seed: int = 0,
) -> None:
    """Computes what `out` lacks; all functions of the space where no count is given."""
    torch.set_num_threads(1)
    built = get_space(space, SKELETONS.get(space, "") if skeleton is None else skeleton)
    chosen = names or [name for name in PROXIES.list() if name not in LEFT_OUT]
    settings = {
        "space": space,
        "skeleton": ",".join(f"{name}={value}" for name, value in built.skeleton.items()),
        "batch_size": str(batch_size),
        "task": task,
        "seed": str(seed),
        "proxies": ",".join(chosen),
    }
    known = read(out, settings)
    todo = [arch for arch in functions(built, count, seed) if arch.key not in known.index]
    the_task, start = get_task(task), time.monotonic()
    print(f"{len(known)} archs are there, {len(todo)} to go", flush=True)
    for first in range(0, len(todo), CHUNK):
        chunk = todo[first : first + CHUNK]
        scores = proxy_scores(built, chunk, the_task, chosen, seed=seed, batch_size=batch_size)
        known = pd.concat([known, scores]) if len(known) else scores
        write_parquet(known.rename_axis("key").reset_index(), out, {**settings, "machine": machine()})
        done, seconds = first + len(chunk), time.monotonic() - start
        print(
            f"{len(known)} archs, {seconds / done:.2f} s each, {seconds / done * (len(todo) - done):.0f} s to go",
            flush=True,
        )
    print(f"wrote {out} ({len(known)} rows)")


def read(out: Path, settings: dict[str, str]) -> pd.DataFrame:
    """What was computed before; ends the script where that was done with other settings."""
    if not out.exists():
        return pd.DataFrame()
    metadata = {name.decode(): value.decode() for name, value in (pq.read_schema(out).metadata or {}).items()}
    differing = [
        f"{name} was {metadata.get(name)}, asked {value}"
        for name, value in settings.items()
        if metadata.get(name) != value
    ]
    if differing:
        sys.exit(f"{out} holds other scores: {'; '.join(differing)}; choose another file.")
    return pd.read_parquet(out).set_index("key")


def functions(space: Space, count: int | None, seed: int) -> list[Arch]:
    """One representative of every function, or of `count` drawn ones, in random order."""
    rng = np.random.default_rng(seed)
    found: dict[str, Arch] = {}
    if count is None:
        for arch in map(space.canonical, space.enumerate()):
            found.setdefault(arch.key, arch)
        archs = list(found.values())
        return [archs[row] for row in rng.permutation(len(archs))]
    while len(found) < count:
        arch = space.canonical(space.sample(rng))
        found.setdefault(arch.key, arch)
    return list(found.values())


if __name__ == "__main__":
    auto_cli(main)
