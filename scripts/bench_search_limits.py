"""Searches under a limit, and searches of which much fails: do they learn, and do they get away.

    GENNAS_DATA=... python scripts/bench_search_limits.py --question tables --out runs/limits
    GENNAS_DATA=... python scripts/bench_search_limits.py --question failures --out runs/limits
    GENNAS_DATA=... python scripts/bench_search_limits.py --question trainings --out runs/limits --seeds 3

``tables``: NAS-Bench-201 on cifar10 under limits on a device's latency that 10, 30 and 60 % of all archs keep.
Latencies are looked up first, and the accuracy only of what keeps the limit; a search ends as a real one does.

``failures``: the same table without a limit, where every arch above half of the median multiply-adds fails.

``trainings``: the second search command of docs/guides/searching.md with a tiny recipe, under limits on the latency
measured on this machine, which 10, 30 and 60 % of random archs kept before.

Every run is stored under ``--out`` as soon as it is done, and not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jsonargparse import auto_cli
from machine import machine

from gennas.benchmarks.benchmark import Benchmark, BenchmarkConfig
from gennas.benchmarks.simulation import simulate
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.table import TableEvaluator
from gennas.executors.inline import InlineExecutor
from gennas.files import write_json
from gennas.problem import Problem
from gennas.search.base import Policy
from gennas.search.loop import run
from gennas.search.mutation import cost_feasibility, random_archs
from gennas.search.policies.choice import PolicyChoice
from gennas.search.policies.registry import make_policy
from gennas.search.prior_mean import resolve_prior, with_prior
from gennas.search.run import search_archs
from gennas.search.settings import Measuring
from gennas.studies.study import Study
from gennas.tables import load_table
from gennas.training.recipe import Recipe

#: Shares of the archs that keep a limit.
SHARES = (0.1, 0.3, 0.6)
#: A search method, and what its prior is.
METHODS = (("random", "none"), ("gennas", "none"), ("gennas", "known"))
#: Archs that are measured to say which limit how many keep.
MEASURED = 40

Result = dict[str, Any]


class LookedUpTraining(TableEvaluator):
    """A table that stands for trainings: what it is not asked for is spared."""

    is_instant = False


def main(
    question: Literal["tables", "failures", "trainings"],
    out: Path,
    budget: int | None = None,
    seeds: int = 10,
    hardware: str = "pixel3",
    methods: str = "random:none,gennas:none,gennas:known",
) -> None:
    """Prints a row per limit and method.

    Args:
        question: what is asked.
        out: folder of the runs.
        budget: of a search; 50 on tables, 20 with trainings.
        seeds: from 0.
        hardware: whose latencies are limited on the table.
        methods: policies with their priors.
    """
    torch.set_num_threads(1)
    budget = budget or (20 if question == "trainings" else 50)
    chosen = [tuple(word.split(":")) for word in methods.split(",")]
    print(f"{question}: seeds 0 to {seeds - 1}, budget {budget}; {machine()}", flush=True)
    if question == "failures":
        rows_of_failures(out, budget, seeds, chosen)
    else:
        rows_of_limits(question, out, budget, seeds, hardware, chosen)


def rows_of_limits(
    question: str, out: Path, budget: int, seeds: int, hardware: str, methods: list[tuple[str, ...]]
) -> None:
    """How many of the budget were trained, and the best found, by limit and method."""
    head = ["limit", "kept by", "method", "trained within the limit, mean [least, most] of the budget"]
    head += ["seeds with at least half", "best accuracy, mean [least, most]", "seeds at least as accurate as random"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    search, where = (searched_table, hardware) if question == "tables" else (searched_here, "cpu")
    for share in SHARES:
        bound = table_bound(share, hardware) if question == "tables" else machine_bound(share, out)
        results: dict[tuple[str, ...], list[Result]] = {}
        for method, prior in methods:
            runs = []
            for seed in range(seeds):
                folder = out / f"{question}-{where}-{share}-{method}-{prior}-{budget}-{seed}"
                made = partial(search, bound, method, prior, budget, seed, folder)
                runs.append(kept(folder.with_name(f"{folder.name}.json"), made))
            results[method, prior] = runs
            of_random, own = results[methods[0]], results[method, prior]
            trained, best = (np.array([one[key] for one in own]) for key in ("trained", "best"))
            better = sum(one["best"] >= other["best"] for one, other in zip(own, of_random, strict=True))
            cells = [bound, f"{share:.0%}", f"{method} ({prior})"]
            cells += [f"{trained.mean():.1f} [{trained.min()}, {trained.max()}]"]
            cells += [f"{int((trained >= budget / 2).sum())} of {seeds}"]
            cells += [f"{best.mean():.4f} [{best.min():.4f}, {best.max():.4f}]", f"{better} of {seeds}"]
            print("| " + " | ".join(cells) + " |", flush=True)


def rows_of_failures(out: Path, budget: int, seeds: int, methods: list[tuple[str, ...]]) -> None:
    """How many evaluations failed, and the best found, by method."""
    head = ["method", "failures in the first half, mean [least, most]", "in the last half"]
    head += ["best accuracy, mean [least, most]", "seeds better than random"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    results: dict[tuple[str, ...], list[Result]] = {}
    for method, prior in methods:
        runs = []
        for seed in range(seeds):
            path = out / f"failures-{method}-{prior}-{budget}-{seed}.json"
            runs.append(kept(path, partial(failed_in_table, method, prior, budget, seed)))
        results[method, prior] = own = runs
        better = sum(one["best"] > other["best"] for one, other in zip(own, results[methods[0]], strict=True))
        cells = [f"{method} ({prior})"]
        for key, digits in (("first", 1), ("last", 1), ("best", 4)):
            values = [one[key] for one in own]
            cells.append(f"{np.mean(values):.{digits}f} [{round(min(values), 4)}, {round(max(values), 4)}]")
        print("| " + " | ".join([*cells, f"{better} of {seeds}"]) + " |", flush=True)


def kept(path: Path, made: Callable[[], Result]) -> Result:
    """What is stored, or else what is made and stored."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, made())
    return dict(json.loads(path.read_text()))


@cache
def benchmark() -> Benchmark:
    return Benchmark.of(BenchmarkConfig("nasbench201", "cifar10", "gennas"))


@cache
def policy_of(problem: Problem, method: str, prior: str) -> Policy:
    made = make_policy(method, problem)
    return (
        with_prior(made, resolve_prior("known", problem, table=load_table("nasbench201"))) if prior == "known" else made
    )


def table_bound(share: float, hardware: str) -> str:
    limit = load_table("nasbench201").column(f"latency_ms@{hardware}").quantile(share)
    return f"latency_ms@{hardware} <= {limit:.4g}"


@cache
def limited(bound: str) -> Problem:
    return Problem(benchmark().problem.space, benchmark().problem.task, "accuracy", [bound])


def searched_table(bound: str, method: str, prior: str, budget: int, seed: int, folder: Path) -> Result:
    problem, table = limited(bound), load_table("nasbench201")
    accuracy, latency = (metric.name for metric in problem.metrics)
    chain = [TableEvaluator(table, [latency]), LookedUpTraining(table, [accuracy])]
    with Study.in_memory() as study, InlineExecutor() as executor:
        history = run(
            problem, policy_of(problem, method, prior), chain, study, executor, budget=budget, batch=5, seed=seed
        )
    return outcome(problem.feasible(history.values), history.values[:, 0])


def failed_in_table(method: str, prior: str, budget: int, seed: int) -> Result:
    problem, values = benchmark().problem, benchmark().values
    costs = multiply_adds()
    limit = np.median(costs) / 2
    found = simulate(
        problem, policy_of(problem, method, prior), values[costs <= limit], budget=budget, batch=5, seed=seed
    )
    half, accuracies = budget // 2, found.values[problem.metrics[0].name]
    return {
        "first": int(found.failed[:half].sum()),
        "last": int(found.failed[half:].sum()),
        "best": float(accuracies.max()),
    }


@cache
def multiply_adds() -> np.ndarray:
    problem = benchmark().problem
    archs = (problem.space.parse(str(key)) for key in benchmark().values.index)
    return np.array([problem.space.costs(arch, problem.task)["macs_m"] for arch in archs])


def here(*bounds: str) -> Problem:
    where = ["params_m <= 0.5", *bounds]
    return Problem("nasbench201", "digits", "accuracy", where, skeleton="channels=4,cells=1")


def machine_bound(share: float, out: Path) -> str:
    """A latency that so many of some random archs keep on this machine."""
    latencies = kept(out / "latencies.json", measured_latencies)["latency_ms@cpu"]
    return f"latency_ms@cpu <= {np.quantile(latencies, share):.3g}"


def measured_latencies() -> Result:
    problem = here()
    archs = random_archs(problem.space, MEASURED, np.random.default_rng(0), is_feasible=cost_feasibility(problem))
    measure = LatencyEvaluator(problem.space)
    return {"latency_ms@cpu": [measure.evaluate(arch, task=problem.task)["latency_ms@cpu"] for arch in archs]}


def searched_here(bound: str, method: str, prior: str, budget: int, seed: int, folder: Path) -> Result:
    found = search_archs(
        here(bound),
        budget,
        policy=PolicyChoice(method, prior="known" if prior == "known" else "none"),
        evaluators=Measuring(recipe=replace(Recipe(), epochs=3)),
        study=folder,
        seed=seed,
    ).frame()
    accuracies = found.reindex(columns=["accuracy@digits"]).to_numpy(dtype=float)[:, 0]
    return outcome(np.isfinite(accuracies), accuracies)


def outcome(is_kept: np.ndarray, accuracies: np.ndarray) -> Result:
    trained = is_kept & np.isfinite(accuracies)
    best = float(accuracies[trained].max()) if trained.any() else 0.0
    return {"trained": int(trained.sum()), "best": best, "proposed": len(accuracies)}


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
