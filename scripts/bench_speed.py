"""Whether a change makes gennas slower: guided sampling and an iteration of a search, two checkouts in turns.

    python scripts/bench_speed.py ../gennas-before --runs 20

Each run is a process of its own, old and new alternate, and the order within a pair alternates too, so that a machine
that gets slower or faster does so for both. Printed are medians with quartiles, in seconds, and the ratio of medians.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli
from machine import machine

#: Runs in both checkouts: names that changed since gennas 0.2 are looked up under both.
_TIMED = """
import json, time
import numpy as np, pandas as pd, torch
torch.set_num_threads(1)
try:
    from gennas.diffusion.guides.predicted import ObjectiveGuide, ScoreSource
    from gennas.checkpoint import Checkpoint
    generator, predictor = Checkpoint("nasbench201").generator(), Checkpoint("nasbench201").predictor
    from gennas.diffusion.sampler import SamplerConfig
    from gennas.problem import Problem
    from gennas.search.base import History
    from gennas.search.policies.guided_bo import GuidedBO
    how = {"sampling": SamplerConfig(particles=64)}
except ImportError:
    from gennas.diffusion.guidance import ObjectiveGuide, ScoreSource
    from gennas.checkpoint import find_checkpoint
    from gennas.diffusion.generator import load_generator
    from gennas.predictors.gnn import load_predictor
    folder = find_checkpoint("nasbench201")
    generator, predictor = load_generator(folder), load_predictor(folder)[0]
    from gennas.diffusion.sampler import Sampling
    from gennas.search.base import Problem, Seen as History
    from gennas.search.policy import GennasPolicy as GuidedBO
    how = {"how": Sampling(particles=64)}
from gennas.metrics import Metric, Objective
from gennas.spaces import get_space
from gennas.tables import load_table
from gennas.tasks import get_task

def source():
    return ScoreSource(predictor, {"accuracy@cifar10": ["accuracy@cifar10"]})

generator.sample(512, guides=[ObjectiveGuide(source(), Metric.parse("accuracy@cifar10"), 3.0)], seed=9, **how)
start = time.perf_counter()
guide = ObjectiveGuide(source(), Metric.parse("accuracy@cifar10"), 3.0)
keys = [arch.key for arch in generator.sample(4096, guides=[guide], seed=0, **how).archs]
guided = time.perf_counter() - start

space, task = get_space("nasbench_graph"), get_task("cora")
problem = Problem(space, task, Objective.parse("accuracy@cora"))
values = load_table("nasbench_graph").frame["accuracy@cora"].sample(60, random_state=0)
archs, none = tuple(space.parse(key) for key in values.index), np.zeros(60, dtype=bool)
history = History(archs, values.to_numpy()[:, None], none, none, ("random",) * 60)
policy = GuidedBO(problem)
policy.propose(5, history, np.random.default_rng(0))
start = time.perf_counter()
proposed = [one.arch.key for one in policy.propose(5, history, np.random.default_rng(1))]
iteration = time.perf_counter() - start
print(json.dumps({"guided": guided, "iteration": iteration, "archs": hash_of(keys + proposed)}))
"""
_HASH = """
from hashlib import sha256
def hash_of(keys):
    return sha256("".join(keys).encode()).hexdigest()[:12]
"""


def main(old: Path, new: Path = Path(), runs: int = 20) -> None:
    """Times both checkouts.

    Args:
        old: checkout to compare with.
        new: checkout in question.
        runs: processes per checkout.
    """
    print(f"{runs} runs of each checkout, in turns; {machine()}")
    times: dict[str, list[dict[str, float]]] = {"old": [], "new": []}
    folders = {"old": old.resolve(), "new": new.resolve()}
    archs: set[str] = set()
    for run in range(runs):
        for name in ("old", "new") if run % 2 else ("new", "old"):
            timed = _run(folders[name])
            archs.add(str(timed.pop("archs")))
            times[name].append(timed)
    print("| question | old, median [quartiles] s | new | new / old |")
    print("| --- | --- | --- | --- |")
    for question, words in (
        ("guided", "4,096 guided NAS-Bench-201 graphs"),
        ("iteration", "an iteration, 60 observed"),
    ):
        cells, medians = [], []
        for name in ("old", "new"):
            values = [one[question] for one in times[name]]
            lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75])
            medians.append(median)
            cells.append(f"{median:.3f} [{lower:.3f}, {upper:.3f}]")
        print(f"| {words} | {cells[0]} | {cells[1]} | {medians[1] / medians[0]:.3f} |")
    print(f"archs: {'the same in all runs' if len(archs) == 1 else f'{len(archs)} different results'}")


def _run(folder: Path) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _HASH + _TIMED]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    if done.returncode:
        raise SystemExit(f"{folder}: {done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    auto_cli(main)
