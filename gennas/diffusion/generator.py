"""Generator: a trained denoiser of a space, from which archs are sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gennas.arch import Arch
from gennas.checkpoint import fitting_together, read_config, read_tensors
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.guidance import Guide
from gennas.diffusion.memo import GraphMemo
from gennas.diffusion.sampler import sample
from gennas.graph import GraphBatch
from gennas.spaces import Space, get_space


@dataclass(frozen=True)
class Samples:
    """What a generator drew.

    Attributes:
        archs: the valid archs in the order drawn, repetitions included.
        sampled: how many graphs were drawn.
    """

    archs: tuple[Arch, ...]
    sampled: int

    @property
    def valid_rate(self) -> float:
        """Share of the drawn graphs that keep every rule of the space, before any rejection."""
        return len(self.archs) / self.sampled if self.sampled else 0.0

    @property
    def unique_rate(self) -> float:
        """Share of the valid archs that are not repetitions."""
        return len({arch.key for arch in self.archs}) / len(self.archs) if self.archs else 0.0


class Generator:
    """Makes archs of a space.

    Args:
        space: the space.
        denoiser: trained on it.
    """

    def __init__(self, space: Space, denoiser: Denoiser) -> None:
        self.space = space
        self.denoiser = denoiser.eval()
        self._log_probs = GraphMemo(denoiser.log_probs)

    def sample(self, n: int, *, guides: Sequence[Guide] = (), seed: int | torch.Generator = 0) -> Samples:
        """Draws ``n`` graphs, independent given the guides.

        Args:
            n: graphs to draw; fewer archs come back where some break a rule of the space.
            guides: bend the sampling; none gives the denoiser's own distribution.
            seed: a seed, or a torch generator that goes on.
        """
        rng = torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed
        start = GraphBatch.undecided_batch(self.space.template, n)
        archs = sample(self._log_probs, start, rng, guides).to_archs(self.space)
        return Samples(tuple(arch for arch in archs if arch is not None), n)


def load_generator(checkpoint: Path, skeleton: str = "") -> Generator:
    """The generator of a checkpoint folder.

    Args:
        checkpoint: folder, as :func:`gennas.checkpoint.find_checkpoint` gives it.
        skeleton: settings of the network around the searched part; see :func:`gennas.spaces.get_space`.

    Raises:
        DataMissingError: the checkpoint lacks a generator, or a file of it is damaged.
    """
    config = read_config(checkpoint, "generator")
    space = get_space(config["space"], skeleton)
    with fitting_together(checkpoint, "generator"):
        denoiser = Denoiser(space.template, **config["denoiser"])
        denoiser.load_state_dict(read_tensors(checkpoint, "generator"))
    return Generator(space, denoiser.eval())
