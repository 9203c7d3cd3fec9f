"""What becomes of an image file: decoded, upright, on white, in RGB, and resized to a square."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

#: Formats that are told by their first bytes and decoded in this process. Others may run programs (EPS) or read
#: further files (SPIDER), or take anything for theirs.
FORMATS = (
    "AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI", "TIFF", "WEBP",
)  # fmt: skip
#: Pillow's bound against decompression bombs. A baseline JPEG may have twice as many: it is decoded at half its side.
MOST_PIXELS = 89_478_485
#: The decoders of these formats take 10 to 20 bytes a pixel, in place of 4 to 7.
_HEAVY, _HEAVY_PIXELS = ("AVIF", "JPEG2000", "WEBP"), MOST_PIXELS // 3
#: Images with more pixels are converted in strips, so that they are in memory only once.
_WHOLE = 25_000_000
_STRIP = 2_000_000

#: What :func:`decode` does, as stored with a trained network.
STEPS = {
    "frame": "the first",
    "orientation": "upright, as EXIF says",
    "channels": "RGB",
    "alpha": "composited on white",
    "16_bit": "divided by 257",
    "resize": "bilinear, antialiased, to the full size; the aspect ratio is not kept",
    "crop": None,
    "padding": None,
}


class UnreadableError(Exception):
    """A file cannot be used; the message says why, in a few words."""


class Picture(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: ``(3, side, side)`` uint8.
        size: the image's own width and height in pixels.
        extremes: least and largest value of the file, where it has 16 bits a pixel.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    extremes: tuple[int, int] | None


def decode(path: str, size: int) -> Picture:
    """An image file as an array.

    Args:
        path: of the file.
        size: side in pixels.

    Raises:
        UnreadableError: it cannot be used.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=_formats(path.lower().endswith(".tga"))) as image:
            width, height = image.size
            if image.format in _HEAVY and width * height > _HEAVY_PIXELS:
                raise UnreadableError(_too_large(_HEAVY_PIXELS))
            if width * height > MOST_PIXELS:
                _reduce(image)
            image.load()
            if _turn_upright(image):
                width, height = height, width
            extremes = _extremes(image)
            return Picture(np.asarray(_resized(image, size)).transpose(2, 0, 1), (width, height), extremes)
    except Exception as error:
        raise UnreadableError(_reason(error, path)) from error


def _extremes(image: Image.Image) -> tuple[int, int] | None:
    """Least and largest value of a grey image of 16 bits; None of any other."""
    if not image.mode.startswith("I"):
        return None
    values = np.asarray(image)
    return int(values.min()), int(values.max())


def head_defect(path: str) -> str:
    """Why a file cannot be decoded, as far as its head says; empty where it says nothing against it."""
    from PIL import Image

    try:
        with Image.open(path, formats=_formats(path.lower().endswith(".tga"))):
            return ""
    except Exception as error:
        return _reason(error, path)


def _reason(error: Exception, path: str) -> str:
    """Why a file cannot be used, in a few words."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnreadableError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return _kind_of(path)
    if isinstance(error, Image.DecompressionBombError):
        return _too_large(MOST_PIXELS)
    if isinstance(error, PermissionError):
        return "no permission"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    # Pillow's decoders raise many different exceptions for damaged files.
    return "not there" if isinstance(error, FileNotFoundError) else "damaged"


def dimensions(path: str) -> tuple[int, int] | None:
    """Width and height as an image file's head says; None where it is none, or too large."""
    from PIL import Image

    try:
        with Image.open(path, formats=_formats(path.lower().endswith(".tga"))) as image:
            return image.size if image.width * image.height <= MOST_PIXELS else None
    except Exception:
        return None


@cache
def _formats(is_tga: bool) -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    # TGA has no first bytes of its own, so its name has to say it.
    return tuple(name for name in (*FORMATS, *(("TGA",) if is_tga else ())) if name in Image.OPEN)


def _too_large(bound: int) -> str:
    return f"larger than {bound // 1_000_000} megapixels"


def _reduce(image: Image.Image) -> None:
    """Has a huge JPEG decoded at half its side."""
    # A progressive one is in memory as a whole nevertheless.
    if image.format not in ("JPEG", "MPO") or "progressive" in image.info:
        raise UnreadableError(_too_large(MOST_PIXELS))
    image.draft(None, (image.width // 2, image.height // 2))


def _turn_upright(image: Image.Image) -> bool:
    """Obeys the orientation in EXIF; returns whether width and height changed places."""
    from PIL import ImageOps

    before = image.size
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:
        # Broken EXIF is no reason to do without the image.
        return False
    return image.size == before[::-1] and before[0] != before[1]


def _resized(image: Image.Image, size: int) -> Image.Image:
    from PIL import Image

    has_colour_key = "transparency" in image.info
    if image.mode in ("RGB", "L") and not has_colour_key:
        return image.resize((size, size), Image.Resampling.BILINEAR).convert("RGB")
    width, height = image.size
    if width * height <= _WHOLE:
        return _flattened(image).resize((size, size), Image.Resampling.BILINEAR)
    factor = max(1, min(width // size, height // size, math.isqrt(width * height // _STRIP)))
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = factor * max(1, _STRIP // (width * factor))
    for top in range(0, height, rows):
        strip = _flattened(image.crop((0, top, width, min(top + rows, height))))
        small.paste(strip.reduce(factor), (0, top // factor))
    return small.resize((size, size), Image.Resampling.BILINEAR)


def _flattened(image: Image.Image) -> Image.Image:
    """In RGB, on white."""
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.asarray(image)
        # Pillow clips 16-bit grey to white instead of scaling it; older versions hand it out as 32 bits.
        if values.min() < 0 or values.max() > 65535:
            raise UnreadableError("32-bit pixels, whose range is not known")
        return Image.fromarray((values // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UnreadableError("32-bit pixels, whose range is not known")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    try:
        return image.convert("RGB")
    except ValueError:
        raise UnreadableError(f"colours of mode {image.mode}, which cannot be converted") from None


def _kind_of(path: str) -> str:
    """What a file is that Pillow does not read."""
    try:
        with open(path, "rb") as file:
            head = file.read(256)
    except OSError:
        return "unreadable"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
        return "HEIC, which has to be converted to JPEG first"
    if b"<svg" in head.lower():
        return "SVG, which has to be converted to PNG first"
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")):
        return "damaged"
    return "not an image"
