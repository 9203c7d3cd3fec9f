"""`gennas predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gennas.cli.archs import read_archs
from gennas.cli.checkpoints import checkpoint_and_space
from gennas.cli.following import evaluated_on, trained_or_drawn
from gennas.cli.options import ArchOptions, Calibrate, NetworkOptions
from gennas.cli.output import Outcome, predicted_archs, predicted_rows, saving, stored_result
from gennas.errors import InvalidInputError

if TYPE_CHECKING:
    from gennas.spaces import Space


def predict(
    given: ArchOptions,
    networks: NetworkOptions,
    task: str | None = None,
    hardware: str | None = None,
    checkpoint: str | None = None,
    space: str | None = None,
    proxy: str | None = None,
    evaluated: str | None = None,
    network: Path | None = None,
    top: int = 1,
    precision: Literal["float32", "int8"] = "float32",
    calibrate: Calibrate = "once",
    out: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Predicts metrics of given archs, with uncertainty; or, with --network, the classes of image files.

    Args:
        task: the task whose accuracy to predict, and which sizes the networks; by default all that are known.
        hardware: the hardware whose latency to predict; by default all that are known.
        checkpoint: a name of `gennas list checkpoints`, or a folder that `gennas pretrain` wrote; by default the one
            named like the space. Without one, costs and training-free scores are told.
        space: a name of `gennas list spaces`, path/to/file.py:Class or package.module:Class; by default that of
            --checkpoint, or nasbench201.
        proxy: training-free scores to add, e.g. "naswot,synflow", or az_nas, a rank among the archs; needs a task with
            images.
        evaluated: results you already have on the task: a CSV with the columns key,accuracy (fractions, at least 3
            archs), or a folder that `gennas validate` wrote.
        network: folder that `gennas export` wrote; image files are given in the place of archs, and their classes, or
            labels or values, are printed.
        top: how many of the most probable classes of every image are printed.
        precision: of the network that classifies images; int8 where it was exported with --int8.
        calibrate: whether ten networks are measured on this machine where the hardware is cpu, and three trained for
            seconds where accuracies are forecast from images: once (for a task, a skeleton and a machine), again, or
            never.
        out: JSON file for the result.
        seed: seed of the images and weights of training-free scores; predictions draw no random numbers.
    """
    if network is not None:
        from gennas.cli.classify import classify

        of_archs = {
            "archs": given.archs, "task": task, "hardware": hardware, "checkpoint": checkpoint, "space": space,
            "proxy": proxy, "evaluated": evaluated,
        }  # fmt: skip
        if given_too := [name for name, value in of_archs.items() if value is not None]:
            raise InvalidInputError("is for metrics of archs; with --network, give image files.", argument=given_too[0])
        return classify(network, given.key, top, precision, out)
    of_images = {"top": top != 1, "precision": precision != "float32"}
    if idle := [name for name, is_given in of_images.items() if is_given]:
        raise InvalidInputError("is for images; it needs --network, the folder of a network.", argument=idle[0])
    from gennas.cli.proxies import asked_scores, parse_proxies
    from gennas.evaluators.deployed import deployed_here
    from gennas.metrics import Metric
    from gennas.part_files import pretrain_command
    from gennas.predictors.deployment import undeployed
    from gennas.predictors.latency_conditions import LatencyConditions
    from gennas.tables.user import sizing_task
    from gennas.tasks import get_task

    stored_result(out, "predict")
    proxies = parse_proxies(proxy) if proxy is not None else ()
    if evaluated and task is None:
        raise InvalidInputError("--evaluated holds accuracies of a task; name it with --task.")
    source, the_space = checkpoint_and_space(checkpoint, space, networks.skeleton)
    if source is not None and "predictor" in source.parts:
        trained, config = source.predictor, source.config("predictor")
    else:
        if hardware or evaluated:
            asked = "--hardware" if hardware else "--evaluated"
            raise InvalidInputError(
                f"{asked} needs a predictor, and there is none of space {the_space.name!r}. Train one: "
                + pretrain_command("predictor", the_space)
            )
        trained, config = None, {}
    chosen = [arch for arch, _ in read_archs(the_space, given.key, given.archs)]
    scored: tuple[list[dict[str, float]], list[str]] = [{} for _ in chosen], []
    if proxies:
        named = (
            get_task(task, image_size=networks.image_size, nested=networks.nested, targets=networks.targets)
            if task
            else None
        )
        scored = asked_scores(the_space, chosen, named, proxies, seed=seed)
    sizing = task or (_sizing(trained.places("task"), config) if trained else sizing_task(the_space).name)
    the_task = get_task(sizing, image_size=networks.image_size, nested=networks.nested, targets=networks.targets)
    observed = evaluated_on(evaluated, the_task, sizing, the_space, networks)
    adapted: tuple[str, ...]
    if trained is None or source is None:
        deployed, adapted = undeployed(the_space, the_task, None), (_without_predictor(the_space),)
        every_device = False
    else:
        deployed, adapted = deployed_here(
            source,
            the_space,
            the_task,
            hardware,
            evaluated=observed,
            calibrate=calibrate,
            is_forecast=task is not None,
        )
        learnt = LatencyConditions.of_device("", the_space, config)
        # All known devices at once are worth reporting only as they were measured.
        every_device = hardware is None and learnt.hold_for(the_space, the_task)
        if hardware is None and not every_device and trained.targets("latency_ms"):
            adapted = (
                *adapted,
                f"the latencies of known devices were measured on {learnt.text()}, not on these networks; name a "
                "device with --hardware to have its latency scaled, or cpu to have this machine measured.",
            )
    every = [
        metric
        for metric in map(Metric.parse, deployed.predictor.metrics)
        if (task is None and metric.kind.scope == "task") or (every_device and metric.kind.scope == "hardware")
    ]
    notes = [*the_space.notes_on(the_task), *deployed.notes, *adapted]
    if task is None:
        notes.append(f"params_m and macs_m are those of networks for {sizing}; choose another task with --task.")
    names = deployed.reported(every)
    predicted = deployed.values(chosen, names)
    for name in names:
        if lacking := sum(name not in values for values in predicted):
            known = deployed.domain(name).text()
            notes.append(f"{name} is unknown for {lacking} of {len(chosen)} archs: it was measured for {known} only.")
    predicted = [{**values, **scores} for values, scores in zip(predicted, scored[0], strict=True)]
    notes += scored[1]
    entries = predicted_archs(chosen, predicted)
    document = {"archs": entries, "notes": notes}
    following = trained_or_drawn(
        *(() if given.archs else given.key),
        task=the_task,
        # A benchmark that comes without images cannot be trained on.
        trained_on=task if task and the_task.has_images else "digits",
        space=the_space,
        network=networks,
        archs=given.archs if given.archs != "-" else "FILE",
        out="runs/validation",
        recipe=deployed.recipe,
    )
    tables, saves = {"predicted": predicted_rows(entries)}, saving(out, "predict", document)
    return Outcome(document, tables, notes, next=following, saves=saves)


def _sizing(known: Sequence[str], config: Mapping[str, Any]) -> str:
    """The task that sizes networks where none is named: the first of known ones, or one like the measured networks'."""
    from gennas.tasks import sizing_task

    return known[0] if known else sizing_task((), tuple(config["latency_input_shape"])).name


def _without_predictor(space: Space) -> str:
    from gennas.part_files import pretrain_command

    return f"no predictor of space {space.name!r}: costs are exact. Train one: {pretrain_command('predictor', space)}"
