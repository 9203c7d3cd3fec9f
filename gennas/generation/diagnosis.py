"""Diagnosis of an infeasible request: which bound is binding, and which values can be reached."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import norm

from gennas.generation.fixed_costs import alternatives
from gennas.generation.sampling import RequestSampler
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.progress import Report, silent

#: Batches that are drawn for every bound, to see how near archs come to it.
PROBES = 4


def diagnosis(sampler: RequestSampler, report: Report = silent) -> str:
    """Explains why nothing was found: for every bound, the best value among archs that satisfy the other bounds.

    Args:
        sampler: a sampler that found nothing.
        report: receives how many archs were drawn meanwhile.
    """
    considered, why = sampler.considered, "".join(f" {note}" for note in sampler.notes)
    if not sampler.problem.where:
        return (
            f"none of {considered} is usable: with the fixed decisions, every arch breaks a rule "
            f"of {sampler.generator.space.name}, or no path connects input and output.{why} Fix fewer decisions in "
            "`fixed`."
        )
    lines = []
    for constraint in sampler.problem.where:
        reached = best(sampler, constraint, report=report)
        if reached is not None and not constraint.holds(reached.value):
            lines.append(f"'{constraint}' is binding: {_said(sampler, constraint, reached)}")
    if not lines:
        for constraint in sampler.problem.where:
            reached = best(sampler, constraint, alone=True, report=report)
            lines.append(f"'{constraint}' alone: {_said(sampler, constraint, reached, alone=True)}")
    bounded = {constraint.metric.name for constraint in sampler.problem.where}
    advice = ["loosen a bound", *([] if sampler.has_exact_bounds else ["lower confidence"]), *sampler.unrestricting]
    return f"none of {considered} satisfies all bounds: {'; '.join(lines)}.{why} {alternatives(advice)}" + "".join(
        f" {note}" for name, note in sampler.deployment.conditions.items() if name in bounded
    )


@dataclass(frozen=True)
class Reached:
    """How near archs come to a bound.

    Attributes:
        value: the best value of the bounded metric.
        archs: how many archs it is the best of.
    """

    value: float
    archs: int


def _said(sampler: RequestSampler, constraint: Constraint, reached: Reached | None, alone: bool = False) -> str:
    sampled = "" if sampler.enumerated else "sampled "
    if reached is None:
        return f"no {sampled}arch {'is usable' if alone else 'satisfies the other bounds'}"
    name, is_single = constraint.metric.name, alone or len(sampler.problem.where) == 1
    confidence = "" if constraint.metric.is_cost else f" with confidence {sampler.request.confidence:g}"
    if sampler.enumerated:
        others = "" if is_single else " under the other bounds"
        return f"the best reachable {name} is {reached.value:.4g}{confidence}{others}"
    # What was not drawn may be nearer.
    extreme, others = (
        ("lowest" if constraint.relation == "<=" else "highest"),
        "" if is_single else " that keep the others",
    )
    archs = f"{reached.archs:,} sampled arch{'' if reached.archs == 1 else 's'}"
    return f"the {extreme} {name} of {archs}{others} is {reached.value:.4g}{confidence}"


def best(
    sampler: RequestSampler, constraint: Constraint, alone: bool = False, report: Report = silent
) -> Reached | None:
    """The best value of a bounded metric that can be reached with the requested confidence.

    Args:
        sampler: a sampler that found nothing.
        constraint: a bound on the metric.
        alone: ignore the other bounds, which otherwise are satisfied.
        report: receives how many archs were drawn meanwhile.
    """
    others = [] if alone else [c for c in sampler.problem.where if c is not constraint]
    metric = constraint.metric
    if sampler.enumerated:
        archs = list(sampler.generator.space.enumerate())
    else:
        objective = sampler.objective_guides([metric], 4.0 if constraint.relation == _easier(metric) else 0.0)
        guides = objective if alone else [*sampler.constraint_guides(without=constraint), *objective]
        sampler.seen.clear()
        archs = sampler.evaluated_archs()
        for _ in range(PROBES):
            archs += sampler.draw(guides)
            report(0, f"({sampler.sampled} drawn, to see what binds)")
        archs = list(dict.fromkeys(archs))
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
    return Reached(min(values) if constraint.relation == "<=" else max(values), len(values))


def _easier(metric: Metric) -> str:
    """The relation of a bound that better values satisfy."""
    return "<=" if metric.kind.direction == "min" else ">="
