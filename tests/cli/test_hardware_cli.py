"""`gennas hardware`: what it stores and says, around a stand-in for the few-shot predictor."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.cli.listing import hardware
from gennas.cli.main import main
from gennas.evaluators.latency import LatencyEvaluator
from gennas.graph import GraphBatch
from gennas.hardware import store
from gennas.hardware.measure import LatencyTiming
from gennas.hardware.target import HardwareTarget
from gennas.predictors.base import Predictor
from gennas.spaces import Space, get_space
from gennas.tasks import get_task

SPACE, CIFAR10 = get_space("nasbench201"), get_task("cifar10")
ARCHS = [SPACE.sample(np.random.default_rng(seed)) for seed in range(8)]
KEYS = [arch.key for arch in ARCHS]
LATENCIES = [3 + SPACE.costs(arch, CIFAR10)["macs_m"] / 10 for arch in ARCHS]


class Line(Predictor):
    """The latency as a straight line over the number of convolutions."""

    def __init__(self, base: Predictor, name: str, slope: float, start: float) -> None:
        super().__init__()
        self.metrics, self.scores, self.base = (*base.metrics, f"latency_ms@{name}"), base.scores, base
        self.slope, self.start = slope, start

    def score_choices(self, graph: GraphBatch, decisions: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def noise(self) -> Tensor:
        raise NotImplementedError

    def forward(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        mean, std = self.base(graph)
        latency = self.start + self.slope * convolutions(graph.ops)[:, None]
        return torch.cat([mean, latency], 1), torch.cat([std, torch.ones_like(latency)], 1)


def convolutions(ops: Tensor) -> Tensor:
    return torch.stack([(ops == SPACE.template.vocabulary.index(f"nor_conv_{k}x{k}")).sum(1) for k in (1, 3)]).sum(0)


@dataclass(frozen=True)
class Report:
    archs: int
    spearman: float
    relative_error: float
    advice: str


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and a stand-in for what learns devices."""

    def adapt_hardware(
        predictor: Predictor, space: Space, name: str, archs: Sequence[Arch], latency_ms: np.ndarray
    ) -> tuple[Predictor, Report]:
        x = convolutions(GraphBatch.from_archs(archs, space.template).ops).numpy()
        slope, start = np.polyfit(x, latency_ms, 1)
        few = len(archs) < 5
        report = Report(len(archs), float("nan") if few else 0.9, 0.125, "measure 5 more archs." if few else "")
        return Line(predictor, name, float(slope), float(start)), report

    def informative_archs(predictor: Predictor, space: Space, n: int, *, seed: int) -> list[Arch]:
        return ARCHS[:n] if seed == 0 else ARCHS[-n:]

    module = ModuleType("gennas.predictors.few_shot")
    vars(module).update(adapt_hardware=adapt_hardware, informative_archs=informative_archs)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self, *words: str) -> None:
        assert self.code == 2, self.err
        assert self.out == ""
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err


@pytest.fixture
def gennas(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: object) -> Ran:
        capsys.readouterr()
        try:
            code = main(["hardware", *(str(word) for word in words)])
        except SystemExit as stop:  # how argparse ends
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def add(gennas: Any, tiny_checkpoint: Path) -> Any:
    return lambda *words: gennas("add", *words, "--checkpoint", tiny_checkpoint, "--format", "json")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return written(tmp_path / "rows.csv", LATENCIES)


def written(path: Path, latencies: Sequence[object], keys: Sequence[str] = KEYS) -> Path:
    lines = [f"{key},{latency}" for key, latency in zip(keys, latencies, strict=False)]
    path.write_text("\n".join(["key,latency_ms", *lines]))
    return path


def files(home: Path) -> list[str]:
    """Everything that is there, hidden or not, but for what holds locks."""
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_device_from_a_file(add: Any, rows: Path, home: Path, tmp_path: Path) -> None:
    ran = add("my-phone", "--csv", rows, "--out", tmp_path / "report.json")
    document = ran.document
    assert json.loads((tmp_path / "report.json").read_text()) == {"made_by": "gennas hardware add", **document}
    device, path = document["hardware"], home / "hardware" / "nasbench201" / "my-phone.json"
    assert device["file"] == str(path)
    assert (device["measurements"], device["new"], device["repeatability"]) == (8, 8, None)
    assert (device["skeleton"], device["input_shape"]) == ("channels=16,cells=5", None)
    assert document["few_shot"] == {"archs": 8, "spearman": 0.9, "relative_error": 0.125, "advice": ""}
    assert 0 < document["predicted"]["smallest_ms"] < document["predicted"]["largest_ms"]
    assert document["predicted"]["spearman_macs_m"] > 0.3
    assert document["notes"] == []
    assert files(home) == ["hardware/nasbench201/my-phone.json"]
    stored = store.load("nasbench201", "my-phone")
    assert stored.keys == tuple(KEYS)
    assert stored.latency_ms.tolist() == LATENCIES
    assert f"wrote {path}" in ran.err
    assert "next: gennas generate --task cifar10 --hardware my-phone --where" in ran.err
    assert add("my-phone", "--csv", rows, "--out", tmp_path / "report.json").document["hardware"]["new"] == 0


def test_a_table_for_people(gennas: Any, rows: Path, tiny_checkpoint: Path) -> None:
    ran = gennas("add", "mine", "--csv", rows, "--checkpoint", tiny_checkpoint)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("hardware mine of nasbench201")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    for line in (
        "archs measured 8",
        "rank correlation, leave-one-out 0.9",
        "median relative error, leave-one-out 0.125",
    ):
        assert line in lines
    assert "measured twice" not in ran.out


def test_few_measurements_are_advised_on(add: Any, tmp_path: Path) -> None:
    document = add("mine", "--csv", written(tmp_path / "rows.csv", LATENCIES[:3])).document
    assert document["few_shot"]["spearman"] is None, "JSON has no NaN"
    assert document["notes"] == ["measure 5 more archs."]
    more = written(tmp_path / "more.csv", LATENCIES[3:], KEYS[3:])
    document = add("mine", "--csv", more).document
    assert (document["hardware"]["measurements"], document["hardware"]["new"]) == (8, 5)
    assert document["few_shot"]["archs"] == 8
    assert document["notes"] == []


def test_larger_networks_that_run_faster_are_noted(add: Any, tmp_path: Path) -> None:
    document = add("mine", "--csv", written(tmp_path / "rows.csv", [1000 / latency for latency in LATENCIES])).document
    (note,) = document["notes"]
    assert "larger networks are predicted to run faster (rank correlation of latency and macs_m -0." in note


def test_measurements_that_determine_nothing_are_not_stored(add: Any, home: Path, tmp_path: Path) -> None:
    falling = [{0: 90.0, 1: 30.0}.get(key.count("conv"), 0.001) for key in KEYS]
    ran = add("mine", "--csv", written(tmp_path / "rows.csv", falling), "--unit", "ms")
    ran.refused("predicts a non-positive latency for ", "random archs, e.g. ", "hardware choose")
    assert files(home) == []


@pytest.mark.parametrize("latency", ["nan", "-1", "", "x", "1e9"])
@pytest.mark.parametrize("existing", [False, True])
def test_after_bad_rows_everything_is_as_before(
    add: Any, home: Path, rows: Path, tmp_path: Path, latency: str, existing: bool
) -> None:
    if existing:
        assert add("mine", "--csv", rows).code == 0
    before = {name: (home / name).read_bytes() for name in files(home)}
    out = tmp_path / "report.json"
    ran = add("mine", "--csv", written(tmp_path / "bad.csv", [*LATENCIES[:3], latency]), "--out", out)
    ran.refused("bad.csv has 1 invalid row", "line 5: ")
    assert {name: (home / name).read_bytes() for name in files(home)} == before
    assert not out.exists()


def test_other_values_for_the_same_archs(add: Any, rows: Path, tmp_path: Path, home: Path) -> None:
    assert add("mine", "--csv", rows).code == 0
    other = written(tmp_path / "other.csv", [latency + 1 for latency in LATENCIES])
    add("mine", "--csv", other).refused("other.csv has 8 invalid rows", "line 2: ", "and 3 more", "--replace")
    assert store.load("nasbench201", "mine").latency_ms.tolist() == LATENCIES
    assert add("mine", "--csv", other, "--replace").document["hardware"]["new"] == 8
    assert store.load("nasbench201", "mine").latency_ms.tolist() == [latency + 1 for latency in LATENCIES]
    assert files(home) == ["hardware/nasbench201/mine.json"]


def test_a_damaged_hardware_is_replaced_when_asked(add: Any, rows: Path, home: Path) -> None:
    path = home / "hardware" / "nasbench201" / "mine.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    add("mine", "--csv", rows).refused("is damaged", "--replace")
    assert path.read_text() == "{"
    assert add("mine", "--csv", rows, "--replace").document["hardware"]["measurements"] == 8


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mine"], ["no measurements were given; expected either a file", "(--csv)", "(--measure)"]),
        (["mine", "--csv", "rows.csv", "--measure"], ["both --csv and --measure were given"]),
        (
            ["mine", "--csv", "rows.csv", "--target", "cpu-torch", "--count", 5],
            ["--target, --count only apply to --measure, not to --csv "],
        ),
        (["a/b", "--csv", "rows.csv"], ["'a/b' is not a valid hardware name"]),
        (["cpu", "--csv", "rows.csv"], ["hardware 'cpu' is this machine", "Choose another name"]),
        (["cpu", "--measure"], ["hardware 'cpu' already exists: table 'nasbench201'", "Choose another name"]),
        (["pixel3", "--csv", "rows.csv"], ["hardware 'pixel3' already exists: table 'nasbench201' has its latencies"]),
        (["mine", "--csv", "none.csv"], ["--csv none.csv cannot be read"]),
        (["mine", "--csv", "rows.csv", "--space", "nasbench101"], ["is of space 'nasbench201', not 'nasbench101'"]),
        (["mine", "--csv", "rows.csv", "--space", "nasbench20"], ["Did you mean 'nasbench201'?"]),
        (["mine", "--csv", "rows.csv", "--task", "cifar"], ["unknown task 'cifar'"]),
        (["mine", "--csv", "rows.csv", "--skeleton", "cell=3"], ["unknown skeleton setting"]),
        (["mine", "--measure", "--count", 2], ["--count is 2; must be at least 3"]),
        (["mine", "--measure", "--batch", 0], ["--batch is 0; must be an integer >= 1"]),
        (
            ["mine", "--measure", "--target", "cpu-float16"],
            ["--target is 'cpu-float16'; expected cpu or cuda, followed"],
        ),
        (["cpu-int8", "--measure", "--target", "cpu"], ["--target is 'cpu', but the hardware is called 'cpu-int8'"]),
        (["cpu-int8", "--csv", "rows.csv"], ["hardware 'cpu-int8' is this machine", "Choose another name"]),
        (["mine", "--measure", "--task", "cora"], ["needs images"]),
        (["mine", "--csv", "rows.csv", "--out", "rows.csv"], ["--out rows.csv already exists and is not a result"]),
    ],
)
def test_bad_options(
    add: Any, home: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, words: list[object], told: list[str]
) -> None:
    monkeypatch.chdir(rows.parent)
    content = rows.read_bytes()
    add(*words).refused(*told)
    assert files(home) == []
    assert rows.read_bytes() == content


def test_this_machine(add: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def timing(self: Any, arch: Arch, target: HardwareTarget, *, task: Any, seed: int = 0) -> LatencyTiming:
        calls.append(arch.key)
        assert (target.name, self.space.skeleton) == ("cpu-torch-2threads", {"channels": 16, "cells": 5})
        median = LATENCIES[KEYS.index(arch.key)] * (1.5 if calls.count(arch.key) > 1 else 1)
        disturbance = "other programs used 1.5 of 2 cores" if arch.key == KEYS[1] else ""
        return LatencyTiming(median, median - 0.5, median + 0.5, median + 1, 20, disturbance)

    monkeypatch.setattr(LatencyEvaluator, "timing", timing)
    words = ["here", "--measure", "--target", "cpu-torch-2threads", "--count", 5]
    document = add(*words).document
    assert calls == [*KEYS[:5], *KEYS[:3]]
    device = document["hardware"]
    assert (device["measurements"], device["new"], device["input_shape"]) == (5, 5, [3, 32, 32])
    assert device["repeatability"] == pytest.approx(0.5)
    assert "archs measured twice differ by 50%: this machine was busy" in document["notes"][0]
    assert files(home) == ["hardware/nasbench201/here.json"]
    first = store.load("nasbench201", "here").measurements[0]
    assert first.quartiles_ms == (first.latency_ms - 0.5, first.latency_ms + 0.5)
    assert (first.p90_ms, first.runs, first.disturbance) == (first.latency_ms + 1, 20, "")
    calls.clear()
    document = add(*words).document
    assert calls == []
    assert "all 5 archs were already measured; raise --count to measure more." in document["notes"]
    assert document["hardware"]["new"] == 0
    more = add(*words[:-1], 7).document
    assert more["hardware"]["new"] == 2
    busy = "1 of 7 archs were measured while the machine was busy (other programs used 1.5 of 2 cores)"
    assert any(note.startswith(busy) for note in more["notes"])
    add("here", "--measure").refused("runtime was 'torch', is now 'onnxruntime'; threads was 2, is now 1")
    assert files(home) == ["hardware/nasbench201/here.json"]
    (row,) = (row for row in hardware() if row["name"] == "here")
    assert row["measured"].startswith("7 archs (torch float32, threads 2, batch 1, machine ")


def test_measurements_that_cannot_be_used_yet_are_not_lost(
    add: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may just be too few: the next call measures only what is missing."""
    calls: list[str] = []

    def timing(self: Any, arch: Arch, target: HardwareTarget, *, task: Any, seed: int = 0) -> LatencyTiming:
        calls.append(arch.key)
        median = 5.0 if arch.key in KEYS[:3] else LATENCIES[KEYS.index(arch.key)]
        return LatencyTiming(median, median, median, median, 20)

    monkeypatch.setattr(LatencyEvaluator, "timing", timing)
    add("here", "--measure", "--count", 3).refused("hardware 'here': all 3 archs have the same latency, 5 ms")
    assert files(home) == ["hardware/nasbench201/here.part.json"]
    calls.clear()
    assert add("here", "--measure", "--count", 8).document["hardware"]["measurements"] == 8
    assert calls == [*KEYS[3:], *KEYS[:3]]
    assert files(home) == ["hardware/nasbench201/here.json"]


def test_choices(gennas: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "keys.csv"
    words = ["choose", "--checkpoint", tiny_checkpoint, "--format", "json"]
    ran = gennas(*words, "-n", 4, "--out", out)
    assert [entry["key"] for entry in ran.document["archs"]] == KEYS[:4]
    assert out.read_text().splitlines() == ["key,latency_ms", *(f"{key}," for key in KEYS[:4])]
    assert "channels=16,cells=5; images of 3x32x32" in ran.document["notes"][0]
    assert f"next: gennas hardware add NAME --csv {out}" in ran.err
    assert len(gennas(*words).document["archs"]) == 8
    gennas(*words, "-n", 2).refused("-n is 2; expected at least 3 archs")
    assert gennas(*words, "-n", 5, "--out", out).code == 0, "a template that nobody has filled in is replaced"
    out.write_text(out.read_text().replace(f"{KEYS[0]},", f"{KEYS[0]},5"))
    gennas(*words, "-n", 5, "--out", out).refused("already exists and may hold measurements")


def test_a_choice_that_ignores_its_input_is_explained(
    gennas: Any, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constant = SPACE.parse("|none~0|+|none~0|nor_conv_3x3~1|+|none~0|skip_connect~1|none~2|")
    monkeypatch.setattr(
        sys.modules["gennas.predictors.few_shot"], "informative_archs", lambda *_, **__: [*ARCHS[:3], constant]
    )
    ran = gennas("choose", "--checkpoint", tiny_checkpoint, "-n", 4, "--format", "json")
    assert [note for note in ran.document["notes"] if "ignores its input" in note] == [
        f"{constant.key} ignores its input; measure it anyway: it shows whether the device skips operations without "
        "effect."
    ]
    assert not any(SPACE.is_constant(arch) for arch in ARCHS)


def test_removing(gennas: Any, add: Any, rows: Path, home: Path) -> None:
    assert add("mine", "--csv", rows).code == 0
    gennas("remove", "mime").refused("unknown stored hardware for nasbench201 'mime'. Did you mean 'mine'?")
    ran = gennas("remove", "mine", "--format", "json")
    assert ran.document == {"removed": [str(home / "hardware" / "nasbench201" / "mine.json")]}
    assert files(home) == []
    gennas("remove", "mine").refused("Known: none")


def test_listing(add: Any, rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def listed() -> list[dict[str, str]]:
        capsys.readouterr()
        assert main(["list", "hardware", "--format", "json"]) == 0
        found: list[dict[str, str]] = json.loads(capsys.readouterr().out)["hardware"]
        return [row for row in found if row["name"] == "mine"]

    assert listed() == []
    path = Path(add("mine", "--csv", rows).document["hardware"]["file"])
    expected = {"name": "mine", "metric": "latency_ms", "space": "nasbench201", "measured": f"8 archs ({rows})"}
    assert listed() == [expected]
    path.write_text("[" * 100_000)
    (damaged,) = listed()
    assert f"{path} is damaged: it is nested too deeply" in damaged["problem"]


def test_two_commands_at_once_lose_nothing(
    add: Any, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one stores its rows after the first has read what is there."""
    first, second = written(tmp_path / "a.csv", LATENCIES[:6]), written(tmp_path / "b.csv", LATENCIES[1:], KEYS[1:])
    read = store.content

    def other_command(space: str, name: str) -> bytes | None:
        content = read(space, name)
        monkeypatch.setattr(store, "content", read)
        assert add("mine", "--csv", second).code == 0
        return content

    monkeypatch.setattr(store, "content", other_command)
    add("mine", "--csv", first).refused("another process has changed hardware 'mine' in the meantime")
    assert store.load("nasbench201", "mine").keys == tuple(KEYS[1:])
    assert add("mine", "--csv", first).document["hardware"]["measurements"] == 8


def test_a_damaged_checkpoint_does_not_keep_others_from_being_listed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in {
        "deep": "[" * 100_000,
        "list": '{"format": 1, "metrics": [[]]}',
        "no": '{"format": 1, "metrics": 5}',
    }.items():
        folder = home / "checkpoints" / name / "predictor"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(content)
    capsys.readouterr()
    assert main(["list", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["hardware"]
    problems = {row["checkpoint"]: row["problem"] for row in found if "problem" in row}
    assert set(problems) >= {"deep", "no"}
    assert "nested too deeply" in problems["deep"]
    assert any(row.get("name") == "pixel3" for row in found)
