"""The encoder: deterministic, little changed by more images, and clear about what it cannot encode."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from gennas.errors import DataMissingError, InvalidInputError
from gennas.predictors.task_encoder import encode_task, encoder, probe_networks, weights_found
from gennas.tasks import ImageSource, Split, Splits, Task, get_task

pytestmark = pytest.mark.skipif(not weights_found(), reason="pretrained weights are not installed")


@pytest.fixture(autouse=True)
def _few_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_networks, "PROBES", {"skip": probe_networks.PROBES["skip"]})
    monkeypatch.setattr(encoder, "LEAST_IMAGES", 0)


@dataclass(frozen=True)
class Squares(ImageSource):
    """A bright square at the left or at the right, in colour or grey."""

    count: int = 80
    channels: int = 3

    def read(self, seed: int) -> Splits:
        rng = np.random.default_rng(7)
        labels = np.arange(self.count) % 2
        images = rng.integers(0, 90, (self.count, self.channels, 20, 20))
        for image, label in zip(images, labels, strict=True):
            image[:, 4:12, 3 + 8 * label : 9 + 8 * label] += 120
        split = Split(images.astype(np.uint8), labels)
        return Splits(split, split, split)


SQUARES = Task("squares", (3, 20, 20), 2, ("left", "right"), Squares())


def test_the_same_seed_gives_the_same_encoding() -> None:
    one, other = encode_task(SQUARES), encode_task(SQUARES)
    assert one.facts == other.facts
    assert one.features.shape == (40, 1280)
    assert encode_task(SQUARES, seed=1).facts != one.facts


def test_facts_say_what_the_task_is() -> None:
    facts = encode_task(SQUARES).facts
    assert facts["classes"] == pytest.approx(np.log(2))
    assert facts["images"] == pytest.approx(np.log(80))
    assert facts["resolution"] == pytest.approx(np.log(20))
    # Where the square is shows in the pixels and in no average of them.
    assert facts["view_pixels"] > 3 > facts["view_means"] + 2


def test_more_images_change_little() -> None:
    few, many = (encode_task(get_task("digits", image_size=16), per_class=count).facts for count in (8, 16))
    names = [name for name in few if name.startswith("view_")]
    one, other = (np.array([facts[name] for name in names]) for facts in (few, many))
    assert np.corrcoef(one, other)[0, 1] > 0.9
    assert np.abs(one - other).mean() < 0.8


def test_grey_images_are_encoded() -> None:
    grey = replace(SQUARES, input_shape=(1, 20, 20), source=Squares(channels=1))
    facts = encode_task(grey).facts
    assert (facts["channels"], facts["view_pixels"] > 3) == (0.0, True)


def test_a_task_without_images_is_refused() -> None:
    with pytest.raises(DataMissingError, match="without images"):
        encode_task(replace(SQUARES, source=None))
    with pytest.raises(InvalidInputError, match="needs images"):
        encode_task(get_task("cora"))


def test_a_task_with_one_image_a_class_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="two images each"):
        encode_task(replace(SQUARES, source=Squares(2)))
