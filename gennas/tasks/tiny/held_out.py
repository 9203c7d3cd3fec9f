"""The tiny tasks of other kinds, on which is measured what was learnt from the training tasks."""

from __future__ import annotations

from gennas.tasks.tiny.changes import Noise, Rolled
from gennas.tasks.tiny.glyphs import Compounds, Letters
from gennas.tasks.tiny.pixels import Motions
from gennas.tasks.tiny.relations import Containments, Pairs, Symmetries
from gennas.tasks.tiny.signals import Memories, Spectrograms
from gennas.tasks.tiny.task import TinyTask
from gennas.tasks.tiny.textures import Automata, Glass

#: Chosen by how well two seeds of a network agree, before any predictor was made.
HELD_OUT: tuple[TinyTask, ...] = (
    TinyTask("automata", "six", Automata((30, 54, 90, 110, 105, 22), 0.12), 500, (Noise(0.1),)),
    TinyTask("compounds", "large", Compounds(True), 300, (Rolled(), Noise(0.3))),
    TinyTask("containments", "gaps", Containments(0.3), 400, (Noise(0.05),)),
    TinyTask("glass", "four", Glass(24), 600),
    TinyTask("letters", "twenty", Letters("ABCDEFGHJKLMNPRSTUVX"), 600, (Noise(0.08),)),
    TinyTask("memories", "eight", Memories(0.4, classes=8), 400),
    TinyTask("motions", "eight", Motions(0.8, 0.2), 400),
    TinyTask("pairs", "three", Pairs(), 300, (Noise(0.15),)),
    TinyTask("spectrograms", "six", Spectrograms(0.1), 500),
    TinyTask("symmetries", "three", Symmetries(2), 500, (Noise(0.15),)),
)
