"""Units of latencies: whether numbers can be milliseconds, by how fast a device would have to be."""

from __future__ import annotations

from collections.abc import Sequence

#: Billions of multiply-adds a second beyond which the median of a device is asked about: microcontrollers do 0.02,
#: the fastest processors and GPUs 100 on single images.
SLOWEST, FASTEST = 0.01, 300.0


def median_rate(latency_ms: Sequence[float], macs_m: Sequence[float]) -> float | None:
    """Billions of multiply-adds a second, the median over networks; None where none multiplies.

    Args:
        latency_ms: ``(N,)`` of the networks.
        macs_m: ``(N,)`` their multiply-adds, in millions.
    """
    rates = sorted(macs / latency for macs, latency in zip(macs_m, latency_ms, strict=True) if macs)
    return rates[len(rates) // 2] if rates else None


def read_as_seconds(name: str, latency_ms: Sequence[float], macs_m: Sequence[float]) -> str:
    """What is wrong with latencies that are seconds rather than milliseconds; empty where they may be milliseconds.

    Args:
        name: of the latency, for the message.
        latency_ms: ``(N,)`` as given.
        macs_m: ``(N,)`` millions of multiply-adds of the networks.
    """
    rate = median_rate(latency_ms, macs_m)
    if rate is None or rate <= FASTEST:
        return ""
    return (
        f"read as milliseconds, the values of {name} mean {rate:,.4g} billion multiply-adds a second, which hardly any "
        "device does. Are they seconds? Give milliseconds."
    )
