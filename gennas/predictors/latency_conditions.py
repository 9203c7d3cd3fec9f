"""Latencies for other networks than those that they were learnt from: another image size, another skeleton."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gennas.graph import GraphBatch
from gennas.hardware import store
from gennas.predictors.base import Predictor
from gennas.predictors.quality import Z90
from gennas.spaces import Space
from gennas.spaces.skeleton import skeleton_text
from gennas.tasks import Task
from gennas.tasks.base import shape_text

#: Archs whose predictions are scaled, to fit the scaled latency to.
SCALED_ARCHS = 24
#: How far, as a factor, latencies may leave the range between "as before" and "in proportion to the multiply-adds".
SLACK = 1.5
#: By how much, either way, processors differ: ``cpu`` was another one than this machine's.
OTHER_MACHINE = 3.0


@dataclass(frozen=True)
class LatencyConditions:
    """The networks that latencies were measured on, beside their cells.

    Attributes:
        skeleton: settings of the network around the searched part.
        input_shape: ``(c, h, w)`` of the input; empty where the hardware's name tells it.
    """

    skeleton: Mapping[str, int]
    input_shape: tuple[int, ...]

    @classmethod
    def of_device(cls, name: str, space: Space, config: Mapping[str, Any]) -> LatencyConditions:
        """Those of a device: as its stored measurements have them, or the predictor's configuration.

        Raises:
            DataMissingError: the file of the stored measurements is damaged.
        """
        learnt = cls(dict(config["skeleton"]), tuple(config["latency_input_shape"]))
        if f"latency_ms@{name}" in config.get("metrics", ()) or name not in store.names(space.name):
            return learnt
        device = store.load(space.name, name)
        skeleton = type(space).with_skeleton(device.skeleton).skeleton if device.skeleton else learnt.skeleton
        return cls(skeleton, learnt.input_shape if device.input_shape is None else device.input_shape)

    def hold_for(self, space: Space, task: Task) -> bool:
        """Whether networks of the space for the task are those that were measured."""
        return dict(self.skeleton) == space.skeleton and self.input_shape in ((), task.input_shape)

    def text(self) -> str:
        """In words, e.g. ``3x32x32 images, channels=16,cells=5``."""
        return described(self.skeleton, self.input_shape)


@dataclass(frozen=True)
class ScaledLatency:
    """A latency that was scaled to other networks.

    Attributes:
        predictor: with the scaled metric in place of the learnt one.
        ratio: multiply-adds of the networks, relative to those measured; the median over archs.
        factor: by how much, either way, the latency may differ from the prediction with 90 % confidence.
    """

    predictor: Predictor
    ratio: float
    factor: float


def scaled_latency(
    predictor: Predictor, space: Space, task: Task, name: str, learnt: LatencyConditions
) -> ScaledLatency:
    """Scales the latency on a device to other networks, for which nothing was measured there.

    A network of ``r`` times the multiply-adds takes between as long as before (where launching operations takes most
    of the time) and ``r`` times as long (where computing does). The prediction's median is the middle of this range on
    a logarithmic scale, and its 90 % interval is the range, widened by :data:`SLACK`.

    Args:
        predictor: predicts ``latency_ms@name`` for the networks that it learnt.
        space: with the skeleton to predict for.
        task: sizes the networks to predict for.
        name: of the device.
        learnt: the networks that were measured.

    Raises:
        InvalidInputError: the predictor does not support few-shot adaptation.
    """
    from gennas.predictors.few_shot import adapt_hardware, informative_archs

    archs = [arch for arch in informative_archs(predictor, space, SCALED_ARCHS, seed=0) if not space.is_constant(arch)]
    measured_space = type(space).with_skeleton(learnt.skeleton)
    measured_task = replace(task, input_shape=learnt.input_shape or task.input_shape)
    macs = np.array([space.costs(arch, task)["macs_m"] for arch in archs])
    logs = np.log(macs / [measured_space.costs(arch, measured_task)["macs_m"] for arch in archs])
    mean, _ = predictor.predict(GraphBatch.from_archs(archs, space.template))
    known = mean[:, predictor.metrics.index(f"latency_ms@{name}")].double().numpy()
    half = float(np.quantile(np.abs(logs), 0.9)) / 2 + np.log(SLACK * (OTHER_MACHINE if name == "cpu" else 1.0))
    scaled, _ = adapt_hardware(predictor, space, name, archs, known * np.exp(logs / 2), doubt=half / Z90)
    return ScaledLatency(scaled, float(np.exp(np.median(logs))), float(np.exp(half)))


def described(skeleton: Mapping[str, int], input_shape: tuple[int, ...]) -> str:
    """Networks in words."""
    settings = skeleton_text(skeleton)
    images = f"{shape_text(input_shape)} images" if input_shape else ""
    return ", ".join(part for part in (images, settings) if part)
