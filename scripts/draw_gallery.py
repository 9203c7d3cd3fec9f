"""Draws an arch of every space for the gallery of the documentation, and writes the page.

Usage:
    python scripts/draw_gallery.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jsonargparse import CLI

from gennas.files import write_text
from gennas.spaces import SPACES, get_space
from gennas.spaces.drawing import draw_diff, draw_network, draw_svg
from gennas.tasks import get_task

#: Spaces whose blocks say all that their archs choose: the whole network is drawn, and no cell.
CHAINS = ("fbnet", "lite0", "lite1", "lite2", "mobilenet_v3")
#: Tasks other than CIFAR-10.
TASKS = {"nasbench_graph": "cora", "transnas_micro": "class_scene", **dict.fromkeys(CHAINS, "imagenet")}
#: What each space is.
SPACES_SAY = {
    "darts": "Two cells of four nodes, with two inputs each and seven operations; about 10^18 architectures.",
    "fbnet": "22 layers, each one of nine blocks or nothing; about 10^21 architectures.",
    "lite0": "Sub-networks of EfficientNet-Lite0: a resolution, depths, kernels and expansions; about 10^13 of them.",
    "lite1": "Sub-networks of EfficientNet-Lite1; about 10^17.",
    "lite2": "Sub-networks of EfficientNet-Lite2; about 10^17.",
    "mobilenet_v3": "A resolution, five depths, and a kernel and an expansion for each of up to 20 blocks.",
    "nasbench101": "A cell of up to seven vertices and nine edges; 423,624 architectures.",
    "nasbench201": "A cell of four nodes with one of five operations on each of its six edges; 15,625 architectures.",
    "nasbench_graph": "Graph networks: four nodes, each reads one before it; 26,206 architectures.",
    "nasnet": "Two cells of five nodes with thirteen operations; nodes that no other one reads are the output.",
    "transnas_micro": "A cell of four nodes with one of four operations on each edge; 4,096 architectures.",
}
#: Largest file of the gallery, in bytes.
LARGEST = 60_000
DOCS = Path(__file__).parents[1] / "docs"
HEAD = """# Gallery

A random architecture of every space, drawn by gennas (`python scripts/draw_gallery.py`). Boxes of cells are operations,
arrows lead to what they feed. Below is the whole network: shapes stand on the wires, equal blocks in a row are one box
with their number, bars show the parameters and multiply-adds of every block, and stages of one resolution alternate in
tint. The same drawings are made by `gennas export --draw --task TASK`, in Python by
`gennas.spaces.drawing.draw_svg(space, arch, task=task)`, and shown by notebooks for an `Arch`.
"""


def draw(docs: Path = DOCS, seed: int = 1) -> None:
    """Draws the gallery.

    Args:
        docs: folder of the documentation.
        seed: of the archs.
    """
    parts = [HEAD]
    folder = docs / "assets" / "gallery"
    for name in SPACES:
        space = get_space(name)
        rng = np.random.default_rng(seed)
        arch, other = space.sample(rng), space.sample(rng)
        task = get_task(TASKS.get(name, "cifar10"))
        text = draw_network(space, arch, task) if name in CHAINS else draw_svg(space, arch, task=task)
        write(folder / f"{name}.svg", text)
        parts.append(f"## {name}\n\n{SPACES_SAY[name]}\n\n![An arch of {name}](assets/gallery/{name}.svg)\n")
        if name == "nasbench101":
            write(folder / "difference.svg", draw_diff(space, arch, other))
    parts.append(
        "## What differs\n\n`gennas export --draw KEY --diff OTHER` draws two architectures with what they share in "
        "grey:\n\n![Two cells of nasbench101](assets/gallery/difference.svg)\n"
    )
    write_text(docs / "gallery.md", "\n".join(parts))


def write(path: Path, text: str) -> None:
    """Writes a drawing.

    Raises:
        ValueError: it is too large for the gallery.
    """
    if len(text.encode()) > LARGEST:
        raise ValueError(f"{path} would have {len(text.encode())} bytes; at most {LARGEST}")
    write_text(path, text)


if __name__ == "__main__":
    CLI(draw, as_positional=False)
