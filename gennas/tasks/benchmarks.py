"""Tasks of published benchmarks, most of them without their data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gennas.tasks.base import ImageSource, Task, shape_text
from gennas.tasks.cifar10 import CLASSES, Cifar10


@dataclass(frozen=True)
class Benchmark:
    """Makes the task of a published benchmark.

    Attributes:
        name: name of the task.
        input_shape: see :class:`Task`.
        num_classes: see :class:`Task`.
        class_names: see :class:`Task`; used if the images are on this machine.
        source: returns the source of the images; None if they are not on this machine.
        hint: see :class:`Task`.
        brings: what the benchmark includes, for ``gennas list tasks``.
        predicts: what networks are trained to predict, where it is not a class of an image or a node.
        head: the part of the benchmark's networks that those built here lack: they have one for classification.
    """

    name: str
    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...] = ()
    source: Callable[[], ImageSource | None] = lambda: None
    hint: str = ""
    brings: str = "for predictors and tables, without images"
    predicts: str = ""
    head: str = ""

    @property
    def description(self) -> str:
        """One line for ``gennas list tasks``."""
        if len(self.input_shape) == 1:
            return (
                f"benchmark: {self.num_classes} classes, graph nodes with {self.input_shape[0]:,} features; "
                "for tables, without its graph"
            )
        what = self.predicts or f"{self.num_classes} classes"
        return f"benchmark: {what}, {shape_text(self.input_shape)}; {self.brings}"

    def __call__(self) -> Task:
        source = self.source()
        names = self.class_names if source is not None else ()
        hint = self.hint if source is None else ""
        notes = (self._note(),) if self.head else ()
        return Task(self.name, self.input_shape, self.num_classes, names, source, notes, hint)

    def _note(self) -> str:
        return (
            f"the benchmark predicts {self.predicts} of task {self.name!r} with {self.head}; networks built here, and "
            f"their params_m and macs_m, have a head for classification with {self.num_classes} outputs instead."
        )


BENCHMARKS = tuple(
    Benchmark(*facts)
    for facts in (
        ("cifar100", (3, 32, 32), 100),
        ("imagenet16-120", (3, 16, 16), 120),
        ("imagenet", (3, 224, 224), 1000),
        # The data sets of NAS-Bench-Graph, which classify the nodes of a graph.
        ("cora", (1433,), 7),
        ("citeseer", (3703,), 6),
        ("pubmed", (500,), 3),
        ("cs", (6805,), 15),
        ("physics", (8415,), 5),
        ("photo", (745,), 8),
        ("computers", (767,), 10),
        ("arxiv", (128,), 40),
        # 112 binary labels; their "accuracy" is the area under the ROC curve.
        ("proteins", (8,), 112),
        # The tasks of TransNAS-Bench-101 on photos of rooms: those of its many classes that are frequent.
        ("class_scene", (3, 256, 256), 47),
        ("class_object", (3, 256, 256), 75),
    )
) + tuple(
    Benchmark(name, shape, outputs, predicts=predicts, head=head)
    for name, shape, outputs, predicts, head in (
        ("jigsaw", (3, 64, 64), 1000, "which of 1,000 orders nine tiles of an image are in", "a layer on all tiles"),
        ("room_layout", (3, 256, 256), 9, "9 numbers that describe a room", "a linear layer"),
        ("segmentsemantic", (3, 256, 256), 17, "the class of every pixel, of 17", "a convolutional decoder"),
        ("normal", (3, 256, 256), 3, "the surface normal at every pixel", "a convolutional decoder"),
        ("autoencoder", (3, 256, 256), 3, "the image itself", "a convolutional decoder"),
    )
)
CIFAR10 = Benchmark(
    "cifar10",
    (3, 32, 32),
    10,
    CLASSES,
    Cifar10.found,
    "Its images are read from cifar10/*.npz in the folder GENNAS_DATA.",
    "with images if the folder GENNAS_DATA has cifar10/*.npz",
)
