"""Models of the large spaces for ``bench_guidance.py``: what is maximised, under which bounds, and who judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from torch import Tensor, nn

from gennas.arch import PartialArch
from gennas.design.blocks import Blocks
from gennas.design.models import AccuracyModel, LatencyModel
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel
from gennas.diffusion.worth import Worth
from gennas.graph import GraphBatch, decisions_of
from gennas.metrics import Constraint, Metric
from gennas.paths import shipped
from gennas.spaces import Space, get_space
from gennas.spaces.lite.elastic import ElasticSpace
from gennas.tables import load_table
from gennas.tasks import get_task

#: Of the rows of a table the first half, in a fixed random order, trains the guide, the other half the judge.
SPLIT = 1
#: Devices whose latencies are bounded in ``fbnet``: a phone, a board and a GPU.
DEVICES = ("pixel3", "raspi4", "titan_rtx_64")
#: Shares of the table within a bound, where it is not given.
SHARES = (0.1, 0.3, 0.5)


class Ensemble(nn.Module):
    """Five MLPs on one-hot choices, whose mean is the prediction.

    Args:
        template: of the archs.
        graph: archs.
        values: theirs, ``(N, t)``.
        seed: of the initial weights and the batches.
        epochs: over the archs.
    """

    def __init__(self, graph: GraphBatch, values: Tensor, seed: int, epochs: int = 150) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.allowed = decisions_of(graph.template).allowed
        inputs, targets = self.hot(graph), values.float()
        self.mean, self.std = targets.mean(0), targets.std(0)
        targets = (targets - self.mean) / self.std
        sizes = (inputs.shape[1], 128, 128, targets.shape[1])
        self.weights = [
            torch.randn(5, a, b, generator=rng).mul_((2 / a) ** 0.5).requires_grad_() for a, b in pairwise(sizes)
        ]
        self.biases = [torch.zeros(5, 1, b, requires_grad=True) for b in sizes[1:]]
        optimiser = torch.optim.AdamW([*self.weights, *self.biases], lr=2e-3, weight_decay=1e-2)
        steps = epochs * (len(targets) // 128 + 1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        for _ in range(steps):
            rows = torch.randint(len(targets), (128,), generator=rng)
            loss = (self.members(inputs[rows]) - targets[rows]).square().mean((1, 2)).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()

    def hot(self, graph: GraphBatch) -> Tensor:
        """``(b, F)`` which choices are made."""
        made = graph.choices()[..., None] == torch.arange(self.allowed.shape[1])
        return made[:, self.allowed].float()

    def members(self, inputs: Tensor) -> Tensor:
        """``(5, b, t)``."""
        x = inputs.expand(5, -1, -1)
        for row, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x.relu() if row else x, weight)
        return x

    @torch.no_grad()
    def __call__(self, graph: GraphBatch) -> Tensor:
        """``(b, t)``."""
        return self.members(self.hot(graph)).mean(0) * self.std + self.mean


@dataclass
class Setting:
    """One panel of the experiment.

    Attributes:
        space: searched.
        bound: in words.
        worth: of graphs, one call each.
        keeps: which graphs keep the bound on a cost, which takes no call.
        guides: lead there.
        unit: of the scores.
        scale: a score of the worth in that unit.
        judge: what a model of other rows says of graphs, in that unit; negative excess where it bounds.
        fixed: decisions that are not searched.
        optimum: the exact best score, where it is known.
    """

    space: Space
    bound: str
    worth: Callable[[GraphBatch], Worth]
    keeps: Callable[[GraphBatch], Tensor]
    guides: list[Guide]
    unit: str
    scale: Callable[[float], float]
    judge: Callable[[GraphBatch], Tensor]
    fixed: PartialArch | None = None
    optimum: float | None = None


def halves(space: Space, metrics: list[str]) -> tuple[GraphBatch, Tensor, GraphBatch, Tensor]:
    """Archs and values for the guide, and for the judge."""
    frame = load_table(space.name).frame[metrics].dropna()
    order = np.random.default_rng(SPLIT).permutation(len(frame))
    graph = GraphBatch.from_archs([space.parse(key) for key in frame.index], space.template)
    values = torch.from_numpy(frame.to_numpy(dtype=float, copy=True))
    first, second = torch.from_numpy(order[: len(order) // 2]), torch.from_numpy(order[len(order) // 2 :])
    return graph[first], values[first], graph[second], values[second]


def accurate(name: str, task_name: str, bounds: tuple[float, ...] | None, fixed: str | None) -> list[Setting]:
    """The highest predicted accuracy within bounds on multiply-adds."""
    space, task = get_space(name), get_task(task_name)
    graph, values, other, theirs = halves(space, [f"accuracy@{task_name}"])
    guide, judge = Ensemble(graph, values, seed=0), Ensemble(other, theirs, seed=1)
    costs = CostModel(space, task, Metric.parse("macs_m"))
    if bounds is None:
        bounds = tuple(
            float(f"{bound:.3g}") for bound in costs.of_graphs(graph).quantile(torch.tensor(SHARES, dtype=torch.double))
        )
    mean, std = float(values.mean()), float(values.std())

    def worth(graph: GraphBatch) -> Worth:
        scores = (guide(graph).double() - mean) / std
        return Worth(scores, scores[:, :0])

    return [
        Setting(
            space,
            f"macs_m <= {bound:g}",
            worth,
            partial(_within, costs, bound),
            [CostConstraintGuide(costs, Constraint.parse(f"macs_m <= {bound}"))],
            "% accuracy",
            lambda score: 100 * (mean + std * score),
            lambda graph: 100 * judge(graph)[:, 0].double(),
            space.partial(fixed) if fixed else None,
        )
        for bound in bounds
    ]


def large_and_fast() -> list[Setting]:
    """The most multiply-adds within bounds on the latency of three devices, by linear models of the choices."""
    space, task = get_space("fbnet"), get_task("imagenet")
    graph, values, other, theirs = halves(space, [f"latency_ms@{device}" for device in DEVICES])
    costs = CostModel(space, task, Metric.parse("macs_m"))
    fit, judge = Linear(graph, values), Ensemble(other, theirs, seed=1)
    macs = costs.of_graphs(graph)
    mean, std, error = macs.mean(), macs.std(), (fit(graph) - values).std(0)
    settings = []
    for share in SHARES:
        bound = torch.tensor([float(f"{value:.3g}") for value in values.quantile(share, 0)], dtype=torch.double)

        def worth(graph: GraphBatch, bound: Tensor = bound) -> Worth:
            return Worth(((costs.of_graphs(graph) - mean) / std)[:, None], (bound - fit(graph)) / error)

        settings.append(
            Setting(
                space,
                ", ".join(f"{device} <= {value:g} ms" for device, value in zip(DEVICES, bound.tolist(), strict=True)),
                worth,
                lambda graph: torch.ones(len(graph), dtype=torch.bool),
                [],
                "M multiply-adds",
                lambda score: float(mean + std * score),
                partial(_used, judge, bound),
                optimum=fit.optimum(costs, bound),
            )
        )
    return settings


def photographed() -> list[Setting]:
    """The highest predicted accuracy of sub-networks of EfficientNet-Lite0 within bounds on predicted latency."""
    space = get_space("lite0")
    assert isinstance(space, ElasticSpace)
    blocks, cuts = Blocks(space), pd.read_parquet(shipped("datasets") / "lite" / "cuts.parquet")
    order = np.random.default_rng(SPLIT).permutation(len(cuts))
    guide, judge = (
        AccuracyModel(blocks, [space.parse(key) for key in half["key"]], half["accuracy"].to_list())
        for half in (cuts.iloc[order[: len(cuts) // 2]], cuts.iloc[order[len(cuts) // 2 :]])
    )
    timed = load_table("lite0").frame["latency_ms@cpu"].dropna()
    latency = LatencyModel(blocks, [space.parse(key) for key in timed.index], timed.to_list())

    def accuracy(model: AccuracyModel, graph: GraphBatch) -> Tensor:
        return torch.from_numpy(100 * expit(model(graph.ops.numpy())[0]))

    settings = []
    for side in (48, 80, 128):
        own = latency(space.arrays([space.parent_arch(side)])[0])[0]
        bound = float(f"{own:.3g}")

        def worth(graph: GraphBatch, bound: float = bound) -> Worth:
            slack = (bound - latency(graph.ops.numpy())) / (latency.error * bound)
            return Worth(accuracy(guide, graph)[:, None], torch.from_numpy(slack)[:, None])

        settings.append(
            Setting(
                space,
                f"cpu <= {bound:g} ms",
                worth,
                lambda graph: torch.ones(len(graph), dtype=torch.bool),
                [],
                "% accuracy",
                lambda score: score,
                partial(accuracy, judge),
            )
        )
    return settings


class Linear:
    """Ridge regression of latencies on one-hot choices.

    Args:
        graph: archs.
        values: theirs, ``(N, t)``.
    """

    def __init__(self, graph: GraphBatch, values: Tensor) -> None:
        from gennas.diffusion.additive import AdditiveFit

        self.fit = AdditiveFit.of(graph.template, graph.choices(), values)

    def __call__(self, graph: GraphBatch) -> Tensor:
        """``(b, t)``."""
        return self.fit(graph.choices())

    def optimum(self, costs: CostModel, bound: Tensor) -> float:
        """The most of a cost within bounds ``(t,)``, as an integer program."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        allowed = decisions_of(costs.template).allowed
        gain = costs.table[allowed].numpy()
        owner = allowed.nonzero()[:, 0].numpy()
        one = LinearConstraint((owner[None] == np.arange(len(allowed))[:, None]).astype(float), 1, 1)
        within = LinearConstraint(self.fit.tables[:, allowed].numpy(), -np.inf, (bound - self.fit.constant).numpy())
        found = milp(-gain, constraints=[one, within], integrality=np.ones(len(gain), dtype=int), bounds=Bounds(0, 1))
        assert found.fun is not None
        return float(costs.base - found.fun)


def _within(costs: CostModel, bound: float, graph: GraphBatch) -> Tensor:
    return costs.of_graphs(graph) <= bound


def _used(judge: Ensemble, bound: Tensor, graph: GraphBatch) -> Tensor:
    return (judge(graph).double() / bound).amax(1)


def settings_of(name: str) -> list[Setting]:
    """The panels of a space."""
    if name == "mobilenet_v3":
        return accurate(name, "imagenet", (200.0, 250.0, 300.0), "resolution=r224")
    if name == "lite0":
        return photographed()
    if name == "darts":
        return accurate(name, "cifar10", None, None)
    return large_and_fast()
