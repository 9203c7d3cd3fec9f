"""What guidance finds and filtering does not: of the archs of a space with the highest acquisition, those considered.

    GENNAS_DATA=... python scripts/bench_search_pools.py --seeds 3

In runs of the gennas search, after some queries, the acquisition function of all archs of a space is computed. Each way
to make a pool then considers its archs: guided by that function, filtered from unguided draws, or mutants alone.
Printed are means over runs and moments: how many archs were considered, how many of the best 60 were among them, in
what share of the moments the very best was, and by how many nats the best that was considered is below that one (the
acquisition is the logarithm of an expected improvement).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np
from jsonargparse import auto_cli
from machine import machine

from gennas.arch import Arch
from gennas.benchmarks.ablations import FilteredDraws, MutantsOnly
from gennas.benchmarks.benchmark import Benchmark, BenchmarkConfig
from gennas.benchmarks.simulation import simulate
from gennas.search.acquisition import Acquisition
from gennas.search.base import History
from gennas.search.policies.guided_bo import GuidedBO

TABLES = (("nasbench201", "imagenet16-120"), ("nasbench_graph", "cora"), ("nasbench101", "cifar10"))
#: How many of the best archs are looked for.
TOP = 60
#: Archs whose acquisition is computed at once.
AT_ONCE = 20_000


def main(seeds: int = 3, first_seed: int = 200, queries: tuple[int, ...] = (20, 50, 100), batch: int = 5) -> None:
    """Prints a row per table and pool.

    Args:
        seeds: runs per table.
        first_seed: the seed of the first.
        queries: moments of each run.
        batch: archs that are proposed at once in the runs.
    """
    print(f"{seeds} runs, after {', '.join(map(str, queries))} queries; {machine()}")
    print(f"| table | archs | pool | considered | of the best {TOP} | the best one | nats below it |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for table, task in TABLES:
        benchmark = Benchmark.of(BenchmarkConfig(table, task, "gennas"))
        space = benchmark.problem.space
        archs = [arch for arch in space.enumerate() if not space.is_constant(arch)]
        policies = {
            "guided": GuidedBO(benchmark.problem),
            "filtered": FilteredDraws(benchmark.problem),
            "mutated": MutantsOnly(benchmark.problem),
        }
        guided = policies["guided"]
        found: dict[str, list[list[float]]] = {pool: [] for pool in policies}
        for seed in range(first_seed, first_seed + seeds):
            for history in moments(benchmark, guided, queries, batch, seed):
                acquisition = guided.acquisition(history)
                assert acquisition is not None
                every = values_of_all(acquisition, archs, history)
                for pool, policy in policies.items():
                    rng = np.random.default_rng([seed, len(history.archs)])
                    candidates = policy.candidates(acquisition, history, rng).found
                    found[pool].append(compared(every, {arch.key: value for arch, (value, _) in candidates.items()}))
            print(f"{table} seed {seed}", file=sys.stderr, flush=True)
        for pool, rows in found.items():
            count, best, first, gap = np.mean(rows, axis=0)
            row = [table, f"{len(archs):,}", pool, f"{count:,.0f}", f"{best:.1f}", f"{first:.2f}", f"{gap:.3f}"]
            print("| " + " | ".join(row) + " |", flush=True)


def moments(benchmark: Benchmark, policy: GuidedBO, queries: Sequence[int], batch: int, seed: int) -> Iterator[History]:
    """What a run has seen after so many queries."""
    problem = benchmark.problem
    run = simulate(problem, policy, benchmark.values, budget=max(queries), batch=batch, seed=seed)
    values = run.values[[metric.name for metric in problem.metrics]].to_numpy(dtype=float)
    for count in queries:
        nothing = np.zeros(count, dtype=bool)
        yield History(run.archs[:count], values[:count], nothing, run.failed[:count], run.proposed_by[:count])


def values_of_all(acquisition: Acquisition, archs: Sequence[Arch], history: History) -> dict[str, float]:
    """The acquisition of every arch that was not evaluated, by key."""
    parts = [acquisition.values_of(archs[start : start + AT_ONCE]).numpy() for start in range(0, len(archs), AT_ONCE)]
    keys = (arch.key for arch in archs)
    return {
        key: value for key, value in zip(keys, np.concatenate(parts).tolist(), strict=True) if key not in history.keys
    }


def compared(every: dict[str, float], candidates: dict[str, float]) -> list[float]:
    """How many were considered, how many of the best among them, whether the first, and how much less the best is."""
    best = sorted(every, key=lambda key: -every[key])[:TOP]
    gap = every[best[0]] - max(candidates.values())
    return [len(candidates), sum(key in candidates for key in best), best[0] in candidates, gap]


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
