"""Images that are held in memory: read once, remembered by nothing else, and described as before."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from gennas.collecting.held_images import holding
from gennas.tasks import get_task
from gennas.tasks.base import _read


def test_what_is_in_memory_takes_no_place_of_what_is_remembered() -> None:
    held = holding(get_task("digits"))
    _read.cache_clear()
    assert held.splits() is held.splits()
    held.sample(4)
    # The digits themselves, which the held ones were read from, are read without it.
    assert _read.cache_info().currsize == 0


def test_files_that_are_skipped_are_said_of_held_images_too(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(6):
            Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / label / f"{number}.png")
    (tmp_path / "a" / "cut.png").write_bytes(b"\x89PNG")
    task = get_task(str(tmp_path), image_size=16)
    for same in (task, holding(task), task.resized(8)):
        (sentence,) = same.unreadable()
        assert "1 file skipped" in sentence
