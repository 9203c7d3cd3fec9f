"""Whether exported networks compute what the built ones do: random archs of every space, in a process without gennas.

    python scripts/check_exports.py --archs 20

Prints a row per space: the largest difference of logits between the built network and its ONNX model, and between the
built network and its source with its weights, relative to the largest logit. Networks are not trained: their weights
are random, as are the statistics of their batch norms, so that no layer does nothing. Images are the first validation
images of scikit-learn's digits. Below the table stands how far the pixels of ``network_raw.onnx`` are from those that
are read from files. Ends with 1 if a difference is above 1e-4.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from machine import machine
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from gennas.export.agreement import TOLERANCE, Difference, clean_logits, onnx_logits
from gennas.export.onnx import to_onnx
from gennas.export.preprocessing import Preprocessing, with_preprocessing
from gennas.export.source import network_source
from gennas.spaces import SPACES, Space, get_space
from gennas.tasks import get_task
from gennas.tasks.decoding import decode

IMAGES = 4
#: Its networks classify nodes of graphs with layers of torch-geometric; none of its tasks comes with its graph.
WITHOUT_IMAGES = ("nasbench_graph",)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--archs", type=int, default=20, help="of every space")
    parser.add_argument("--spaces", nargs="*", default=[name for name in SPACES if name not in WITHOUT_IMAGES])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{options.archs} archs of every space, seed {options.seed}, {IMAGES} images, {machine()}\n")
    print("| space | archs | lines of network.py | network.py | network.onnx |")
    print("| --- | ---: | ---: | ---: | ---: |")
    worst = 0.0
    for name in options.spaces:
        space = get_space(name)
        lines, source, onnx = differences(space, options.archs, options.seed)
        print(f"| {space.name} | {len(source)} | {min(lines)} to {max(lines)} | {max(source):.1e} | {max(onnx):.1e} |")
        worst = max(worst, *source, *onnx)
    print(f"\n{raw_pixels(options.seed)}")
    return int(worst > TOLERANCE)


def differences(space: Space, archs: int, seed: int) -> tuple[list[int], list[float], list[float]]:
    """Lines of the source, and differences of source and ONNX, of random archs."""
    task, rng = get_task("digits"), np.random.default_rng(seed)
    torch.manual_seed(seed)
    pixels = torch.from_numpy(task.splits().val.images[:IMAGES])
    images = ((pixels / 255 - 0.3) / 0.4).numpy()
    lines, expected, onnx, files = list[int](), list[np.ndarray](), list[float](), list[tuple[Path, Path]]()
    with TemporaryDirectory() as folder:
        for number in range(archs):
            arch = space.sample(rng)
            network = space.build(arch, task).eval()
            randomise_norms(network)
            source = network_source(network, (3, *images.shape[2:]), {"Arch": arch.key})
            files.append((Path(folder, f"{number}.py"), Path(folder, f"{number}.safetensors")))
            files[-1][0].write_text(source)
            save_file(network.state_dict(), files[-1][1])
            with torch.inference_mode():
                expected.append(network(torch.from_numpy(images)).numpy())
            document = to_onnx(network, (3, *images.shape[2:]), batch=None)
            onnx.append(relative(expected[-1], onnx_logits(document, images)))
            lines.append(source.count("\n"))
        found = clean_logits(files, [images] * archs)
    return lines, [relative(one, other) for one, other in zip(expected, found, strict=True)], onnx


def relative(expected: np.ndarray, found: np.ndarray) -> float:
    """The largest difference over the largest logit, which may be far below 1 where nothing was trained."""
    return Difference.between(expected, found).largest / float(np.abs(expected).max())


def raw_pixels(seed: int, images: int = 100, side: int = 32) -> str:
    """How far pixels that are resized in the model are from those of files, for images of noise of random sizes."""
    how, rng = Preprocessing((3, side, side), (0.0,) * 3, (1.0,) * 3, {}), np.random.default_rng(seed)
    session = onnxruntime.InferenceSession(with_preprocessing(to_onnx(nn.Flatten(), how.shape, batch=None), how))
    apart = list[np.ndarray]()
    with TemporaryDirectory() as folder:
        for _ in range(images):
            height, width = (int(size) for size in rng.integers(16, 400, 2))
            pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"{folder}/image.png")
            read = decode(f"{folder}/image.png", side).pixels
            found = session.run(None, {"raw_images": pixels[None]})[0].reshape(read.shape) * 255
            apart.append(np.abs(np.rint(found) - read))
    every = np.stack(apart)
    return (
        f"network_raw.onnx on {images} images of noise of 16 to 400 pixels a side, resized to {side}x{side}: "
        f"{(every > 0).mean():.2%} of the pixels differ, by {every.max():.0f} grey level at most."
    )


def randomise_norms(network: nn.Module) -> None:
    """Gives batch norms statistics as those of trained networks: near, but not at, their initial ones."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


if __name__ == "__main__":
    sys.exit(main())
