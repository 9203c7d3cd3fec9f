"""Training-free scores: what an untrained network tells about the accuracy that it would have."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import nn

from gennas.arch import Arch
from gennas.errors import InvalidInputError
from gennas.proxies import PROXIES, initialise_of
from gennas.proxies.aggregate import AZ_NAS, rank_aggregate
from gennas.proxies.base import Proxy, ProxyBatch, sharing
from gennas.spaces import Space
from gennas.spaces.sizes import expect_networks
from gennas.tasks import Task
from gennas.user_files import failure_of

#: Scores that a space computes exactly, without a network.
_COSTS = ("params_m", "macs_m")
BATCH_SIZE = 32


def proxy_scores(
    space: Space,
    archs: Sequence[Arch],
    task: Task,
    names: Sequence[str],
    *,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> pd.DataFrame:
    """Training-free scores of archs on one real batch of a task.

    Weights are drawn under the same seed for every arch: torch's own initialisation, as in NAS-Bench-Suite-Zero; He's
    for the three scores of AZ-NAS and Gaussian weights for ``zen``, as in the papers. ``params_m`` and ``macs_m`` are
    those of ``space.costs``.

    Args:
        space: of the archs, with the skeleton that shall be built.
        archs: any number.
        task: one with images.
        names: of ``PROXIES``, or ``"path/to/file.py:function"`` or ``"package.module:function"``.
        seed: of images, weights and noise.
        batch_size: how many images.

    Returns:
        One row per arch, with its key as index, and one column per name; higher is better. nan where a score is not
        defined, in particular for networks that ignore their images; it ranks last.

    Raises:
        UnknownNameError: no such proxy; the nearest name is suggested.
        InvalidInputError: networks of this space, or this task, do not have images.
        DataMissingError: the task's images are not on this machine.
    """
    proxies = {PROXIES.canonical(name): PROXIES.get(name) for name in names}
    refuse_graphs(space)
    scored = {name: proxy for name, proxy in proxies.items() if name not in _COSTS}
    if scored:
        expect_networks(space, task, archs)
    batch = ProxyBatch.from_task(task, batch_size, seed, space) if scored else None
    rows = []
    for arch in archs:
        costs = space.costs(arch, task)
        values = {name: costs[name] for name in _COSTS if name in proxies}
        if batch is not None:
            values |= _scores(space, arch, task, scored, batch)
        rows.append([values[name] for name in proxies])
    index = pd.Index([arch.key for arch in archs], name="key")
    return pd.DataFrame(rows, index=index, columns=list(proxies), dtype=float)


def refuse_graphs(space: Space) -> None:
    """Raises InvalidInputError for a space whose networks look at something else than images."""
    if type(space).example_input is not Space.example_input:
        raise InvalidInputError(
            f"training-free scores look at images, networks of space {space.name!r} do not; take a space of image "
            "classifiers, e.g. nasbench201."
        )


def _scores(space: Space, arch: Arch, task: Task, proxies: dict[str, Proxy], batch: ProxyBatch) -> dict[str, float]:
    values: dict[str, float] = {}
    ways = list(dict.fromkeys(initialise_of(proxy) for proxy in proxies.values()))
    # A network once re-initialised does not come back.
    for way in sorted(ways, key=lambda way: way is not None):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(batch.seed)
            network = space.build(arch, task)
            if way is not None:
                way(network)
        with sharing():
            values |= {name: _score(name, p, network, batch) for name, p in proxies.items() if initialise_of(p) is way}
    return values


def _score(name: str, proxy: Proxy, network: nn.Module, batch: ProxyBatch) -> float:
    try:
        return float(proxy(network, batch))
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        # A function of the user's, or one that is no proxy.
        raise InvalidInputError(
            f"{name!r} fails: {failure_of(error)}; expected a function (network, batch) -> float.", argument="proxy"
        ) from error


__all__ = ["AZ_NAS", "BATCH_SIZE", "Proxy", "ProxyBatch", "proxy_scores", "rank_aggregate", "refuse_graphs"]
