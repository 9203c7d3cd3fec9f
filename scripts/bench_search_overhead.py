"""What an iteration of the gennas search costs beside its evaluations.

    GENNAS_DATA=... python scripts/bench_search_overhead.py --observations 1000 --batch 5 --repeats 5

For each table and number of objectives: random archs of the table are observed, and the next batch is proposed, several
times with other random numbers. Seconds of wall time and of processor time, median and highest, and how many archs were
considered. The first proposal, which loads and compiles, has its own column; the last is the most memory that the
process has held so far.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from jsonargparse import auto_cli
from machine import machine

from gennas.benchmarks.benchmark import Benchmark, BenchmarkConfig
from gennas.search.base import History
from gennas.search.policies.guided_bo import GuidedBO

ASKED = (
    ("nasbench201", "cifar10", "accuracy", None),
    ("nasbench201", "cifar10", "accuracy, -latency_ms", "raspi4"),
    ("nasbench101", "cifar10", "accuracy", None),
    ("nasbench_graph", "cora", "accuracy", None),
)


def main(observations: int = 200, batch: int = 5, repeats: int = 5, seed: int = 0) -> None:
    """Prints a row per table and objective.

    Args:
        observations: archs that were evaluated.
        batch: archs that are proposed.
        repeats: proposals that are timed, after a first one.
        seed: of everything.
    """
    print(f"{observations} observations, batches of {batch}; {machine()}")
    columns = ["table", "objective", "considered", "wall s, median", "highest", "processor s, median", "first, wall s"]
    print("| " + " | ".join([*columns, "memory, GB"]) + " |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for table, task, objective, hardware in ASKED:
        benchmark = Benchmark.of(BenchmarkConfig(table, task, "gennas", objective=objective, hardware=hardware))
        history = observed(benchmark, observations, seed)
        policy = GuidedBO(benchmark.problem)
        wall, processor = [], []
        for repeat in range(repeats + 1):
            rng = np.random.default_rng([seed, repeat])
            start = time.perf_counter(), time.process_time()
            policy.propose(batch, history, rng)
            wall.append(time.perf_counter() - start[0])
            processor.append(time.process_time() - start[1])
        row = [table, objective, str(candidates(policy, history, seed))]
        row += [f"{np.median(wall[1:]):.2f}", f"{max(wall[1:]):.2f}", f"{np.median(processor[1:]):.2f}"]
        row += [f"{wall[0]:.2f}", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f}"]
        print("| " + " | ".join(row) + " |", flush=True)


def observed(benchmark: Benchmark, count: int, seed: int) -> History:
    """Random archs of a table, as if a search had evaluated them."""
    problem = benchmark.problem
    names = [metric.name for metric in problem.metrics]
    rows = benchmark.values[names].dropna().sample(count, random_state=seed)
    nothing = np.zeros(count, dtype=bool)
    archs = tuple(problem.space.parse(str(key)) for key in rows.index)
    return History(archs, rows.to_numpy(dtype=float), nothing, nothing, ("random",) * count)


def candidates(policy: GuidedBO, history: History, seed: int) -> int:
    """How many archs a proposal chooses from."""
    acquisition = policy.acquisition(history)
    assert acquisition is not None
    return len(policy.candidates(acquisition, history, np.random.default_rng(seed)).found)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
