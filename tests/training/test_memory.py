"""Out of memory: batches are halved, gradients added up, and what comes out is the same step."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from gennas.arch import Arch
from gennas.evaluators.train import TrainEvaluator
from gennas.spaces.nasbench201.space import NasBench201
from gennas.tasks import Task, get_task
from gennas.training.memory import halving, is_out_of_memory
from gennas.training.recipe import Recipe

KEY = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
}


class Hungry(nn.Module):
    """A linear network, without batch norm, that needs too much memory for more than ``most`` images."""

    def __init__(self, pixels: int, classes: int, most: int, error: Exception) -> None:
        super().__init__()
        self.linear = nn.Linear(pixels, classes)
        self.most, self.error = most, error
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most:
            raise self.error
        return self.linear(images.flatten(1))


class HungrySpace(NasBench201):
    most = 1000
    error = ERRORS["cuda"]

    def build(self, arch: Arch, task: Task) -> nn.Module:
        return Hungry(task.channels * 64, task.num_classes, type(self).most, type(self).error)


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("digits", image_size=8)


def trained(
    task: Task, folder: Path, most: int, monkeypatch: pytest.MonkeyPatch, error: Exception = ERRORS["cuda"]
) -> tuple[dict[str, Tensor], tuple[str, ...], list[str]]:
    monkeypatch.setattr(HungrySpace, "most", most)
    monkeypatch.setattr(HungrySpace, "error", error)
    space, lines = HungrySpace(), list[str]()
    evaluator = TrainEvaluator(
        space, Recipe(epochs=2, batch_size=64, optimiser="sgd", learning_rate=0.01), folder, lines.append
    )
    arch = space.parse(KEY)
    done = evaluator.train(arch, task=task)
    return load_file(evaluator.network_folder(arch) / "network.safetensors"), done.notes, lines


@pytest.mark.parametrize("kind", ERRORS)
def test_halved_batches_give_the_same_weights_and_a_note(
    kind: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, notes, _ = trained(task, tmp_path / "whole", 1000, monkeypatch)
    assert notes == ()
    parts, notes, lines = trained(task, tmp_path / "parts", 20, monkeypatch, ERRORS[kind])
    # 64 and 32 images are too many; the same step, but for the order of the sums.
    assert "did not suffice for batches of 64 images; they were trained 16 at a time" in notes[0]
    assert "batch norm saw 16 images" in notes[0]
    assert [line for line in lines if "out of memory" in line] == [
        "  out of memory; going on with 32 images at a time",
        "  out of memory; going on with 16 images at a time",
    ]
    assert all(torch.allclose(parts[name], whole[name], atol=1e-5) for name in whole)


def test_memory_that_runs_out_later_goes_on_from_the_last_epoch(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shrinking(self: Hungry, images: Tensor) -> Tensor:
        if self.training and images.requires_grad is False:
            self.seen.append(len(images))
        if len(self.seen) > 20 and len(images) > 32:  # in the second epoch of 17 steps
            raise ERRORS["cuda"]
        return self.linear(images.flatten(1))

    monkeypatch.setattr(Hungry, "forward", shrinking)
    _, notes, lines = trained(task, tmp_path, 1000, monkeypatch)
    assert "trained 32 at a time" in notes[0]
    assert [line.split(":")[0].split(",")[0].strip() for line in lines] == [
        "epoch 1/2",
        "out of memory; going on with 32 images at a time",
        "resuming from epoch 1/2",
        "epoch 2/2",
    ]


def test_two_images_that_do_not_fit_are_an_error(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        trained(task, tmp_path, 1, monkeypatch)


def test_other_errors_are_raised_at_once() -> None:
    sizes = []

    def fails(size: int) -> None:
        sizes.append(size)
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        halving(fails, 8)
    assert sizes == [8]

    def needs(size: int) -> int:
        sizes.append(size)
        if size > 3:
            raise ERRORS["cpu"]
        return size

    assert halving(needs, 13) == 3
    assert sizes == [8, 13, 6, 3]
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("no"))
    assert not is_out_of_memory(ValueError("out of memory"))
