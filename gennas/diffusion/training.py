"""Training a generator: the denoiser learns a set of archs of its space."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

import gennas
from gennas.arch import Arch
from gennas.checkpoint import begin_part, write_part
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator, load_generator
from gennas.diffusion.noise import corrupt
from gennas.diffusion.settings import GeneratorTraining
from gennas.fit import fit, one_cycle
from gennas.graph import GraphBatch, decisions_of
from gennas.spaces import Space, address_of


class DenoisingModule(lightning.LightningModule):
    """Minimises the negative evidence lower bound of masked diffusion, in nats per arch; see ``noise.corrupt``."""

    def __init__(self, denoiser: Denoiser, graphs: GraphBatch, training: GeneratorTraining) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.graphs = graphs
        self.training_settings = training

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        graph = self.graphs[batch[0].cpu()].to(self.device)
        return bound(self.denoiser, graph).mean()

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        return one_cycle(self.denoiser.parameters(), settings.learning_rate, settings.steps)


def bound(denoiser: Denoiser, graph: GraphBatch, rng: torch.Generator | None = None) -> Tensor:
    """``(b,)`` one-sample estimates of the negative evidence lower bound on ``log p(arch)``, in nats."""
    noisy = corrupt(graph, rng)
    chosen = denoiser.log_probs(noisy.graph).gather(2, graph.choices()[..., None]).squeeze(-1)  # (b, D)
    return -noisy.weight * torch.where(noisy.masked, chosen, 0.0).sum(1)


def training_archs(space: Space, limit: int, seed: int) -> list[Arch]:
    """All archs of a space that enumerates itself, else ``limit`` drawn ones."""
    if space.size is not None:
        return list(space.enumerate())
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(limit)]


def train_generator(space: Space, training: GeneratorTraining, *, seed: int, out: Path) -> Generator:
    """Trains a generator on its space, measures it, and writes ``out/generator``.

    What was trained there with the same settings is loaded; what was begun goes on.

    Raises:
        StudyError: ``out`` has a generator of other settings.
    """
    start = time.monotonic()
    settings = {"space": address_of(space), "training": asdict(training), "seed": seed}
    if not begin_part(out, "generator", settings):
        return load_generator(out)
    archs = training_archs(space, training.archs, seed)
    graphs = GraphBatch.from_archs(archs, space.template)
    torch.manual_seed(seed)
    denoiser = Denoiser(space.template, training.width, training.layers)
    fit(
        DenoisingModule(denoiser, graphs, training),
        title=f"training the {space.name} generator",
        size=len(graphs),
        steps=training.steps,
        batch_size=training.batch_size,
        seed=seed,
        folder=out / "generator",
    )
    generator = Generator(space, denoiser.cpu().eval())
    metrics = {
        "training_archs": len(archs),
        "seconds": round(time.monotonic() - start, 1),
        **measure(generator, graphs),
    }
    config = {
        "part": "generator",
        "gennas": gennas.__version__,
        **settings,
        "denoiser": denoiser.config,
    }
    write_part(out, "generator", config, denoiser.state_dict(), metrics, _card(space, metrics, training, seed))
    return generator


@torch.inference_mode()
def measure(generator: Generator, graphs: GraphBatch, draws: int = 10_000, seed: int = 1) -> dict[str, float]:
    """Quality of an unguided generator: its bound, and its samples against the archs it learnt from."""
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(graphs), (draws,), generator=rng)
    nats = torch.cat([bound(generator.denoiser, graphs[chunk], rng) for chunk in rows.split(1000)])
    samples = generator.sample(draws, seed=rng)
    drawn = GraphBatch.from_archs(samples.archs, graphs.template)
    c = decisions_of(graphs.template).allowed.shape[1]
    learnt, sampled = (torch.nn.functional.one_hot(g.choices(), c).double().mean(0) for g in (graphs, drawn))
    distinct = len({arch.key for arch in samples.archs})
    size = len(graphs)
    return {
        "bound_nats": round(float(nats.mean()), 4),
        "bound_nats_stderr": round(float(nats.std() / math.sqrt(draws)), 4),
        "log_training_archs_nats": round(math.log(size), 4),
        "draws": draws,
        "valid_rate": samples.valid_rate,
        "distinct": distinct,
        "distinct_if_uniform": round(size * (1 - (1 - 1 / size) ** draws), 1),
        "largest_choice_frequency_error": round(float((learnt - sampled).abs().max()), 4),
    }


def _card(space: Space, metrics: dict[str, Any], training: GeneratorTraining, seed: int) -> str:
    bound_nats = f"{metrics['bound_nats']} +- {metrics['bound_nats_stderr']}"
    return f"""# Generator for {space.name}

Written by `gennas pretrain generator --space {address_of(space)} --seed {seed}`; `metrics.json` beside it has every
number.

Masked discrete diffusion over the {space.template.decisions} decisions of the space's template. It learnt
{metrics["training_archs"]:,} archs in {training.steps:,} steps of {training.batch_size} ({metrics["seconds"]} s with
reading and measuring).

| measured on {metrics["draws"]:,} draws | value | ideal |
| --- | --- | --- |
| bound on -log p (nats per arch) | {bound_nats} | {metrics["log_training_archs_nats"]} |
| valid, before any rejection | {metrics["valid_rate"]:.2%} | 100 % |
| distinct archs | {metrics["distinct"]:,} | {metrics["distinct_if_uniform"]:,} (uniform draws) |
| largest error of a choice's frequency | {metrics["largest_choice_frequency_error"]} | 0 |
"""
