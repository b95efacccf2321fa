"""What summary, explain and memory budgets see of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latchwork.layers.base import Stage
from latchwork.layers.explain import with_steps as with_asked_steps
from latchwork.layers.explanation import Explanation
from latchwork.models.forms import form_of
from latchwork.models.graph import Graph
from latchwork.models.memory import largest_lengths, with_steps
from latchwork.models.summary import Line


def lines_of(graph: Graph, input_names: Sequence[str]) -> list[Line]:
    """An input or a call each, with what it reads."""
    shapes = graph.shapes([symbol.shape for symbol in graph.inputs])
    names = list(input_names)
    lines = [Line(name, [shapes[i]]) for i, name in enumerate(names)]
    for node in graph.nodes:
        reads = ", ".join(names[slot] for slot in (*node.x, *node.states))
        lines.append(Line(node.layer, [shapes[slot] for slot in node.y], node.taken(shapes), reads, again=node.again))
        several = len(node.y) > 1
        names += [f"{node.layer.name}[{i}]" if several else node.layer.name for i in range(len(node.y))]
    return lines


def largest_stages(graph: Graph, parts: list[Any], batch_size: int) -> list[Stage]:
    """The recurrent calls of the largest batch that inputs of the rows `parts` have, in the order they run."""
    shapes = graph.shapes([form_of(part).shape for part in parts])
    lengths: list[Any] = [largest_lengths(part, batch_size) for part in parts]
    lengths += [None] * (graph.slots - len(lengths))
    stages: list[Stage] = []
    for node in graph.nodes:
        for slot in node.y:
            lengths[slot] = lengths[node.x[0]]
        steps = with_steps(lengths[node.x[0]], shapes[node.x[0]])
        stages += node.layer._stages(node.taken(shapes), steps)
    return stages


def asked_shapes(graph: Graph, steps: Any) -> list[Any]:
    """The sample shape of each input, with as many steps as asked for."""
    shapes = []
    for i, symbol in enumerate(graph.inputs):
        opened = graph.opened(i)
        in_steps = bool(opened) and opened[0] is None
        shapes.append(with_asked_steps(graph.readers(i)[0], symbol.shape, steps if in_steps else None))
    return shapes


def timed_parts(graph: Graph, found: Explanation, shape: Any) -> list[Explanation]:
    """What is found of each call, with the times of runs."""
    parts, wanted = [], graph.wanted()
    slots: list[Any] = [None] * graph.slots
    masks: list[Any] = [None] * graph.slots
    for i, of_input in enumerate(shape):
        slots[i] = graph.readers(i)[0]._sample((found.batch_size, *of_input))
    for node, part in zip(graph.nodes, found.parts, strict=True):
        x, mask = node.taken(slots), node.taken(masks)
        known = None if isinstance(mask, list) and all(each is None for each in mask) else mask
        timed, y = node.layer._timed(part, x, known, need_dx=any(wanted[slot] for slot in node.x))
        parts.append(timed)
        made = node.layer.compute_mask(x, mask)
        for i, slot in enumerate(node.y):
            slots[slot] = node.filled(y)[i]
            masks[slot] = made if i < node.layer.y_count else None
    return parts
