"""Calibration of this machine: a handful of networks is measured, once per task, skeleton and machine."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Literal

import numpy as np

from gennas.checkpoint import Checkpoint
from gennas.errors import GennasError, InvalidInputError
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.latency_spec import LatencySpec
from gennas.hardware import store
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware, written_skeleton
from gennas.machine import machine_name
from gennas.progress import progress
from gennas.spaces import Space
from gennas.tasks import Task

_LOG = logging.getLogger(__name__)

#: Whether this machine is measured: where that was not done before, in any case, or not at all.
Calibrate = Literal["once", "again", "never"]
#: Networks that are measured.
COUNT = 10
#: Milliseconds that the runs of one network should take, and how fast it is assumed to be to find out how many these
#: are, in millions of multiply-adds per ms.
RUNS_MS, SPEED = 1000.0, 20.0


def this_machine(
    checkpoint: Checkpoint, space: Space, task: Task, calibrate: Calibrate, seed: int = 0
) -> Hardware | None:
    """Latencies of some networks on this machine, as ``cpu``; measured now or before.

    Args:
        checkpoint: whose predictor says which archs tell most about a device.
        space: with the skeleton to measure.
        task: sizes the networks.
        calibrate: whether to measure.
        seed: of the choice of archs and of the networks' weights.

    Returns:
        The measurements; None where there are none and none could be made: for networks without images, for a predictor
        that does not learn from them, with ``never``, or where the user has hardware of that name.
    """
    spec = LatencySpec()
    if len(task.input_shape) != 3 or "cpu" in store.names(space.name):
        return None
    conditions = (machine_name(), written_skeleton(space), list(task.input_shape), asdict(spec))
    name = sha256(json.dumps(conditions).encode()).hexdigest()[:12]
    if calibrate != "again" and (known := store.calibration(space.name, name)) is not None:
        return known
    if calibrate == "never":
        return None
    from gennas.predictors.few_shot import informative_archs

    try:
        informative = informative_archs(checkpoint.predictor, space, COUNT + 1, seed=seed)
    except InvalidInputError as error:
        _LOG.warning("this machine is not calibrated: %s", error)
        return None
    # A network that ignores its input is folded to a constant here: a thousandth of the others' latency, which would
    # stretch the scale of all.
    archs = [arch for arch in informative if not space.is_constant(arch)][:COUNT]
    rows = []
    with progress("measuring this machine, once", len(archs)) as report:
        for done, arch in enumerate(archs, start=1):
            repeats = int(np.clip(RUNS_MS * SPEED / max(space.costs(arch, task)["macs_m"], 1e-3), 5, spec.repeats))
            short = replace(spec, repeats=repeats, warmup=min(repeats // 5, spec.warmup))
            timing = LatencyEvaluator(space, short, "cpu").timing(arch, task=task, seed=seed)
            quartiles = (timing.lower_quartile_ms, timing.upper_quartile_ms)
            rows.append(Measurement(arch.key, timing.median_ms, quartiles))
            report(done, f"{timing.median_ms:.4g} ms")
    how: dict[str, str | int] = {**asdict(spec), "machine": machine_name()}
    measured = Hardware("cpu", space.name, tuple(rows), how, written_skeleton(space), task.input_shape)
    try:
        store.keep_calibration(measured, name)
    except GennasError as error:
        _LOG.warning("the measurements of this machine are not kept: %s", error)
    return measured
