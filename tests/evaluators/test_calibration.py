"""This machine is measured once per task and skeleton, by ten networks, and only where that can be used."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.cli.main import main
from gennas.evaluators import calibration
from gennas.evaluators.calibration import COUNT, this_machine
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.timing import LatencyTiming
from gennas.generation.pipeline import generate_archs
from gennas.hardware import store
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.tasks import Task, get_task

GOLDEN = Checkpoint(Path(__file__).parents[1] / "data" / "golden_0_2" / "checkpoint")
SPACE, DIGITS = get_space("nasbench201", "channels=4,cells=1"), get_task("digits", image_size=16)


@pytest.fixture
def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Key and repeats of what was timed; a network takes 0.2 ms, and 1 ms per million multiply-adds."""
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    found: list[tuple[str, int]] = []

    def timing(self: LatencyEvaluator, arch: Arch, *, task: Task, seed: int = 0) -> LatencyTiming:
        found.append((arch.key, self.spec.repeats))
        median = 0.2 + self.space.costs(arch, task)["macs_m"]
        return LatencyTiming(median, 0.99 * median, 1.01 * median)

    monkeypatch.setattr(LatencyEvaluator, "timing", timing)
    return found


def test_it_is_measured_once(timed: list[tuple[str, int]]) -> None:
    assert this_machine(GOLDEN, SPACE, DIGITS, "never") is None
    assert timed == []
    first = this_machine(GOLDEN, SPACE, DIGITS, "once")
    assert first is not None
    assert (first.name, first.skeleton, first.input_shape) == ("cpu", "channels=4,cells=1", (3, 16, 16))
    assert len(timed) == len(first.measurements) == COUNT
    assert this_machine(GOLDEN, SPACE, DIGITS, "once") == this_machine(GOLDEN, SPACE, DIGITS, "never") == first
    assert len(timed) == COUNT
    this_machine(GOLDEN, SPACE, DIGITS, "again")
    assert len(timed) == 2 * COUNT
    # One that ignores its input takes a thousandth of the others here, and would stretch the scale of all.
    assert not any(SPACE.is_constant(SPACE.parse(key)) for key in first.keys)
    # It is no hardware that the user named.
    assert store.names(SPACE.name) == ()


@pytest.mark.parametrize(
    ("skeleton", "side"), [("channels=4,cells=2", 16), ("channels=8,cells=1", 16), ("channels=4,cells=1", 17)]
)
def test_other_networks_are_measured_too(timed: list[tuple[str, int]], skeleton: str, side: int) -> None:
    this_machine(GOLDEN, SPACE, DIGITS, "once")
    this_machine(GOLDEN, get_space("nasbench201", skeleton), get_task("digits", image_size=side), "once")
    assert len(timed) == 2 * COUNT


def test_another_machine_is_measured_too(timed: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    this_machine(GOLDEN, SPACE, DIGITS, "once")
    monkeypatch.setattr(calibration, "machine_name", lambda: "another one")
    this_machine(GOLDEN, SPACE, DIGITS, "once")
    assert len(timed) == 2 * COUNT


@pytest.mark.parametrize("spoilt", ["", "{}", '{"format": 1}', "[[[[", None])
def test_what_cannot_be_read_is_measured_again(
    timed: list[tuple[str, int]], tmp_path: Path, spoilt: str | None
) -> None:
    this_machine(GOLDEN, SPACE, DIGITS, "once")
    (path,) = (tmp_path / "home" / "hardware" / SPACE.name / "this_machine").iterdir()
    text = path.read_text()
    path.write_text(text.replace('"latency_ms": ', '"latency_ms": -') if spoilt is None else spoilt)
    assert this_machine(GOLDEN, SPACE, DIGITS, "once") is not None
    assert len(timed) == 2 * COUNT
    assert path.read_text() == text


def test_a_home_that_cannot_be_written_to_loses_nothing(
    timed: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        measured = this_machine(GOLDEN, SPACE, DIGITS, "once")
    assert measured is not None
    assert "the measurements of this machine are not kept: cannot write" in caplog.text


def test_large_networks_are_run_less_often(timed: list[tuple[str, int]]) -> None:
    this_machine(GOLDEN, SPACE, DIGITS, "once")
    assert {repeats for _, repeats in timed} == {50}
    timed.clear()
    this_machine(GOLDEN, get_space("nasbench201"), get_task("digits", image_size=224), "once")
    assert min(repeats for _, repeats in timed) == 5


def test_hardware_of_the_user_comes_first_and_graphs_are_not_measured(timed: list[tuple[str, int]]) -> None:
    assert this_machine(GOLDEN, get_space("nasbench_graph"), get_task("cora"), "once") is None
    rows = tuple(Measurement(arch.key, 1.0 + number) for number, arch in enumerate(map(SPACE.parse, KEYS)))
    store.add(Hardware("cpu", SPACE.name, rows, {"csv": "mine.csv"}))
    assert this_machine(GOLDEN, SPACE, DIGITS, "once") is None
    assert timed == []


KEYS = [f"|{op}~0|+|none~0|none~1|+|none~0|none~1|none~2|" for op in ("none", "skip_connect", "nor_conv_1x1")]


def test_the_command_measures_and_says_so(timed: list[tuple[str, int]], capsys: pytest.CaptureFixture[str]) -> None:
    command = f"predict --checkpoint {GOLDEN.folder} --task digits --image-size 224 --hardware cpu".split()
    never, again = ["--calibrate", "never"], ["--calibrate", "again"]
    for words, count in ((never, 0), ([], COUNT), ([], COUNT), (again, 2 * COUNT)):
        assert main([*command, "--format", "json", *words, KEYS[2]]) == 0
        assert len(timed) == count
        captured = capsys.readouterr()
        (entry,) = json.loads(captured.out)["archs"]
        predicted = entry["predicted"]["latency_ms@cpu"]
        if count:
            assert "10 networks of this task and skeleton, measured on this machine" in captured.err
            assert predicted["mean"] > 100
        else:
            assert "Measure ten of them on this machine, once: --calibrate once" in captured.err
            assert predicted["std"] > 0.8 * predicted["mean"]


def test_generated_latencies_are_those_of_this_machine(timed: list[tuple[str, int]]) -> None:
    problem = Problem(SPACE, DIGITS, "accuracy", ["latency_ms <= 0.6"], "cpu")
    result = generate_archs(problem, 3, checkpoint=GOLDEN, calibrate="once")
    assert len(timed) == COUNT
    for arch in result.archs:
        assert 0.2 + SPACE.costs(arch, DIGITS)["macs_m"] <= 0.75
    assert any("10 networks of this task and skeleton, measured on this machine" in note for note in result.notes)
    plain = generate_archs(Problem("nasbench201", "cifar10", "accuracy", (), "cpu"), 2, checkpoint=GOLDEN)
    assert any("latency_ms@cpu was measured on another machine" in note for note in plain.notes)
    assert len(timed) == COUNT
