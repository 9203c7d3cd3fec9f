"""The surrogate of a problem: every metric by its own evaluations, and bounds on its scale."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import kendalltau
from surrogate_toys import ACCURACY, ARCHS, BOUND, LATENCY, SPACE, TASK, TWO, history_of

from gennas.problem import Problem
from gennas.search.inputs import Inputs
from gennas.search.metric_surrogate import PRIOR_ERROR
from gennas.search.prior_mean import Prior
from gennas.search.surrogate import ProblemSurrogate


def test_every_metric_is_predicted_from_its_own_values() -> None:
    surrogate = ProblemSurrogate.fit(TWO, Inputs(SPACE, TASK, TWO.metrics), history_of(TWO, 60))
    mean, std = surrogate.moments(surrogate.inputs.of(ARCHS[60:]))
    assert mean.shape == std.shape == (140, 2)
    # Scores are larger where a metric is better.
    assert kendalltau(mean[:, 0], ACCURACY[60:]).statistic > 0.5
    assert kendalltau(mean[:, 1], -LATENCY[60:]).statistic > 0.9
    assert kendalltau(mean[:, 0], -LATENCY[60:]).statistic < 0


def test_a_bound_is_one_on_scores() -> None:
    surrogate = ProblemSurrogate.fit(BOUND, Inputs(SPACE, TASK, BOUND.metrics), history_of(BOUND, 60))
    (bound,) = surrogate.bounds
    assert (bound.column, bound.side) == (1, 1.0)
    scores = surrogate.scales[1](LATENCY[:60])
    assert ((scores >= bound.score) == (LATENCY[:60] <= 60)).all()
    probability = bound.log_probability(*surrogate.moments(surrogate.inputs.of(ARCHS[60:]))).exp()
    assert probability[LATENCY[60:] < 40].min() > 0.5 > probability[LATENCY[60:] > 80].max()


def test_predicted_values_are_in_units_and_as_sure_as_they_say() -> None:
    surrogate = ProblemSurrogate.fit(TWO, Inputs(SPACE, TASK, TWO.metrics), history_of(TWO, 60))
    predicted = surrogate.predicted(surrogate.inputs.of(ARCHS[60:]))
    assert len(predicted) == 140
    for name, values in (("accuracy@cifar10", ACCURACY), ("latency_ms@cpu", LATENCY)):
        rows = np.array([(own[name].low, own[name].median, own[name].high) for own in predicted])
        assert (np.diff(rows) >= 0).all()
        assert kendalltau(rows[:, 1], values[60:]).statistic > 0.5
        inside = (rows[:, 0] <= values[60:]) & (values[60:] <= rows[:, 2])
        # The stated share is 90 %; of 140 archs that are no repetitions of each other it is roughly that.
        assert 0.75 < inside.mean() <= 1
    accuracies = [own["accuracy@cifar10"] for own in predicted]
    assert min(one.low for one in accuracies) >= 0
    assert max(one.high for one in accuracies) <= 1
    # Nothing is said of a metric of which no values differ.
    nothing = ProblemSurrogate.from_prior(TWO, Inputs(SPACE, TASK, TWO.metrics))
    assert nothing.predicted(nothing.inputs.of(ARCHS[:2])) == [{}, {}]


class Costs(Prior):
    """One function that is the same for every metric."""

    def of(self, archs: list, metric: object) -> np.ndarray:  # type: ignore[override, type-arg]
        return np.array([[SPACE.costs(arch, TASK)["macs_m"] / 50 - 1] for arch in archs])


def test_before_any_evaluation_a_prior_predicts() -> None:
    surrogate = ProblemSurrogate.from_prior(TWO, Inputs(SPACE, TASK, TWO.metrics, Costs()))
    points = surrogate.inputs.of(ARCHS[:20])
    mean, std = surrogate.moments(points)
    costs = torch.tensor(LATENCY[:20] / 50 - 1)
    # The first metric is maximised, the second minimised.
    torch.testing.assert_close(mean, torch.stack([costs, -costs], 1))
    assert (std == PRIOR_ERROR).all()
    assert surrogate.bounds == ()
    torch.testing.assert_close(surrogate.condition_on(points, mean + 1).moments(points)[0], mean)


class Told(Costs):
    """It tells what the latency will be, in milliseconds."""

    def score_of(self, metric: object, value: float) -> float | None:
        return value / 50 - 1


def test_how_surely_a_bound_holds_before_any_evaluation_depends_on_where_it_is_measured() -> None:
    stds = {}
    for target in ("cpu", "pixel3"):
        problem = Problem(SPACE, TASK, "accuracy", [f"latency_ms@{target} <= 60"])
        surrogate = ProblemSurrogate.from_prior(problem, Inputs(SPACE, TASK, problem.metrics, Told()))
        (bound,) = surrogate.bounds
        points = surrogate.inputs.of(ARCHS)
        assert ((bound.log_probability(*surrogate.moments(points)).exp().numpy() > 0.5) == (LATENCY < 60)).all()
        stds[target] = float(surrogate.moments(points)[1][0, 1])
    assert stds["cpu"] > 5 * stds["pixel3"]


def test_few_values_of_a_bounded_metric_say_less_than_its_prediction() -> None:
    problem = Problem(SPACE, TASK, "accuracy", ["latency_ms@pixel3 <= 60"])
    inputs = Inputs(SPACE, TASK, problem.metrics, Told())
    for count, is_learnt in ((5, False), (30, True)):
        surrogate = ProblemSurrogate.fit(problem, inputs, history_of(problem, count))
        assert (surrogate.scales[1] is not None) == is_learnt
        (bound,) = surrogate.bounds
        probability = bound.log_probability(*surrogate.moments(inputs.of(ARCHS[30:]))).exp().numpy()
        assert ((probability > 0.5) == (LATENCY[30:] <= 60)).mean() > 0.9
