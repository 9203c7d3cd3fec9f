"""The tiny tasks to learn from."""

from __future__ import annotations

from gennas.tasks.tiny.changes import Coarse, Faint, Grey, Inverted, Noise, Phaseless, Shuffled
from gennas.tasks.tiny.glyphs import Sums
from gennas.tasks.tiny.photos import Handwriting, Objects
from gennas.tasks.tiny.pixels import ChannelDelays, ColourMixtures, Histograms, Tints
from gennas.tasks.tiny.relations import Above, Borders, Connections, Majorities, Order, Parities, Sameness
from gennas.tasks.tiny.shapes import Angles, Bends, Counts, OddOneOut, Outlines, Places, Ramps, Rings, Sizes
from gennas.tasks.tiny.signals import Curves, Heartbeats, Tones
from gennas.tasks.tiny.task import TinyTask
from gennas.tasks.tiny.textures import Bands, Domains, Gratings, Slopes

# CIFAR-10's classes.
_ANIMALS, _VEHICLES = (2, 3, 4, 5, 6, 7), (0, 1, 8, 9)
_AIRPLANE, _CAR, _CAT, _DEER, _FROG, _SHIP = (0,), (1,), (3,), (4,), (6,), (8,)

#: How hard each is was set so that most networks lie between chance and all right; see ``scripts/bench_tiny_tasks.py``.
TRAINING: tuple[TinyTask, ...] = (
    TinyTask("tints", "weak", Tints(0.06), 400),
    TinyTask("tints", "few", Tints(0.08, classes=5), 100),
    TinyTask("mixtures", "eight", ColourMixtures(0.12, 0.12), 400),
    TinyTask("mixtures", "wrong", ColourMixtures(0.15, 0.1, classes=6), 400, (), 0.4),
    TinyTask("histograms", "four", Histograms(0.2, classes=4), 600),
    TinyTask("channels", "shifted", ChannelDelays(2, 0.6), 400),
    TinyTask("channels", "near", ChannelDelays(1, 0.45), 400),
    TinyTask("gratings", "fine", Gratings(6.5, 0.2), 400, (Noise(0.25),)),
    TinyTask("gratings", "coarse", Gratings(1.6, 0.2), 400, (Noise(0.4),)),
    TinyTask("gratings", "faint", Gratings(4, 0.15, classes=4), 500, (Noise(0.4, grey=True),)),
    TinyTask("gratings", "wrong", Gratings(4, 0.3, classes=6), 500, (Noise(0.15),), 0.5),
    TinyTask("bands", "octaves", Bands(1, 7), 200, (Noise(0.15, grey=True),)),
    TinyTask("bands", "buried", Bands(1, 7, classes=5), 400, (Noise(0.35, grey=True),)),
    TinyTask("slopes", "five", Slopes(), 400),
    TinyTask("slopes", "few", Slopes(1.5, classes=4), 100),
    TinyTask("domains", "four", Domains((1.6, 2.2, 2.6, 3.2)), 400, (Noise(0.05),)),
    TinyTask("domains", "noise", Domains((1.8, 2.4, 3.2)), 400, (Noise(0.8, grey=True),)),
    TinyTask("outlines", "six", Outlines(), 500, (Noise(0.08),)),
    TinyTask("outlines", "negatives", Outlines(), 500, (Inverted(), Noise(0.12))),
    TinyTask("outlines", "few", Outlines(), 100, (Noise(0.05),)),
    TinyTask("counts", "five", Counts(1), 500, (Noise(0.1),)),
    TinyTask("counts", "ink", Counts(3, equal_ink=True), 500, (Noise(0.04),)),
    TinyTask("sizes", "six", Sizes(1, 5), 400, (Noise(0.45),)),
    TinyTask("sizes", "buried", Sizes(1, 5, classes=4), 400, (Noise(0.6),)),
    TinyTask("angles", "eight", Angles(), 400, (Noise(0.35),)),
    TinyTask("angles", "clutter", Angles(45, classes=4), 500, (Inverted(), Noise(0.15))),
    TinyTask("bends", "four", Bends(), 600, (Noise(0.04),)),
    TinyTask("places", "sixteen", Places(4, 6), 400, (Noise(0.35),)),
    TinyTask("places", "four", Places(2, 6), 400, (Noise(0.2, grey=True),)),
    TinyTask("odd", "turned", OddOneOut(0.45), 600, (Noise(0.15),)),
    TinyTask("ramps", "eight", Ramps(0.1), 400, (Noise(0.3),)),
    TinyTask("ramps", "few", Ramps(0.15, classes=4), 100, (Noise(0.35, grey=True),)),
    TinyTask("rings", "six", Rings(), 400, (Noise(0.6),)),
    TinyTask("above", "near", Above(5), 300, (Noise(0.4),)),
    TinyTask("above", "far", Above(9), 150, (Noise(0.35),)),
    TinyTask("parities", "two", Parities(2), 300, (Noise(0.6, grey=True),)),
    TinyTask("parities", "four", Parities(4), 500, (Noise(0.25, grey=True),)),
    TinyTask("majorities", "lead", Majorities(3, 20), 400, (Noise(0.1),)),
    TinyTask("sameness", "squares", Sameness(), 400, (Noise(0.2),)),
    TinyTask("connections", "cut", Connections(1), 600, (Noise(0.05),)),
    TinyTask("borders", "four", Borders(5), 400, (Noise(0.2),)),
    TinyTask("orders", "six", Order(0.06), 400, (Noise(0.2),)),
    TinyTask("sums", "eleven", Sums(5), 600, (Noise(0.1),)),
    TinyTask("curves", "six", Curves(), 400, (Noise(0.25),)),
    TinyTask("hearts", "four", Heartbeats(1.0), 400, (Noise(0.35),)),
    TinyTask("tones", "low", Tones(5, 40, 0.12), 400, (Noise(0.3, grey=True),)),
    TinyTask("tones", "high", Tones(60, 120, 0.15, classes=8), 400, (Noise(0.25, grey=True),)),
    TinyTask("handwriting", "faint", Handwriting(), 300, (Faint(0.3), Noise(0.3, grey=True))),
    TinyTask("handwriting", "few", Handwriting(), 100),
    TinyTask("handwriting", "wrong", Handwriting(), 500, (), 0.5),
    TinyTask("handwriting", "shuffled", Handwriting(), 150, (Shuffled(), Noise(0.2, grey=True))),
    TinyTask("handwriting", "coarse", Handwriting(), 250, (Coarse(4), Noise(0.3, grey=True))),
    TinyTask("objects", "kinds", Objects((_ANIMALS, _VEHICLES)), 500),
    TinyTask("objects", "ten", Objects(), 600),
    TinyTask("objects", "grey", Objects((_CAR, _SHIP, _CAT, _DEER)), 500, (Grey(),)),
    TinyTask("objects", "coarse", Objects((_ANIMALS, _VEHICLES)), 500, (Coarse(4),)),
    TinyTask("objects", "phaseless", Objects((_AIRPLANE, _CAR, _FROG, _SHIP)), 500, (Phaseless(),)),
    TinyTask("objects", "shuffled", Objects((_AIRPLANE, _CAR, _DEER, _FROG)), 500, (Shuffled(),)),
    TinyTask("objects", "wrong", Objects((_ANIMALS, _VEHICLES)), 600, (), 0.3),
    TinyTask("objects", "few", Objects((_AIRPLANE, _CAR, _DEER, _FROG)), 100),
)
