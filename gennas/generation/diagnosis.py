"""Diagnosis of an infeasible request: which bound is binding, and which values can be reached."""

from __future__ import annotations

import torch
from scipy.stats import norm

from gennas.generation.sampling import RequestSampler
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric


def diagnosis(sampler: RequestSampler) -> str:
    """Explains why nothing was found: for every bound, the best value among archs that satisfy the other bounds."""
    if not sampler.problem.where:
        return (
            f"none of {sampler.considered} is usable: with the fixed decisions, every arch breaks a rule "
            f"of {sampler.generator.space.name}, or no path connects input and output. Fix fewer decisions in `fixed`."
        )
    lines = []
    for constraint in sampler.problem.where:
        reachable = best(sampler, constraint)
        if reachable is not None and not constraint.holds(reachable):
            lines.append(f"'{constraint}' is binding: {_reached(sampler, constraint, reachable)}")
    if not lines:
        lines = [f"'{c}' alone: {_reached(sampler, c, best(sampler, c, alone=True))}" for c in sampler.problem.where]
    bounded = {constraint.metric.name for constraint in sampler.problem.where}
    return (
        f"none of {sampler.considered} satisfies all bounds: "
        + "; ".join(lines)
        + ". Loosen a bound"
        + ("" if sampler.has_exact_bounds else ", or lower confidence")
        + "."
        + "".join(f" {note}" for name, note in sampler.deployment.conditions.items() if name in bounded)
    )


def _reached(sampler: RequestSampler, constraint: Constraint, value: float | None) -> str:
    if value is None:
        return "no arch satisfies the other bounds"
    confidence = "" if constraint.metric.is_cost else f" with confidence {sampler.request.confidence:g}"
    others = " under the other bounds" if len(sampler.problem.where) > 1 else ""
    reachable = "found" if sampler.is_uniform and not sampler.enumerated else "reachable"
    return f"the best {reachable} {constraint.metric.name} is {value:.4g}{confidence}{others}"


def best(sampler: RequestSampler, constraint: Constraint, alone: bool = False) -> float | None:
    """The best value of a bounded metric that can be reached with the requested confidence.

    Args:
        sampler: a sampler that found nothing.
        constraint: a bound on the metric.
        alone: ignore the other bounds, which otherwise are satisfied.
    """
    others = [] if alone else [c for c in sampler.problem.where if c is not constraint]
    metric = constraint.metric
    if sampler.enumerated:
        archs = list(sampler.generator.space.enumerate())
    else:
        objective = sampler.objective_guides([metric], 4.0 if constraint.relation == _easier(metric) else 0.0)
        guides = objective if alone else [*sampler.constraint_guides(without=constraint), *objective]
        sampler.seen.clear()
        archs = [arch for _ in range(8) for arch in sampler.draw(guides)]
        archs = list(dict.fromkeys([*archs, *sampler.evaluated_archs()]))
    archs = [arch for arch, ok in zip(archs, sampler.feasible(archs, others), strict=True) if ok]
    if not archs:
        return None
    if metric.is_cost:
        values = [sampler.costs[metric.name].of(arch) for arch in archs]
    else:
        quantile = norm.ppf(sampler.request.confidence) * (1 if constraint.relation == "<=" else -1)
        with torch.inference_mode():
            mean, std = sampler.source.score(
                GraphBatch.from_archs(archs, sampler.generator.space.template), metric.name
            )
        predictor = sampler.deployment.predictor
        index = predictor.metrics.index(metric.name)
        scores = (mean + quantile * std)[:, None].expand(-1, len(predictor.metrics))
        values = predictor.scores.value(scores)[:, index].tolist()
        observed = [sampler.observation(arch, metric) for arch in archs]
        values = [value if known is None else known for value, known in zip(values, observed, strict=True)]
    return min(values) if constraint.relation == "<=" else max(values)


def _easier(metric: Metric) -> str:
    """The relation of a bound that better values satisfy."""
    return "<=" if metric.kind.direction == "min" else ">="
