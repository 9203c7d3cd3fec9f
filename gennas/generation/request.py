"""Request: what to generate; Generated: what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gennas.arch import Arch, PartialArch
from gennas.errors import InvalidInputError
from gennas.metrics import Constraint, Objective
from gennas.predictors.deployment import Predicted
from gennas.tasks import Task

#: Its divisors, so that a batch is a number of whole islands.
PARTICLES = tuple(2**power for power in range(10))


@dataclass(frozen=True)
class Request:
    """What to generate.

    Args:
        task: what the networks are for.
        hardware: the deployment target, if any.
        objective: what to optimise.
        where: bounds that every returned arch shall keep.
        n: distinct archs asked.
        strength: how far the objective bends the sampling, in standard deviations of the space; 0 not at all.
        confidence: probability with which every bound on a predicted metric shall hold, per arch.
        distinct: ``archs`` counts every arch; ``functions`` only archs that compute different functions.
        diversity: 0 returns the best archs of those found, towards 1 archs that differ from each other more and more.
        fixed: a partial arch that all archs complete.
        mutate: an arch that all archs are variations of.
        fraction: the share of its decisions that are made again.
        particles: guided graphs that compete with each other; more of them follow a strong guidance more faithfully.
    """

    task: Task
    hardware: str | None
    objective: Objective
    where: tuple[Constraint, ...] = ()
    n: int = 10
    strength: float = 3.0
    confidence: float = 0.9
    distinct: Literal["archs", "functions"] = "archs"
    diversity: float = 0.0
    fixed: PartialArch | None = None
    mutate: Arch | None = None
    fraction: float = 0.3
    particles: int = 64

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidInputError(f"-n is {self.n}; expected at least 1 architecture.")
        if not 0 <= self.strength <= 100:
            raise InvalidInputError(f"--strength is {self.strength:g}; expected 0 (unguided) to 100.")
        if not 0.5 <= self.confidence < 1:
            raise InvalidInputError(f"--confidence is {self.confidence:g}; expected 0.5 up to, but not, 1.")
        if not 0 <= self.diversity <= 1:
            raise InvalidInputError(f"--diversity is {self.diversity:g}; expected 0 (the best) to 1 (the most unlike).")
        if not 0 < self.fraction <= 1:
            raise InvalidInputError(f"--fraction is {self.fraction:g}; expected above 0 up to 1 (forget the arch).")
        if self.particles not in PARTICLES:
            raise InvalidInputError(
                f"--particles is {self.particles}; expected one of {', '.join(map(str, PARTICLES))}."
            )
        if self.fixed is not None and self.mutate is not None:
            raise InvalidInputError("--fix and --mutate were both given; expected one of them.")


@dataclass(frozen=True)
class Generated:
    """What came of a request.

    Attributes:
        archs: distinct archs that keep all bounds, best predicted objective first.
        predicted: for each its predicted metrics (mean and std) and exact costs.
        requested: how many were asked.
        sampled: how many graphs were drawn for them.
        valid_rate: share of the drawn graphs that are valid archs.
        unique_rate: share of the valid archs that are not repetitions.
        effective_share: effective sample size of the guided particles at its lowest, as a share; the mean of all
            batches. Near 0 the guides ask for more than they can foresee.
        scored: graphs that the predictor scored, whole and partly masked ones.
        seconds: wall-clock time, loading included.
        notes: what the user should know about the result.
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
