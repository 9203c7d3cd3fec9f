"""Notations of other libraries and benchmarks: what a text that a space cannot read is, and how to give it."""

from __future__ import annotations

import ast
import re
from typing import Any

from gennas.documents import parse_json
from gennas.errors import InvalidArchError

#: Longer texts are no notation of a cell.
_LONGEST = 10_000
#: How such texts look, what they are, and how to give what they mean; the space that can read one is asked first.
_KNOWN = (
    (
        r"\d+",
        "an index of a benchmark's own file",
        "give the arch itself, e.g. api.arch(INDEX) of nas_201_api, or the matrix and ops of nasbench",
    ),
    (r"[0-9a-f]{32}", "a hash of NAS-Bench-101", 'give its cell as {"matrix": [[...]], "ops": [...]}'),
    (r"Genotype\(.*\)", "a Genotype of DARTS", "give `space` darts, or nasnet for its operations"),
    (r"(Structure\(.*\)|\|[^|]+~\d\|(\+\|.*\|)*)", "a cell of NAS-Bench-201", "give `space` nasbench201"),
    (r"\{.*[\"']ks[\"'].*\}", "an arch of once-for-all MobileNetV3", "give `space` mobilenet_v3"),
    (r"\{.*[\"']matrix[\"'].*\}", "a cell of NAS-Bench-101", "give `space` nasbench101"),
    (r"[01?]+(/[01?]+)+( .*)?", "a cell of NAS-Bench-101", "give `space` nasbench101"),
    (r"\d+-\d+-[0-3?]_[0-3?]{2}_[0-3?]{3}", "a cell of TransNAS-Bench-101", "give `space` transnas_micro"),
    (r"[0-8?]( [0-8?]){21}", "an arch of FBNet as tables write it", "give `space` fbnet"),
    (r"[0-3?]{4}( [a-z?]+){4}", "an arch of NAS-Bench-Graph", "give `space` nasbench_graph"),
    (
        r"[\[(][\d\s,\[\]()]+[\])]",
        "a list of indices, as NASLib and others encode archs",
        "they do not agree on what the numbers mean; give the arch's own notation, in NASLib that of "
        "convert_naslib_to_str",
    ),
    (r"[\[(].*[\])]", "a Python or JSON list", "give one arch at a time in its own notation, or the list as a file"),
    (r"(\{.*\}|dict\(.*\))", "a Python or JSON object", "give the arch in its own notation"),
)


class NotationError(InvalidArchError):
    """A text in a notation that is named, with how to give what it means."""


def foreign(text: str, space: str) -> str:
    """What a text is that is no arch of a space, and how to give it; empty where it resembles nothing known.

    Args:
        text: as given.
        space: name of the space that could not read it.
    """
    text = text.strip()
    for form, what, how in _KNOWN if len(text) <= _LONGEST else ():
        if re.fullmatch(form, text, re.DOTALL):
            if how.endswith(f"`space` {space}"):
                # It is the space's own, and something else is wrong with it.
                return ""
            shown = text if len(text) <= 60 else f"{text[:40]}...{text[-12:]}"
            return f"{shown!r} looks like {what}, which is no arch of {space} as written; {how}."
    return ""


def literal(text: str) -> Any:
    """The lists, tuples, objects, numbers and strings that a text writes in JSON or as Python does.

    Raises:
        ValueError: it is neither, or too long.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"it has more than {_LONGEST} characters")
    try:
        return parse_json(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("it is neither JSON nor a Python literal") from error
