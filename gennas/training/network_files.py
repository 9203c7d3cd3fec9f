"""The files of a trained network, and the name of its folder in a run."""

from __future__ import annotations

from hashlib import sha256

WEIGHTS, MODEL, FACTS, PREDICTIONS = "network.safetensors", "network.onnx", "arch.json", "predictions.parquet"
#: Of a supernet, in a folder of its own.
SUPERNET = "supernet.safetensors"
#: Subfolder of a run, with a folder for every trained network.
NETWORKS = "networks"


def folder_name(key: str) -> str:
    """The name of the folder of an arch's network: 12 hexadecimal digits of a hash of its key."""
    return sha256(key.encode()).hexdigest()[:12]
