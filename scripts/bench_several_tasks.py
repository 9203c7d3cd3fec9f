"""One search for three tasks against three searches for one each, at equal numbers of queries, on a table.

    GENNAS_DATA=... python scripts/bench_several_tasks.py --policies random,nsga2 --seeds 20
    GENNAS_DATA=... python scripts/bench_several_tasks.py --table transnas_micro \\
        --tasks class_object,jigsaw,segmentsemantic --policies random,nsga2

A query is the accuracy of one arch on one task. One search for all evaluates each of its archs on all three tasks, so
it sees as many archs as each of the three searches alone. Printed are means over seeds with standard errors: by how
much the best accuracy found for each task is below the best of the table, in percentage points; and the mean over the
tasks of the rank, among all archs of the table, of the one arch that would be used for all. One search names that arch
itself. After three searches it is the best of their three winners, which takes six more queries: each winner on the two
tasks that it was not searched for.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from jsonargparse import auto_cli
from machine import machine

from gennas.benchmarks.simulation import Run, simulate
from gennas.pareto import mean_ranks
from gennas.problem import Problem
from gennas.search.policies.registry import make_policy
from gennas.tables import load_table


def main(
    table: str = "nasbench201",
    tasks: str = "cifar10,cifar100,imagenet16-120",
    policies: str = "random,nsga2,gennas",
    seeds: int = 20,
    budget: int = 50,
    batch: int = 5,
    first_seed: int = 0,
    sought: int = 300,
) -> None:
    """Prints two rows per policy.

    Args:
        table: its name; of one that has a part of its space only, nothing else is proposed.
        tasks: of the table, separated by commas.
        policies: names, separated by commas.
        seeds: runs of each.
        budget: archs of a run.
        batch: archs that are proposed at a time.
        first_seed: the others follow.
        sought: archs that gennas considers beside its population.
    """
    known, names = load_table(table), tasks.split(",")
    metrics = [f"accuracy@{task}" for task in names]
    values = known.columns(metrics).dropna()
    ranks = pd.Series(mean_ranks(values.to_numpy()), index=values.index)
    runs_are = f"{budget} a run, {batch} at a time, {seeds} seeds from {first_seed}"
    print(f"{table}, {len(values):,} archs, {runs_are}; {machine()}")
    print(f"the best arch for all has mean rank {ranks.min():.1f}")
    print("| policy | searches | queries | " + " | ".join(names) + " | mean rank for all | s a run |")
    print("| --- | --- | --- | " + "--- | " * (len(names) + 1) + "--- |")
    problems_of = {"one": [Problem(known.space, names)], "three": [Problem(known.space, task) for task in names]}
    if len(values) < (problems_of["one"][0].space.size or 0):
        problems_of = {count: [known.within(one) for one in problems] for count, problems in problems_of.items()}
    for name in policies.split(","):
        options = {"sought": str(sought)} if name == "gennas" else {}
        found: dict[str, list[list[float]]] = {"one": [], "three": []}
        for seed in range(first_seed, first_seed + seeds):
            for searches, problems in problems_of.items():
                start = time.perf_counter()
                runs = []
                for place, problem in enumerate(problems):
                    policy, number = make_policy(name, problem, options), len(names) * seed + place
                    runs.append(simulate(problem, policy, values, budget=budget, batch=batch, seed=number))
                own = runs if len(runs) > 1 else runs * len(names)
                best = [float(run.values[metric].max()) for run, metric in zip(own, metrics, strict=True)]
                regrets = [100 * (float(values[metric].max()) - one) for metric, one in zip(metrics, best, strict=True)]
                seconds = (time.perf_counter() - start) / len(runs)
                found[searches].append([*regrets, chosen_rank(runs, metrics, ranks), seconds])
            print(f"{name} seed {seed}", file=sys.stderr, flush=True)
        for searches, rows in found.items():
            queries = budget * len(names) + (len(names) * (len(names) - 1) if searches == "three" else 0)
            print(f"| {name} | {searches} | {queries} | {' | '.join(told(rows))} |", flush=True)


def chosen_rank(runs: list[Run], metrics: list[str], ranks: pd.Series) -> float:
    """The true mean rank of the arch that would be used for all tasks."""
    if len(runs) == 1:
        seen = runs[0].values[metrics].to_numpy(dtype=float)
        return float(ranks[runs[0].keys[int(mean_ranks(seen).argmin())]])
    winners = [str(run.values[metric].idxmax()) for run, metric in zip(runs, metrics, strict=True)]
    return float(min(ranks[key] for key in winners))


def told(rows: list[list[float]]) -> list[str]:
    """Means with standard errors; of the seconds the mean alone."""
    numbers = np.array(rows)
    errors = numbers.std(axis=0, ddof=1) / np.sqrt(len(numbers))
    parts = [f"{mean:.2f} ± {error:.2f}" for mean, error in zip(numbers.mean(axis=0), errors, strict=True)]
    parts[-2] = f"{numbers[:, -2].mean():,.0f} ± {errors[-2]:,.0f}"
    return [*parts[:-1], f"{numbers[:, -1].mean():.1f}"]


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
