"""What is gained where choices are numbers or stand in a row, on tables of our own making and measured ones.

    GENNAS_DATA=... python scripts/bench_values.py rank --tables chain --tables widths
    GENNAS_DATA=... python scripts/bench_values.py search --table chain --seeds 30

The tables are those of `bench_values_tables.py`: an 8-layer chain with three choices a layer and five widths, each with
random truths, others than those that features and kernels were chosen by; and measured ones.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from bench_predictors_data import bench_of, drawn, over_seeds, tau
from bench_values_tables import (
    ValueTable,
    chain_table,
    fbnet_table,
    once_for_all_table,
    vit_table,
    width_table,
)
from botorch.models import SingleTaskGP
from botorch.models.kernels.categorical import CategoricalKernel
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, ScaleKernel
from jsonargparse import auto_cli
from machine import machine

from gennas.arch import Arch
from gennas.benchmarks.simulation import simulate
from gennas.predictors.features import GraphFeatures
from gennas.predictors.gaussian_process import fitted
from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.slot_features import SlotColumns, SlotFeatures
from gennas.predictors.teacher import STEPS, fit_teacher
from gennas.problem import Problem
from gennas.search.base import History, Policy, Proposal
from gennas.search.policies.gaussian_process import NoisyImprovement
from gennas.search.policies.registry import POLICIES, make_policy
from gennas.spaces import SPACES, Space
from gennas.tasks import get_task

#: Random truths of the tables of our own making; the first ones were seen when the code was written, these were not.
FUNCTIONS, FIRST_FUNCTION = 5, 100
TABLES: dict[str, Callable[[], ValueTable]] = {
    "chain": lambda: chain_table(range(FIRST_FUNCTION, FIRST_FUNCTION + FUNCTIONS)),
    "widths": lambda: width_table(range(FIRST_FUNCTION, FIRST_FUNCTION + FUNCTIONS)),
    "once_for_all": once_for_all_table,
    "fbnet": fbnet_table,
    "vit": vit_table,
    "nasbench201": lambda: _benchmark("nasbench201"),
    "transnas101_micro": lambda: _benchmark("transnas101_micro"),
}
#: Methods that gennas is held against: a Gaussian process on names, and one on numbers.
PLAIN = ("gp_hamming", "gp_numeric")
#: Archs of a table that rank correlations are told of.
TESTED = 1500


def _benchmark(name: str) -> ValueTable:
    bench = bench_of(name)
    return ValueTable(
        bench.space, bench.archs, {str(column): bench.values[column].to_numpy() for column in bench.values}
    )


@dataclass(frozen=True)
class Described:
    """Some archs of a table, as each model sees them."""

    table: ValueTable
    rows: np.ndarray

    @cached_property
    def archs(self) -> list[Arch]:
        return [self.table.archs[row] for row in self.rows]

    @cached_property
    def graph(self) -> tuple[np.ndarray, int]:
        """Features of whole graphs, and how many of them are the simple ones."""
        features = GraphFeatures(self.table.space)
        return features.of(self.archs, get_task("cifar10")), features.simple

    @cached_property
    def slots(self) -> SlotColumns:
        """What each slot holds."""
        return SlotFeatures(self.table.space).of(self.archs)

    @cached_property
    def operations(self) -> np.ndarray:
        """``(N, free slots)`` which operation each slot has."""
        template = self.table.space.template
        return self.table.space.arrays(self.archs)[0][:, list(template.free_slots)].astype(float)

    @cached_property
    def numbers(self) -> np.ndarray:
        """See :func:`numbers_of`."""
        return numbers_of(self.table.space, self.archs)


def numbers_of(space: Space, archs: list[Arch]) -> np.ndarray:
    """``(N, free slots)`` the numbers of the operations, from 0 to 1, and -0.5 for what is none; the places of the
    operations in the vocabulary, from 0 to 1, in a space without numbers."""
    template, slots = space.template, list(space.template.free_slots)
    ops = space.arrays(archs)[0][:, slots]
    first, last = template.allowed[slots].argmax(1), template.allowed[slots, ::-1].argmax(1)
    places = (ops - first) / (len(template.vocabulary) - 1 - last - first)
    values = template.scaled_values[slots, ops]
    return np.where(np.isnan(values), places if template.values is None else -0.5, values)


def _hamming(described: Described, rows: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """A Gaussian process on which operations differ, each slot with its own length scale, as BoTorch has it."""
    inputs = described.operations
    bound = GreaterThan(1e-6)
    return _plain(
        inputs, rows, values, ScaleKernel(CategoricalKernel(ard_num_dims=inputs.shape[1], lengthscale_constraint=bound))
    )


def _numeric(described: Described, rows: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """BoTorch's Gaussian process with its default kernel, on the numbers."""
    inputs = torch.from_numpy(described.numbers)
    model = SingleTaskGP(inputs[rows], torch.zeros(len(rows), 1, dtype=torch.double), outcome_transform=None)
    return _plain(described.numbers, rows, values, model.covar_module)


def _plain(inputs: np.ndarray, rows: np.ndarray, values: np.ndarray, kernel: Kernel) -> np.ndarray:
    points = torch.from_numpy(inputs)
    process = fitted(points[rows], torch.from_numpy(normal_scores(values)), kernel, steps=STEPS)
    return process.mean(points).numpy()


def _without_slots(described: Described, rows: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """The few-label model as it was: features of whole graphs alone."""
    features, simple = described.graph
    return fit_teacher(features, rows, values, num_simple=simple, seed=seed).mean


def _with_slots(described: Described, rows: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """The few-label model."""
    features, simple = described.graph
    return fit_teacher(features, rows, values, num_simple=simple, seed=seed, slots=described.slots).mean


MODELS = {
    "graph features alone": _without_slots,
    "Hamming": _hamming,
    "numeric": _numeric,
    "few-label model": _with_slots,
}


def rank(
    tables: Sequence[str] = tuple(TABLES), labels: Sequence[int] = (50, 100, 200), seeds: int = 10
) -> dict[str, Any]:
    """Kendall tau on the archs that are not labelled, mean over the metrics of a table for each seed.

    `difference` is that of the few-label model from the better of the two plain processes, seed by seed.

    Args:
        tables: of which.
        labels: how many archs are labelled.
        seeds: of the draws of these, from 0.
    """
    results: dict[str, Any] = {}
    for name in tables:
        table = TABLES[name]()
        kept = np.random.default_rng(0).permutation(len(table.archs))[: TESTED + max(labels)]
        described = Described(table, kept)
        for count in labels:
            found: dict[str, list[float]] = {model: [] for model in MODELS}
            for seed in range(seeds):
                rows, others = drawn(count, len(kept), seed)
                taus: dict[str, list[float]] = {model: [] for model in MODELS}
                for truth in table.metrics.values():
                    values = truth[kept]
                    for model, fit in MODELS.items():
                        taus[model].append(tau(values[others], fit(described, rows, values[rows], seed)[others]))
                for model, of in taus.items():
                    found[model].append(float(np.mean(of)))
            better = max(("Hamming", "numeric"), key=lambda model: np.mean(found[model]))
            difference = difference_of(found, "few-label model", better)
            results.setdefault(name, {})[str(count)] = {
                **{model: over_seeds(of) for model, of in found.items()},
                "difference": difference,
            }
            means = ", ".join(f"{model} {np.mean(of):.3f}" for model, of in found.items())
            _tell(f"{name}, {count} labels: {means}; {difference['mean']:+.3f} +- {difference['standard error']}")
    return {"tested_at_most": TESTED, "functions": FUNCTIONS, "tables": results}


def difference_of(found: Mapping[str, Sequence[float]], one: str, other: str) -> dict[str, Any]:
    """What one has more than the other, seed by seed, and the standard error of its mean."""
    differences = np.array(found[one]) - np.array(found[other])
    error = round(float(differences.std(ddof=1) / len(differences) ** 0.5), 4) if len(differences) > 1 else None
    return {"of": one, "from": other, **over_seeds(differences), "standard error": error}


@dataclass(frozen=True, eq=False)
class GpNumeric(NoisyImprovement):
    """The numbers of the operations, or their places where they have none, with BoTorch's default kernel."""

    name = "gp_numeric"

    def points(self, archs: list[Arch]) -> np.ndarray:
        return numbers_of(self.problem.space, archs)

    def kernel(self) -> None:
        return None


POLICIES.register("gp_numeric")(GpNumeric)


@dataclass(frozen=True, eq=False)
class UntilFound(Policy):
    """A policy that has no more to propose once an arch of some keys was proposed."""

    name = "until_found"
    problem: Problem
    policy: Policy
    good: frozenset[str]

    def propose(self, q: int, history: History, rng: np.random.Generator) -> list[Proposal]:
        return [] if self.good & history.keys else self.policy.propose(q, history, rng)


def search(
    table: Literal["chain", "widths"] = "chain",
    methods: Sequence[str] = ("gennas", "gp_hamming", "gp_numeric", "gp", "random"),
    seeds: int = 30,
    budget: int = 60,
    batch: int = 5,
    best: int = 5,
) -> dict[str, Any]:
    """Queries until one of the best archs of a table is found; seed by seed another of its random truths.

    `difference` is that of gennas from the better of the two plain processes, seed by seed, where all have run.

    Args:
        table: which.
        methods: of `gennas list methods`; without a generator, gennas draws uniformly.
        seeds: runs of each.
        budget: of a run; what it does not find counts as this.
        batch: archs a proposal.
        best: how many of the archs are good enough.
    """
    known = TABLES[table]()
    space = type(known.space)
    SPACES.register(space.name)(space)
    keys = pd.Index([arch.key for arch in known.archs], name="key")
    truths = list(known.metrics.values())
    queries: dict[str, list[float]] = {method: [] for method in methods}
    for seed in range(seeds):
        truth = truths[seed % len(truths)]
        frame = pd.DataFrame({"accuracy@cifar10": truth}, index=keys)
        good = {keys[row] for row in np.argsort(-truth)[:best]}
        for method in methods:
            problem = Problem(space.name, "cifar10", "accuracy")
            policy = UntilFound(problem, make_policy(method, problem), frozenset(good))
            run = simulate(problem, policy, frame, budget=budget, batch=batch, seed=seed)
            queries[method].append(next((at + 1 for at, key in enumerate(run.keys) if key in good), budget))
        _tell(f"seed {seed}: " + ", ".join(f"{method} {np.mean(of):.1f}" for method, of in queries.items()))
    answer = {
        "table": table,
        "budget": budget,
        "batch": batch,
        "best": best,
        "queries": {m: over_seeds(q) for m, q in queries.items()},
    }
    if {"gennas", *PLAIN} <= set(methods):
        better = min(PLAIN, key=lambda method: np.mean(queries[method]))
        answer["difference"] = difference_of(queries, "gennas", better)
    return answer


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start = time.monotonic()
    answer = auto_cli([rank, search])
    print(json.dumps({**answer, "seconds": round(time.monotonic() - start), "machine": machine()}, indent=2))
