"""Deployment here: what is checked before anything is trained, and what is said of the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gennas.checkpoint import Checkpoint
from gennas.errors import InfeasibleError, UnknownNameError
from gennas.evaluators import deployed, task_calibration
from gennas.evaluators.deployed import deployed_here
from gennas.generation.pipeline import generate_archs
from gennas.predictors.meta.applied import AccuracyForecast
from gennas.predictors.transfer import Evaluated
from gennas.problem import Problem
from gennas.spaces import get_space
from gennas.tasks import Task, get_task

NB201 = get_space("nasbench201", "channels=8,cells=1")


@pytest.fixture
def photos(tmp_path: Path) -> Task:
    """Noise, every image five times, and a file that is none."""
    for label in ("left", "right"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(15):
            image = np.random.default_rng([number % 3, len(label)]).integers(0, 255, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / "photos" / label / f"{number}.png")
    (tmp_path / "photos" / "left" / "cut.png").write_bytes(b"no image")
    return get_task(str(tmp_path / "photos"), image_size=16)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[AccuracyForecast]:
    """The forecasts for which networks would have been trained."""
    found: list[AccuracyForecast] = []

    def noted(forecast: AccuracyForecast, *words: object) -> AccuracyForecast:
        found.append(forecast)
        return forecast

    monkeypatch.setattr(deployed, "calibrated", noted)
    monkeypatch.setattr(task_calibration, "train_stack", None)
    return found


@pytest.mark.parametrize(
    ("objective", "where", "hardware", "error"),
    [
        (None, (), "pixel33", UnknownNameError),
        ("-energy_mj@eyeriss", (), None, UnknownNameError),
        (None, "latency_ms@pixel33 <= 3", None, UnknownNameError),
        (None, "params_m <= 0.000001", None, InfeasibleError),
    ],
)
def test_what_cannot_be_predicted_is_refused_before_anything_is_trained(
    photos: Task,
    trained: list[AccuracyForecast],
    objective: str | None,
    where: str,
    hardware: str | None,
    error: type[Exception],
) -> None:
    problem = Problem(NB201, photos, objective, where, hardware)
    with pytest.raises(error):
        generate_archs(problem, 1, calibrate="once")
    assert not trained


def test_images_that_a_forecast_rests_on_are_reported(photos: Task, trained: list[AccuracyForecast]) -> None:
    """Copies of one image on both sides make accuracies that mean nothing."""
    _, notes = deployed_here(Checkpoint("nasbench201"), NB201, photos, None, calibrate="once")
    assert len(trained) == 1
    assert sum("1 file skipped" in note for note in notes) == 1
    assert any("held out for validation equal one that is trained on" in note for note in notes)


def test_archs_of_the_users_own_come_after_the_trainings(photos: Task, trained: list[AccuracyForecast]) -> None:
    """In place of them, three archs on 40 images made forecasts wider, and wrong by 0.5."""
    archs = tuple(NB201.sample(np.random.default_rng(seed)) for seed in range(3))
    evaluated = Evaluated(archs, np.array([0.5, 0.6, 0.7]))
    found, _ = deployed_here(Checkpoint("nasbench201"), NB201, photos, None, evaluated=evaluated, calibrate="once")
    (before,) = trained
    assert before.forecast is not None
    assert "evaluated" not in before.note
    assert any("updated by 3 evaluated archs" in note for note in found.notes)
    after = before.after(evaluated).forecast
    assert after is not None
    values = found.values(archs, [f"accuracy@{photos.name}"])
    medians = [value["median"] for one in values if isinstance(value := one[f"accuracy@{photos.name}"], dict)]
    np.testing.assert_allclose(medians, after.interval(archs)[:, 0], atol=0.01)


def test_images_that_nothing_was_read_of_are_reported_as_far_as_they_are_known(
    photos: Task, trained: list[AccuracyForecast]
) -> None:
    _, notes = deployed_here(Checkpoint("nasbench201"), get_space("nasbench201"), photos, None, calibrate="once")
    assert not trained
    assert sum("1 file skipped" in note for note in notes) == 1
