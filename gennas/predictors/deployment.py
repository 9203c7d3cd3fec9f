"""A predictor deployed for one task, one hardware and one network skeleton."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gennas.arch import Arch
from gennas.commands import command
from gennas.errors import InvalidInputError, unknown
from gennas.graph import GraphBatch
from gennas.hardware import store
from gennas.hardware.target import HardwareTarget
from gennas.metrics import COST_METRICS, Constraint, Metric, first_implausible
from gennas.part_files import pretrain_command
from gennas.predictors.absent import NoPredictor
from gennas.predictors.base import Predictor, mixture
from gennas.predictors.domain import Domain, domains_of
from gennas.predictors.latency_conditions import LatencyConditions, described, scaled_latency
from gennas.predictors.quality import Z90
from gennas.predictors.unpredicted import expect_known, expect_suited
from gennas.spaces import Space, space_option
from gennas.spaces.skeleton import skeleton_text
from gennas.tasks import Task

if TYPE_CHECKING:
    from gennas.hardware.profile import Hardware
    from gennas.predictors.meta.applied import AccuracyForecast
    from gennas.predictors.transfer import Evaluated

#: A predicted metric in results: mean and std, with the median and the ends of the 90 % interval where it was scaled
#: (``low``, ``high``); or the exact value of a cost.
Predicted = dict[str, dict[str, float] | float]
#: Archs that are predicted at once.
BATCH = 2048
#: Std, in logarithms, by which a latency on this machine may change from one time to another.
TIMING_STD = 0.1


class DeploymentPredictor:
    """Predicts the metrics of archs that are available for a task and a hardware.

    Accuracy on a task that the predictor was not trained on is the mean over its tasks: a prior for ranking archs,
    whose std includes the differences between tasks.

    Args:
        predictor: a trained predictor, whose latencies are those of the networks to deploy; see :func:`deploy`.
        space: the space, with the skeleton to deploy.
        task: the task to deploy for.
        hardware: name of the hardware to deploy on, if any.
        conditions: see the attribute.
        domains: see the attribute.
        recipe: see the attribute.

    Attributes:
        groups: metric name -> the predictor's metrics that it is the mean of.
        has_prior_only: whether the accuracy on the task is such a prior.
        notes: sentences for the user about these predictions.
        conditions: name of a latency that was not measured on these networks -> what that means, as a sentence.
        domains: metric of the predictor -> the archs and networks that it is known for, if these are not all.
        recipe: name of that by which networks are trained that reach the accuracy; empty where it is of no single one.

    Raises:
        UnknownNameError: no latency is predicted for the hardware.
    """

    def __init__(
        self,
        predictor: Predictor,
        space: Space,
        task: Task,
        hardware: str | None,
        conditions: Mapping[str, str] | None = None,
        domains: Mapping[str, Domain] | None = None,
        recipe: str = "",
    ) -> None:
        self.predictor, self.space, self.task, self.hardware, self.recipe = predictor, space, task, hardware, recipe
        self.domains = dict(domains or {})
        self.notes: list[str] = []
        self.conditions = dict(conditions or {})
        accuracy = f"accuracy@{task.name}"
        self.groups: dict[str, tuple[str, ...]] = {name: (name,) for name in predictor.metrics}
        tasks = predictor.targets("accuracy")
        # Accuracies of other tasks say nothing of values or labels.
        self.has_prior_only = accuracy not in self.groups and bool(tasks) and task.targets.score == "accuracy"
        if self.has_prior_only:
            self.groups[accuracy] = tuple(f"accuracy@{name}" for name in tasks)
            self.notes.append(
                f"the predictor was not trained on task {task.name!r}: {accuracy} is the mean over "
                f"{', '.join(tasks)}; use it for ranking, not as an estimate."
            )
        if hardware is not None:
            devices = predictor.places("hardware")
            if hardware not in devices:
                add = command("hardware", "bundle", hardware, out="bundle.zip", space=space_option(space))
                raise unknown("hardware", hardware, devices, f"To measure a device of yours: {add}")
        self.notes += self.conditions.values()

    def check(self, metric: Metric) -> None:
        """Checks that a metric is available.

        Raises:
            UnknownNameError: the metric is not predicted; the message lists those that are.
            InvalidInputError: nothing is predicted, as there is no predictor; no accuracies are; or nothing is known of
                the metric for the task, whose targets it may not even suit.
        """
        if metric.is_cost or metric.name in self.groups:
            return
        expect_suited(metric, self.task, self.groups)
        if not self.groups:
            raise InvalidInputError(
                f"{metric.name} cannot be predicted without a predictor of space {self.space.name!r}; `objective` can "
                "be none, -params_m or -macs_m without one, and `where` can bound these. Train one: "
                + pretrain_command("predictor", self.space)
            )
        targets, known = self.predictor.targets(metric.kind.name), [*self.groups, *COST_METRICS]
        if metric.kind.name == "accuracy" and not targets:
            raise InvalidInputError(
                f"{metric.name} is not predicted: the predictor of space {self.space.name!r} has learnt no accuracies. "
                f"It predicts {', '.join(known)}; `objective` can be any of these, such as +macs_m within bounds on "
                "the others."
            )
        expect_known(metric, self.task)
        if targets:
            raise unknown(metric.kind.scope, str(metric.target), targets, f"{metric.name!r} is not predicted.")
        raise unknown("predicted metric", metric.name, known)

    def check_constraint(self, constraint: Constraint) -> None:
        """Checks that a constraint can be predicted.

        Raises:
            UnknownNameError: its metric is not predicted.
            InvalidInputError: its metric is only a prior from other tasks.
        """
        self.check(constraint.metric)
        if self.has_prior_only and constraint.metric.name == f"accuracy@{self.task.name}":
            raise InvalidInputError(
                f"{str(constraint)!r} cannot be predicted: the predictor was not trained on task {self.task.name!r}, "
                "and the mean over other tasks ranks archs but does not estimate their accuracy. Use accuracy as the "
                "objective instead."
            )

    def domain(self, name: str) -> Domain:
        """The archs and networks that a metric is known for."""
        return next((self.domains[part] for part in self.groups.get(name, ()) if part in self.domains), Domain())

    def parts(self, metrics: Sequence[Metric]) -> dict[str, tuple[str, ...]]:
        """Metric name -> the predictor's metrics that it is the mean of; costs are left out."""
        return {metric.name: self.groups[metric.name] for metric in metrics if not metric.is_cost}

    def reported(self, more: Sequence[Metric] = ()) -> list[str]:
        """Names of the predicted metrics to report: those of the task and the hardware, and ``more``."""
        names = [f"accuracy@{self.task.name}"]
        names += [f"latency_ms@{self.hardware}"] if self.hardware else []
        # Metrics of the user's own are reported wherever they are known.
        own = {"task": self.task.name, "hardware": self.hardware, "arch": None}
        names += [one.name for one in map(Metric.parse, self.predictor.metrics) if one.target == own[one.kind.scope]]
        names += [metric.name for metric in more if not metric.is_cost]
        return [name for name in dict.fromkeys(names) if name in self.groups]

    @torch.inference_mode()
    def values(self, archs: Sequence[Arch], names: Sequence[str]) -> list[Predicted]:
        """For each arch, mean and std of the named metrics, and its exact costs.

        Of what :attr:`conditions` names there are also ``median``, ``low`` and ``high``, as of :meth:`interval`. A
        metric that is not known of an arch, or of networks with this skeleton, is left out (:meth:`domain`).

        Raises:
            InvalidInputError: the predictor, or the space's costs, give a value that the metric cannot have.
        """
        if not archs:
            return []
        graph = GraphBatch.from_archs(archs, self.space.template)
        columns: dict[str, tuple[Tensor, Tensor]] = {}
        if names:
            mean, std = self.predictor.predict(graph)
        for name in names:
            parts = [self.predictor.metrics.index(part) for part in self.groups[name]]
            columns[name] = mixture(mean[:, parts], std[:, parts])
        intervals = {name: self.interval(graph, name) for name in names if name in self.conditions}
        known = {name: self.domain(name).holds(self.space, archs) for name in names}
        found: list[Predicted] = []
        for row, arch in enumerate(archs):
            predicted = {
                name: {"mean": float(m[row]), "std": float(s[row])}
                for name, (m, s) in columns.items()
                if known[name][row]
            }
            for name, ends in intervals.items():
                if known[name][row]:
                    predicted[name] |= zip(("median", "low", "high"), ends[row].tolist(), strict=True)
            costs = self.space.costs(arch, self.task)
            moments = [(f"{part} of {name}", x) for name, value in predicted.items() for part, x in value.items()]
            defect = next((f"the {what} is {x}; must be finite" for what, x in moments if not math.isfinite(x)), "")
            if defect := defect or first_implausible(costs):
                raise InvalidInputError(f"predicted for {arch.key!r}: {defect}.")
            found.append({**predicted, **costs})
        return found

    @torch.inference_mode()
    def interval(self, graph: GraphBatch, name: str) -> Tensor:
        """``(N, 3)`` median, and lower and upper end of the 90 % interval, of one metric of ``N`` archs, in its unit.

        Of a latency that may be ten times as long or as short the mean says little: it is far above most of what is
        likely.
        """
        self.predictor.eval()
        (part,) = self.groups[name]
        column, ends = self.predictor.metrics.index(part), torch.tensor([0.0, -Z90, Z90])
        found = []
        for rows in torch.arange(len(graph)).split(BATCH):
            mean, std = self.predictor.score(graph[rows])
            scores = mean[:, column, None] + std[:, column, None] * ends.to(mean)
            found.append(self.predictor.scores.value_of(column, scores))
        return torch.cat(found)


def undeployed(space: Space, task: Task, hardware: str | None) -> DeploymentPredictor:
    """What takes the place of a predictor where there is none: it gives exact costs, and refuses everything else.

    Raises:
        InvalidInputError: a hardware is given, of which nothing is known.
    """
    if hardware is not None:
        raise InvalidInputError(
            f"is {hardware!r}, whose latency cannot be predicted without a predictor of space {space.name!r}. Train "
            f"one: {pretrain_command('predictor', space)}",
            argument="hardware",
        )
    return DeploymentPredictor(NoPredictor(), space, task, hardware)


def deploy(
    predictor: Predictor,
    config: Mapping[str, Any],
    space: Space,
    task: Task,
    hardware: str | None,
    *,
    targets: Iterable[str] = (),
    evaluated: Evaluated | None = None,
    here: Sequence[Hardware] = (),
    forecast: AccuracyForecast | None = None,
) -> tuple[DeploymentPredictor, tuple[str, ...]]:
    """A checkpoint's predictor for a task, a hardware and a skeleton, with all that the user knows about them.

    Latencies that were learnt from other networks (another image size, another skeleton) are scaled by multiply-adds,
    with an uncertainty that includes what this cannot know; those of ``here`` were measured on the very networks.

    Args:
        predictor: of the checkpoint.
        config: the predictor's configuration.
        space: with the skeleton to deploy.
        task: to deploy for.
        hardware: to deploy on, if any.
        targets: names of further hardware whose latency is wanted.
        evaluated: accuracies of some archs on the task, if any are known.
        here: networks of this deployment measured on this machine, once for each name that it has.
        forecast: of the accuracy on the task, from its images and from ``evaluated``; it takes the place of what other
            tasks say.

    Returns:
        The deployed predictor, and sentences on what it was adapted to.

    Raises:
        UnknownNameError: no latency is predicted for the hardware.
        InvalidInputError: the predictor does not support adaptation, and something has to be adapted; or accuracies on
            a task that has none.
    """
    from gennas.predictors.few_shot import adapt_hardware
    from gennas.predictors.transfer import with_observations

    if evaluated is not None:
        expect_accuracies(task)
    wanted = list(dict.fromkeys([*([hardware] if hardware else []), *targets]))
    notes: list[str] = []
    for measured in here:
        archs = [space.parse(key) for key in measured.keys]
        predictor, report = adapt_hardware(
            predictor, space, measured.name, archs, measured.latency_ms, doubt=TIMING_STD
        )
        notes.append(
            f"latency_ms@{measured.name} is predicted from {report.archs} networks of this task and skeleton, measured "
            f"on this machine ({measured.how['machine']}); median relative error {report.relative_error:.0%}."
        )
        if disturbed := [one.disturbance for one in measured.measurements if one.disturbance]:
            notes.append(
                f"{len(disturbed)} of them were measured while the machine was busy ({disturbed[0]}). Measure "
                "again when it is idle: `calibrate` again."
            )
    known_here = {measured.name for measured in here}
    for name in wanted:
        is_here = HardwareTarget.parse(name) is not None
        if is_here and name not in (*known_here, *predictor.targets("latency_ms"), *store.names(space.name)):
            raise InvalidInputError(
                f"latency_ms@{name} of this machine is not known. Measure ten networks for images, once: `calibrate` "
                f"once, or choose among {', '.join(predictor.targets('latency_ms')) or 'no other devices'}."
            )
    of_task = None if forecast is None else forecast.forecast
    predictor, adapted = with_observations(predictor, space, task.name, evaluated if of_task is None else None, wanted)
    domains = domains_of(config)
    for name in predictor.metrics:
        if name not in config["metrics"]:
            # What is adapted from other metrics of its kind is known where these are.
            kind = name.partition("@")[0]
            same = [domain for other, domain in domains.items() if other.startswith(f"{kind}@")]
            domains |= {name: same[0]} if same else {}
    conditions: dict[str, str] = {}
    for name in wanted:
        if name not in predictor.targets("latency_ms") or name in known_here:
            continue
        learnt = LatencyConditions.of_device(name, space, config)
        if not learnt.hold_for(space, task):
            predictor, conditions[f"latency_ms@{name}"] = _scaled(predictor, space, task, name, learnt)
        elif name == "cpu" and "latency_ms@cpu" in config["metrics"]:
            conditions["latency_ms@cpu"] = (
                "latency_ms@cpu was measured on another machine; use it for ranking, not as an estimate. Measure ten "
                "networks on this one, once: `calibrate` once."
            )
    if forecast is not None and of_task is not None:
        from gennas.predictors.meta.conditioned import ForecastPredictor

        predictor = ForecastPredictor(predictor, task.name, of_task).eval()
        conditions[f"accuracy@{task.name}"] = forecast.note
        notes += evaluated.notes if evaluated is not None else ()
    elif forecast is not None and forecast.note:
        notes.append(forecast.note)
    recipe = forecast.recipe if forecast is not None else ""
    return DeploymentPredictor(predictor, space, task, hardware, conditions, domains, recipe), (*notes, *adapted)


def expect_accuracies(task: Task) -> None:
    """Raises InvalidInputError for a task without accuracies, of which predictors learn nothing."""
    if task.targets.score != "accuracy":
        raise InvalidInputError(
            f"holds accuracies, but task {task.name!r} is a {task.targets.name} of "
            f"{task.targets.amount(task.num_classes)}; give archs that were evaluated to a search.",
            argument="evaluated",
        )


def _scaled(
    predictor: Predictor, space: Space, task: Task, name: str, learnt: LatencyConditions
) -> tuple[Predictor, str]:
    """The predictor with a latency scaled to other networks, and what to say about it."""
    asked = described(space.skeleton, task.input_shape)
    settings = skeleton_text(space.skeleton)
    # A folder of images is given by its path, and these and digits have any size.
    folder, size = getattr(task.source, "path", None), getattr(task.source, "size", None)
    add = command(
        "hardware",
        "add",
        "NAME",
        csv="FILE",
        space=space_option(space),
        task=folder or task.name,
        image_size=size or None,
        skeleton=settings,
    )
    advice = f"Measure some of these networks there: {add}"
    if name == "cpu":
        advice = "Measure ten of them on this machine, once: `calibrate` once."
    measured = f"latency_ms@{name} was measured on {learnt.text()}, and is asked for {asked}"
    try:
        scaled = scaled_latency(predictor, space, task, name, learnt)
    except InvalidInputError as error:
        raise InvalidInputError(f"{measured}: {error} {advice}") from error
    return scaled.predictor, (
        f"{measured} ({scaled.ratio:.3g} times the multiply-adds): it is scaled, and uncertain by a factor of "
        f"{scaled.factor:.2g} either way. {advice}"
    )
