"""Measuring this machine: interrupted measurements resume, and settings are not mixed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gennas.errors import InvalidInputError, StudyError
from gennas.evaluators.hardware_profiling import finish, measure
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.hardware import store
from gennas.hardware.measure import LEAST_RUNS, LatencyTiming
from gennas.hardware.profile import Hardware
from gennas.hardware.target import HardwareTarget
from gennas.spaces import get_space
from gennas.tasks import get_task

SPACE, TASK = get_space("nasbench201", "channels=4,cells=1"), get_task("cifar10")
CPU, SPEC = HardwareTarget(), LatencySpec(seconds=0.05)
ARCHS = [SPACE.sample(np.random.default_rng(seed)) for seed in range(6)]
KEYS = [arch.key for arch in ARCHS]


@pytest.fixture(autouse=True)
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path))
    return store.part_of("nasbench201", "mine")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The archs that were measured; the n-th measurement takes n ms."""
    keys: list[str] = []

    def timing(self: Any, arch: Any, target: HardwareTarget, *, task: Any, seed: int = 0) -> LatencyTiming:
        keys.append(arch.key)
        return LatencyTiming(float(len(keys)), len(keys) - 0.5, len(keys) + 0.5, len(keys) + 1.0, 20)

    monkeypatch.setattr(LatencyEvaluator, "timing", timing)
    return keys


def measured(count: int = 6, **changes: Any) -> tuple[Hardware, float | None]:
    options = {"space": SPACE, "task": TASK, "target": CPU, "spec": SPEC, **changes}
    return measure("mine", ARCHS[:count], **options)


def test_measuring_this_machine(part: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gennas"):
        hardware, repeatability = measured(4)
    assert hardware.keys == tuple(KEYS[:4])
    assert (hardware.latency_ms > 0).all()
    for row in hardware.measurements:
        assert row.quartiles_ms is not None
        assert row.p90_ms is not None
        assert row.quartiles_ms[0] <= row.latency_ms <= row.quartiles_ms[1] <= row.p90_ms
        assert (row.runs or 0) >= LEAST_RUNS
    assert repeatability is not None
    assert repeatability >= 0
    how = dict(hardware.how)
    assert "CPUs" in str(how.pop("machine"))
    assert str(how.pop("software")).startswith("onnxruntime ")
    assert how == {"threads": 1, "batch": 1, "runtime": "onnxruntime", "precision": "float32"}
    assert (hardware.skeleton, hardware.input_shape) == ("channels=4,cells=1", (3, 32, 32))
    assert "measuring mine: 7/7" in caplog.text
    assert len(json.loads(part.read_text())["measurements"]) == 4
    store.add(hardware)
    finish(hardware)
    assert [path.name for path in part.parent.iterdir() if path.suffix != ".lock"] == ["mine.json"]
    assert store.load("nasbench201", "mine") == hardware


def test_a_few_archs_are_measured_twice(asked: list[str]) -> None:
    _, repeatability = measured(4)
    assert asked == [*KEYS[:4], *KEYS[:3]]
    # First 1, 2 and 3 ms, then 5, 6 and 7 ms.
    assert repeatability == pytest.approx(2.0)


def test_interrupted_measurements_are_resumed(asked: list[str], monkeypatch: pytest.MonkeyPatch, part: Path) -> None:
    timing = LatencyEvaluator.timing

    def interrupted(self: LatencyEvaluator, arch: Any, target: Any, **options: Any) -> LatencyTiming:
        if arch.key == KEYS[2]:
            raise KeyboardInterrupt
        return timing(self, arch, target, **options)

    monkeypatch.setattr(LatencyEvaluator, "timing", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measured()
    assert [path.name for path in part.parent.iterdir()] == [part.name]
    monkeypatch.setattr(LatencyEvaluator, "timing", timing)
    asked.clear()
    hardware, _ = measured()
    assert asked == [*KEYS[2:], *KEYS[:3]]
    assert hardware.keys == tuple(KEYS)
    asked.clear()
    again, _ = measured()
    assert asked == KEYS[:3], "until finish() only the repetitions are measured again"
    assert again == hardware


def test_measurements_with_other_settings_are_not_resumed(asked: list[str], part: Path) -> None:
    measured(3)
    begun = part.read_bytes()
    for changes, difference in (
        ({"spec": LatencySpec(batch=4)}, "batch was 1, is now 4"),
        ({"target": HardwareTarget(runtime="torch")}, "runtime was 'onnxruntime', is now 'torch'"),
        ({"space": get_space("nasbench201", "channels=8,cells=1")}, "skeleton was 'channels=4,cells=1'"),
        ({"task": get_task("imagenet16-120")}, r"input_shape was \[3, 32, 32\], is now \[3, 16, 16\]"),
    ):
        with pytest.raises(
            StudyError, match=f"unfinished measurements with other settings: {difference}.*start over with `replace`"
        ):
            measured(**changes)
    assert part.read_bytes() == begun
    asked.clear()
    hardware, _ = measured(3, spec=LatencySpec(batch=4), start_over=True)
    assert asked == [*KEYS[:3], *KEYS[:3]]
    assert hardware.how["batch"] == 4
    asked.clear()
    measured(4, spec=LatencySpec(batch=4), start_over=True)
    assert asked == [KEYS[3], *KEYS[:3]], "starting over can be resumed too"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"measurements": [{}], "how": {}}', '{"measurements": []}', "\0"])
def test_a_damaged_file_of_unfinished_measurements(asked: list[str], part: Path, content: str) -> None:
    part.parent.mkdir(parents=True)
    part.write_text(content)
    with pytest.raises(StudyError, match="with unfinished measurements, is damaged; start over with `replace`"):
        measured(3)
    assert measured(3, start_over=True)[0].keys == tuple(KEYS[:3])


def test_more_archs_are_added_to_stored_ones(asked: list[str]) -> None:
    first, _ = measured(3)
    store.add(first)
    finish(first)
    asked.clear()
    second, _ = measured(5, before=first)
    assert asked == [*KEYS[3:5], *KEYS[3:5]]
    assert second.measurements[:3] == first.measurements
    assert len(second.measurements) == 5
    asked.clear()
    finish(second)
    assert measured(5, before=second) == (second, None)
    assert asked == []


def test_nothing_is_measured_that_cannot_be_merged(asked: list[str], part: Path) -> None:
    first, _ = measured(3)
    finish(first)
    with pytest.raises(StudyError, match="hardware 'mine' was measured with other settings: threads was 1, is now 2"):
        measured(target=HardwareTarget(threads=2), before=first)
    assert asked == [*KEYS[:3], *KEYS[:3]]
    assert list(part.parent.iterdir()) == []


def test_unsupported_tasks_and_machines(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInputError, match="measuring latency needs images"):
        measured(task=get_task("cora"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InvalidInputError, match="torch finds no CUDA device here"):
        measured(target=HardwareTarget("cuda", "torch"))
    assert not part.parent.exists()


def test_measurements_of_earlier_versions_take_more(asked: list[str], part: Path) -> None:
    """They count runs, and call the precision dtype; both were the settings that are the defaults now."""
    first, _ = measured(3)
    store.add(first)
    finish(first)
    path = store.path_of("nasbench201", "mine")
    document = json.loads(path.read_text())
    document["how"] = {"warmup": 10, "repeats": 50, "dtype": document["how"].pop("precision"), **document["how"]}
    for row in document["measurements"]:
        del row["p90_ms"], row["runs"]
    path.write_text(json.dumps(document))
    before = store.load("nasbench201", "mine")
    assert before.measurements[0].p90_ms is None
    more, _ = measured(5, before=before)
    assert len(more.measurements) == 5
    document["how"]["runtime"] = "cuda"
    path.write_text(json.dumps(document))
    assert store.load("nasbench201", "mine").how["runtime"] == "torch"
