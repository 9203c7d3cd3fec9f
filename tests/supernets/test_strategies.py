"""Every strategy learns, resumes exactly, and gives a supernet that can be stored; and does what its paper says."""

import numpy as np
import pytest
import torch
from supernet_toys import Tiny, stripes, supernet_of
from torch.nn import functional

from gennas.errors import InvalidInputError, UnknownNameError
from gennas.spaces import get_space
from gennas.supernets import training
from gennas.supernets.adaptation import adapt
from gennas.supernets.of_space import supernet_of as any_supernet
from gennas.supernets.paths import Paths
from gennas.supernets.settings import SupernetSettings
from gennas.supernets.stored import load_supernet
from gennas.supernets.strategies import STRATEGIES, Step, get_strategy
from gennas.supernets.strategies.divergence import adaptive_alpha, divergence_of
from gennas.supernets.strategies.splits import least_alike

SHORT = SupernetSettings(epochs=2, head_epochs=1, batch_size=16, augmentation="none", resolutions=(12, 15))
SMALL = {
    "sandwich": {"random": 1},
    "splits": {"random": 1, "warm_up": 1, "slots": 2, "trials": 1},
    "k_shot": {"random": 1, "sets": 2},
    "plasticity": {"steps": 2},
    "sorted": {"paths": 2},
}


def strategy(name, **options):
    return get_strategy(name, SMALL.get(name, {}) | options)


class Killed(Exception):
    """The process ends here."""


def same(first, second):
    a, b = first.state_dict(), second.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_strategies_resume_exactly_and_are_stored(name, tmp_path, monkeypatch):
    whole = adapt(supernet_of(), stripes(), SHORT, tmp_path / "whole", strategy=strategy(name))
    assert [epoch.epoch for epoch in whole.epochs] == [1, 2, 3]
    saved, save = [], training.checkpoints.save

    def save_and_end(folder, write):
        save(folder, write)
        saved.append(folder)
        if len(saved) in (1, 3):
            raise Killed

    monkeypatch.setattr(training.checkpoints, "save", save_and_end)
    for _ in range(2):
        torch.manual_seed(99)
        with pytest.raises(Killed):
            adapt(supernet_of(), stripes(), SHORT, tmp_path / "killed", strategy=strategy(name))
    resumed = adapt(supernet_of(), stripes(), SHORT, tmp_path / "killed", strategy=strategy(name))
    assert len(saved) == 3
    assert same(whole.supernet, resumed.supernet)
    loaded = load_supernet(tmp_path / "killed", stripes())
    assert same(loaded, whole.supernet)
    images = torch.rand(2, 3, 16, 16)
    for arch in (loaded.smallest(), Tiny().parent_arch(15), Tiny().sample(np.random.default_rng(0))):
        with torch.no_grad():
            assert torch.allclose(loaded(images, arch), loaded.inherit(arch)(images), atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"sorted"}))
def test_strategies_train_cells_too(name, tmp_path):
    space, task = get_space("nasbench201", "channels=4,cells=1"), stripes(12)
    settings = SupernetSettings(epochs=2, batch_size=16, augmentation="none")
    found = adapt(any_supernet(space, task), task, settings, tmp_path, strategy=strategy(name))
    assert len(found.epochs) == 2
    assert same(load_supernet(tmp_path, task), found.supernet)


def test_what_a_space_cannot_be_trained_with_is_refused_first(tmp_path):
    space, task = get_space("nasbench201", "channels=4,cells=1"), stripes(12)
    with pytest.raises(InvalidInputError, match="strategy is 'sorted'"):
        adapt(any_supernet(space, task), task, SupernetSettings(), tmp_path, strategy="sorted")
    space = get_space("nasbench101")
    with pytest.raises(InvalidInputError, match="choose edges, too"):
        Paths.fair(_paths_of(space), np.random.default_rng(0))


def _paths_of(space):
    paths = Paths.__new__(Paths)
    paths.space = space
    return paths


class Recorded:
    """A step whose paths are written down."""

    def __init__(self, supernet, teacher=None):
        self.archs, self.losses = [], []
        images = torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))
        labels = torch.arange(6) % 3
        forward = supernet.forward

        def written(x, arch):
            self.archs.append(arch)
            return forward(x, arch)

        supernet.forward = written
        self.step = Step(
            supernet.train(),
            Paths(supernet, resolutions=(12, 15)),
            images,
            lambda logits: functional.cross_entropy(logits, labels),
            teacher,
            np.random.default_rng(0),
            lambda loss: (self.losses.append(float(loss.detach())), loss.backward()),
        )


def test_the_sandwich_takes_both_ends_and_random_paths():
    recorded = Recorded(supernet_of())
    get_strategy("sandwich").learn(recorded.step)
    paths = recorded.step.paths
    assert recorded.archs[0] == paths.largest
    assert recorded.archs[-1] == paths.smallest
    assert len(recorded.archs) == 4
    # A share of the loss each: the classifier's gradient is their mean.
    assert recorded.losses[0] == pytest.approx(
        float(recorded.step.criterion(recorded.step.supernet(recorded.step.images, paths.largest))) / 4, rel=1e-4
    )


def test_paths_learn_from_the_largest_one_and_not_the_other_way_round():
    alone, recorded = Recorded(supernet_of()), Recorded(supernet_of())
    get_strategy("sandwich", {"random": 0, "smallest": False}).learn(alone.step)
    get_strategy("sandwich", {"random": 0}).learn(recorded.step)
    # The last stage's third block is in the largest path alone, whose loss counts half as much beside another.
    one, half = (found.step.supernet.blocks[5].block.project[0].weight.grad for found in (alone, recorded))
    assert torch.allclose(one, 2 * half, atol=1e-6)


def test_fair_trains_every_choice_once():
    recorded = Recorded(supernet_of())
    get_strategy("fair").learn(recorded.step)
    slot = Tiny().template.slots.index("expansion.2.1")
    assert sorted(arch.ops[slot] for arch in recorded.archs) == ["e2", "e3", "e4", "e6"]


def test_plasticity_pulls_weights_back_to_where_the_path_before_left_them():
    supernet = supernet_of()
    recorded = Recorded(supernet)
    held = get_strategy("plasticity", {"steps": 2, "strength": 1e6})
    weight = supernet.head.classify.weight
    for _ in range(2):
        supernet.zero_grad()
        held.learn(recorded.step)
        held.finish(supernet)
    left = weight.detach().clone()
    with torch.no_grad():
        weight.add_(0.5)
    supernet.zero_grad()
    # A new path begins where the weights are now, and is not pulled in its first step.
    held.learn(recorded.step)
    held.finish(supernet)
    with torch.no_grad():
        weight.add_(0.5)
    supernet.zero_grad()
    held.learn(recorded.step)
    free = weight.grad.clone()
    held.finish(supernet)
    pull = weight.grad - free
    # Descending, it makes the weights smaller again, by no more than the loss itself asks for.
    assert (pull >= 0).all()
    assert float(pull.norm()) == pytest.approx(float(free.norm()), rel=1e-4)
    assert torch.allclose(weight - left, torch.ones_like(left), atol=1e-6)
    assert recorded.archs[0] == recorded.archs[1]
    assert recorded.archs[1] != recorded.archs[2]


def test_k_shot_mixes_sets_by_shares_that_depend_on_the_arch(tmp_path):
    supernet = adapt(supernet_of(), stripes(), SHORT, tmp_path, strategy=strategy("k_shot", noise=0.5)).supernet
    one, other = supernet.smallest(), supernet.largest()
    codes = torch.stack([supernet.code(arch) for arch in (one, other)]).detach()
    assert torch.allclose(codes.sum(1), torch.ones(2))
    assert not torch.allclose(codes[0], codes[1], atol=1e-4)
    mixed = supernet.mixed(one)["head.classify.weight"]
    wanted = sum(share * each.head.classify.weight for share, each in zip(codes[0], supernet.sets, strict=True))
    assert torch.allclose(mixed, wanted, atol=1e-6)
    assert torch.allclose(supernet.inherit(one)[-1].classify.weight, wanted, atol=1e-6)


def test_splits_give_each_part_its_own_weights(tmp_path):
    supernet = adapt(supernet_of(), stripes(), SHORT, tmp_path, strategy=strategy("splits", divisions=2)).supernet
    assert len(supernet.parts) == 4
    (slot, second), _ = supernet.cuts
    choices = [op for op in Tiny().template.operations[slot] if op != "-"]
    assert 0 < len(second) < len(choices)
    first = next(op for op in choices if op not in second)
    archs = [Paths(supernet).with_choice(supernet.largest(), slot, _index(op)) for op in (first, second[0])]
    assert supernet.part(archs[0]) is not supernet.part(archs[1])


def _index(op):
    return Tiny().template.vocabulary.index(op)


def test_the_least_alike_groups_are_found():
    cosines = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.0, 0.1], [0.1, 0.0, 1, 0.8], [0.2, 0.1, 0.8, 1]])
    score, second = least_alike(cosines)
    assert score == pytest.approx(0.1)
    assert set(second) in ({0, 1}, {2, 3})


def test_the_gradient_of_the_adaptive_divergence_is_that_of_the_worse_one():
    # A student that thinks possible what its teacher does not: with alpha -1, limited to a ratio of 5.
    teacher = torch.tensor([[0.0, 0.0, -5.0]])
    student = torch.zeros(1, 3, requires_grad=True)
    adaptive_alpha(student, teacher).backward()
    q, p = student.detach().softmax(1), teacher.softmax(1)
    rho = -(q / p).clamp_max(5.0) + 0.5
    assert float((q / p).max()) > 5
    wanted = -(q * rho) + q * (q * rho).sum(1, keepdim=True)
    assert torch.allclose(student.grad, wanted, atol=1e-6)
    # A student that is sure where its teacher is not: the gradient of a cross-entropy.
    teacher, sure = torch.zeros(1, 3), torch.tensor([[3.0, 0.0, 0.0]], requires_grad=True)
    adaptive_alpha(sure, teacher).backward()
    assert torch.allclose(sure.grad, sure.detach().softmax(1) - teacher.softmax(1), atol=1e-6)


def test_divergences_are_least_where_answers_agree():
    logits = torch.tensor([[1.0, 0.0, -1.0]])
    for kind in ("kl", "alpha"):
        student = logits.clone().requires_grad_(True)
        divergence_of(student, logits, kind).backward()
        assert torch.allclose(student.grad, torch.zeros_like(logits), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("sandwitch", {}, UnknownNameError, "Did you mean 'sandwich'"),
        ("sandwich", {"randoms": 3}, UnknownNameError, "unknown setting of strategy sandwich 'randoms'"),
        ("sandwich", {"random": -1}, InvalidInputError, "sandwich.random is -1; expected 0 to 100"),
        ("sandwich", {"divergence": "js"}, UnknownNameError, "unknown divergence of strategy sandwich 'js'"),
        ("k_shot", {"sets": 1}, InvalidInputError, "k_shot.sets is 1"),
        ("splits", {"divisions": 9}, InvalidInputError, "splits.divisions is 9"),
        ("plasticity", {"steps": 1}, InvalidInputError, "plasticity.steps is 1"),
        ("plasticity", {"_left": 1}, UnknownNameError, "_left"),
    ],
)
def test_wrong_settings_are_named(name, options, error, message):
    with pytest.raises(error, match=message):
        get_strategy(name, options)
