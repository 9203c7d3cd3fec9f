"""The tiny tasks to learn from."""

from __future__ import annotations

from gennas.tasks.tiny.changes import Coarse, Grey, Inverted, Noise, Phaseless, Shuffled
from gennas.tasks.tiny.details import Blocks, Junctions, Verniers, Weaves
from gennas.tasks.tiny.glyphs import Sums
from gennas.tasks.tiny.photos import Handwriting, Objects
from gennas.tasks.tiny.pixels import ChannelDelays, ColourMixtures, Histograms, Motions, Tints
from gennas.tasks.tiny.relations import Above, Borders, Connections, Majorities, Order, Parities, Sameness
from gennas.tasks.tiny.shapes import Angles, Bends, Counts, OddOneOut, Outlines, Places, Ramps, Rings, Sizes
from gennas.tasks.tiny.signals import Curves, Heartbeats, Memories, Tones
from gennas.tasks.tiny.task import TinyTask
from gennas.tasks.tiny.textures import Bands, Domains, Gratings, Slopes

# CIFAR-10's classes.
_ANIMALS, _VEHICLES = (2, 3, 4, 5, 6, 7), (0, 1, 8, 9)
_AIRPLANE, _CAR, _CAT, _DEER, _FROG, _SHIP = (0,), (1,), (3,), (4,), (6,), (8,)

#: How hard each is was set so that most networks lie between chance and all right; see ``scripts/bench_tiny_tasks.py``.
TRAINING: tuple[TinyTask, ...] = (
    TinyTask("tints", "weak", Tints(0.06), 400),
    TinyTask("mixtures", "eight", ColourMixtures(0.12, 0.12), 400),
    TinyTask("histograms", "four", Histograms(0.2, classes=4), 600),
    TinyTask("histograms", "six", Histograms(0.2), 600),
    TinyTask("histograms", "three", Histograms(0.25, classes=3), 300),
    TinyTask("channels", "near", ChannelDelays(1, 0.35), 200),
    TinyTask("gratings", "fine", Gratings(6.5, 0.2), 400, (Noise(0.25),)),
    TinyTask("gratings", "twelve", Gratings(7, 0.2, classes=12), 400, (Noise(0.12),)),
    TinyTask("gratings", "coarse", Gratings(1.6, 0.2), 400, (Noise(0.4),)),
    TinyTask("gratings", "wrong", Gratings(4, 0.3, classes=6), 500, (Noise(0.15),), 0.5),
    TinyTask("bands", "high", Bands(3, 8), 300),
    TinyTask("bands", "fine", Bands(5, 9, classes=5), 200, (Noise(0.05, grey=True),)),
    TinyTask("slopes", "five", Slopes(), 400),
    TinyTask("domains", "four", Domains((1.6, 2.2, 2.6, 3.2)), 400, (Noise(0.05),)),
    TinyTask("blocks", "three", Blocks(0.05), 400, (Noise(0.02),)),
    TinyTask("weaves", "six", Weaves(0.2, 0.15), 400, (Noise(0.1),)),
    TinyTask("verniers", "five", Verniers(), 400, (Noise(0.05),)),
    TinyTask("junctions", "six", Junctions(), 600, (Noise(0.03),)),
    TinyTask("outlines", "six", Outlines(), 500, (Noise(0.08),)),
    TinyTask("outlines", "negatives", Outlines(), 500, (Inverted(), Noise(0.12))),
    TinyTask("outlines", "few", Outlines(), 100, (Noise(0.05),)),
    TinyTask("counts", "five", Counts(1), 500, (Noise(0.1),)),
    TinyTask("counts", "ink", Counts(3, equal_ink=True), 500, (Noise(0.04),)),
    TinyTask("sizes", "six", Sizes(1, 5), 400, (Noise(0.45),)),
    TinyTask("angles", "twenty", Angles(classes=20), 300, (Noise(0.1),)),
    TinyTask("angles", "clutter", Angles(45, classes=4), 500, (Inverted(), Noise(0.15))),
    TinyTask("bends", "four", Bends(), 600, (Noise(0.04),)),
    TinyTask("places", "sixteen", Places(4, 6), 200, (Noise(0.1),)),
    TinyTask("places", "four", Places(2, 6), 400, (Noise(0.2, grey=True),)),
    TinyTask("odd", "turned", OddOneOut(0.2), 400, (Noise(0.05),)),
    TinyTask("ramps", "eight", Ramps(0.1), 400, (Noise(0.3),)),
    TinyTask("ramps", "few", Ramps(0.15, classes=4), 100, (Noise(0.35, grey=True),)),
    TinyTask("rings", "ten", Rings(2.2, 4.5, classes=10), 400, (Noise(0.25),)),
    TinyTask("above", "near", Above(5), 200, (Noise(0.25),)),
    TinyTask("parities", "two", Parities(2), 150, (Noise(0.35, grey=True),)),
    TinyTask("majorities", "lead", Majorities(4, 20), 300, (Noise(0.1),)),
    TinyTask("sameness", "squares", Sameness(), 250, (Noise(0.05),)),
    TinyTask("connections", "cut", Connections(1), 600, (Noise(0.05),)),
    TinyTask("borders", "four", Borders(6.5), 300, (Noise(0.1),)),
    TinyTask("orders", "six", Order(0.1), 150, (Noise(0.06),)),
    TinyTask("sums", "eleven", Sums(5), 600, (Noise(0.03),)),
    TinyTask("curves", "six", Curves(), 150, (Noise(0.1),)),
    TinyTask("hearts", "four", Heartbeats(1.3), 150, (Noise(0.15),)),
    TinyTask("tones", "low", Tones(5, 40, 0.12), 400, (Noise(0.3, grey=True),)),
    TinyTask("tones", "high", Tones(60, 120, 0.15, classes=8), 400, (Noise(0.25, grey=True),)),
    TinyTask("memories", "eight", Memories(0.4, classes=8), 400),
    TinyTask("motions", "eight", Motions(0.8, 0.2), 400),
    TinyTask("handwriting", "few", Handwriting(), 100),
    TinyTask("handwriting", "wrong", Handwriting(), 500, (), 0.5),
    TinyTask("handwriting", "shuffled", Handwriting(), 100, (Shuffled(),)),
    TinyTask("handwriting", "coarse", Handwriting(), 100, (Coarse(4),)),
    TinyTask("objects", "kinds", Objects((_ANIMALS, _VEHICLES)), 500),
    TinyTask("objects", "ten", Objects(), 600),
    TinyTask("objects", "grey", Objects((_CAR, _SHIP, _CAT, _DEER)), 500, (Grey(),)),
    TinyTask("objects", "phaseless", Objects((_AIRPLANE, _CAR, _FROG, _SHIP)), 500, (Phaseless(),)),
    TinyTask("objects", "wrong", Objects((_ANIMALS, _VEHICLES)), 600, (), 0.3),
    TinyTask("objects", "few", Objects((_AIRPLANE, _CAR, _DEER, _FROG)), 100),
)
