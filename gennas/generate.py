"""Guided generation: archs for a task and a hardware, under constraints, from a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.stats import norm

from gennas.arch import Arch, PartialArch
from gennas.choose import pareto_order, spread
from gennas.diffusion.costs import CostConstraintGuide, CostModel, CostObjectiveGuide
from gennas.diffusion.generator import Generator, load_generator
from gennas.diffusion.guidance import ConstraintGuide, Guide, ObjectiveGuide
from gennas.diffusion.sampler import Sampling
from gennas.errors import InfeasibleError, InvalidInputError
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric, Objective
from gennas.placed import PlacedPredictor, Predicted
from gennas.predictors.gnn import load_predictor
from gennas.progress import progress
from gennas.tasks import Task
from gennas.told import Evaluated, with_told

#: Graphs drawn at a time; it does not depend on ``n``, so that asking for more goes on where less ended.
BATCH = 512
#: Its divisors, so that a batch is a number of whole islands.
PARTICLES = tuple(2**power for power in range(10))
#: A guided request draws until it has this many times the asked archs to choose the best from ...
POOL = 6
#: ... or has drawn this many graphs and this many more per asked arch.
DRAWS, DRAWS_PER_ARCH = 4096, 64
#: The asked archs are drawn from them with weights exp(SHARPNESS * strength * normal score).
SHARPNESS = 12.0
#: Effective samples among the particles, as a share, below which the user is told.
DOUBTFUL = 0.1
#: It gives up on finding as many as were asked after this many batches without a new one.
PATIENCE = 8


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


def generate(
    checkpoint: Path, request: Request, *, evaluated: Evaluated | None = None, skeleton: str = "", seed: int = 0
) -> Generated:
    """Samples archs from a checkpoint's generator, guided by its predictor.

    Bounds on costs hold exactly on everything returned; bounds on predicted metrics with the asked confidence under
    the predictor's mean and std.

    Args:
        checkpoint: folder with a generator and a predictor; see :func:`gennas.checkpoint.find_checkpoint`.
        request: what to generate.
        evaluated: accuracies of some archs on the task, if any are known.
        skeleton: settings of the network around the searched part, e.g. ``"cells=3"``.
        seed: of all randomness; the same seed gives the same archs on the same machine.

    Raises:
        InfeasibleError: no arch keeps all bounds; says which bound binds and the best reachable value.
        UnknownNameError: a metric, a task or a hardware without a predictor.
    """
    start = time.monotonic()
    generator = load_generator(checkpoint, skeleton)
    predictor, config = load_predictor(checkpoint)
    metrics = [*request.objective.metrics, *(constraint.metric for constraint in request.where)]
    places = [place for place in (request.hardware, *(m.place for m in metrics if m.kind.scope == "hardware")) if place]
    told, notes = with_told(predictor, generator.space, request.task.name, evaluated, places)
    placed = PlacedPredictor(told, config, generator.space, request.task, request.hardware)
    result = generate_with(generator, placed, request, seed=seed)
    return replace(result, seconds=time.monotonic() - start, notes=(*result.notes, *notes))


def generate_with(generator: Generator, placed: PlacedPredictor, request: Request, *, seed: int = 0) -> Generated:
    """:func:`generate` with a generator and a predictor that are in memory already; it raises the same errors."""
    start = time.monotonic()
    search = _Sampling(generator, placed, request, torch.Generator().manual_seed(seed))
    search.check()
    search.run()
    notes = [*request.task.notes, *placed.notes]
    if not search.found:
        raise InfeasibleError(search.diagnosis())
    if len(search.found) < request.n:
        notes.append(
            f"only {len(search.found)} of {request.n} asked: {PATIENCE * BATCH:,} more draws found no other arch that "
            "keeps all bounds. Loosen a bound, or lower --strength or --confidence."
        )
    archs, predicted = search.chosen()
    if request.particles > 1 and search.effective_share < max(DOUBTFUL, 2 / request.particles):
        notes.append(
            f"the guidance foresees little: an effective sample size of {search.effective_share:.1%} of "
            f"{request.particles} particles. Lower --strength, loosen a bound, or raise --particles."
        )
    functions = len({generator.space.canonical(arch).key for arch in archs})
    if functions < len(archs):
        notes.append(
            f"the {len(archs)} archs compute {functions} different functions; "
            "--distinct functions returns one arch for each."
        )
    return Generated(
        archs=archs,
        predicted=predicted,
        requested=request.n,
        sampled=search.sampled,
        valid_rate=search.valid / search.sampled,
        unique_rate=len(search.seen) / max(search.valid, 1),
        effective_share=search.effective_share,
        scored=search.source.scored,
        seconds=time.monotonic() - start,
        notes=tuple(notes),
    )


class _Sampling:
    """Draws batches and keeps the distinct archs that satisfy a request."""

    def __init__(self, generator: Generator, placed: PlacedPredictor, request: Request, rng: torch.Generator) -> None:
        self.generator, self.placed, self.request, self.rng = generator, placed, request, rng
        metrics = [*request.objective.metrics, *(constraint.metric for constraint in request.where)]
        for metric in metrics:
            placed.check(metric)
        self.source = placed.source(metrics)
        self.costs = {m.name: CostModel(generator.space, request.task, m) for m in metrics if m.is_cost}
        self.how = Sampling(particles=request.particles)
        self.found: dict[str, Arch] = {}
        self.seen: set[str] = set()
        self.sampled = self.valid = 0
        self.effective_shares: list[float] = []

    @property
    def effective_share(self) -> float:
        return float(np.mean(self.effective_shares))

    def check(self) -> None:
        """Refuses bounds that cannot be checked, and cost bounds that no arch can keep."""
        for constraint in self.request.where:
            self.placed.check_constraint(constraint)
            if constraint.metric.is_cost:
                self.costs[constraint.metric.name].check(constraint)

    def constraint_guides(self, without: Constraint | None = None) -> list[Guide]:
        return [
            CostConstraintGuide(self.costs[constraint.metric.name], constraint)
            if constraint.metric.is_cost
            else ConstraintGuide(self.source, constraint)
            for constraint in self.request.where
            if constraint is not without
        ]

    def objective_guides(self, metrics: Sequence[Metric], strength: float) -> list[Guide]:
        """One guide per metric; with several every island gets weights of its own, so that trade-offs are spread."""
        # Gamma(3) shares: few islands chase one metric alone, where the extremes of a space are rarely of use.
        islands = BATCH // self.how.particles
        weights = torch.empty(3, islands, len(metrics)).exponential_(generator=self.rng).sum(0)
        weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(self.how.particles, dim=0)
        return [
            CostObjectiveGuide(self.costs[metric.name], strength, weights[:, column])
            if metric.is_cost
            else ObjectiveGuide(self.source, metric, strength, weights[:, column])
            for column, metric in enumerate(metrics)
        ]

    def draw(self, guides: list[Guide]) -> list[Arch]:
        generator, request = self.generator, self.request
        if request.mutate is not None:
            samples = generator.mutate(
                request.mutate, request.fraction, BATCH, guides=guides, how=self.how, seed=self.rng
            )
        else:
            samples = generator.sample(BATCH, guides=guides, fixed=request.fixed, how=self.how, seed=self.rng)
        self.sampled += samples.sampled
        self.valid += len(samples.archs)
        self.effective_shares.append(samples.effective_share)
        archs = list(dict.fromkeys(samples.archs))
        # A user who fixes slots by their numbers wants them where they are.
        archs = archs if request.fixed or request.mutate else generator.space.renumbered(archs)
        fresh = [arch for arch in dict.fromkeys(archs) if arch.key not in self.seen and arch != request.mutate]
        self.seen.update(arch.key for arch in fresh)
        return fresh

    def run(self) -> None:
        """Draws until there are enough distinct archs that keep all bounds, or nothing new has come for a while."""
        request, idle = self.request, 0
        pool = POOL * request.n if request.strength or request.diversity else request.n
        budget = DRAWS + DRAWS_PER_ARCH * request.n
        constraints = self.constraint_guides()
        with progress("generating", pool) as report:
            while len(self.found) < pool and idle < PATIENCE and (len(self.found) < request.n or self.sampled < budget):
                before = len(self.found)
                fresh = self.draw([*constraints, *self.objective_guides(request.objective.metrics, request.strength)])
                fitting = [arch for arch, fits in zip(fresh, self.fitting(fresh, request.where), strict=True) if fits]
                for identity, arch in zip(self.identities(fitting), fitting, strict=True):
                    if len(self.found) < pool:
                        self.found.setdefault(identity, arch)
                idle = 0 if len(self.found) > before else idle + 1
                report(len(self.found), f"({self.sampled} drawn)")

    def identities(self, archs: Sequence[Arch]) -> list[str]:
        """What two archs that count as one have in common."""
        space = self.generator.space
        if self.request.distinct == "functions":
            return [space.canonical(arch).key for arch in archs]
        return [arch.key for arch in space.renumbered(archs)]

    def fitting(self, archs: Sequence[Arch], where: Sequence[Constraint]) -> list[bool]:
        """Whether each arch is of use (no constant) and keeps all bounds: exactly for costs, with the asked
        confidence for predictions."""
        if not archs:
            return []
        fits = torch.tensor([not self.generator.space.is_constant(arch) for arch in archs])
        graph = GraphBatch.from_archs(archs, self.generator.space.template)
        for constraint in where:
            if constraint.metric.is_cost:
                values = [self.costs[constraint.metric.name].of(arch) for arch in archs]
                fits &= torch.tensor([constraint.holds(value) for value in values])
            else:
                with torch.inference_mode():
                    log_probability = ConstraintGuide(self.source, constraint).log_values(graph, torch.empty(0))
                fits &= log_probability.exp() >= self.request.confidence
        return fits.tolist()

    def chosen(self) -> tuple[tuple[Arch, ...], tuple[Predicted, ...]]:
        """``n`` of the found archs, best predicted objective first, with their predictions.

        They are drawn without replacement by the Gumbel-top-k trick (Kool et al., "Stochastic Beams and Where to
        Find Them", ICML 2019), much sharper than the sampling: what is clearly better is taken, and near the edge
        another seed takes others; ``diversity`` weighs that against their distance. With several metrics successive
        Pareto fronts count as better.
        """
        archs = list(self.found.values())
        graph = GraphBatch.from_archs(archs, self.generator.space.template)
        columns = []
        for metric in self.request.objective.metrics:
            if metric.is_cost:
                costs = torch.tensor([self.costs[metric.name].of(arch) for arch in archs], dtype=torch.double)
                values = (costs - costs.mean()) / costs.std(correction=0).clamp_min(1e-12)
            else:
                with torch.inference_mode():
                    values = self.source.score(graph, metric.name)[0].double()
            columns.append(metric.kind.sign * values)
        scores = torch.stack(columns, dim=1)
        if len(archs) > self.request.n:
            gumbel = -torch.empty_like(scores).exponential_(generator=self.rng).log()
            sharpness = SHARPNESS * self.request.strength
            order = pareto_order(scores + gumbel / sharpness if sharpness else scores)
            drawn = spread(order, graph.choices(), self.request.n, self.request.diversity)
            archs, scores = [archs[i] for i in drawn], scores[drawn]
        archs = [archs[i] for i in pareto_order(scores)]
        names = self.placed.reported([*self.request.objective.metrics, *(c.metric for c in self.request.where)])
        return tuple(archs), tuple(self.placed.values(archs, names))

    def diagnosis(self) -> str:
        """Why nothing was found: for every bound the best value that archs keeping the other bounds reach."""
        if not self.request.where:
            return (
                f"none of {self.sampled:,} drawn graphs is an arch of use: what is fixed breaks a rule of "
                f"{self.generator.space.name}, or leads nothing from the input to the output. Leave more open."
            )
        lines = []
        for constraint in self.request.where:
            reachable = self.best(constraint)
            if reachable is not None and not constraint.holds(reachable):
                lines.append(f"'{constraint}' binds: {self._reached(constraint, reachable)}")
        if not lines:
            lines = [f"'{c}' alone: {self._reached(c, self.best(c, alone=True))}" for c in self.request.where]
        return (
            f"no arch of {self.sampled:,} drawn keeps all bounds. "
            + "; ".join(lines)
            + ". Loosen a bound"
            + ("" if all(c.metric.is_cost for c in self.request.where) else ", or lower --confidence")
            + "."
        )

    def _reached(self, constraint: Constraint, value: float | None) -> str:
        if value is None:
            return "no arch keeps the other bounds"
        sure = "" if constraint.metric.is_cost else f" with confidence {self.request.confidence:g}"
        others = " under the other bounds" if len(self.request.where) > 1 else ""
        return f"the best reachable {constraint.metric.name} is {value:.4g}{sure}{others}"

    def best(self, constraint: Constraint, alone: bool = False) -> float | None:
        """The best value of a constrained metric that can be had for sure, keeping the other bounds."""
        others = [] if alone else [c for c in self.request.where if c is not constraint]
        metric = constraint.metric
        towards = self.objective_guides([metric], 4.0 if constraint.relation == _easier(metric) else 0.0)
        guides = towards if alone else [*self.constraint_guides(without=constraint), *towards]
        self.seen.clear()
        archs = [arch for _ in range(8) for arch in self.draw(guides)]
        archs = [arch for arch, fits in zip(archs, self.fitting(archs, others), strict=True) if fits]
        if not archs:
            return None
        if metric.is_cost:
            values = [self.costs[metric.name].of(arch) for arch in archs]
        else:
            sure = norm.ppf(self.request.confidence) * (1 if constraint.relation == "<=" else -1)
            with torch.inference_mode():
                mean, std = self.source.score(GraphBatch.from_archs(archs, self.generator.space.template), metric.name)
            index = self.placed.predictor.metrics.index(metric.name)
            scores = (mean + sure * std)[:, None].expand(-1, len(self.placed.predictor.metrics))
            values = self.placed.predictor.scores.value(scores)[:, index].tolist()
        return min(values) if constraint.relation == "<=" else max(values)


def _easier(metric: Metric) -> str:
    """The relation of a bound that better values keep."""
    return "<=" if metric.kind.direction == "min" else ">="
