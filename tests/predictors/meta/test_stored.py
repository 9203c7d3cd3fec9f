"""A stored meta-predictor forecasts what it forecast before, and a damaged one says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from meta_world import FACTS, NB201, SIZED, World, facts_of

from gennas.errors import DataMissingError
from gennas.predictors.meta.arch_basis import ArchBasis
from gennas.predictors.meta.predictor import MetaPredictor
from gennas.predictors.meta.stored import StoredMeta


def test_what_is_read_forecasts_what_was_written(tmp_path: Path) -> None:
    world = World(ArchBasis.of_space(NB201, SIZED, width=8))
    known = world.tasks(10, 30)
    meta = MetaPredictor.fit(world.basis, FACTS, known).with_std_scale(1.3, 1.7)
    assert StoredMeta.find(tmp_path) is None
    folder = StoredMeta(meta, NB201.skeleton, (3, 16, 16), "tiny", {"seed": 0}).save(tmp_path, {"tau": 0.5}, "A card.")
    found = StoredMeta.find(tmp_path)
    assert found is not None
    assert (found.recipe, dict(found.skeleton), found.input_shape) == ("tiny", NB201.skeleton, (3, 16, 16))
    archs = [NB201.sample(np.random.default_rng(1)) for _ in range(5)]
    for count in (0, 2):
        before, after = (
            one.forecast(facts_of(known[0])).updated(archs[:count], np.full(count, 0.5)).logits(archs)
            for one in (meta, found.meta)
        )
        for one, other in zip(before, after, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3e6
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"format": 2', '"format": 3'))
    with pytest.raises(DataMissingError, match="has format 3, not 2: another version of gennas made it"):
        StoredMeta.find(tmp_path)
    (folder / "config.json").write_text(config)
    (folder / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataMissingError, match="damaged"):
        StoredMeta.find(tmp_path)
