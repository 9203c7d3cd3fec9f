"""What the choices of the gennas search contribute: each is made otherwise, all else the same.

    GENNAS_DATA=... python scripts/bench_search_ablations.py --task imagenet16-120 --seeds 30 --out runs/bench/ablations
    GENNAS_DATA=... python scripts/bench_search_ablations.py --table nasbench_graph --task cs --out runs/bench/ablations

Queries until the best-validation arch, and the regret after 50 and all queries. Repeating the command resumes it. Seeds
are others than those of the benchmark, so that choosing by these numbers does not choose by the
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

_HERE = "gennas.benchmarks.ablations"
#: Choice -> search method, and its options.
CHOICES: dict[str, tuple[str, dict[str, str]]] = {
    "as it is": ("gennas", {}),
    "archs filtered, not drawn by their acquisition": (f"{_HERE}:FilteredDraws", {}),
    "mutants only, no generator": (f"{_HERE}:MutantsOnly", {}),
    "the whole space considered": (f"{_HERE}:WholeSpace", {}),
    "improvement of means (qLogNEI)": (f"{_HERE}:ImprovementOfMeans", {}),
    "Weisfeiler-Lehman kernel": (f"{_HERE}:WeisfeilerLehman", {}),
    "1,000 archs sought": ("gennas", {"sought": "1000"}),
    "5 random archs first": ("gennas", {"first": "5"}),
    "20 random archs first": ("gennas", {"first": "20"}),
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
        method, options = CHOICES[name]
        setting = BenchmarkConfig(table, task, method, options, budget=budget)
        file = "-".join([table, task, method.rpartition(":")[2], *(f"{key}={value}" for key, value in options.items())])
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
        mean = f"{counted.mean():.1f} +- {counted.std(ddof=1) / len(counted) ** 0.5:.1f}"
        after = f"{regret[min(50, budget) - 1]:.3f}"
        row = [name, str(len(found)), mean, str(found.count(None)), after, f"{regret[-1]:.3f}"]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
