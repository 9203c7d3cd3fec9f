"""Channels, parameters and multiply-adds of the networks of NAS-Bench-101 cells."""

from __future__ import annotations

from collections.abc import Sequence

#: Inputs per output and channel of the operations that have weights.
_WINDOW = {"conv3x3-bn-relu": 9, "conv1x1-bn-relu": 1}


def vertex_widths(vertices: int, edges: Sequence[tuple[int, int]], c_out: int) -> list[int]:
    """The channels of the inner vertices of a cell with ``c_out`` channels.

    Those that feed the output share its channels; what does not divide evenly goes, one each, to those with the lowest
    numbers. Every other one has as many as the widest it feeds (``model_builder.compute_vertex_channels``).

    Args:
        vertices: their number, the input (0) and the output (the last) among them.
        edges: pairs of vertices.
        c_out: channels of the cell's output.
    """
    sharing = [i for i, j in sorted(edges) if j == vertices - 1 and i > 0]
    widths = [0] * vertices
    for place, vertex in enumerate(sharing):
        widths[vertex] = c_out // len(sharing) + (place < c_out % len(sharing))
    for vertex in range(vertices - 2, 0, -1):
        if vertex not in sharing:
            widths[vertex] = max(widths[j] for i, j in edges if i == vertex)
    return widths[1:-1]


def skeleton_widths(
    vertices: int, edges: Sequence[tuple[int, int]], channels: int, stacks: int, modules: int
) -> list[list[list[int]]]:
    """For every cell of every stack the channels of its vertices, input and output among them.

    Args:
        vertices: number of vertices of the cell.
        edges: pairs of vertices.
        channels: width of the stem and the first stack.
        stacks: how many stacks, each twice as wide as the one before.
        modules: cells per stack.
    """
    found = []
    for stack in range(stacks):
        c_out = channels << stack
        inner = vertex_widths(vertices, edges, c_out)
        first = channels << max(stack - 1, 0)
        found.append([[c_in, *inner, c_out] for c_in in (first, *[c_out] * (modules - 1))])
    return found


def network_costs(
    ops: Sequence[str],
    edges: Sequence[tuple[int, int]],
    stacks: Sequence[Sequence[Sequence[int]]],
    input_shape: Sequence[int],
    classes: int,
) -> tuple[int, int]:
    """Parameters and multiply-adds of a network.

    Args:
        ops: the operations of the cell's inner vertices.
        edges: pairs of vertices.
        stacks: the channels, as of :func:`skeleton_widths`.
        input_shape: (channels, height, width) of the images.
        classes: number of classes.
    """
    in_channels, height, width = input_shape
    stem, last = stacks[0][0][0], stacks[-1][-1][-1]
    params = (9 * in_channels + 2) * stem
    macs = params * height * width
    for number, stack in enumerate(stacks):
        if number:
            height, width = (height + 1) // 2, (width + 1) // 2
        for widths in stack:
            of_cell = sum((widths[0] + 2) * widths[j] for i, j in edges if i == 0)
            inner = zip(ops, widths[1:-1], strict=True)
            of_cell += sum((_WINDOW[op] * c + 2) * c for op, c in inner if op in _WINDOW)
            params += of_cell
            # A weight of a convolution, and both numbers of a batch norm, are used once per pixel.
            macs += of_cell * height * width
    return params + (last + 1) * classes, macs + last * classes
