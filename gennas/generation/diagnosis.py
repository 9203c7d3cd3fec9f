"""Why a request found nothing: which bound binds, and what could be reached."""

from __future__ import annotations

import torch
from scipy.stats import norm

from gennas.generation.sampling import RequestSampler
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric


def diagnosis(sampler: RequestSampler) -> str:
    """Why nothing was found: for every bound the best value that archs keeping the other bounds reach."""
    if not sampler.request.where:
        return (
            f"none of {sampler.sampled:,} drawn graphs is an arch of use: what is fixed breaks a rule of "
            f"{sampler.generator.space.name}, or leads nothing from the input to the output. Leave more open."
        )
    lines = []
    for constraint in sampler.request.where:
        reachable = best(sampler, constraint)
        if reachable is not None and not constraint.holds(reachable):
            lines.append(f"'{constraint}' binds: {_reached(sampler, constraint, reachable)}")
    if not lines:
        lines = [f"'{c}' alone: {_reached(sampler, c, best(sampler, c, alone=True))}" for c in sampler.request.where]
    return (
        f"no arch of {sampler.sampled:,} drawn keeps all bounds. "
        + "; ".join(lines)
        + ". Loosen a bound"
        + ("" if all(c.metric.is_cost for c in sampler.request.where) else ", or lower --confidence")
        + "."
    )


def _reached(sampler: RequestSampler, constraint: Constraint, value: float | None) -> str:
    if value is None:
        return "no arch keeps the other bounds"
    sure = "" if constraint.metric.is_cost else f" with confidence {sampler.request.confidence:g}"
    others = " under the other bounds" if len(sampler.request.where) > 1 else ""
    return f"the best reachable {constraint.metric.name} is {value:.4g}{sure}{others}"


def best(sampler: RequestSampler, constraint: Constraint, alone: bool = False) -> float | None:
    """The best value of a constrained metric that can be had for sure, keeping the other bounds."""
    others = [] if alone else [c for c in sampler.request.where if c is not constraint]
    metric = constraint.metric
    towards = sampler.objective_guides([metric], 4.0 if constraint.relation == _easier(metric) else 0.0)
    guides = towards if alone else [*sampler.constraint_guides(without=constraint), *towards]
    sampler.seen.clear()
    archs = [arch for _ in range(8) for arch in sampler.draw(guides)]
    archs = [arch for arch, fits in zip(archs, sampler.fitting(archs, others), strict=True) if fits]
    if not archs:
        return None
    if metric.is_cost:
        values = [sampler.costs[metric.name].of(arch) for arch in archs]
    else:
        sure = norm.ppf(sampler.request.confidence) * (1 if constraint.relation == "<=" else -1)
        with torch.inference_mode():
            mean, std = sampler.source.score(
                GraphBatch.from_archs(archs, sampler.generator.space.template), metric.name
            )
        index = sampler.placed.predictor.metrics.index(metric.name)
        scores = (mean + sure * std)[:, None].expand(-1, len(sampler.placed.predictor.metrics))
        values = sampler.placed.predictor.scores.value(scores)[:, index].tolist()
    return min(values) if constraint.relation == "<=" else max(values)


def _easier(metric: Metric) -> str:
    """The relation of a bound that better values keep."""
    return "<=" if metric.kind.direction == "min" else ">="
