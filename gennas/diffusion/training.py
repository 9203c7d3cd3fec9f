"""Training of generators."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

import gennas
from gennas.commands import command
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator, load_generator
from gennas.diffusion.quality import Graphs, bound, quality_table, unconditional_quality
from gennas.diffusion.settings import GeneratorTraining
from gennas.graph import GraphBatch
from gennas.part_files import begin_part, changed_flags, write_part
from gennas.spaces import Space, address_of, name_in_files
from gennas.training.trainer import fit, one_cycle


class DenoisingModule(lightning.LightningModule):
    """Minimises the negative evidence lower bound of masked diffusion, in nats per arch; see ``noise.corrupt``.

    Interchangeable slots are randomly permuted as data augmentation, so that partial archs may use any order.
    """

    def __init__(self, space: Space, denoiser: Denoiser, archs: Graphs, training: GeneratorTraining) -> None:
        super().__init__()
        self.space = space
        self.denoiser = denoiser
        self.archs = archs
        self.training_settings = training
        self.permutation_rng = np.random.default_rng(0)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        graph = GraphBatch.from_arrays(*self.archs.take(batch[0].cpu().numpy()), self.space.template)
        return bound(self.denoiser, graph.permuted(self.space, self.permutation_rng).to(self.device)).mean()

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        return one_cycle(self.denoiser.parameters(), settings.learning_rate, settings.steps)


def training_archs(space: Space, training: GeneratorTraining, seed: int) -> tuple[Graphs, Graphs]:
    """The training archs and the held-out archs of a space.

    These are all archs of a space that can be enumerated, else ``training.archs`` random ones.
    """
    if space.size is not None:
        archs = Graphs(*space.enumerate_graphs())
    else:
        rng = np.random.default_rng(seed)
        archs = Graphs(*space.arrays([space.sample(rng) for _ in range(training.archs)]))
    # Split by distinct archs: random ones may repeat, and no copy of a held-out arch may be among the training archs.
    _, identity = np.unique(archs.codes(space), return_inverse=True)
    order = np.random.default_rng(seed).permutation(identity.max() + 1)
    held_out = np.isin(identity, order[: min(round(training.held_out * len(order)), len(order) - 1)])
    return Graphs(*archs.take(np.flatnonzero(~held_out))), Graphs(*archs.take(np.flatnonzero(held_out)))


def train_generator(space: Space, training: GeneratorTraining, *, seed: int, out: Path) -> Generator:
    """Trains a generator, measures its quality, and writes it to ``out/generator``.

    A finished training with the same settings is loaded, an interrupted one is resumed.

    Raises:
        StudyError: ``out`` has a generator with other settings.
    """
    start = time.monotonic()
    settings = {"space": name_in_files(space), "training": asdict(training), "seed": seed}
    if not begin_part(out, "generator", settings):
        return load_generator(out)
    archs, held_out = training_archs(space, training, seed)
    torch.manual_seed(seed)
    denoiser = Denoiser(space.template, training.width, training.layers)
    fit(
        DenoisingModule(space, denoiser, archs, training),
        title=f"training the {space.name} generator",
        size=len(archs),
        steps=training.steps,
        batch_size=training.batch_size,
        seed=seed,
        folder=out / "generator",
    )
    generator = Generator(space, denoiser.cpu().eval())
    metrics = {
        "training_archs": len(archs),
        "seconds": round(time.monotonic() - start, 1),
        **unconditional_quality(generator, archs, held_out),
    }
    config = {
        "part": "generator",
        "gennas": gennas.__version__,
        **settings,
        "denoiser": denoiser.config,
    }
    write_part(out, "generator", config, denoiser.state_dict(), metrics, _card(space, metrics, training, seed))
    return generator


def _card(space: Space, metrics: dict[str, Any], training: GeneratorTraining, seed: int) -> str:
    flags = changed_flags(asdict(training), asdict(GeneratorTraining()))
    size = f"{metrics['training_archs']:,} archs in {training.steps:,} steps of {training.batch_size}"
    made = command("pretrain", "generator", space=address_of(space))
    return f"""# Generator for {space.name}

Written by `{made}{flags} --seed {seed}`; all results are in `metrics.json`, and `gennas evaluate generator`
measures them again.

Masked discrete diffusion over the {space.template.decisions} decisions of the space's template, trained on {size}
({metrics["seconds"]} s including enumeration and evaluation).

{quality_table(metrics)}
"""
