"""Training of generators: quality, resuming after an interruption, and other settings."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import Twins, mixed, toy

from gennas.arch import Arch
from gennas.diffusion import training as module
from gennas.diffusion.denoiser import Denoiser
from gennas.diffusion.generator import Generator, load_generator
from gennas.diffusion.quality import Graphs, bound, unconditional_quality
from gennas.diffusion.settings import GeneratorTraining
from gennas.diffusion.training import DenoisingModule, train_generator, training_archs
from gennas.errors import InvalidInputError, StudyError
from gennas.graph import GraphBatch
from gennas.spaces import Space, get_space
from gennas.training.trainer import fit

QUICK = GeneratorTraining(steps=20, batch_size=16, width=16, layers=1)


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(generator: Generator, train: Graphs, held_out: Graphs) -> dict[str, Any]:
        return unconditional_quality(generator, train, held_out, draws=200)

    monkeypatch.setattr(module, "unconditional_quality", few)


def test_a_denoiser_learns_the_archs_it_sees(tmp_path: Path) -> None:
    space = mixed()
    # Of 48 archs only those whose first and third decisions go together: a denoiser must see one to know the other.
    archs = [arch for arch in space.enumerate() if (arch.ops[0] == "p") == ((0, 1) in arch.edges)]
    assert len(archs) == 24
    graphs = GraphBatch.from_archs(archs, space.template)
    torch.manual_seed(0)
    denoiser = Denoiser(space.template, width=16, layers=1, heads=2)
    every = graphs[torch.arange(24).repeat(40)]
    before = float(bound(denoiser, every, torch.Generator().manual_seed(0)).detach().mean())
    training = GeneratorTraining(steps=250, batch_size=64, learning_rate=1e-2)
    fit(
        DenoisingModule(space, denoiser, Graphs(*space.arrays(archs)), training),
        title="toy",
        size=24,
        steps=training.steps,
        batch_size=training.batch_size,
        seed=0,
        folder=tmp_path,
    )
    after = float(bound(denoiser, every, torch.Generator().manual_seed(0)).detach().mean())
    assert before > math.log(48) - 0.1
    assert after == pytest.approx(math.log(24), abs=0.15)
    # It stays until what came of the training is written: killed in between, nothing is trained twice.
    assert (tmp_path / "training.ckpt").exists()


def test_a_training_begun_with_another_network_is_told(tmp_path: Path) -> None:
    def begin(width: int) -> None:
        space, training = mixed(), GeneratorTraining(steps=4, batch_size=4, width=width)
        archs = Graphs(*space.arrays(list(space.enumerate())))
        learner = DenoisingModule(space, Denoiser(space.template, width), archs, training)
        fit(learner, title="toy", size=48, steps=4, batch_size=4, seed=0, folder=tmp_path)

    begin(8)
    with pytest.raises(StudyError, match=r"training\.ckpt was written by another version of gennas"):
        begin(16)


def test_the_tiny_generator_is_as_good_as_its_metrics_say(tiny_checkpoint: Path) -> None:
    metrics = json.loads((tiny_checkpoint / "generator" / "metrics.json").read_text())
    assert metrics["training_archs"] == 15_625
    assert metrics["bound_nats"] == pytest.approx(math.log(15_625), abs=0.1)
    assert metrics["valid_rate"] == 1.0
    assert metrics["distinct"] == pytest.approx(metrics["distinct_if_uniform"], rel=0.05)
    card = (tiny_checkpoint / "generator" / "README.md").read_text()
    assert f"{metrics['bound_nats']} +- {metrics['bound_nats_stderr']}" in card
    drawn = load_generator(tiny_checkpoint).sample(2000, seed=5)
    assert drawn.valid_rate == 1.0
    assert drawn.unique_rate > 0.9


def test_a_trained_part_is_loaded_and_other_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = get_space("nasbench201")
    first = train_generator(space, QUICK, seed=0, out=tmp_path)
    assert sorted(path.name for path in (tmp_path / "generator").iterdir()) == [
        "README.md",
        "config.json",
        "metrics.json",
        "model.safetensors",
    ]
    monkeypatch.setattr(module, "fit", lambda *args, **options: pytest.fail("it is trained already"))
    assert train_generator(space, QUICK, seed=0, out=tmp_path).sample(20) == first.sample(20)
    with pytest.raises(StudyError, match="seed was 0, is now 1"):
        train_generator(space, QUICK, seed=1, out=tmp_path)
    with pytest.raises(StudyError, match=r"training\.steps was 20, is now 21"):
        train_generator(space, replace(QUICK, steps=21), seed=0, out=tmp_path)


def test_a_stopped_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, steps = get_space("nasbench201"), []
    original = DenoisingModule.training_step

    def training_step(self: DenoisingModule, batch: Any, batch_idx: int) -> Any:
        steps.append(self.trainer.global_step)
        if self.trainer.global_step == 15 and stop:
            raise OSError("the lights went out")
        return original(self, batch, batch_idx)

    monkeypatch.setattr(DenoisingModule, "training_step", training_step)
    stop = True
    with pytest.raises(OSError, match="the lights went out"):
        train_generator(space, QUICK, seed=0, out=tmp_path)
    assert (tmp_path / "generator" / "begun.json").is_file()
    assert not (tmp_path / "generator" / "config.json").exists()
    with pytest.raises(StudyError, match="Choose another `out`"):
        train_generator(space, QUICK, seed=1, out=tmp_path)
    stop = False
    steps.clear()
    train_generator(space, QUICK, seed=0, out=tmp_path)
    assert steps == list(range(14, 20)), "from the last saved step, every other one"
    assert not (tmp_path / "generator" / "begun.json").exists()
    assert not (tmp_path / "generator" / "training.ckpt").exists()


def codes(space: Space, *parts: Graphs) -> list[set[bytes]]:
    return [{bytes(code) for code in part.codes(space)} for part in parts]


def test_a_space_that_cannot_be_enumerated_is_drawn_from() -> None:
    space, training = mixed(), replace(QUICK, archs=30)
    first, again, other = (training_archs(space, training, seed)[0] for seed in (0, 0, 1))
    assert len(first) == 30
    assert np.array_equal(first.ops, again.ops)
    assert np.array_equal(first.edges, again.edges)
    assert not np.array_equal(first.edges, other.edges)
    assert not len(training_archs(space, training, 0)[1])


def test_one_that_can_is_learnt_whole() -> None:
    space = get_space("nasbench201")
    train, held_out = training_archs(space, QUICK, 0)
    assert len(train) == len(codes(space, train)[0]) == 15_625
    assert len(held_out) == 0
    assert (
        codes(Twins(), training_archs(Twins(), QUICK, 0)[0])[0]
        == codes(Twins(), Graphs(*Twins().arrays(list(Twins().enumerate()))))[0]
    )


@pytest.mark.parametrize(
    ("space", "share"), [(get_space("nasbench201"), 0.5), (Twins(), 0.1), (Twins(), 0.5), (Twins(), 0.9)]
)
def test_what_is_held_out_is_not_learnt_and_nothing_is_lost(space: Space, share: float) -> None:
    training = replace(QUICK, held_out=share)
    train, held_out = training_archs(space, training, 3)
    ours, theirs = codes(space, train, held_out)
    assert len(held_out) == len(theirs) == round(share * space.size)
    assert len(ours) == len(train)
    assert not ours & theirs
    assert len(ours | theirs) == space.size
    again = training_archs(space, training, 3)
    assert np.array_equal(train.ops, again[0].ops)
    assert np.array_equal(held_out.edges, again[1].edges)
    assert codes(space, training_archs(space, training, 4)[1])[0] != theirs


def test_what_is_held_out_of_drawn_archs_is_not_learnt_either() -> None:
    # 400 draws from 48 archs: every one comes several times.
    space, training = mixed(), replace(QUICK, archs=400, held_out=0.5)
    train, held_out = codes(space, *training_archs(space, training, 0))
    assert held_out
    assert not train & held_out


def test_something_is_left_to_learn() -> None:
    train, held_out = training_archs(Twins(), replace(QUICK, held_out=0.99), 0)
    assert len(train) + len(held_out) == 36
    assert len(train) > 0, "held_out below 1 leaves something"


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5])
def test_shares_that_cannot_be_held_out(share: float) -> None:
    with pytest.raises(InvalidInputError, match=f"held_out is {share}; must be in .0, 1.[.]"):
        GeneratorTraining(held_out=share)


def test_interchangeable_slots_are_seen_under_every_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Twins()
    arch = space.arch(("in", "p", "q", "out"), [(0, 1), (1, 3), (2, 3)])
    mirrored = space.arch(("in", "q", "p", "out"), [(0, 2), (1, 3), (2, 3)])
    seen: list[Arch | None] = []

    def noted(denoiser: Denoiser, graph: GraphBatch) -> Tensor:
        seen.extend(graph.to_archs(space))
        return bound(denoiser, graph)

    monkeypatch.setattr(module, "bound", noted)
    torch.manual_seed(0)
    denoiser, training = Denoiser(space.template, width=16, layers=1), replace(QUICK, steps=150, learning_rate=1e-2)
    task = DenoisingModule(space, denoiser, Graphs(*space.arrays([arch])), training)
    fit(task, title="twins", size=1, steps=150, batch_size=16, seed=0, folder=tmp_path)
    assert set(seen) == {arch, mirrored}
    assert seen.count(arch) / len(seen) == pytest.approx(0.5, abs=0.05)
    archs = Generator(space, denoiser).sample(200).archs
    assert archs.count(arch) > 50
    assert archs.count(mirrored) > 50
    # So that a partial arch may use either.
    completed = Generator(space, denoiser).sample(50, fixed="one=q").archs
    assert completed.count(mirrored) > 40


def test_the_card_repeats_what_was_chosen(tmp_path: Path) -> None:
    training = replace(QUICK, steps=3, held_out=0.25)
    train_generator(get_space("nasbench201"), training, seed=7, out=tmp_path)
    card = (tmp_path / "generator" / "README.md").read_text()
    flags = (
        "--training.steps 3 --training.batch_size 16 --training.width 16 --training.layers 1 --training.held_out 0.25"
    )
    assert f"`gennas pretrain generator --space nasbench201 {flags} --seed 7`" in card
    assert "learning_rate" not in card
    metrics = json.loads((tmp_path / "generator" / "metrics.json").read_text())
    assert metrics["training_archs"] == 15_625 - 3906
    assert metrics["novel_rate"] == pytest.approx(0.25, abs=0.12)
    assert metrics["novel_if_uniform"] == pytest.approx(0.25, abs=1e-4)
    assert (
        f"| archs that were held out from training | {metrics['novel_rate']} | {metrics['novel_if_uniform']} |" in card
    )
    for name in metrics["distances"]:
        assert f"distance of {name.replace('_', ' ')}" in card


@pytest.mark.parametrize("name", ["steps", "batch_size", "learning_rate", "archs", "width", "layers"])
def test_settings_are_positive(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"training.{name} is 0; must be positive"):
        GeneratorTraining(**{name: 0})


def test_sampling_first_does_not_spoil_a_later_training() -> None:
    space = toy(mixed().template.__class__(**vars(mixed().template)))  # a template that nobody has asked about yet
    torch.manual_seed(0)
    denoiser = Denoiser(space.template, width=16, layers=1)
    archs = Generator(space, denoiser).sample(4).archs
    bound(denoiser.train(), GraphBatch.from_archs(archs, space.template)).mean().backward()
    assert all(parameter.grad is not None for parameter in denoiser.op_head.parameters())


class Mine(type(mixed())):  # type: ignore[misc]
    """A space of the user's own, found by module and class."""

    name = "mine"


def test_a_space_of_the_users_own_is_found_again(tmp_path: Path) -> None:
    training = replace(QUICK, steps=3, archs=30)
    train_generator(Mine(), training, seed=0, out=tmp_path)
    assert load_generator(tmp_path).space == Mine()


def test_heads_divide_the_width() -> None:
    with pytest.raises(InvalidInputError, match="width is 10; must be a multiple of 4"):
        GeneratorTraining(width=10)
