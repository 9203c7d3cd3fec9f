"""This machine is measured once per task and skeleton, by ten networks, and only where that can be used."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.cli.main import main
from gennas.errors import InvalidInputError
from gennas.evaluators import calibration
from gennas.evaluators.calibration import COUNT, this_machine
from gennas.evaluators.latency import LatencyEvaluator
from gennas.generation.pipeline import generate_archs
from gennas.hardware import store
from gennas.hardware.measure import LatencyTiming
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware
from gennas.hardware.target import HardwareTarget
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.tasks import Task, get_task

CPU = [HardwareTarget()]
GOLDEN = Checkpoint(Path(__file__).parents[1] / "data" / "golden_0_2" / "checkpoint")
SPACE, DIGITS = get_space("nasbench201", "channels=4,cells=1"), get_task("digits", image_size=16)


@pytest.fixture
def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Key and target of what was timed; a network takes 0.2 ms, and 1 ms per million multiply-adds; int8 half of it."""
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    found: list[tuple[str, str]] = []

    def timing(
        self: LatencyEvaluator, arch: Arch, target: HardwareTarget, *, task: Task, seed: int = 0
    ) -> LatencyTiming:
        found.append((arch.key, target.name))
        median = (0.2 + self.space.costs(arch, task)["macs_m"]) * (0.5 if target.precision == "int8" else 1)
        busy = "other programs used 1.5 of 2 cores" if len(found) % COUNT == 1 else ""
        return LatencyTiming(median, 0.99 * median, 1.01 * median, 1.02 * median, 20, busy)

    monkeypatch.setattr(LatencyEvaluator, "timing", timing)
    return found


def test_it_is_measured_once(timed: list[tuple[str, str]]) -> None:
    assert this_machine(GOLDEN, SPACE, DIGITS, CPU, "never") == ()
    assert timed == []
    (first,) = this_machine(GOLDEN, SPACE, DIGITS, CPU, "once")
    assert (first.name, first.skeleton, first.input_shape) == ("cpu", "channels=4,cells=1", (3, 16, 16))
    assert len(timed) == len(first.measurements) == COUNT
    assert (
        this_machine(GOLDEN, SPACE, DIGITS, CPU, "once")
        == this_machine(GOLDEN, SPACE, DIGITS, CPU, "never")
        == (first,)
    )
    assert len(timed) == COUNT
    this_machine(GOLDEN, SPACE, DIGITS, CPU, "again")
    assert len(timed) == 2 * COUNT
    # One that ignores its input takes a thousandth of the others here, and would stretch the scale of all.
    assert not any(SPACE.is_constant(SPACE.parse(key)) for key in first.keys)
    # It is no hardware that the user named.
    assert store.names(SPACE.name) == ()


@pytest.mark.parametrize(
    ("skeleton", "side"), [("channels=4,cells=2", 16), ("channels=8,cells=1", 16), ("channels=4,cells=1", 17)]
)
def test_other_networks_are_measured_too(timed: list[tuple[str, str]], skeleton: str, side: int) -> None:
    this_machine(GOLDEN, SPACE, DIGITS, CPU, "once")
    this_machine(GOLDEN, get_space("nasbench201", skeleton), get_task("digits", image_size=side), CPU, "once")
    assert len(timed) == 2 * COUNT


def test_another_machine_is_measured_too(timed: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    this_machine(GOLDEN, SPACE, DIGITS, CPU, "once")
    monkeypatch.setattr(calibration, "machine_name", lambda: "another one")
    this_machine(GOLDEN, SPACE, DIGITS, CPU, "once")
    assert len(timed) == 2 * COUNT


@pytest.mark.parametrize("spoilt", ["", "{}", '{"format": 1}', "[[[[", None])
def test_what_cannot_be_read_is_measured_again(
    timed: list[tuple[str, str]], tmp_path: Path, spoilt: str | None
) -> None:
    this_machine(GOLDEN, SPACE, DIGITS, CPU, "once")
    (path,) = (tmp_path / "home" / "hardware" / SPACE.name / "this_machine").iterdir()
    text = path.read_text()
    path.write_text(text.replace('"latency_ms": ', '"latency_ms": -') if spoilt is None else spoilt)
    assert this_machine(GOLDEN, SPACE, DIGITS, CPU, "once") != ()
    assert len(timed) == 2 * COUNT
    assert path.read_text() == text


def test_a_home_that_cannot_be_written_to_loses_nothing(
    timed: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        measured = this_machine(GOLDEN, SPACE, DIGITS, CPU, "once")
    assert len(measured) == 1
    assert "the measurements of this machine are not kept: cannot write" in caplog.text


def test_each_target_is_measured_once_and_what_it_needs_is_checked_first(
    timed: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    int8, torch_ = HardwareTarget(precision="int8"), HardwareTarget(runtime="torch")
    found = this_machine(GOLDEN, SPACE, DIGITS, [int8, torch_], "once")
    assert [one.name for one in found] == ["cpu-int8", "cpu-torch"]
    assert [name for _, name in timed] == ["cpu-int8"] * COUNT + ["cpu-torch"] * COUNT
    assert found[0].how["precision"] == "int8"
    assert this_machine(GOLDEN, SPACE, DIGITS, [torch_, *CPU], "once")[0] == found[1]
    assert [name for _, name in timed[2 * COUNT :]] == ["cpu"] * COUNT
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    cuda = HardwareTarget("cuda", "torch")
    with pytest.raises(InvalidInputError, match="latency_ms@cuda cannot be measured: torch finds no CUDA device here"):
        this_machine(GOLDEN, SPACE, DIGITS, [cuda, HardwareTarget(threads=1, precision="int8")], "once")
    assert len(timed) == 3 * COUNT


def test_hardware_of_the_user_comes_first_and_graphs_are_not_measured(timed: list[tuple[str, str]]) -> None:
    assert this_machine(GOLDEN, get_space("nasbench_graph"), get_task("cora"), CPU, "once") == ()
    rows = tuple(Measurement(arch.key, 1.0 + number) for number, arch in enumerate(map(SPACE.parse, KEYS)))
    store.add(Hardware("cpu", SPACE.name, rows, {"csv": "mine.csv"}))
    assert this_machine(GOLDEN, SPACE, DIGITS, CPU, "once") == ()
    assert timed == []


KEYS = [f"|{op}~0|+|none~0|none~1|+|none~0|none~1|none~2|" for op in ("none", "skip_connect", "nor_conv_1x1")]


def test_the_command_measures_and_says_so(timed: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]) -> None:
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
            assert "1 of them were measured while the machine was busy (other programs used 1.5" in captured.err
        else:
            assert "Measure ten of them on this machine, once: --calibrate once" in captured.err
            assert predicted["std"] > 0.8 * predicted["mean"]


def test_generated_latencies_are_those_of_this_machine(timed: list[tuple[str, str]]) -> None:
    problem = Problem(SPACE, DIGITS, "accuracy", ["latency_ms <= 0.6"], "cpu")
    result = generate_archs(problem, 3, checkpoint=GOLDEN, calibrate="once")
    assert len(timed) == COUNT
    for arch in result.archs:
        assert 0.2 + SPACE.costs(arch, DIGITS)["macs_m"] <= 0.75
    assert any("10 networks of this task and skeleton, measured on this machine" in note for note in result.notes)
    plain = generate_archs(Problem("nasbench201", "cifar10", "accuracy", (), "cpu"), 2, checkpoint=GOLDEN)
    assert any("latency_ms@cpu was measured on another machine" in note for note in plain.notes)
    assert len(timed) == COUNT


def test_int8_and_float_of_this_machine_in_one_request(timed: list[tuple[str, str]]) -> None:
    bounds = ["latency_ms@cpu-int8 <= 0.3", "latency_ms@cpu <= 0.6"]
    problem = Problem(SPACE, DIGITS, "accuracy", bounds, "cpu")
    result = generate_archs(problem, 3, checkpoint=GOLDEN, calibrate="once")
    assert {name for _, name in timed} == {"cpu", "cpu-int8"}
    for predicted in result.predicted:
        ratio = predicted["latency_ms@cpu"]["mean"] / predicted["latency_ms@cpu-int8"]["mean"]
        assert 1.6 < ratio < 2.5
    with pytest.raises(InvalidInputError, match=r"latency_ms@cpu-torch of this machine is not known\. Measure ten"):
        generate_archs(Problem(SPACE, DIGITS, "accuracy", (), "cpu-torch"), 3, checkpoint=GOLDEN)
