"""Metrics, objectives and constraints, and the strings that users write for them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import Any, Literal, get_args

from gennas.errors import GennasError, InvalidInputError, unknown
from gennas.registry import Registry

Direction = Literal["max", "min"]
Scope = Literal["task", "hardware", "arch"]


_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class MetricKind:
    """What a metric name means.

    Attributes:
        name: lower-case letters, digits and underscores, e.g. ``latency_ms``; by custom it ends with its unit.
        unit: of its values, e.g. ``ms``.
        direction: which values are better.
        scope: what its values depend on beside the arch, and what is named after ``@``: a task, a hardware, nothing.
        lower: no value lies below.
        upper: no value lies above.

    Raises:
        InvalidInputError: one of them is not what it should be.
    """

    name: str
    unit: str
    direction: Direction
    scope: Scope
    lower: float = -math.inf
    upper: float = math.inf

    def __post_init__(self) -> None:
        # "test_" in front of a metric's name stands for the values that nothing is chosen by.
        if not _NAME.fullmatch(self.name) or self.name.startswith("test_"):
            raise InvalidInputError(
                f"{self.name!r} cannot be the name of a metric; expected lower-case letters, digits and underscores, "
                "not beginning with 'test_', e.g. 'size_kb'."
            )
        if not self.unit.strip():
            raise InvalidInputError(f"metric {self.name!r} has unit {self.unit!r}; expected a word, e.g. 'ms'.")
        for what, value, words in (
            ("direction", self.direction, get_args(Direction)),
            ("scope", self.scope, get_args(Scope)),
        ):
            if value not in words:
                raise InvalidInputError(
                    f"metric {self.name!r} has {what} {value!r}; expected {' or '.join(map(repr, words))}."
                )
        if not self.lower < self.upper:
            raise InvalidInputError(
                f"metric {self.name!r} has values from {self.lower:g} to {self.upper:g}; expected lower < upper."
            )

    @property
    def sign(self) -> float:
        """The factor that makes larger values better."""
        return 1.0 if self.direction == "max" else -1.0

    def defect_of(self, value: float) -> str:
        """What is wrong with a value of this metric, in words; empty for a plausible one."""
        if math.isfinite(value) and self.lower <= value <= self.upper:
            return ""
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            defect = f"must be in [{self.lower:g}, {self.upper:g}] ({self.unit})"
            another = "per cent" if self.unit == "fraction" else "another unit"
            return f"{defect}; is it in {another}?" if math.isfinite(value) else defect
        limits = [f"at least {self.lower:g}"] if math.isfinite(self.lower) else []
        limits += [f"at most {self.upper:g}"] if math.isfinite(self.upper) else []
        return f"must be {' and '.join(['finite', *limits])} ({self.unit})"


KINDS: Registry[MetricKind] = Registry(
    "metric",
    {
        kind.name: kind
        for kind in (
            MetricKind("accuracy", "fraction", "max", "task", 0.0, 1.0),
            # The means of the classes' recalls, and of their F1 scores.
            MetricKind("balanced_accuracy", "fraction", "max", "task", 0.0, 1.0),
            MetricKind("macro_f1", "fraction", "max", "task", 0.0, 1.0),
            # On the validation images, of the network as it is quantised for a processor.
            MetricKind("accuracy_int8", "fraction", "max", "task", 0.0, 1.0),
            # Of values: the share of their variance that is predicted, and errors in their own units.
            MetricKind("r2", "fraction of variance", "max", "task", upper=1.0),
            MetricKind("mae", "mean absolute error", "min", "task", 0.0),
            MetricKind("rmse", "root mean squared error", "min", "task", 0.0),
            # Of several labels per image: the mean of the labels' average precisions, and F1 over all labels together.
            MetricKind("mean_average_precision", "fraction", "max", "task", 0.0, 1.0),
            MetricKind("micro_f1", "fraction", "max", "task", 0.0, 1.0),
            MetricKind("r2_int8", "fraction of variance", "max", "task", upper=1.0),
            MetricKind("mean_average_precision_int8", "fraction", "max", "task", 0.0, 1.0),
            MetricKind("ssim", "structural similarity", "max", "task", -1.0, 1.0),
            MetricKind("mse", "mean squared error", "min", "task", 0.0),
            # What is beyond 1 ns and 100 s is in another unit.
            MetricKind("latency_ms", "ms", "min", "hardware", 1e-6, 1e5),
            MetricKind("energy_mj", "mJ", "min", "hardware", 0.0),
            MetricKind("params_m", "million parameters", "min", "arch", 0.0),
            MetricKind("macs_m", "million multiply-adds", "min", "arch", 0.0),
            # Of the weights in float32, and of the activations of one image.
            MetricKind("size_mb", "MB", "min", "arch", 0.0),
            MetricKind("peak_memory_mb", "MB", "min", "arch", 0.0),
        )
    },
    group="gennas.metrics",
    expected="a gennas.metrics.MetricKind",
    accepts=lambda entry: isinstance(entry, MetricKind),
    how='gennas.metrics.register_metric(MetricKind("size_kb", "kB", "min", "arch"))',
)


def register_metric(kind: MetricKind) -> MetricKind:
    """Makes a metric known, so that objectives, bounds, evaluators and predictors may use its name.

    Raises:
        InvalidInputError: gennas has a metric of that name.
    """
    KINDS.register(kind.name, kind)
    return kind


def own_kinds(names: Iterable[str]) -> list[dict[str, Any]]:
    """Those kinds of some metrics that do not come with gennas, as a file keeps them; see :func:`kinds_known`."""
    kinds = dict.fromkeys(Metric.parse(name).kind for name in names)
    documents = [asdict(kind) for kind in kinds if kind.name in KINDS.own]
    # JSON has no infinities, which are the defaults.
    infinite = (math.inf, -math.inf)
    return [{name: value for name, value in one.items() if value not in infinite} for one in documents]


def kinds_known(documents: object) -> None:
    """Registers the kinds of metrics that a file keeps, unless one of that name is: a metric of the user's own is
    understood where the program that registered it is not at hand.

    Raises:
        InvalidInputError: a document of something else.
    """
    for document in documents if isinstance(documents, list) else ():
        try:
            kind = MetricKind(**document)
        except TypeError as error:
            raise InvalidInputError(f"{document!r} does not describe a metric: {error}.") from error
        if kind.name not in KINDS:
            register_metric(kind)


#: Costs that every space knows of its archs.
COST_METRICS = ("params_m", "macs_m")
#: Cost -> how it follows from another one: that times a factor. A weight in float32 takes 4 bytes.
DERIVED_COSTS = {"size_mb": ("params_m", 4.0)}

#: Words for what metrics measure -> the metric, where its name is spelled quite otherwise.
_MEANT = {
    **dict.fromkeys(("speed", "time", "fps", "throughput", "runtime", "inference_time", "ms"), "latency_ms"),
    **dict.fromkeys(("flops", "flops_m", "gflops", "mflops", "madds", "compute"), "macs_m"),
    **dict.fromkeys(("size", "weights", "disk"), "size_mb"),
    **dict.fromkeys(("memory", "ram", "ram_mb"), "peak_memory_mb"),
    **dict.fromkeys(("power", "battery"), "energy_mj"),
    **dict.fromkeys(("top1", "acc", "error"), "accuracy"),
    "map": "mean_average_precision",
}

_METRIC = re.compile(r"^([A-Za-z0-9_][A-Za-z0-9_-]*)(?:@(\S+))?$")
_CONSTRAINT = re.compile(r"^(\S+?)\s*(<=|>=)\s*(\S+)$")


@dataclass(frozen=True)
class Metric:
    """A measurable quantity, e.g. ``accuracy@cifar10`` or ``params_m``.

    Attributes:
        kind: name, unit and direction.
        target: the task or hardware it belongs to; None where the kind has none, or none was given yet.
    """

    kind: MetricKind
    target: str | None = None

    @property
    def name(self) -> str:
        return f"{self.kind.name}@{self.target}" if self.target else self.kind.name

    @property
    def is_cost(self) -> bool:
        """True for what is computed exactly from the arch, and never predicted."""
        return self.kind.name in COST_METRICS or self.kind.name in DERIVED_COSTS

    @classmethod
    def parse(cls, text: str) -> "Metric":
        """Reads ``name`` or ``name@target``.

        Raises:
            InvalidInputError: not of that form, or a target where the metric has none.
            UnknownNameError: no metric of that name; the nearest is suggested.
        """
        match = _METRIC.match(text.strip())
        if match is None:
            raise InvalidInputError(
                f"{text!r} is not a valid metric; expected a name like 'accuracy@cifar10' or 'params_m'."
            )
        name, target = match.groups()
        if name not in KINDS and (meant := _MEANT.get(name.casefold())):
            raise unknown("metric", name, KINDS, meant=meant)
        kind = KINDS.registered(name)
        if target is not None and kind.scope == "arch":
            raise InvalidInputError(f"{text!r}: {kind.name} depends on the arch alone; write {kind.name!r}.")
        return cls(kind, target)

    def at(self, task: str | None, hardware: str | None) -> "Metric":
        """This metric with its target filled in from the chosen task or hardware where it had none.

        Raises:
            InvalidInputError: it needs a target and none was chosen.
        """
        if self.target is not None or self.kind.scope == "arch":
            return self
        target = task if self.kind.scope == "task" else hardware
        if target is None:
            raise InvalidInputError(
                f"{self.kind.name!r} needs a {self.kind.scope}: give `{self.kind.scope}`, or write "
                f"{self.kind.name}@NAME."
            )
        return replace(self, target=target)


def implausible(name: str, value: object) -> str:
    """What is wrong with a value that comes from outside, as ``NAME is VALUE; ...``; empty for a plausible one.

    Every value passes here wherever it enters: from evaluators, callers, files, databases and tables.

    Args:
        name: of a metric, with its target or without, also with ``test_`` before it. Where no such metric is registered
            here, e.g. in the study of a program that registers one, the value has to be finite.
        value: anything; only a finite number within the limits of the metric's kind is plausible.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return f"{name} is {value!r}; must be a number"
    try:
        number = float(value)
    except OverflowError:
        return f"{name} is too large; must be finite"
    try:
        defect = Metric.parse(name.removeprefix("test_")).kind.defect_of(number)
    except GennasError:
        defect = "" if math.isfinite(number) else "must be finite"
    return f"{name} is {number:g}; {defect}" if defect else ""


def first_implausible(values: Mapping[str, object]) -> str:
    """:func:`implausible` of the first of some values that is; empty where none is."""
    return next((defect for name, value in values.items() if (defect := implausible(name, value))), "")


@dataclass(frozen=True)
class Objective:
    """What to optimise: one or several metrics, each in its better direction unless the other one is asked for.

    ``Objective.parse("accuracy, -latency_ms@pixel3")`` maximises accuracy and minimises latency. ``+macs_m`` asks for
    the most of what is usually minimised, e.g. for the largest network within bounds on latencies. Without any metric,
    ``Objective.parse("none")``, no arch is better than another; a search refuses that, a generation does not.
    """

    metrics: tuple[Metric, ...]

    def __post_init__(self) -> None:
        # Also where two names were the same only once their targets were filled in.
        names = [metric.name for metric in self.metrics]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise InvalidInputError(
                f"the objective names {repeated[0]} twice; expected distinct metrics, e.g. 'accuracy, -latency_ms'."
            )

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Reads comma-separated metrics, or ``none``; a leading ``-`` marks one that is minimised.

        A leading ``+`` marks one that is maximised, also where smaller values are better.

        Raises:
            InvalidInputError: empty, a metric twice, or a sign against the metric's better direction.
        """
        metrics: list[Metric] = []
        for part in (part.strip() for part in text.split(",")) if text.strip() != "none" else ():
            if not part:
                raise InvalidInputError(f"objective {text!r} has an empty term; expected e.g. 'accuracy, -latency_ms'.")
            metric = Metric.parse(part[part[0] in "+-" :].strip())
            if part.startswith("+"):
                metric = replace(metric, kind=replace(metric.kind, direction="max"))
            elif part.startswith("-") != (metric.kind.direction == "min"):
                better = f"'-{metric.name}'" if metric.kind.direction == "min" else repr(metric.name)
                verb = "minimised" if metric.kind.direction == "min" else "maximised"
                other = f", or '+{metric.name}' for the most of it" if metric.kind.direction == "min" else ""
                raise InvalidInputError(f"objective {part!r}: {metric.kind.name} is {verb}; write {better}{other}.")
            if metric.name in (one.name for one in metrics):
                raise InvalidInputError(f"objective {text!r} names {metric.name} twice.")
            metrics.append(metric)
        return cls(tuple(metrics))

    def at(self, task: str | None, hardware: str | None) -> "Objective":
        """The objective with every target filled in; see :meth:`Metric.at`."""
        return Objective(tuple(metric.at(task, hardware) for metric in self.metrics))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks whose metrics are among it, in their order."""
        return tuple(dict.fromkeys(str(one.target) for one in self.metrics if one.kind.scope == "task" and one.target))

    def of_task(self, task: str) -> "Objective":
        """What of it counts for one task: its metrics, and those that are of no task."""
        return Objective(tuple(one for one in self.metrics if one.kind.scope != "task" or one.target == task))

    def first_of_tasks(self) -> "Objective":
        """The first metric of each task."""
        return Objective(tuple(self.of_task(task).of_all_tasks().metrics[0] for task in self.tasks))

    def of_all_tasks(self) -> "Objective":
        """The metrics of tasks alone: what archs that are good for all of them are good at."""
        return Objective(tuple(one for one in self.metrics if one.kind.scope == "task"))

    def __str__(self) -> str:
        return ", ".join(_sign_of(metric.kind) + metric.name for metric in self.metrics) or "none"


def _sign_of(kind: MetricKind) -> str:
    """What stands before a metric in an objective."""
    if kind.direction == "min":
        return "-"
    usual = KINDS.registered(kind.name) if kind.name in KINDS else kind
    return "" if usual.direction == "max" else "+"


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric, e.g. ``Constraint.parse("params_m <= 1.5")``."""

    metric: Metric
    relation: Literal["<=", ">="]
    bound: float

    @classmethod
    def parse(cls, text: str) -> "Constraint":
        """Reads ``metric <= number`` or ``metric >= number``.

        Raises:
            InvalidInputError: not of that form, or the number is not finite.
        """
        match = _CONSTRAINT.match(text.strip())
        expected = "expected 'METRIC <= NUMBER' or 'METRIC >= NUMBER', e.g. 'latency_ms@pixel3 <= 10'"
        if match is None:
            raise InvalidInputError(f"{text!r} is not a valid constraint; {expected}.")
        name, relation, number = match.groups()
        try:
            bound = float(number)
        except ValueError:
            raise InvalidInputError(f"{text!r}: {number!r} is not a number; {expected}.") from None
        if not math.isfinite(bound):
            raise InvalidInputError(f"{text!r}: the bound must be finite; {expected}.")
        metric = Metric.parse(name)
        if metric.kind.name == "accuracy" and not 0 <= bound <= 1:
            raise InvalidInputError(f"{text!r}: accuracy is a fraction between 0 and 1, e.g. 'accuracy >= 0.9'.")
        if math.isfinite(metric.kind.upper) and not metric.kind.lower <= bound <= metric.kind.upper:
            raise InvalidInputError(
                f"{text!r}: {metric.kind.name} lies between {metric.kind.lower:g} and {metric.kind.upper:g} "
                f"{metric.kind.unit}."
            )
        return cls(metric, "<=" if relation == "<=" else ">=", bound)

    def at(self, task: str | None, hardware: str | None) -> "Constraint":
        """The constraint with its metric's target filled in; see :meth:`Metric.at`."""
        return replace(self, metric=self.metric.at(task, hardware))

    def holds(self, value: float) -> bool:
        """Whether a value of the metric satisfies the bound."""
        return value <= self.bound if self.relation == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.metric.name} {self.relation} {self.bound:.12g}"


def parse_constraints(texts: Sequence[str], task: str | None, hardware: str | None) -> tuple[Constraint, ...]:
    """Reads several constraints and fills in their targets."""
    return tuple(Constraint.parse(text).at(task, hardware) for text in texts)
