"""What becomes of an image file: its formats, modes and sizes, and the files that are none."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gennas.tasks import decoding
from gennas.tasks.decoding import UnreadableError, decode, head_defect


def picture(width: int = 12, height: int = 10) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def decoded(image: Image.Image, path: Path, **how: object) -> np.ndarray:
    image.save(path, **how)  # type: ignore[arg-type]
    return decode(str(path), 8)[0]


def reason(path: Path) -> str:
    with pytest.raises(UnreadableError) as caught:
        decode(str(path), 8)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.webp", "a.ppm", "a.tga", "a.pcx", "a.sgi", "a.qoi"])
def test_formats_without_loss_give_the_same_pixels(tmp_path: Path, name: str) -> None:
    how = {"lossless": True} if name.endswith("webp") else {}
    expected = np.asarray(picture().resize((8, 8), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(decoded(picture(), tmp_path / name, **how), expected)


@pytest.mark.parametrize("name", ["a.jpg", "a.jp2", "a.avif", "a.gif", "a.mpo"])
def test_other_formats_give_nearly_the_same(tmp_path: Path, name: str) -> None:
    if name.removeprefix("a.") == "avif" and "AVIF" not in decoding._formats(False):
        pytest.skip("this Pillow reads no AVIF")
    smooth = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    expected = np.asarray(smooth.resize((8, 8), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(decoded(smooth, tmp_path / name).astype(int) - expected).mean() < 4


def test_the_content_says_the_format_and_not_the_name(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.webp", lossless=True)
    for name in ("a.jpg", "photo.JPG", "photo"):
        (tmp_path / name).write_bytes((tmp_path / "a.webp").read_bytes())
        assert np.array_equal(decode(str(tmp_path / name), 8)[0], decode(str(tmp_path / "a.webp"), 8)[0])


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA", "YCbCr"])
def test_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    image = picture().convert(mode)
    name = "a.tif" if mode in ("CMYK", "YCbCr") else "a.png"
    expected = image.convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)
    assert np.abs(decoded(image, tmp_path / name).transpose(1, 2, 0).astype(int) - np.asarray(expected)).max() <= 1


def test_alpha_is_composited_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (decoded(clear, tmp_path / "a.png") == 255).all()
    half = Image.new("LA", (8, 8), (0, 128))
    assert (decoded(half, tmp_path / "b.png") == 127).all()
    keyed = Image.new("P", (8, 8), 0)
    assert (decoded(keyed, tmp_path / "c.gif", transparency=0) == 255).all()
    key_of_rgb = Image.new("RGB", (8, 8), (1, 2, 3))
    assert (decoded(key_of_rgb, tmp_path / "d.png", transparency=(1, 2, 3)) == 255).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_scaled_by_their_range(tmp_path: Path, name: str) -> None:
    values = np.repeat(np.linspace(0, 65535, 8).astype(np.uint16)[None], 8, axis=0)
    found = decoded(Image.fromarray(values), tmp_path / name)
    assert found[0, 0].tolist() == (values[0] // 257).tolist()


def test_heads_say_why_files_are_no_images(tmp_path: Path) -> None:
    picture(8, 8).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "c.txt").write_text("no image")
    (tmp_path / "e.png").mkdir()
    found = {name: head_defect(str(tmp_path / name)) for name in ("a.png", "b.jpg", "c.txt", "d.png", "e.png")}
    assert found == {
        "a.png": "",
        "b.jpg": "damaged",
        "c.txt": "not an image",
        "d.png": "not there",
        "e.png": "a folder",
    }


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_32_bits_have_no_range(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.full((8, 8), 100_000, dtype=dtype)).save(tmp_path / "a.tif")
    assert reason(tmp_path / "a.tif") == "32-bit pixels, whose range is not known"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_turns_an_image_and_broken_exif_does_not_lose_it(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert decode(str(tmp_path / "a.jpg"), 8)[1] == (10, 20)
    image.save(tmp_path / "b.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(str(tmp_path / "b.jpg"), 8)[1] == (20, 10)


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        red, _, blue = decode(str(tmp_path / name), 8)[0].reshape(3, -1).mean(1)
        assert red > 200 > 50 > blue, name


def test_files_that_are_no_images_say_why(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    picture(64, 64).save(whole)
    cases = {
        "cut.jpg": (whole.read_bytes()[:-200], "damaged"),
        "page.jpg": (b"<html>404 Not Found</html>", "not an image"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + b"\0" * 40, "HEIC, which has to be converted to JPEG first"),
        "logo.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, which has to be converted to PNG first"),
        "head.png": (b"\x89PNG\r\n\x1a\n", "damaged"),
    }
    for name, (content, expected) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert reason(tmp_path / name) == expected, name
    assert reason(tmp_path / "missing.png") == "not there"


def test_no_plugin_runs_that_starts_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", started)
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert reason(tmp_path / "a.jpg") == "not an image"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_500, 13_300, 14_000])  # Pillow warns of the first two, and refuses the third.
def test_huge_images_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    content = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + b"IHDR" + content + struct.pack(">I", zlib.crc32(b"IHDR" + content))
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + struct.pack(">I", 0) + b"IDAT")
    monkeypatch.setattr(Image.Image, "load", None)
    assert reason(tmp_path / "big.png") == "larger than 89 megapixels"


def test_a_huge_jpeg_is_decoded_at_half_its_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gradient = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
    gradient.save(tmp_path / "a.jpg", quality=95)
    whole = decode(str(tmp_path / "a.jpg"), 8).pixels
    sizes = []
    resized = decoding._resized
    monkeypatch.setattr(decoding, "MOST_PIXELS", 640 * 480 - 1)
    monkeypatch.setattr(decoding, "_resized", lambda image, size: (sizes.append(image.size), resized(image, size))[1])
    half, size, _ = decode(str(tmp_path / "a.jpg"), 8)
    assert sizes == [(320, 240)]
    assert size == (640, 480)
    assert np.abs(half.astype(int) - whole).max() <= 2
    gradient.save(tmp_path / "b.jpg", progressive=True)
    assert reason(tmp_path / "b.jpg") == "larger than 0 megapixels"


def test_formats_whose_decoders_take_more_memory_have_a_lower_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_HEAVY_PIXELS", 99)
    for name in ("a.webp", "a.jp2"):
        picture(10, 10).save(tmp_path / name)
        assert reason(tmp_path / name) == "larger than 0 megapixels"
    decoded(picture(10, 10), tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "I;16"])
def test_strips_give_nearly_what_the_whole_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    smooth = Image.linear_gradient("L").resize((203, 155))
    image = Image.fromarray(np.asarray(smooth).astype(np.uint16) * 257) if mode == "I;16" else smooth.convert(mode)
    if mode == "RGBA":
        image.putalpha(smooth)
    whole = decoded(image, tmp_path / "a.tif")
    monkeypatch.setattr(decoding, "_WHOLE", 1000)
    monkeypatch.setattr(decoding, "_STRIP", 900)
    assert np.abs(decode(str(tmp_path / "a.tif"), 8)[0].astype(int) - whole).max() <= 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    assert reason(tmp_path / "a.png") == "no permission"
