"""Archs and recipes searched together: from the search to the exported network, as a user types it and in Python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gennas.arch import Arch
from gennas.checkpoint import Checkpoint, generator_for
from gennas.cli.main import main
from gennas.diffusion.joint_denoiser import JointDenoiser
from gennas.documents import read_json
from gennas.errors import InvalidInputError, StudyError
from gennas.evaluators.train import TrainEvaluator
from gennas.executors.inline import InlineExecutor
from gennas.metrics import Metric
from gennas.problem import Problem
from gennas.search.kernels import FeatureView
from gennas.search.policies.choice import PolicyChoice, chosen_policy
from gennas.search.policies.guided_bo import GuidedBO
from gennas.search.prior_mean import NetworkPrior, PredictorPrior, Prior
from gennas.search.run import SearchResult, search_archs
from gennas.search.search import Search
from gennas.search.settings import Measuring
from gennas.spaces import JointSpace, get_space
from gennas.spaces.joint import Value
from gennas.studies.study import Study
from gennas.training.recipe import Recipe
from gennas.training.recipe_space import RecipeSpace, recipe_of

OPTIONS: dict[str, list[Value]] = {"learning_rate": [0.0001, 0.003], "batch_size": [16, 32]}
SKELETON = "channels=4,cells=1"


def joint() -> JointSpace:
    return RecipeSpace(OPTIONS).joined("nasbench201", SKELETON)


def problem() -> Problem:
    return Problem(joint(), "digits", image_size=8)


def test_every_value_is_of_the_recipe_that_its_arch_chose(tmp_path: Path, shades: Path) -> None:
    space = joint()
    asked = Problem(space, str(shades), image_size=8)
    base = Recipe(epochs=1, batch_size=64)

    def searched(asked: Problem) -> SearchResult:
        with InlineExecutor() as here:
            measuring = Measuring(recipe=base)
            return search_archs(asked, 3, policy="random", evaluators=measuring, workers=here, study=tmp_path / "run")

    result = searched(asked)
    assert (result.proposed, result.evaluated, result.failed) == (3, 3, 0)
    study = Study(tmp_path / "run")
    rows = study.find(source="trained")
    for row in rows:
        wanted = recipe_of(space, space.parse(row.arch), base)
        assert (row.recipe, row.fidelity) == (wanted.hash, 1)
        assert wanted.batch_size in OPTIONS["batch_size"]
    assert len({row.recipe for row in rows}) > 1
    assert study.config["space"]["name"] == "nasbench201"
    assert study.config["space"]["recipe"] == OPTIONS
    # The same search goes on, and one of other choices does not.
    assert searched(asked).best[0].metrics == result.best[0].metrics
    others = RecipeSpace({**OPTIONS, "batch_size": [16, 64]}).joined("nasbench201", SKELETON)
    with pytest.raises(StudyError, match="batch_size"):
        searched(Problem(others, asked.task))
    (best,) = result.best
    facts = read_json(Path(str(best.folder)) / "arch.json")
    network = space.network_arch(best.arch)
    assert (facts["key"], facts["space"]) == (network.key, "nasbench201")
    assert facts["recipe_chosen"] == space.choices(best.arch)
    assert facts["recipe"]["learning_rate"] == facts["recipe_chosen"]["learning_rate"]


def test_as_a_user_types_it(tmp_path: Path, shades: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipes, run = tmp_path / "recipes.yaml", tmp_path / "run"
    recipes.write_text("learning_rate: [0.0001, 0.003]\nbatch_size: [16, 32]\n")
    place = ["--task", shades, "--image-size", 8, "--skeleton", SKELETON, "--recipe.epochs", 1]

    def told(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    searched = ["search", *place, "--recipe-space", recipes, "--policy", "random", "--format", "json"]
    code, out, err = told(*searched, "--budget", 2, "--out", run)
    assert code == 0, err
    (best,) = json.loads(out)["archs"]
    assert "learning_rate:" in best["key"]
    assert f"next: gennas export --study {run}" in err
    assert "learning_rate:" in (run / "report.html").read_text()
    # The best is exported with its recipe on the card, without naming anything but the run.
    code, out, err = told("export", "--study", run, "--format", "json")
    assert code == 0, err
    exported = json.loads(out)
    # It is the one of that recipe, with the values that the study has of it.
    assert (exported["networks"][0]["key"], exported["notes"]) == (best["key"], [])
    card = (Path(exported["networks"][0]["folder"]) / "card.md").read_text()
    assert "accuracy@shades" in card
    rate = best["key"].partition("learning_rate:")[2].split()[0]
    assert f"| learning_rate | {rate} |" in card
    assert f"| searched with the arch | learning_rate={rate}, batch_size=" in card
    # Trained again, it has the same value; seed and recipe are the same.
    validated = ["validate", *place, "--recipe-space", recipes, "--out", tmp_path / "again", "--format", "json"]
    code, out, err = told(*validated, best["key"])
    assert code == 0, err
    (entry,) = json.loads(out)["archs"]
    assert entry["key"] == best["key"]
    assert entry["measured"]["accuracy@shades"] == best["evaluated"]["accuracy@shades"]
    assert json.loads(told(*validated, best["key"])[1])["archs"][0]["reused"]
    for words, message in (
        ((*searched, "--budget", 2, "--out", tmp_path / "x", "--table", "nasbench201"), "nothing is trained by"),
        ((*validated, best["key"].partition(" @ ")[0]), "says nothing of learning_rate, batch_size"),
    ):
        code, _, err = told(*words)
        assert code == 2
        assert message in err


def test_recipes_that_cannot_be_trained_are_refused_before_anything_is() -> None:
    space = RecipeSpace({"mixup": [0.0, 0.2]}).joined("nasbench201", SKELETON)
    with pytest.raises(InvalidInputError, match=r"recipe_space\.mixup is 0\.2; expected 0, as views"):
        TrainEvaluator(space, Recipe(views=2), Path("nowhere"))
    with pytest.raises(InvalidInputError, match="recipe_space is given, but table"):
        search_archs(problem(), 2, evaluators=Measuring("nasbench201"), study=None)


def accuracy(key: str) -> float:
    """A made-up truth: the learning rate decides most, and convolutions the rest."""
    chosen = joint().choices(joint().parse(key))
    return (
        0.5 + 0.3 * (chosen["learning_rate"] == 0.003) + 0.02 * key.count("conv") + 0.001 * (chosen["batch_size"] == 16)
    )


def test_the_surrogate_learns_which_recipe_is_good() -> None:
    asked, quick = problem(), PolicyChoice("gennas", {"sought": "100", "mutants": "100", "first": "8"}, "none")
    search = Search(asked, policy=quick, budget=11)
    for trial in search:
        search.tell(trial, {"accuracy": accuracy(trial.arch.key)})
    values = [trial.values["accuracy@digits"] for trial in search.trials]
    # After the random ones it stays with the better learning rate, which about half of these have.
    assert min(values[:8]) < 0.7
    assert min(values[8:]) > 0.8


def test_what_is_known_of_archs_is_known_of_them_with_any_recipe() -> None:
    space = joint()

    class Convolutions(Prior):
        def of(self, archs: Sequence[Arch], metric: Metric) -> np.ndarray:
            return np.array([[arch.key.count("conv")] for arch in archs])

    prior = NetworkPrior(Convolutions(), space)
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(5)]
    found = prior.of(archs, Metric.parse("accuracy@digits"))
    assert found[:, 0].tolist() == [arch.key.count("conv") for arch in archs]


def test_the_checkpoint_of_the_archs_guides_and_predicts(tiny_checkpoint: Path) -> None:
    asked = problem()
    source = Checkpoint.of(tiny_checkpoint, asked.space)
    generator = generator_for(asked.space, source)
    assert isinstance(generator.denoiser, JointDenoiser)
    drawn = generator.sample(200, seed=0).archs
    assert {asked.space.parse(arch.key) for arch in drawn} == set(drawn)
    chosen = chosen_policy("gennas", asked, source)
    assert isinstance(chosen.policy, GuidedBO)
    prior = chosen.policy.prior
    assert isinstance(prior, NetworkPrior)
    assert isinstance(prior.prior, PredictorPrior)
    assert prior.of(drawn[:3], asked.metrics[0]).shape[0] == 3


def test_costs_and_choices_are_what_kernels_see() -> None:
    asked = problem()
    rng = np.random.default_rng(0)
    view = FeatureView(asked.space, asked.task, [asked.space.sample(rng) for _ in range(200)])
    own = get_space("nasbench201", SKELETON)
    before = FeatureView(own, asked.task, [own.sample(rng) for _ in range(200)])
    assert view.costs == before.costs == (0, 1)
    assert view.width > before.width
