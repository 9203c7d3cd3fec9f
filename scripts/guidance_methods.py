"""Ways to look for the best archs of a large space, for ``bench_guidance.py``; all count their calls alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from guidance_models import Setting
from torch import Tensor

from gennas.checkpoint import generator_for
from gennas.diffusion.seeker import Seeker
from gennas.diffusion.worth import Worth
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import PartsSpace
from gennas.spaces.parts.layout import INACTIVE, Ref

#: After how many calls the best so far is written down.
MARKS = (200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
#: A method that finds nothing new in so many batches in a row has ended.
PATIENCE = 500


class Spent(Exception):
    """All calls are spent, or nothing new is found."""


class Recorder:
    """Asks the guide, counts what it was asked for the first time, and remembers the best that keeps all bounds."""

    def __init__(self, setting: Setting, budget: int) -> None:
        self.setting, self.budget = setting, budget
        self.known: dict[bytes, tuple[float, float]] = {}
        self.best, self.idle = -np.inf, 0
        self.curve: dict[int, float] = {}

    def __call__(self, choices: Tensor) -> np.ndarray:
        """``(b,)`` scores; what breaks bounds has less than any that keeps them."""
        codes = [row.tobytes() for row in choices.numpy().astype(np.int16)]
        new = {code: row for row, code in enumerate(codes) if code not in self.known}
        if new:
            worth = self.setting.worth(
                GraphBatch.from_choices(choices[list(new.values())], self.setting.space.template)
            )
            self.add(worth, list(new))
        self.idle = 0 if new else self.idle + 1
        if len(self.known) >= self.budget or self.idle > PATIENCE:
            raise Spent
        return np.array(
            [score if lack == 0 else -1e6 * (1 + lack) for score, lack in map(self.known.__getitem__, codes)]
        )

    def add(self, worth: Worth, codes: list[bytes]) -> None:
        """Remembers what was asked, one call after another."""
        for code, score, lack in zip(codes, worth.scores[:, 0].tolist(), worth.violation.tolist(), strict=True):
            self.known[code] = score, lack
            if lack == 0:
                self.best = max(self.best, score)
            if len(self.known) in MARKS:
                self.curve[len(self.known)] = self.best

    def top(self, count: int) -> GraphBatch:
        """The best archs that keep all bounds."""
        kept = sorted((code for code, (_, lack) in self.known.items() if lack == 0), key=lambda c: -self.known[c][0])
        rows = np.array([np.frombuffer(code, np.int16) for code in kept[:count]], dtype=np.int64)
        return GraphBatch.from_choices(torch.from_numpy(rows), self.setting.space.template)


class Genes:
    """Choices of all decisions, also of those that are inactive, which make an arch whatever they are."""

    def __init__(self, setting: Setting) -> None:
        template = setting.space.template
        self.setting, vocabulary = setting, template.vocabulary
        layout = decisions_of(template)
        fixed = None if setting.fixed is None else GraphBatch.from_partial(setting.fixed, template, 1).choices()[0]
        self.options = []
        for decision, allowed in enumerate(layout.allowed):
            options = [
                c
                for c in allowed.nonzero()[:, 0].tolist()
                if decision >= len(layout.slots) or vocabulary[c] != INACTIVE
            ]
            if fixed is not None and fixed[decision] >= 0:
                options = [int(fixed[decision])]
            self.options.append(np.array(options))
        self.counts = np.array([len(options) for options in self.options])
        self.uses: list[tuple[int, list[tuple[int, int]]]] = []
        if isinstance(setting.space, PartsSpace):
            decisions = setting.space.layout.decisions
            for number, own in enumerate(decisions):
                if setting.space.layout.is_conditional(number):
                    self.uses.append((number, [(d.decision, before) for d, before in own.uses if isinstance(d, Ref)]))
            self.depths = {d: np.array(decisions[d].choice.options) for _, uses in self.uses for d, _ in uses}
            self.inactive = vocabulary.index(INACTIVE) if INACTIVE in vocabulary else -1

    def choices(self, genes: np.ndarray) -> Tensor:
        """``(b, D)`` the archs of ``(b, D)`` genes."""
        found = np.stack([options[column] for options, column in zip(self.options, genes.T, strict=True)], axis=1)
        for number, uses in self.uses:
            active = np.zeros(len(genes), bool)
            for depth, before in uses:
                active |= self.depths[depth][genes[:, depth]] > before
            found[~active, number] = self.inactive
        return torch.from_numpy(found)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        return (rng.random((count, len(self.counts))) * self.counts).astype(int)

    def within(self, genes: np.ndarray) -> np.ndarray:
        """Those that keep exact bounds."""
        graph = GraphBatch.from_choices(self.choices(genes), self.setting.space.template)
        return genes[self.setting.keeps(graph).numpy()]

    def feasible(self, count: int, rng: np.random.Generator) -> np.ndarray:
        found = self.within(self.draw(4 * count, rng))
        while len(found) < count:
            found = np.vstack([found, self.within(self.draw(4 * count, rng))])
        return found[:count]


def filtering(recorder: Recorder, genes: Genes, rng: np.random.Generator) -> None:
    """Uniform draws within exact bounds."""
    while True:
        recorder(genes.choices(genes.feasible(200, rng)))


def evolution(recorder: Recorder, genes: Genes, rng: np.random.Generator) -> None:
    """Once-for-all's: 100 archs, a quarter are parents, half the children mutants with probability 0.1 per gene, half
    crossovers; exact bounds by rejection."""
    people = genes.feasible(100, rng)
    fitness = recorder(genes.choices(people))
    while True:
        order = np.argsort(-fitness)[:25]
        parents, kept = people[order], fitness[order]
        mutants, crossed = np.empty((0, people.shape[1]), int), np.empty((0, people.shape[1]), int)
        while len(mutants) < 50:
            drawn = parents[rng.integers(25, size=100)]
            new = np.where(rng.random(drawn.shape) < 0.1, genes.draw(100, rng), drawn)
            mutants = np.vstack([mutants, genes.within(new)])
        while len(crossed) < 50:
            first, second = parents[rng.integers(25, size=(2, 100))]
            new = np.where(rng.random(first.shape) < 0.5, first, second)
            crossed = np.vstack([crossed, genes.within(new)])
        children = np.vstack([mutants[:50], crossed[:50]])
        people, fitness = np.vstack([parents, children]), np.r_[kept, recorder(genes.choices(children))]


def climbing(recorder: Recorder, genes: Genes, rng: np.random.Generator) -> None:
    """One to three genes of the best are changed, twenty ways at a time, until 600 in a row are no better; again."""
    while True:
        start = genes.feasible(20, rng)
        fitness = recorder(genes.choices(start))
        best, value, fails = start[fitness.argmax()], fitness.max(), 0
        while fails < 600:
            changed = np.repeat(best[None], 80, axis=0)
            at = rng.random(changed.shape).argsort(1) < rng.integers(1, 4, size=(80, 1))
            changed = genes.within(np.where(at, genes.draw(80, rng), changed))[:20]
            if not len(changed):
                fails += 20
                continue
            fitness = recorder(genes.choices(changed))
            if fitness.max() > value + 1e-9:
                best, value, fails = changed[fitness.argmax()], fitness.max(), 0
            else:
                fails += 20


def gennas(recorder: Recorder, genes: Genes, rng: np.random.Generator) -> None:
    """Masked parts of the best archs are refilled; see :class:`gennas.diffusion.seeker.Seeker`."""
    setting = recorder.setting

    def worth(graph: GraphBatch) -> Worth:
        found = setting.worth(graph)
        recorder.add(found, [row.tobytes() for row in graph.choices().numpy().astype(np.int16)])
        return found

    seeker = Seeker(
        generator_for(setting.space, None),
        worth,
        setting.keeps,
        torch.Generator().manual_seed(int(rng.integers(2**31))),
        guides=setting.guides,
        fixed=setting.fixed,
    )
    with torch.inference_mode():
        seeker.run(recorder.budget)


METHODS: dict[str, Callable[[Recorder, Genes, np.random.Generator], None]] = {
    "gennas": gennas,
    "evolution": evolution,
    "climbing": climbing,
    "filtering": filtering,
}
