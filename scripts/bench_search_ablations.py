"""What the choices of the gennas search are worth: each is made otherwise, all else the same.

    GENNAS_DATA=... python scripts/bench_search_ablations.py --task imagenet16-120 --seeds 30 --out runs/bench/ablations
    GENNAS_DATA=... python scripts/bench_search_ablations.py --table nasbench_graph --task cs --out runs/bench/ablations

Queries until the best-validation arch, and the regret after 50 and all queries. Repeating the command goes on where it
was stopped. Seeds are others than those of the benchmark, so that choosing by these numbers does not choose by the
reported ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli
from machine import machine

from gennas.benchmarks.benchmark import BenchmarkConfig
from gennas.benchmarks.runner import run_bench, version_stamp
from gennas.benchmarks.summary import curve_of

CHOICES: dict[str, dict[str, str]] = {
    "as it is": {},
    "archs filtered, not drawn by their worth": {"pool": "filtered"},
    "mutants only, no generator": {"pool": "mutated"},
    "the whole space looked at": {"pool": "everything"},
    "improvement of means (qLogNEI)": {"improve": "mean"},
    "Weisfeiler-Lehman kernel": {"view": "weisfeiler_lehman"},
    "strength 1": {"strength": "1"},
    "strength 4": {"strength": "4"},
    "no corrections": {"corrections": "0"},
    "5 random archs first": {"first": "5"},
    "20 random archs first": {"first": "20"},
}


def main(
    out: Path,
    table: str = "nasbench201",
    task: str = "imagenet16-120",
    seeds: int = 30,
    first_seed: int = 100,
    budget: int = 150,
    choices: list[str] | None = None,
) -> None:
    """Runs what is missing and prints the table.

    Args:
        out: folder for the runs.
        table: of the benchmark.
        task: of the table.
        seeds: how many runs of each.
        first_seed: the seed of the first.
        budget: queries of a run.
        choices: which of them; all by default.
    """
    print(f"{table}, {task}, batches of 5; {machine()}")
    print("| choice | seeds | queries, mean and standard error | not found | regret after 50, % | at the end, % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in choices or CHOICES:
        options = CHOICES[name]
        setting = BenchmarkConfig(table, task, "gennas", options, budget=budget)
        file = "-".join([table, task, *(f"{key}={value}" for key, value in options.items())])
        document = run_bench(
            setting,
            range(first_seed, first_seed + seeds),
            out / f"{file}.json",
            stamp={**version_stamp(), "machine": machine()},
            report=lambda done, note: print(f"{done}/{seeds} {note}", file=sys.stderr, flush=True),
        )
        found = [run["queries"] for run in document["runs"]]
        counted = np.array([budget if queries is None else queries for queries in found], dtype=float)
        regret = 100 * np.array([curve_of(run, "regret", budget) for run in document["runs"]]).mean(0)
        spread = f"{counted.mean():.1f} +- {counted.std(ddof=1) / len(counted) ** 0.5:.1f}"
        row = [name, str(len(found)), spread, str(found.count(None)), f"{regret[49]:.3f}", f"{regret[-1]:.3f}"]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
