"""The machine that a number is computed or measured on: its name, its memory, and what is installed."""

import os
import platform
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Other versions of these may give other values.
_PACKAGES = ("gennas", "torch", "lightning", "botorch", "gpytorch", "onnxruntime", "numpy")
_CPU_INFO = Path("/proc/cpuinfo")
#: Where Linux says what a container may use, in bytes, or "max".
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@cache
def processor_name() -> str:
    """The processor as Linux reports it; elsewhere as Python does."""
    lines = _CPU_INFO.read_text().splitlines() if _CPU_INFO.exists() else []
    fields = ((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    named = next((value for name, value in fields if name == "model name"), "")
    return named or platform.processor() or platform.machine()


@cache
def sums_of_bytes_saturate() -> bool:
    """Whether the processor adds products of bytes in 16 bits, as x86 without VNNI does, which overflow; False where
    nobody knows."""
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return is_x86 and _CPU_INFO.exists() and "vnni" not in _CPU_INFO.read_text()


def machine_name() -> str:
    """Processor and number of CPUs."""
    return f"{processor_name()}, {os.cpu_count()} CPUs"


@cache
def package_versions() -> dict[str, str]:
    """Python and the installed packages that values depend on -> version."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def memory_gigabytes() -> float:
    """The memory that this process may use: the machine's, or less where a container or a limit says so."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else []
    for path in _MEMORY_LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(path.read_text()))
    with suppress(ImportError):
        import resource

        limits += [limit for limit in resource.getrlimit(resource.RLIMIT_AS)[:1] if limit != resource.RLIM_INFINITY]
    return min(limits, default=16_000_000_000) / 1e9
