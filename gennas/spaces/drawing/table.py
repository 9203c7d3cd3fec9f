"""HTML tables of archs with small drawings, for notebooks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from gennas.arch import Arch
from gennas.spaces.drawing.svg import plain

if TYPE_CHECKING:
    import pandas as pd

#: Rows of a table; there may be thousands of archs.
_MOST = 20
_WIDTH, _HEIGHT = 240, 120
_CELL = 'style="text-align:left;padding:4px 10px;vertical-align:middle"'


def html_table(
    title: str, archs: Sequence[Arch], frame: pd.DataFrame, notes: Sequence[str] = (), most: int = _MOST
) -> str:
    """An HTML table with a row per arch: a small drawing, the key, and values.

    Args:
        title: above the table.
        archs: what is shown; no drawing where a space is not registered.
        frame: a row of values per arch.
        notes: sentences below the table.
        most: rows that are shown at most; how many are left out is said.
    """
    names = [str(name) for name in frame.columns]
    head = "".join(f"<th {_CELL}>{escape(name)}</th>" for name in ("drawing", "key", *names))
    lines = [f"<p><b>{escape(title)}</b></p>", f"<table><thead><tr>{head}</tr></thead><tbody>"]
    for arch, row in zip(archs[:most], frame.head(most).itertuples(index=False), strict=True):
        values = "".join(f"<td {_CELL}>{escape(_text(value))}</td>" for value in row)
        key = f'<td {_CELL}><code style="word-break:break-all">{plain(arch.key)}</code></td>'
        lines.append(f"<tr><td {_CELL}>{_small(arch)}</td>{key}{values}</tr>")
    lines.append("</tbody></table>")
    if len(archs) > most:
        lines.append(f"<p>and {len(archs) - most} more</p>")
    lines += [f"<p>{escape(note)}</p>" for note in notes]
    return "\n".join(lines)


def _small(arch: Arch) -> str:
    """The drawing of an arch, scaled to fit a row."""
    drawing = arch._repr_svg_()
    if drawing is None:
        return ""
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', drawing)
    if size is None:
        return ""
    scale = min(_WIDTH / float(size[1]), _HEIGHT / float(size[2]), 1.0)
    small = f'width="{float(size[1]) * scale:.0f}" height="{float(size[2]) * scale:.0f}"'
    return drawing.replace(size[0], small, 1)


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)
