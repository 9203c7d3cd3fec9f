"""What gennas 0.2.0 wrote still loads: studies, trained networks, a device, a checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gennas.checkpoint import Checkpoint
from gennas.cli.main import main
from gennas.graph import GraphBatch
from gennas.hardware import store
from gennas.spaces import get_space
from gennas.studies.formats import FORMAT
from gennas.studies.observations import read_evaluated
from gennas.studies.study import Study

GOLDEN = Path(__file__).parent / "data" / "golden_0_2"
TRAINED = {
    "|avg_pool_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|skip_connect~1|none~2|",
    "|nor_conv_1x1~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|nor_conv_1x1~0|skip_connect~1|avg_pool_3x3~2|",
    "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|nor_conv_3x3~2|",
}


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "golden"))


def test_rows_of_a_search_with_trainings(golden: Path) -> None:
    study = Study(golden / "trained")
    frame = study.frame()
    assert set(frame["arch"]) == TRAINED
    assert len(frame) == 15
    (accuracy,) = study.find(arch=min(TRAINED), metric="accuracy@digits") or [None]
    assert accuracy is not None
    assert (accuracy.source, accuracy.fidelity, accuracy.recipe) == ("trained", 2, "e1f26d274e51")
    assert study.config["recipe"]["epochs"] == 2
    assert [one.number for one in study.proposals()] == [0, 1, 2]
    found = read_evaluated(golden / "trained", get_space("nasbench201"), "digits")
    assert {arch.key for arch in found.archs} == TRAINED


def test_a_table_search_is_resumed_with_a_larger_budget(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = golden / "study"
    before = Study(out)
    old = [(one.number, one.arch, one.proposed_by) for one in before.proposals()]
    rows = before.frame().values.tolist()
    command = (
        "search --table nasbench_graph --space nasbench_graph --task cora --prior none --options first=5 --budget 18"
    )
    words = [*command.split(), "--objective", "accuracy, -latency_ms@gpu-cora", "--out", str(out)]
    assert main(words) == 0, capsys.readouterr().err
    after = Study(out)
    proposed = [(one.number, one.arch, one.proposed_by) for one in after.proposals()]
    assert proposed[:15] == old
    assert [number for number, *_ in proposed] == list(range(18))
    assert len({arch for _, arch, _ in proposed}) == 18
    assert after.frame().values.tolist()[:75] == rows
    for _, arch, _ in proposed[15:]:
        assert {row.metric for row in after.find(arch=arch)} >= {"accuracy@cora", "latency_ms@gpu-cora", "params_m"}
    assert (out / "config.yaml").read_text().startswith(f"format: {FORMAT}\n")


def test_a_validation_is_trained_again_as_its_accuracy_was_read_from_unsettled_batch_norm(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = golden / "validated"
    rows = Study(out).frame().values.tolist()
    (document,) = (out / "networks").glob("*/arch.json")
    key = json.loads(document.read_text())["key"]
    command = "validate --task digits --image-size 8 --skeleton channels=4,cells=1 --recipe.epochs 2 --format json"
    for reused in (False, True):
        assert main([*command.split(), "--out", str(out), key]) == 0, capsys.readouterr().err
        (entry,) = json.loads(capsys.readouterr().out)["archs"]
        assert entry["reused"] is reused
        assert entry["measured"]["accuracy@digits"] != 0.6072423398328691
    after = Study(out).frame()
    # Nothing that was computed is lost: the old rows are told apart by their recipe.
    assert after.values.tolist()[: len(rows)] == rows
    assert after[after["metric"] == "accuracy@digits"]["recipe"].nunique() == 2


def test_the_device_is_loaded(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENNAS_HOME", str(tmp_path / "home"))
    path = store.path_of("nasbench201", "golden")
    path.parent.mkdir(parents=True)
    shutil.copy(golden / "hardware.json", path)
    assert store.names("nasbench201") == ("golden",)
    hardware = store.load("nasbench201", "golden")
    assert len(hardware.measurements) == len(json.loads((golden / "hardware.json").read_text())["measurements"])
    assert hardware.measurements[0].latency_ms == 10.0
    assert hardware.skeleton == "channels=16,cells=5"


def test_the_checkpoint_draws_and_predicts(golden: Path) -> None:
    checkpoint = Checkpoint(golden / "checkpoint")
    assert checkpoint.parts == ("generator", "predictor")
    archs = checkpoint.generator().sample(20, seed=0).archs
    assert archs
    assert all(not checkpoint.space.problems(arch) for arch in archs)
    predictor = checkpoint.predictor
    assert predictor.metrics == ("accuracy@cifar10", "accuracy@cifar100", "latency_ms@cpu")
    with torch.no_grad():
        mean, std = predictor(GraphBatch.from_archs(archs, checkpoint.space.template))
    assert mean.shape == std.shape == (len(archs), 3)
    assert np.isfinite(mean.numpy()).all()
    assert (std > 0).all()
