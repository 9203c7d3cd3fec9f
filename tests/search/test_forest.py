"""Fast predictions of a forest are the forest's."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from gennas.search.forest import foretold


def test_what_is_foretold_is_what_the_forest_predicts() -> None:
    rng = np.random.default_rng(0)
    inputs, values = rng.normal(size=(50, 4)), rng.normal(size=50)
    forest = ExtraTreesRegressor(20, random_state=0).fit(inputs, values)
    asked = rng.normal(size=(30, 4))
    np.testing.assert_allclose(foretold(forest.estimators_, asked), forest.predict(asked))
