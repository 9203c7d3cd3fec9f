"""Page: a study as one HTML file, which opens without a network."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennas.errors import InvalidInputError
from gennas.files import json_text, replacing
from gennas.report import reproduce
from gennas.report.calibration import calibrations
from gennas.report.costs import Costs, costs_figure, duration
from gennas.report.design import design_rows
from gennas.report.drawings import drawings
from gennas.report.figures import Figure, thinned
from gennas.report.front import front_figures, tried_figures
from gennas.report.network import NetworkReport
from gennas.report.progress import Progress
from gennas.report.run import Run
from gennas.report.summary import Entry, entries, number, summary
from gennas.tables import Table
from gennas.tasks import Task

if TYPE_CHECKING:
    from markupsafe import Markup

#: Of a run.
NAME = "report.html"
#: Archs of the table; of more, the best.
LISTED = 400
#: Archs of one trace of a chart; of more, a part.
POINTED = 300
#: Archs of the gallery.
DRAWN = 6
#: By which a page is recognised that may be replaced.
MARK = "<!-- made by gennas report -->"


def write_report(
    study: str | Path,
    out: str | Path | None = None,
    *,
    task: Task | str | None = None,
    named: str | None = None,
    database: str | None = None,
    table: Table | None = None,
) -> Path:
    """Writes the page of a study, and returns its path.

    Args:
        study: run folder of a search or a validation.
        out: the file; ``report.html`` in the run folder by default. Of a file that is there, only an earlier page is
            replaced.
        task: of the study, or the folder of its images, whose worst classified ones are shown; by default the task of
            the study's name, where that is known.
        named: the task as a person names it in a command, where an object is given.
        database: SQLAlchemy URL of the study's rows, where they are elsewhere.
        table: that answered, where it is a file of the user's own.

    Raises:
        StudyError: there is no study, it is damaged, holds nothing, or was not made by a search or a validation.
        InvalidInputError: something else is in the file's place.
        OSError: the file cannot be written.
    """
    folder = Path(study)
    path = folder / NAME if out is None else Path(out)
    run = Run.read(folder, database, task)
    _expect_page(path)
    text = page_of(run, path.parent, table=table, task=task if isinstance(task, str) else named)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def page_of(run: Run, place: Path, *, table: Table | None = None, task: str | None = None) -> str:
    """The page of a run as HTML.

    Args:
        run: what it shows.
        place: folder that the page will be in, from which its links lead.
        table: as of :func:`write_report`.
        task: as the user names it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("gennas.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "duration": duration, "breaking": _breaking}
    parts = _parts(run, place, table, task)
    figures: dict[str, Figure] = parts["figures"]
    data = {
        "figures": {name: figure.document() for name, figure in figures.items()},
        "archs": {str(one.row): _details(one) for one in parts["entries"]},
        "drawings": parts["drawings"],
    }
    here = Path(__file__).parent
    return environment.get_template("page.html").render(
        **parts,
        mark=Markup(MARK),
        data=Markup(_script_json(data)),
        style=Markup((here / "style.css").read_text(encoding="utf-8")),
        script=Markup((here / "page.js").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs()),
        gennas_version=version("gennas"),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _parts(run: Run, place: Path, table: Table | None, task: str | None) -> dict[str, Any]:
    """All that the template shows."""
    listed = entries(run, task)
    # A validation has no order in which something was found.
    progress = None if run.is_validation else Progress.of(run, table)
    calibrated = calibrations(run)
    network = next((found for one in listed if one.on_front and (found := NetworkReport.of(run, one.key))), None)
    groups = {
        "front": front_figures(run),
        "tried": [] if run.is_validation and len(run.objective.metrics) > 1 else tried_figures(run),
        "progress": progress.figures() if progress else [],
        "calibration": [one.figure() for one in calibrated],
        "curves": network.curve_figures() if network else [],
        "confusion": [figure for figure in [network.confusion_figure() if network else None] if figure],
        "costs": [figure for figure in [costs_figure(run)] if figure],
    }
    kept = {row + 1 for row in run.front}
    groups = {name: [thinned(one, kept, POINTED) for one in group] for name, group in groups.items()}
    front = [one for one in listed if one.on_front]
    shown = drawings(run, [one.key for one in listed])
    by_row = {one.row: one for one in listed}
    for_all = run.for_all_tasks if len(run.tasks) > 1 else []
    return {
        "run": run,
        "summary": summary(run),
        "design": design_rows(run),
        "for_all": [(by_row[row + 1], run.mean_ranks[row]) for row in for_all],
        "entries": listed[:LISTED],
        "pointed": POINTED if len(listed) > POINTED else None,
        "omitted": max(len(listed) - LISTED, 0),
        "best": front[0] if front else listed[0],
        "gallery": [*front, *(one for one in listed if not one.on_front and one.state == "done")][:DRAWN],
        "drawings": shown,
        "figures": {figure.name: figure for group in groups.values() for figure in group},
        "groups": groups,
        "progress": progress,
        "calibrations": calibrated,
        "network": network,
        "costs": Costs.of(run),
        "failures": reproduce.failures(run),
        "sessions": reproduce.sessions(run),
        "settings": reproduce.settings(run),
        "remake": reproduce.remake_command(run, task),
        "links": _links(run, place, listed[:LISTED]),
        "origins": sorted({one.proposed_by for one in listed}),
        "states": sorted({one.state for one in listed}),
    }


def _breaking(name: str) -> Markup:
    """A metric's name that may be broken into lines before its target and its unit."""
    from markupsafe import Markup, escape

    text = str(escape(name))
    for sign in "@_":
        text = text.replace(sign, f"<wbr>{sign}")
    return Markup(text)


def _details(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "values": entry.values,
        "by": entry.proposed_by,
        "state": entry.state,
        "message": entry.message,
        "command": entry.command,
        "trained": entry.has_network,
    }


def _links(run: Run, place: Path, listed: list[Entry]) -> list[tuple[str, str]]:
    """Text and address of the files of a run: relative, so that a folder that is moved takes them along."""
    import os
    from urllib.parse import quote

    files: list[tuple[str, Path | None]] = [
        (f"export of {one.key}", run.folder / one.exported) for one in listed if one.exported
    ]
    files += [(f"network of {one.key}", run.network_folder(one.key)) for one in listed if one.on_front]
    found = []
    for text, path in files:
        if path is not None:
            relative = os.path.relpath(path.resolve(), place.resolve())
            found.append((text, f"{quote(relative.replace(os.sep, '/'))}/"))
    return found


def _script_json(document: dict[str, Any]) -> str:
    """JSON that ends no script element, whatever its strings hold."""
    text = json_text(document, indent=None)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _expect_page(path: Path) -> None:
    """Refuses to replace what is no page of ours."""
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; expected a file for the page, e.g. report.html.", argument="out")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if MARK.encode() not in file.read(400):
                raise InvalidInputError(
                    f"{path} already exists and is no page of gennas report; choose another file.", argument="out"
                )
