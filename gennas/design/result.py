"""Design: the networks that came of one, the baselines beside them, and which of them are handed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gennas.arch import Arch
from gennas.tasks import Task

if TYPE_CHECKING:
    import pandas as pd


#: Of the run folder: what :meth:`Designed.facts` says of all networks.
FILE = "design.json"


@dataclass(frozen=True)
class Designed:
    """A network of a design.

    Attributes:
        name: ``generated 1``, or that of a parent.
        kind: ``generated``, ``ensemble``, or ``baseline`` for what a user would have done without gennas.
        arch: the arch; of an ensemble that of the member that takes the largest images.
        accuracy: on the validation images, by which networks are chosen; a fraction.
        test: accuracy on the test images; None where there are none.
        interval: of :attr:`test`, 95 %.
        latency_ms: measured on this machine; None where it does not matter.
        pixels: side of its images.
        costs: ``params_m``, ``macs_m`` and ``size_mb``.
        keeps: whether it keeps all limits.
        folder: of its files, in the run.
        handed_over: its place among the networks that are handed over, from 1; None for the others.
        note: what is to be said of it.
        members: of an ensemble: the arch of each network that it is the mean of, and the folder of its files.
    """

    name: str
    kind: Literal["generated", "baseline", "ensemble"]
    arch: Arch
    accuracy: float
    test: float | None
    interval: tuple[float, float] | None
    latency_ms: float | None
    pixels: int
    costs: Mapping[str, float]
    keeps: bool
    folder: Path
    handed_over: int | None = None
    note: str = ""
    members: tuple[tuple[Arch, Path], ...] = ()

    @property
    def key(self) -> str:
        """The arch's native notation; of an ensemble those of its members, between plus signs."""
        return " + ".join(arch.key for arch, _ in self.members) or self.arch.key

    def facts(self) -> dict[str, Any]:
        """All but the folder, as JSON holds it; accuracies are fractions."""
        return {
            "name": self.name,
            "kind": self.kind,
            "key": self.key,
            "accuracy": self.accuracy,
            "test_accuracy": self.test,
            "test_interval": self.interval,
            "latency_ms": self.latency_ms,
            "pixels": self.pixels,
            **self.costs,
            "keeps_limits": self.keeps,
            "handed_over": self.handed_over,
            "note": self.note,
        }


@dataclass(frozen=True, repr=False)
class Design:
    """What a design gave: all trained networks, the best first.

    Attributes:
        entries: generated networks and baselines, by validation accuracy.
        folder: of the run; its ``networks/1`` and so on are the networks that are handed over.
        notes: what the user should know, in sentences.
        seconds: that this call took.
        task: with its images at the largest resolution of all networks.
    """

    entries: tuple[Designed, ...]
    folder: Path
    notes: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    task: Task | None = field(default=None, compare=False)

    @property
    def networks(self) -> tuple[Path, ...]:
        """Folders of the networks that are handed over, the best first: PyTorch source, weights, ONNX, predict.py."""
        count = sum(entry.handed_over is not None for entry in self.entries)
        return tuple(self.folder / "networks" / str(place) for place in range(1, count + 1))

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Designed]:
        return iter(self.entries)

    def __getitem__(self, place: int) -> Designed:
        return self.entries[place]

    def __repr__(self) -> str:
        return f"Design({len(self.entries)} networks, {len(self.networks)} of them in {self.folder / 'networks'})"

    def frame(self) -> pd.DataFrame:
        """A row per network, indexed by its name."""
        import pandas as pd

        rows = [
            {
                "kind": entry.kind,
                "accuracy": entry.accuracy,
                "test_accuracy": entry.test,
                "test_low": None if entry.interval is None else entry.interval[0],
                "test_high": None if entry.interval is None else entry.interval[1],
                "latency_ms": entry.latency_ms,
                "pixels": entry.pixels,
                **entry.costs,
                "keeps_limits": entry.keeps,
                "handed_over": entry.handed_over,
                "key": entry.key,
                "note": entry.note,
            }
            for entry in self.entries
        ]
        return pd.DataFrame(rows, index=pd.Index([entry.name for entry in self.entries], name="network"))
