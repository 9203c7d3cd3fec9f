"""Formats that a network is exported to on request, each behind an extra of gennas."""

from __future__ import annotations

from collections.abc import Callable

from gennas.errors import unknown
from gennas.export.folder import Form


def _openvino() -> Form:
    from gennas.export.openvino import write_openvino

    return write_openvino


#: Name -> what imports the format.
FORMATS: dict[str, Callable[[], Form]] = {"openvino": _openvino}


def read_formats(text: str) -> list[Form]:
    """The formats named in a text, separated by commas.

    Raises:
        UnknownNameError: there is no such format; the nearest is suggested.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
    return [FORMATS[name]() for name in dict.fromkeys(names)]
