"""KeptNetwork: what a run keeps of a network that it trained, rebuilt from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gennas.arch import Arch
from gennas.documents import read_json
from gennas.errors import DataMissingError, InvalidInputError, short
from gennas.export.preprocessing import Preprocessing
from gennas.spaces import Space
from gennas.spaces.drawing import draw_svg
from gennas.spaces.network_part import network_of
from gennas.spaces.skeleton import skeleton_text
from gennas.tasks import Task
from gennas.tasks.base import balanced
from gennas.tasks.targets import CLASSIFICATION, TargetKind, kind_of
from gennas.training.network_files import FACTS, MODEL, WEIGHTS


@dataclass(frozen=True, eq=False)
class KeptNetwork:
    """A trained network, with what it takes to use it.

    Attributes:
        network: with its weights, in evaluation mode.
        space: of the arch.
        arch: that the network was built from.
        task: that it was trained for.
        preprocessing: of its images.
        facts: all that its run noted of it.
        model: the ONNX model that its run kept; None where there is none.
        targets: what it answers, as it was fitted to the training images.
    """

    network: nn.Module
    space: Space
    arch: Arch
    task: Task
    preprocessing: Preprocessing
    facts: Mapping[str, Any]
    model: bytes | None = None
    targets: TargetKind = CLASSIFICATION

    @classmethod
    def load(cls, folder: Path, space: Space, arch: Arch, task: Task) -> KeptNetwork:
        """Rebuilds the network of a folder ``networks/*/`` of a run.

        Args:
            folder: with its weights and facts.
            space: with the skeleton of the run.
            arch: of the network; of a joint space, the network is that of the arch without its further choices.
            task: of the run; archs with a size of images of their own have it with images of that size.

        Raises:
            DataMissingError: there are no weights.
            InvalidInputError: a file is damaged, or belongs to another arch.
        """
        space, arch = network_of(space, arch)
        task = space.native_task(arch, task)
        if not (folder / WEIGHTS).is_file():
            raise DataMissingError(
                f"{short(arch.key)} has no trained weights: {folder / WEIGHTS} is missing. Train it with 'gennas "
                "validate', or choose an arch that was trained."
            )
        try:
            facts = read_json(folder / FACTS)
            preprocessing = Preprocessing.of(facts)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(
                f"{folder / FACTS} is damaged or missing ({type(error).__name__}: {error}); train the arch again."
            ) from error
        if facts.get("key") != arch.key:
            raise InvalidInputError(
                f"{folder} holds the weights of another arch, {short(str(facts.get('key')))}, not of "
                f"{short(arch.key)}; restore the folder, or train the arch again."
            )
        targets = kind_of(facts.get("targets"))
        if targets.name != task.targets.name:
            raise InvalidInputError(
                f"{folder} holds a network for {targets.name}; task {task.name!r} is a {task.targets.name}. Give the "
                "task of the run."
            )
        if tuple(facts["input_shape"]) != tuple(task.input_shape) or facts.get("num_classes") != task.num_classes:
            raise InvalidInputError(
                f"{folder} holds a network for inputs of shape {facts['input_shape']} and {facts.get('num_classes')} "
                f"{targets.outputs}; task {task.name!r} has {list(task.input_shape)} and {task.num_classes}. Give the "
                "task of the run."
            )
        network = space.build(arch, task).eval()
        load_weights(network, folder / WEIGHTS, arch)
        model = (folder / MODEL).read_bytes() if (folder / MODEL).is_file() else None
        return cls(network, space, arch, task, preprocessing, facts, model, targets)

    @property
    def key(self) -> str:
        """Of the arch, in its native notation."""
        return self.arch.key

    @property
    def space_text(self) -> str:
        """Name of the space, with what is set of its skeleton."""
        skeleton = skeleton_text(self.space.skeleton)
        return self.space.name + (f" with {skeleton}" if skeleton else "")

    def drawings(self) -> dict[str, str]:
        """File -> drawing of the arch as SVG."""
        return {"arch.svg": draw_svg(self.space, self.arch, task=self.task)}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, values or labels; numbers of classes where the task names none."""
        return self.task.output_names

    def check_images(self, count: int) -> np.ndarray:
        """``(b, c, h, w)`` float32: some validation images of the task, of every class, as the network takes them."""
        split = self.task.splits().val
        return self.preprocessing.normalised(split.images[balanced(self.targets.strata(split.labels), count, 0)])

    def logits(self, images: np.ndarray) -> np.ndarray:
        """``(b, classes)`` of the network, on the CPU."""
        with torch.inference_mode():
            return np.asarray(self.network(torch.from_numpy(images)).numpy())


def load_weights(network: nn.Module, path: Path, arch: Arch) -> None:
    """Fills in the weights of a file.

    Raises:
        InvalidInputError: the file is damaged, or has the weights of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InvalidInputError(f"{path} is damaged ({error}); train the arch again.") from error
    own = network.state_dict()
    odd = sorted({*own} ^ {*weights}) or [name for name, value in weights.items() if value.shape != own[name].shape]
    if odd:
        shapes = [tuple(found[odd[0]].shape) if odd[0] in found else "nothing" for found in (weights, own)]
        raise InvalidInputError(
            f"{path} holds the weights of another network: {odd[0]} is {shapes[0]} in the file and {shapes[1]} in the "
            f"network of {short(arch.key)} ({len(odd)} weights differ). Give the space and the task of the run."
        )
    network.load_state_dict(weights)
