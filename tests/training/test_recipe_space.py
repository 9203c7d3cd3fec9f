"""Recipes that are searched: what may be chosen, and which recipe an arch is trained by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gennas.errors import InvalidInputError, UnknownNameError
from gennas.spaces import get_space
from gennas.spaces.joint import Value
from gennas.training.recipe import Recipe
from gennas.training.recipe_space import RecipeSpace, joined_space, recipe_of, recipe_space_of

OPTIONS: dict[str, list[Value]] = {
    "learning_rate": [1, 0.003],
    "augmentation": ["none", "flip+crop"],
    "decay-norms": [True, False],
}


def test_an_arch_is_trained_by_its_own_recipe() -> None:
    space = RecipeSpace(OPTIONS).joined("nasbench201", "channels=4,cells=1")
    arch = space.joined(
        space.arch_space.sample(np.random.default_rng(0)),
        {"learning_rate": 1.0, "augmentation": "none", "decay_norms": False},
    )
    base = Recipe(epochs=3)
    assert arch.key.endswith(" @ learning_rate:1.0 augmentation:none decay_norms:false")
    found = recipe_of(space, arch, base)
    assert found == replace(base, learning_rate=1.0, augmentation="none", decay_norms=False)
    assert recipe_of(space.arch_space, space.network_arch(arch), base) is base
    # A choice of what the recipe has anyway is that very recipe.
    same = space.joined(space.network_arch(arch), {"learning_rate": 0.003, "augmentation": "none", "decay_norms": True})
    assert recipe_of(space, same, base).hash == replace(base, augmentation="none").hash
    assert recipe_space_of(space) == RecipeSpace(OPTIONS)
    assert recipe_space_of(space.arch_space) is None


def test_a_recipe_space_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "recipes.yaml"
    file.write_text("learning_rate: [1, 0.003]\naugmentation: [none, flip+crop]\ndecay-norms: [true, false]\n")
    assert RecipeSpace.named(file) == RecipeSpace(OPTIONS)
    assert joined_space("nasbench201", "cells=1", file) == RecipeSpace(OPTIONS).joined("nasbench201", "cells=1")
    assert joined_space("nasbench201", "cells=1", None) == get_space("nasbench201", "cells=1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "recipe_space is {}; expected settings of a recipe with values"),
        ({"learning_rat": [1, 2]}, "unknown setting of a recipe 'learning_rat'. Did you mean 'learning_rate'"),
        ({"epochs": [5]}, "recipe_space.epochs is [5]; expected a list of at least two values"),
        ({"epochs": 5}, "recipe_space.epochs is 5; expected a list of at least two values"),
        ({"epochs": [5, 5]}, "recipe_space.epochs has 5 twice"),
        ({"learning_rate": [1, 1.0]}, "recipe_space.learning_rate has 1.0 twice"),
        ({"epochs": [5, 0]}, "recipe_space.epochs is 0; expected at least 1"),
        ({"epochs": [5, "many"]}, "recipe_space.epochs is 'many'; expected an integer"),
        ({"optimiser": ["sgd", "lion"]}, "recipe_space.optimiser is 'lion'; expected one of sgd, adamw"),
        ({"epochs": [5, [6]]}, "recipe_space.epochs is [5, [6]]; expected numbers or words"),
        ({"seed": [1, 2]}, "recipe_space.seed cannot be chosen: it is that of the run"),
        ({"teacher": ["a", "b"]}, "recipe_space.teacher cannot be chosen: it is a folder"),
        (
            {"views": [0, 4], "mixup": [0, 0.2]},
            "recipe_space.mixup is 0.2; expected 0, as views are shown as they are. It is chosen together with views 4",
        ),
    ],
)
def test_what_cannot_be_chosen(options: dict[str, list[object]], message: str) -> None:
    with pytest.raises((InvalidInputError, UnknownNameError)) as caught:
        RecipeSpace(options)  # type: ignore[arg-type]
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate: 0.003\n", ": learning_rate is 0.003; expected a list of at least two values."),
        ("learning_rat: [1, 2]\n", ": unknown setting of a recipe 'learning_rat'. Did you mean 'learning_rate'?"),
        (
            "- 1\n",
            " is damaged (it holds list); expected settings of a recipe with their values, e.g. mixup: [0.0, 0.2].",
        ),
        (
            None,
            " cannot be read: No such file or directory; expected a YAML file of settings of a recipe with their val",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "recipes.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises((InvalidInputError, UnknownNameError)) as caught:
        RecipeSpace.named(file)
    assert str(caught.value).startswith(f"recipe_space {file}{message}")
    assert caught.value.argument == "recipe_space"


def test_choices_are_checked_against_the_recipe_of_the_search() -> None:
    recipes = RecipeSpace({"mixup": [0.0, 0.2]})
    recipes.check(Recipe())
    with pytest.raises(InvalidInputError, match=r"recipe_space\.mixup is 0\.2; expected 0, as views"):
        recipes.check(Recipe(views=4))
