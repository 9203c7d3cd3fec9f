"""Guided generation: archs for a task and a hardware, under constraints, from a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint, generator_for, without_generator
from gennas.consent import expect
from gennas.diffusion.generator import Generator
from gennas.errors import InfeasibleError, InvalidInputError
from gennas.evaluators.calibration import Calibrate
from gennas.evaluators.deployed import deployed_here
from gennas.generation.diagnosis import diagnosis
from gennas.generation.request import Generated, Request
from gennas.generation.sampling import DOUBTFUL, RequestSampler
from gennas.generation.shown_order import in_shown_order
from gennas.part_files import pretrain_command
from gennas.predictors.deployment import DeploymentPredictor, undeployed
from gennas.predictors.transfer import Evaluated
from gennas.problem import Problem
from gennas.progress import Report, silent
from gennas.spaces import JointSpace
from gennas.spaces.functions import function_key


def generate_archs(
    wanted: Problem | Request,
    n: int | None = None,
    *,
    checkpoint: Checkpoint | str | Path | None = None,
    evaluated: Evaluated | None = None,
    calibrate: Calibrate = "never",
    seed: int = 0,
    report: Report = silent,
) -> Generated:
    """Samples archs from a checkpoint's generator, guided by its predictor.

    Bounds on costs hold exactly on everything returned; bounds on predicted metrics with the asked confidence under
    the predictor's mean and std. ``peak_memory_mb``, where it is not predicted, is computed at the end, of a bounded
    number of archs. Without a predictor, the objective is ``none`` or costs, and bounds are on costs;
    without a generator, archs are drawn uniformly from the space, and the best of them are kept.

    Args:
        wanted: what to generate: a problem, or a request, which holds one and says how.
        n: distinct archs asked for; that of the request, or 10, where it is not given.
        checkpoint: with a generator, a predictor, or both; by default the one of the space's name, or none.
        evaluated: accuracies of some archs on the task, if any are known.
        calibrate: whether networks are measured on this machine where its latency is wanted, as ``cpu``, ``cpu-int8``
            and so on (:class:`gennas.hardware.target.HardwareTarget`), and a few trained on the task where its
            accuracies are forecast from images: ``once`` for a task, a skeleton and a machine, which is remembered;
            ``again``; or ``never``.
        seed: of all randomness; the same seed gives the same archs on the same machine.
        report: receives how many archs of :attr:`Request.pool` were found, and a note.

    Raises:
        InfeasibleError: no arch keeps all bounds; says which bound binds and how near archs come to it.
        UnknownNameError: a metric, a task or a hardware without a predictor, or no such checkpoint.
        InvalidInputError: a checkpoint of another space, or something that needs a predictor where there is none.
    """
    start = time.monotonic()
    request = wanted if isinstance(wanted, Request) else Request(wanted)
    request = request if n is None else replace(request, n=n)
    problem = request.problem
    # Networks that cannot be made have no costs either, which every answer has: nothing needs to be drawn to say so.
    problem.space.costs(problem.space.sample(np.random.default_rng(0)), problem.task)
    source = Checkpoint.of(checkpoint, problem.space) if checkpoint else Checkpoint.for_space(problem.space)
    generator = generator_for(problem.space, source)
    # Nothing predicts what else was chosen beside a network.
    if source is None or "predictor" not in source.parts or isinstance(problem.space, JointSpace):
        if evaluated is not None:
            raise InvalidInputError(
                f"teaches a predictor, and there is none of space {problem.space.name!r}. Train one: "
                + pretrain_command("predictor", problem.space),
                argument="evaluated",
            )
        deployed = undeployed(problem.space, problem.task, problem.hardware)
        result = generate_with(generator, deployed, request, seed=seed, report=report)
        notes = (*result.notes, *problem.task.unreadable())
        return replace(result, seconds=time.monotonic() - start, notes=notes)
    targets = [m.target for m in problem.metrics if m.kind.scope == "hardware" and m.target]
    deployed, notes = deployed_here(
        source,
        problem.space,
        problem.task,
        problem.hardware,
        targets=targets,
        evaluated=evaluated,
        calibrate=calibrate,
        check=lambda found: RequestSampler(generator, found, request, torch.Generator(), evaluated).check(),
    )
    result = generate_with(generator, deployed, request, evaluated=evaluated, seed=seed, report=report)
    return replace(result, seconds=time.monotonic() - start, notes=(*result.notes, *notes))


def generate_with(
    generator: Generator,
    deployed: DeploymentPredictor,
    request: Request,
    *,
    evaluated: Evaluated | None = None,
    seed: int = 0,
    report: Report = silent,
) -> Generated:
    """:func:`generate_archs` with a generator and a predictor that are in memory; it raises the same errors."""
    start = time.monotonic()
    search = RequestSampler(generator, deployed, request, torch.Generator().manual_seed(seed), evaluated)
    search.check()
    # At most every arch is drawn, and at least as many as are collected: a few milliseconds and kilobytes each.
    pool = min(request.pool, generator.space.size or request.pool)
    expect(f"{pool:,} archs to draw", gigabytes=4e-6 * pool, hours=2e-3 * pool / 3600, instead="lower `n`")
    search.run(report)
    notes = [*generator.space.notes_on(request.problem.task), *deployed.notes, *search.notes]
    if search.is_uniform:
        notes.append(without_generator(generator.space))
    if not search.found:
        advice = f" {without_generator(generator.space)}" if search.is_uniform and not search.enumerated else ""
        raise InfeasibleError(diagnosis(search, report) + advice)
    if search.computed.where:
        search.keep_computed(report)
        notes.append(search.computed.note(request.n))
    archs, predicted = in_shown_order(request.problem.objective, *search.chosen())
    notes += _notes(search, archs)
    functions = len({function_key(generator.space, arch) for arch in archs})
    if functions < len(archs):
        notes.append(
            f"the {len(archs)} archs compute {functions} different function{'s' if functions > 1 else ''}; `distinct` "
            "functions returns one arch for each."
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
        recipe=deployed.recipe,
    )


def _notes(search: RequestSampler, archs: Sequence[Arch]) -> list[str]:
    """What the user should know about a sampling that returned ``archs``, and can do about it."""
    request, notes = search.request, []
    loosen = " Loosen a bound" + ("" if search.has_exact_bounds else ", or lower confidence") + "."
    if len(search.found) < request.n and not search.computed.where:
        notes.append(
            f"only {len(search.found)} of {request.n} archs found: no other of {search.considered} is usable and keeps "
            f"all bounds.{loosen if search.problem.where else ''}"
        )
    known = sum(arch.key in search.observed for arch in archs)
    if known:
        notes.append(
            f"{known} of the archs {'was' if known == 1 else 'were'} evaluated before, as fewer new ones keep all "
            "bounds; the accuracy of these is the given one."
        )
    if search.enumerated:
        return notes
    if search.strength < request.strength:
        notes.append(
            f"guidance of strength {request.strength:g} was unreliable (effective sample size below {DOUBTFUL:.0%}), "
            f"so that {search.strength:g} was used for further draws."
        )
    if not search.converged:
        notes.append(
            f"the best archs were still improving after {search.sampled:,} draws; a larger n draws more, and its first "
            "archs are better."
        )
    return notes
