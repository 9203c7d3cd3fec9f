"""Tasks that are unknown but for a few evaluations, the others of a set known: what predicts them best.

Each task of a set is left out in turn. Hyperparameters are learnt from the other tasks alone, each left out of the
rest; all methods see the same random evaluations.

    python scripts/bench_new_tasks.py run --out runs/new_tasks
    python scripts/bench_new_tasks.py page --runs runs/new_tasks
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, LinearKernel
from jsonargparse import CLI
from machine import machine
from new_task_sets import SETS, TaskSet
from scipy.stats import kendalltau, rankdata, t

from gennas.files import write_text
from gennas.predictors.bayesian_regression import fit_transfer
from gennas.predictors.gaussian_process import SMALLEST, Process, SlotKernel, fitted, log_normal, scaled
from gennas.predictors.new_task import NewTask, TaskPrior
from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.task_kernel import label_scores, shared_scores

#: Archs by which a kernel of archs is fitted to a known task, those by which the task is smoothed, and steps.
FITTED, SMOOTHED, STEPS = 200, 1000, 40
#: Of the best predicted archs, how many are looked at.
BEST = 20
#: Mode of the prior of a known task's variance that a term of its kernel explains.
ARCH_MODE = 0.5
METHODS = {
    "mean_rank": "mean rank of the known tasks",
    "archs": "arch kernel alone",
    "training_free": "training-free scores",
    "transfer": "linear regression on known tasks and choices",
    "task_kernel": "task kernel",
}


def run(
    sets: tuple[str, ...] = tuple(SETS),
    evaluations: tuple[int, ...] = (0, 5, 10, 30),
    seeds: int = 10,
    out: Path = Path("runs/new_tasks"),
) -> None:
    """Leaves out each task of each set; a set whose result is there is skipped.

    Args:
        sets: of tasks.
        evaluations: of the left-out task.
        seeds: of their draws, from 0.
        out: folder for a JSON file per set.
    """
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for name in sets:
        if (out / f"{name}.json").exists():
            continue
        began, tasks = time.monotonic(), SETS[name]().part()
        rows = list(_of_set(name, tasks, evaluations, seeds))
        facts = {"archs": len(tasks.values), "tasks": list(map(str, tasks.values)), "ceiling": _ceilings(tasks)}
        document = {"set": name, **facts, "seeds": seeds, "seconds": time.monotonic() - began, "machine": machine()}
        write_text(out / f"{name}.json", json.dumps({**document, "rows": rows}))


def _of_set(name: str, tasks: TaskSet, evaluations: Sequence[int], seeds: int) -> Any:
    inputs, places = tasks.one_hot()
    values = tasks.values.to_numpy(float)
    scores = np.column_stack([normal_scores(column) for column in values.T])
    alone = [_known_task(inputs, places, column) for column in scores.T]
    smooth = np.column_stack([process.mean(torch.from_numpy(inputs)).numpy() for process in alone])
    for task in range(values.shape[1]):
        others = [other for other in range(values.shape[1]) if other != task]
        archs = _kernel(places)
        archs.load_state_dict(_mean_state([alone[other].model.covar_module.state_dict() for other in others]))
        noise = float(np.exp(np.mean([np.log(alone[other].noise) for other in others])))
        known = shared_scores(scores[:, others], smooth[:, others])
        prior = TaskPrior.learnt(archs, inputs, known, values[:, others])
        new, mean_rank = NewTask(archs, inputs, known, prior=prior), rankdata(values[:, others], axis=0).mean(axis=1)
        free = _training_free(tasks, others, task)
        for seed in range(seeds):
            order = np.random.default_rng([seed, task]).permutation(len(values))
            for count in evaluations:
                if seed and not count:
                    continue
                rows = order[:count]
                told = {"mean_rank": mean_rank, "task_kernel": new.expected()}
                if free is not None:
                    told["training_free"] = free
                if count:
                    told["task_kernel"] = new.fit(rows, values[rows, task]).mean(new.points).numpy()
                    told["archs"] = _archs_alone(archs, noise, inputs, rows, values[rows, task])
                    told["transfer"] = _transfer(known, inputs, rows, values[rows, task])
                for method, predicted in told.items():
                    tau, top = _quality(predicted, values[:, task], rows)
                    key = {"task": str(tasks.values.columns[task]), "seed": seed, "evaluations": count}
                    yield {**key, "method": method, "tau": tau, "top": top}
        print(f"{name}: {tasks.values.columns[task]} done", flush=True)


class _Additive(LinearKernel):
    """A sum over places, each with a variance of its own.

    Args:
        places: of each column, counted from 0.
    """

    def __init__(self, places: Sequence[int]) -> None:
        count = max(places) + 1
        prior = log_normal(ARCH_MODE / count, 1.5)
        super().__init__(
            ard_num_dims=count,
            active_dims=list(range(len(places))),
            variance_prior=prior,
            variance_constraint=GreaterThan(SMALLEST),
        )
        # The number of variances is not that of columns, which GPyTorch would check.
        self.ard_num_dims = None
        self.places = list(places)
        self.initialize(variance=ARCH_MODE / count)

    def forward(self, x1: torch.Tensor, x2: torch.Tensor, diag: bool = False, **params: bool) -> torch.Tensor:
        scaled_up = x1 * self.variance[..., self.places]
        return (scaled_up * x2).sum(-1) if diag else scaled_up @ x2.transpose(-1, -2)


def _kernel(places: Sequence[int]) -> Kernel:
    """Of archs by their choices: a sum over places, and all places together."""
    together = SlotKernel(range(len(places)), places)
    return scaled(together, log_normal(ARCH_MODE, 1.0)) + _Additive(places)


def _known_task(inputs: np.ndarray, places: Sequence[int], scores: np.ndarray) -> Process:
    """A model of archs, fitted to one task alone."""
    order = np.random.default_rng(0).permutation(len(inputs))
    points, targets = torch.from_numpy(inputs), torch.from_numpy(scores)
    few, many = order[:FITTED], order[:SMOOTHED]
    process = fitted(points[few], targets[few], _kernel(places), steps=STEPS)
    return Process(process.model, points[many], targets[many])


def _mean_state(states: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Of kernels of the same kind: parameters are logarithms, nearly, and buffers are equal."""
    means = {name: torch.stack([state[name].double() for state in states]).mean(0) for name in states[0]}
    return {name: mean.to(states[0][name].dtype) for name, mean in means.items()}


@torch.no_grad()
def _archs_alone(kernel: Any, noise: float, inputs: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    points = torch.from_numpy(inputs)
    cross = kernel(points, points[rows]).to_dense().numpy()
    solved: np.ndarray = np.linalg.solve(cross[rows] + noise * np.eye(len(rows)) + 0.5, label_scores(values))
    return cross @ solved


def _transfer(known: np.ndarray, inputs: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What gennas 0.2 made of evaluations: a linear regression around the mean of the known tasks."""
    basis = np.hstack([known / known.std(axis=0), 0.35 * inputs / inputs.std(axis=0)])
    tasks = known.shape[1]
    prior = np.repeat([1 / tasks, 0.0], [tasks, inputs.shape[1]])
    if np.ptp(values[: len(rows)]) == 0:
        return basis @ prior
    return fit_transfer(basis[rows], normal_scores(values), prior).mean(basis)


def _training_free(tasks: TaskSet, others: Sequence[int], task: int) -> np.ndarray | None:
    """The training-free score that ranks the known tasks best, on the left-out one."""
    if not tasks.scores:
        return None
    names = [str(tasks.values.columns[other]) for other in others]
    taus = {
        score: np.mean(
            [kendalltau(tasks.scores[name][score], tasks.values[name], nan_policy="omit")[0] for name in names]
        )
        for score in tasks.scores[names[0]]
    }
    score = max(taus, key=lambda one: -np.inf if np.isnan(taus[one]) else taus[one])
    return tasks.scores[str(tasks.values.columns[task])][score].to_numpy(float)


def _quality(predicted: np.ndarray, truth: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Kendall tau on archs that are not evaluated, and the mean share of archs that the best predicted of them beat."""
    rest = np.setdiff1d(np.arange(len(truth)), rows)
    rank = (rankdata(truth) - 1) / (len(truth) - 1)
    best = rest[np.argsort(-predicted[rest], kind="stable")[:BEST]]
    tau = float(kendalltau(predicted[rest], truth[rest]).statistic)
    return 0.0 if np.isnan(tau) else tau, float(rank[best].mean())


def _ceilings(tasks: TaskSet) -> dict[str, float]:
    """For each task Kendall tau between the values and the same with the noise of one more seed."""
    if tasks.noise is None:
        return {}
    rng, found = np.random.default_rng(0), {}
    for task in tasks.values:
        truth, noise = tasks.values[task].to_numpy(float), tasks.noise[task].fillna(0).to_numpy(float)
        found[str(task)] = float(kendalltau(truth, truth + noise * rng.normal(size=len(truth))).statistic)
    return found


def page(runs: Path = Path("runs/new_tasks"), out: Path = Path("docs/benchmarks/new_tasks.md")) -> None:
    """Writes the page of results.

    Args:
        runs: folder that ``run`` wrote.
        out: the page.
    """
    found = {path.stem: json.loads(path.read_text()) for path in runs.glob("*.json")}
    documents = [found[name] for name in SETS if name in found]
    write_text(out, "\n".join([HEAD, *map(_section, documents)]))


HEAD = """# New tasks

Written by `scripts/bench_new_tasks.py` from runs; do not edit.

Each task of a set is left out in turn and predicted from a few evaluations at random archs and from the other tasks,
on which every arch is known. Kendall tau is that of predictions and truth on archs that are not evaluated; in brackets,
the mean share of all archs that the 20 best predicted ones beat. Numbers are means over tasks, of means over draws of
the evaluations, which are the same for all methods. The last columns are paired over tasks: what the task kernel gains
over the best of the other methods (by their means over the set), with its 95 % interval by Student's t. All
hyperparameters, the choice of the training-free score included, are learnt from the known tasks alone.

The ceiling is Kendall tau between the table's values and the same with the noise of one more seed, as the table gives
it.
"""


def _section(document: Mapping[str, Any]) -> str:
    frame = pd.DataFrame(document["rows"])
    means = frame.groupby(["method", "evaluations", "task"])[["tau", "top"]].mean()
    counts, methods = sorted(frame["evaluations"].unique()), [name for name in METHODS if name in set(frame["method"])]
    lines = [f"## {document['set']}", ""]
    ceiling = document["ceiling"]
    told = f"; noise ceiling {np.mean(list(ceiling.values())):.2f}" if ceiling else ""
    lines += [f"{len(document['tasks'])} tasks, {document['archs']} archs, {document['seeds']} draws{told}.", ""]
    lines += ["| evaluations | " + " | ".join(METHODS[name] for name in methods) + " | gain |"]
    lines += ["| " + " | ".join(["---"] * (len(methods) + 2)) + " |"]
    for count in counts:
        cells, by_task = [], {}
        for name in methods:
            if not ((frame["method"] == name) & (frame["evaluations"] == count)).any():
                cells.append("")
                continue
            part = means.loc[(name, count)]
            by_task[name] = part["tau"]
            cells.append(f"{part['tau'].mean():.3f} ({part['top'].mean():.3f})")
        best = max((name for name in by_task if name != "task_kernel"), key=lambda name: by_task[name].mean())
        gain = by_task["task_kernel"] - by_task[best]
        reach = t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
        lines.append(f"| {count} | " + " | ".join(cells) + f" | {gain.mean():+.3f} ± {reach:.3f} ({METHODS[best]}) |")
    lines += ["", f"{document['seconds']:.0f} s on {document['machine']}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    CLI([run, page], as_positional=False)
