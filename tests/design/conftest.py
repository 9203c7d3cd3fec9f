"""A space small enough for whole designs, and latencies that do not depend on the machine."""

from __future__ import annotations

import pytest
from torch import nn

from gennas.design import generating, seeking
from gennas.evaluators import latency
from gennas.hardware.measure import LatencyTiming
from gennas.spaces import SPACES
from tests.elastic_spaces import TinyLite


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TinyLite:
    """The space, known by its name; little is sought."""
    monkeypatch.setattr(seeking, "EVALUATED", 60)
    monkeypatch.setattr(generating, "ROUNDS", 1)
    if "tiny_lite" not in SPACES:
        SPACES.register("tiny_lite", TinyLite)
    return TinyLite()


@pytest.fixture
def timings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The parameters of the networks whose latencies were asked for: each takes as many microseconds as kilobytes."""
    asked: list[int] = []

    def timed(network: nn.Module, shape: tuple[int, int, int], *_: object) -> LatencyTiming:
        asked.append(sum(weight.numel() for weight in network.parameters()))
        milliseconds = (asked[-1] + shape[1] ** 2) / 1e4
        return LatencyTiming(milliseconds, milliseconds, milliseconds, milliseconds, 9)

    monkeypatch.setattr(latency, "time_network", timed)
    return asked
