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
    """

    name: str
    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...] = ()
    source: Callable[[], ImageSource | None] = lambda: None
    hint: str = ""
    brings: str = "for predictors and tables, without images"

    @property
    def description(self) -> str:
        """One line for ``gennas list tasks``."""
        if len(self.input_shape) == 1:
            return (
                f"benchmark: {self.num_classes} classes, graph nodes with {self.input_shape[0]:,} features; "
                "for tables, without its graph"
            )
        return f"benchmark: {self.num_classes} classes, {shape_text(self.input_shape)}; {self.brings}"

    def __call__(self) -> Task:
        source = self.source()
        names = self.class_names if source is not None else ()
        hint = self.hint if source is None else ""
        return Task(self.name, self.input_shape, self.num_classes, names, source, hint=hint)


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
