"""Subsets of a space: which archs they have, and which of these are nearest to another."""

from __future__ import annotations

import numpy as np
from toys import drawn

from gennas.spaces import get_space
from gennas.spaces.subset import Subset

SPACE = get_space("nasbench201")
ARCHS = list(dict.fromkeys(drawn(SPACE, 40)))


def test_it_has_its_archs_once() -> None:
    subset = Subset(SPACE, [*ARCHS[:20], *ARCHS[:5]])
    assert subset.archs == tuple(ARCHS[:20])
    assert (len(subset), ARCHS[0] in subset, ARCHS[20] in subset) == (20, True, False)
    assert subset == Subset(SPACE, reversed(ARCHS[:20])) != Subset(SPACE, ARCHS[:19])
    assert hash(subset) == hash(Subset(SPACE, ARCHS[:20]))


def test_the_nearest_differ_in_the_fewest_operations() -> None:
    subset, arch = Subset(SPACE, ARCHS[:20]), ARCHS[30]
    differ = [sum(np.array(other.ops) != np.array(arch.ops)) for other in subset.archs]
    expected = [other for other, count in zip(subset.archs, differ, strict=True) if count == min(differ)]
    assert subset.nearest(arch) == expected
    assert subset.nearest(ARCHS[0]) == [ARCHS[0]]
    assert ARCHS[0] not in subset.nearest(ARCHS[0], {ARCHS[0].key})
    assert Subset(SPACE, ARCHS[:1]).nearest(ARCHS[0], {ARCHS[0].key}) == []
