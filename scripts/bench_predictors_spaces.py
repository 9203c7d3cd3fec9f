"""One predictor for several spaces, or one per space: what operations described by what they do are worth elsewhere.

A graph network that sees operations as numbers (convolution, pooling, kernel, ...) in place of their index is trained
on all other spaces. Kendall tau on archs of the new space without a label, mean and standard deviation over draws of
the labels, of

- `own`: the model of few labels that gennas trains, on this space alone;
- `own+others`: the same, with what the network of the other spaces predicts as one more feature;
- `network`: a graph network of this space alone, which sees operations by their index;
- `network+others`: the network of the other spaces, trained on with the labels.

    GENNAS_DATA=... python scripts/bench_predictors_spaces.py --seeds 5
"""

from __future__ import annotations

import copy
import re
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jsonargparse import CLI
from machine import machine
from scipy.stats import kendalltau
from torch import Tensor, nn

from gennas.metrics import Metric
from gennas.predictors.features import GraphFeatures, dataflow_between_ends, live
from gennas.predictors.normal_scores import normal_scores
from gennas.predictors.slot_features import SlotColumns, SlotFeatures
from gennas.predictors.teacher import fit_teacher
from gennas.spaces import Space, get_space
from gennas.tables import load_table
from gennas.tasks import get_task

#: Archs of a space that a network is trained on, and tested on.
MOST = 2_000
WIDTH, LAYERS, STEPS, TUNING = 48, 4, 1_500, 300
#: Numbers that describe an operation.
DESCRIBED = 10


@dataclass(frozen=True, eq=False)
class Data:
    """Archs of a space with a metric.

    Attributes:
        space: of the archs.
        described: ``(N, n, DESCRIBED)`` what the operations do.
        indexed: ``(N, n, k)`` which they are.
        edges: ``(N, n, n)`` which feeds which, between input and output alone.
        costs: ``(N, 2)`` logarithms of parameters and multiply-adds, with mean 0 and std 1.
        values: ``(N,)`` larger is better.
        features: ``(N, f)`` of gennas' own model.
        simple: how many of them are simple.
        slots: of gennas' own model.
    """

    space: Space
    described: Tensor
    indexed: Tensor
    edges: Tensor
    costs: Tensor
    values: np.ndarray
    features: np.ndarray
    simple: int
    slots: SlotColumns


def described(word: str) -> list[float]:
    """An operation in numbers; all 0 for one that says where a slot takes its input from."""
    kernel = re.search(r"(\d)x\d", word)
    is_conv, is_pool, is_separable = "conv" in word, "pool" in word, word.startswith(("sep", "dil"))
    return [
        *(float(is_it) for is_it in (word == "input", word == "output", is_conv, is_pool, "skip" in word)),
        int(kernel[1]) / 3 if kernel else 0.0,
        *(float(is_it) for is_it in (is_separable, word.startswith("dil"), "max" in word)),
        # How many convolutions in a row.
        2.0 if word.startswith("sep") else float(is_conv),
    ]


def data_of(name: str, metric: str, seed: int) -> Data:
    """At most ``MOST`` archs of a table."""
    space, column = get_space(name), load_table(name).column(metric).dropna()
    column = column.iloc[np.random.default_rng(seed).permutation(len(column))[:MOST]]
    archs, parsed = [space.parse(str(key)) for key in column.index], Metric.parse(metric.removeprefix("test_"))
    features, task = GraphFeatures(space), get_task(str(parsed.target))
    of_archs = features.of(archs, task)
    ops, edges = live(*dataflow_between_ends(space, *space.arrays(archs)))
    words = [*space.template.vocabulary, "input", "output"]
    table = np.array([*(described(word) for word in words), [0.0] * DESCRIBED])
    costs = (of_archs[:, :2] - of_archs[:, :2].mean(axis=0)) / of_archs[:, :2].std(axis=0)
    return Data(
        space,
        torch.from_numpy(table[ops]).float(),
        nn.functional.one_hot(torch.from_numpy(np.where(ops < 0, len(words), ops)), len(words) + 1).float(),
        torch.from_numpy(edges).float(),
        torch.from_numpy(costs).float(),
        parsed.kind.sign * column.to_numpy(float),
        of_archs,
        features.simple,
        SlotFeatures(space).of(archs),
    )


class Network(nn.Module):
    """Message passing along and against the edges: ``(b, n, inputs), (b, n, n), (b, 2) -> (b,)`` scores."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, WIDTH)
        self.steps = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(3 * WIDTH), nn.Linear(3 * WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
            for _ in range(LAYERS)
        )
        self.head = nn.Sequential(nn.Linear(2 * WIDTH + 2, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 1))

    def forward(self, nodes: Tensor, edges: Tensor, costs: Tensor) -> Tensor:
        states = self.embed(nodes)
        for step in self.steps:
            states = states + step(torch.cat([states, edges.transpose(1, 2) @ states, edges @ states], dim=-1))
        return self.head(torch.cat([states[:, -1], states.mean(dim=1), costs], dim=-1))[:, 0]


def trained(network: Network, parts: list[tuple[Tensor, Data, np.ndarray]], steps: int, rate: float, seed: int) -> None:
    """Trains on several spaces in turn.

    Args:
        network: is changed.
        parts: per space the operations, the rest, and which archs have labels.
        steps: batches of every space.
        rate: the greatest learning rate.
        seed: of the batches.
    """
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    targets = [torch.from_numpy(normal_scores(data.values[rows])).float() for _, data, rows in parts]
    for _ in range(steps):
        loss = torch.zeros(())
        for (nodes, data, rows), target in zip(parts, targets, strict=True):
            batch = rng.integers(len(rows), size=64)
            at = torch.from_numpy(rows[batch])
            loss = loss + (network(nodes[at], data.edges[at], data.costs[at]) - target[batch]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def scores(network: Network, nodes: Tensor, data: Data) -> np.ndarray:
    """``(N,)`` what a network predicts of all archs."""
    with torch.no_grad():
        return network(nodes, data.edges, data.costs).double().numpy()


def measured(data: Data, others: Network, count: int, seed: int) -> dict[str, float]:
    """Kendall tau of every model after so many labels."""
    order = np.random.default_rng(100 + seed).permutation(len(data.values))
    rows, rest = order[:count], order[count:]
    elsewhere = scores(others, data.described, data)

    def own(features: np.ndarray, simple: int) -> np.ndarray:
        return fit_teacher(
            features, rows, data.values[rows], num_simple=simple, seed=seed, slots=data.slots.varying(rows)
        ).mean

    torch.manual_seed(seed)
    alone, tuned = Network(data.indexed.shape[-1]), copy.deepcopy(others)
    trained(alone, [(data.indexed, data, rows)], TUNING, 3e-3, seed)
    trained(tuned, [(data.described, data, rows)], TUNING, 1e-3, seed)
    predicted = {
        "others": elsewhere,
        "own": own(data.features, data.simple),
        "own+others": own(np.hstack([elsewhere[:, None], data.features]), data.simple + 1),
        "network": scores(alone, data.indexed, data),
        "network+others": scores(tuned, data.described, data),
    }
    return {name: float(kendalltau(value[rest], data.values[rest]).statistic) for name, value in predicted.items()}


def main(
    metrics: list[str] = [  # noqa: B006
        "transnas_micro:accuracy@class_scene",
        "nasbench201:accuracy@cifar10",
        "nasbench101:accuracy@cifar10",
    ],
    counts: list[int] = [50, 100, 200, 400],  # noqa: B006
    seeds: int = 5,
) -> None:
    """Prints what is measured, every space in turn as the new one.

    Args:
        metrics: of the spaces that have a table, as "space:metric".
        counts: numbers of labels.
        seeds: draws of the labels.
    """
    torch.set_num_threads(1)
    print(f"{machine()}; {seeds} draws of labels, seeds from 0; up to {MOST} archs of a space")
    data = {one: data_of(one.partition(":")[0], one.partition(":")[2], seed=0) for one in metrics}
    for new, target in data.items():
        start = time.perf_counter()
        torch.manual_seed(0)
        others = Network(DESCRIBED)
        parts = [(one.described, one, np.arange(len(one.values))) for name, one in data.items() if name != new]
        trained(others, parts, STEPS, 3e-3, 0)
        print(f"{new}: others trained in {time.perf_counter() - start:.0f} s", flush=True)
        for count in counts:
            runs = pd.DataFrame([measured(target, others, count, seed) for seed in range(seeds)])
            gain = runs["own+others"] - runs["own"]
            columns = [f"{name} {runs[name].mean():.3f} +- {runs[name].std():.3f}" for name in runs]
            columns.append(f"gain of others {gain.mean():+.3f} +- {gain.std():.3f}")
            print(f"{new}, {count} labels: {', '.join(columns)}", flush=True)


if __name__ == "__main__":
    CLI(main)
