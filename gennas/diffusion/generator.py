"""Generator: a trained denoiser of a space, from which archs are sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gennas.arch import Arch, PartialArch
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.rules import RulesGuide
from gennas.diffusion.memo import GraphMemo
from gennas.diffusion.sampler import SamplerConfig, sample
from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.part_files import fitting_together, read_config, read_tensors
from gennas.spaces import Space, registered_space


@dataclass(frozen=True)
class Samples:
    """What a generator drew.

    Attributes:
        archs: the valid archs in the order drawn, repetitions included.
        sampled: how many graphs were drawn.
        effective_share: the lowest effective sample size on the way, as a share of the particles; 1 unguided. Near 0
            the guides ask for more than they can foresee: lower the strength, or take more particles.
    """

    archs: tuple[Arch, ...]
    sampled: int
    effective_share: float = 1.0

    @property
    def valid_rate(self) -> float:
        """Share of the drawn graphs that keep every rule of the space, before any rejection."""
        return len(self.archs) / self.sampled if self.sampled else 0.0

    @property
    def unique_rate(self) -> float:
        """Share of the valid archs that are not repetitions."""
        return len({arch.key for arch in self.archs}) / len(self.archs) if self.archs else 0.0


class Generator:
    """Makes archs of a space, completes partial ones, and varies given ones.

    Args:
        space: the space.
        denoiser: trained on it; its torch device is where sampling happens.
        compile: whether :func:`torch.compile` makes the denoiser faster; it pays from some ten thousand graphs on.
    """

    def __init__(self, space: Space, denoiser: Denoiser, *, compile: bool = False) -> None:
        self.space = space
        self.denoiser = denoiser.eval()
        log_probs = torch.compile(denoiser.log_probs, dynamic=True) if compile else denoiser.log_probs
        self._log_probs = GraphMemo(log_probs)

    def sample(
        self,
        n: int,
        *,
        guides: Sequence[Guide] = (),
        fixed: PartialArch | str | None = None,
        sampling: SamplerConfig = SamplerConfig(),  # noqa: B008 - frozen
        seed: int | torch.Generator = 0,
    ) -> Samples:
        """Draws ``n`` graphs.

        Args:
            n: graphs to draw; fewer archs come back where some break a rule of the space.
            guides: bend the sampling; none gives the denoiser's own distribution, and independent graphs.
            fixed: a partial arch to complete, or how a user writes it (see :meth:`gennas.spaces.Space.partial`);
                what it has decided stays.
            sampling: steps, particles, corrections.
            seed: a seed, or a torch generator that goes on.

        Raises:
            InvalidArchError: a partial arch that the space does not have.
        """
        template = self.space.template
        if isinstance(fixed, str):
            fixed = self.space.partial(fixed)
        size = self._whole_islands(n, guides, sampling)
        if fixed is None:
            return self._decided(GraphBatch.undecided_batch(template, size), n, guides, sampling, seed)
        return self._decided(GraphBatch.from_partial(fixed, template, size), n, guides, sampling, seed)

    def mutate(
        self,
        arch: Arch,
        fraction: float,
        n: int,
        *,
        guides: Sequence[Guide] = (),
        sampling: SamplerConfig = SamplerConfig(),  # noqa: B008 - frozen
        seed: int | torch.Generator = 0,
    ) -> Samples:
        """Draws ``n`` variations of an arch: some of its decisions are masked, and made again.

        Args:
            arch: the arch.
            fraction: share of its decisions that are masked, above 0 up to 1 (which forgets the arch); every graph has
                decisions of its own masked, at least one.
            n: graphs to draw; some may come out as they went in.
            guides: bend what is made again.
            sampling: steps, particles, corrections.
            seed: a seed, or a torch generator that goes on.

        Raises:
            InvalidInputError: a fraction out of range.
        """
        if not 0 < fraction <= 1:
            raise InvalidInputError(f"fraction is {fraction:g}; expected above 0 up to 1.")
        rng = _generator(seed)
        size = self._whole_islands(n, guides, sampling)
        graph = GraphBatch.from_archs([arch], self.space.template)[torch.zeros(size, dtype=torch.long)]
        decisions = graph.template.decisions
        rank = torch.rand(size, decisions, generator=rng).argsort(dim=1).argsort(dim=1)
        return self._decided(graph.with_mask(rank < max(round(fraction * decisions), 1)), n, guides, sampling, rng)

    def _decided(
        self, start: GraphBatch, n: int, guides: Sequence[Guide], sampling: SamplerConfig, seed: int | torch.Generator
    ) -> Samples:
        """Generating, completing and varying: only the start differs."""
        device = next(self.denoiser.parameters()).device
        if self.space.has_rules and any(guide.strength for guide in guides):
            guides = [*guides, RulesGuide(self.space)]
        done = sample(self._log_probs, start.to(device), _generator(seed), guides, sampling)
        archs = done.graph[torch.arange(n, device=device)].to_archs(self.space)
        return Samples(tuple(arch for arch in archs if arch is not None), n, done.effective_share)

    @staticmethod
    def _whole_islands(n: int, guides: Sequence[Guide], sampling: SamplerConfig) -> int:
        """``n``, rounded up where guides make graphs compete."""
        return -(-n // sampling.particles) * sampling.particles if any(guide.strength for guide in guides) else n


def _generator(seed: int | torch.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed


def load_generator(checkpoint: Path, skeleton: str = "", *, device: str = "cpu", compile: bool = False) -> Generator:
    """The generator of a checkpoint folder.

    Args:
        checkpoint: folder, as :func:`gennas.checkpoint.find_checkpoint` gives it.
        skeleton: settings of the network around the searched part; see :func:`gennas.spaces.get_space`.
        device: torch device to sample on.
        compile: see :class:`Generator`.

    Raises:
        DataMissingError: the checkpoint lacks a generator, or a file of it is damaged.
    """
    config = read_config(checkpoint, "generator")
    space = registered_space(config["space"], skeleton)
    with fitting_together(checkpoint, "generator"):
        denoiser = Denoiser(space.template, **config["denoiser"])
        denoiser.load_state_dict(read_tensors(checkpoint, "generator"))
    return Generator(space, denoiser.to(device).eval(), compile=compile)
