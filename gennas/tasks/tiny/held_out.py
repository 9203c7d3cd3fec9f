"""The tiny tasks of other kinds, on which is measured what was learnt from the training tasks."""

from __future__ import annotations

from gennas.tasks.tiny.changes import Noise, Rolled
from gennas.tasks.tiny.details import Edges, Motifs
from gennas.tasks.tiny.glyphs import Compounds, Letters
from gennas.tasks.tiny.relations import Containments, Pairs, Symmetries
from gennas.tasks.tiny.signals import Spectrograms
from gennas.tasks.tiny.task import TinyTask
from gennas.tasks.tiny.textures import Automata, Glass

#: Chosen before any predictor was made, so that some of them suit each of the networks that were tried.
HELD_OUT: tuple[TinyTask, ...] = (
    TinyTask("automata", "six", Automata((30, 54, 90, 110, 105, 22), 0.12), 500, (Noise(0.1),)),
    TinyTask("compounds", "large", Compounds(True), 150, (Rolled(), Noise(0.3))),
    TinyTask("containments", "gaps", Containments(0.3), 400, (Noise(0.1),)),
    TinyTask("edges", "five", Edges(2.0), 300, (Noise(0.03),)),
    TinyTask("glass", "four", Glass(24), 600),
    TinyTask("letters", "twenty", Letters("ABCDEFGHJKLMNPRSTUVX"), 600, (Noise(0.08),)),
    TinyTask("motifs", "six", Motifs(10), 600, (Noise(0.05),)),
    TinyTask("pairs", "three", Pairs(), 300, (Noise(0.15),)),
    TinyTask("spectrograms", "six", Spectrograms(0.1), 500),
    TinyTask("symmetries", "three", Symmetries(2), 500, (Noise(0.15),)),
)
