"""Where the images of a run are is noted, tried, and believed only where the images are the study's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gennas.errors import InvalidInputError, StudyError
from gennas.report.run import Run
from gennas.search.settings import Storage
from gennas.studies.image_place import IMAGES, note_images, noted_task
from gennas.studies.networks import StudyNetworks, study_task
from gennas.studies.records import Evaluation
from gennas.studies.study import Study
from gennas.tasks import get_task

KEY = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(6):
            pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{index}.png")
    return tmp_path / "pets"


@pytest.fixture
def run(tmp_path: Path, images: Path) -> Path:
    task = get_task(str(images), image_size=8)
    config = {
        "space": {"name": "nasbench201", "skeleton": {"channels": 4, "cells": 1}},
        "task": {"name": "pets", "input_shape": [3, 8, 8], "images": task.splits().fingerprint},
        "objective": "accuracy@pets",
    }
    row = Evaluation(
        arch=KEY, space="nasbench201", task="pets", metric="accuracy@pets", value=0.5, source="trained", hardware="",
        seed=0, fidelity=1, seconds=1.0, recipe="r",
    )  # fmt: skip
    with Storage(tmp_path / "run").open(config, [task]) as study:
        study.add([row])
    return tmp_path / "run"


def test_the_task_is_found_from_any_folder(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder of the same name with other images must not be taken for it.
    other = tmp_path / "elsewhere"
    shutil.copytree(images / "cat", other / "pets" / "cat")
    shutil.copytree(images / "cat", other / "pets" / "dog")
    monkeypatch.chdir(other)
    with Study(run) as study:
        assert study_task(study, None).source.path == images
    assert Run.read(run).task.splits().fingerprint == get_task(str(images), image_size=8).splits().fingerprint


def test_renamed_images_have_the_name_that_the_study_knows(run: Path, images: Path) -> None:
    renamed = images.rename(images.with_name("animals"))
    with Study(run) as study:
        task = study_task(study, str(renamed))
        assert (task.name, task.source.path) == ("pets", renamed)
        assert StudyNetworks(study, get_task(str(renamed), image_size=8)).task.name == "pets"
    assert Run.read(run, task=str(renamed)).task.name == "pets"
    config = Study(run).config
    with pytest.raises(StudyError, match="under the name 'pets', and they are called 'animals' now; call them 'pets'"):
        Storage(run).open({**config, "task": {**config["task"], "name": "animals"}})


def test_renamed_images_of_a_further_task_are_found_at_their_size(run: Path, images: Path, tmp_path: Path) -> None:
    first = {"name": "digits", "input_shape": [3, 12, 12], "images": "others"}
    config = {**Study(run).config, "task": first, "others": {"pets": Study(run).config["task"]}}
    renamed = images.rename(images.with_name("animals"))
    with Storage(tmp_path / "two").open(config) as study:
        task = study_task(study, str(renamed))
    assert (task.name, task.input_shape) == ("pets", (3, 8, 8))


def test_a_task_of_another_size_is_refused_in_words(run: Path, images: Path) -> None:
    with Study(run) as study, pytest.raises(InvalidInputError, match=r"inputs of 3x12x12, but .* 3x8x8; give"):
        StudyNetworks(study, get_task(str(images), image_size=12))


def test_other_images_are_not_believed(run: Path, images: Path) -> None:
    Image.new("RGB", (8, 8)).save(images / "cat" / "0.png")
    assert noted_task(run, Study(run).config) is None
    with Study(run) as study, pytest.raises(InvalidInputError, match="Give their folder"):
        study_task(study, None)


@pytest.mark.parametrize("text", ["", "[", "path: [1]", "path: pets", "path: /nowhere/at/all", "path: /", "- 1"])
def test_a_damaged_note_is_none(run: Path, text: str) -> None:
    (run / IMAGES).write_text(text)
    assert noted_task(run, Study(run).config) is None


def test_tasks_with_a_name_need_no_note(tmp_path: Path) -> None:
    note_images(tmp_path, get_task("digits"))
    assert not list(tmp_path.iterdir())
