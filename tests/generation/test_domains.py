"""Accuracies that are known at one resolution only: what generate fixes, what it refuses, and what predict says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint
from gennas.diffusion.generator import Generator
from gennas.errors import InfeasibleError, InvalidInputError
from gennas.generation.pipeline import generate_archs
from gennas.generation.request import Request
from gennas.metrics import Metric
from gennas.predictors.deployment import deploy
from gennas.predictors.domain import Domain
from gennas.predictors.mlp import MLPPredictor
from gennas.problem import Problem
from gennas.search.prior_mean import PredictorPrior
from gennas.spaces import get_space
from gennas.tasks import get_task

SPACE, IMAGENET = get_space("mobilenet_v3"), get_task("imagenet")
DOMAIN = Domain({"resolution": "r224"}, {"width": 100})
RNG = np.random.default_rng


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A predictor of made-up weights, whose accuracies are known at resolution 224."""
    torch.manual_seed(0)
    metrics = ("accuracy@imagenet", "latency_ms@v100_1")
    predictor = MLPPredictor(SPACE.template, metrics, width=8, layers=1, sums=True)
    predictor.scores.fit(np.column_stack([RNG(0).uniform(0.7, 0.8, 200), RNG(1).uniform(5, 15, 200)]))
    facts = {
        "part": "predictor",
        "space": SPACE.name,
        "table": SPACE.name,
        "skeleton": SPACE.skeleton,
        "latency_input_shape": [],
        "domains": {"accuracy@imagenet": DOMAIN.document()},
    }
    predictor.save(tmp_path / "made", facts, {}, "")
    return tmp_path / "made"


def problem(objective: str = "accuracy", where: tuple[str, ...] = (), space: str = "") -> Problem:
    return Problem(get_space("mobilenet_v3", space) if space else SPACE, IMAGENET, objective, where, "v100_1")


def test_the_choice_is_fixed_and_said(checkpoint: Path) -> None:
    found = generate_archs(problem(), 3, checkpoint=checkpoint)
    assert {arch.ops[1] for arch in found.archs} == {"r224"}
    assert any("so resolution=r224 is fixed" in note for note in found.notes)
    bounded = generate_archs(problem("none", ("accuracy >= 0.71",)), 2, checkpoint=checkpoint)
    assert {arch.ops[1] for arch in bounded.archs} == {"r224"}


def test_what_is_known_everywhere_is_not_restricted(checkpoint: Path) -> None:
    found = generate_archs(problem("-latency_ms"), 6, checkpoint=checkpoint)
    assert {arch.ops[1] for arch in found.archs} != {"r224"}
    assert not any("is fixed" in note for note in found.notes)


def test_other_choices_and_networks_are_refused(checkpoint: Path) -> None:
    with pytest.raises(InvalidInputError, match="resolution is r192"):
        generate_archs(Request(problem(), fixed=SPACE.partial("resolution=r192")), checkpoint=checkpoint)
    with pytest.raises(InvalidInputError, match="not for the skeleton width=120"):
        generate_archs(problem(space="width=120"), 2, checkpoint=checkpoint)


def cheapest_inside() -> Arch:
    least = ("d2", *2 * ("k3", "e3"), *4 * ("-",))
    return SPACE.arch(("input", "r224", *5 * least, "output"))


@pytest.mark.parametrize("mutate", [False, True])
def test_a_bound_below_what_is_known_is_refused_before_anything_is_drawn(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, mutate: bool
) -> None:
    least = SPACE.costs(cheapest_inside(), IMAGENET)["macs_m"]
    for name in ("sample", "mutate"):
        monkeypatch.setattr(Generator, name, lambda *args, **options: pytest.fail("nothing is to be drawn"))
    request = Request(problem(where=("macs_m <= 100",)), mutate=cheapest_inside() if mutate else None)
    with pytest.raises(InfeasibleError) as caught:
        generate_archs(request, checkpoint=checkpoint)
    message = str(caught.value)
    assert message.startswith(
        "no mobilenet_v3 arch with resolution=r224 satisfies 'macs_m <= 100': macs_m for task 'imagenet' is at least "
    )
    assert "accuracy@imagenet is known for resolution=r224 and width=100 only, so resolution=r224 is fixed." in message
    assert "leave accuracy@imagenet out of `objective` and `where`" in message
    (said,) = re.findall(r"least ([\d.]+) there", message)
    assert least <= float(said) <= least * 1.00001, "asked for, it is kept"
    monkeypatch.undo()
    monkeypatch.setattr("gennas.generation.sampling.BATCH", 64)
    assert generate_archs(problem("none", ("macs_m <= 100",)), 2, checkpoint=checkpoint).archs


def test_what_the_user_fixed_is_said_to_be_the_users(checkpoint: Path) -> None:
    most = SPACE.costs(SPACE.arch(("input", "r160", *5 * ("d4", *4 * ("k7", "e6")), "output")), IMAGENET)["macs_m"]
    bounded = Request(problem("none", ("macs_m >= 500",)), fixed=SPACE.partial("resolution=r160"))
    with pytest.raises(
        InfeasibleError, match=r"with resolution=r160 .* is at most .* fix fewer decisions in `fixed`\."
    ) as caught:
        generate_archs(bounded, checkpoint=checkpoint)
    assert "is known for" not in str(caught.value)
    (said,) = re.findall(r"most ([\d.]+) there", str(caught.value))
    assert most * 0.99999 <= float(said) <= most
    # The whole space does not reach it: what is fixed does not matter.
    with pytest.raises(InfeasibleError, match="at least 41") as caught:
        generate_archs(problem(where=("macs_m <= 10",)), checkpoint=checkpoint)
    assert "fixed" not in str(caught.value)


def test_where_bounds_exclude_each_other_the_samples_are_not_called_all_there_is(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gennas.generation.sampling.BATCH", 64)
    monkeypatch.setattr("gennas.generation.sampling.PATIENCE", 2)
    monkeypatch.setattr("gennas.generation.diagnosis.PROBES", 1)
    shown: list[str] = []
    with pytest.raises(InfeasibleError) as caught:
        generate_archs(
            problem(where=("macs_m <= 130", "params_m >= 7")),
            1,
            checkpoint=checkpoint,
            report=lambda done, note: shown.append(note),
        )
    message = str(caught.value)
    assert "best reachable" not in message
    assert "so resolution=r224 is fixed" in message
    assert re.search(r"the (lowest macs_m|highest params_m) of [\d,]+ sampled archs", message)
    assert len(set(shown)) == len(shown), "every batch is reported, those of the diagnosis, too"
    assert "what binds" in shown[-1]


def test_variations_stay_where_it_is_known(checkpoint: Path) -> None:
    arch = SPACE.sample(RNG(0))
    inside = SPACE.arch(("input", "r224", *arch.ops[2:]))
    found = generate_archs(Request(problem(), n=3, mutate=inside, fraction=0.5), checkpoint=checkpoint)
    assert {one.ops[1] for one in found.archs} == {"r224"}
    with pytest.raises(InvalidInputError, match="accuracy@imagenet is known for resolution=r224"):
        generate_archs(Request(problem(), mutate=SPACE.arch(("input", "r128", *arch.ops[2:]))), checkpoint=checkpoint)


def test_elsewhere_it_is_not_predicted(checkpoint: Path) -> None:
    source = Checkpoint(checkpoint)
    deployed, _ = deploy(source.predictor, source.config("predictor"), SPACE, IMAGENET, "v100_1")
    arch = SPACE.sample(RNG(0))
    archs = [SPACE.arch(("input", side, *arch.ops[2:])) for side in ("r224", "r128")]
    known, unknown = deployed.values(archs, deployed.reported())
    assert set(known) == {"accuracy@imagenet", "latency_ms@v100_1", "params_m", "macs_m"}
    assert set(unknown) == set(known) - {"accuracy@imagenet"}


def test_a_search_is_told_nothing_of_archs_elsewhere(checkpoint: Path) -> None:
    archs = [SPACE.sample(RNG(seed)) for seed in range(80)]
    inside = np.array([arch.ops[1] == "r224" for arch in archs])
    assert inside.any()
    accuracy, latency = Metric.parse("accuracy@imagenet"), Metric.parse("latency_ms@v100_1")
    prior = PredictorPrior(Checkpoint(checkpoint).predictor, SPACE, domains={"accuracy@imagenet": DOMAIN})
    assert ((prior.of(archs, accuracy)[:, 0] == 0) == ~inside).all()
    assert (prior.of(archs, latency) != 0).all()
    wide = get_space("mobilenet_v3", "width=120")
    elsewhere = PredictorPrior(Checkpoint(checkpoint).predictor, wide, domains={"accuracy@imagenet": DOMAIN})
    assert elsewhere.of(archs, accuracy).shape == (80, 0)
