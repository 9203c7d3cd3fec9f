"""Networks trained at once: losses, weights and metrics are those of each trained alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from gennas.errors import InvalidInputError
from gennas.spaces import get_space
from gennas.spaces.nasbench201.space import NasBench201
from gennas.spaces.stacks.base import StackLayout
from gennas.tasks import ImageSource, Split, Splits, Task
from gennas.training.fitting import TrainedNetwork, train_network
from gennas.training.recipe import Recipe
from gennas.training.stacked import fitting
from gennas.training.stacked.fitting import Member, StackTrained, StackTraining, train_stack

SPACE = NasBench201(channels=4, cells=1)
RECIPES = {
    "adamw": Recipe(epochs=2, batch_size=8, learning_rate=1e-3),
    "sgd": Recipe(
        epochs=2,
        batch_size=8,
        optimiser="sgd",
        learning_rate=0.02,
        weight_decay=5e-3,
        augmentation="flip+crop",
        label_smoothing=0.1,
        clip_norm=0.5,
        decay_norms=False,
        head_factor=2.0,
    ),
}


@dataclass(frozen=True)
class Stripes(ImageSource):
    """Noise with a bright row, whose place is the class; ``count`` training images."""

    classes: int
    count: int = 37
    val: int = 20

    def read(self, seed: int) -> Splits:
        rng = np.random.default_rng(self.classes)

        def split(count: int) -> Split:
            labels = rng.integers(0, self.classes, count)
            images = rng.integers(0, 120, (count, 3, 8, 8), dtype=np.uint8)
            images[np.arange(count), :, labels] += 100
            return Split(images, labels)

        return Splits(split(self.count), split(self.val), split(self.val + 7) if self.classes > 2 else None)


def task(classes: int, count: int = 37, val: int = 20) -> Task:
    return Task(f"stripes{classes}", (3, 8, 8), classes, source=Stripes(classes, count, val))


def members(count: int = 6) -> list[Member]:
    """Different cells, tasks with other numbers of classes and validation images, and two seeds."""
    rng = np.random.default_rng(3)
    tasks = (task(4), task(2, val=11), task(3))
    return [Member(SPACE.sample(rng), tasks[number % 3], number % 2) for number in range(count)]


@cache
def alone(member: Member, recipe: Recipe, folder: Path) -> TrainedNetwork:
    recipe = replace(recipe, seed=member.seed)
    return train_network(lambda: SPACE.build(member.arch, member.task), member.task, recipe, folder, "", lambda _: None)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alone")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
@pytest.mark.parametrize("layout", ["separate", "grouped", "multiplied"])
def test_results_are_those_of_the_ordinary_trainer(recipe: Recipe, layout: StackLayout, shared: Path) -> None:
    training = StackTraining(SPACE, members(), recipe, layout=layout)
    found = training.run()
    training.stack.write_back()
    parameters = [dict(network.named_parameters()) for network in training.networks]
    for row, (member, one) in enumerate(zip(members(), found, strict=True)):
        single = alone(member, recipe, shared / recipe.hash / str(row))
        assert one.losses == pytest.approx([epoch.loss for epoch in single.epochs], abs=1e-4)
        # One image less or more, where two classes are equally probable.
        assert one.metrics == pytest.approx(single.metrics(member.task), abs=0.06)
        assert set(one.metrics) == set(single.metrics(member.task))
        for name, weight in single.network.named_parameters():
            if weight.grad is not None:
                assert torch.allclose(parameters[row][name], weight, atol=2e-3), name


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
@pytest.mark.parametrize("layout", ["grouped", "multiplied"])
def test_in_double_precision_nothing_differs(recipe: Recipe, layout: StackLayout) -> None:
    expected, found = run_in_double("separate", recipe), run_in_double(layout, recipe)
    assert found[0] == pytest.approx(expected[0], abs=1e-9)
    assert found[1] == expected[1]


def run_in_double(layout: StackLayout, recipe: Recipe) -> tuple[np.ndarray, list[dict[str, float]]]:
    training = StackTraining(SPACE, members(), recipe, layout=layout)
    training.stack.double()
    images = training.steps.images
    images.mean, images.std = images.mean.double(), images.std.double()
    training.steps.dtype, training.steps.losses = torch.float64, training.steps.losses.double()
    return training.train().double().numpy(), training.evaluate()


def test_a_network_that_diverges_leaves_the_others_alone() -> None:
    recipe = replace(RECIPES["sgd"], clip_norm=1.0)
    expected = train_stack(SPACE, members(3), recipe, layout="multiplied")
    training = StackTraining(SPACE, members(3), recipe, layout="multiplied")
    with torch.no_grad():
        next(iter(training.stack.parameters()))[1] = torch.inf
    found = training.run()

    assert found[1].metrics == {}
    assert found[1].error is not None
    assert "the loss is nan in epoch 1 of 2; lower the learning rate (0.02)" in found[1].error
    for row in (0, 2):
        assert found[row].metrics == expected[row].metrics
        assert found[row].losses == expected[row].losses


def test_without_memory_for_all_they_are_trained_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, run = [], StackTraining.run

    def limited(self: StackTraining) -> list[StackTrained]:
        sizes.append(len(self.members))
        if len(self.members) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self)

    recipe = replace(RECIPES["adamw"], epochs=1)
    expected = train_stack(SPACE, members(5), recipe)
    monkeypatch.setattr(fitting.StackTraining, "run", limited)
    found = train_stack(SPACE, members(5), recipe)

    assert sizes == [5, 3, 2, 1, 2]
    assert [one.metrics for one in found] == [one.metrics for one in expected]


def test_bfloat16_trains_much_like_float32() -> None:
    recipe = replace(RECIPES["adamw"], precision="bfloat16")
    for single, half in zip(
        train_stack(SPACE, members(3), RECIPES["adamw"], layout="multiplied"),
        train_stack(SPACE, members(3), recipe, layout="multiplied"),
        strict=True,
    ):
        assert half.losses == pytest.approx(single.losses, abs=0.1)
        assert half.losses != single.losses


def test_what_cannot_be_trained_at_once_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"trained without mixup"):
        train_stack(SPACE, members(2), Recipe(mixup=0.2))
    with pytest.raises(InvalidInputError, match="different numbers of training images"):
        train_stack(SPACE, [*members(1), Member(members(1)[0].arch, task(5, count=38), 0)], Recipe())
    nasbench101 = get_space("nasbench101", "stacks=1,modules=1,channels=4")
    arch = nasbench101.sample(np.random.default_rng(0))
    with pytest.raises(InvalidInputError, match="'nasbench101' cannot be trained at once"):
        train_stack(nasbench101, [Member(arch, task(3), 0)], Recipe())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_graphs_change_nothing() -> None:
    recipe = replace(RECIPES["adamw"], epochs=6)
    with_graphs = train_stack(SPACE, members(), recipe, graphs=True)
    without = train_stack(SPACE, members(), recipe, graphs=False)
    for one, other in zip(with_graphs, without, strict=True):
        assert one.losses == pytest.approx(other.losses, abs=1e-2)
