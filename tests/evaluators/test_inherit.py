"""Trainings that begin with the weights of a network that was trained before."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from gennas.cli.main import main
from gennas.errors import InvalidInputError
from gennas.evaluators.beginning import Beginning, expect_start
from gennas.evaluators.train import TrainEvaluator
from gennas.spaces import get_space
from gennas.tasks import get_task
from gennas.training.features import FeatureDistillation
from gennas.training.recipe import Recipe
from gennas.training.teacher import Teacher

SPACE = get_space("nasbench201", "channels=4,cells=1")
KEY = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
FAR = "|nor_conv_1x1~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"
CHILD = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|none~2|"
RECIPE = Recipe(epochs=2, batch_size=128)
TASK = get_task("digits", image_size=8)


def trained(folder, key, recipe=RECIPE, progress=lambda line: None):
    evaluator = TrainEvaluator(SPACE, recipe, folder, progress)
    result = evaluator.train(SPACE.parse(key), task=TASK)
    return evaluator.network_folder(SPACE.parse(key)), result


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with two trained networks."""
    folder = tmp_path_factory.mktemp("run")
    for key, recipe in ((KEY, replace(RECIPE, batch_size=32, epochs=3)), (FAR, RECIPE)):
        trained(folder / "networks", key, recipe)
    return folder


@pytest.fixture(scope="module")
def parent(run):
    return TrainEvaluator(SPACE, RECIPE, run / "networks").network_folder(SPACE.parse(KEY))


def loss_of(line):
    return float(line.split("loss ")[1].split(",")[0])


def facts(folder):
    return json.loads((folder / "arch.json").read_text())


def test_the_parents_arch_begins_as_the_parent(parent):
    begun = Beginning(SPACE, SPACE.parse(KEY), TASK, replace(RECIPE, inherit=str(parent)))
    network = begun.network()
    own = SPACE.build(SPACE.parse(KEY), TASK)
    own.load_state_dict(load_file(parent / "network.safetensors"))
    x = torch.rand(3, *TASK.input_shape)
    assert torch.equal(network.eval()(x), own.eval()(x))
    assert begun.inherited["layers"]["new"] == []


def test_a_training_says_what_it_began_with(parent, tmp_path):
    recipe = replace(RECIPE, epochs=1, inherit=str(parent))
    folder, _ = trained(tmp_path, CHILD, recipe)
    inherited = facts(folder)["inherited"]
    assert inherited["key"] == KEY
    assert inherited["layers"]["new"] == []
    assert inherited["layers"]["cropped"] == []
    assert inherited["kind"] == "network"
    assert "inherited" not in facts(parent)
    assert facts(folder)["recipe_hash"] == recipe.hash


def test_a_training_goes_on_where_its_parent_ended(parent, tmp_path):
    losses = {}
    for name, inherit in (("parent", str(parent)), ("nothing", None)):
        lines = []
        trained(tmp_path / name, KEY, replace(RECIPE, epochs=1, inherit=inherit), lines.append)
        losses[name] = loss_of(lines[0])
    assert losses["parent"] < losses["nothing"] - 0.5


def test_values_of_other_beginnings_are_never_mixed(parent, run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(parent, copy)
    hashes = [replace(RECIPE, inherit=str(folder)).hash for folder in (parent, copy, run)]
    assert hashes[0] == hashes[1]  # the same weights at another place
    other = TrainEvaluator(SPACE, RECIPE, run / "networks").network_folder(SPACE.parse(FAR))
    hashes += [RECIPE.hash, replace(RECIPE, inherit=str(other)).hash]
    hashes.append(replace(RECIPE, inherit=str(parent), feature_epochs=1).hash)
    assert len(set(hashes)) == 5
    assert replace(RECIPE, feature_epochs=1).hash == RECIPE.hash  # of nothing


def test_of_a_run_the_nearest_arch_is_inherited(run):
    for key, nearest in ((CHILD, KEY), (KEY, KEY), (FAR, FAR)):
        begun = Beginning(SPACE, SPACE.parse(key), TASK, replace(RECIPE, inherit=str(run)))
        begun.network()
        assert begun.inherited["key"] == nearest


def test_features_are_compared_where_shapes_are_equal():
    def chain(width, factor):
        network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Conv2d(2, width, 1, bias=False))
        for layer in network:
            nn.init.constant_(layer.weight, factor)
        return network

    class AsItIs:
        mean, std = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)

    teacher = Teacher(chain(3, 1.0), [0.0], [1.0], (4, 4), AsItIs())
    x = torch.rand(2, 1, 4, 4)
    for width, factor, places in ((3, 1.0, 2), (3, 0.5, 2), (5, 0.5, 1)):
        student = chain(width, factor)
        features = FeatureDistillation(teacher, [("0", "0"), ("1", "1")])
        with features.watched(student) as found:
            student(x)
        first, second = x.repeat(1, 2, 1, 1), 2 * x.repeat(1, 3, 1, 1)
        expected = [((1 - factor) ** 2 * first.square()).mean() / first.var()]
        expected.append(((1 - factor**2) ** 2 * second.square()).mean() / second.var())
        assert torch.allclose(features.loss(found, x), torch.stack(expected[:places]).mean())
        assert not any(module._forward_hooks for module in (*student, *teacher.network))


def test_features_are_learnt_in_the_first_epochs_also_after_a_resume(parent, tmp_path):
    recipe = replace(RECIPE, epochs=3, inherit=str(parent), feature_epochs=2)
    lines, without = [], []
    expected, _ = trained(tmp_path / "whole", CHILD, recipe, lines.append)
    trained(tmp_path / "without", CHILD, replace(recipe, epochs=1, feature_epochs=0), without.append)
    assert loss_of(lines[0]) > loss_of(without[0]) + 0.1

    class Interrupt(Exception):
        pass

    def interrupt(line):
        if "epoch 2/3" in line:
            raise Interrupt

    with pytest.raises(Interrupt):
        trained(tmp_path / "cut", CHILD, recipe, interrupt)
    cut, result = trained(tmp_path / "cut", CHILD, recipe)
    assert result.resumed_epoch == 1
    one, other = (load_file(folder / "network.safetensors") for folder in (expected, cut))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_cannot_be_inherited(parent, tmp_path):
    for folder, space, expected in (
        (tmp_path, SPACE, "which has neither supernet.safetensors nor network.safetensors"),
        (parent, get_space("fbnet"), "whose network is of space 'nasbench201', not 'fbnet'"),
        (parent.parent.parent, get_space("fbnet"), "whose networks are none of space 'fbnet'"),
    ):
        with pytest.raises(InvalidInputError, match=expected):
            expect_start(replace(RECIPE, inherit=str(folder)), space, TASK)
    broken = tmp_path / "broken"
    shutil.copytree(parent, broken)
    (broken / "network.safetensors").write_bytes(b"nothing")
    with pytest.raises(InvalidInputError, match="whose network cannot be read"):
        Beginning(SPACE, SPACE.parse(KEY), TASK, replace(RECIPE, inherit=str(broken))).network()
    (broken / "arch.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"whose arch\.json cannot be read"):
        expect_start(replace(RECIPE, inherit=str(broken)), SPACE, TASK)
    with pytest.raises(InvalidInputError, match=r"is 3; expected the folder of a supernet"):
        Recipe(inherit=3)


def test_inherit_on_the_command_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["validate", "--task", "digits", "--image-size", "8", "--skeleton", "channels=4,cells=1", "--out", "out"]
    words += ["--recipe.epochs", "1", "--recipe.batch-size", "128", "--latency.seconds", "0.05", CHILD]
    assert main([*words, "--inherit", str(tmp_path / "none")]) == 2
    assert "--inherit is" in capsys.readouterr().err
    assert main([*words, "--inherit", str(run)]) == 0
    (folder,) = Path("out/networks").iterdir()
    assert facts(folder)["inherited"]["key"] == KEY
    # The study is of trainings with this beginning.
    assert main(words) == 2
    assert "recipe" in capsys.readouterr().err
