"""What notebooks show of archs and of results."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gennas.generation.request import Generated
from gennas.search.entries import SearchEntry
from gennas.search.run import SearchResult
from gennas.spaces import get_space
from gennas.validation import Validated, Validation

SPACE = get_space("nasbench201")
ARCHS = tuple(arch for arch, _ in zip(SPACE.enumerate(), range(3), strict=False))


def test_archs_are_drawn() -> None:
    drawing = ARCHS[2]._repr_svg_()
    assert drawing is not None
    assert drawing.startswith("<svg")
    assert ARCHS[2].key in drawing


def test_generated_archs_are_a_table() -> None:
    predicted = tuple({"accuracy@digits": {"mean": 0.5 + i / 10, "std": 0.01}, "params_m": 0.1} for i in range(3))
    generated = Generated(ARCHS, predicted, 3, 10, 1.0, 1.0, 1.0, 0, 0.1, ("a note",))
    table = generated._repr_html_()
    assert table.count("<svg") == table.count("<tr>") - 1 == 3
    assert ">accuracy@digits std<" in table
    assert ">0.7<" in table
    assert "a note" in table


def test_validated_archs_are_a_table() -> None:
    entries = tuple(Validated(arch, {"accuracy@digits": 0.9}, Path("x"), False, 1.5) for arch in ARCHS)
    table = Validation(entries, ("trained here",), Path("run"))._repr_html_()
    assert table.count("<svg") == 3
    assert "trained here" in table
    assert ">0.9<" in table


def test_the_best_of_a_search_are_a_table() -> None:
    best = tuple(SearchEntry(arch, {"accuracy@digits": 0.8}, i, "random") for i, arch in enumerate(ARCHS[:2]))
    result = SearchResult(best, 5, 4, 0, 1, ("one failed",), None, pd.DataFrame())
    table = result._repr_html_()
    assert table.count("<svg") == 2
    assert "4 of 5 evaluated, 1 failed" in table
    assert "one failed" in table
    assert ">random<" in table
