"""The encoder: a task in numbers, from a few of its images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gennas.errors import InvalidInputError
from gennas.predictors.task_encoder.image_features import as_colour, image_features
from gennas.predictors.task_encoder.probe_networks import IMAGES, standardised, tangent_kernels
from gennas.predictors.task_encoder.separability import (
    SIDE,
    disagreement,
    kernel_of,
    leave_one_out,
    logit_of,
    views,
)
from gennas.tasks import Task
from gennas.tasks.base import image_shape

#: Images per class that are looked at, and how many in all, at least (where there are as many) and at most.
PER_CLASS, LEAST_IMAGES, MOST_IMAGES = 20, 200, 400
#: How the names of facts begin that come from probe networks, which take most of the time.
PROBE = "probe_"


@dataclass(frozen=True, eq=False)
class TaskEncoding:
    """A task in numbers.

    Attributes:
        facts: plain facts: name -> number, in the order of the encoder.
        features: ``(n, d)`` image features of the sampled images.
        labels: ``(n,)`` their classes, from 0, without gaps.
    """

    facts: dict[str, float]
    features: Tensor
    labels: Tensor

    @property
    def values(self) -> np.ndarray:
        """``(f,)`` the facts."""
        return np.array(list(self.facts.values()))


def encode_task(task: Task, *, per_class: int = PER_CLASS, probes: bool = True, seed: int = 0) -> TaskEncoding:
    """The encoding of a task, from a sample of its training images; some seconds on a CPU.

    Facts are the numbers of classes and images, resolution and channels; how well simple classifiers tell the classes
    apart, from image features of a pretrained network and from plain views of the pixels; how often neighbours have
    other labels; and how well kernel regression does with the tangent kernels of a few untrained networks of extreme
    archs. Accuracies are logits, estimated by leaving one image out.

    Args:
        task: with images.
        per_class: training images per class; more where these would be fewer than 200 in all, fewer where a class has
            fewer, or where these would be more than 400.
        probes: whether the facts of probe networks are among them.
        seed: of the sample, of random filters and of untrained weights; the same seed gives the same encoding.

    Raises:
        DataMissingError: the task has no images, or the pretrained weights are not on this machine.
        InvalidInputError: the task is on a graph, or has fewer than two classes with two images each.
    """
    _, height, width = image_shape(task, "the task encoder")
    train = task.splits(seed).train
    count = min(max(per_class * task.num_classes, LEAST_IMAGES), MOST_IMAGES)
    split = task.sample(count, seed)
    # A class of one image says nothing about how classes differ.
    sizes = np.bincount(split.labels)
    kept = np.flatnonzero(sizes[split.labels] > 1)
    if len(np.unique(split.labels[kept])) < 2:
        raise InvalidInputError(
            f"task {task.name!r} has fewer than two classes with two images each, so that nothing tells how its "
            "classes differ; give more images."
        )
    raw = torch.from_numpy(split.images[kept])
    labels = torch.from_numpy(np.unique(split.labels[kept], return_inverse=True)[1])
    features = image_features(raw)
    pixels = nn.functional.interpolate(as_colour(raw).float() / 255, (SIDE, SIDE), mode="bilinear", antialias=True)
    facts = {
        "classes": np.log(task.num_classes),
        "images": np.log(len(train)),
        "images_per_class": np.log(len(train) / task.num_classes),
        "resolution": np.log(height * width) / 2,
        "channels": float(task.channels > 1),
        **_looks(pixels),
        **_separability(features, pixels, labels, seed),
        **(_probed(pixels, labels, seed) if probes else {}),
    }
    return TaskEncoding({name: float(value) for name, value in facts.items()}, features, labels)


def _looks(pixels: Tensor) -> dict[str, float]:
    """What images look like: contrast, how coloured they are, how smooth, and how much of them all have in common."""
    grey = pixels.mean(1)
    std, steps = float(grey.std()), float((grey[:, :, 1:] - grey[:, :, :-1]).std())
    common = float(pixels.mean(0).std(unbiased=False))
    return {
        "contrast": float(np.log(std + 1e-3)),
        "colour": float(np.log(pixels.std(1, unbiased=False).mean() + 1e-3)),
        "roughness": float(np.log((steps + 1e-3) / (std + 1e-3))),
        "common": float(np.log((common + 1e-3) / (std + 1e-3))),
    }


def _separability(features: Tensor, pixels: Tensor, labels: Tensor, seed: int) -> dict[str, float]:
    classes, n = int(labels.max()) + 1, len(labels)
    kernels = {"features": kernel_of(features)}
    kernels |= {name: kernel_of(values) for name, values in views(pixels, seed).items()}
    found = {f"view_{name}": logit_of(leave_one_out(kernel, labels, classes), n) for name, kernel in kernels.items()}
    found["disagreement"] = disagreement(features, labels)
    return found


def _probed(pixels: Tensor, labels: Tensor, seed: int) -> dict[str, float]:
    classes, n, found = int(labels.max()) + 1, len(labels), {}
    # Jacobians are large; of many images a part tells enough.
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:IMAGES]
    for name, kernel in tangent_kernels(standardised(pixels[rows]), seed).items():
        found[f"{PROBE}{name}"] = logit_of(leave_one_out(kernel, labels[rows], classes), len(rows))
    return found
