"""The teacher of a distillation: a trained network, read from its folder."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from gennas.documents import read_json
from gennas.errors import GennasError, InvalidInputError
from gennas.spaces import get_space
from gennas.spaces.skeleton import skeleton_text
from gennas.tasks import Task
from gennas.tasks.targets import CLASSIFICATION, kind_of
from gennas.training.batches import Normalisation
from gennas.training.network_files import FACTS, WEIGHTS


class Teacher(nn.Module):
    """Answers to a student's images, at the resolution and with the normalisation that the teacher was trained with.

    Args:
        network: ``(b, c, h, w)`` images to ``(b, classes)`` logits.
        mean: per channel, of the teacher's training images.
        std: per channel.
        side: height and width of the teacher's images.
        normalise: of the student's images.
    """

    scale: Tensor
    shift: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: list[float], std: list[float], side: tuple[int, int], normalise: Normalisation
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.side = side
        own_mean, own_std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
        self.register_buffer("mean", own_mean)
        self.register_buffer("std", own_std)
        # A student's standardised image x shows x * std + mean.
        self.register_buffer("scale", normalise.std / own_std)
        self.register_buffer("shift", (normalise.mean - own_mean) / own_std)

    def train(self, mode: bool = True) -> Teacher:
        """Stays in evaluation mode, whatever becomes of the student."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(b, classes)`` for a student's images."""
        images = images * self.scale + self.shift
        if tuple(images.shape[2:]) != self.side:
            images = functional.interpolate(images, self.side, mode="bilinear", antialias=True)
        return self.network(images)

    @torch.no_grad()
    def answer(self, pixels: Tensor) -> Tensor:
        """Logits ``(b, classes)`` for ``(b, c, h, w)`` uint8 images of the teacher's own size."""
        return self.network((pixels / 255 - self.mean) / self.std)


def load_teacher(folder: Path, task: Task, normalise: Normalisation) -> Teacher:
    """The teacher in the folder of a trained network.

    Args:
        folder: has ``arch.json`` and ``network.safetensors``.
        task: of the student; the teacher knows the same classes and channels.
        normalise: of the student's images.

    Raises:
        InvalidInputError: the folder is not that of a trained network, or of one with other classes or channels.
    """
    try:
        facts = read_json(folder / FACTS)
        space = get_space(facts["space"], skeleton_text(facts["skeleton"]))
        channels, height, width = (int(side) for side in facts["input_shape"])
        classes, names = int(facts["num_classes"]), tuple(facts.get("class_names", ()))
        theirs = kind_of(facts.get("targets"))
        if classes == task.num_classes:
            its_task = Task(str(facts["task"]), (channels, height, width), classes, names)
            network = space.build(space.parse(facts["key"]), its_task)
            network.load_state_dict(load_file(folder / WEIGHTS))
        mean, std = [float(value) for value in facts["mean"]], [float(value) for value in facts["std"]]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, GennasError) as error:
        raise _refused(folder, f"which does not hold a trained network ({type(error).__name__}: {error})") from error
    if theirs.name != task.targets.name:
        raise _refused(folder, f"whose network tells a {theirs.name}, not a {task.targets.name}")
    if classes != task.num_classes or (names and task.class_names and names != task.class_names):
        raise _refused(folder, f"whose network tells {theirs.amount(classes)} apart ({', '.join(names)})")
    if theirs != task.targets and theirs != (own := task.targets.fitted(task.splits().train.labels)):
        raise _refused(folder, f"whose network scales its answers as {theirs}, not as {own}")
    if channels != task.channels:
        raise _refused(folder, f"whose network reads images of {channels} channels, not {task.channels}")
    return Teacher(network, mean, std, (height, width), normalise)


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's softened answers from the teacher's, times the square of the temperature.

    Hinton et al., "Distilling the Knowledge in a Neural Network", 2015; the square keeps gradients at the scale of
    those of the labels.

    Args:
        student: logits ``(b, classes)``.
        teacher: logits ``(b, classes)``.
        temperature: divides both.
    """
    return CLASSIFICATION.distance(student, teacher, temperature)


def _refused(folder: Path, reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"is {str(folder)!r}, {reason}; expected the folder of a network trained on this task, as `gennas validate` "
        "writes it.",
        argument="recipe.teacher",
    )
