"""`gennas design`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from gennas.cli.images import reading_quietly
from gennas.cli.output import Outcome, named_in
from gennas.cli.parser import option_names, with_flags
from gennas.cli.report import page_at_end
from gennas.cli.typed import typed_command
from gennas.commands import command


def design(
    task: str,
    out: Path,
    where: Sequence[str] = (),
    n: int = 3,
    hardware: str | None = None,
    effort: Literal["quick", "standard", "thorough"] = "standard",
    parents: str = "",
    weights: str = "pretrained",
    nested: bool = False,
    ensemble: int | None = None,
    seed: int = 0,
) -> Outcome:
    """Designs networks for your photos within your limits, from a pretrained one; the same command resumes.

    Args:
        task: a folder of images with a folder per class, digits, or another task with images.
        out: run folder: networks/1 and so on run without gennas; report.html shows how they came about.
        n: networks that are handed over.
        hardware: what of this machine networks run on, e.g. cpu, cpu-int8 or cpu-4threads; by default that of the
            bounds, or cpu.
        effort: how much work goes into it; before it begins, it is said how long that takes here.
        parents: elastic spaces whose sub-networks are considered, e.g. "lite0,lite1"; by default as the effort says.
        weights: that parents start from: pretrained ones of `gennas weights`, a file, or random ones, for trying out.
        ensemble: so many small networks that keep the limits together are handed over as one, too: their mean. It takes
            about as long again.
        seed: seed of all randomness.
    """
    from gennas.design import design_networks
    from gennas.problem import Problem
    from gennas.search.settings import Storage
    from gennas.spaces import get_space
    from gennas.studies.study import Study

    named = [get_space(name.strip()) for name in parents.split(",") if name.strip()]
    if hardware is None and not any("latency_ms@" in bound.replace(" ", "") for bound in where):
        hardware = "cpu"
    problem = Problem(named[0] if named else "lite0", task, "accuracy", where, hardware, nested=nested)
    found = design_networks(
        problem,
        n,
        study=Storage(out, command=typed_command()),
        effort=effort,
        parents=named,
        weights=weights if weights in ("pretrained", "random") else Path(weights),  # type: ignore[arg-type]
        seed=seed,
        ensemble=ensemble,
    )
    notes = [with_flags(note, option_names(design)) for note in found.notes]
    rows = [_row(entry) for entry in found]
    wrote: list[Path | str] = [named_in(out, Study(out).location), *found.networks]
    # They were counted at the beginning, and are read at other sizes than that of the problem.
    with reading_quietly():
        wrote += page_at_end(out, task=found.task, named=task)
    document: dict[str, Any] = {
        "networks": [_entry(entry, found) for entry in found],
        "study": str(out),
        "report": str(wrote[-1]) if str(wrote[-1]).endswith(".html") else None,
        "seconds": found.seconds,
        "notes": notes,
    }
    following = ""
    if found.networks:
        following = command("predict", network=found.networks[0]) + " IMAGE ..."
    title = f"networks for {problem.task.name}, the best on validation images first"
    return Outcome(document, {title: rows}, notes, wrote, following, failed=not found.networks)


# Not typed as a Designed: jsonargparse imports what is imported for types only, and torch with it.
def _entry(entry: Any, found: Any) -> dict[str, Any]:
    """A network as JSON, with its folder."""
    place = entry.folder if entry.handed_over is None else found.networks[entry.handed_over - 1]
    return {**entry.facts(), "folder": str(place)}


def _row(entry: Any) -> dict[str, str]:
    """A network as a row of the table."""
    test = "-" if entry.test is None else f"{entry.test:.3f} ({entry.interval[0]:.2f} to {entry.interval[1]:.2f})"
    return {
        "network": entry.name,
        "validation (chosen by)": f"{entry.accuracy:.3f}",
        "test": test,
        "latency": "-" if entry.latency_ms is None else f"{entry.latency_ms:.2f} ms",
        "pixels": str(entry.pixels),
        "params": f"{entry.costs['params_m']:.1f} M",
        "networks/": "" if entry.handed_over is None else str(entry.handed_over),
        "note": entry.note,
    }
