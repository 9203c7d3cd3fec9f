"""Raw pixels in the model: as the reader of images does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from torch import nn

from gennas.errors import InvalidInputError
from gennas.export.onnx import to_onnx
from gennas.export.preprocessing import Preprocessing, with_preprocessing
from gennas.tasks.decoding import decode

SIDE = 24
HOW = Preprocessing((3, SIDE, SIDE), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), {})


@pytest.fixture(scope="module")
def model() -> onnxruntime.InferenceSession:
    """Returns the normalised pixels themselves, so that every grey level is seen."""
    return onnxruntime.InferenceSession(with_preprocessing(to_onnx(nn.Flatten(), HOW.shape, batch=None), HOW))


def levels(logits: np.ndarray) -> np.ndarray:
    """Normalised pixels as grey levels."""
    mean, std = (np.array(values)[:, None, None] for values in (HOW.mean, HOW.std))
    return (logits.reshape(-1, 3, SIDE, SIDE) * std + mean) * 255


@pytest.mark.parametrize("size", [(24, 24), (48, 96), (100, 31), (301, 25), (7, 9), (24, 200), (1, 1)])
def test_raw_pixels_are_resized_as_files_are(
    model: onnxruntime.InferenceSession, size: tuple[int, int], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    read = decode(str(tmp_path / "image.png"), SIDE).pixels
    found = levels(model.run(None, {"raw_images": pixels[None]})[0])[0]
    apart = np.abs(found - read)
    # One grey level apart at most: both round after each of two passes.
    assert apart.max() < 1.01
    assert (apart > 0.5).mean() < 0.25


def test_images_of_one_size_are_a_batch(model: onnxruntime.InferenceSession) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    together = model.run(None, {"raw_images": pixels})[0]
    alone = [model.run(None, {"raw_images": image[None]})[0] for image in pixels]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)


def test_only_colour_has_raw_pixels() -> None:
    grey = Preprocessing((1, 8, 8), (0.5,), (0.2,), {})
    with pytest.raises(InvalidInputError, match="raw_images is for images in colour"):
        with_preprocessing(to_onnx(nn.Flatten(), grey.shape, batch=None), grey)
