"""Ensembles: which networks are chosen, and whole designs with one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gennas import Problem, design_networks
from gennas.design import Design, tuning
from gennas.design import ensemble as ensemble_module
from gennas.design import handing as handing_module
from gennas.design.choosing import handed_over
from gennas.design.context import Context, Workshop
from gennas.design.ensemble import Ensembling, chosen, diversity
from gennas.design.limits import Limits
from gennas.design.result import Designed
from gennas.design.stages import Reach
from gennas.errors import InvalidInputError
from gennas.evaluators.latency import LatencyEvaluator
from gennas.export.ensemble import MeanOfNetworks
from gennas.export.running import OnnxModel
from gennas.hardware.measure import LatencyTiming
from gennas.studies.records import Evaluation
from gennas.supernets import recalibration
from tests.design_toys import LITTLE, Interrupted, Interruptions, colours
from tests.elastic_spaces import TinyLite


def designed(folder: Path, count: int | None, where: tuple[str, ...] = ("latency_ms <= 1.2",)) -> Design:
    problem = Problem(TinyLite(), colours(), where=where, hardware="cpu")
    return design_networks(problem, 1, study=folder, effort=LITTLE, weights="random", ensemble=count)


def one_hot(*classes: int) -> np.ndarray:
    return 0.05 + 0.85 * np.eye(3)[list(classes)]


def test_those_whose_mean_is_best_are_chosen() -> None:
    labels = np.array([0, 1, 2, 0])
    best, other = one_hot(0, 1, 2, 1), one_hot(1, 1, 2, 0)
    best[3] = other[0] = (0.35, 0.6, 0.05)
    # The other one is as good as the best and its like, but right where they are wrong.
    assert chosen(np.stack([best, best, other]), labels, 2) == [0, 2]
    assert 0 in chosen(np.stack([other, best, best]), labels, 2)
    assert chosen(np.stack([one_hot(1, 1, 1, 1), best]), labels, 1) == [1]
    assert sorted(chosen(np.stack([best, best, other]), labels, 3)) == [0, 1, 2]


def test_diversity() -> None:
    assert diversity(one_hot(0, 1), one_hot(0, 1)) == 0
    assert diversity(np.eye(3), np.roll(np.eye(3), 1, 0)) == 1
    # Of equal means, that with members that differ.
    labels = np.array([0, 0])
    first = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0]])
    same, apart = first.copy(), np.array([[0.9, 0.0, 0.1], [0.9, 0.0, 0.1]])
    assert chosen(np.stack([first, same, apart]), labels, 2) == [0, 2]


def test_limits_are_divided() -> None:
    where = ("latency_ms <= 3", "params_m <= 1.5", "macs_m >= 6")
    own = Limits.of(Problem(TinyLite(), colours(), where=where, hardware="cpu")).divided(3, 0.1)
    assert own.most_ms == pytest.approx(0.9)
    assert [bound.bound for bound in own.costs] == pytest.approx([0.5, 2.0])


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch, timings: list[int]) -> list[int]:
    """As `timings`, also for ensembles: as many members so many milliseconds."""

    def timed(network: MeanOfNetworks, shape: tuple[int, int, int], *_: object) -> LatencyTiming:
        timings.append(sum(weight.numel() for weight in network.parameters()))
        milliseconds = (timings[-1] + len(network.networks) * shape[1] ** 2) / 1e4
        return LatencyTiming(milliseconds, milliseconds, milliseconds, milliseconds, 9)

    monkeypatch.setattr(ensemble_module, "time_network", timed)
    return timings


def test_members_share_what_running_in_turns_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three networks together take 1.8 times the sum of what they take alone: each has a share of a 1.8th."""
    problem = Problem(TinyLite(), colours(), where=("latency_ms <= 1.2",), hardware="cpu")
    context = Context(tmp_path, colours(), Limits.of(problem), LITTLE, 0, "random")
    shop = Workshop(TinyLite(), tmp_path / "parent", context)
    with shop.scores() as study:
        arch = shop.parent_at(16)
        metric = context.limits.metric
        known = Evaluation(
            arch=arch.key,
            space=arch.space,
            task="colours",
            metric=metric,
            value=0.2,
            source=LatencyEvaluator.source,
            seed=0,
        )
        study.add([known])

    def timed(network: MeanOfNetworks, *_: object) -> LatencyTiming:
        count = len(network.networks)
        milliseconds = 0.1 if count == 1 else 0.1 * count * 1.8
        return LatencyTiming(milliseconds, milliseconds, milliseconds, milliseconds, 9)

    monkeypatch.setattr(ensemble_module, "time_network", timed)
    monkeypatch.setattr(ensemble_module, "reach_of", lambda shop: Reach(16, (16,), ()))
    ensembling = Ensembling(3, [shop], context)
    ensembling.expect_reachable()
    assert ensembling.shops[0].context.limits.most_ms == pytest.approx(1.2 / 3 / 1.8)


@pytest.mark.usefixtures("tiny")
def test_a_design_with_an_ensemble_that_is_interrupted(
    tmp_path: Path, together: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a row of its own and one network, and nothing is done twice."""
    stops = Interruptions(monkeypatch)
    done, dies = stops.done, stops.dies
    stops.watch(tuning, "train_network")
    stops.watch(recalibration.Recalibration, "__call__")
    stops.watch(ensemble_module, "chosen")
    stops.watch(ensemble_module, "time_network")
    stops.watch(handing_module, "export_network")
    for name, count in (
        ("__call__", LITTLE.scored + 2),  # while sub-networks for it are scored
        ("train_network", LITTLE.trained + 2),  # while its networks are trained
        ("chosen", 0),
        ("time_network", 2),
        ("export_network", 1),
    ):
        dies[name] = count
        with pytest.raises(Interrupted, match=name):
            designed(tmp_path / "design", 2)
    found = designed(tmp_path / "design", 2)
    (entry,) = (one for one in found if one.kind == "ensemble")
    assert entry.name == "ensemble of 2"
    assert entry.handed_over in (1, 2)
    assert len({arch.key for arch, _ in entry.members}) == 2
    assert entry.latency_ms is not None
    assert entry.latency_ms <= 1.2
    space, task = TinyLite(), colours()
    assert entry.costs["macs_m"] == sum(space.costs(arch, task)["macs_m"] for arch, _ in entry.members)
    assert entry.pixels == max(space.resolution(arch) for arch, _ in entry.members)
    rows = pd.read_parquet(entry.folder / "predictions.parquet").query("split == 'test'")
    assert entry.test == (rows["label"] == rows["predicted"]).mean()
    assert "the mean of 2 networks" in entry.note
    # What is handed over says the same of the test images.
    exported = found.networks[entry.handed_over - 1]
    facts = json.loads((exported / "arch.json").read_text())
    assert facts["key"] == entry.key
    test = space.native_task(entry.arch, task).splits().test
    assert test is not None
    images = (test.images / np.float32(255) - np.array(facts["mean"], np.float32)[:, None, None]) / np.array(
        facts["std"], np.float32
    )[:, None, None]
    told = OnnxModel((exported / "network.onnx").read_bytes(), 1).logits(images.astype(np.float32))
    assert (told.argmax(1) == rows["predicted"]).all()
    np.testing.assert_allclose(np.exp(told).max(1), rows["confidence"], atol=1e-5)
    # The parent, two networks, the baseline, and four for the ensemble.
    assert done["train_network"] <= 1 + LITTLE.trained + 1 + 4
    assert done["__call__"] == 2 * LITTLE.scored
    before = dict(done), len(together)
    again = designed(tmp_path / "design", 2)
    assert again.frame().equals(found.frame())
    assert (dict(done), len(together)) == before
    # A run without it goes on, too.
    assert {one.kind for one in designed(tmp_path / "design", None)} == {"generated", "baseline"}
    assert done["train_network"] == before[0]["train_network"]


@pytest.mark.usefixtures("tiny", "together")
def test_what_is_no_ensemble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInputError, match="ensemble is 1; an ensemble has at least 2 networks"):
        designed(tmp_path / "design", 1)
    assert not (tmp_path / "design").exists()
    with pytest.raises(InvalidInputError, match=r"ensemble is 50;.* the fastest takes 0.\d+ ms.* Ask for fewer"):
        designed(tmp_path / "design", 50)
    monkeypatch.setattr(ensemble_module, "generated_archs", lambda shop, *_: [shop.parent_at(16)])
    ensembling = ensemble_module.Ensembling
    monkeypatch.setattr(ensembling, "expect_reachable", lambda self: self._reaches.append(None))
    monkeypatch.setattr("gennas.design.run.generated_archs", lambda shop, *_: [shop.parent_at(16)])
    with pytest.raises(InvalidInputError, match="ensemble is 2, but only 1 network that differ"):
        designed(tmp_path / "design", 2)


def test_who_asks_for_an_ensemble_gets_it(tmp_path: Path) -> None:
    """Also where it is not among the best; but not where it breaks a limit."""
    rows = {"split": "val", "row": range(4), "label": 0, "predicted": 0, "confidence": 0.9, "label_probability": 0.9}
    pd.DataFrame(rows).to_parquet(tmp_path / "predictions.parquet")
    arch = TinyLite().parent_arch(16)
    single = Designed("generated 1", "generated", arch, 0.9, None, None, 1.0, 16, {}, True, tmp_path)
    members = ((arch, tmp_path), (arch, tmp_path))
    mean = replace(single, name="ensemble of 2", kind="ensemble", accuracy=0.8, members=members)
    found = handed_over([single, mean], 1)
    assert [entry.handed_over for entry in found] == [1, 2]
    assert found[1].note == "the mean of 2 networks; the difference to generated 1 is within chance"
    assert [entry.handed_over for entry in handed_over([single, replace(mean, keeps=False)], 1)] == [1, None]
    assert [entry.handed_over for entry in handed_over([replace(mean, accuracy=0.95), single], 1)] == [1, None]
