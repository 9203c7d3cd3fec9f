"""Supernets on disk: whole, damaged, of other tasks."""

import json
from dataclasses import replace

import pytest
import torch
from supernet_toys import stripes, supernet_of

from gennas.errors import DataMissingError, InvalidInputError, UnknownNameError
from gennas.spaces import get_space
from gennas.supernets.of_space import supernet_of as any_supernet
from gennas.supernets.stored import FACTS, WEIGHTS, fingerprint, holds_supernet, load_supernet, save_supernet


def test_what_is_stored_is_read(tmp_path):
    supernet = supernet_of()
    assert not holds_supernet(tmp_path)
    save_supernet(supernet, tmp_path, {"seconds": 3.0})
    assert holds_supernet(tmp_path)
    facts = json.loads((tmp_path / FACTS).read_text())
    assert facts["task"]["class_names"] == ["left", "middle", "right"]
    assert (facts["seconds"], facts["fingerprint"]) == (3.0, fingerprint(tmp_path))
    loaded = load_supernet(tmp_path, stripes())
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(loaded(x, loaded.largest()), supernet(x, supernet.largest()))


def test_the_skeleton_is_kept(tmp_path):
    space, task = get_space("nasbench201", "channels=4,cells=1"), stripes(12)
    save_supernet(any_supernet(space, task), tmp_path)
    assert load_supernet(tmp_path, task).space == space


def test_other_weights_have_another_fingerprint(tmp_path):
    first = fingerprint(save_supernet(supernet_of(), tmp_path / "a"))
    assert fingerprint(save_supernet(supernet_of(), tmp_path / "b")) == first
    assert fingerprint(save_supernet(supernet_of(seed=1), tmp_path / "b")) != first


@pytest.mark.parametrize("damage", ["cut", "missing", "other", "json"])
def test_damaged_files_are_named(tmp_path, damage):
    save_supernet(supernet_of(), tmp_path)
    weights = tmp_path / WEIGHTS
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "missing":
        weights.unlink()
    elif damage == "other":
        save_supernet(any_supernet(get_space("nasbench201", "channels=4,cells=1"), stripes()), tmp_path / "b")
        (tmp_path / "b" / WEIGHTS).rename(weights)
    else:
        (tmp_path / FACTS).write_text("{")
    with pytest.raises(DataMissingError, match="adapt"):
        load_supernet(tmp_path, stripes())


def test_other_tasks_and_versions_are_refused(tmp_path):
    with pytest.raises(DataMissingError, match="there is no supernet"):
        load_supernet(tmp_path, stripes())
    save_supernet(supernet_of(), tmp_path)
    with pytest.raises(InvalidInputError, match="adapted to stripes with 3 classes, not to stripes with 4"):
        load_supernet(tmp_path, replace(stripes(), num_classes=4))
    facts = json.loads((tmp_path / FACTS).read_text())
    (tmp_path / FACTS).write_text(json.dumps({**facts, "space": "unheard_of"}))
    with pytest.raises(UnknownNameError, match="unheard_of"):
        load_supernet(tmp_path, stripes())
    (tmp_path / FACTS).write_text(json.dumps({**facts, "format": 0}))
    with pytest.raises(InvalidInputError, match="has format 0"):
        load_supernet(tmp_path, stripes())
