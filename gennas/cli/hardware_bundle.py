"""`gennas hardware bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from gennas.cli.hardware_inputs import HardwareInputs, measured_target
from gennas.cli.options import PredictorOptions
from gennas.cli.output import Outcome
from gennas.commands import command
from gennas.errors import InvalidInputError


def bundle_hardware(
    name: str,
    networks: PredictorOptions,
    out: Path,
    n: int = 12,
    precision: Literal["float32", "int8"] = "float32",
    seed: int = 0,
) -> Outcome:
    """Writes a zip file that measures a device on which gennas does not run: networks, and a script that times them.

    Args:
        out: the zip file.
        n: how many networks to write; 10 or more tell a device well.
        precision: of the networks.
        seed: seed of the choice of archs, and of the networks' weights.
    """
    from gennas.evaluators.hardware_bundle import write_bundle
    from gennas.files import check_writable
    from gennas.hardware import store
    from gennas.hardware.measurements import MIN_MEASUREMENTS
    from gennas.hardware.profile import written_skeleton
    from gennas.predictors.few_shot import informative_archs
    from gennas.spaces import space_option

    store.check_name(name)
    measured_target(name, None, Path("measurements.csv"))
    if n < MIN_MEASUREMENTS:
        raise InvalidInputError(f"-n is {n}; expected at least {MIN_MEASUREMENTS} networks, ideally 10 or more.")
    if out.suffix.lower() != ".zip":
        raise InvalidInputError(f"is {str(out)!r}; expected a name that ends in .zip.", argument="out")
    check_writable(out)
    place = HardwareInputs.measured(networks)
    place.refuse_known(name)
    # One more than asked for: a network that ignores its input is folded to a constant in its file, and tells nothing.
    informative = informative_archs(place.predictor, place.space, n + 1, seed=seed)
    archs = [arch for arch in informative if not place.space.is_constant(arch)][:n]
    write_bundle(out, name, archs, space=place.space, task=place.task, precision=precision, seed=seed)
    keys: list[dict[str, Any]] = [{"key": arch.key} for arch in archs]
    notes = [
        "the networks are untrained: they are for measuring only.",
        f"on {name}: unzip {out.name}, and run python measure.py, which needs onnxruntime and numpy; where Python does "
        "not run, fill in measurements.csv as README.txt says.",
    ]
    document = {
        "bundle": str(out),
        "archs": keys,
        "precision": precision,
        "skeleton": written_skeleton(place.space),
        "input_shape": list(place.space.measured_shape(place.task)) or None,
        "notes": notes,
    }
    following = command("hardware", "add", name, csv="measurements.csv", space=space_option(place.space))
    return Outcome(document, {"networks": keys}, notes, [out], following)
