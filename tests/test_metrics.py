"""Metric, objective and constraint strings."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gennas.errors import GennasError, InvalidInputError, UnknownNameError
from gennas.metrics import _MEANT, KINDS, Constraint, Metric, Objective, parse_constraints

# Examples are quick, but the machine may be busy.
unhurried = settings(deadline=None)
PLACES = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    kind = draw(st.sampled_from([KINDS.get(name) for name in KINDS]))
    return Metric(kind, None if kind.scope == "arch" else draw(st.none() | PLACES))


@unhurried
@given(metrics())
def test_a_metric_reads_its_own_name(metric: Metric) -> None:
    assert Metric.parse(metric.name) == metric
    assert Metric.parse(f" {metric.name} ") == metric


@unhurried
@given(st.lists(metrics(), min_size=1, unique=True))
def test_an_objective_reads_its_own_text(parts: list[Metric]) -> None:
    objective = Objective(tuple(parts))
    assert Objective.parse(str(objective)) == objective


def test_the_most_of_what_is_usually_minimised() -> None:
    objective = Objective.parse("+macs_m, accuracy")
    assert [metric.kind.sign for metric in objective.metrics] == [1, 1]
    assert str(objective) == "+macs_m, accuracy"
    assert Objective.parse(str(objective)) == objective
    assert str(Objective.parse("+accuracy")) == "accuracy"


@unhurried
@given(metrics(), st.sampled_from(["<=", ">="]), st.integers(1, 1000).map(lambda i: i / 1000))
def test_a_constraint_reads_its_own_text(metric: Metric, relation: str, bound: float) -> None:
    constraint = Constraint.parse(f"{metric.name}{relation}{bound}")
    assert (constraint.metric, constraint.relation, constraint.bound) == (metric, relation, bound)
    assert Constraint.parse(str(constraint)) == constraint


@unhurried
@given(st.text(max_size=30))
def test_any_text_is_read_or_is_a_gennas_error(text: str) -> None:
    for parse in (Metric.parse, Objective.parse, Constraint.parse):
        with suppress(GennasError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not a valid metric"),
        ("accuracy@", "is not a valid metric"),
        ("accuracy @cifar10", "is not a valid metric"),
        ("params_m@cifar10", "depends on the arch alone; write 'params_m'"),
    ],
)
def test_malformed_metrics(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Metric.parse(text)
    assert words in str(caught.value)


def test_unknown_metric_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'latency_ms'"):
        Metric.parse("latency@pixel3")


@pytest.mark.parametrize(
    ("word", "metric"),
    [
        ("speed", "latency_ms"),
        ("FPS", "latency_ms"),
        ("flops", "macs_m"),
        ("memory", "peak_memory_mb"),
        ("acc", "accuracy"),
    ],
)
def test_a_word_that_is_spelled_otherwise_suggests_what_it_stands_for(word: str, metric: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown metric '{word}'. Did you mean '{metric}'. Known: accuracy, "):
        Metric.parse(word)
    assert set(_MEANT.values()) <= set(KINDS)
    assert not set(_MEANT) & set(KINDS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has an empty term"),
        ("accuracy,,params_m", "has an empty term"),
        ("-accuracy", "accuracy is maximised; write 'accuracy'"),
        ("accuracy, latency_ms@pixel3", "latency_ms is minimised; write '-latency_ms@pixel3'"),
        ("accuracy, accuracy", "names accuracy twice"),
        ("macs_m", "write '-macs_m', or '+macs_m' for the most of it"),
        ("-macs_m, +macs_m", "names macs_m twice"),
    ],
)
def test_malformed_objectives(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Objective.parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params_m", "is not a valid constraint; expected 'METRIC <= NUMBER'"),
        ("params_m = 3", "is not a valid constraint"),
        ("params_m < 3", "is not a valid constraint"),
        ("params_m <= three", "'three' is not a number"),
        ("params_m <= nan", "must be finite"),
        ("params_m <= inf", "must be finite"),
        ("accuracy >= 90", "accuracy is a fraction between 0 and 1"),
    ],
)
def test_malformed_constraints(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Constraint.parse(text)
    assert words in str(caught.value)


def test_places_are_filled_in() -> None:
    objective = Objective.parse("accuracy, -latency_ms, -params_m, -energy_mj@edgegpu").at("cifar10", "pixel3")
    assert str(objective) == "accuracy@cifar10, -latency_ms@pixel3, -params_m, -energy_mj@edgegpu"
    with pytest.raises(InvalidInputError, match="'latency_ms' needs a hardware: give `hardware`"):
        Objective.parse("-latency_ms").at("cifar10", None)
    with pytest.raises(InvalidInputError, match="'accuracy' needs a task"):
        Constraint.parse("accuracy >= 0.5").at(None, "pixel3")
    parsed = parse_constraints(["latency_ms<=10", "params_m <= 0.8"], "cifar10", "raspi4")
    assert [str(constraint) for constraint in parsed] == ["latency_ms@raspi4 <= 10", "params_m <= 0.8"]


def test_bounds_include_the_bound() -> None:
    assert Constraint.parse("params_m <= 1.5").holds(1.5)
    assert not Constraint.parse("params_m <= 1.5").holds(1.500001)
    assert Constraint.parse("accuracy >= 0.9").holds(0.9)
    assert not Constraint.parse("accuracy >= 0.9").holds(0.899)


def test_costs_are_known_as_such() -> None:
    assert Metric.parse("params_m").is_cost
    assert not Metric.parse("latency_ms@cpu").is_cost
