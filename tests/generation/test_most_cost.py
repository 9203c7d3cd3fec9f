"""The most of a cost within bounds on several devices, in a space without accuracies or a trained generator."""

from gennas.checkpoint import Checkpoint
from gennas.generation.pipeline import generate_archs
from gennas.generation.request import Request
from gennas.metrics import Constraint
from gennas.problem import Problem

BOUNDS = ("latency_ms@pixel3 <= 15", "latency_ms@2080ti_1 <= 7.5", "latency_ms@raspi4 <= 30")


def test_the_most_multiply_adds_within_bounds_on_three_devices() -> None:
    found = {}
    for objective in ("none", "+macs_m"):
        problem = Problem("fbnet", "imagenet", objective, BOUNDS)
        result = generate_archs(Request(problem, n=3), checkpoint=Checkpoint("fbnet"), seed=0)
        assert len(result) == 3
        frame = result.frame()
        for bound in map(Constraint.parse, BOUNDS):
            assert frame[bound.metric.name].map(bound.holds).all()
        found[objective] = frame["macs_m"]
    assert found["+macs_m"].min() > found["none"].max()
    assert found["+macs_m"].is_monotonic_decreasing
