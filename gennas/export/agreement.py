"""Whether what was exported computes what the trained network computes: on real images, in a process without gennas."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from gennas.errors import InvalidInputError
from gennas.export.running import OnnxModel

#: Largest difference of logits that rounding explains, relative to the largest logit, and absolute where that is
#: below 1.
TOLERANCE = 1e-4
#: Images that are compared.
IMAGES = 64
#: Runs networks given as lines "network.py<tab>weights<tab>images.npy<tab>logits.npy", refusing to import gennas.
_CLEAN = """
import importlib.util, sys
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "gennas":
            raise ImportError("an exported network must not import gennas")
sys.meta_path.insert(0, Refusing())
import numpy as np, torch
from safetensors.torch import load_file
torch.set_num_threads(1)
for number, line in enumerate(sys.stdin.read().splitlines()):
    source, weights, images, logits = line.split("\\t")
    spec = importlib.util.spec_from_file_location(f"network{number}", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Network()
    network.load_state_dict(load_file(weights), strict=True)
    with torch.inference_mode():
        np.save(logits, network.eval()(torch.from_numpy(np.load(images))).numpy())
"""


@dataclass(frozen=True)
class Difference:
    """How far apart two forms of a network are.

    Attributes:
        largest: greatest absolute difference of any logit.
        scale: greatest absolute logit of the trained network, at least 1.
    """

    largest: float
    scale: float

    @classmethod
    def between(cls, expected: np.ndarray, found: np.ndarray) -> Difference:
        """Of the logits ``(b, classes)`` of the trained network and of another form of it."""
        scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
        if expected.shape != found.shape:
            return cls(float("inf"), scale)
        largest = float(np.abs(expected - found).max(initial=0.0))
        return cls(largest if np.isfinite(largest) else float("inf"), scale)

    @property
    def relative(self) -> float:
        """What is held against :data:`TOLERANCE`."""
        return self.largest / self.scale

    def expect_small(self, what: str) -> None:
        """Raises InvalidInputError where the difference is more than rounding explains.

        Args:
            what: differs from the trained network, e.g. ``"network.onnx"``.
        """
        if not self.relative <= TOLERANCE:
            raise InvalidInputError(
                f"{what} computes something else than the trained network: logits differ by {self.largest:.3g}, "
                f"{self.relative:.3g} of the largest; at most {TOLERANCE:g} is rounding. Nothing was exported."
            )


def onnx_logits(document: bytes, images: np.ndarray) -> np.ndarray:
    """``(b, classes)`` of an ONNX model, on one thread of the CPU."""
    return OnnxModel(document, threads=1).logits(images)


def expect_input(document: bytes) -> None:
    """Raises InvalidInputError where an ONNX model takes nothing, as nothing of its images reaches its logits."""
    if not OnnxModel(document, threads=1).inputs:
        raise InvalidInputError(
            "the network ignores its images: its logits are the same for all of them. Nothing was exported; choose "
            "another arch."
        )


def clean_logits(networks: Sequence[tuple[Path, Path]], images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """``(b, classes)`` of exported modules, computed in a process that cannot import gennas.

    Args:
        networks: ``network.py`` and the weights of each.
        images: that each is given, ``(b, c, h, w)`` float32.

    Raises:
        InvalidInputError: a module fails, or its weights do not fit it.
    """
    for source, _ in networks:
        expect_only_torch(source.read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder:
        lines = []
        for number, ((source, weights), given) in enumerate(zip(networks, images, strict=True)):
            paths = [Path(folder, f"{number}.{name}.npy") for name in ("images", "logits")]
            np.save(paths[0], given)
            lines.append("\t".join(map(str, (source.resolve(), weights.resolve(), *paths))))
        done = subprocess.run(
            # Isolated: neither the current folder nor PYTHONPATH is searched for modules.
            [sys.executable, "-I", "-B", "-c", _CLEAN],
            input="\n".join(lines),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise InvalidInputError(f"network.py fails outside of gennas: {last}. Nothing was exported.")
        return [np.load(Path(folder, f"{number}.logits.npy")) for number in range(len(networks))]


def expect_only_torch(source: str) -> None:
    """Raises InvalidInputError where a module imports more than torch and Python's own, but for reading weights."""
    allowed = {"torch", "safetensors", *sys.stdlib_module_names}
    names = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    if other := sorted(names - allowed):
        raise InvalidInputError(f"network.py imports {', '.join(other)}; expected torch only. Nothing was exported.")
