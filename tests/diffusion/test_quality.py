"""Quality of a generator: each number against what can be counted by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import StubPredictor, Twins, drawn, mixed, templates, toy, uniform_log_probs

from gennas.arch import Arch
from gennas.diffusion import quality as module
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator, load_generator
from gennas.diffusion.guides.predicted import ScoreSource
from gennas.diffusion.quality import Graphs, distances, guided_quality, quality_table, unconditional_quality
from gennas.diffusion.settings import GeneratorTraining
from gennas.diffusion.training import training_archs
from gennas.graph import GraphBatch
from gennas.metrics import Metric
from gennas.spaces import Space, get_space
from gennas.spaces.template import Template

DISTANCES = ("operations", "in_degree", "out_degree", "depth", "paths")
NB201 = get_space("nasbench201")


class Sized(type(mixed())):  # type: ignore[misc]
    size = 48


class Never(Sized):
    def rule_problems(self, arch: Arch) -> list[str]:
        return ["nothing is valid"]


def untrained(space: Space) -> Generator:
    """A generator that draws every choice alike."""
    torch.manual_seed(0)
    generator = Generator(space, Denoiser(space.template, width=8, layers=1))
    generator.denoiser.log_probs = uniform_log_probs  # type: ignore[method-assign,assignment]
    generator._log_probs.function = uniform_log_probs
    return generator


def graphs_of(space: Space, archs: list[Arch]) -> Graphs:
    return Graphs(*space.arrays(archs))


def halves(space: Space) -> tuple[Graphs, Graphs]:
    archs = list(Sized().enumerate())
    return graphs_of(space, archs[::2]), graphs_of(space, archs[1::2])


@given(templates(), st.integers(0, 2**31))
def test_codes_are_equal_where_archs_are(template: Template, seed: int) -> None:
    space = toy(template)
    archs = drawn(space, 12, seed)
    graphs = graphs_of(space, archs)
    assert len(graphs) == 12
    code = [bytes(row) for row in graphs.codes(space)]
    for i in range(12):
        for j in range(12):
            assert (code[i] == code[j]) == (archs[i] == archs[j])
    ops, edges = graphs.take(np.array([3, 3, 0]))
    assert [bytes(row) for row in Graphs(ops, edges).codes(space)] == [code[3], code[3], code[0]]


def test_codes_of_two_numberings_are_equal() -> None:
    space = Twins()
    every = graphs_of(space, list(space.enumerate()))
    assert len(np.unique(every.codes(space))) == 36
    for seed in range(3):
        ops, edges = space.permuted(every.ops, every.edges, np.random.default_rng(seed))
        assert (Graphs(ops, edges).codes(space) == every.codes(space)).all()


def test_the_numbers_of_a_uniform_generator() -> None:
    space = Sized()
    training, held_out = halves(space)
    found = unconditional_quality(untrained(space), training, held_out, draws=2000)
    assert found["draws"] == 2000
    assert found["valid_rate"] == 1.0
    assert found["distinct"] == 48
    assert found["distinct_if_uniform"] == pytest.approx(48, abs=0.1)
    assert found["novel_rate"] == pytest.approx(0.5, abs=0.05)
    assert found["novel_if_uniform"] == 0.5
    assert found["bound_nats"] == pytest.approx(math.log(48), abs=4 * found["bound_nats_stderr"])
    assert 0 < found["bound_nats_stderr"] < 0.05
    assert found["log_archs_nats"] == pytest.approx(math.log(24), abs=1e-4)
    assert tuple(found["distances"]) == DISTANCES
    json.dumps(found, allow_nan=False)


def test_few_draws_from_many_archs() -> None:
    training, none = training_archs(NB201, GeneratorTraining(), 0)
    found = unconditional_quality(untrained(NB201), training, none, draws=1500)
    expected = 15_625 * (1 - (1 - 1 / 15_625) ** 1500)
    assert found["distinct_if_uniform"] == pytest.approx(expected, abs=0.06)
    assert found["distinct"] == pytest.approx(expected, abs=4 * math.sqrt(1500 - expected))
    assert found["novel_rate"] is found["novel_if_uniform"] is None
    assert found["log_archs_nats"] == pytest.approx(math.log(15_625), abs=1e-4)
    assert max(found["distances"].values()) < 0.08
    json.dumps(found, allow_nan=False)


def test_archs_with_several_numberings_are_counted_once() -> None:
    space = Twins()
    every = graphs_of(space, list(space.enumerate()))
    found = unconditional_quality(untrained(space), every, Graphs(every.ops[:0], every.edges[:0]), draws=1500)
    assert found["distinct"] == 36
    assert found["log_archs_nats"] is None, "a bound on a numbering is no bound on an arch"
    assert found["bound_nats"] == pytest.approx(math.log(64), abs=0.05)


def test_a_space_of_unknown_size() -> None:
    space = mixed()
    training, held_out = halves(space)
    found = unconditional_quality(untrained(space), training, held_out, draws=100)
    assert found["log_archs_nats"] is found["distinct_if_uniform"] is None
    assert found["novel_rate"] == pytest.approx(0.5, abs=0.2)


def test_the_seed_decides() -> None:
    training, held_out = halves(Sized())
    first, again, other = (
        unconditional_quality(untrained(Sized()), training, held_out, draws=50, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize("draws", [1, 2])
def test_even_one_draw_is_a_number(draws: int) -> None:
    training, held_out = halves(Sized())
    json.dumps(unconditional_quality(untrained(Sized()), training, held_out, draws=draws), allow_nan=False)


@pytest.mark.filterwarnings("error")
def test_a_generator_of_nothing_valid() -> None:
    training, held_out = halves(Never())
    found = unconditional_quality(untrained(Never()), training, held_out, draws=20)
    assert found["valid_rate"] == found["distinct"] == 0
    json.dumps(found, allow_nan=False)


@given(templates(), st.integers(0, 2**31))
def test_equal_sets_have_no_distance_and_all_are_between_0_and_1(template: Template, seed: int) -> None:
    space = toy(template)
    first, other = graphs_of(space, drawn(space, 9, seed)), graphs_of(space, drawn(space, 6, seed + 1))
    assert distances(space, first, first) == dict.fromkeys(DISTANCES, 0.0)
    shuffled = Graphs(*first.take(np.random.default_rng(seed).permutation(9)))
    assert distances(space, first, shuffled) == dict.fromkeys(DISTANCES, 0.0)
    twice = Graphs(*first.take(np.arange(18) % 9))
    assert distances(space, first, twice) == dict.fromkeys(DISTANCES, 0.0)
    there, back = distances(space, first, other), distances(space, other, first)
    assert there == back
    assert all(0 <= value <= 1 for value in there.values())


def statistics(space: Space, archs: list[Arch]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in module._statistics(space, graphs_of(space, archs))}


def test_statistics_by_hand() -> None:
    space = mixed()
    chain, full, empty = (space.arch("prs", edges) for edges in ([(0, 1), (1, 2)], [(0, 1), (0, 2), (1, 2)], []))
    found = statistics(space, [chain, full, empty])
    p, r = (space.template.vocabulary.index(op) for op in "pr")
    assert found["operations"] == [p, r] * 3
    assert found["in_degree"] == [0, 1, 1, 0, 1, 2, 0, 0, 0]
    assert found["out_degree"] == [1, 1, 0, 2, 1, 0, 0, 0, 0]
    assert found["depth"] == [2, 2, 0]
    assert found["paths"] == [1, 2, 0]
    # Half the archs differ, and of their degrees a third: 0, 1, 2 against 0, 0, 0 beside two equal chains.
    apart = distances(space, graphs_of(space, [chain, full]), graphs_of(space, [chain, empty]))
    assert apart == {"operations": 0, "in_degree": 0.3333, "out_degree": 0.3333, "depth": 0.5, "paths": 0.5}


def test_statistics_of_a_nasbench101_cell_by_hand() -> None:
    space = get_space("nasbench101")
    # input->1, input->2, 1->3, 1->output, 2->output, 3->output; two slots are absent.
    cell = space.parse("1100/011/01/1 conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu")
    found = statistics(space, [cell])
    assert sorted(found["in_degree"]) == [0, 1, 1, 1, 3]
    assert sorted(found["out_degree"]) == [0, 1, 1, 2, 2]
    assert found["depth"] == [3]
    assert found["paths"] == [3]


def test_absent_operations_are_not_there() -> None:
    # 1 and 2 are absent: what leads through them leads nowhere.
    nothing = NB201.arch(("input", *["none"] * 6, "output"))
    every = NB201.arch(("input", *["skip_connect"] * 6, "output"))
    direct = NB201.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    found = statistics(NB201, [nothing, every, direct])
    assert found["paths"] == [0, 4, 1]
    assert found["depth"] == [0, 4, 2]


def test_depth_begins_at_an_input() -> None:
    space = mixed()
    unfed = space.arch("prs", [(1, 2)])
    cut = NB201.parse("|none~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
    assert statistics(space, [unfed])["paths"] == statistics(NB201, [cut])["paths"] == [0]
    assert statistics(space, [unfed])["depth"] == [0], "no path from the input to the output has a length"
    assert statistics(NB201, [cut])["depth"] == [0]


@pytest.mark.parametrize("name", ["accuracy@cifar10", "latency_ms@cpu"])
def test_the_guided_curve(name: str) -> None:
    space, metric = mixed(), Metric.parse(name)
    predictor = StubPredictor([name])
    archs = list(space.enumerate())
    scores = predictor.score(GraphBatch.from_archs(archs, space.template))[0][:, 0].tolist()
    truth = {arch.key: 20 + 2 * score for arch, score in zip(archs, scores, strict=True)}
    source = ScoreSource(predictor, {name: [name]})
    curve = guided_quality(untrained(space), source, metric, [0.0, 2.0, 12.0], truth, draws=512)
    assert [point["strength"] for point in curve] == [0.0, 2.0, 12.0]
    free, some, strong = curve
    assert free["effective_share"] == free["valid_rate"] == 1
    assert free["distinct_rate"] == pytest.approx(48 / 512, abs=1e-4)
    assert free["predicted_score"] == pytest.approx(metric.kind.sign * np.mean(scores), abs=0.1)
    ranks = np.array([sum(metric.kind.sign * (other - score) <= 0 for other in scores) for score in scores]) / 48
    assert free["true_percentile"] == pytest.approx(100 * ranks.mean(), abs=5)
    assert free["predicted_score"] < some["predicted_score"] < strong["predicted_score"]
    assert free["true_percentile"] < some["true_percentile"] < strong["true_percentile"] <= 100
    best = max(metric.kind.sign * score for score in scores)
    assert strong["predicted_score"] == pytest.approx(best, abs=0.2)
    assert all(0 < point["effective_share"] <= 1 for point in curve)
    json.dumps(curve, allow_nan=False)


def test_the_best_is_the_hundredth_percentile_and_unknown_ones_do_not_count() -> None:
    space, name = mixed(), "latency_ms@cpu"
    source = ScoreSource(StubPredictor([name]), {name: [name]})
    best = space.arch("prs", [])
    others = {"elsewhere": 30.0, "nowhere": 40.0, "somewhere": 50.0}
    curve = guided_quality(untrained(space), source, Metric.parse(name), [1.0], others | {best.key: 1.0}, draws=128)
    assert curve[0]["true_percentile"] == 100
    curve = guided_quality(untrained(space), source, Metric.parse(name), [1.0], others | {best.key: 45.0}, draws=128)
    assert curve[0]["true_percentile"] == 50
    for truth in ({}, others):
        curve = guided_quality(untrained(space), source, Metric.parse(name), [1.0], truth, draws=64)
        assert curve[0]["true_percentile"] is None


def test_the_table_shows_what_was_measured(tiny_checkpoint: Path) -> None:
    metrics = json.loads((tiny_checkpoint / "generator" / "metrics.json").read_text())
    table = quality_table(metrics)
    lines = table.splitlines()
    assert lines[0] == "| measured on 10,000 draws | value | uniform draws |"
    assert f"| distinct archs | {metrics['distinct']} | {metrics['distinct_if_uniform']} |" in lines
    assert "| valid, before any rejection | 100.00% | 100 % |" in lines
    assert not any("held out" in line or "None" in line for line in lines), "what was not measured is not shown"
    assert all(line.count("|") == 4 for line in lines)
    without: dict[str, Any] = {**metrics, "log_archs_nats": None, "distinct_if_uniform": None}
    assert f"| distinct archs | {metrics['distinct']} |  |" in quality_table(without).splitlines()


def test_the_tiny_generator_draws_as_uniformly_as_it_learnt(tiny_checkpoint: Path) -> None:
    metrics = json.loads((tiny_checkpoint / "generator" / "metrics.json").read_text())
    assert set(metrics["distances"]) == set(DISTANCES)
    assert max(metrics["distances"].values()) < 0.06
    generator = load_generator(tiny_checkpoint)
    every = Graphs(*NB201.enumerate_graphs())
    again = unconditional_quality(generator, every, Graphs(every.ops[:0], every.edges[:0]), draws=500)
    assert again["bound_nats"] == pytest.approx(metrics["bound_nats"], abs=0.1)
