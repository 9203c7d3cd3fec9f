"""RequestSampler: draws batches of archs until enough distinct ones satisfy all bounds."""

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
from gennas.generation.diversity import select_diverse
from gennas.generation.request import Request
from gennas.graph import GraphBatch
from gennas.metrics import Constraint, Metric
from gennas.pareto import pareto_order
from gennas.predictors.deployment import DeploymentPredictor, Predicted
from gennas.progress import Report

#: Graphs per batch; independent of ``n``, so that a larger ``n`` draws the same graphs first.
BATCH = 512
#: A guided request draws until its pool is full, or until it has drawn this many graphs, plus this many per arch.
DRAWS, DRAWS_PER_ARCH = 4096, 64
#: The returned archs are drawn from the pool with weights exp(SHARPNESS * strength * normal score).
SHARPNESS = 12.0
#: Batches without a new arch after which the sampler gives up.
PATIENCE = 8


class RequestSampler:
    """Draws batches of archs and collects the distinct ones that satisfy a request.

    Args:
        generator: samples the archs.
        deployment: predicts the metrics of the objective and the bounds.
        request: what to generate.
        rng: source of all randomness.

    Raises:
        UnknownNameError: the predictor does not predict a metric of the request.
    """

    def __init__(
        self, generator: Generator, deployment: DeploymentPredictor, request: Request, rng: torch.Generator
    ) -> None:
        self.generator, self.deployment, self.request, self.rng = generator, deployment, request, rng
        self.problem = problem = request.problem
        metrics = [*problem.objective.metrics, *(constraint.metric for constraint in problem.where)]
        for metric in metrics:
            deployment.check(metric)
        self.source = ScoreSource(deployment.predictor, deployment.parts(metrics))
        self.costs = {m.name: CostModel(generator.space, problem.task, m) for m in metrics if m.is_cost}
        self.sampling = SamplerConfig(particles=request.particles)
        self.found: dict[str, Arch] = {}
        self.seen: set[str] = set()
        self.sampled = self.valid = 0
        self.effective_shares: list[float] = []

    @property
    def effective_share(self) -> float:
        """Effective share of the particles, averaged over batches; see ``Samples.effective_share``."""
        return float(np.mean(self.effective_shares))

    def check(self) -> None:
        """Checks that every bound can be evaluated, and that bounds on costs can be satisfied.

        Raises:
            InvalidInputError: a bounded metric cannot be predicted.
            InfeasibleError: no arch satisfies a bound on a cost.
        """
        for constraint in self.problem.where:
            self.deployment.check_constraint(constraint)
            if constraint.metric.is_cost:
                self.costs[constraint.metric.name].check(constraint)

    def constraint_guides(self, without: Constraint | None = None) -> list[Guide]:
        """One guide per bound, except ``without``."""
        return [
            CostConstraintGuide(self.costs[constraint.metric.name], constraint)
            if constraint.metric.is_cost
            else ConstraintGuide(self.source, constraint)
            for constraint in self.problem.where
            if constraint is not without
        ]

    def objective_guides(self, metrics: Sequence[Metric], strength: float) -> list[Guide]:
        """One guide per metric; with several, islands get different random weights, so that trade-offs are covered."""
        # Dirichlet(3, ..., 3) weights: few islands optimise one metric alone, as extreme archs are rarely useful.
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
        """Draws a batch; returns the distinct archs that no earlier batch had."""
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
        # Users who fix slots by name expect them to stay in place.
        archs = archs if request.fixed or request.mutate else generator.space.canonicalised(archs)
        fresh = [arch for arch in dict.fromkeys(archs) if arch.key not in self.seen and arch != request.mutate]
        self.seen.update(arch.key for arch in fresh)
        return fresh

    def run(self, report: Report) -> None:
        """Draws until enough distinct archs satisfy all bounds, the budget is spent or no new ones are found."""
        request, problem, idle = self.request, self.problem, 0
        budget = DRAWS + DRAWS_PER_ARCH * request.n
        constraints = self.constraint_guides()
        pool = request.pool
        while len(self.found) < pool and idle < PATIENCE and (len(self.found) < request.n or self.sampled < budget):
            before = len(self.found)
            fresh = self.draw([*constraints, *self.objective_guides(problem.objective.metrics, request.strength)])
            feasible = [arch for arch, ok in zip(fresh, self.feasible(fresh, problem.where), strict=True) if ok]
            for identity, arch in zip(self.identities(feasible), feasible, strict=True):
                if len(self.found) < pool:
                    self.found.setdefault(identity, arch)
            idle = 0 if len(self.found) > before else idle + 1
            report(len(self.found), f"({self.sampled} drawn)")

    def identities(self, archs: Sequence[Arch]) -> list[str]:
        """A string per arch, equal for archs that do not count as distinct."""
        space = self.generator.space
        if self.request.distinct == "functions":
            return [space.canonical(arch).key for arch in archs]
        return [arch.key for arch in space.canonicalised(archs)]

    def feasible(self, archs: Sequence[Arch], where: Sequence[Constraint]) -> list[bool]:
        """Whether each arch is usable (its output depends on its input) and satisfies all bounds: exactly for costs,
        with the requested confidence for predicted metrics."""
        if not archs:
            return []
        is_feasible = torch.tensor([not self.generator.space.is_constant(arch) for arch in archs])
        graph = GraphBatch.from_archs(archs, self.generator.space.template)
        for constraint in where:
            if constraint.metric.is_cost:
                values = [self.costs[constraint.metric.name].of(arch) for arch in archs]
                is_feasible &= torch.tensor([constraint.holds(value) for value in values])
            else:
                with torch.inference_mode():
                    log_probability = ConstraintGuide(self.source, constraint).log_values(graph, torch.empty(0))
                is_feasible &= log_probability.exp() >= self.request.confidence
        return is_feasible.tolist()

    def chosen(self) -> tuple[tuple[Arch, ...], tuple[Predicted, ...]]:
        """``n`` of the found archs, best predicted objective first, with their predictions.

        They are drawn without replacement by the Gumbel-top-k trick (Kool et al., "Stochastic Beams and Where to Find
        Them", ICML 2019), with much sharper weights than the sampling: clearly better archs are always selected, and
        near ties depend on the seed. ``diversity`` trades the objective for distance. Several metrics are ranked by
        successive Pareto fronts.
        """
        archs = list(self.found.values())
        graph = GraphBatch.from_archs(archs, self.generator.space.template)
        columns = []
        for metric in self.problem.objective.metrics:
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
            selected = select_diverse(order, graph.choices(), self.request.n, self.request.diversity)
            archs, scores = [archs[i] for i in selected], scores[selected]
        archs = [archs[i] for i in pareto_order(scores)]
        names = self.deployment.reported([*self.problem.objective.metrics, *(c.metric for c in self.problem.where)])
        return tuple(archs), tuple(self.deployment.values(archs, names))
