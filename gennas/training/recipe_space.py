"""RecipeSpace: settings of a recipe that are searched beside archs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

from gennas.arch import Arch
from gennas.errors import InvalidInputError, UnknownNameError, in_file, unknown
from gennas.settings import read_settings
from gennas.spaces import JointSpace, Space, get_space
from gennas.spaces.joint import Value
from gennas.training.recipe import Recipe

#: Settings that are no choices, and why.
_FIXED = {
    "seed": "it is that of the run",
    "teacher": "it is a folder; give it in the recipe",
    "inherit": "it is a folder or a word for all networks; give it in the recipe",
}
#: Settings that are fractions, whatever a file writes.
_NUMBERS = {field.name for field in fields(Recipe) if field.type == "float"}


@dataclass(frozen=True)
class RecipeSpace:
    """Settings of a recipe with the values that a search chooses from; all others are those of the search's recipe.

    .. code-block:: python

        recipes = RecipeSpace({"learning_rate": [0.001, 0.003, 0.01], "augmentation": ["none", "shift"]})
        problem = Problem(recipes.joined("nasbench201"), "digits")

    Dai et al., "FBNetV3: Joint Architecture-Recipe Search using Predictor Pretraining", CVPR 2021,
    https://arxiv.org/abs/2006.02049.

    Args:
        options: name of a setting of :class:`gennas.training.recipe.Recipe` -> at least two values.

    Raises:
        UnknownNameError: a setting that a recipe does not have; the nearest is suggested.
        InvalidInputError: a setting that cannot be chosen, fewer than two values, one of them twice, or one that the
            recipe refuses.
    """

    options: Mapping[str, Sequence[Value]]

    def __post_init__(self) -> None:
        if not isinstance(self.options, Mapping) or not self.options:
            raise InvalidInputError(
                f"is {self.options!r}; expected settings of a recipe with values, e.g. learning_rate: [0.001, 0.003].",
                argument="recipe_space",
            )
        named = {str(name).replace("-", "_"): values for name, values in self.options.items()}
        object.__setattr__(self, "options", {name: _values(name, values) for name, values in named.items()})
        self.check(Recipe())

    @classmethod
    def named(cls, path: str | Path) -> RecipeSpace:
        """The recipe space in a YAML file: a setting per line, with a list of its values.

        Raises:
            UnknownNameError, InvalidInputError: see the class; or the file cannot be read.
        """
        try:
            options = read_settings(Path(path), "settings of a recipe with their values, e.g. mixup: [0.0, 0.2]")
            return cls(options)
        except (InvalidInputError, UnknownNameError) as error:
            raise in_file(path, error, "recipe_space", "recipe_space.") from error

    def joined(self, space: Space | str, skeleton: str = "") -> JointSpace:
        """The archs of a space, each with a choice of these settings.

        Args:
            space: it, or its name as of :func:`gennas.spaces.get_space`.
            skeleton: settings of the network around the searched part, for a space given by its name.
        """
        return JointSpace.of(get_space(space, skeleton) if isinstance(space, str) else space, self.options)

    def check(self, recipe: Recipe) -> None:
        """Whether all choices can be made in a recipe.

        Raises:
            InvalidInputError: one cannot, or two of them not together.
        """
        for _ in self.recipes(recipe):
            pass

    def recipes(self, recipe: Recipe) -> Iterator[Recipe]:
        """A recipe with every single choice, and with every two: what a recipe refuses concerns no more settings.

        Raises:
            InvalidInputError: it is refused.
        """
        settings = [[(name, value) for value in values] for name, values in self.options.items()]
        for together in (1, 2):
            for names in combinations(settings, together):
                for chosen in product(*names):
                    yield _replaced(recipe, dict(chosen))


def joined_space(space: str, skeleton: str, recipes: Path | None) -> Space:
    """A space by its name, joined with the recipe space of a file if there is one.

    Raises:
        UnknownNameError, InvalidInputError: see :meth:`RecipeSpace.named` and :func:`gennas.spaces.get_space`.
    """
    named = get_space(space, skeleton)
    return named if recipes is None else RecipeSpace.named(recipes).joined(named)


def recipe_space_of(space: Space) -> RecipeSpace | None:
    """The settings that a joint space chooses from; None for any other."""
    return RecipeSpace(space.options) if isinstance(space, JointSpace) else None


def recipe_of(space: Space, arch: Arch, recipe: Recipe) -> Recipe:
    """The recipe that an arch's network is trained with: in a joint space with the arch's choices of its settings."""
    return _replaced(recipe, space.choices(arch)) if isinstance(space, JointSpace) else recipe


def _replaced(recipe: Recipe, chosen: Mapping[str, Any]) -> Recipe:
    try:
        return replace(recipe, **chosen)
    except InvalidInputError as error:
        name = (error.argument or "").removeprefix("recipe.")
        others = [f"{other} {value!r}" for other, value in chosen.items() if other != name]
        beside = f" It is chosen together with {' and '.join(others)}." if others else ""
        raise _refused(name, f"{error.message}{beside}") from error


def _values(name: str, values: object) -> tuple[Value, ...]:
    """The values of a setting as it holds them; raises what :class:`RecipeSpace` does."""
    known = [field.name for field in fields(Recipe) if field.name not in _FIXED]
    if name not in (*known, *_FIXED):
        raise unknown("setting of a recipe", name, known)
    if name in _FIXED:
        raise _refused(name, f"cannot be chosen: {_FIXED[name]}.")
    if not isinstance(values, list | tuple) or len(values) < 2:
        raise _refused(name, f"is {values!r}; expected a list of at least two values.")
    if any(not isinstance(value, bool | int | float | str) for value in values):
        raise _refused(name, f"is {values!r}; expected numbers or words.")
    # So that 1 and 1.0 are one choice, and written alike.
    is_whole = [name in _NUMBERS and isinstance(value, int) and not isinstance(value, bool) for value in values]
    found = tuple(float(value) if whole else value for value, whole in zip(values, is_whole, strict=True))
    if repeated := [value for value in found if found.count(value) > 1]:
        raise _refused(name, f"has {repeated[0]!r} twice; expected distinct values.")
    return found


def _refused(name: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, argument=f"recipe_space.{name}")
