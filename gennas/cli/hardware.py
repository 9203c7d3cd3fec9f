"""`gennas hardware`: the user's own devices, each predicted from a few measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gennas.cli.hardware_inputs import HardwareInputs, measured_target
from gennas.cli.hardware_report import added_document, added_rows, disturbances
from gennas.cli.options import MeasuringOptions, PredictorOptions, Unit
from gennas.cli.output import Outcome, saving, stored_result, warn_unwritable
from gennas.commands import command
from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import LatencySpec

_COUNT = 20
#: Beyond this difference between two measurements of the same arch, the machine was busy with something else.
_REPEATABLE = 0.1


def add_hardware(
    name: str,
    networks: PredictorOptions,
    measuring: MeasuringOptions,
    csv: Path | None = None,
    unit: Unit | None = None,
    measure: bool = False,
    replace: bool = False,
    out: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Adds a device from a CSV of a few measurements, or by measuring this machine; more measurements may follow.

    Args:
        csv: a file with the columns key,latency_ms, as `gennas hardware choose` or `gennas hardware bundle` make it.
        unit: of the numbers in the CSV (default: ms; asked for where that is hardly possible).
        out: JSON file for the report.
        seed: seed of the choice of archs, the measured networks' weights and the archs that predictions are checked on.
    """
    from gennas.hardware import store
    from gennas.hardware.csv_settings import CsvSettings
    from gennas.predictors.hardware_check import check_predictions, fit
    from gennas.spaces import space_option

    store.check_name(name)
    given = {option: value for option, value in vars(measuring).items() if value is not None}
    _check_source(csv, measure, list(given))
    count = given.pop("count", _COUNT)
    if count < 3:
        raise InvalidInputError(f"is {count}; must be at least 3 archs, better 10 or more.", argument="count")
    target = measured_target(name, given.pop("target", None), csv)
    spec = LatencySpec(**given)
    stored_result(out, "hardware add")
    settings = None if csv is None else CsvSettings.read(csv)
    place = HardwareInputs.measured(networks, settings)
    place.refuse_known(name)
    there = store.content(place.space.name, name)
    before = None if replace else store.stored(place.space.name, name)
    notes, repeatability = [], None
    if csv is not None:
        from gennas.hardware.measurement_csv import read_hardware

        is_sized = networks.task is not None or (settings is not None and settings.input_shape is not None)
        shape = place.space.measured_shape(place.task) if is_sized else None
        device = read_hardware(csv, name, place.space, shape, before, task=place.task, unit=unit, settings=settings)
    else:
        from gennas.evaluators.hardware_profiling import measure as measure_here
        from gennas.predictors.few_shot import informative_archs

        archs = informative_archs(place.predictor, place.space, count, seed=seed)
        device, repeatability = measure_here(
            name,
            archs,
            space=place.space,
            task=place.task,
            target=target,
            spec=spec,
            before=before,
            start_over=replace,
            seed=seed,
        )
        if repeatability is None:
            notes.append(f"all {len(archs)} archs were already measured; raise --count to measure more.")
        elif repeatability > _REPEATABLE:
            notes.append(
                f"archs measured twice differ by {repeatability:.0%}: this machine was busy. Measure again with "
                "--replace when it is idle."
            )
    notes += disturbances(device)
    predictor, report = fit(place.predictor, place.space, device)
    sanity = check_predictions(predictor, place.space, place.task, name, seed)
    path = store.add(device, over=there)
    if measure:
        from gennas.evaluators.hardware_profiling import finish

        finish(device)
    new = len(device.measurements) - (len(before.measurements) if before else 0)
    notes += [*([report.advice] if report.advice else []), *sanity.notes]
    document = added_document(device, path, new, repeatability, report, sanity) | {"notes": notes}
    median = sorted(device.latency_ms)[len(device.measurements) // 2]
    following = command(
        "generate",
        task=networks.task or place.sizing_name,
        hardware=name,
        image_size=networks.image_size if networks.task else place.image_size,
        skeleton=place.other_skeleton,
        where=f"latency_ms@{name} <= {median:.3g}",
        checkpoint=None if place.checkpoint == place.space.name else place.checkpoint,
        space=space_option(place.space),
    )
    tables = {f"hardware {name} of {place.space.name}": added_rows(document)}
    return Outcome(document, tables, notes, [path], following, saves=saving(out, "hardware add", document))


def choose_hardware(
    space: str = "nasbench201",
    n: int = 10,
    checkpoint: str | None = None,
    out: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Suggests the most informative architectures to measure on a new device, as a CSV to fill in.

    Args:
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class.
        n: how many archs to measure; 10 or more tell a device well.
        checkpoint: the checkpoint whose predictor is fitted to the device; by default the one named like the space.
        out: CSV file with the columns key,latency_ms, the latter empty.
        seed: seed of the choice.
    """
    from gennas.hardware.measurement_csv import check_choices, write_choices
    from gennas.hardware.measurements import MIN_MEASUREMENTS
    from gennas.hardware.profile import written_skeleton
    from gennas.predictors.few_shot import informative_archs
    from gennas.spaces import space_option

    if n < MIN_MEASUREMENTS:
        raise InvalidInputError(f"-n is {n}; expected at least {MIN_MEASUREMENTS} archs, ideally 10 or more.")
    if out is not None:
        check_choices(out)
        warn_unwritable(out)
    place = HardwareInputs.find(space, checkpoint)
    archs = informative_archs(place.predictor, place.space, n, seed=seed)
    settings = written_skeleton(place.space)
    from gennas.tasks.base import shape_text

    seen = shape_text(place.config["latency_input_shape"])
    notes = [
        "fill in the column latency_ms with the milliseconds of one run; the networks to measure: "
        + "; ".join(
            [*([settings] if settings else []), *([f"images of {seen}"] if seen else []), "random weights suffice."]
        )
    ]
    notes += [
        f"{arch.key} ignores its input; measure it anyway: it shows whether the device skips operations without effect."
        for arch in archs
        if place.space.is_constant(arch)
    ]
    keys: list[dict[str, Any]] = [{"key": arch.key} for arch in archs]
    document = {
        "archs": keys,
        "skeleton": settings,
        "input_shape": place.config["latency_input_shape"] or None,
        "notes": notes,
    }
    following = command("hardware", "add", "NAME", csv=out or "FILE.csv", space=space_option(place.space))
    saves = [] if out is None else [(out, lambda: write_choices(out, archs))]
    return Outcome(document, {"to measure": keys}, notes, next=following, saves=saves)


def remove_hardware(name: str, space: str = "nasbench201", out: Path | None = None) -> Outcome:
    """Removes a device that was added, and unfinished measurements of it.

    Args:
        space: a name of `gennas list spaces`, package.module:Class or path/to/file.py:Class.
        out: JSON file for the result.
    """
    from gennas.hardware import store
    from gennas.spaces import get_space

    stored_result(out, "hardware remove")
    removed = store.remove(get_space(space).name, name)
    document = {"removed": [str(path) for path in removed]}
    tables, saves = (
        {"removed": [{"file": path} for path in document["removed"]]},
        saving(out, "hardware remove", document),
    )
    return Outcome(document, tables, next="gennas list hardware", saves=saves)


def _check_source(csv: Path | None, measure: bool, given: list[str]) -> None:
    if (csv is None) != measure:
        raise InvalidInputError(
            f"{'both `csv` and `measure` were given' if measure else 'no measurements were given'}; expected either a "
            "file with the columns key,latency_ms (`csv`) or a measurement of this machine (`measure`)."
        )
    if csv is not None and given:
        options = ", ".join(f"`{option}`" for option in given)
        raise InvalidInputError(f"{options} only apply to `measure`, not to `csv` {csv}; leave them out.")
