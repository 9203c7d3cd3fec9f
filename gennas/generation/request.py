"""Request: what to generate; Generated: the archs that came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidInputError
from gennas.predictors.deployment import Predicted
from gennas.problem import Problem
from gennas.spaces.functions import Distinct

if TYPE_CHECKING:
    import pandas as pd

#: Its divisors, so that a batch is a number of whole islands.
PARTICLES = tuple(2**power for power in range(10))
#: A guided request draws until it has this many times the asked archs to choose the best from.
POOL = 6


@dataclass(frozen=True)
class Request:
    """What to generate.

    Args:
        problem: what the archs are for, and the bounds that each of them must keep.
        n: distinct archs asked for.
        strength: how far the objective bends the sampling, in standard deviations of the space; 0 not at all.
        confidence: probability with which every bound on a predicted metric must hold, per arch.
        distinct: ``archs`` counts every arch; ``functions`` only archs that compute different functions.
        diversity: 0 returns the best archs of those found, towards 1 archs that differ from each other more and more.
        fixed: a partial arch that all archs complete, e.g. of :meth:`gennas.spaces.Space.partial`.
        mutate: an arch that all archs are variations of.
        fraction: the share of its decisions that are resampled.
        particles: guided graphs that compete with each other; more of them follow a strong guidance more faithfully.

    Raises:
        InvalidInputError: a value out of range, or both ``fixed`` and ``mutate``.
    """

    problem: Problem
    n: int = 10
    strength: float = 3.0
    confidence: float = 0.9
    distinct: Distinct = "functions"
    diversity: float = 0.0
    fixed: PartialArch | None = None
    mutate: Arch | None = None
    fraction: float = 0.3
    particles: int = 64

    def __post_init__(self) -> None:
        self.problem.expect_one_task("a generation")
        if self.n < 1:
            raise InvalidInputError(f"is {self.n}; must be at least 1.", argument="n")
        size = self.problem.space.size
        if size is not None and self.n > size:
            raise InvalidInputError(
                f"is {self.n}; space {self.problem.space.name!r} has {size} archs. Ask for fewer.", argument="n"
            )
        if not 0 <= self.strength <= 100:
            raise InvalidInputError(f"is {self.strength:g}; must be in [0, 100]; 0 is unguided.", argument="strength")
        if not 0.5 <= self.confidence < 1:
            raise InvalidInputError(f"is {self.confidence:g}; must be in [0.5, 1).", argument="confidence")
        if self.distinct not in get_args(Distinct):
            raise InvalidInputError(f"distinct is {self.distinct!r}; must be 'archs' or 'functions'.")
        if not 0 <= self.diversity <= 1:
            raise InvalidInputError(
                f"is {self.diversity:g}; must be in [0, 1]; 0 returns the best, 1 the most different.",
                argument="diversity",
            )
        if not 0 < self.fraction <= 1:
            raise InvalidInputError(
                f"is {self.fraction:g}; must be in (0, 1]; 1 resamples everything.", argument="fraction"
            )
        if self.particles not in PARTICLES:
            raise InvalidInputError(
                f"is {self.particles}; expected one of {', '.join(map(str, PARTICLES))}.", argument="particles"
            )
        if self.fixed is not None and self.mutate is not None:
            raise InvalidInputError("`fixed` and `mutate` were both given; give one of them.")

    @property
    def pool(self) -> int:
        """How many archs are collected before ``n`` of them are chosen."""
        return POOL * self.n if self.is_guided or self.diversity else self.n

    @property
    def is_guided(self) -> bool:
        """Whether some archs are better than others, and draws are bent towards them."""
        return self.strength > 0 and bool(self.problem.objective.metrics)


@dataclass(frozen=True, repr=False)
class Generated:
    """The archs of a request.

    Attributes:
        archs: distinct archs that keep all bounds, best predicted objective first, by the values of :attr:`predicted`.
        predicted: for each its predicted metrics (mean and std; median and 90 % interval, too, of a latency that was
            scaled to other networks) and exact costs.
        requested: how many were asked for.
        sampled: how many graphs were drawn for them.
        valid_rate: share of the drawn graphs that are valid archs.
        unique_rate: share of the valid archs that are not repetitions.
        effective_share: effective sample size of the guided particles at its lowest, as a share; the mean of all
            batches. Near 0 guidance is unreliable.
        scored: graphs that the predictor scored, whole and partly masked ones.
        seconds: wall-clock time, loading included.
        notes: what the user should know about the result.
        recipe: name of that by which networks are trained that reach the accuracies; empty where these are of no single
            one.
    """

    archs: tuple[Arch, ...]
    predicted: tuple[Predicted, ...]
    requested: int
    sampled: int
    valid_rate: float
    unique_rate: float
    effective_share: float
    scored: int
    seconds: float
    notes: tuple[str, ...]
    recipe: str = ""

    def __repr__(self) -> str:
        return f"Generated({len(self.archs)} of {self.requested} archs, {self.sampled} graphs drawn)"

    def _repr_html_(self) -> str:
        """The table that notebooks show."""
        from gennas.spaces.drawing.table import html_table

        return html_table(repr(self), self.archs, self.frame(), self.notes)

    def __len__(self) -> int:
        return len(self.archs)

    def frame(self) -> pd.DataFrame:
        """A row per arch, indexed by its key: the mean and the std of every predicted metric, and the exact costs; of a
        latency that was scaled to other networks, the median with ``low`` and ``high`` in place of mean and std."""
        import pandas as pd

        rows = []
        for values in self.predicted:
            row: dict[str, Any] = {}
            for name, value in values.items():
                if not isinstance(value, dict):
                    row[name] = value
                    continue
                first, *others = ("median", "low", "high") if "median" in value else ("mean", "std")
                row |= {name: value[first], **{f"{name} {part}": value[part] for part in others}}
            rows.append(row)
        return pd.DataFrame(rows, index=pd.Index([arch.key for arch in self.archs], name="key"))
