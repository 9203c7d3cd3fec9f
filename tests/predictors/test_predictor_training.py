"""Training a predictor: it learns, its intervals cover, and training and test archs are disjoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kendalltau, spearmanr
from toys import StubPredictor, Twins, drawn, mixed, partly_masked

from gennas.diffusion.guides.predicted import ConstraintGuide, ScoreSource
from gennas.errors import InvalidInputError, StudyError
from gennas.graph import GraphBatch, decisions_of
from gennas.metrics import Constraint
from gennas.predictors import load_predictor, teacher
from gennas.predictors import training as module
from gennas.predictors.features import NUM_DESCRIPTORS
from gennas.predictors.gnn import GNNPredictor
from gennas.predictors.labels import Labels
from gennas.predictors.normal_scores import REACH
from gennas.predictors.quality import Z90, quality
from gennas.predictors.settings import PredictorTraining
from gennas.predictors.training import (
    PredictorModule,
    SoftTargets,
    calibrate,
    distillation_targets,
    drawn_archs,
    few_label_training,
    fit_predictor,
    train_predictor,
)
from gennas.spaces import Space, get_space
from gennas.tables import Table
from gennas.tasks import sizing_task

NB201 = get_space("nasbench201")
#: Without distillation, which is tested separately.
QUICK = PredictorTraining(steps=60, batch_size=64, learning_rate=1e-2, width=16, layers=2, members=1, few=0)


@pytest.fixture(scope="module")
def labels(tiny_table: Table) -> Labels:
    return Labels.of(NB201, replace(tiny_table, frame=tiny_table.frame.iloc[:600]))


def test_labels_leave_test_accuracies_out(tiny_table: Table) -> None:
    frame = tiny_table.frame.iloc[:20].rename(columns={"accuracy@cifar100": "test_accuracy@cifar100"})
    labels = Labels.of(NB201, replace(tiny_table, frame=frame))
    assert labels.metrics == ("accuracy@cifar10", "accuracy@imagenet16-120", "latency_ms@cpu")
    assert labels.values.shape == (20, 3)
    assert [arch.key for arch in labels.graphs.to_archs(NB201)] == list(frame.index)
    assert np.array_equal(labels.values, frame[list(labels.metrics)].to_numpy())


def test_a_split_is_disjoint_complete_and_trains_on_complete_rows(labels: Labels) -> None:
    values = labels.values.copy()
    values[::2, 3] = np.nan
    holed = replace(labels, values=values)
    rows, others = holed.split(100, seed=0)
    assert len(rows) == len(set(rows)) == 100
    assert not set(rows) & set(others)
    assert set(rows) | set(others) == set(range(600))
    assert not np.isnan(values[rows]).any()
    assert np.array_equal(holed.split(100, seed=0)[0], rows)
    assert not np.array_equal(holed.split(100, seed=1)[0], rows)
    for count in (9, 301):
        with pytest.raises(InvalidInputError, match=f"{count} labels requested; expected 10 to 300"):
            holed.split(count, seed=0)


def test_sparse_metrics_do_not_restrict_training_archs(labels: Labels) -> None:
    values = labels.values.copy()
    values[50:, 3] = np.nan
    rows, _ = replace(labels, values=values).split(400, seed=0)
    assert len(rows) == 400
    values[:, 2] = np.nan
    values[:59, 2] = 1.0
    assert len(replace(labels, values=values).split(600, seed=0)[0]) == 600
    values[59, 2] = 1.0
    with pytest.raises(InvalidInputError, match="expected 10 to 60"):
        replace(labels, values=values).split(61, seed=0)


def test_training_lowers_the_loss_and_ranks_unseen_cells(
    labels: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    original = PredictorModule.training_step

    def training_step(self: PredictorModule, batch: Any, batch_idx: int) -> Any:
        loss = original(self, batch, batch_idx)
        losses.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(PredictorModule, "training_step", training_step)
    rows, others = labels.split(300, seed=0)
    predictor = fit_predictor(NB201, labels, rows, QUICK, seed=0, folder=tmp_path)
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.1
    assert predictor.metrics == labels.metrics
    assert not predictor.training
    measured = quality(predictor, labels, others)
    assert measured["latency_ms@cpu"]["spearman"] > 0.6
    assert measured["accuracy@cifar10"]["spearman"] > 0.6
    assert {values["archs"] for values in measured.values()} == {300}
    again = fit_predictor(NB201, labels, rows, QUICK, seed=0, folder=tmp_path)
    graph = labels.graphs[torch.from_numpy(others)]
    assert torch.equal(predictor.predict(graph)[0], again.predict(graph)[0])


def test_intervals_of_the_tiny_predictor_cover_held_rows(tiny_checkpoint: Path) -> None:
    held = json.loads((tiny_checkpoint / "predictor" / "metrics.json").read_text())["held_out"]
    assert held["labels"] == 1000
    for values in held["metrics"].values():
        assert values["archs"] == 2000
        assert 0.82 <= values["coverage90"] <= 0.97
        assert values["kendall_tau"] > 0.6


def test_masked_graphs_are_predicted_as_their_completions(tiny_checkpoint: Path, tiny_table: Table) -> None:
    predictor, _ = load_predictor(tiny_checkpoint)
    graph = GraphBatch.undecided_batch(NB201.template, 1)
    mean, std = predictor.score(graph)
    # Over the whole space a normal score has mean 0 and std 1.
    assert mean.abs().max() < 0.35
    assert (std - 1).abs().max() < 0.6
    whole = GraphBatch.from_archs(drawn(NB201, 200), NB201.template)
    assert (predictor.score(whole)[1].mean(0) < std[0]).all()
    assert (predictor.noise() < std[0]).all()
    # Deciding a good operation raises the mean score, deciding nothing at all lowers it.
    slot = torch.tensor([[5]])
    convolution, nothing = (torch.tensor([[NB201.template.vocabulary.index(op)]]) for op in ("nor_conv_3x3", "none"))
    accuracy = predictor.metrics.index("accuracy@cifar10")
    better, worse = (predictor.score(graph.decide(slot, op))[0][0, accuracy] for op in (convolution, nothing))
    assert better > worse


def test_choices_are_scored_as_the_graphs_they_make(tiny_checkpoint: Path) -> None:
    predictor, _ = load_predictor(tiny_checkpoint)
    check_choice_head(predictor, NB201, 0.9)


def check_choice_head(predictor: GNNPredictor, space: Space, least: float) -> None:
    """What is foreseen of every masked decision against the score of the graph that it makes."""
    graph = partly_masked(space, 300, seed=5)
    graph = graph[graph.masked_decisions().any(1)]
    decisions = graph.masked_decisions().long().argmax(dim=1, keepdim=True)
    allowed = decisions_of(space.template).allowed
    with torch.inference_mode():
        foreseen = predictor.score_choices(graph, decisions)[0][:, 1:]
        at, choice = allowed[decisions[:, 0]].nonzero(as_tuple=True)
        made = predictor.score(graph[at].decide(decisions[at], choice[:, None]))[0]
    for metric in range(len(predictor.metrics)):
        found = np.corrcoef(foreseen[at, choice, metric].numpy(), made[:, metric].numpy())[0, 1]
        assert found > least, predictor.metrics[metric]


@pytest.mark.parametrize(("space", "steps"), [(mixed(), 200), (Twins(), 600)], ids=["mixed", "twins"])
def test_the_choice_head_learns_with_the_rest(space: Space, steps: int, tmp_path: Path) -> None:
    archs = drawn(space, 400)
    graphs = GraphBatch.from_archs(archs, space.template)
    stub = StubPredictor(("latency_ms@cpu", "accuracy@cifar10"))
    values = stub.predict(graphs)[0].numpy()
    if isinstance(space, Twins):  # the same whichever slot it is
        values = np.stack([[len(arch.edges) + 3.0 * arch.ops.count("q"), len(arch.edges)] for arch in archs])
    labels = Labels(stub.metrics, graphs, values + np.random.default_rng(0).normal(size=values.shape) / 100)
    predictor = fit_predictor(space, labels, np.arange(400), replace(QUICK, steps=steps), seed=0, folder=tmp_path)
    check_choice_head(predictor, space, 0.9)


def test_interchangeable_slots_are_permuted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Twins()
    arch = space.arch(("in", "p", "q", "out"), [(0, 1), (1, 3), (2, 3)])
    seen: list[str] = []
    original = GNNPredictor.member_scores

    def noted(self: GNNPredictor, graph: GraphBatch, decisions: torch.Tensor, choices: torch.Tensor) -> Any:
        ops = graph.ops[:, 1:3].tolist()
        seen.extend("".join("?pq"[max(op, 0)] for op in row) for row in ops)
        return original(self, graph, decisions, choices)

    monkeypatch.setattr(GNNPredictor, "member_scores", noted)
    graphs = GraphBatch.from_archs([arch] * 20, space.template)
    labels = Labels(("latency_ms@cpu",), graphs, np.linspace(1, 2, 20)[:, None])
    fit_predictor(space, labels, np.arange(20), replace(QUICK, steps=5), seed=0, folder=tmp_path)
    assert seen.count("pq") > 50
    assert seen.count("qp") > 50
    assert not {"pp", "qq"} & set(seen)


def test_a_step_learns_from_choices_that_were_made(labels: Labels, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[GraphBatch, torch.Tensor, torch.Tensor]] = []
    original = GNNPredictor.member_scores

    def noted(self: GNNPredictor, graph: GraphBatch, decisions: torch.Tensor, choices: torch.Tensor) -> Any:
        asked.append((graph, decisions, choices))
        return original(self, graph, decisions, choices)

    monkeypatch.setattr(GNNPredictor, "member_scores", noted)
    predictor = GNNPredictor(NB201.template, labels.metrics, width=8, layers=1, members=1, described=2)
    mean = torch.cat([predictor.scores.fit(labels.values), torch.randn(600, 2)], dim=1)
    task = PredictorModule(NB201, predictor, SoftTargets(labels.graphs, mean, torch.zeros_like(mean)), QUICK)
    rows = torch.arange(64)
    loss = task.training_step([rows], 0)
    assert loss.isfinite()
    ((graph, decisions, choices),) = asked
    whole = labels.graphs[rows].choices()
    assert choices.shape == (*decisions.shape, 1)
    assert torch.equal(whole.gather(1, decisions), choices[..., 0]), "the arch it was made from"
    masked = graph.masked_decisions()
    assert torch.equal(graph.choices()[~masked], whole[~masked])
    # As many masked decisions as there are, up to trained_choices, come first.
    count = masked.sum(1).clamp_max(predictor.trained_choices)
    assert torch.equal(masked.gather(1, decisions).sum(1), count)
    assert 0.2 < float((masked.sum(1) == 0).float().mean()) < 0.9
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in predictor.parameters() if parameter.grad is not None)
    assert predictor.members[0].then.choice.weight.grad.abs().max() > 0  # type: ignore[union-attr]


def test_calibration_scales_the_std_to_cover_nine_of_ten() -> None:
    space = mixed()
    torch.manual_seed(0)
    predictor = GNNPredictor(space.template, ("latency_ms@cpu", "accuracy@cifar10"), width=8, layers=1, members=1)
    stub = StubPredictor(predictor.metrics)
    predictor.scores.load_state_dict(stub.scores.state_dict())
    graphs = GraphBatch.from_archs(drawn(space, 2000), space.template)
    rng = np.random.default_rng(0)
    mean, std = (part.detach().numpy() for part in predictor.score(graphs))
    # The truth errs 0.3 and 1.7 times as far as the predictor believes; units are 2 * score + 20.
    errors = rng.normal(size=mean.shape) * std * np.array([0.3, 1.7])
    values = 2 * (mean + errors) + 20
    values[::5, 0] = np.nan
    calibrate(predictor, graphs, values)
    assert predictor.spread_scale.tolist() == pytest.approx([0.3, 1.7], rel=0.05)
    held = quality(predictor, Labels(predictor.metrics, graphs, values), np.arange(2000))
    assert all(entry["coverage90"] == pytest.approx(0.9, abs=0.01) for entry in held.values())
    assert held["latency_ms@cpu"]["archs"] == 1600
    assert torch.allclose(predictor.noise(), predictor.score(graphs)[1].detach().median(0).values)


METRICS = ("latency_ms@cpu", "accuracy@cifar10")


class Known(GNNPredictor):
    """Foresees what a stub says; of whole graphs it believes to err ``whole`` far, of masked ones by what is open."""

    def __init__(self, whole: float = 0.2) -> None:
        super().__init__(mixed().template, METRICS, width=8, layers=1, members=1)
        self.stub, self.whole = StubPredictor(METRICS), whole
        self.scores.load_state_dict(self.stub.scores.state_dict())

    def member_scores(
        self, graph: GraphBatch, decisions: torch.Tensor, choices: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self.stub.score(graph)[0][None, :, None]
        open_decisions = graph.masked_decisions().sum(1)
        std = torch.where(open_decisions > 0, 0.1 * open_decisions, self.whole)
        return mean, std.square()[None, :, None, None].expand_as(mean)


def jumping(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(size=shape) * 0.05 + np.where(rng.random(shape) < 0.3, 0.6, -0.1)


def gaussian(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(size=shape) * 0.2


def measured(count: int, seed: int, errors: Any = gaussian) -> tuple[GraphBatch, np.ndarray]:
    """Archs, and values that differ from what a stub says; units are 2 * score + 20."""
    graphs = GraphBatch.from_archs(drawn(mixed(), count, seed), mixed().template)
    score = StubPredictor(METRICS).score(graphs)[0].numpy()
    return graphs, 2 * (score + errors(np.random.default_rng(seed), score.shape)) + 20


def covered(predictor: GNNPredictor, graphs: GraphBatch, values: np.ndarray) -> list[float]:
    """Per metric, the share of values within a 90 % interval; of those that are known."""
    with torch.inference_mode():
        mean, std = (part.numpy() for part in predictor.score(graphs))
    inside = np.abs((values - 20) / 2 - mean) <= Z90 * std
    return [float(column[~np.isnan(truth)].mean()) for column, truth in zip(inside.T, values.T, strict=True)]


def masked_somewhere(graphs: GraphBatch, seed: int) -> GraphBatch:
    """Any share of the decisions masked, and one more: what is asked of calibration, drawn afresh."""
    rng, count = torch.Generator().manual_seed(seed), graphs.template.decisions
    masked = torch.rand(len(graphs), count, generator=rng) < torch.rand(len(graphs), 1, generator=rng)
    return graphs.with_mask(masked.scatter(1, torch.randint(count, (len(graphs), 1), generator=rng), True))


@pytest.mark.parametrize("errors", [gaussian, jumping])
@pytest.mark.parametrize("whole", [0.2, 0.02, 2.0])
def test_whole_and_masked_graphs_are_each_covered(errors: Any, whole: float) -> None:
    predictor = Known(whole)
    calibrate(predictor, *measured(2000, 0, errors))
    graphs, values = measured(2000, 1, errors)
    assert covered(predictor, graphs, values) == pytest.approx([0.9, 0.9], abs=0.03)
    assert covered(predictor, masked_somewhere(graphs, 0), values) == pytest.approx([0.9, 0.9], abs=0.03)


def test_masked_and_decided_graphs_are_calibrated_separately() -> None:
    predictors = [Known(whole) for whole in (0.2, 0.02)]
    for predictor in predictors:
        calibrate(predictor, *measured(2000, 0))
    sound, overconfident = predictors
    assert sound.spread_scale.tolist() == pytest.approx([1.0, 1.0], rel=0.08)
    assert overconfident.spread_scale.tolist() == pytest.approx([10.0, 10.0], rel=0.08)
    assert torch.equal(sound.masked_scale, overconfident.masked_scale)
    # However far off, what is believed afterwards is the same.
    assert torch.allclose(sound.noise(), overconfident.noise(), rtol=1e-4)
    assert sound.noise().tolist() == pytest.approx([0.2, 0.2], rel=0.08)
    assert torch.allclose(sound.residuals.quantiles, overconfident.residuals.quantiles, atol=1e-3)


def test_unknown_values_are_ignored() -> None:
    graphs, values = measured(2000, 0)
    holed = values.copy()
    holed[::3, 0] = np.nan
    whole, part, rest = Known(), Known(), Known()
    calibrate(whole, graphs, values)
    calibrate(part, graphs, holed)
    fresh, truth = measured(2000, 1)
    for graph in (fresh, masked_somewhere(fresh, 0)):
        assert covered(part, graph, truth) == pytest.approx([0.9, 0.9], abs=0.03)
    for name in ("spread_scale", "masked_scale"):
        assert getattr(part, name)[1] == getattr(whole, name)[1]
        assert getattr(part, name).isfinite().all()
    assert torch.equal(part.residuals.quantiles[1], whole.residuals.quantiles[1])
    assert part.residuals.quantiles.isfinite().all()
    # They are as if they were not there.
    known = np.flatnonzero(~np.isnan(holed[:, 0]))
    calibrate(rest, graphs[torch.from_numpy(known)], holed[known])
    assert torch.equal(part.spread_scale[0], rest.spread_scale[0])
    assert torch.equal(part.residuals.quantiles[0], rest.residuals.quantiles[0])


@pytest.mark.parametrize("known", [0, 9])
def test_too_few_known_values_leave_a_metric_alone(known: int) -> None:
    graphs, values = measured(400, 0)
    values[known:, 0] = np.nan
    predictor, untouched = Known(whole=0.02), Known()
    calibrate(predictor, graphs, values)
    assert predictor.spread_scale[0] == predictor.masked_scale[0] == 1.0
    assert torch.equal(predictor.residuals.quantiles[0], untouched.residuals.quantiles[0])
    assert torch.equal(predictor.residuals.edges[0], untouched.residuals.edges[0])
    assert predictor.spread_scale[1] == pytest.approx(10, rel=0.15)
    assert predictor.residuals.edges[1].isfinite().sum() == 3
    assert predictor.noise().tolist() == pytest.approx([0.02, 0.2], rel=0.15)


def test_ten_known_values_are_enough_for_a_scale_but_not_for_errors() -> None:
    graphs, values = measured(10, 0)
    predictor, untouched = Known(whole=0.02), Known()
    calibrate(predictor, graphs, values)
    assert (predictor.spread_scale > 4).all()
    assert (predictor.masked_scale != 1).all()
    assert torch.equal(predictor.residuals.quantiles, untouched.residuals.quantiles)


def test_bounds_on_whole_graphs_hold_as_often_as_the_guide_says() -> None:
    predictor = Known().eval()
    calibrate(predictor, *measured(4000, 0, jumping))
    graphs, values = measured(4000, 1, jumping)
    source = ScoreSource(predictor, {METRICS[0]: METRICS[:1]})
    mean = predictor.score(graphs)[0][:, 0].numpy()
    claimed, holds, margin = [], [], []
    for bound in np.arange(20.5, 24.0, 0.25):
        guide = ConstraintGuide(source, Constraint.parse(f"{METRICS[0]} <= {bound}"))
        claimed.append(guide.log_values(graphs, torch.arange(4000)).exp().numpy())
        holds.append(values[:, 0] <= bound)
        margin.append((bound - 20) / 2 - mean)
        assert claimed[-1].mean() == pytest.approx(holds[-1].mean(), abs=0.03)
    for low, high in ((-0.25, -0.1), (-0.1, 0.05), (0.05, 0.4), (0.4, 0.8)):
        # Between the two jumps, and where one of them is in doubt.
        near = (np.stack(margin) > low) & (np.stack(margin) < high)
        assert near.sum() > 1000
        assert np.stack(claimed)[near].mean() == pytest.approx(np.stack(holds)[near].mean(), abs=0.03)


def test_whole_and_masked_graphs_of_a_trained_predictor_are_covered(labels: Labels, tmp_path: Path) -> None:
    rows, others = labels.split(400, seed=0)
    predictor = fit_predictor(NB201, labels, rows, replace(QUICK, calibration_share=0.5), seed=0, folder=tmp_path)
    truth = np.array(
        [[predictor.scores.score_of(m, value) for m, value in enumerate(row)] for row in labels.values[others]]
    ).clip(-REACH, REACH)
    graphs = labels.graphs[torch.from_numpy(others)]
    partly = masked_somewhere(graphs[torch.arange(len(graphs)).repeat(4)], 0)
    for graph, values in ((graphs, truth), (partly, np.tile(truth, (4, 1)))):
        found = covered(predictor, graph, 2 * values + 20)
        assert found == pytest.approx([0.9] * len(labels.metrics), abs=0.08)


@pytest.fixture(scope="module")
def cells() -> tuple[np.ndarray, np.ndarray]:
    return NB201.enumerate_graphs()


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch, cells: tuple[np.ndarray, np.ndarray]) -> None:
    """Distillation targets from smaller models and fewer archs; cells are enumerated once."""
    monkeypatch.setattr(type(NB201), "enumerate_graphs", lambda space: cells)
    for where, name, value in ((module, "DISTILLED_ARCHS", 400), (teacher, "TREES", 20), (teacher, "STEPS", 8)):
        monkeypatch.setattr(where, name, value)


@pytest.fixture(scope="module")
def accuracies(labels: Labels) -> Labels:
    return Labels(labels.metrics[:1], labels.graphs, labels.values[:, :1])


@pytest.mark.usefixtures("_few")
def test_distillation_covers_labelled_archs_and_the_whole_space(accuracies: Labels) -> None:
    rows, _ = accuracies.split(60, seed=0)
    targets = distillation_targets(NB201, accuracies, rows, seed=0)
    assert len(targets.graphs) == 460
    assert targets.mean.shape == targets.std.shape == (460, 1 + NUM_DESCRIPTORS)
    assert torch.equal(targets.graphs.ops[:60], accuracies.graphs[torch.from_numpy(rows)].ops)
    assert len({arch.key for arch in targets.graphs[torch.arange(60, 460)].to_archs(NB201) if arch}) == 400
    # Labelled archs get nearly their own values, and uncertainty grows away from them.
    assert kendalltau(targets.mean[:60, 0], accuracies.values[rows, 0]).statistic > 0.8
    assert (targets.std[:, 0] > 0).all()
    assert (targets.std[:, 1:] == 0).all(), "of a description all is known"
    assert torch.allclose(targets.mean[:, 1:].std(0, correction=0), torch.ones(NUM_DESCRIPTORS), atol=1e-3)
    again, other = (distillation_targets(NB201, accuracies, rows, seed=seed) for seed in (0, 1))
    assert torch.equal(again.mean, targets.mean)
    assert not torch.equal(other.graphs.ops, targets.graphs.ops)


@pytest.mark.usefixtures("_few")
def test_every_metric_is_distilled_from_its_own_labels(labels: Labels) -> None:
    values = labels.values[:40].copy()
    values[::2, 2] = np.nan
    values[3:, 3] = np.nan
    some = Labels(labels.metrics, labels.graphs[torch.arange(40)], values)
    targets = distillation_targets(NB201, some, np.arange(40), seed=0)
    assert targets.mean.isfinite().all()
    assert targets.std.isfinite().all()
    # The first accuracy decides the task that sizes the costs among the features.
    for column in range(1, len(labels.metrics)):
        columns = [0, column]
        pair = Labels(tuple(labels.metrics[c] for c in columns), some.graphs, values[:, columns])
        alone = distillation_targets(NB201, pair, np.arange(40), seed=0)
        assert torch.equal(alone.mean[:, :2], targets.mean[:, columns])
        assert torch.equal(alone.std[:, :2], targets.std[:, columns])


@pytest.mark.usefixtures("_few")
def test_drawn_archs_are_distinct_valid_and_all_where_there_are_fewer() -> None:
    archs = drawn_archs(NB201, 50, seed=0)
    assert len(archs) == len(set(archs)) == 50
    assert drawn_archs(NB201, 50, seed=0) == archs
    assert drawn_archs(NB201, 50, seed=1) != archs
    assert len(drawn_archs(Twins(), 1000, seed=0)) == Twins.size
    # A space that cannot be enumerated is sampled.
    assert set(drawn_archs(mixed(), 1000, seed=0)) == set(mixed().enumerate())


def test_costs_are_those_of_the_first_known_task() -> None:
    assert sizing_task(("latency_ms@cpu", "accuracy@mine", "accuracy@cifar100", "accuracy@cifar10")).name == "cifar100"
    assert sizing_task(("latency_ms@cpu",)).name == "cifar10"
    assert sizing_task(("latency_ms@cpu",), (3, 224, 224)).name == "imagenet"


@pytest.mark.usefixtures("_few")
def test_few_labels_rank_unseen_cells(accuracies: Labels, tmp_path: Path) -> None:
    rows, others = accuracies.split(60, seed=0)
    training = replace(QUICK, steps=150, few=61)
    predictor = fit_predictor(NB201, accuracies, rows, training, seed=0, folder=tmp_path)
    (measured,) = quality(predictor, accuracies, others).values()
    assert measured["kendall_tau"] > 0.4
    # Nothing was kept for calibration: the teacher says how sure it is, and the network says so of whole graphs.
    assert predictor.spread_scale.tolist() == predictor.masked_scale.tolist() == [1.0]
    assert 0 < float(predictor.noise()) < 1
    assert 0.6 < measured["coverage90"] <= 1


def test_with_enough_labels_nothing_is_distilled(
    accuracies: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noted(space: Space, labels: Labels, rows: np.ndarray, *, seed: int) -> SoftTargets:
        asked.append(len(rows))
        mean = torch.zeros(len(rows), 1 + NUM_DESCRIPTORS)
        return SoftTargets(labels.graphs[torch.from_numpy(rows)], mean, mean)

    monkeypatch.setattr(module, "distillation_targets", noted)
    for count, few in ((60, 60), (60, 61), (300, 271), (300, 270)):
        folder = tmp_path / f"{count} of {few}"
        fit_predictor(NB201, accuracies, np.arange(count), replace(QUICK, steps=2, few=few), seed=0, folder=folder)
    # A tenth of 300 is kept for calibration, nothing of 60.
    assert asked == [60, 270]


def test_quality_against_direct_computation() -> None:
    space = mixed()
    stub = StubPredictor(("latency_ms@cpu",))
    graphs = GraphBatch.from_archs(drawn(space, 40), space.template)
    mean, std = (part[:, 0].numpy() for part in stub.predict(graphs))
    truth = mean + np.random.default_rng(0).normal(size=40)
    truth[3] = np.nan
    (entry,) = quality(stub, Labels(stub.metrics, graphs, truth[:, None]), np.arange(40)).values()
    known = ~np.isnan(truth)
    assert entry["archs"] == 39
    assert entry["mean_absolute_error"] == pytest.approx(np.abs(truth - mean)[known].mean(), abs=1e-5)
    assert entry["spearman"] == pytest.approx(spearmanr(truth[known], mean[known]).statistic, abs=1e-4)
    assert entry["coverage90"] == pytest.approx((np.abs(truth - mean) <= Z90 * std)[known].mean(), abs=1e-4)


def test_the_checkpoint_s_configuration(tiny_checkpoint: Path, tiny_table: Table) -> None:
    predictor, config = load_predictor(tiny_checkpoint)
    assert config["space"] == "nasbench201"
    assert config["table"] == "tiny"
    assert config["skeleton"] == {"channels": 16, "cells": 5}
    assert config["latency_input_shape"] == [3, 32, 32]
    assert predictor.metrics == tiny_table.metrics()
    card = (tiny_checkpoint / "predictor" / "README.md").read_text()
    metrics = json.loads((tiny_checkpoint / "predictor" / "metrics.json").read_text())
    for name, values in metrics["held_out"]["metrics"].items():
        assert f"| `{name}` | {values['kendall_tau']:.3f} |" in card


def test_other_settings_are_refused_and_the_same_are_loaded(
    tiny_checkpoint: Path, tiny_table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fit", lambda *args, **options: pytest.fail("it is trained already"))
    config = json.loads((tiny_checkpoint / "predictor" / "config.json").read_text())
    same = PredictorTraining(**config["training"])
    loaded = train_predictor(NB201, tiny_table, same, held_out_labels=1000, curve_seeds=0, seed=0, out=tiny_checkpoint)
    assert loaded.metrics == tiny_table.metrics()
    with pytest.raises(StudyError, match="held_out_labels was 1000, is now 500"):
        train_predictor(NB201, tiny_table, same, held_out_labels=500, curve_seeds=0, seed=0, out=tiny_checkpoint)


def test_a_metric_that_was_never_measured_in_full_still_trains(labels: Labels, tmp_path: Path) -> None:
    values, hidden = labels.values.copy(), np.arange(600) % 3 > 0
    values[hidden, 3] = np.nan
    predictor = fit_predictor(
        NB201, replace(labels, values=values), np.arange(600), replace(QUICK, steps=40), seed=0, folder=tmp_path
    )
    mean, std = predictor.predict(labels.graphs)
    ranks = [kendalltau(mean[hidden, metric], labels.values[hidden, metric]).statistic for metric in range(4)]
    assert min(ranks) > 0.35, "archs without a latency are ranked by it, and by all others"
    assert (std > 0).all()


@pytest.mark.parametrize(
    ("present", "words"),
    [
        ([], "0 labels, all equal"),
        ([3.0], "1 label, all equal"),
        ([3.0, 4.0], "2 labels, not all equal"),
        ([3.0] * 100, "100 labels, all equal"),
    ],
)
@pytest.mark.parametrize("few", [0, 1000])
def test_a_metric_with_too_few_labels_is_refused(
    labels: Labels, tmp_path: Path, present: list[float], words: str, few: int
) -> None:
    values = labels.values.copy()
    values[:100, 3] = [*present, *[np.nan] * (100 - len(present))]
    lacking, training = replace(labels, values=values), replace(QUICK, few=few)
    with pytest.raises(InvalidInputError) as error:
        fit_predictor(NB201, lacking, np.arange(100), training, seed=0, folder=tmp_path)
    message = str(error.value)
    assert f"'latency_ms@cpu' has {words}, among the 100 training archs" in message
    assert "expected at least 3 different ones" in message
    assert f"the table has {500 + len(present)}" in message
    assert "Raise held_out_labels" in message
    assert not list(tmp_path.iterdir())
    # What is kept for calibration teaches nothing.
    values[:, 3] = np.nan
    values[:2, 3] = 1.0, 2.0
    with pytest.raises(InvalidInputError, match="among the 540 training archs"):
        fit_predictor(NB201, replace(labels, values=values), np.arange(600), training, seed=0, folder=tmp_path)


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.usefixtures("_few")
def test_three_labels_of_a_metric_are_enough(labels: Labels, tmp_path: Path, few: int) -> None:
    values = labels.values[:, 2:].copy()
    values[:100, 1] = [3.0, 4.0, 3.0, *[np.nan] * 97]
    some = Labels(labels.metrics[2:], labels.graphs, values)
    predictor = fit_predictor(NB201, some, np.arange(100), replace(QUICK, steps=40, few=few), seed=0, folder=tmp_path)
    mean, std = predictor.predict(labels.graphs)
    assert kendalltau(mean[100:, 0], some.values[100:, 0]).statistic > 0.2, "the other metric is ranked"
    # The real latencies are below 2.1.
    assert ((mean[:, 1] > 2.9) & (mean[:, 1] < 4.1)).all()
    assert (std > 0).all()


def test_settings_are_checked() -> None:
    for name in ("steps", "batch_size", "learning_rate", "width", "layers", "members"):
        with pytest.raises(InvalidInputError, match=f"training.{name} is 0; expected a positive number"):
            PredictorTraining(**{name: 0})
    for name in ("masked_share", "calibration_share"):
        with pytest.raises(InvalidInputError, match=f"{name} is 1.0; expected a number between 0 and 1"):
            PredictorTraining(**{name: 1.0})
    assert few_label_training(QUICK).width == QUICK.width


def test_rows_without_values_are_left_out(tiny_table: Table) -> None:
    frame = tiny_table.frame.iloc[:20].copy()
    frame.iloc[3:7] = np.nan
    frame.iloc[8, 0] = np.nan
    labels = Labels.of(NB201, replace(tiny_table, frame=frame))
    assert labels.values.shape == (16, 4)
    assert np.isnan(labels.values).sum() == 1
    assert [arch.key for arch in labels.graphs.to_archs(NB201)] == [*frame.index[:3], *frame.index[7:]]


def test_rows_of_a_table_are_archs_of_the_space() -> None:
    frame = pd.DataFrame({"accuracy@cifar10": [0.5]}, index=["|none~0|"])
    with pytest.raises(Exception, match="not a valid nasbench201 cell"):
        Labels.of(NB201, Table("bad", "nasbench201", frame, {}, (3, 32, 32)))


def test_a_dozen_archs_are_split_and_fewer_are_refused(tiny_table: Table) -> None:
    frame = tiny_table.frame.iloc[:, :1]
    few = Labels.of(NB201, replace(tiny_table, frame=frame.iloc[:12]))
    training, rest = few.split(None, seed=0)
    assert (len(training), len(rest)) == (10, 2)
    with pytest.raises(
        InvalidInputError, match="the table has 9 archs with all metrics; a predictor needs 10 at least"
    ):
        Labels.of(NB201, replace(tiny_table, frame=frame.iloc[:9])).split(None, seed=0)
