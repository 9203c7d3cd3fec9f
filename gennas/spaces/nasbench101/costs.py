"""Channels, parameters and multiply-adds of NAS-Bench-101 networks."""

from __future__ import annotations

from collections.abc import Sequence

#: Kernel area of the operations that have weights.
_WINDOW = {"conv3x3-bn-relu": 9, "conv1x1-bn-relu": 1}


def vertex_widths(vertices: int, edges: Sequence[tuple[int, int]], c_out: int) -> list[int]:
    """The channels of the inner vertices of a cell with ``c_out`` output channels.

    The vertices that feed the output share its channels; a remainder goes to the lowest-numbered ones, one each.
    Every other vertex is as wide as the widest one that it feeds (``model_builder.compute_vertex_channels``).

    Args:
        vertices: number of vertices, including the input (0) and the output (the last).
        edges: pairs of vertices.
        c_out: channels of the cell's output.
    """
    sharing = [i for i, j in sorted(edges) if j == vertices - 1 and i > 0]
    widths = [0] * vertices
    for rank, vertex in enumerate(sharing):
        widths[vertex] = c_out // len(sharing) + (rank < c_out % len(sharing))
    for vertex in range(vertices - 2, 0, -1):
        if vertex not in sharing:
            widths[vertex] = max(widths[j] for i, j in edges if i == vertex)
    return widths[1:-1]


def skeleton_widths(
    vertices: int, edges: Sequence[tuple[int, int]], channels: int, stacks: int, modules: int
) -> list[list[list[int]]]:
    """The channels of all vertices, input and output included, of every cell of every stack.

    Args:
        vertices: number of vertices of the cell.
        edges: pairs of vertices.
        channels: width of the stem and the first stack.
        stacks: number of stacks, each twice as wide as the one before.
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
        stacks: channels of all vertices, as returned by :func:`skeleton_widths`.
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
            cell_params = sum((widths[0] + 2) * widths[j] for i, j in edges if i == 0)
            inner = zip(ops, widths[1:-1], strict=True)
            cell_params += sum((_WINDOW[op] * c + 2) * c for op, c in inner if op in _WINDOW)
            params += cell_params
            # Convolution weights and batch norm's scale and shift are each used once per pixel.
            macs += cell_params * height * width
    return params + (last + 1) * classes, macs + last * classes
