"""RequestSampler: draws batches of archs until enough satisfy all bounds, and the best of them stop improving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gennas.arch import Arch, PartialArch
from gennas.diffusion.generator import Generator, Samples
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.costs import CostConstraintGuide, CostModel, CostObjectiveGuide
from gennas.diffusion.guides.predicted import ConstraintGuide, ObjectiveGuide, ScoreSource
from gennas.diffusion.sampler import SamplerConfig
from gennas.diffusion.seeker import Seeker, SeekerConfig
from gennas.diffusion.uniform import UniformGenerator
from gennas.generation.computed_bounds import ComputedBounds
from gennas.generation.diversity import select_diverse
from gennas.generation.fixed_costs import check_fixed
from gennas.generation.request import Request
from gennas.generation.wanted import Wanted
from gennas.graph import GraphBatch
from gennas.metrics import DERIVED_COSTS, Constraint, Metric
from gennas.pareto import pareto_order, spread_order
from gennas.predictors.deployment import DeploymentPredictor, Predicted
from gennas.predictors.domain import restricted, undecided
from gennas.predictors.transfer import Evaluated
from gennas.progress import Report
from gennas.spaces.costs import all_costs
from gennas.spaces.functions import key_of

#: Graphs per batch; independent of ``n``, so that a larger ``n`` draws the same graphs first.
BATCH = 512
#: A guided request draws until its pool is full, or until it has drawn this many graphs, plus this many per arch.
DRAWS, DRAWS_PER_ARCH = 4096, 64
#: The returned archs are drawn from the pool with weights exp(SHARPNESS * strength * normal score).
SHARPNESS = 12.0
#: Batches without a new arch after which the sampler gives up.
PATIENCE = 8
#: Spaces of at most this many archs are enumerated once so many batches have not filled the pool, or so many batches
#: of variations have not ended its improvement.
ENUMERABLE, FILLING, VARYING = 50_000, 2, 4
#: Effective sample size of the particles, as a share, below which the strength is halved, down to this.
DOUBTFUL, LEAST_STRENGTH = 0.1, 1.0
#: Parts of the best archs are refilled at most so many times, each time until so many archs were evaluated.
VARIATIONS, VARIED = 12, 500
#: Archs of which parts are refilled, for one objective, and at most.
PARENTS, MOST_PARENTS = 25, 200
#: Weightings of several objectives by which improvement is judged.
WEIGHTINGS = 8


class RequestSampler:
    """Draws batches of archs and collects the distinct ones that satisfy a request.

    Args:
        generator: samples the archs.
        deployment: predicts the metrics of the objective and the bounds.
        request: what to generate.
        rng: source of all randomness.
        evaluated: archs whose accuracy on the task is known. What does not count as distinct from them is not
            collected; they keep a bound on it if their value does, and make up the number where others are too few.

    Attributes:
        problem: with the bounds that are kept while drawing.
        computed: the bounds that are kept afterwards.
        fixed_by_user: what the request fixes.
        common: what all archs that are collected complete, where that is known.
        notes: why some of it was fixed beside what the request fixes.
        pool: how many archs are collected before some of them are chosen.
        strength: of the objective's guidance; less than asked where that proved unreliable.
        enumerated: whether every arch of the space was looked at.
        converged: whether the best archs found have stopped improving.

    Raises:
        UnknownNameError: the predictor does not predict a metric of the request.
        InvalidInputError: a metric is not known for what the request fixes, or for these networks.
    """

    def __init__(
        self,
        generator: Generator,
        deployment: DeploymentPredictor,
        request: Request,
        rng: torch.Generator,
        evaluated: Evaluated | None = None,
    ) -> None:
        self.generator, self.deployment, self.request, self.rng = generator, deployment, request, rng
        self.computed = ComputedBounds(request.problem, request.n, deployment.groups)
        drawn_within = tuple(bound for bound in request.problem.where if bound not in self.computed.where)
        self.problem = problem = request.problem.within(drawn_within)
        self.pool = max(request.pool, self.computed.most) if self.computed.where else request.pool
        self.fixed_by_user = request.fixed
        metrics = [*problem.objective.metrics, *(constraint.metric for constraint in problem.where)]
        for metric in metrics:
            deployment.check(metric)
        self.domains = {metric.name: deployment.domain(metric.name) for metric in metrics if not metric.is_cost}
        self.common, self.notes = request.fixed, list[str]()
        if any(self.domains.values()):
            self._restrict()
        self.source = ScoreSource(deployment.predictor, deployment.parts(metrics))
        self.costs = {m.name: CostModel(generator.space, problem.task, m) for m in metrics if m.is_cost}
        self.sampling = SamplerConfig(particles=request.particles)
        self.strength, self.enumerated, self.converged = request.strength, False, True
        self.found: dict[str, Arch] = {}
        self._scores: list[Tensor] = []
        self.observed: dict[str, float] = {}
        if evaluated is not None:
            archs = generator.space.canonicalised(list(evaluated.archs))
            self.observed = {arch.key: float(value) for arch, value in zip(archs, evaluated.accuracy, strict=True)}
        self.known = set(self.identities(self.evaluated_archs()))
        self.seen: set[str] = set()
        self.sampled = self.valid = 0
        self.effective_shares: list[float] = []

    def _restrict(self) -> None:
        """Asks for none but archs of which all that is predicted is known."""
        space, request = self.generator.space, self.request
        self.common, self.notes = restricted(request.fixed or undecided(space), space, self.domains)
        if request.mutate is None:
            self.request = replace(request, fixed=self.common)
        else:
            # What it says of the arch it says of its choices; others leave the domain here and there.
            restricted(PartialArch(space.name, request.mutate.ops, request.mutate.edges), space, self.domains)

    @property
    def effective_share(self) -> float:
        """Effective share of the particles, averaged over batches; see ``Samples.effective_share``."""
        return float(np.mean(self.effective_shares))

    @property
    def is_enumerable(self) -> bool:
        """Whether predicting every arch of the space takes seconds. What is fixed may be in several places."""
        size = self.generator.space.size
        return size is not None and size <= ENUMERABLE and self.request.fixed is None and self.request.mutate is None

    @property
    def is_uniform(self) -> bool:
        """Whether nothing bends the draws, as there is no trained generator."""
        return isinstance(self.generator, UniformGenerator)

    @property
    def has_exact_bounds(self) -> bool:
        """Whether all bounds are on costs, which are not predicted."""
        return all(constraint.metric.is_cost for constraint in self.problem.where)

    @property
    def unrestricting(self) -> list[str]:
        """What frees the choices that :attr:`notes` speak of, in words."""
        names = [name for name, domain in self.domains.items() if domain]
        is_bounded = any(constraint.metric.name in names for constraint in self.problem.where)
        example = "" if is_bounded else ", as `objective` none does"
        return [f"leave {' and '.join(names)} out of `objective` and `where`{example}"] if self.notes else []

    @property
    def considered(self) -> str:
        """How many archs were looked at, in words."""
        return f"the {self.generator.space.size:,} archs" if self.enumerated else f"{self.sampled:,} sampled archs"

    def check(self) -> None:
        """Checks that every bound can be evaluated, and that bounds on costs can be satisfied.

        Raises:
            InvalidInputError: a bounded metric cannot be predicted.
            InfeasibleError: no arch satisfies a bound on a cost, or none that has what is fixed.
        """
        for constraint in self.problem.where:
            self.deployment.check_constraint(constraint)
            if constraint.metric.is_cost:
                self._check_cost(constraint)

    def _check_cost(self, constraint: Constraint) -> None:
        costs, fixed = self.costs[constraint.metric.name], self.fixed_by_user
        costs.check(constraint)
        fewer = ["fix fewer decisions in `fixed`"] if fixed is not None else []
        if fixed is not None:
            check_fixed(costs, constraint, fixed, [], fewer)
        if self.common is not None:
            check_fixed(costs, constraint, self.common, self.notes, [*fewer, *self.unrestricting])

    def constraint_guides(self, without: Constraint | None = None, costs_only: bool = False) -> list[Guide]:
        """One guide per bound, except ``without``; of those on costs only, which are exact, where that is asked."""
        return [
            CostConstraintGuide(self.costs[constraint.metric.name], constraint)
            if constraint.metric.is_cost
            else ConstraintGuide(self.source, constraint)
            for constraint in self.problem.where
            if constraint is not without and (constraint.metric.is_cost or not costs_only)
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
            return self._fresh(
                generator.mutate(
                    request.mutate, request.fraction, BATCH, guides=guides, sampling=self.sampling, seed=self.rng
                )
            )
        return self._fresh(
            generator.sample(BATCH, guides=guides, fixed=request.fixed, sampling=self.sampling, seed=self.rng)
        )

    def _fresh(self, samples: Samples) -> list[Arch]:
        request = self.request
        self.sampled += samples.sampled
        self.valid += len(samples.archs)
        self.effective_shares.append(samples.effective_share)
        archs = list(dict.fromkeys(samples.archs))
        # Users who fix slots by name expect them to stay in place.
        archs = archs if request.fixed or request.mutate else self.generator.space.canonicalised(archs)
        fresh = [arch for arch in dict.fromkeys(archs) if arch.key not in self.seen and arch != request.mutate]
        self.seen.update(arch.key for arch in fresh)
        return fresh

    def run(self, report: Report) -> None:
        """Draws until enough distinct archs satisfy all bounds, and the best of them stop improving.

        The draws are bounded. A small space is enumerated where they do not suffice, and then nothing better exists.
        """
        self._fill(report)
        if self.request.is_guided and self.found and not self.enumerated:
            self._improve(report)
        if len(self.found) < self.request.n and self.request.fixed is None and self.request.mutate is None:
            self.known.clear()
            self._collect(self._best_evaluated(), self.request.n)

    def _fill(self, report: Report) -> None:
        """Draws until the pool is full, the budget is spent or no new archs are found."""
        request, problem, idle, batches = self.request, self.problem, 0, 0
        budget = DRAWS + DRAWS_PER_ARCH * request.n
        constraints = self.constraint_guides()
        pool = self.pool
        while len(self.found) < pool and idle < PATIENCE and (len(self.found) < request.n or self.sampled < budget):
            if batches >= FILLING and self.is_enumerable:
                self.enumerate(report)
                return
            before = len(self.found)
            guides = [*constraints, *self.objective_guides(problem.objective.metrics, self.strength)]
            # Of uniform draws the best are few: all are looked at.
            self._collect(self.draw(guides), None if self.is_uniform and request.is_guided else pool)
            idle = 0 if len(self.found) > before else idle + 1
            batches += 1
            if self.effective_shares[-1] < DOUBTFUL and self.strength > LEAST_STRENGTH:
                self.strength = max(self.strength / 2, LEAST_STRENGTH)
            report(min(len(self.found), pool), f"({self.sampled} drawn)")

    def _improve(self, report: Report) -> None:
        """Redraws parts of the best archs until they stop improving by more than the noise of the selection."""
        tolerance, value = 1 / (SHARPNESS * self.request.strength), self._utility()
        seeker = self._seeker()
        for batch in range(VARIATIONS):
            if batch >= VARYING and self.is_enumerable:
                self.enumerate(report)
                return
            if seeker is None:
                guides = self.objective_guides(self.problem.objective.metrics, self.strength)
                self._collect(self.draw([*self.constraint_guides(), *guides]))
            else:
                self._collect(self._sought(seeker))
            report(min(len(self.found), self.request.pool), f"({self.sampled} drawn)")
            before, value = value, self._utility()
            if value - before < tolerance:
                return
        self.converged = False

    def _seeker(self) -> Seeker | None:
        """Starts from what was found; None where archs are to be variations of a given one."""
        if self.request.mutate is not None:
            return None
        space, metrics = self.generator.space, self.problem.objective.metrics
        wanted = Wanted(space, metrics, self.problem.where, self.request.confidence, self.source, self.costs)
        # Of several objectives a whole front is to be covered.
        parents = min(max(PARENTS * len(metrics) ** 2, self.request.n), MOST_PARENTS)
        seeker = Seeker(
            self.generator,
            wanted.worth,
            wanted.keeps,
            self.rng,
            guides=self.constraint_guides(costs_only=True),
            fixed=self.request.fixed,
            config=SeekerConfig(parents=parents),
        )
        seeker.start(GraphBatch.from_archs(list(self.found.values()), space.template))
        return seeker

    def _sought(self, seeker: Seeker) -> list[Arch]:
        """What a seeker finds in some rounds, those that keep all bounds."""
        before = seeker.evaluated
        with torch.inference_mode():
            seeker.run(before + VARIED)
        rows = before + (seeker.worths[torch.arange(before, seeker.evaluated)].violation == 0).nonzero()[:, 0]
        archs = GraphBatch.from_choices(seeker.choices[rows], self.generator.space.template).to_archs(
            self.generator.space
        )
        self.sampled += seeker.evaluated - before
        self.valid += seeker.evaluated - before
        found = [arch for arch in archs if arch is not None]
        self.seen.update(arch.key for arch in found)
        return found

    def enumerate(self, report: Report) -> None:
        """Collects all archs of the space that satisfy all bounds."""
        archs = list(self.generator.space.enumerate())
        self.found, self._scores, self.enumerated = {}, [], True
        # Without guidance any of them will do.
        limit = None if self.request.is_guided else self.pool
        order = torch.randperm(len(archs), generator=self.rng).tolist()
        self._collect([archs[row] for row in order] if limit else archs, limit)
        report(min(len(self.found), self.request.pool), f"(all {len(archs):,} archs)")

    def _collect(self, archs: Sequence[Arch], limit: int | None = None) -> None:
        """Keeps the new ones that satisfy all bounds, up to ``limit`` in all."""
        feasible = [arch for arch, ok in zip(archs, self.feasible(archs, self.problem.where), strict=True) if ok]
        new: dict[str, Arch] = {}
        for identity, arch in zip(self.identities(feasible), feasible, strict=True):
            is_new = identity not in self.found and identity not in self.known
            if is_new and (limit is None or len(self.found) + len(new) < limit):
                new.setdefault(identity, arch)
        if new:
            self._scores.append(self._scores_of(list(new.values())))
            self.found.update(new)

    def keep_computed(self, report: Report) -> None:
        """Leaves those of the archs found that keep the computed bounds, until there are enough to choose from.

        Raises:
            InfeasibleError: there are none.
        """
        best, kept = self.computed.most // 2, list[str]()
        identities = [identity for identity, _ in self._by_rank()][:best]
        self._compute(identities, kept, report)
        if self._wants_more(kept) and not self.enumerated:
            # What the objective draws may be just what breaks the bounds.
            self._collect(self.draw(self.constraint_guides()))
        others = [identity for identity, arch in self._by_rank() if arch.key not in self.computed.values]
        step = max(len(others) / best, 1.0)
        spread = [others[int(i * step)] for i in range(min(best, len(others)))]
        self._compute(spread, kept, report)
        self.computed.check_any()
        rows = {identity: row for row, identity in enumerate(self.found)}
        self._scores = [self.scores()[[rows[identity] for identity in kept]]]
        self.found = {identity: self.found[identity] for identity in kept}

    def _compute(self, identities: Sequence[str], kept: list[str], report: Report) -> None:
        for identity in identities:
            if not self._wants_more(kept):
                return
            if self.computed.holds(self.found[identity]):
                kept.append(identity)
            report(min(len(kept), self.request.n), f"({len(self.computed.values)} networks looked at)")

    def _wants_more(self, kept: Sequence[str]) -> bool:
        """Whether there are too few that keep the computed bounds; of differing archs there are never enough."""
        return len(kept) < self.request.n or self.request.diversity > 0

    def _by_rank(self) -> list[tuple[str, Arch]]:
        found = list(self.found.items())
        return [found[row] for row in self._ranked(self.scores(), len(found))]

    def _ranked(self, scores: Tensor, count: int) -> list[int]:
        """Rows of the best archs, drawn as :meth:`chosen` says; of several objectives the front is covered."""
        gumbel = -torch.empty_like(scores).exponential_(generator=self.rng).log()
        sharpness = SHARPNESS * self.request.strength
        return spread_order(scores + gumbel / sharpness if sharpness else scores, count)

    def evaluated_archs(self) -> list[Arch]:
        """The archs whose accuracy on the task is known."""
        return [self.generator.space.parse(key) for key in self.observed]

    def _best_evaluated(self) -> list[Arch]:
        """The evaluated archs, best first by the objective; by what was observed where that is known."""
        archs = self.evaluated_archs()
        if not archs:
            return []
        scores = self._scores_of(archs)
        for column, metric in enumerate(self.problem.objective.metrics):
            observed = [self.observation(arch, metric) for arch in archs]
            if None not in observed:
                scores[:, column] = torch.tensor(observed, dtype=torch.double)
        return [archs[row] for row in pareto_order(scores)]

    def identities(self, archs: Sequence[Arch]) -> list[str]:
        """A string per arch, equal for archs that do not count as distinct."""
        space, distinct = self.generator.space, self.request.distinct
        # A function is the same whatever the numbering.
        numbered = archs if distinct == "functions" else space.canonicalised(archs)
        return list(map(key_of(space, distinct), numbered))

    def feasible(self, archs: Sequence[Arch], where: Sequence[Constraint]) -> list[bool]:
        """Whether each arch is usable (its output depends on its input) and satisfies all bounds: exactly for costs,
        with the requested confidence for predicted metrics, and by its value for the accuracy of evaluated archs."""
        is_feasible = np.array([not self.generator.space.is_constant(arch) for arch in archs], dtype=bool)
        for domain in self.domains.values():
            is_feasible &= domain.holds(self.generator.space, archs)
        # Costs first: they are cheap, and what they exclude need not be predicted.
        for constraint in sorted(where, key=lambda constraint: not constraint.metric.is_cost):
            left = np.flatnonzero(is_feasible).tolist()
            if left:
                is_feasible[left] = self._holds(constraint, [archs[row] for row in left])
        return is_feasible.tolist()

    def _holds(self, constraint: Constraint, archs: list[Arch]) -> list[bool]:
        if constraint.metric.is_cost:
            costs = self.costs[constraint.metric.name]
            return [constraint.holds(costs.of(arch)) for arch in archs]
        graph = GraphBatch.from_archs(archs, self.generator.space.template)
        with torch.inference_mode():
            log_probability = ConstraintGuide(self.source, constraint).log_values(graph, torch.empty(0))
        holds = (log_probability.exp() >= self.request.confidence).tolist()
        return [
            ok if (value := self.observation(arch, constraint.metric)) is None else constraint.holds(value)
            for arch, ok in zip(archs, holds, strict=True)
        ]

    def observation(self, arch: Arch, metric: Metric) -> float | None:
        """The value of a metric that is known of an evaluated arch."""
        return self.observed.get(arch.key) if metric.name == f"accuracy@{self.problem.task.name}" else None

    def scores(self) -> Tensor:
        """``(N, m)`` scores of the archs found by the objective's metrics, in stds of the space; larger is better."""
        return torch.cat(self._scores)

    def _scores_of(self, archs: list[Arch]) -> Tensor:
        graph, columns = GraphBatch.from_archs(archs, self.generator.space.template), []
        for metric in self.problem.objective.metrics:
            if metric.is_cost:
                columns.append(self.costs[metric.name].scores(archs))
            else:
                with torch.inference_mode():
                    columns.append(metric.kind.sign * self.source.score(graph, metric.name)[0].double())
        return torch.stack(columns, dim=1) if columns else torch.zeros(len(archs), 0, dtype=torch.double)

    def _utility(self) -> float:
        """Mean score of the best ``n`` archs found; with several objectives, the best by each of some weightings."""
        scores = self.scores()
        rows = torch.ones(1, 1, dtype=torch.double)
        if scores.shape[1] > 1:
            rng = torch.Generator().manual_seed(0)
            rows = torch.empty(WEIGHTINGS, scores.shape[1], dtype=torch.double).exponential_(generator=rng)
            rows = rows / rows.sum(1, keepdim=True)
        count = min(max(self.request.n // len(rows), 1), len(scores))
        return float((scores @ rows.T).topk(count, dim=0).values.mean())

    def chosen(self) -> tuple[tuple[Arch, ...], tuple[Predicted, ...]]:
        """``n`` of the found archs, best predicted objective first, with their predictions.

        They are drawn without replacement by the Gumbel-top-k trick (Kool et al., "Stochastic Beams and Where to Find
        Them", ICML 2019), with much sharper weights than the sampling: clearly better archs are always selected, and
        near ties depend on the seed. ``diversity`` trades the objective for distance among the best of
        :attr:`Request.pool`. Several metrics are ranked by successive Pareto fronts.
        """
        archs, scores = list(self.found.values()), self.scores()
        if len(archs) > self.request.n:
            order = self._ranked(scores, self.request.pool)
            best = GraphBatch.from_archs([archs[row] for row in order], self.generator.space.template)
            picked = select_diverse(list(range(len(order))), best.choices(), self.request.n, self.request.diversity)
            selected = [order[row] for row in picked]
            archs, scores = [archs[row] for row in selected], scores[selected]
        archs = [archs[row] for row in pareto_order(scores)]
        names = self.deployment.reported([*self.problem.objective.metrics, *(c.metric for c in self.problem.where)])
        predicted = self.deployment.values(archs, names)
        accuracy = f"accuracy@{self.problem.task.name}"
        derived = {metric.name for metric in self.problem.metrics if metric.name in DERIVED_COSTS}
        for arch, values in zip(archs, predicted, strict=True):
            costs = all_costs(self.generator.space, arch, self.problem.task) if derived else {}
            values |= {name: cost for name, cost in costs.items() if name in derived}
            if arch.key in self.computed.values:
                values["peak_memory_mb"] = self.computed.values[arch.key]
            if arch.key in self.observed and accuracy in values:
                values[accuracy] = {"mean": self.observed[arch.key], "std": 0.0}
        return tuple(archs), tuple(predicted)
