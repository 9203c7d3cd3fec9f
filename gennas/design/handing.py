"""The last stage of a design: its best networks in forms that run without gennas."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gennas.design.context import Context
from gennas.design.result import Designed
from gennas.documents import read_json
from gennas.export.card import Number
from gennas.export.ensemble import KeptEnsemble
from gennas.export.folder import export_network
from gennas.export.trained import KeptNetwork
from gennas.machine import machine_name
from gennas.spaces import Space
from gennas.training.network_files import FACTS

#: Of the run folder.
NETWORKS = "networks"


def export_networks(entries: Sequence[Designed], spaces: Mapping[str, Space], context: Context) -> None:
    """Writes the networks that are handed over to ``networks/1`` and so on; those that are there already are left.

    Args:
        entries: of the design.
        spaces: of their archs, by name.
        context: of the run.
    """
    folder = context.folder / NETWORKS
    kept = [entry for entry in entries if entry.handed_over is not None]
    for entry in kept:
        place = folder / str(entry.handed_over)
        if _is_of(place, entry):
            continue
        export_network(_network(entry, spaces, context), place, numbers=_numbers(entry, context))
    # Of an earlier run that handed over more.
    number = len(kept) + 1
    while (folder / str(number)).is_dir():
        shutil.rmtree(folder / str(number))
        number += 1


def _network(entry: Designed, spaces: Mapping[str, Space], context: Context) -> KeptNetwork:
    """The trained network, or the mean of those of an ensemble."""
    if not entry.members:
        return KeptNetwork.load(entry.folder, spaces[entry.arch.space], entry.arch, context.task)
    members = [KeptNetwork.load(folder, spaces[arch.space], arch, context.task) for arch, folder in entry.members]
    return KeptEnsemble.of(members, read_json(entry.folder / FACTS))


def _is_of(place: Path, entry: Designed) -> bool:
    """Whether a folder holds the export of a network."""
    try:
        found, own = read_json(place / FACTS), read_json(entry.folder / FACTS)
        return bool(found["key"] == own["key"] and found["recipe_hash"] == own["recipe_hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _numbers(entry: Designed, context: Context) -> list[Number]:
    machine, facts = machine_name(), read_json(entry.folder / FACTS)
    seed, epochs = int(facts["seed"]), int(facts["epochs"])
    numbers = [Number(name, value, "trained", seed, epochs, machine) for name, value in facts["metrics"].items()]
    numbers += [Number(name, value, "computed", machine=machine) for name, value in entry.costs.items()]
    if entry.latency_ms is not None:
        numbers.append(Number(context.limits.metric, entry.latency_ms, "measured", machine=machine))
    return numbers
