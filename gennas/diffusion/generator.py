"""Generator: samples archs of a space with a trained denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gennas.arch import Arch, PartialArch
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.exact_denoiser import ExactDenoiser
from gennas.diffusion.guides.base import Guide
from gennas.diffusion.guides.rules import RulesGuide
from gennas.diffusion.joint_denoiser import JointDenoiser
from gennas.diffusion.memo import GraphMemo
from gennas.diffusion.sampler import LogProbs, Sampler, SamplerConfig, sample
from gennas.errors import InvalidInputError
from gennas.graph import GraphBatch
from gennas.part_files import expect_finite, fitting_together, read_config, read_tensors
from gennas.spaces import Space, registered_space


@dataclass(frozen=True)
class Samples:
    """Sampled archs, and statistics of the sampling.

    Attributes:
        archs: the valid archs in the order drawn, including duplicates.
        sampled: number of graphs drawn.
        effective_share: the lowest effective sample size of any step, as a fraction of the particles; 1 if unguided.
            Near 0 the guidance is unreliable: lower the strength, or use more particles.
    """

    archs: tuple[Arch, ...]
    sampled: int
    effective_share: float = 1.0

    @property
    def valid_rate(self) -> float:
        """Fraction of the drawn graphs that are valid archs of the space."""
        return len(self.archs) / self.sampled if self.sampled else 0.0

    @property
    def unique_rate(self) -> float:
        """Number of distinct archs as a fraction of the valid ones."""
        return len({arch.key for arch in self.archs}) / len(self.archs) if self.archs else 0.0


class Generator:
    """Samples archs of a space, completes partial archs, and mutates given ones.

    Args:
        space: the space.
        denoiser: a denoiser trained on the space, or the exact one; sampling runs on its torch device.
        compile: whether to compile the denoiser with :func:`torch.compile`; worthwhile from about ten thousand graphs.
        sampler: the sampling algorithm.
    """

    def __init__(
        self,
        space: Space,
        denoiser: Denoiser | ExactDenoiser | JointDenoiser,
        *,
        compile: bool = False,
        sampler: Sampler = sample,
    ) -> None:
        self.space = space
        self.denoiser = denoiser.eval()
        self.sampler = sampler
        log_probs = torch.compile(denoiser.log_probs, dynamic=True) if compile else denoiser.log_probs
        # The exact denoiser takes no longer than looking up what it said before.
        self._log_probs: LogProbs = log_probs if isinstance(denoiser, ExactDenoiser) else GraphMemo(log_probs)

    def sample(
        self,
        n: int,
        *,
        guides: Sequence[Guide] = (),
        fixed: PartialArch | str | None = None,
        sampling: SamplerConfig = SamplerConfig(),  # noqa: B008 - frozen
        seed: int | torch.Generator = 0,
    ) -> Samples:
        """Samples ``n`` graphs.

        Args:
            n: number of graphs; those that break a rule of the space are dropped, so fewer archs may be returned.
            guides: guide the sampling; without any, graphs are independent draws from the denoiser's distribution.
            fixed: a partial arch to complete, or its description (see :meth:`gennas.spaces.Space.partial`); decisions
                that it has made are kept.
            sampling: steps, particles and corrections.
            seed: a seed, or a torch generator whose state is advanced.

        Raises:
            InvalidArchError: the space does not allow the partial arch.
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
        arch: Arch | Sequence[Arch],
        fraction: float,
        n: int,
        *,
        guides: Sequence[Guide] = (),
        fixed: PartialArch | None = None,
        sampling: SamplerConfig = SamplerConfig(),  # noqa: B008 - frozen
        seed: int | torch.Generator = 0,
    ) -> Samples:
        """Samples ``n`` mutations of an arch, or of several in turn: some decisions are masked and resampled.

        Args:
            arch: the arch, or archs.
            fraction: fraction of its decisions to resample, in (0, 1]; at least one decision, chosen at random for
                every graph.
            n: number of graphs; some may be equal to the arch.
            guides: guide the sampling.
            fixed: a partial arch that the archs complete; its decisions are kept.
            sampling: steps, particles and corrections.
            seed: a seed, or a torch generator whose state is advanced.

        Raises:
            InvalidInputError: the fraction is out of range.
        """
        if not 0 < fraction <= 1:
            raise InvalidInputError(f"is {fraction:g}; must be in (0, 1]; 1 resamples everything.", argument="fraction")
        rng = torch_generator(seed)
        size = self._whole_islands(n, guides, sampling)
        archs = [arch] if isinstance(arch, Arch) else arch
        graph = GraphBatch.from_archs(archs, self.space.template)[torch.arange(size) % len(archs)]
        where = graph.random_mask(rng, count=max(round(fraction * graph.template.decisions), 1))
        if fixed is not None:
            where &= GraphBatch.from_partial(fixed, self.space.template, 1).masked_decisions()
        return self._decided(graph.with_mask(where), n, guides, sampling, rng)

    def filled(self, graph: GraphBatch, guides: Sequence[Guide], rng: torch.Generator) -> GraphBatch:
        """The graphs with their masked decisions made, one after another, each by denoiser and guides.

        A single particle each: what guides get wrong about partly masked graphs is not made up for.

        Args:
            graph: partly masked graphs.
            guides: guide the sampling.
            rng: a torch generator, whose state is advanced.
        """
        sampling = SamplerConfig(steps=max(graph.template.decisions, 1), particles=1, corrections=0)
        return self.sampler(self._log_probs, graph.to(self.device), rng, self._with_rules(guides), sampling).graph

    @property
    def device(self) -> torch.device:
        """Where the sampling runs."""
        return next((parameter.device for parameter in self.denoiser.parameters()), torch.device("cpu"))

    def _with_rules(self, guides: Sequence[Guide]) -> Sequence[Guide]:
        """Guides, with one that keeps the rules of the space: a strong tilt amplifies what a denoiser gets wrong."""
        needed = self.space.has_rules and any(guide.strength for guide in guides)
        return [*guides, RulesGuide(self.space)] if needed and not self.space.is_exact else guides

    def _decided(
        self, start: GraphBatch, n: int, guides: Sequence[Guide], sampling: SamplerConfig, seed: int | torch.Generator
    ) -> Samples:
        """Samples the masked decisions of the start graphs; common to :meth:`sample` and :meth:`mutate`."""
        if isinstance(self.denoiser, ExactDenoiser):
            # It costs nearly nothing, and is exact where decisions are made one by one.
            sampling = replace(sampling, steps=max(sampling.steps, self.space.template.decisions))
        guides = self._with_rules(guides)
        output = self.sampler(self._log_probs, start.to(self.device), torch_generator(seed), guides, sampling)
        archs = output.graph[torch.arange(n, device=self.device)].to_archs(self.space)
        return Samples(tuple(arch for arch in archs if arch is not None), n, output.effective_share)

    @staticmethod
    def _whole_islands(n: int, guides: Sequence[Guide], sampling: SamplerConfig) -> int:
        """``n``, rounded up to a multiple of the island size if the sampling is guided."""
        return -(-n // sampling.particles) * sampling.particles if any(guide.strength for guide in guides) else n


def torch_generator(seed: int | torch.Generator) -> torch.Generator:
    """A new generator for a seed; a generator is its own, so that its state advances."""
    return torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed


def load_generator(checkpoint: Path, skeleton: str = "", *, device: str = "cpu", compile: bool = False) -> Generator:
    """Loads the generator of a checkpoint folder.

    Args:
        checkpoint: the folder, see :attr:`gennas.checkpoint.Checkpoint.folder`.
        skeleton: skeleton settings; see :func:`gennas.spaces.get_space`.
        device: torch device to sample on.
        compile: see :class:`Generator`.

    Raises:
        DataMissingError: the checkpoint has no generator, or one of its files is damaged.
    """
    config = read_config(checkpoint, "generator")
    space = registered_space(config["space"], skeleton)
    with fitting_together(checkpoint, "generator"):
        denoiser = Denoiser(space.template, **config["denoiser"])
        denoiser.load_state_dict(read_tensors(checkpoint, "generator"))
    expect_finite(denoiser, checkpoint, "generator")
    return Generator(space, denoiser.to(device).eval(), compile=compile)
