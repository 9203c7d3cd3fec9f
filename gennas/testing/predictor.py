"""The contract of predictors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gennas.graph import GraphBatch, decisions_of
from gennas.predictors.base import Predictor
from gennas.spaces.base import Space
from gennas.testing.contract import check, parsed

_SAMPLES = 20


def check_predictor(predictor: Predictor, space: Space, seed: int = 0) -> None:
    """Tests that a predictor is one that guides and the command line can use.

    Its metrics have names that are known; decided, partly masked and wholly masked graphs get finite means and
    positive stds of the right shape, and so do the choices of their next decisions; a graph's prediction depends
    neither on its neighbours in the batch nor on chance.

    Args:
        predictor: the predictor; it is left in evaluation mode.
        space: the space whose graphs it reads.
        seed: chooses the graphs that are looked at.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    _check_predicted_metrics(predictor)
    predictor.eval()
    rng, torch_rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    archs = [space.sample(rng) for _ in range(_SAMPLES)]
    decided = GraphBatch.from_archs(archs, space.template)
    where = torch.rand(_SAMPLES, space.template.decisions, generator=torch_rng) < 0.5
    # None of them is whole, where there is more than one decision.
    where[:, 0], where[:, 1:2] = False, True
    graphs = {"decided": decided, "partly masked": decided.with_mask(where)}
    graphs["wholly masked"] = decided.with_mask(torch.ones_like(where))
    with torch.inference_mode():
        for kind, graph in graphs.items():
            _check_predictions(predictor, graph, kind)
            _check_choices(predictor, graph, kind, torch_rng)
        noise, shape = predictor.noise(), (len(predictor.metrics),)
        check(tuple(noise.shape) == shape, f"noise(): has shape (metrics,) = {shape}", tuple(noise.shape))
        sound = bool(noise.isfinite().all() and (noise >= 0).all())
        check(sound, "noise(): is finite and not negative", noise.tolist())


def _check_predicted_metrics(predictor: Predictor) -> None:
    names = predictor.metrics
    check(isinstance(names, tuple) and bool(names), "metrics is a tuple with at least one name", names)
    check(len(set(names)) == len(names), "metrics: names are distinct", names)
    for name in names:
        metric = parsed(name, "metrics: names are known, with their place")
        check(not metric.is_cost, "metrics: costs are computed, never predicted", name)
        has_place = metric.target is not None or metric.kind.scope == "arch"
        check(has_place, "metrics: names are known, with their place", name)


def _check_predictions(predictor: Predictor, graph: GraphBatch, kind: str) -> None:
    shape, every = (len(graph), len(predictor.metrics)), torch.ones(len(graph), dtype=torch.bool)
    for method in (predictor.score, predictor.forward):
        name, scores = f"{method.__name__}() of {kind} graphs", method(graph)
        # A normal score is never certain; in units a flat piece of the scale may be.
        _check_scores(name, "(b, m)", shape, scores, every, certain=method == predictor.forward)
        moved = _apart(method(graph), scores)
        check(moved == 0, f"{name}: the same graphs have the same prediction", moved)


def _check_choices(predictor: Predictor, graph: GraphBatch, kind: str, torch_rng: torch.Generator) -> None:
    name, masked = f"score_choices() of {kind} graphs", graph.masked_decisions()
    allowed = decisions_of(graph.template).allowed
    q, c = min(int(masked.sum(1).min()), 3), allowed.shape[1]
    decisions = torch.rand(masked.shape, generator=torch_rng).masked_fill(~masked, -1).topk(q).indices
    exists = torch.cat([torch.ones(len(graph), 1, dtype=torch.bool), allowed[decisions].flatten(1)], dim=1)
    scores = predictor.score_choices(graph, decisions)
    _check_scores(name, "(b, 1 + q * c, m)", (len(graph), 1 + q * c, len(predictor.metrics)), scores, exists)
    first = _apart(predictor.score(graph), [part[:, 0] for part in scores])
    check(first < 1e-3, f"{name}: begins with what score() says", first)
    for row, count in ((0, q), (len(graph) - 1, min(q, 1))):
        one, ok = torch.tensor([row]), exists[row, : 1 + count * c]
        is_exclusive = predictor.score_choices(graph[one], decisions[one, :count])
        moved = _apart([part[0, ok] for part in is_exclusive], [part[row, : len(ok)][ok] for part in scores])
        check(moved < 1e-3, f"{name}: does not depend on the neighbours in the batch, or on what else is asked", moved)


def _check_scores(
    name: str, axes: str, shape: tuple[int, ...], scores: Sequence[Tensor], exists: Tensor, certain: bool = False
) -> None:
    for word, part in zip(("mean", "std"), scores, strict=True):
        check(tuple(part.shape) == shape, f"{name}: {word} has shape {axes} = {shape}", tuple(part.shape))
        check(bool(part[exists].isfinite().all()), f"{name}: {word} is finite", part[exists].tolist())
    least = float(scores[1][exists].min())
    check(least > 0 or (certain and least == 0), f"{name}: std is positive", least)


def _apart(scores: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(scores, others, strict=True))
