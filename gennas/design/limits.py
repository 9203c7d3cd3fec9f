"""Limits: the bounds that the networks of a design keep, and how their latency is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gennas.errors import InvalidInputError
from gennas.evaluators.timing import check_available
from gennas.hardware.target import NAMING, HardwareTarget
from gennas.metrics import Constraint
from gennas.problem import Problem


@dataclass(frozen=True)
class Limits:
    """The bounds of a problem, of the kinds that a design can keep.

    Attributes:
        costs: on ``params_m``, ``macs_m`` and ``size_mb``.
        latency: on the latency of this machine.
        target: what of this machine.
    """

    costs: tuple[Constraint, ...]
    latency: tuple[Constraint, ...]
    target: HardwareTarget

    @classmethod
    def of(cls, problem: Problem) -> Limits:
        """The limits of a problem.

        Raises:
            InvalidInputError: a bound of another kind, a latency that is not to be short, or of hardware that is not
                this machine or that it lacks; or latencies of several.
        """
        costs = tuple(bound for bound in problem.where if bound.metric.is_cost)
        latency = tuple(bound for bound in problem.where if bound.metric.kind.name == "latency_ms")
        for bound in problem.where:
            if bound not in costs and bound not in latency:
                raise InvalidInputError(
                    f"holds {str(bound)!r}; a design keeps bounds on latency_ms, params_m, macs_m and size_mb. Leave "
                    "it out.",
                    argument="where",
                )
            if bound in latency and bound.relation != "<=":
                raise InvalidInputError(f"holds {str(bound)!r}; expected latency_ms <= a number.", argument="where")
        named = [bound.metric.target for bound in latency]
        names = list(dict.fromkeys([*([problem.hardware] if problem.hardware else []), *named])) or ["cpu"]
        if len(names) > 1:
            raise InvalidInputError(
                f"is {', '.join(map(str, names))}; a design is for one hardware at a time. Make one for each of them.",
                argument="hardware",
            )
        target = HardwareTarget.parse(str(names[0]))
        if target is None:
            raise InvalidInputError(
                f"is {names[0]!r}, which a design cannot measure; expected names of this machine: {NAMING}. For "
                "another device, bound macs_m, and measure the networks there: `gennas hardware bundle`.",
                argument="hardware",
            )
        check_available(target)
        return cls(costs, latency, target)

    @property
    def metric(self) -> str:
        """Name of the latency."""
        return f"latency_ms@{self.target.name}"

    @property
    def most_ms(self) -> float:
        """The shortest of the limits on latency; infinite without one."""
        return min((bound.bound for bound in self.latency), default=float("inf"))

    def divided(self, count: int, overhead: float) -> Limits:
        """Those of each of several networks that shall keep these together.

        Args:
            count: of networks.
            overhead: share of the latency that is not that of a network.
        """
        costs = tuple(replace(bound, bound=bound.bound / count) for bound in self.costs)
        latency = tuple(replace(bound, bound=bound.bound * (1 - overhead) / count) for bound in self.latency)
        return replace(self, costs=costs, latency=latency)

    def keeps_costs(self, values: Mapping[str, float]) -> bool:
        """Whether all bounds on costs hold, of which all values are known."""
        return all(bound.holds(values[bound.metric.name]) for bound in self.costs)

    def keeps(self, values: Mapping[str, float]) -> bool:
        """Whether all bounds hold, of which all values are known."""
        return self.keeps_costs(values) and all(bound.holds(values[bound.metric.name]) for bound in self.latency)
