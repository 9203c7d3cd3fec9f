"""Distillation: the loss against its closed form, and what can be a teacher."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from gennas.errors import InvalidInputError
from gennas.evaluators.train import TrainEvaluator
from gennas.spaces import get_space
from gennas.tasks import get_task
from gennas.training.batches import Normalisation
from gennas.training.quality import accuracy
from gennas.training.recipe import Recipe
from gennas.training.teacher import distillation_loss, load_teacher

KEY = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
SPACE = get_space("nasbench201", "channels=4,cells=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network trained on digits of 16x16 pixels."""
    evaluator = TrainEvaluator(SPACE, Recipe(epochs=4), tmp_path_factory.mktemp("teacher"), lambda line: None)
    evaluator.evaluate(SPACE.parse(KEY), task=get_task("digits", image_size=16))
    return evaluator.network_folder(SPACE.parse(KEY))


def test_the_loss_is_the_divergence_of_softened_answers() -> None:
    rng = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 5, 3, generator=rng)
    p, q = (teacher / 4).softmax(1), (student / 4).softmax(1)
    expected = 16 * (p * (p / q).log()).sum(1).mean()
    assert torch.allclose(distillation_loss(student, teacher, 4.0), expected)
    assert float(distillation_loss(teacher + 3, teacher, 4.0)) == pytest.approx(0, abs=1e-6)


def test_a_teacher_sees_a_students_images_as_its_own(folder: Path) -> None:
    small, large = get_task("digits", image_size=8), get_task("digits", image_size=16)
    its_own = load_teacher(folder, large, Normalisation(large.splits().train))
    splits = large.splits()
    images = Normalisation(splits.train)(torch.from_numpy(splits.val.images))
    found = float((its_own(images).argmax(1) == torch.from_numpy(splits.val.labels)).float().mean())
    facts = json.loads((folder / "arch.json").read_text())
    assert found == pytest.approx(facts["metrics"]["accuracy@digits"], abs=0.003)
    # Of another resolution and other statistics.
    foreign = Normalisation(small.splits().train)
    foreign.mean, foreign.std = foreign.mean + 0.2, foreign.std * 3
    other = load_teacher(folder, small, foreign)
    images = foreign(torch.from_numpy(small.splits().val.images))
    answers = other(images)
    assert float((answers.argmax(1) == torch.from_numpy(small.splits().val.labels)).float().mean()) > 0.6
    usual = load_teacher(folder, small, Normalisation(small.splits().train))
    images = Normalisation(small.splits().train)(torch.from_numpy(small.splits().val.images))
    assert torch.allclose(usual(images), answers, atol=1e-3)
    assert not any(weight.requires_grad for weight in other.parameters())
    assert not other.train().training


def test_a_student_that_only_listens_answers_as_its_teacher(folder: Path, tmp_path: Path) -> None:
    """Labels have no weight: what is learnt comes from the teacher."""
    task = get_task("digits", image_size=16)
    recipe = replace(Recipe(epochs=4), teacher=str(folder), teacher_weight=1.0)
    evaluator = TrainEvaluator(SPACE, recipe, tmp_path, lambda line: None)
    arch = SPACE.parse(KEY)
    evaluator.evaluate(arch, task=task)
    teacher = load_teacher(folder, task, Normalisation(task.splits().train))
    student = load_teacher(evaluator.network_folder(arch), task, Normalisation(task.splits().train))
    images = Normalisation(task.splits().train)(torch.from_numpy(task.splits().val.images))
    agreement = (student(images).argmax(1) == teacher(images).argmax(1)).float().mean()
    assert float(agreement) > 0.7
    entropy = float(functional.cross_entropy(teacher(images), teacher(images).softmax(1)))
    assert float(functional.cross_entropy(student(images), teacher(images).softmax(1))) < entropy + 0.2
    assert accuracy(student.network, task.splits().val, Normalisation(task.splits().train)) > 0.6
    facts = json.loads((evaluator.network_folder(arch) / "arch.json").read_text())
    assert facts["recipe"]["teacher"] == str(folder)


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        ("facts", "does not hold a trained network"),
        ("weights", "does not hold a trained network"),
        ("classes", "tells 7 classes apart"),
        ("names", "tells 10 classes apart"),
        ("channels", "reads images of 1 channels, not 3"),
    ],
)
def test_what_cannot_teach(defect: str, message: str, folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "teacher"))
    path = copy / "arch.json"
    facts = json.loads(path.read_text())
    if defect == "facts":
        path.write_text("{}")
    elif defect == "weights":
        (copy / "network.safetensors").write_bytes(b"x" * 40)
    elif defect == "classes":
        path.write_text(json.dumps({**facts, "num_classes": 7, "class_names": []}))
    elif defect == "names":
        path.write_text(json.dumps({**facts, "class_names": list("abcdefghij")}))
    else:
        one = get_space("nasbench201", "channels=4,cells=1")
        grey = replace(get_task("digits", image_size=16), input_shape=(1, 16, 16), source=None)
        from gennas.files import write_safetensors

        write_safetensors(copy / "network.safetensors", one.build(one.parse(KEY), grey).state_dict())
        path.write_text(json.dumps({**facts, "input_shape": [1, 16, 16]}))
    task = get_task("digits", image_size=16)
    with pytest.raises(InvalidInputError) as caught:
        load_teacher(copy, task, Normalisation(task.splits().train))
    assert message in str(caught.value)
    assert str(caught.value).startswith("recipe.teacher is ")
    assert "expected the folder of a network trained on this task" in str(caught.value)


def test_a_teacher_answers_to_the_views_that_a_student_sees(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "teacher")
    small = get_task("digits", image_size=8)
    recipe = Recipe(epochs=3, views=2, teacher=str(tmp_path / "teacher"), teacher_weight=0.9)
    lines: list[str] = []
    evaluator = TrainEvaluator(SPACE, recipe, tmp_path / "networks", lines.append)
    metrics = evaluator.evaluate(SPACE.parse(KEY), task=small)
    assert metrics["accuracy@digits"] > 0.4
    (answers,) = (tmp_path / "teacher" / "answers").iterdir()
    assert load_file(answers)["logits"].shape == (2, len(small.splits().train), 10)
    assert recipe.hash != replace(recipe, views=0).hash
