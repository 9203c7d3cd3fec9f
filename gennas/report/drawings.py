"""Drawings: archs as SVG images within a page, as many as fit."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence

from gennas.errors import GennasError
from gennas.report.run import Run
from gennas.spaces.drawing import draw_svg

_LOG = logging.getLogger(__name__)

#: Drawings of a page, and bytes of all of them as they stand there.
MOST, MOST_BYTES = 200, 350_000


def drawings(run: Run, keys: Sequence[str]) -> dict[str, str]:
    """Key -> drawing as a data URI, which runs no script whatever it holds; of the first keys, as far as they fit.

    Args:
        run: whose space draws them.
        keys: the most important ones first.
    """
    found: dict[str, str] = {}
    if run.space is None:
        return found
    left = MOST_BYTES
    for key in keys[:MOST]:
        try:
            svg = draw_svg(run.space, run.space.parse(key))
        except GennasError as error:
            _LOG.info("%s is not drawn: %s", key, error)
            continue
        uri = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
        left -= len(uri)
        if left < 0:
            break
        found[key] = uri
    return found
