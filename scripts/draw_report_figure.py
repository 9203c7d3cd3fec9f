"""Draws docs/assets/report.png: the page of a search by training, as Chromium shows it.

Run: python scripts/draw_report_figure.py [--study RUN] [--out docs/assets/report.png]
Without --study it searches on digits first, 24 evaluations with seed 0: some minutes on two cores.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from gennas.files import write_bytes
from gennas.report import write_report

SEARCH = (
    "search --task digits --objective accuracy,-latency_ms@cpu --budget 24 --image-size 12 --recipe.epochs 3 "
    "--skeleton channels=8,cells=1 --batch 4 --options sought=200,mutants=100"
)
WIDTH, HEIGHT = 1280, 1500
#: Charts have few colours; a palette is a third of the size.
COLOURS = 128
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


def screenshot(page: Path) -> bytes:
    """The beginning of a page as a PNG file."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no chromium here; install it: bash scripts/browser.sh")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=ARGUMENTS, viewport={"width": WIDTH, "height": HEIGHT}
        )
        tab = context.new_page()
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector(".plot:not([data-drawn])", state="detached")
        taken = tab.screenshot()
        context.close()
    content = io.BytesIO()
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS).save(content, "PNG", optimize=True)
    return content.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/assets/report.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        study = options.study
        if study is None:
            study = Path(temporary) / "runs" / "digits"
            subprocess.run([sys.executable, "-m", "gennas", *SEARCH.split(), "--out", study], check=True)
        page = write_report(study, Path(temporary) / "report.html")
        write_bytes(options.out, screenshot(page))
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
