"""A supernet is adapted to a task: it learns, resumes exactly, and is stored."""

import numpy as np
import pytest
import torch
from supernet_toys import Tiny, stripes, supernet_of
from torch.nn import functional

from gennas.errors import InvalidInputError, StudyError
from gennas.progress import displayed
from gennas.spaces import get_space
from gennas.supernets import training
from gennas.supernets.adaptation import adapt
from gennas.supernets.batches import ViewedBatches
from gennas.supernets.of_space import supernet_of as any_supernet
from gennas.supernets.settings import SupernetSettings
from gennas.supernets.stored import load_supernet, supernet_facts
from gennas.supernets.strategies.sandwich import Sandwich
from gennas.training.batches import Normalisation
from gennas.training.views import Views

SHORT = SupernetSettings(epochs=2, head_epochs=1, batch_size=16, augmentation="none", resolutions=(12, 15))
ONE = Sandwich(random=1)


class Killed(Exception):
    """The process ends here."""


def killed_after(monkeypatch, epochs):
    """Ends the training once it has saved so many epochs."""
    saved, save = [], training.checkpoints.save

    def save_and_end(folder, write):
        save(folder, write)
        saved.append(folder)
        if len(saved) == epochs:
            raise Killed

    monkeypatch.setattr(training.checkpoints, "save", save_and_end)


def same(first, second):
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_all_paths_learn(tmp_path):
    settings = SupernetSettings(
        epochs=8, head_epochs=1, batch_size=16, augmentation="none", resolutions=(12, 15), learning_rate=0.01
    )
    found = adapt(supernet_of(), stripes(), settings, tmp_path, strategy=ONE)
    assert [epoch.phase for epoch in found.epochs] == ["head"] + 8 * ["sandwich"]
    assert found.epochs[-1].loss < 0.8 * found.epochs[1].loss
    supernet, val = found.supernet.train(), stripes().splits().val
    images = torch.from_numpy(val.images) / 127.5 - 1
    with torch.no_grad():
        for arch in (supernet.smallest(), Tiny().parent_arch(15)):
            assert (supernet(images, arch).argmax(1).numpy() == val.labels).mean() > 0.8


def test_only_the_classifier_learns_first(tmp_path, monkeypatch):
    supernet = supernet_of()
    before = {name: values.clone() for name, values in supernet.state_dict().items()}
    killed_after(monkeypatch, 1)
    with pytest.raises(Killed):
        adapt(supernet, stripes(), SHORT, tmp_path, strategy=ONE)
    changed = {name for name, values in supernet.state_dict().items() if not torch.equal(values, before[name])}
    assert changed == {"head.classify.weight", "head.classify.bias"}


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_killed_adaptation_goes_on_as_if_it_had_not_been_killed(tmp_path, monkeypatch, epochs):
    whole = adapt(supernet_of(), stripes(), SHORT, tmp_path / "whole", strategy=ONE)
    with monkeypatch.context() as patch:
        killed_after(patch, epochs)
        with pytest.raises(Killed):
            adapt(supernet_of(), stripes(), SHORT, tmp_path / "killed", strategy=ONE)
    torch.manual_seed(99)
    resumed = adapt(supernet_of(seed=0), stripes(), SHORT, tmp_path / "killed", strategy=ONE)
    assert resumed.resumed_epoch == epochs
    assert same(whole.supernet, resumed.supernet)
    assert not list((tmp_path / "killed").rglob("*.ckpt"))


def test_a_finished_one_is_only_read(tmp_path, monkeypatch):
    first = adapt(supernet_of(), stripes(), SHORT, tmp_path, strategy=ONE)
    monkeypatch.setattr(training.SupernetTraining, "training_step", None)
    again = adapt(supernet_of(), stripes(), SHORT, tmp_path, strategy=ONE)
    assert (again.fingerprint, again.epochs, again.resumed_epoch) == (first.fingerprint, first.epochs, 3)
    assert same(first.supernet, again.supernet)
    with pytest.raises(StudyError, match=r"settings\.epochs was 2, is now 3"):
        adapt(supernet_of(), stripes(), SupernetSettings(**{**SHORT.settings, "epochs": 3}), tmp_path, strategy=ONE)
    with pytest.raises(StudyError, match="weights has other content"):
        adapt(supernet_of(seed=1), stripes(), SHORT, tmp_path, strategy=ONE)


def test_a_stored_supernet_is_the_same(tmp_path):
    supernet = supernet_of()
    supernet.origin = {"weights": "mine", "licence": "Apache-2.0"}
    found = adapt(supernet, stripes(), SHORT, tmp_path, strategy=ONE)
    loaded = load_supernet(tmp_path, stripes())
    assert same(found.supernet, loaded)
    assert not loaded.training
    assert dict(loaded.origin) == {"weights": "mine", "licence": "Apache-2.0"}
    facts = supernet_facts(tmp_path)
    assert (facts["space"], facts["fingerprint"]) == ("tiny_elastic", found.fingerprint)
    # Other images of the same task, and the same at another size, which cannot be compared.
    with pytest.raises(InvalidInputError, match="adapted to other images of stripes"):
        load_supernet(tmp_path, stripes(images=60))
    assert same(load_supernet(tmp_path, stripes(side=20)), loaded)


def test_a_supernet_without_a_largest_path_learns_too(tmp_path):
    space = get_space("nasbench201", "channels=4,cells=1")
    supernet = any_supernet(space, stripes(12))
    settings = SupernetSettings(epochs=1, batch_size=16, augmentation="none")
    found = adapt(supernet, stripes(12), settings, tmp_path, strategy=ONE)
    assert [epoch.phase for epoch in found.epochs] == ["sandwich"]
    assert same(load_supernet(tmp_path, stripes(12)), found.supernet)


class Taught:
    """The same batch in every step, with a teacher that says class 2 of everything."""

    fingerprint, steps = "taught", 3

    def epoch(self, number):
        images = torch.rand(8, 3, 12, 12, generator=torch.Generator().manual_seed(number))
        for _ in range(self.steps):
            yield images, torch.zeros(8, dtype=torch.long), functional.one_hot(torch.full((8,), 2), 3) * 20.0


def test_a_teacher_is_followed(tmp_path):
    settings = SupernetSettings(
        epochs=8, head_epochs=1, teacher_weight=1.0, learning_rate=0.01, ema_epochs=0, resolutions=(12,)
    )
    found = adapt(supernet_of(), stripes(12), settings, tmp_path, strategy=ONE, batches=Taught())
    images, _, _ = next(Taught().epoch(0))
    with torch.no_grad():
        assert (found.supernet.train()(images, found.supernet.smallest()).argmax(1) == 2).all()


def test_views_are_shown_with_the_answers_that_belong_to_them(tmp_path):
    train = stripes(20).splits().train
    views = Views(train.images, 2, 0, mirrored=False)
    normalise = Normalisation.of(Tiny(), stripes(20))
    # What the teacher says of an image is its number.
    taught = torch.arange(2 * len(train)).float().reshape(2, -1, 1).expand(-1, -1, 3).contiguous()
    source = ViewedBatches(train.labels, views, 12, normalise, SHORT.recipe, taught)
    for epoch, view in ((0, 0), (1, 1), (2, 0)):
        for images, labels, answers in source.epoch(epoch):
            rows = answers[:, 0].long() - view * len(train)
            assert torch.equal(labels, torch.from_numpy(train.labels)[rows])
            assert torch.equal(images, normalise(torch.from_numpy(views.at(12, view))[rows]))
    plain = ViewedBatches(train.labels, views, 12, normalise, SHORT.recipe)
    assert plain.fingerprint != source.fingerprint
    assert next(plain.epoch(0))[2] is None
    found = adapt(supernet_of(), stripes(20), SHORT, tmp_path, strategy=ONE, batches=source)
    assert len(found.epochs) == 3


def test_batches_are_halved_where_the_memory_does_not_suffice(tmp_path, monkeypatch):
    supernet, forward = supernet_of(), type(supernet_of()).forward

    def limited(self, x, arch):
        if len(x) > 8:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(self, x, arch)

    monkeypatch.setattr(type(supernet), "forward", limited)
    found = adapt(supernet, stripes(), SHORT, tmp_path, strategy=ONE)
    assert "they were trained 8 at a time" in found.notes[0]
    assert len(found.epochs) == 3


def test_progress_counts_all_steps(tmp_path):
    shown = []

    class Display:
        def __init__(self, title, total):
            shown.append((title, total))

        def __enter__(self):
            return lambda done, note: shown.append(done)

        def __exit__(self, *error):
            return None

    with displayed(Display):
        adapt(supernet_of(), stripes(), SHORT, tmp_path, strategy=ONE, title="a title")
    assert shown == [("a title", 9), *range(1, 10)]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "supernet.epochs is 0; expected at least 1"),
        ("head_epochs", -1, "supernet.head_epochs is -1"),
        ("learning_rate", 0.0, "supernet.learning_rate is 0.0; expected above 0"),
        ("draw", "often", "supernet.draw is 'often'; expected one of near, uniform"),
        ("resolutions", (1.5,), "supernet.resolutions is"),
        ("precision", "float16", "supernet.precision is 'float16'; expected one of float32, bfloat16"),
        ("head_learning_rate", float("nan"), "supernet.head_learning_rate is nan"),
    ],
)
def test_settings_out_of_range_are_named(name, value, message):
    with pytest.raises(InvalidInputError, match=message):
        SupernetSettings(**{name: value})


def test_a_training_that_diverges_says_so(tmp_path):
    settings = SupernetSettings(epochs=1, head_epochs=0, learning_rate=1e30, clip_norm=0, resolutions=(12,))
    with pytest.raises(InvalidInputError, match="diverged"):
        adapt(supernet_of(), stripes(12), settings, tmp_path, strategy=ONE)


def test_half_precision_learns(tmp_path):
    settings = SupernetSettings(epochs=1, head_epochs=0, precision="bfloat16", resolutions=(12,))
    found = adapt(supernet_of(), stripes(12), settings, tmp_path, strategy=ONE)
    assert np.isfinite(found.epochs[0].loss)
    assert next(found.supernet.parameters()).dtype == torch.float32
