"""The values of a metric that a study holds, as evidence: means over seeds of what can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from gennas.arch import Arch
from gennas.errors import InvalidArchError, InvalidInputError, short
from gennas.metrics import implausible
from gennas.spaces import JointSpace, Space
from gennas.studies.study import Study
from gennas.training.recipe import settings_hash


@dataclass(frozen=True)
class Means:
    """Values of archs that can be compared.

    Attributes:
        values: arch -> mean true value.
        note: a sentence on what is left out; empty where nothing is.
        recipes: hash and seed of each recipe by which they were trained, as rows have them.
    """

    values: Mapping[Arch, float]
    note: str = ""
    recipes: frozenset[tuple[str, int]] = frozenset()


def comparable_means(study: Study, space: Space, metric: str, but: str = "") -> Means:
    """Mean true value of every arch of which a study knows the metric, not counting those of one source.

    Only values of one source, one length of training and one recipe can be compared, whatever its seed: those that most
    archs have, of equally many the longer. Archs that choose their recipe are compared whatever it is.
    """
    frame, folder = study.frame(), study.folder
    true, note = frame[(frame["metric"] == metric) & ~frame["source"].isin(["predicted", but])], ""
    if len(true):
        if isinstance(space, JointSpace):
            true = true.assign(fidelity=0, recipe="")
        true = true.assign(recipe=_seedless(study, true))
        settings = ["source", "fidelity", "recipe"]
        archs = true.groupby(settings)["arch"].nunique()
        source, fidelity, recipe = max(archs.index, key=lambda group: (archs[group], group[1], group))
        used = true[(true["source"] == source) & (true["fidelity"] == fidelity) & (true["recipe"] == recipe)]
        if left := true["arch"].nunique() - used["arch"].nunique():
            note = (
                f"{metric} of {left} archs in {folder} is not used: it is of other trainings than that of most archs."
            )
        true = used
    found: dict[Arch, list[float]] = {}
    for key, value in zip(true["arch"], true["value"], strict=True):
        try:
            (arch,) = space.canonicalised([space.parse(str(key))])
        except InvalidArchError as error:
            raise InvalidInputError(f"{folder}: {error}", argument="evaluated") from error
        if defect := defect_of(arch, metric, float(value)):
            raise InvalidInputError(f"{folder}: {defect}.", argument="evaluated")
        found.setdefault(arch, []).append(float(value))
    # As they are stored: those above are the same for all seeds.
    trained = frame.loc[true.index]
    by = zip(trained["recipe"], trained["seed"], strict=True)
    recipes = frozenset((str(recipe), int(seed)) for recipe, seed in by if recipe)
    return Means({arch: float(np.mean(values)) for arch, values in found.items()}, note, recipes)


def _seedless(study: Study, rows: pd.DataFrame) -> list[str]:
    """Recipes of rows, the same for all seeds: a recipe's hash is of its seed, too."""
    stored = study.config.get("recipe")
    columns = zip(rows["recipe"], rows["seed"], rows["fidelity"], strict=True)
    if not isinstance(stored, Mapping):
        return [str(recipe) for recipe, _, _ in columns]

    @cache
    def own(seed: int, epochs: int) -> str:
        return settings_hash({**stored, "seed": seed, "epochs": epochs or stored.get("epochs")})

    return ["" if recipe == own(int(seed), int(epochs)) else str(recipe) for recipe, seed, epochs in columns]


def defect_of(arch: Arch, name: str, value: object) -> str:
    """What is wrong with a value, with the arch; empty where nothing is."""
    defect = implausible(name, value)
    return f"{short(arch.key)}: {defect}" if defect else ""
