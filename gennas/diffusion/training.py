"""Training a generator: the denoiser learns a set of archs of its space."""

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

    Where slots are interchangeable every arch is seen under a random numbering, so that partial archs may use any.
    """

    def __init__(self, space: Space, denoiser: Denoiser, archs: Graphs, training: GeneratorTraining) -> None:
        super().__init__()
        self.space = space
        self.denoiser = denoiser
        self.archs = archs
        self.training_settings = training
        self.numbering = np.random.default_rng(0)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        graph = GraphBatch.from_arrays(*self.archs.take(batch[0].cpu().numpy()), self.space.template)
        return bound(self.denoiser, graph.permuted(self.space, self.numbering).to(self.device)).mean()

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        return one_cycle(self.denoiser.parameters(), settings.learning_rate, settings.steps)


def training_archs(space: Space, training: GeneratorTraining, seed: int) -> tuple[Graphs, Graphs]:
    """The archs of a space that a generator learns, and those that are held out.

    All of a space that enumerates itself, else ``training.archs`` drawn ones.
    """
    if space.size is not None:
        archs = Graphs(*space.enumerate_graphs())
    else:
        rng = np.random.default_rng(seed)
        archs = Graphs(*space.arrays([space.sample(rng) for _ in range(training.archs)]))
    # By distinct archs: drawn ones may repeat, and what is held out must not be learnt under another row.
    _, decisions = np.unique(archs.codes(space), return_inverse=True)
    order = np.random.default_rng(seed).permutation(decisions.max() + 1)
    held = np.isin(decisions, order[: min(round(training.held_out * len(order)), len(order) - 1)])
    return Graphs(*archs.take(np.flatnonzero(~held))), Graphs(*archs.take(np.flatnonzero(held)))


def train_generator(space: Space, training: GeneratorTraining, *, seed: int, out: Path) -> Generator:
    """Trains a generator on its space, measures it, and writes ``out/generator``.

    What was trained there with the same settings is loaded; what was begun goes on.

    Raises:
        StudyError: ``out`` has a generator of other settings.
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
    learnt = f"{metrics['training_archs']:,} archs in {training.steps:,} steps of {training.batch_size}"
    return f"""# Generator for {space.name}

Written by `gennas pretrain generator --space {address_of(space)}{flags} --seed {seed}`; `metrics.json` beside it has
every number, and `gennas evaluate-generator` prints them again.

Masked discrete diffusion over the {space.template.decisions} decisions of the space's template. It learnt {learnt}
({metrics["seconds"]} s with reading and measuring).

{quality_table(metrics)}
"""
