"""Other notations of once-for-all MobileNetV3 archs: the lists of kernels, expansions and depths of its own code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gennas.errors import InvalidArchError, short
from gennas.spaces.notations import literal

STAGES, DEEPEST = 5, 4
#: The resolution of what does not say it, at which accuracies are known.
RESOLUTION = 224
_FORM = '{"ks": [20 numbers], "e": [20 numbers], "d": [5 numbers], "r": [224]}'
#: Name -> how many numbers.
_LENGTHS = {"ks": STAGES * DEEPEST, "e": STAGES * DEEPEST, "d": STAGES, "r": 1}
#: Names that others use.
_ALIASES = {"kernel_size": "ks", "expand_ratio": "e", "depth": "d", "resolution": "r", "image_size": "r"}


def native(text: str) -> str:
    """The arch in its own notation; a text that is no other notation of an arch comes back as it is.

    Read are ``{"ks": [...], "e": [...], "d": [...], "r": [...]}`` of once-for-all's own code, with 20 kernels and
    expansions, of which those of blocks beyond a stage's depth count for nothing, and 5 depths; the same lists in the
    order ks, e, d, r, as a list of lists or as ``7 5 .../3 4 .../2 3 4 2 2/224``. One number stands for all of a list.
    The resolution may be left out: 224.

    Raises:
        InvalidArchError: such a text that does not have as many numbers as it should.
    """
    text = text.strip()
    found: Mapping[str, Any] | None = None
    if re.fullmatch(r"\d+([\s,]+\d+)*(\s*/\s*\d+([\s,]+\d+)*){2,3}", text):
        parts = [[int(number) for number in re.split(r"[\s,]+", part.strip())] for part in text.split("/")]
        found = dict(zip(_LENGTHS, parts, strict=False))
    elif text[:1] in ("{", "[", "("):
        try:
            value = literal(text)
        except ValueError:
            return text
        found = _named(value)
    if found is None:
        return text
    return _written({name: _numbers(text, name, found[name]) for name in found})


def ofa(resolution: int, depths: Sequence[int], blocks: Mapping[tuple[int, int], tuple[int, int]]) -> str:
    """The object of once-for-all's own code as JSON: ``{"ks": [...], "e": [...], "d": [...], "r": [...]}``.

    Args:
        resolution: of the images.
        depths: of the five stages.
        blocks: stage and place, from 0 -> kernel and expansion. Those that are not there get the least, which count for
            nothing.
    """
    places = [(stage, place) for stage in range(STAGES) for place in range(DEEPEST)]
    pairs = [blocks.get(place, (3, 3)) for place in places]
    ks, e = ([pair[i] for pair in pairs] for i in range(2))
    return json.dumps({"ks": ks, "e": e, "d": list(depths), "r": [resolution]})


def _named(value: Any) -> Mapping[str, Any] | None:
    """The lists by their names; None where the value is something else."""
    if isinstance(value, Mapping):
        named = {_ALIASES.get(str(name), str(name)): part for name, part in value.items()}
        # "wid" chooses nothing: the width is a setting of the skeleton.
        named = {name: part for name, part in named.items() if not (name == "wid" and part is None)}
        return named if {"ks", "e", "d"} <= set(named) <= set(_LENGTHS) else None
    if isinstance(value, Sequence) and len(value) in (3, 4) and all(isinstance(part, list | tuple) for part in value):
        return dict(zip(_LENGTHS, value, strict=False))
    return None


def _numbers(text: str, name: str, value: Any) -> list[int]:
    """The numbers of a list; lists of a stage each are joined."""
    expected = _LENGTHS[name]
    items = [value] if isinstance(value, int) else value
    if isinstance(items, list | tuple) and any(isinstance(item, list | tuple) for item in items):
        items = [number for item in items for number in (item if isinstance(item, list | tuple) else [item])]
    if not isinstance(items, list | tuple) or not all(type(item) is int for item in items):
        raise InvalidArchError(
            f"{short(text)!r}: {name} is {short(str(value))}; expected whole numbers, as in {_FORM}."
        )
    if len(items) == 1:
        items = list(items) * expected
    if len(items) != expected:
        raise InvalidArchError(f"{short(text)!r}: {name} has {len(items)} numbers; expected {expected}, as in {_FORM}.")
    return list(items)


def _written(lists: Mapping[str, list[int]]) -> str:
    blocks = [
        f"k{lists['ks'][stage * DEEPEST + block]}e{lists['e'][stage * DEEPEST + block]}"
        for stage, depth in enumerate(lists["d"])
        for block in range(min(depth, DEEPEST))
    ]
    resolution = lists.get("r", [RESOLUTION])[0]
    return f"mobilenet_v3:r{resolution}/{'.'.join(map(str, lists['d']))}/{'-'.join(blocks)}"
