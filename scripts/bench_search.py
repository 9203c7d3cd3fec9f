"""One search method on one table over seeds, as one JSON document with per-seed curves and a summary.

    GENNAS_DATA=... python scripts/bench_search.py --table nasbench201 --task cifar10 --method regularised_evolution \
        --prior none --seeds 30 --budget 150 --batch 5 --out runs/bench/x.json
    GENNAS_DATA=... python scripts/bench_search.py --method nsga2 --objective "accuracy, -latency_ms" \
        --hardware pixel3 --budget 500 --out runs/bench/y.json

Repeating the command goes on where it was stopped: seeds that the file has are not run again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import auto_cli
from machine import machine

from gennas.benchmarks.benchmark import BenchmarkConfig
from gennas.benchmarks.runner import run_bench, version_stamp
from gennas.errors import GennasError, InvalidInputError
from gennas.search.policies.registry import POLICIES, parse_options


def main(
    out: Path,
    table: str = "nasbench201",
    task: str = "cifar10",
    method: str = "random",
    prior: str = "none",
    options: str = "",
    objective: str = "accuracy",
    hardware: str | None = None,
    where: list[str] | None = None,
    seeds: int = 30,
    first_seed: int = 0,
    budget: int = 150,
    batch: int = 5,
    processes: int = 1,
    within_table: bool = False,
) -> None:
    """Runs what `out` lacks.

    Args:
        out: JSON file, written after every seed.
        table: what is searched; on nasbench101 the objective is the table's single-repeat test accuracy.
        task: one that the table knows.
        method: gennas, or a baseline.
        prior: what is known before, handed to a method that has such an option; none for all others.
        options: of the method, as "name=value,name=value".
        objective: metrics, e.g. "accuracy, -latency_ms".
        hardware: whose latencies count.
        where: bounds, e.g. ["latency_ms <= 10"].
        seeds: how many runs.
        first_seed: the seed of the first.
        budget: queries of a run.
        batch: archs per iteration.
        processes: runs at once.
        within_table: whether none but the archs of the table are proposed.
    """
    try:
        read = parse_options(options)
        if POLICIES.get(method).accepts_prior:
            read = {"prior": prior, **read}
        elif prior != "none":
            raise InvalidInputError(f"search method {method!r} knows no prior; leave --prior out.")
        bounds = tuple(where or ())
        setting = BenchmarkConfig(
            table, task, method, read, objective, hardware, bounds, budget, batch, within_table=within_table
        )
        document = run_bench(
            setting,
            range(first_seed, first_seed + seeds),
            out,
            processes=processes,
            stamp={**version_stamp(), "machine": machine()},
            report=lambda done, note: print(f"{done}/{seeds} {note}", file=sys.stderr, flush=True),
        )
    except GennasError as error:
        sys.exit(f"error: {error}")
    summary = document["summary"]
    for name, told in {**summary, **summary["after"].popitem()[1]}.items():
        if name != "after":
            print(f"{name}: {told}")
    print(f"wrote {out}")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
