"""A search that trains for real, killed again and again.

    python scripts/bench_search_kills.py --kills 5 --budget 24 --workers 2 --out runs/kills
    python scripts/bench_search_kills.py --objective "accuracy, -macs_m" --alone true --out runs/kills-alone

Runs `gennas search` on the digits, kills all its processes with SIGKILL at random moments, and repeats the command
until it ends. Nothing that was stored before a kill may be lost, changed or made again, and every arch must be
evaluated once. With `--alone` the search runs once more in another folder and undisturbed: both must have evaluated the
same archs with the same values, for which no objective may be measured.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from jsonargparse import auto_cli
from machine import machine

from gennas.errors import StudyError
from gennas.studies.study import Study

#: What an evaluation is.
SAME = ["arch", "metric", "seed", "fidelity", "recipe"]


def main(
    out: Path,
    objective: str = "accuracy, -latency_ms@cpu",
    kills: int = 5,
    budget: int = 24,
    workers: int = 2,
    epochs: int | None = None,
    longest: float = 120.0,
    alone: bool = False,
    seed: int = 0,
) -> None:
    """Prints what was compared; fails where something was lost or made twice.

    Args:
        out: folder for the runs; emptied first.
        objective: of the search.
        kills: how often the run is killed.
        budget: archs to evaluate.
        workers: trainings at a time.
        epochs: of each training; the recipe's own by default.
        longest: seconds until a kill, at most.
        alone: whether to compare with a run that is not killed.
        seed: of the search and of the moments.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [str(Path(sys.executable).with_name("gennas")), "search", "--task", "digits", "--space", "nasbench201"]
    command += ["--objective", objective, "--budget", str(budget), "--workers", str(workers), "--seed", str(seed)]
    command += ["--recipe.epochs", str(epochs)] if epochs else []
    print(f"{machine()}\n{' '.join(command)}", flush=True)
    rng, kept = random.Random(seed), []
    for _ in range(kills):
        seconds = killed_after([*command, "--out", str(out / "killed")], rng.uniform(5, longest))
        kept.append(rows_of(out / "killed"))
        print(f"killed after {seconds:.0f} s: {len(kept[-1])} values of {kept[-1]['arch'].nunique()} archs", flush=True)
    start = time.monotonic()
    subprocess.run([*command, "--out", str(out / "killed")], check=True, stdout=subprocess.DEVNULL)
    rows = rows_of(out / "killed")
    archs = rows[rows["metric"].str.startswith("accuracy@")]["arch"]
    print(
        f"repeated to the end in {time.monotonic() - start:.0f} s: {archs.nunique()} archs trained, {len(rows)} values"
    )
    lost = sum(len(before.merge(rows)) < len(before) for before in kept)
    doubled = int(rows.duplicated(SAME).sum())
    print(f"kills after which a value was lost or made again: {lost}; evaluations doubled: {doubled}")
    apart = not_in_both(command, out, rows) if alone else 0
    if lost or doubled or apart or archs.nunique() != budget:
        sys.exit("error: a value was lost, made twice, or is another one than in the undisturbed run.")


def not_in_both(command: list[str], out: Path, rows: pd.DataFrame) -> int:
    """How many values are in one of the two runs only; measured ones do not count."""
    subprocess.run([*command, "--out", str(out / "alone")], check=True, stdout=subprocess.DEVNULL)
    other = rows_of(out / "alone")
    runs = [frame[frame["source"] != "measured"].set_index(SAME)["value"] for frame in (rows, other)]
    apart = len(set(runs[0].items()) ^ set(runs[1].items()))
    print(f"values in one only of this and the undisturbed run: {apart}")
    return apart


def rows_of(folder: Path) -> pd.DataFrame:
    """All values of a run, with when they were stored."""
    try:
        with Study(folder) as study:
            return study.frame()
    except StudyError:
        # Killed before anything was written.
        return pd.DataFrame(columns=[*SAME, "value", "source", "created"])


def killed_after(command: list[str], seconds: float) -> float:
    """Runs a command in a process group of its own and kills that; how long it ran."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return time.monotonic() - start


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
