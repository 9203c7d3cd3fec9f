"""The sampling of a request: batches are drawn until enough distinct archs keep all bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gennas.arch import Arch
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel, CostObjectiveGuide
from gennas.diffusion.guides.predicted import ConstraintGuide, ObjectiveGuide, ScoreSource
from gennas.diffusion.sampler import SamplerConfig
from gennas.generation.diversity import spread
from gennas.generation.request import Request
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.pareto import pareto_order
from gennas.predictors.deployment import DeploymentPredictor, Predicted
from gennas.progress import progress

#: Graphs drawn at a time; it does not depend on ``n``, so that asking for more goes on where less ended.
BATCH = 512
#: A guided request draws until it has this many times the asked archs to choose the best from ...
POOL = 6
#: ... or has drawn this many graphs and this many more per asked arch.
DRAWS, DRAWS_PER_ARCH = 4096, 64
#: The asked archs are drawn from them with weights exp(SHARPNESS * strength * normal score).
SHARPNESS = 12.0
#: It gives up on finding as many as were asked after this many batches without a new one.
PATIENCE = 8


class RequestSampler:
    """Draws batches and keeps the distinct archs that satisfy a request."""

    def __init__(
        self, generator: Generator, placed: DeploymentPredictor, request: Request, rng: torch.Generator
    ) -> None:
        self.generator, self.placed, self.request, self.rng = generator, placed, request, rng
        metrics = [*request.objective.metrics, *(constraint.metric for constraint in request.where)]
        for metric in metrics:
            placed.check(metric)
        self.source = ScoreSource(placed.predictor, placed.parts(metrics))
        self.costs = {m.name: CostModel(generator.space, request.task, m) for m in metrics if m.is_cost}
        self.sampling = SamplerConfig(particles=request.particles)
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
        islands = BATCH // self.sampling.particles
        weights = torch.empty(3, islands, len(metrics)).exponential_(generator=self.rng).sum(0)
        weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(self.sampling.particles, dim=0)
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
                request.mutate, request.fraction, BATCH, guides=guides, sampling=self.sampling, seed=self.rng
            )
        else:
            samples = generator.sample(BATCH, guides=guides, fixed=request.fixed, sampling=self.sampling, seed=self.rng)
        self.sampled += samples.sampled
        self.valid += len(samples.archs)
        self.effective_shares.append(samples.effective_share)
        archs = list(dict.fromkeys(samples.archs))
        # A user who fixes slots by their numbers wants them where they are.
        archs = archs if request.fixed or request.mutate else generator.space.canonicalised(archs)
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
        return [arch.key for arch in space.canonicalised(archs)]

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
