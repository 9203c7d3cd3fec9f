"""The pieces of SVG documents: text, panels, and the document around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

#: Fill and stroke, from Paul Tol's light and muted schemes, which are safe for colour-blind readers.
COLOURS = (
    ("#dbe9f6", "#4477aa"),
    ("#fde5d3", "#cc6633"),
    ("#dcefdc", "#228833"),
    ("#f6dde6", "#aa3377"),
    ("#fdf3c8", "#b8960c"),
    ("#d9f0f3", "#2a8a9d"),
    ("#e6e0f3", "#6a51a3"),
    ("#eee3d5", "#8c6239"),
    ("#e3e9ec", "#4a6572"),
)
#: Between the sides of a shape, and before a number of blocks.
TIMES = "\N{MULTIPLICATION SIGN}"
PLAIN = ("#f1f1f1", "#777777")
#: Distances and the height of a panel's title, in pixels.
MARGIN, TITLE_HEIGHT = 24.0, 26.0
#: Width of a letter in ems, rounded up; and that of a fixed-width letter of 12 px, in pixels.
LETTER, MONO = 0.62, 7.3
_SANS = 'font-family="Helvetica, Arial, sans-serif"'
_FIXED = 'font-family="Menlo, Consolas, monospace"'


@dataclass(frozen=True)
class Panel:
    """A part of a drawing.

    Attributes:
        title: above it; empty for none.
        parts: SVG elements, with the panel's upper left corner as origin.
        width, height: in pixels.
        is_live: whether all of its boxes are on a path from an input to an output.
    """

    title: str
    parts: Sequence[str]
    width: float
    height: float
    is_live: bool = True


@dataclass(frozen=True)
class Note:
    """A paragraph below the panels."""

    text: str
    is_key: bool = False


def document(panels: Sequence[Panel], notes: Sequence[Note], title: str, description: str, heading: str = "") -> str:
    """A standalone SVG document: a heading, panels below each other, and notes; without scripts, links or ids, so that
    a page may hold several.

    Args:
        panels: from top to bottom, each in the middle.
        notes: wrapped to the width.
        title: what the drawing is, for readers who do not see it.
        description: what it shows, for the same.
        heading: shown at the top; empty for none.
    """
    width = max(panel.width for panel in panels)
    room = width - 2 * MARGIN
    headings = wrapped(heading, int(room / (17 * LETTER))) if heading else []
    top = MARGIN + (24 * len(headings) + 10 if headings else 0)
    parts = [line(text, width / 2, MARGIN + 16 + 24 * i, 17, "#222222") for i, text in enumerate(headings)]
    for place, panel in enumerate(panels):
        if place:
            top += MARGIN
        if panel.title:
            parts.append(line(panel.title, width / 2, top + 12, 14, "#222222"))
            top += TITLE_HEIGHT
        parts += [f'<g transform="translate({(width - panel.width) / 2:g} {top:g})">', *panel.parts, "</g>"]
        top += panel.height
    y, step = top + 26, 18
    for note in notes:
        step = 18 if note.is_key else 16
        for text in wrapped(note.text, int(room / (MONO if note.is_key else 11 * 0.55))):
            size, colour = (12, "#333333") if note.is_key else (11, "#666666")
            parts.append(line(text, width / 2, y, size, colour, is_fixed=note.is_key))
            y += step
    total = y - step + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:g}" '
            f'height="{total:g}" viewBox="0 0 {width:g} {total:g}">',
            f"<title>{plain(title)}</title>",
            f"<desc>{plain(description)}</desc>",
            f'<rect width="{width:g}" height="{total:g}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def line(
    text: str,
    x: float,
    y: float,
    size: float,
    colour: str,
    anchor: str = "middle",
    *,
    is_fixed: bool = False,
    is_bold: bool = False,
) -> str:
    """One line of text; ``anchor`` is ``start``, ``middle`` or ``end``."""
    style = f'{_FIXED if is_fixed else _SANS} font-size="{size:g}" fill="{colour}" text-anchor="{anchor}"'
    if is_bold:
        style += ' font-weight="bold"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{plain(text)}</text>'


def plain(text: str) -> str:
    """Text without what no document may contain."""
    return escape("".join(letter for letter in text if letter.isprintable()))


def wrapped(text: str, letters: int) -> list[str]:
    """Lines of at most ``letters`` characters, broken after a space, comma or plus if possible."""
    lines = []
    while len(text) > letters:
        cut = max(text.rfind(mark, 0, letters) for mark in " ,+") + 1 or letters
        lines.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*lines, text]


def shortened(text: str, letters: int) -> str:
    """At most ``letters`` characters, with an ellipsis in place of the rest."""
    return text if len(text) <= letters else f"{text[: letters - 1].rstrip(' ,')}…"
