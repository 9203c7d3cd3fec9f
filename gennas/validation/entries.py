"""What a validation gives: an entry per arch, and all of them as a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gennas.arch import Arch
from gennas.training.repeats import Interval, interval_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Validated:
    """What is now known of one arch.

    Attributes:
        arch: the arch.
        metrics: ``accuracy@<task>`` on the validation images, ``test_accuracy@<task>`` where the task has test
            images (both fractions; or the metrics of another kind of targets), ``latency_ms`` of this machine,
            ``params_m`` and ``macs_m``; of an evaluation that failed, what was known before it.
        folder: of ``network.safetensors``, ``network.onnx`` and ``arch.json``, where :attr:`is_kept`.
        reused: the study knew everything already.
        seconds: that the training took, whenever that was; 0 where it failed.
        error: why an evaluation failed; None where none did.
        is_kept: whether the network was trained, and its files are there.
        same_as: key of another arch that computes the same function and was evaluated for both: accuracies, latency
            and folder are those of its network; None where the arch itself was evaluated.
    """

    arch: Arch
    metrics: dict[str, float]
    folder: Path
    reused: bool
    seconds: float
    error: str | None = None
    is_kept: bool = True
    same_as: str | None = None
    repeats: Mapping[int, dict[str, float]] = field(default_factory=dict)

    @property
    def intervals(self) -> dict[str, Interval]:
        """Metric -> mean over the seeds with its 95 % t-interval; empty where there was one seed."""
        names = dict.fromkeys(name for values in self.repeats.values() for name in values)
        found = {name: [values[name] for values in self.repeats.values() if name in values] for name in names}
        return {name: interval_of(values) for name, values in found.items()}

    @property
    def key(self) -> str:
        """The arch's native notation."""
        return self.arch.key


@dataclass(frozen=True, repr=False)
class Validation:
    """What validating archs gave: a sequence with one entry per distinct arch, in the order given.

    Archs that compute the same function are evaluated once, see :attr:`Validated.same_as`.

    Attributes:
        entries: one per arch.
        notes: what the user should know, in sentences.
        study: where the study is kept.
    """

    entries: tuple[Validated, ...]
    notes: tuple[str, ...]
    study: Path

    @property
    def archs(self) -> tuple[Arch, ...]:
        """The archs, in the order given."""
        return tuple(entry.arch for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Validated]:
        return iter(self.entries)

    def __getitem__(self, row: int) -> Validated:
        return self.entries[row]

    def __repr__(self) -> str:
        failed = sum(entry.error is not None for entry in self.entries)
        return f"Validation({len(self.entries)} archs, {failed} failed, study {str(self.study)!r})"

    def _repr_html_(self) -> str:
        """The table that notebooks show."""
        from gennas.spaces.drawing.table import html_table

        return html_table(repr(self), self.archs, self.frame(), self.notes)

    def frame(self) -> pd.DataFrame:
        """A row per arch, indexed by its key: a column per metric, ``seconds``, ``reused``, ``error``, ``same_as``.

        With several seeds also ``<metric> mean``, ``<metric> half width`` (of the 95 % t-interval) and ``<metric> n``.
        """
        import pandas as pd

        rows = [
            {
                **entry.metrics,
                "seconds": entry.seconds,
                "reused": entry.reused,
                "error": entry.error,
                "same_as": entry.same_as,
                **{
                    f"{name} {part}": value
                    for name, interval in entry.intervals.items()
                    for part, value in (("mean", interval.mean), ("half width", interval.half_width), ("n", interval.n))
                },
            }
            for entry in self.entries
        ]
        return pd.DataFrame(rows, index=pd.Index([entry.key for entry in self.entries], name="key"))
