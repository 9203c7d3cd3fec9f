"""The protocol of measurements: it stops when it knows, says what disturbed, and runs where gennas does not."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle, repeat
from pathlib import Path

import numpy as np
import pytest

from gennas.hardware import measure
from gennas.hardware.measure import ATTEMPTS, LEAST_RUNS, _disturbance, _half_width, _spread, timed


class Clock:
    """Time that passes only in runs: each takes so many seconds, of which the process has a core for a share."""

    def __init__(self, seconds: Iterator[float], share: float = 1.0, others: float = 0.0) -> None:
        self.seconds, self.share, self.others = seconds, share, others
        self.now = self.used = self.slept = 0.0
        self.runs = 0

    def run(self) -> None:
        wall = next(self.seconds)
        self.now += wall
        self.used += self.share * wall
        self.runs += 1

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clock]:
    def make(seconds: Iterator[float], share: float = 1.0, others: float = 0.0) -> Clock:
        clock = Clock(seconds, share, others)
        monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
        monkeypatch.setattr(time, "process_time", lambda: clock.used)
        monkeypatch.setattr(time, "sleep", clock.sleep)
        monkeypatch.setattr(measure, "_processor_seconds", lambda: (clock.used + clock.others * clock.now, clock.used))
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        return clock

    return make


def test_a_steady_network_is_measured_once_and_briefly(clocked: Callable[..., Clock]) -> None:
    clock = clocked(repeat(0.010))
    timing = timed(clock.run)
    assert timing[:4] == pytest.approx((10, 10, 10, 10))
    assert timing.disturbance == ""
    # Two windows of three runs for the warm-up, and a fifth of a second.
    assert clock.runs == 6 + timing.runs
    assert 20 <= timing.runs <= 25
    assert clock.slept == 0


def test_warm_up_lasts_until_it_is_stable(clocked: Callable[..., Clock]) -> None:
    # Each run is 3 % faster than the one before, until 10 ms.
    clock = clocked(max(0.010, 0.020 * 0.97**n) for n in count())
    timing = timed(clock.run)
    assert timing.median_ms == pytest.approx(10, rel=0.02)
    assert timing.upper_quartile_ms < 10.6


def test_noise_is_averaged_until_the_median_is_precise(clocked: Callable[..., Clock]) -> None:
    rng = np.random.default_rng(0)
    clock = clocked(iter(0.001 * rng.lognormal(0, 0.2, 10**6)))
    timing = timed(clock.run, seconds=5)
    assert timing.median_ms == pytest.approx(1, rel=0.03)
    # 1.25 times the standard deviation over the root of the number, 1.96 times, within 2 %.
    assert 300 < timing.runs < 1500
    assert timing.p90_ms == pytest.approx(np.exp(1.2816 * 0.2), rel=0.08)


def test_what_never_gets_precise_ends(clocked: Callable[..., Clock]) -> None:
    clock = clocked(cycle((0.001, 0.005)))
    timing = timed(clock.run, seconds=0.5)
    assert clock.now < ATTEMPTS * (0.25 + 0.5 + 0.05) + clock.slept
    assert timing.runs >= LEAST_RUNS


def test_slow_networks_run_a_few_times_at_the_least(clocked: Callable[..., Clock]) -> None:
    clock = clocked(repeat(30.0))
    assert timed(clock.run).runs == LEAST_RUNS
    assert clock.runs == LEAST_RUNS + 1


def test_time_without_a_core_does_not_count(clocked: Callable[..., Clock]) -> None:
    clock = clocked(repeat(0.030), share=1 / 3)
    timing = timed(clock.run)
    assert timing.median_ms == pytest.approx(10)
    assert timing.disturbance == "the median run waited for a core for 67% of its time"
    assert clock.slept == pytest.approx(0.6), "it is measured three times"
    several = clocked(repeat(0.030), share=1 / 3)
    assert timed(several.run, threads=2).median_ms == pytest.approx(30), "threads may wait for each other"
    gpu = clocked(repeat(0.030), share=0.1)
    timing = timed(gpu.run, threads=None)
    assert (timing.median_ms, timing.disturbance) == (pytest.approx(30), "")


def test_a_busy_machine_is_measured_again_until_it_is_idle(
    clocked: Callable[..., Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = clocked(repeat(0.010), others=1.4)

    def sleep(seconds: float) -> None:
        clock.others, clock.slept = 0.0, clock.slept + seconds

    monkeypatch.setattr(time, "sleep", sleep)
    timing = timed(clock.run)
    assert timing.disturbance == ""
    assert clock.slept == pytest.approx(0.3)


def test_others_are_said(clocked: Callable[..., Clock]) -> None:
    clock = clocked(repeat(0.010), others=1.4)
    assert timed(clock.run).disturbance == "other programs used 1.4 of 2 cores"
    clock = clocked(repeat(0.010), others=0.4)
    assert timed(clock.run).disturbance == "", "less than half of the core that is left"


def test_of_several_attempts_the_shortest_counts(clocked: Callable[..., Clock]) -> None:
    clock = clocked(repeat(0.0), others=1.9)
    clock.seconds = ((0.012, 0.010, 0.014)[round(clock.slept / 0.3)] for _ in count())
    assert timed(clock.run).median_ms == pytest.approx(10)


def test_a_drift_is_a_disturbance(clocked: Callable[..., Clock]) -> None:
    clock = clocked(0.001 * 1.005**n for n in count())
    assert "medians of runs one after the other differ by" in timed(clock.run).disturbance


@pytest.mark.parametrize(
    ("cores", "threads", "others", "is_busy"),
    [
        (1, 1, 0.1, False),
        (1, 1, 0.3, True),
        (4, 4, 0.3, True),
        (4, 1, 1.4, False),
        (64, 1, 31, False),
        (64, 1, 33, True),
    ],
)
def test_how_much_of_others_disturbs(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, others: float, is_busy: bool
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert bool(_disturbance(0, 0, others, threads)) is is_busy
    assert _disturbance(0, 0, None, threads) == "", "the system does not tell"


def test_the_interval_of_the_median_covers_it() -> None:
    rng = np.random.default_rng(1)
    covered = [abs(np.median(x) - 1) <= _half_width(list(x)) * np.median(x) for x in rng.normal(1, 0.1, (2000, 41))]
    assert np.mean(covered) > 0.9
    assert _half_width([1.0] * 9) == 0
    assert _spread([1.0] * 4) == 0
    assert _spread([*([1.0] * 10), *([1.2] * 10)]) == pytest.approx(0.2 / 1.1)


def test_the_real_clock() -> None:
    timing = timed(lambda: time.sleep(0.002), seconds=0.1, threads=None)
    assert 2 <= timing.lower_quartile_ms <= timing.median_ms <= timing.upper_quartile_ms <= timing.p90_ms


def test_old_boards_can_read_it() -> None:
    source = Path(measure.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = {"numpy", "onnxruntime"}
    standard = {
        "__future__",
        "argparse",
        "collections.abc",
        "csv",
        "json",
        "os",
        "pathlib",
        "platform",
        "sys",
        "time",
        "typing",
    }
    assert imported == others | standard
