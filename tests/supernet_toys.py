"""A small elastic space, and tasks whose images are learnt in seconds."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.lite.parent import Parent, ParentStage
from gennas.supernets.elastic import ElasticSupernet
from gennas.tasks import Split, Task
from gennas.tasks.base import ImageSource, Splits

STAGES = (ParentStage(4, 1, 1, 3, 1), ParentStage(6, 2, 2, 5, 6), ParentStage(8, 2, 3, 5, 4))


class Tiny(ElasticSpace):
    """Two stages of variable depth, and one that is always the same."""

    name = "tiny_elastic"
    parent = Parent("Tiny", 4, STAGES, 16, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), dropout=0.0)
    resolutions = (12, 15, 20, 32)


@dataclass(frozen=True)
class Stripes(ImageSource):
    """Noise with a bright stripe, across or down, on the left or on the right."""

    side: int
    images: int

    def read(self, seed: int) -> Splits:
        rng = np.random.default_rng(7)

        def split(count):
            labels = np.arange(count) % 3
            images = rng.integers(0, 120, (count, 3, self.side, self.side))
            third = self.side // 3
            for image, label in zip(images, labels, strict=True):
                start = int(label) * third
                image[:, :, start : start + third] += 120
            return Split(images.astype(np.uint8), labels.astype(np.int64))

        return Splits(split(self.images), split(30), None)

    def task(self) -> Task:
        return Task("stripes", (3, self.side, self.side), 3, ("left", "middle", "right"), self)


def stripes(side=16, images=48):
    return Stripes(side, images).task()


def supernet_of(space=None, task=None, seed=0):
    """A supernet with random weights, and statistics of batch norms of which no two are alike."""
    space, task = space or Tiny(), task or stripes()
    torch.manual_seed(seed)
    supernet = ElasticSupernet(space, task, space.build(space.parent_arch(), task))
    for module in supernet.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                values.copy_(torch.rand(values.shape) + 0.5)
    return supernet.eval()
