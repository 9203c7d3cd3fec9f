"""What a design will cost on this machine, from a short timing of its parent."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from gennas.design.context import Context, Workshop
from gennas.design.latencies import latency_evaluator
from gennas.training.accelerator import accelerator

#: Images that are timed, and how often; the first time is not counted.
_IMAGES, _REPEATS = 32, 3
#: What a step of the elastic network costs, in steps of the parent at the resolution that keeps the limits: four paths,
#: mostly cut.
PATHS = 2.5
#: Seconds that do not depend on images: seeking, measuring and writing a network.
SEEKING, MEASURING, WRITING = 1.5, 1.5, 4.0
#: How often archs are sought.
SEEKINGS = 9
#: Share of a parent's work that a sub-network does which is scored. One that is trained is as fast as the parent at the
#: resolution that keeps the limits, and does as much.
CUT = 0.7


@dataclass(frozen=True)
class Pace:
    """How fast this machine works on a parent.

    Attributes:
        side: of the images, in pixels.
        training: seconds of a step, per image.
        predicting: seconds of a prediction, per image.
        latency_ms: of an image, as the limits mean it.
        gigabytes: that the process took so far.
    """

    side: int
    training: float
    predicting: float
    latency_ms: float
    gigabytes: float

    def at(self, side: int, *, training: bool = True) -> float:
        """Seconds per image at another resolution: in proportion to the pixels, and a part for what is not pixels."""
        return self._scaled(self.training if training else self.predicting, side)

    def largest_within(self, sides: Sequence[int], most_ms: float) -> int:
        """The largest of some resolutions at which the parent is that fast; the first, the smallest, if none is."""
        return max((side for side in sides if self._scaled(self.latency_ms, side) <= most_ms), default=sides[0])

    def _scaled(self, value: float, side: int) -> float:
        return value * (0.1 + 0.9 * (side / self.side) ** 2)


def pace_of(workshop: Workshop) -> Pace:
    """Times the parent at the largest resolution."""
    space, task, side = workshop.space, workshop.context.task, workshop.context.pixels
    network = space.build(space.parent_arch(side), task).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(_IMAGES, *task.input_shape, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    device = accelerator()
    network, images = network.to(device), images.to(device)
    training, predicting = [], []
    for _ in range(_REPEATS):
        network.train()
        start = time.perf_counter()
        network(images).square().mean().backward()
        # Reading what is computed last waits for a GPU.
        first = next(network.parameters()).grad
        assert first is not None
        first.sum().item()
        training.append(time.perf_counter() - start)
        network.eval()
        with torch.inference_mode():
            start = time.perf_counter()
            network(images).sum().item()
            predicting.append(time.perf_counter() - start)
    measured = latency_evaluator(workshop).evaluate(space.parent_arch(side), task=task)
    latency = measured[workshop.context.limits.metric]
    return Pace(side, min(training) / _IMAGES, min(predicting) / _IMAGES, latency, _gigabytes())


def seconds_of(pace: Pace, context: Context, side: int, parents: int, baselines: int, *, adapts: bool = True) -> float:
    """Seconds that a design takes.

    Args:
        pace: of this machine.
        context: of the run.
        side: resolution at which the parent keeps the limits.
        parents: how many are adapted.
        baselines: how many are fine-tuned.
        adapts: whether parents are adapted, or have been.
    """
    effort, splits = context.effort, context.task.splits()
    pixels, train, val = min(effort.pixels, pace.side), len(splits.train), len(splits.val)
    evaluated = 2 * train + val + (0 if splits.test is None else len(splits.test))
    adapting = context.epochs(effort.adapting) * train * pace.at(pixels) + evaluated * pace.at(pixels, training=False)
    answers = context.views * train * pace.at(pixels, training=False)
    sharing = context.epochs(effort.sharing) * train * PATHS * pace.at(side)
    scoring = effort.scored * (CUT * (train + val) * pace.at(side, training=False) + 0.3)
    generating = SEEKING * SEEKINGS + MEASURING * (effort.timed + 3 * effort.trained)
    tuned = context.epochs(effort.epochs) * train * pace.at(side) + evaluated * pace.at(side, training=False)
    adapting, answers = (adapting, answers) if adapts else (0.0, 0.0)
    networks = effort.trained + baselines
    finishing = networks * (tuned + MEASURING + WRITING)
    return parents * (adapting + answers + sharing + scoring + generating) + finishing


def gigabytes_of(pace: Pace, context: Context, side: int) -> float:
    """Memory that a design takes: what the process has by now, images, and views of them."""
    splits = context.task.splits()
    channels = splits.train.images.shape[1]
    test = 0 if splits.test is None else len(splits.test)
    count = len(splits.train) + len(splits.val) + test
    images = 3 * count * channels * pace.side**2
    views = context.views * len(splits.train) * channels * side**2
    return pace.gigabytes + 0.3 + (images + views) / 1e9


def _gigabytes() -> float:
    try:
        import resource
    except ImportError:
        return 1.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes, but on macOS bytes.
    return float(peak) * (1 if sys.platform == "darwin" else 1024) / 1e9


def facts_of(pace: Pace) -> dict[str, Any]:
    """As a record keeps it."""
    return asdict(pace)
