"""Generation without a predictor, and without a generator: what is exact works all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from widths import Widths

from gennas.diffusion.generator import Generator
from gennas.diffusion.settings import GeneratorTraining
from gennas.diffusion.training import train_generator
from gennas.errors import InfeasibleError, InvalidInputError
from gennas.generation.pipeline import generate_archs
from gennas.generation.request import Generated, Request
from gennas.problem import Problem
from gennas.spaces import SPACES
from gennas.tasks import get_task
from gennas.testing import check_space

SPACE, TASK = Widths(), get_task("cifar10")
ALL = {arch.key: SPACE.costs(arch, TASK) for arch in SPACE.enumerate()}


class Unlisted(Widths):
    """Of unknown size, as large spaces are."""

    size = None


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SPACES, "_entries", dict(SPACES._entries))
    SPACES.register("widths", Widths)


@pytest.fixture(scope="module")
def generator_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("widths")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SPACES, "_entries", dict(SPACES._entries))
        train_generator(SPACE, GeneratorTraining(steps=60, batch_size=64, width=16, layers=1), seed=0, out=folder)
        yield folder


def run(checkpoint: Path | None, objective: str = "none", where: tuple[str, ...] = (), **options: object) -> Generated:
    problem = Problem(options.pop("space", SPACE), TASK, objective, where)  # type: ignore[arg-type]
    return generate_archs(Request(problem, **options), checkpoint=checkpoint)  # type: ignore[arg-type]


def test_the_space_of_these_tests_is_sound() -> None:
    check_space(SPACE)


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("space", [SPACE, Unlisted()], ids=["listed", "unlisted"])
def test_bounds_on_costs_hold_exactly_though_no_sum_gives_them(
    generator_only: Path, trained: bool, space: Widths
) -> None:
    bounds = ("params_m <= 0.004", "macs_m >= 2")
    result = run(generator_only if trained else None, where=bounds, n=20, space=space)
    kept = [key for key, costs in ALL.items() if costs["params_m"] <= 0.004 and costs["macs_m"] >= 2]
    assert 20 < len(kept) < 200, "the bounds exclude most"
    assert len(result.archs) == 20
    assert {arch.key for arch in result.archs} <= set(kept)
    assert [entry["params_m"] for entry in result.predicted] == [ALL[a.key]["params_m"] for a in result.archs]
    said = any("no generator of space 'widths'" in note for note in result.notes)
    assert said is not trained


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("space", [SPACE, Unlisted()], ids=["listed", "unlisted"])
def test_cost_objectives_find_the_cheapest(generator_only: Path, trained: bool, space: Widths) -> None:
    result = run(generator_only if trained else None, "-macs_m", ("params_m >= 0.002",), n=5, space=space)
    kept: list[float] = sorted(costs["macs_m"] for costs in ALL.values() if costs["params_m"] >= 0.002)
    found = [ALL[arch.key]["macs_m"] for arch in result.archs]
    assert found == sorted(found)
    assert found[0] <= kept[5], "one of the best five"
    assert max(found) <= np.quantile(kept, 0.05)


def test_what_is_drawn_without_an_objective_is_no_selection(generator_only: Path) -> None:
    keys = [arch.key for seed in range(10) for arch in run_seeded(seed)]
    counts = np.array([sum(key.split("-")[0] == width for key in keys) for width in ("4", "8", "16", "32")])
    assert counts.sum() == 1000
    assert np.abs(counts - 250).max() < 60, "uniform: four and a half standard deviations"


def run_seeded(seed: int) -> tuple[object, ...]:
    return generate_archs(Problem(SPACE, TASK, "none"), 100, seed=seed).archs


def test_parts_of_an_arch_are_kept_without_a_generator() -> None:
    fixed = run(None, n=30, fixed=SPACE.partial("4-?-?-?-32"))
    assert all(re.fullmatch(r"4-\d+-\d+-\d+-32", arch.key) for arch in fixed.archs)
    assert len(fixed.archs) == 30
    parent = SPACE.parse("4-8-16-8-4")
    near = run(None, n=10, mutate=parent, fraction=0.2)
    assert all(sum(a != b for a, b in zip(arch.ops, parent.ops, strict=True)) == 1 for arch in near.archs)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "accuracy"}, "accuracy@cifar10 cannot be predicted without a predictor of space 'widths'"),
        ({"where": ("accuracy >= 0.5",)}, "gennas pretrain predictor --space widths --table FILE"),
        ({"where": ("latency_ms@pixel3 <= 5",)}, "latency_ms@pixel3 cannot be predicted"),
    ],
)
def test_what_needs_a_predictor_says_so(options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        run(None, **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="whose latency cannot be predicted"):
        generate_archs(Problem(SPACE, TASK, "none", hardware="pixel3"))


@pytest.mark.parametrize(
    ("space", "task", "words"), [("nasbench201", "cora", "images"), ("nasbench_graph", "cifar10", "a graph")]
)
def test_a_task_that_does_not_suit_the_space_is_refused_before_anything_is_drawn(
    monkeypatch: pytest.MonkeyPatch, space: str, task: str, words: str
) -> None:
    monkeypatch.setattr(Generator, "sample", lambda *args, **options: pytest.fail("nothing is to be drawn"))
    with pytest.raises(InvalidInputError, match=f"space '{space}' needs {words}"):
        generate_archs(Problem(space, task, "none"), 2)


def test_bounds_that_nothing_keeps_are_explained() -> None:
    least = min(costs["params_m"] for costs in ALL.values())
    with pytest.raises(InfeasibleError, match=r"none of the 1,024 archs .*the best reachable params_m is") as caught:
        run(None, where=("params_m <= 0.0005",))
    assert f"{least:.4g}" in str(caught.value)
    with pytest.raises(InfeasibleError, match=r"sampled archs .*Train|train one: gennas pretrain generator"):
        run(None, where=("params_m <= 0.0005",), space=Unlisted())


def test_no_objective_with_a_checkpoint_that_has_everything(tiny_checkpoint: Path) -> None:
    result = generate_archs(Problem("nasbench201", TASK, "none", ["params_m <= 0.3"]), 5, checkpoint=tiny_checkpoint)
    assert len(result.archs) == 5
    assert all(entry["params_m"] <= 0.3 for entry in result.predicted)  # type: ignore[operator]
    assert result.scored == 0
