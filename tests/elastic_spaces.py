"""A parent small enough for tests, with everything that a large one has: strides, kernels of 5, expansions, depths."""

from dataclasses import dataclass
from typing import ClassVar

from gennas.spaces.lite.elastic import ElasticSpace
from gennas.spaces.lite.parent import Parent, ParentStage


@dataclass(frozen=True)
class TinyLite(ElasticSpace):
    """Sub-networks of five blocks at 16, 24 or 32 pixels."""

    name: ClassVar[str] = "tiny_lite"
    parent: ClassVar[Parent] = Parent(
        title="TinyLite",
        stem=8,
        stages=(ParentStage(8, 1, 1, 3, 1), ParentStage(12, 2, 2, 5, 4), ParentStage(16, 2, 2, 3, 4)),
        head=24,
        resolution=32,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
    )
    resolutions: ClassVar[tuple[int, ...]] = (16, 24, 32)
