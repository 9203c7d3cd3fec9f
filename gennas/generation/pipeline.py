"""Guided generation: archs for a task and a hardware, under constraints, from a checkpoint."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from gennas.diffusion.generator import Generator, load_generator
from gennas.errors import InfeasibleError
from gennas.generation.diagnosis import diagnosis
from gennas.generation.request import Generated, Request
from gennas.generation.sampling import BATCH, PATIENCE, RequestSampler
from gennas.predictors import load_predictor
from gennas.predictors.deployment import DeploymentPredictor
from gennas.predictors.transfer import Evaluated, with_observations

#: Effective samples among the particles, as a share, below which the user is told.
DOUBTFUL = 0.1


def generate(
    checkpoint: Path, request: Request, *, evaluated: Evaluated | None = None, skeleton: str = "", seed: int = 0
) -> Generated:
    """Samples archs from a checkpoint's generator, guided by its predictor.

    Bounds on costs hold exactly on everything returned; bounds on predicted metrics with the asked confidence under
    the predictor's mean and std.

    Args:
        checkpoint: folder with a generator and a predictor; see :func:`gennas.checkpoint.find_checkpoint`.
        request: what to generate.
        evaluated: accuracies of some archs on the task, if any are known.
        skeleton: settings of the network around the searched part, e.g. ``"cells=3"``.
        seed: of all randomness; the same seed gives the same archs on the same machine.

    Raises:
        InfeasibleError: no arch keeps all bounds; says which bound binds and the best reachable value.
        UnknownNameError: a metric, a task or a hardware without a predictor.
    """
    start = time.monotonic()
    generator = load_generator(checkpoint, skeleton)
    predictor, config = load_predictor(checkpoint)
    metrics = [*request.objective.metrics, *(constraint.metric for constraint in request.where)]
    targets = [
        target for target in (request.hardware, *(m.target for m in metrics if m.kind.scope == "hardware")) if target
    ]
    told, notes = with_observations(predictor, generator.space, request.task.name, evaluated, targets)
    placed = DeploymentPredictor(told, config, generator.space, request.task, request.hardware)
    result = generate_with(generator, placed, request, seed=seed)
    return replace(result, seconds=time.monotonic() - start, notes=(*result.notes, *notes))


def generate_with(generator: Generator, placed: DeploymentPredictor, request: Request, *, seed: int = 0) -> Generated:
    """:func:`generate` with a generator and a predictor that are in memory already; it raises the same errors."""
    start = time.monotonic()
    search = RequestSampler(generator, placed, request, torch.Generator().manual_seed(seed))
    search.check()
    search.run()
    notes = [*request.task.notes, *placed.notes]
    if not search.found:
        raise InfeasibleError(diagnosis(search))
    if len(search.found) < request.n:
        notes.append(
            f"only {len(search.found)} of {request.n} asked: {PATIENCE * BATCH:,} more draws found no other arch that "
            "keeps all bounds. Loosen a bound, or lower --strength or --confidence."
        )
    archs, predicted = search.chosen()
    if request.particles > 1 and search.effective_share < max(DOUBTFUL, 2 / request.particles):
        notes.append(
            f"the guidance foresees little: an effective sample size of {search.effective_share:.1%} of "
            f"{request.particles} particles. Lower --strength, loosen a bound, or raise --particles."
        )
    functions = len({generator.space.canonical(arch).key for arch in archs})
    if functions < len(archs):
        notes.append(
            f"the {len(archs)} archs compute {functions} different functions; "
            "--distinct functions returns one arch for each."
        )
    return Generated(
        archs=archs,
        predicted=predicted,
        requested=request.n,
        sampled=search.sampled,
        valid_rate=search.valid / search.sampled,
        unique_rate=len(search.seen) / max(search.valid, 1),
        effective_share=search.effective_share,
        scored=search.source.scored,
        seconds=time.monotonic() - start,
        notes=tuple(notes),
    )
