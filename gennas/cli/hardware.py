"""`gennas hardware`: devices of the user's own, each known by a few measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gennas.cli.hardware_inputs import HardwareInputs
from gennas.cli.hardware_report import added_document, added_rows
from gennas.cli.output import Outcome, stored_result
from gennas.errors import InvalidInputError
from gennas.evaluators.latency_spec import Dtype, LatencySpec, Runtime

_COUNT = 20
#: Beyond this difference between two measurements of the same arch, the machine was busy with something else.
_REPEATABLE = 0.1


def add_hardware(
    name: str,
    space: str = "nasbench201",
    csv: Path | None = None,
    measure: bool = False,
    checkpoint: str | None = None,
    task: str | None = None,
    skeleton: str | None = None,
    runtime: Runtime | None = None,
    dtype: Dtype | None = None,
    threads: int | None = None,
    batch: int | None = None,
    warmup: int | None = None,
    repeats: int | None = None,
    count: int | None = None,
    replace: bool = False,
    out: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Adds a device from a CSV of a few measurements, or by measuring this machine; more measurements may follow.

    Args:
        space: a name of `gennas list spaces`, or package.module:Class.
        csv: a file with the columns key,latency_ms; `gennas hardware choose` tells which archs are worth measuring.
        checkpoint: whose predictor learns the device; the one named as the space where it is not given.
        task: whose images the networks see; --measure takes those that the checkpoint's latencies were measured on.
        skeleton: settings of the measured networks, e.g. "channels=16,cells=3"; the checkpoint's where not given.
        runtime: for --measure, as all that follow: what runs the networks (default onnxruntime).
        dtype: of weights and images (default float32).
        threads: of the processor (default 1).
        batch: images per run (default 1).
        warmup: runs that are not counted (default 10).
        repeats: counted runs, of which the median is the latency (default 50).
        count: how many archs to measure (default 20).
        out: JSON file for the report.
        seed: of the choice of archs, the measured networks' weights and the archs that predictions are checked on.
    """
    from gennas.hardware import store
    from gennas.predictors.hardware_check import check_predictions, fit

    store.check_name(name)
    options = {"runtime": runtime, "dtype": dtype, "threads": threads, "batch": batch}
    options |= {"warmup": warmup, "repeats": repeats}
    given = {option: value for option, value in options.items() if value is not None}
    _check_source(csv, measure, [*given, *(["count"] if count is not None else [])])
    spec = LatencySpec(**given)  # type: ignore[arg-type]
    if count is not None and count < 3:
        raise InvalidInputError(f"--count is {count}; expected at least 3 archs, ideally 10 or more.")
    if out is not None:
        stored_result(out, "hardware")
    place = HardwareInputs.find(space, checkpoint, task, skeleton)
    place.refuse_known(name)
    before = None if replace else store.stored(place.space.name, name)
    notes, repeatability = [], None
    if csv is not None:
        from gennas.hardware.measurement_csv import read_hardware

        shape = place.task.input_shape if task is not None else None
        device = read_hardware(csv, name, place.space, shape, before)
    else:
        from gennas.evaluators.hardware_profiling import measure as measure_here
        from gennas.predictors.few_shot import informative_archs

        archs = informative_archs(place.predictor, place.space, count or _COUNT, seed=seed)
        device, repeatability = measure_here(
            name, archs, space=place.space, task=place.task, spec=spec, before=before, start_over=replace, seed=seed
        )
        if repeatability is None:
            notes.append(f"all {len(archs)} archs were measured before; --count asks for more.")
        elif repeatability > _REPEATABLE:
            notes.append(
                f"archs measured twice differ by {repeatability:.0%}: this machine was busy. Measure again when it is "
                "idle (--replace), or with more --repeats."
            )
    predictor, report = fit(place.predictor, place.space, device)
    sanity = check_predictions(predictor, place.space, place.task, name, seed)
    path = store.add(device)
    if measure:
        from gennas.evaluators.hardware_profiling import finish

        finish(device)
    new = len(device.measurements) - (len(before.measurements) if before else 0)
    notes += [*([report.advice] if report.advice else []), *sanity.notes]
    document = added_document(device, path, new, repeatability, report, sanity) | {"notes": notes}
    if out is not None:
        from gennas.files import write_json

        write_json(out, document)
    median = sorted(device.latency_ms)[len(device.measurements) // 2]
    following = (
        f'gennas generate --task {place.task.name} --hardware {name} --where "latency_ms@{name} <= {median:.3g}"'
    )
    following += f" --checkpoint {place.checkpoint}" if place.checkpoint != "nasbench201" else ""
    tables = {f"hardware {name} of {place.space.name}": added_rows(document)}
    return Outcome(document, tables, notes, [path, *([out] if out else [])], following)


def choose_hardware(
    space: str = "nasbench201",
    n: int = 10,
    checkpoint: str | None = None,
    out: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Chooses the archs whose measurements tell most about an unknown device, as a CSV to be filled in.

    Args:
        space: a name of `gennas list spaces`, or package.module:Class.
        checkpoint: whose predictor shall learn the device; the one named as the space where it is not given.
        out: CSV file with the columns key,latency_ms, the latter empty.
        seed: of the choice.
    """
    from gennas.hardware.measurement_csv import write_choices
    from gennas.hardware.measurements import MIN_MEASUREMENTS
    from gennas.hardware.profile import written_skeleton
    from gennas.predictors.few_shot import informative_archs

    if n < MIN_MEASUREMENTS:
        raise InvalidInputError(f"-n is {n}; expected at least {MIN_MEASUREMENTS} archs, ideally 10 or more.")
    place = HardwareInputs.find(space, checkpoint)
    archs = informative_archs(place.predictor, place.space, n, seed=seed)
    if out is not None:
        write_choices(out, archs)
    settings = written_skeleton(place.space)
    seen = "x".join(map(str, place.config["latency_input_shape"]))
    notes = [
        "write the milliseconds of one run into the column latency_ms; networks to measure: "
        + "; ".join([*([settings] if settings else []), *([f"images of {seen}"] if seen else []), "random weights do."])
    ]
    notes += [
        f"{arch.key} ignores its input; measure it all the same: it tells whether the device drops what has no effect."
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
    following = f"gennas hardware add NAME --csv {out or 'FILE.csv'}" + _for_space(space)
    return Outcome(document, {"worth measuring": keys}, notes, [out] if out else [], following)


def remove_hardware(name: str, space: str = "nasbench201", out: Path | None = None) -> Outcome:
    """Removes a device that was added, and a measurement of it that was begun.

    Args:
        space: a name of `gennas list spaces`, or package.module:Class.
        out: JSON file for the result.
    """
    from gennas.hardware import store
    from gennas.spaces import get_space

    if out is not None:
        stored_result(out, "removed")
    removed = store.remove(get_space(space).name, name)
    document = {"removed": [str(path) for path in removed]}
    if out is not None:
        from gennas.files import write_json

        write_json(out, document)
    return Outcome(document, {"removed": [{"file": path} for path in document["removed"]]}, next="gennas list hardware")


def _check_source(csv: Path | None, measure: bool, given: list[str]) -> None:
    if (csv is None) != measure:
        raise InvalidInputError(
            f"{'both --csv and --measure' if measure else 'no measurements'}; give either --csv FILE (columns "
            "key,latency_ms) or --measure (this machine)."
        )
    if csv is not None and given:
        flags = ", ".join(f"--{option}" for option in given)
        raise InvalidInputError(f"{flags} with --csv {csv}; that is for --measure, leave it out.")


def _for_space(space: str) -> str:
    return "" if space == "nasbench201" else f" --space {space}"
