"""Calibration of this machine: a handful of networks is measured, once per task, skeleton, machine and target."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

from gennas.checkpoint import Checkpoint
from gennas.errors import GennasError, InvalidInputError
from gennas.evaluators.latency import LatencyEvaluator
from gennas.evaluators.timing import check_available
from gennas.hardware import store
from gennas.hardware.measurements import Measurement
from gennas.hardware.profile import Hardware, written_skeleton
from gennas.hardware.target import HardwareTarget
from gennas.machine import machine_name
from gennas.progress import progress
from gennas.spaces import Space
from gennas.tasks import Task

_LOG = logging.getLogger(__name__)

#: Whether this machine is measured: where that was not done before, in any case, or not at all.
Calibrate = Literal["once", "again", "never"]
#: Networks that are measured.
COUNT = 10


def this_machine(
    checkpoint: Checkpoint,
    space: Space,
    task: Task,
    targets: Sequence[HardwareTarget],
    calibrate: Calibrate,
    seed: int = 0,
) -> tuple[Hardware, ...]:
    """Latencies of some networks on this machine, for each target under its name; measured now or before.

    Args:
        checkpoint: whose predictor says which archs tell most about a device.
        space: with the skeleton to measure.
        task: sizes the networks.
        targets: how the networks run.
        calibrate: whether to measure.
        seed: of the choice of archs and of the networks' weights.

    Returns:
        The measurements; none of a target where there are none and none could be made: for networks without images, for
        a predictor that does not learn from them, with ``never``, or where the user has hardware of that name.

    Raises:
        InvalidInputError: something is to be measured that this machine does not have.
    """
    if len(task.input_shape) != 3:
        return ()
    own = store.names(space.name)
    wanted = {target: _name(space, task, target) for target in targets if target.name not in own}
    found = {
        target: None if calibrate == "again" else store.calibration(space.name, wanted[target]) for target in wanted
    }
    missing = [target for target, known in found.items() if known is None]
    if missing and calibrate != "never":
        for target in missing:
            check_available(target)
        found |= _measured(checkpoint, space, task, missing, seed)
        for target in missing:
            if (hardware := found[target]) is not None:
                _keep(hardware, wanted[target])
    return tuple(hardware for hardware in found.values() if hardware is not None)


def _name(space: Space, task: Task, target: HardwareTarget) -> str:
    """Of what measurements depend on."""
    conditions = (machine_name(), written_skeleton(space), list(space.measured_shape(task)), target.name)
    return sha256(json.dumps(conditions).encode()).hexdigest()[:12]


def _measured(
    checkpoint: Checkpoint, space: Space, task: Task, targets: Sequence[HardwareTarget], seed: int
) -> dict[HardwareTarget, Hardware | None]:
    from gennas.predictors.few_shot import informative_archs

    try:
        informative = informative_archs(checkpoint.predictor, space, COUNT + 1, seed=seed)
    except InvalidInputError as error:
        _LOG.warning("this machine is not calibrated: %s", error)
        return dict.fromkeys(targets)
    # A network that ignores its input is folded to a constant here: a thousandth of the others' latency, which would
    # stretch the scale of all.
    archs = [arch for arch in informative if not space.is_constant(arch)][:COUNT]
    evaluator = LatencyEvaluator(space, targets)
    found: dict[HardwareTarget, Hardware | None] = {}
    with progress("measuring this machine, once", len(archs) * len(targets)) as report:
        for target in targets:
            rows = []
            for done, arch in enumerate(archs, start=1 + len(archs) * len(found)):
                timing = evaluator.timing(arch, target, task=task, seed=seed)
                rows.append(Measurement.of(arch.key, timing))
                report(done, f"{target.name} {timing.median_ms:.4g} ms")
            how = {**target.settings, "machine": machine_name()}
            found[target] = Hardware(
                target.name, space.name, tuple(rows), how, written_skeleton(space), space.measured_shape(task)
            )
    return found


def _keep(hardware: Hardware, name: str) -> None:
    try:
        store.keep_calibration(hardware, name)
    except GennasError as error:
        _LOG.warning("the measurements of this machine are not kept: %s", error)
