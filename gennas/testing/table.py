"""The contract of tables."""

from __future__ import annotations

import math

import numpy as np

from gennas.errors import DataMissingError, GennasError, UnknownNameError
from gennas.spaces import registered_space
from gennas.spaces.base import Space
from gennas.tables.base import Table
from gennas.testing.contract import check, parsed

_SAMPLES = 20
#: A table of the user's own has few enough rows to look at all.
_ALL = 5_000


def check_table(table: Table, seed: int = 0) -> None:
    """Tests that values can be looked up in a table.

    Its keys are archs of its space, one row each; its columns are metrics with their targets, with values that these
    may have; what is missing says how to get it.

    Args:
        table: the table.
        seed: chooses the archs that are looked at, where there are more than 5,000.

    Raises:
        AssertionError: a contract is broken; the message says which one, and the value found.
    """
    check(bool(table.name) and ":" not in table.name, "name: is a word", table.name)
    try:
        space = registered_space(table.space)
    except UnknownNameError as error:
        raise AssertionError(f"space: is a registered name; found {table.space!r}: {error}") from error
    shape = table.latency_input_shape
    sides = len(shape) in (0, 3) and all(isinstance(side, int) and side > 0 for side in shape)
    check(sides, "latency_input_shape: is (channels, height, width), or empty", shape)
    _check_columns(table)
    check(bool(table.frame.index.is_unique), "frame: has one row per arch", "keys that are there twice")
    check(len(table.frame) > 0 or not table.metrics(), "frame: has a row", 0)
    rows = np.random.default_rng(seed).permutation(len(table.frame))
    for key in table.frame.index[rows if len(rows) <= _ALL else rows[:_SAMPLES]]:
        _check_row(table, space, key)
    for metric, std in table.noise.items():
        check(metric in table.metrics(), "noise: is of columns of the frame", metric)
        check(math.isfinite(std) and std >= 0, f"noise: of {metric} is finite and not negative", std)
    for metric, how in table.missing.items():
        parsed(metric.removeprefix("test_"), "missing: has metrics")
        check(bool(how), f"missing: says how to get {metric}", how)
        try:
            table.column(metric)
        except DataMissingError:
            continue
        raise AssertionError(f"missing: is not in the frame; found {metric!r}")


def _check_columns(table: Table) -> None:
    names = [str(name) for name in table.frame.columns]
    check(len(set(names)) == len(names), "frame: columns are distinct", names)
    check(bool(names or table.missing), "frame: has a column, or some are missing on this machine", names)
    check(table.metrics() == tuple(names), "metrics(): are the frame's columns", table.metrics())
    for name in names:
        metric = parsed(name.removeprefix("test_"), "frame: columns are metrics with their target")
        has_target = metric.target is not None or metric.kind.scope == "arch"
        check(has_target, "frame: columns are metrics with their target", name)
        values = table.frame[name].to_numpy(float)
        values = values[~np.isnan(values)]
        check(len(values) > 0, f"frame: {name} has a value", "none")
        least, greatest = float(values.min()), float(values.max())
        finite = math.isfinite(least) and math.isfinite(greatest)
        check(finite, f"frame: {name} is finite or NaN", (least, greatest))
        lower, upper = metric.kind.lower, metric.kind.upper
        within = lower <= least and greatest <= upper
        check(within, f"frame: {name} lies between {lower:g} and {upper:g} {metric.kind.unit}", (least, greatest))


def _check_row(table: Table, space: Space, key: object) -> None:
    check(isinstance(key, str), "frame: is indexed by the archs' keys", key)
    try:
        arch = space.parse(str(key))
    except GennasError as error:
        raise AssertionError(f"frame: keys are archs of {space.name}; found {key!r}: {error}") from error
    (canonical,) = space.canonicalised([arch])
    check(canonical.key == key, "frame: a key is the one under which lookup() finds the arch", (key, canonical.key))
    for name in table.metrics():
        expected = float(table.frame[name].loc[str(key)])
        if not math.isnan(expected):
            found = table.lookup(arch, name)
            check(found == expected, f"lookup(): gives the frame's {name}, {expected}", found)
