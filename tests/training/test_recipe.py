"""Recipes by name, from files, and hashes that stay where nothing changes."""

from dataclasses import replace
from pathlib import Path

import pytest

from gennas.errors import InvalidInputError, UnknownNameError
from gennas.training.recipe import RECIPES, Recipe


def test_the_default_is_quick_with_the_hash_of_earlier_versions() -> None:
    assert Recipe() == Recipe.named("quick") == RECIPES["quick"]
    assert Recipe().hash == "8ba49b46d9e5"
    assert set(Recipe().settings) == {
        *("optimiser", "learning_rate", "momentum", "weight_decay", "schedule", "warmup_epochs", "epochs"),
        *("batch_size", "augmentation", "label_smoothing", "seed"),
    }


def test_named_recipes_differ_and_cost_more_and_more() -> None:
    assert list(RECIPES) == ["quick", "standard", "thorough", "tiny"]
    epochs = [recipe.epochs for name, recipe in RECIPES.items() if name != "tiny"]
    assert epochs == sorted(set(epochs))
    with pytest.raises(UnknownNameError, match=r"unknown recipe 'thoroug'. Did you mean 'thorough'"):
        Recipe.named("thoroug")


def test_a_recipe_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: thorough\nepochs: 5\nlabel-smoothing: 0.2\n")
    (tmp_path / "plain.yaml").write_text("optimiser: sgd\n")
    (tmp_path / "above.yaml").write_text("base: mine.yaml\nmixup: 0.3\n")
    mine = replace(RECIPES["thorough"], epochs=5, label_smoothing=0.2)
    assert Recipe.named(tmp_path / "mine.yaml") == mine
    assert Recipe.named(str(tmp_path / "plain.yaml")) == Recipe(optimiser="sgd")
    assert Recipe.named(tmp_path / "above.yaml") == replace(mine, mixup=0.3)
    assert Recipe.of({"base": "standard", "epochs": 2}) == replace(RECIPES["standard"], epochs=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 5\n", "unknown setting of a recipe 'epoch'. Did you mean 'epochs'"),
        ("epochs: many\n", "recipe.epochs is 'many'; expected an integer"),
        ("epochs: true\n", "recipe.epochs is True; expected an integer"),
        ("learning_rate: fast\n", "recipe.learning_rate is 'fast'; expected a finite number"),
        ("decay_norms: 1\n", "recipe.decay_norms is 1; expected true or false"),
        ("teacher: 5\n", "recipe.teacher is 5; expected the folder of a trained network"),
        ("- 1\n", "is damaged"),
        ("base: mine.yaml\n", "is based on itself"),
        ("base: slow\n", "unknown recipe"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises((InvalidInputError, UnknownNameError)) as caught:
        Recipe.named(tmp_path / "mine.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"recipe {tmp_path / 'mine.yaml'}")


def test_the_file_at_fault_is_named(tmp_path: Path) -> None:
    (tmp_path / "above.yaml").write_text("base: below.yaml\n")
    with pytest.raises(InvalidInputError) as caught:
        Recipe.named(tmp_path / "above.yaml")
    assert str(caught.value).startswith(f"recipe {tmp_path / 'below.yaml'} cannot be read: No such file")
    (tmp_path / "below.yaml").write_text("epochs: 0\n")
    with pytest.raises(InvalidInputError) as caught:
        Recipe.named(tmp_path / "above.yaml")
    assert str(caught.value).startswith(f"recipe {tmp_path / 'below.yaml'}: recipe.epochs is 0; expected")


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("decay_share", 0.0, "above 0 and at most 1"),
        ("ema_epochs", -1.0, "at least 0"),
        ("randaugment", 11, "0 to 10"),
        ("magnitude", 10.5, "in [0, 10]"),
        ("mixup", float("inf"), "a finite number"),
        ("class_weights", "equal", "one of none, balanced"),
        ("precision", "int8", "one of float32, bfloat16, float16"),
        ("clip_norm", -0.1, "at least 0"),
        ("patience", 1.5, "an integer"),
        ("teacher_weight", 1.1, "in [0, 1]"),
        ("teacher_temperature", 0, "above 0"),
    ],
)
def test_later_settings_are_checked(setting: str, value: object, expected: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        replace(Recipe(), **{setting: value})  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"recipe.{setting} is {value!r}; expected ")
    assert expected in str(caught.value)


def test_stable_then_decay() -> None:
    recipe = Recipe(schedule="warmup-stable-decay", warmup_epochs=1, epochs=10, decay_share=0.4)
    factors = [recipe.learning_rate_factor(epoch) for epoch in (0.5, 1, 6, 7, 8.25, 10)]
    assert factors == pytest.approx([0.5, 1, 1, 0.5, 0.25, 0])
    # The warm-up is not cut short by a decay that would begin within it.
    late = replace(recipe, warmup_epochs=8, decay_share=1.0)
    assert [late.learning_rate_factor(epoch) for epoch in (4, 8, 8.5, 10)] == pytest.approx([0.5, 1, 0.5, 0])


def test_a_teacher_is_told_by_its_weights(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "network.safetensors").write_bytes(content)
    a, b, c = (replace(Recipe(), teacher=str(tmp_path / name)) for name in "abc")
    assert a.hash == b.hash
    assert len({a.hash, c.hash, Recipe().hash, replace(a, teacher_weight=0.9).hash}) == 4
    assert str(tmp_path) not in str(a.settings)
    with pytest.raises(InvalidInputError, match=r"recipe.teacher is .*which has no network.safetensors; expected"):
        _ = replace(Recipe(), teacher=str(tmp_path / "d")).hash
