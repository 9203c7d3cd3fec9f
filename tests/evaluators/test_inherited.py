"""Accuracies with inherited weights: of networks that inherit them; corrected; in searches and validations."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import parts_spaces
import pytest
import torch

from gennas.cli.main import main
from gennas.errors import DataMissingError, InvalidInputError
from gennas.evaluators.beginning import Beginning
from gennas.evaluators.inherited import CORRECTION, FineTuned, InheritedEvaluator, correct
from gennas.evaluators.latency_spec import LatencySpec
from gennas.evaluators.selection import evaluators_of
from gennas.executors.inline import InlineExecutor
from gennas.problem import Problem
from gennas.search.run import search_archs
from gennas.search.settings import Measuring
from gennas.spaces import SPACES, get_space
from gennas.studies.observations import read_evaluated
from gennas.studies.study import Study
from gennas.supernets.of_space import supernet_of
from gennas.supernets.recalibration import recalibrated
from gennas.supernets.stored import load_supernet, save_supernet
from gennas.tasks import get_task
from gennas.training.batches import Normalisation
from gennas.training.recipe import Recipe
from gennas.validation.supernet import predicted_by_supernet

SKELETON = "channels=4,cells=1"
SPACE = get_space("nasbench201", SKELETON)
TASK = get_task("digits", image_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A supernet with a few steps of single paths, so that archs differ."""
    supernet = supernet_of(SPACE, TASK).train()
    splits, rng = TASK.splits(), np.random.default_rng(0)
    normalise, optimiser = Normalisation(splits.train), torch.optim.AdamW(supernet.parameters(), 3e-3)
    for _ in range(60):
        rows = rng.integers(0, len(splits.train), 64)
        images = normalise(torch.from_numpy(splits.train.images[rows]))
        loss = torch.nn.functional.cross_entropy(
            supernet(images, SPACE.sample(rng)), torch.from_numpy(splits.train.labels[rows])
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return save_supernet(supernet, tmp_path_factory.mktemp("supernet"))


@pytest.fixture
def own(folder, tmp_path):
    """A copy of it that may be changed."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


def archs(count, seed=1):
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def test_it_is_the_accuracy_of_the_network_that_inherits(folder):
    evaluator, (arch,) = InheritedEvaluator(SPACE, folder), archs(1)
    expected = recalibrated(load_supernet(folder, TASK), arch, TASK).accuracy
    assert evaluator.evaluate(arch, task=TASK) == {"accuracy@digits": expected}
    assert expected > 0.15
    again = pickle.loads(pickle.dumps(evaluator))
    assert again.evaluate(arch, task=TASK, seed=7, fidelity=3) == {"accuracy@digits": expected}


def test_its_values_are_those_of_these_weights(folder, own):
    first, same = InheritedEvaluator(SPACE, folder).conditions(0, None), InheritedEvaluator(SPACE, own).conditions(1, 5)
    assert first == same
    other = supernet_of(SPACE, TASK, seed=9)
    save_supernet(other, own)
    assert InheritedEvaluator(SPACE, own).conditions(0, None) != first


def test_corrected_values_are_others(own):
    given, plain = archs(8), InheritedEvaluator(SPACE, own)
    rng = np.random.default_rng(0)
    tuned = [FineTuned(arch, 0.7 + 0.3 * plain.score(arch, TASK) + 0.005 * rng.random()) for arch in given]
    found = correct(own, SPACE, TASK, tuned, archs(12, seed=5))
    corrected = InheritedEvaluator(SPACE, own)
    assert corrected.conditions(0, None) != plain.conditions(0, None)
    value = corrected.evaluate(given[0], task=TASK)["accuracy@digits"]
    assert value == pytest.approx(tuned[0].accuracy, abs=0.05)
    assert plain.evaluate(given[0], task=TASK)["accuracy@digits"] < 0.7 < value
    assert corrected.noise() == {"accuracy@digits": found.check.error}
    assert InheritedEvaluator(SPACE, own, corrects=False).noise() == {}
    mean, std = corrected.corrected(given[:2], [plain.score(arch, TASK) for arch in given[:2]], TASK)
    assert mean[0] == pytest.approx(value)
    assert (std > 0).all()


def test_a_search_takes_it_in_place_of_trainings(folder, tmp_path):
    problem = Problem("nasbench201", "digits", "accuracy, -params_m", skeleton=SKELETON, image_size=8)
    with InlineExecutor() as here:
        found = search_archs(
            problem, 4, policy="random", evaluators=Measuring(supernet=folder), study=tmp_path, workers=here
        )
    evaluator = InheritedEvaluator(problem.space, folder)
    for entry in found.best:
        assert entry.metrics["accuracy@digits"] == evaluator.score(entry.arch, problem.task)
    assert any("rank archs and are lower than what training reaches" in note for note in found.notes)
    # As labels of a generation.
    labels = read_evaluated(tmp_path, problem.space, "digits")
    assert len(labels.archs) == 4
    rows = [row for row in Study(tmp_path).find() if row.metric == "accuracy@digits"]
    assert {row.source for row in rows} == {"inherited"}
    assert {row.recipe for row in rows} == {evaluator.conditions(0, None).recipe}
    with pytest.raises(InvalidInputError, match="but table 'nasbench201' gives the accuracies"):
        search_archs(
            Problem("nasbench201", "cifar10"), 4, evaluators=Measuring("nasbench201", supernet=folder), study=None
        )


def test_it_is_chosen_where_a_supernet_is_given(folder):
    problem = Problem("nasbench201", "digits", "accuracy", skeleton=SKELETON, image_size=8)
    chosen = evaluators_of(problem, None, Recipe(), LatencySpec(), None, None, folder)
    assert [one.source for one in chosen] == ["computed", "inherited"]


def test_a_worker_knows_a_users_own_space(tmp_path):
    space, task = parts_spaces.Widths(), get_task("digits", image_size=16)
    save_supernet(supernet_of(space, task), tmp_path)
    evaluator, arch = InheritedEvaluator(space, tmp_path), space.sample(np.random.default_rng(0))
    sent = pickle.dumps(evaluator)
    del SPACES._entries["widths"]  # as in another process
    value = pickle.loads(sent).evaluate(arch, task=task)["accuracy@digits"]
    assert 0 < value < 1
    assert Beginning(space, arch, task, Recipe(inherit=str(tmp_path))).network().training


def test_supernets_that_cannot_be_used(folder, own, tmp_path):
    with pytest.raises(DataMissingError, match="there is no supernet in"):
        InheritedEvaluator(SPACE, tmp_path)
    with pytest.raises(InvalidInputError, match="whose supernet is of"):
        InheritedEvaluator(get_space("nasbench201", "channels=8,cells=1"), folder)
    (own / CORRECTION).write_text("{")
    with pytest.raises(DataMissingError, match=r"correction\.json cannot be read"):
        InheritedEvaluator(SPACE, own)


def test_validations_correct_a_supernet_and_are_predicted_by_it(own, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keys = [arch.key for arch in archs(4)]
    words = ["validate", "--task", "digits", "--image-size", "8", "--skeleton", SKELETON, "--recipe.epochs", "1"]
    words += [
        "--recipe.batch-size",
        "128",
        "--latency.seconds",
        "0.02",
        "--format",
        "json",
        "--out",
        "run",
        "--correct",
    ]
    assert main([*words, *keys]) == 2
    assert "--correct needs the folder of a supernet in --inherit" in capsys.readouterr().err
    problem, given = Problem("nasbench201", "digits", skeleton=SKELETON, image_size=8), archs(1, seed=3)
    assert predicted_by_supernet(own, problem, given) == {}
    assert main([*words, "--inherit", str(own), *keys]) == 0
    document = json.loads(capsys.readouterr().out)
    assert any("from 4 trainings" in note for note in document["notes"])
    facts = json.loads((Path(document["archs"][0]["folder"]) / "arch.json").read_text())
    assert facts["inherited"]["kind"] == "supernet"
    (values,) = predicted_by_supernet(own, problem, given).values()
    expected = InheritedEvaluator(SPACE, own).evaluate(given[0], task=problem.task)
    assert values["accuracy@digits"]["mean"] == pytest.approx(expected["accuracy@digits"])
