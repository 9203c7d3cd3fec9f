"""Whole searches of a large space: ways to find the archs of the highest acquisition, at equal calls of it.

    GENNAS_DATA=... python scripts/bench_guidance_search.py runs/guidance_search.jsonl --seeds 5

The space is ``mobilenet_v3`` at resolution 224; the truth is a model of all rows of its table, to which every
evaluation adds noise. All policies are the gennas search without a prior, but for how candidates are found. Runs that
the file has are not run again; at the end a table of all runs is printed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from guidance_models import Ensemble
from jsonargparse import auto_cli
from machine import machine

from gennas.arch import Arch
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Objective
from gennas.problem import Problem
from gennas.search.acquisition import Acquisition
from gennas.search.base import History
from gennas.search.mutation import crossed, mutated
from gennas.search.policies.fitness import best_rows
from gennas.search.policies.guided_bo import Candidates, GuidedBO
from gennas.spaces import PartsSpace, Resize, Stage
from gennas.spaces.mobilenet_v3.space import MobileNetV3
from gennas.tables import load_table
from gennas.tasks import get_task

#: Std of the noise of an evaluation, a fraction; acquisition values that a pool may ask for in an iteration.
NOISE, CALLS = 0.001, 2000
#: After how many evaluations the best is written down.
MARKS = (25, 50, 100)


class AtFullResolution(MobileNetV3):
    """``mobilenet_v3`` at the only resolution at which accuracies are known."""

    name = "mobilenet_v3_224"

    def body(self) -> Iterator[Stage | Resize]:
        return (part for part in super().body() if not isinstance(part, Resize))

    read = PartsSpace.read


@dataclass(frozen=True, eq=False)
class Pool(GuidedBO):
    """Candidates from :data:`CALLS` acquisition values, the same for all ways to choose them."""

    def candidates(self, acquisition: Acquisition, history: History, rng: np.random.Generator) -> Candidates:
        found = Candidates(history, self.is_feasible)
        self.fill(found, acquisition, history, rng)
        return found

    def fill(self, found: Candidates, acquisition: Acquisition, history: History, rng: np.random.Generator) -> None:
        raise NotImplementedError

    def best_so_far(self, history: History, count: int) -> list[Arch]:
        return [history.archs[row] for row in best_rows(self.problem, history, count)]

    def random(self, count: int, rng: np.random.Generator) -> list[Arch]:
        """Uniform draws within the bound, which hardly any uniform draw keeps by chance."""
        return [self.unguided[row] for row in rng.choice(len(self.unguided), count, replace=False)]


@dataclass(frozen=True, eq=False)
class Refilled(Pool):
    """Refills of mutants and draws: the gennas search, cut to the calls."""

    def fill(self, found: Candidates, acquisition: Acquisition, history: History, rng: np.random.Generator) -> None:
        parents = self.best_so_far(history, self.parents)
        mutants = [parents[row] for row in rng.integers(len(parents), size=CALLS // 8)]
        found.evaluate(mutated(self.problem.space, mutants, rng), acquisition.values_of, "mutated")
        found.evaluate(self.random(CALLS // 8, rng), acquisition.values_of, "generated")
        self.refill(found, acquisition, rng)

    def refill(self, found: Candidates, acquisition: Acquisition, rng: np.random.Generator) -> None:
        self._seek(acquisition.values_of, found, rng)


@dataclass(frozen=True, eq=False)
class Filtered(Pool):
    """Draws within the bound."""

    def fill(self, found: Candidates, acquisition: Acquisition, history: History, rng: np.random.Generator) -> None:
        found.evaluate(self.random(CALLS, rng), acquisition.values_of, "generated")


@dataclass(frozen=True, eq=False)
class Mutants(Pool):
    """Mutants of the best archs so far, of one or two decisions."""

    def fill(self, found: Candidates, acquisition: Acquisition, history: History, rng: np.random.Generator) -> None:
        parents = self.best_so_far(history, self.parents)
        archs: list[Arch] = []
        while len(archs) < CALLS:
            new = mutated(self.problem.space, [parents[r] for r in rng.integers(len(parents), size=400)], rng)
            archs += [arch for arch in [*new, *mutated(self.problem.space, new, rng)] if self.is_feasible(arch)]
        found.evaluate(archs[:CALLS], acquisition.values_of, "mutated")


@dataclass(frozen=True, eq=False)
class Evolved(Pool):
    """Evolution of 100 archs towards the acquisition, from the best archs so far: half mutants, half crossovers."""

    def fill(self, found: Candidates, acquisition: Acquisition, history: History, rng: np.random.Generator) -> None:
        space = self.problem.space
        people = [*self.best_so_far(history, self.parents), *self.random(100 - self.parents, rng)]
        values = acquisition.values_of(people).tolist()
        found.add(dict(zip(people, values, strict=True)), "mutated")
        calls = len(people)
        while calls < CALLS:
            order = np.argsort(values)[::-1][:25]
            people, values = [people[row] for row in order], [values[row] for row in order]
            children: list[Arch] = []
            while len(children) < 100:
                mother, father = (people[row] for row in rng.integers(25, size=2))
                child = mutated(space, [mother], rng)[0] if len(children) < 50 else crossed(space, mother, father, rng)
                children += [child] if child is not None and self.is_feasible(child) else []
            worth = acquisition.values_of(children).tolist()
            found.add(dict(zip(children, worth, strict=True)), "mutated")
            calls, people, values = calls + len(children), [*people, *children], [*values, *worth]


POOLS = {"refilled (gennas)": Refilled, "evolution": Evolved, "mutants": Mutants, "filtered draws": Filtered}


def main(
    out: Path,
    pools: tuple[str, ...] = tuple(POOLS),
    bound: float = 250.0,
    seeds: int = 5,
    first_seed: int = 0,
    batch: int = 5,
) -> None:
    """Runs what is missing and prints a table.

    Args:
        out: file of runs, a JSON object per line.
        pools: compared.
        bound: on the multiply-adds, in millions.
        seeds: runs of each pool.
        first_seed: of the first run.
        batch: evaluations between two fits.
    """
    space, task = AtFullResolution(), get_task("imagenet")
    problem = Problem(space, task, Objective.parse("accuracy@imagenet"), (Constraint.parse(f"macs_m <= {bound}"),))
    frame, original = load_table("mobilenet_v3").frame["accuracy@imagenet"].dropna(), MobileNetV3()
    archs = [space.arch(("input", *original.parse(key).ops[2:])) for key in frame.index]
    graph = GraphBatch.from_archs(archs, space.template)
    truth = Ensemble(graph, torch.from_numpy(frame.to_numpy(dtype=float, copy=True))[:, None], seed=7, epochs=80)
    out.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(row["pool"], row["seed"], row["bound"]) for row in known}
    for seed in range(first_seed, first_seed + seeds):
        for pool in pools:
            policy_class = POOLS[pool]
            if (pool, seed, bound) in done:
                continue
            start = time.perf_counter()
            # A quarter of the calls goes to mutants and draws.
            policy = policy_class(problem, sought=CALLS * 3 // 4)
            measured, exact, found = list[float](), list[float](), list[Arch]()
            for number in range(MARKS[-1] // batch):
                rng, nothing = np.random.default_rng([seed, number]), np.zeros(len(found), bool)
                macs = [space.costs(arch, task)["macs_m"] for arch in found]
                values = np.column_stack([np.array(measured).reshape(-1, 1), np.array(macs).reshape(-1, 1)])
                history = History(tuple(found), values, nothing, nothing, ("",) * len(found))
                new = [proposal.arch for proposal in policy.propose(batch, history, rng)]
                worth = truth(GraphBatch.from_archs(new, space.template))[:, 0].double().numpy()
                noise = np.random.default_rng([seed, number, 1]).standard_normal(len(new))
                found, exact, measured = [*found, *new], [*exact, *worth], [*measured, *(worth + NOISE * noise)]
            row = {
                "pool": pool,
                "seed": seed,
                "bound": bound,
                "selected": {mark: 100 * exact[int(np.argmax(measured[:mark]))] for mark in MARKS},
                "best": {mark: 100 * max(exact[:mark]) for mark in MARKS},
                "seconds": time.perf_counter() - start,
                "machine": machine(),
            }
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), file=sys.stderr, flush=True)
    print(table_of(out))


def table_of(runs: Path) -> str:
    """Means and stds over seeds, as Markdown."""
    rows = [json.loads(line) for line in runs.read_text().splitlines()]
    lines = [
        f"| macs_m <= | pool | seeds | {' | '.join(f'after {mark}' for mark in MARKS)} |",
        "| --- | --- | --- |" + " --- |" * len(MARKS),
    ]
    for (bound, pool), group in pd.DataFrame(rows).groupby(["bound", "pool"], sort=False):
        cells = []
        for mark in MARKS:
            values = np.array([selected[str(mark)] for selected in group["selected"]])
            cells.append(f"{values.mean():.3f} ± {values.std(ddof=1) if len(values) > 1 else 0:.3f}")
        lines.append(f"| {bound:g} | {pool} | {len(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    auto_cli(main, as_positional=True)
