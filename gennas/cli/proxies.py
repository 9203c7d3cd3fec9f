"""Training-free scores by name: ``naswot,synflow`` or ``az_nas``."""

from __future__ import annotations

from collections.abc import Sequence

from gennas.arch import Arch
from gennas.errors import GennasError, InvalidInputError, unknown
from gennas.proxies import PROXIES
from gennas.proxies.scoring import AZ_NAS, proxy_scores, rank_aggregate, refuse_graphs
from gennas.spaces import Space
from gennas.tasks import Task

#: The name of the aggregate, which is no score of a single network.
AGGREGATE = "az_nas"


def parse_proxies(text: str) -> tuple[str, ...]:
    """The names in a list with commas.

    Raises:
        InvalidInputError: there is none.
        UnknownNameError: no such proxy; the nearest name is suggested.
    """
    typed = (name.strip() for name in text.split(",") if name.strip())
    names = tuple(dict.fromkeys(map(_spelt, typed)))
    known = [*PROXIES.list(), AGGREGATE]
    if not names:
        raise InvalidInputError(
            f"{text!r} names no proxy; expected some of {', '.join(sorted(known))}.", argument="proxy"
        )
    for name in names:
        if name not in known and ":" not in name:
            raise unknown("proxy", name, known, f"Your own: {PROXIES.how}.")
    return names


def _spelt(name: str) -> str:
    return AGGREGATE if name.lower().replace("-", "_") == AGGREGATE else PROXIES.canonical(name)


def asked_scores(
    space: Space, archs: Sequence[Arch], task: Task | None, names: Sequence[str], *, seed: int
) -> tuple[list[dict[str, float]], list[str]]:
    """The scores of every arch that are defined, and notes about those that are not.

    Args:
        space: of the archs, with the skeleton that shall be built.
        archs: among all of them ``az_nas`` ranks.
        task: what the user named, if anything.
        names: as of :func:`parse_proxies`.
        seed: of images, weights and noise.

    Raises:
        InvalidInputError: networks of this space do not look at images, or no task was named.
        DataMissingError: the task's images are not on this machine.
    """
    refuse_graphs(space)
    if task is None:
        raise InvalidInputError(
            "--proxy shows real images to the networks, and no task was named; give --task: digits, the path of a "
            "folder of images with a folder per class, or cifar10 where the folder GENNAS_DATA has its images."
        )
    single = [name for name in names if name != AGGREGATE]
    needed = list(dict.fromkeys([*single, *(AZ_NAS if AGGREGATE in names else ())]))
    try:
        frame = proxy_scores(space, archs, task, needed, seed=seed)
    except GennasError as error:
        raise type(error)(f"--proxy: {error}") from error
    if AGGREGATE in names:
        frame[AGGREGATE] = rank_aggregate(frame)
    rows = frame[list(names)].to_dict("records")
    values = [{str(name): float(value) for name, value in row.items() if value == value} for row in rows]
    missing = [f"{name} of {int(frame[name].isna().sum())}" for name in single if frame[name].isna().any()]
    notes = [f"higher is better, and only ranks archs: {', '.join(names)}; one batch of {task.name!r}, seed {seed}."]
    if missing:
        notes.append(
            f"not defined, and left out: {', '.join(missing)} of {len(archs)} archs, as for networks that ignore "
            "their images; they rank last."
        )
    if AGGREGATE in names:
        notes.append(f"{AGGREGATE} is a rank among the {len(archs)} archs given, no value of one of them.")
    return values, notes
