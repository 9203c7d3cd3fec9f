"""Seeker: finds the best archs of a large space by masking parts of good ones and refilling them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gennas.arch import PartialArch
from gennas.diffusion.additive import AdditiveFit, frequencies
from gennas.diffusion.generator import Generator
from gennas.diffusion.guides.additive import AdditiveGuide
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.refills import Children, Refills
from gennas.diffusion.worth import Worth, WorthOf
from gennas.graph import MASK, GraphBatch

#: The sums are fitted to the best third of what was evaluated, and at least to so many.
FITTED = 300
#: Std of the noise that chooses among refills of nearly the same expected worth, in stds of the scores.
NOISE = 0.1
#: Refills with similar numbers of masked decisions are made together: at most so many.
TOGETHER = (4, 10, 24)
#: A round that evaluated no larger share of what was wanted found hardly anything.
SCARCE = 0.05
#: Rounds that find less than half of what was wanted refill more parts of more parents, up to so many times as many.
WIDEST = 8
#: Batches of draws after which fewer archs than were wanted are a start.
ATTEMPTS = 20


@dataclass(frozen=True)
class SeekerConfig:
    """Settings of a seeker.

    Attributes:
        batch: archs that are evaluated in a round, later on a twentieth of those that were evaluated before.
        proposals: refills for every arch that is evaluated; the fitted sums choose among them.
        parents: the best archs so far, parts of which are masked; more once their surroundings are known.
        first: archs that are drawn before the first refill.
    """

    batch: int = 100
    proposals: int = 4
    parents: int = 25
    first: int = 100


class Seeker:
    """Looks for archs of the highest worth with few evaluations.

    Masked diffusion is the move of a large neighbourhood search (Shaw, "Using Constraint Programming and Local Search
    Methods to Solve Vehicle Routing Problems", CP 1998) in a population: a round masks some decisions of good archs, or
    those in which two of them differ, and the denoiser makes them anew. It is guided by what costs nothing: exact
    bounds on costs, and sums over decisions that were fitted to the worth of what was evaluated before. These choose
    which refills to evaluate, too. :func:`gennas.diffusion.sampler.sample` draws from a distribution; this maximises.

    Args:
        generator: of the space.
        worth: of decided graphs.
        keeps: ``(b,)`` which decided graphs may be evaluated at all, such as those within exact bounds on costs; asking
            costs nothing.
        rng: all randomness.
        guides: lead to what ``keeps`` allows.
        fixed: a partial arch that all archs complete.
        config: settings.

    Attributes:
        choices: ``(N, D)`` of all archs that were evaluated, in that order.
        worths: theirs.
    """

    def __init__(
        self,
        generator: Generator,
        worth: WorthOf,
        keeps: Callable[[GraphBatch], Tensor],
        rng: torch.Generator,
        *,
        guides: Sequence[Guide] = (),
        fixed: PartialArch | None = None,
        config: SeekerConfig = SeekerConfig(),
    ) -> None:
        self.generator, self.worth, self.keeps, self.rng = generator, worth, keeps, rng
        self.guides, self.config, space = guides, config, generator.space
        template = space.template
        self._blank = (
            GraphBatch.undecided_batch(template, 1) if fixed is None else GraphBatch.from_partial(fixed, template, 1)
        )
        self._refills = Refills(space, self._blank.masked_decisions()[0], rng)
        self._frequency = frequencies(space)
        #: Whether archs come under the space's own numbering: what is fixed by name stays in its place.
        self._may_move = fixed is None
        self._codes: set[bytes] = set()
        self._wider = 1
        self.choices = self._blank.choices()[:0]
        self.worths = Worth(torch.empty(0, 0), torch.empty(0, 0))

    @property
    def evaluated(self) -> int:
        """Number of archs that were evaluated."""
        return len(self.choices)

    def start(self, graph: GraphBatch, worth: Worth | None = None) -> None:
        """Evaluates given archs, before or between rounds; those that were evaluated before, or may not be, are left.

        Args:
            graph: decided archs.
            worth: theirs, where it is known.
        """
        fresh, codes, rows = self._fresh(graph)
        self._evaluate(fresh, codes, None if worth is None else worth[rows])

    def run(self, evaluations: int, patience: int = 5) -> None:
        """Rounds until so many archs were evaluated in all, or some rounds in a row found hardly anything new.

        Args:
            evaluations: how many.
            patience: such rounds after which to give up.
        """
        for _ in range(ATTEMPTS):
            wanted = min(self.config.first, evaluations) - self.evaluated
            if wanted <= 0:
                break
            drawn = self._filled(self._blank.choices().expand(2 * wanted, -1))
            graph, codes, _ = self._fresh(drawn)
            self._evaluate(graph[torch.arange(min(wanted, len(codes)))], codes[:wanted])
        idle = 0
        while self.evaluated < evaluations and idle < patience and self.evaluated:
            before, batch = self.evaluated, max(self.config.batch, self.evaluated // 20)
            self.round(min(batch, evaluations - before))
            found = (self.evaluated - before) / min(batch, evaluations - before)
            idle = 0 if found > SCARCE else idle + 1
            if found < 0.5:
                # What surrounds so few parents is known.
                self._wider = min(2 * self._wider, WIDEST)

    def round(self, count: int) -> None:
        """Evaluates up to ``count`` refills of the best archs so far."""
        best = self.worths.best(self._wider * self.config.parents)
        seen = self.worths.best(max(FITTED, self.evaluated // 3))
        template, choices = self._blank.template, self.choices
        known = self.worths[seen]
        scores = AdditiveFit.of(template, choices[seen], known.scores)
        margins = AdditiveFit.of(template, choices[seen], known.margins) if known.margins.shape[1] else None
        scale = known.scores.double().std(0, correction=0).clamp_min(1e-9)
        proposals = count * self.config.proposals * self._wider
        children = self._refills.children(proposals, self.worths[best], scale, choices[best])
        tilt = children.tilt[:, None] * children.weights / scale

        def guides(rows: Tensor) -> list[Guide]:
            return [AdditiveGuide(scores, tilt[rows], margins, self._frequency)]

        masked = torch.where(children.masked, MASK, choices[best][children.parent])
        graph, codes, rows = self._fresh(self._filled(masked, guides))
        if not codes:
            return
        ahead = scores(graph.choices()) - self.worths.scores[best].double().amax(0)
        expected = (ahead / scale * children.weights[rows]).sum(1)
        if margins is not None:
            expected = expected + margins.log_kept(margins(graph.choices())).sum(1)
        noise = -torch.empty(len(expected), dtype=torch.double).exponential_(generator=self.rng).log()
        chosen = (expected + NOISE * noise).argsort(descending=True)[:count]
        before = self.evaluated
        self._evaluate(graph[chosen], [codes[row] for row in chosen.tolist()])
        self._learn(children, rows[chosen], self.worths[best], self.worths[torch.arange(before, self.evaluated)])

    def _learn(self, children: Children, rows: Tensor, parents: Worth, found: Worth) -> None:
        mothers = parents[children.parent[rows]]
        gain = ((found.scores - mothers.scores) * children.weights[rows]).sum(1)
        less, equal = found.violation < mothers.violation, found.violation == mothers.violation
        self._refills.learn(children.arm[rows], less | (equal & (gain > 0)))

    def _filled(self, choices: Tensor, more: Callable[[Tensor], list[Guide]] = lambda rows: []) -> GraphBatch:
        """The graphs with their masked decisions made, those with similar numbers of them together.

        Args:
            choices: ``(b, D)`` of masked archs.
            more: guides of some rows of them.
        """
        template, choices = self._blank.template, choices.clone()
        bucket = torch.bucketize((choices == MASK).sum(1), torch.tensor(TOGETHER))
        for number in range(len(TOGETHER) + 1):
            rows = (bucket == number).nonzero()[:, 0]
            if len(rows):
                graph = GraphBatch.from_choices(choices[rows], template)
                guides = [*self.guides, *more(rows)]
                choices[rows] = self.generator.filled(graph, guides, self.rng).choices().cpu()
        return GraphBatch.from_choices(choices, template)

    def _fresh(self, graph: GraphBatch) -> tuple[GraphBatch, list[bytes], Tensor]:
        """Those of decided graphs that may be evaluated and are new, each once; their codes, and their rows."""
        space = self.generator.space
        ops, edges = graph.ops.cpu().numpy(), graph.edges.cpu().numpy() == 1
        if self._may_move:
            ops, edges = space.canonical_form(ops, edges)
        codes = [row.tobytes() for row in ops.astype(np.int16)]
        if space.template.free_edges:
            codes = [code + np.packbits(row).tobytes() for code, row in zip(codes, edges, strict=True)]
        first = {code: row for row, code in reversed(list(enumerate(codes))) if code not in self._codes}
        rows = np.array(sorted(first.values()), dtype=np.int64)
        rows = rows[space.keeps_rules(ops[rows], edges[rows])]
        new = GraphBatch.from_arrays(ops[rows], edges[rows], space.template)
        kept = self.keeps(new).cpu()
        return new[kept], [codes[row] for row in rows[kept.numpy()]], torch.from_numpy(rows)[kept]

    def _evaluate(self, graph: GraphBatch, codes: Sequence[bytes], known: Worth | None = None) -> None:
        if codes:
            found = self.worth(graph) if known is None else known
            self.worths = self.worths + found if self.evaluated else found
            self._codes.update(codes)
            self.choices = torch.cat([self.choices, graph.choices().cpu()])
