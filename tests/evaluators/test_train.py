"""Training: the recipe's checks, batches that a resume repeats, and a resume that ends with the same weights."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gennas.arch import Arch
from gennas.errors import DataMissingError, InvalidInputError
from gennas.evaluators.train import TrainEvaluator
from gennas.spaces import Space, get_space
from gennas.spaces.nasbench201.space import NasBench201
from gennas.tasks import Split, Task, get_task
from gennas.tasks.base import ImageSource, Splits
from gennas.training import fitting
from gennas.training.augmentation import augmented
from gennas.training.batch_norm import settle_batch_norm
from gennas.training.batches import Normalisation, TrainBatches, num_batches
from gennas.training.quality import accuracy
from gennas.training.recipe import Recipe

KEY = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
RECIPE = Recipe(epochs=3, batch_size=128)


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("digits", image_size=8)


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("nasbench201", "channels=4,cells=1")


@pytest.fixture(scope="module")
def arch(space: Space) -> Arch:
    return space.parse(KEY)


class Interrupt(Exception):
    pass


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "network.safetensors")


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("optimiser", "adam", "one of sgd, adamw"),
        ("schedule", "linear", "one of cosine, warmup-stable-decay, constant"),
        ("augmentation", "mixup", "one of none, shift, flip+crop"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", math.nan, "a finite number"),
        ("momentum", 1.0, "in [0, 1)"),
        ("weight_decay", -1.0, "at least 0"),
        ("warmup_epochs", -1.0, "at least 0"),
        ("epochs", 0, "at least 1"),
        ("epochs", 1.5, "an integer"),
        ("batch_size", 1, "at least 2"),
        ("label_smoothing", 1.0, "in [0, 1)"),
        ("seed", -1, "0 to 4294967295"),
    ],
)
def test_recipe_rejects(setting: str, value: object, expected: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        replace(Recipe(), **{setting: value})  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"recipe.{setting} is {value!r}; expected ")
    assert expected in str(caught.value)


def test_every_setting_changes_the_hash() -> None:
    changed: dict[str, object] = {
        "optimiser": "sgd",
        "schedule": "constant",
        "augmentation": "none",
        "learning_rate": 0.011,
        "momentum": 0.5,
        "weight_decay": 0.3,
        "warmup_epochs": 0.7,
        "epochs": 99,
        "batch_size": 17,
        "label_smoothing": 0.2,
        "seed": 5,
    }
    changed |= {
        "decay_norms": False,
        "ema_epochs": 1.0,
        "randaugment": 1,
        "mixup": 0.2,
        "class_weights": "balanced",
        "clip_norm": 1.0,
        "clip_adaptive": 0.02,
        "gradient_noise": 0.01,
        "precision": "bfloat16",
        "patience": 3,
        "val_every": 2,
        "views": 4,
        "head_factor": 5.0,
        "inherit": "random",
    }
    # What has no effect on its own is left out of the hash.
    idle = {"decay_share", "magnitude", "teacher", "teacher_weight", "teacher_temperature", "feature_epochs"}
    assert set(changed) | idle == {field.name for field in fields(Recipe)}
    hashes = {replace(Recipe(), **{name: value}).hash for name, value in changed.items()}  # type: ignore[arg-type]
    assert len(hashes | {Recipe().hash}) == len(changed) + 1
    settings = {"decay_share": 0.5, "magnitude": 2.0, "teacher_weight": 0.3, "teacher_temperature": 3.0}
    assert {replace(Recipe(), **{name: value}).hash for name, value in settings.items()} == {Recipe().hash}  # type: ignore[arg-type]
    assert Recipe().hash == Recipe().hash


def test_learning_rate_rises_and_falls() -> None:
    recipe = Recipe(warmup_epochs=1, epochs=5)
    factors = [recipe.learning_rate_factor(epoch) for epoch in (0, 0.5, 1, 3, 5)]
    assert factors == pytest.approx([0, 0.5, 1, 0.5, 0])
    constant = Recipe(warmup_epochs=0, epochs=5, schedule="constant")
    assert [constant.learning_rate_factor(epoch) for epoch in (0, 4)] == [1, 1]
    assert Recipe(warmup_epochs=9, epochs=2).learning_rate_factor(1) == 0.5


def test_normalisation_gives_mean_zero_and_std_one(task: Task) -> None:
    train = task.splits().train
    images = Normalisation(train)(torch.from_numpy(train.images))
    assert images.mean((0, 2, 3)).abs().max() < 1e-5
    assert (images.std((0, 2, 3)) - 1).abs().max() < 1e-4


def test_batches_hold_every_image_once_and_depend_on_seed_and_epoch_alone(task: Task) -> None:
    train = task.splits().train
    recipe = Recipe(batch_size=100, augmentation="shift")

    def epoch(number: int, seed: int = 0) -> tuple[list[int], torch.Tensor]:
        torch.rand(number + 1)  # the state of the global generator must not matter
        batches = list(TrainBatches(train, replace(recipe, seed=seed), Normalisation(train), lambda: number))
        return [len(labels) for _, labels in batches], torch.cat([images for images, _ in batches])

    sizes, first = epoch(0)
    assert sum(sizes) == len(train) == 1079
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(first, epoch(0)[1])
    assert not torch.equal(first, epoch(1)[1])
    assert not torch.equal(first, epoch(0, seed=1)[1])
    plain = TrainBatches(train, replace(recipe, augmentation="none"), Normalisation(train), lambda: 0)
    seen = sorted(images.sum().item() for batch, _ in plain for images in batch)
    every = sorted(images.sum().item() for images in Normalisation(train)(torch.from_numpy(train.images)))
    assert seen == pytest.approx(every, abs=1e-3)


@pytest.mark.parametrize("images", [*range(2, 40), 1079])
@pytest.mark.parametrize("batch_size", [2, 3, 4, 32])
def test_no_batch_is_a_single_image(images: int, batch_size: int) -> None:
    sizes = [len(rows) for rows in torch.arange(images).tensor_split(num_batches(images, batch_size))]
    assert sum(sizes) == images
    assert min(sizes) >= 2
    assert max(sizes) <= batch_size + 1
    if images % batch_size != 1:
        assert len(sizes) == -(-images // batch_size)


def colours(count: int, size: int = 8) -> Task:
    """Two classes that their colour tells apart; ``count`` training images."""

    class Source(ImageSource):
        def read(self, seed: int) -> Splits:
            rng = np.random.default_rng(0)
            labels = np.arange(count) % 2
            images = rng.integers(0, 80, (count, 3, size, size), dtype=np.uint8)
            images[np.arange(count), labels] += 120
            split = Split(images, labels)
            return Splits(split, split, None)

    return Task("colours", (3, size, size), 2, ("red", "green"), Source())


def test_a_lone_last_image_on_maps_of_one_pixel_is_trained_with_the_batch_before(tmp_path: Path) -> None:
    space = get_space("nasbench101", "channels=8,stacks=4,modules=1")
    arch = space.sample(np.random.default_rng(0))
    evaluator = TrainEvaluator(space, Recipe(batch_size=2, epochs=1), tmp_path, lambda line: None)
    assert set(evaluator.evaluate(arch, task=colours(5))) == {
        "accuracy@colours",
        "balanced_accuracy@colours",
        "macro_f1@colours",
    }


def test_accuracy_after_few_steps_is_that_of_the_weights(tmp_path: Path, space: Space, arch: Arch) -> None:
    """Running averages of six steps called a network a coin toss that tells every image apart."""
    task = colours(40, size=16)
    evaluator = TrainEvaluator(space, Recipe(epochs=3), tmp_path, lambda line: None)
    found = [evaluator.evaluate(arch, task=task, seed=seed)["accuracy@colours"] for seed in range(3)]
    assert min(found) > 0.9


def test_the_exported_network_has_the_statistics_of_its_own_activations(
    tmp_path: Path, space: Space, arch: Arch, task: Task
) -> None:
    evaluator = TrainEvaluator(space, Recipe(epochs=1), tmp_path, lambda line: None)
    evaluator.evaluate(arch, task=task)
    network = space.build(arch, task)
    network.load_state_dict(weights(evaluator.network_folder(arch)))
    train = task.splits().train
    images = Normalisation(train)(torch.from_numpy(train.images))
    norm = next(layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    with torch.no_grad():
        inputs = network.eval().stem[0](images)
    assert torch.allclose(norm.running_mean, inputs.mean((0, 2, 3)), rtol=0.02, atol=1e-3)
    assert torch.allclose(norm.running_var, inputs.var((0, 2, 3)), rtol=0.02)


class Forgetful(torch.nn.Module):
    """A batch norm, one that keeps no statistics, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3, momentum=0.003)
        self.other = torch.nn.BatchNorm2d(3, track_running_stats=False)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.other(self.norm(self.drop(images))).mean((2, 3))


def test_settling_draws_no_random_numbers_and_leaves_momentum_and_modes(task: Task) -> None:
    train, network = task.splits().train, Forgetful()
    normalise = Normalisation(train)
    state = torch.get_rng_state()
    settle_batch_norm(network, train, normalise, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.norm.momentum == 0.003
    assert not any(module.training for module in network.modules())
    assert torch.allclose(network.norm.running_mean, torch.zeros(3), atol=1e-2)
    assert torch.allclose(network.norm.running_var, torch.ones(3), atol=1e-2)
    first = network.norm.running_mean.clone()
    settle_batch_norm(network, train, normalise, seed=3)
    assert torch.equal(network.norm.running_mean, first)


def test_weights_that_are_not_finite_after_the_last_step_are_a_divergence(
    tmp_path: Path, space: Space, arch: Arch, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(network: torch.nn.Module, recipe: Recipe) -> None:
        next(network.parameters()).data[0] = math.inf
        expect_finite(network, recipe)

    expect_finite = fitting._expect_finite
    monkeypatch.setattr(fitting, "_expect_finite", spoilt)
    evaluator = TrainEvaluator(space, Recipe(epochs=1), tmp_path, lambda line: None)
    with pytest.raises(InvalidInputError, match="training diverged: weights are not finite after epoch 1 of 1"):
        evaluator.evaluate(arch, task=task)
    assert not (evaluator.network_folder(arch) / "network.onnx").exists()


def test_augmentations_move_and_mirror() -> None:
    images = torch.zeros(400, 1, 16, 16)
    images[:, :, 8, 5] = 1.0
    rng = torch.Generator().manual_seed(0)
    assert augmented(images, "none", rng) is images
    places = augmented(images, "shift", rng).flatten(1).argmax(1)
    assert set((places // 16).tolist()) == {6, 7, 8, 9, 10}
    assert set((places % 16).tolist()) == {3, 4, 5, 6, 7}
    mirrored = augmented(images, "flip+crop", rng).flatten(1).argmax(1) % 16
    assert set(mirrored.tolist()) == {3, 4, 5, 6, 7} | {8, 9, 10, 11, 12}
    assert 150 < int((mirrored > 7).sum()) < 250


def test_accuracy_is_the_fraction_found() -> None:
    class Brightest(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean((2, 3)) * self.weight

    rng = np.random.default_rng(0)
    images = rng.integers(0, 50, (40, 3, 8, 8), dtype=np.uint8)
    labels = np.arange(40) % 3
    images[np.arange(40), labels] += 100
    split = Split(images, labels)
    assert accuracy(Brightest(), split, Normalisation(split), batch_size=7) == 1.0
    wrong = Split(images, np.where(np.arange(40) < 10, (labels + 1) % 3, labels))
    assert accuracy(Brightest(), wrong, Normalisation(split), batch_size=7) == 0.75


def test_training_learns_and_leaves_its_files(
    space: Space, arch: Arch, task: Task, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    recipe = Recipe(epochs=4, batch_size=32)
    evaluator = TrainEvaluator(space, recipe, tmp_path, lines.append)
    metrics = evaluator.evaluate(arch, task=task)
    evaluator.stored(arch)
    kinds = ["accuracy@digits", "balanced_accuracy@digits", "macro_f1@digits"]
    assert list(metrics) == [*kinds, *(f"test_{kind}" for kind in kinds)]
    assert metrics["accuracy@digits"] > 0.5
    folder = evaluator.network_folder(arch)
    files = ["arch.json", "network.onnx", "network.safetensors", "predictions.parquet", "tensorboard", "training.csv"]
    assert sorted(entry.name for entry in folder.iterdir()) == files
    facts = json.loads((folder / "arch.json").read_text())
    assert (facts["key"], facts["task"], facts["num_classes"]) == (KEY, "digits", 10)
    assert len(lines) == 4
    assert lines[0].startswith("  epoch 1/4: loss ")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""

    rebuilt = get_space(facts["space"], ",".join(f"{k}={v}" for k, v in facts["skeleton"].items())).build(arch, task)
    rebuilt.load_state_dict(weights(folder))
    splits = task.splits()
    assert accuracy(rebuilt, splits.val, Normalisation(splits.train)) == metrics["accuracy@digits"]


def test_modules_are_told_how_far_the_training_is(arch: Arch, task: Task, tmp_path: Path) -> None:
    told: list[float] = []

    class Told(torch.nn.Linear):
        def set_training_progress(self, share: float) -> None:
            told.append(share)

    class Telling(NasBench201):
        def build(self, arch: Arch, task: Task) -> torch.nn.Module:
            network = super().build(arch, task)
            return torch.nn.Sequential(network, Told(task.num_classes, task.num_classes))

    TrainEvaluator(Telling(channels=4, cells=1), RECIPE, tmp_path).train(arch, task=task)
    assert told == pytest.approx([0, 1 / 3, 2 / 3])


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(
    space: Space, arch: Arch, task: Task, tmp_path: Path, optimiser: str
) -> None:
    recipe = replace(RECIPE, optimiser=optimiser, learning_rate=0.01)  # type: ignore[arg-type]
    whole = TrainEvaluator(space, recipe, tmp_path / "whole", lambda line: None)
    expected = whole.train(arch, task=task)
    assert expected.resumed_epoch == 0

    def interrupt(line: str) -> None:
        if "epoch 2/3" in line:
            raise Interrupt

    with pytest.raises(Interrupt):
        TrainEvaluator(space, recipe, tmp_path / "cut", interrupt).train(arch, task=task)
    torch.rand(7)
    lines: list[str] = []
    cut = TrainEvaluator(space, recipe, tmp_path / "cut", lines.append)
    resumed = cut.train(arch, task=task)
    assert resumed.resumed_epoch == 1
    assert [line.strip().split(":")[0] for line in lines[1:]] == ["epoch 2/3", "epoch 3/3"]
    assert resumed.metrics == expected.metrics
    one, other = weights(whole.network_folder(arch)), weights(cut.network_folder(arch))
    assert all(torch.equal(one[name], other[name]) for name in one)
    fresh = space.build(arch, task).state_dict()
    assert any(not torch.equal(one[name], fresh[name]) for name in one)

    # A training killed after its last epoch only has to be evaluated again.
    lines.clear()
    again = cut.train(arch, task=task)
    assert again.resumed_epoch == 3
    assert len(lines) == 1
    assert again.metrics == expected.metrics
    assert again.seconds == resumed.seconds


def test_checkpoint_of_another_training_or_a_damaged_one_is_not_used(
    space: Space, arch: Arch, task: Task, tmp_path: Path
) -> None:
    def train(recipe: Recipe, seed: int = 0) -> int:
        return (
            TrainEvaluator(space, recipe, tmp_path, lambda line: None).train(arch, task=task, seed=seed).resumed_epoch
        )

    recipe = replace(RECIPE, epochs=1)
    assert train(recipe) == 0
    assert train(recipe) == 1
    assert train(recipe, seed=1) == 0
    assert train(replace(recipe, learning_rate=0.01), seed=1) == 0
    (last,) = tmp_path.glob("*/last.ckpt")
    last.write_bytes(last.read_bytes()[:200])
    assert train(replace(recipe, learning_rate=0.01), seed=1) == 0


def test_seed_and_fidelity_are_used(space: Space, arch: Arch, task: Task, tmp_path: Path) -> None:
    lines: list[str] = []
    evaluator = TrainEvaluator(space, RECIPE, tmp_path, lines.append)
    evaluator.evaluate(arch, task=task, fidelity=1)
    assert len(lines) == 1
    first = weights(evaluator.network_folder(arch))
    evaluator.evaluate(arch, task=task, fidelity=1, seed=1)
    second = weights(evaluator.network_folder(arch))
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_divergence_is_one_clear_message(space: Space, arch: Arch, task: Task, tmp_path: Path) -> None:
    recipe = replace(RECIPE, learning_rate=1e30)
    with pytest.raises(
        InvalidInputError, match=r"training diverged: the loss is nan.*lower the learning rate \(1e\+30\)"
    ):
        TrainEvaluator(space, recipe, tmp_path, lambda line: None).train(arch, task=task)
    assert not list(tmp_path.glob("*/last.ckpt"))


def test_benchmark_task_cannot_be_trained_on(space: Space, arch: Arch, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="comes without images"):
        TrainEvaluator(space, RECIPE, tmp_path).evaluate(arch, task=get_task("cifar100"))
