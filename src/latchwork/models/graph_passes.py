"""Forward through a graph of layers, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from latchwork import _core
from latchwork.layers.base import Layer
from latchwork.layers.dense import like, values_of
from latchwork.layers.sequence import SequenceLayer
from latchwork.models.batches import Several
from latchwork.models.gradients import Beyond
from latchwork.models.graph import Graph, Node
from latchwork.models.network import Network


class GraphPasses(Network):
    """A network that is a graph: arrays lie in numbered slots, and a context is kept for each node."""

    _graph: Graph

    def _run(self, x: Any, training: bool, step: int | None = None) -> tuple[Any, Any, list[Any]]:
        graph, contexts = self._graph, []
        slots: list[Any] = [*(x.parts if isinstance(x, Several) else [x]), *[None] * (graph.slots - len(graph.inputs))]
        masks: list[Any] = [None] * graph.slots
        self._carried.begin()
        for node in graph.nodes:
            taken, mask = node.taken(slots), node.taken(masks)
            y, ctx = self._call(node, taken, mask, [slots[i] for i in node.states], training, step)
            contexts.append(ctx)
            made = node.layer.compute_mask(taken, mask)
            for slot, part in zip(node.y, node.filled(y), strict=True):
                slots[slot] = part
            for slot in node.y[: node.layer.y_count]:
                masks[slot] = made
            for slot in node.done:
                slots[slot] = masks[slot] = None
        outputs = [slots[i] for i in graph.outputs]
        of_outputs = [None if masks[i] is None or masks[i].all() else masks[i] for i in graph.outputs]
        return (outputs[0], of_outputs[0], contexts) if len(outputs) == 1 else (outputs, of_outputs, contexts)

    def _call(
        self, node: Node, x: Any, mask: Any, states: list[Any], training: bool, step: int | None
    ) -> tuple[Any, Any]:
        """What a layer returns, and its context. What stateful layers carry on counts once it is committed."""
        layer, given = node.layer, dict[str, Any]()
        has_mask = mask is not None and not (layer.many_inputs and all(each is None for each in mask))
        if has_mask and layer.takes_mask:
            given["mask"] = mask
        if states:
            given["initial_state"] = states
        if node.shared and training:
            layer.number = node.number  # each call draws masks of its own
        if not layer.stateful:
            return layer.forward(x, training=training, step=step, **given)
        carried = self._carried.initial(node.number, len(x))
        y, final, ctx = layer.advance(x, carried, training=training, step=step, **given)
        self._carried.leave(node.number, final)
        return ([*(y if layer.y_count > 1 else [y]), *final] if layer.outputs > layer.y_count else y), ctx

    def _backward(self, contexts: list[Any], dy: Any, beyond: Beyond | None = None) -> None:
        """Nodes in reverse; where an array was read several times, its gradients add up, the last reader's first."""
        graph = self._graph
        wanted = graph.wanted() if beyond is None else [True] * graph.slots
        gradients: list[Any] = [None] * graph.slots
        for slot, gradient in zip(graph.outputs, dy if len(graph.outputs) > 1 else [dy], strict=True):
            gradients[slot] = _added(gradients[slot], gradient)
        for node in reversed(graph.nodes):
            of_y = [gradients[slot] for slot in node.y]
            context, contexts[node.number] = contexts[node.number], None
            for slot in node.y:
                gradients[slot] = None
            if not any(wanted[slot] for slot in node.y) or all(each is None for each in of_y):
                continue
            need_dx = any(wanted[slot] for slot in (*node.x, *node.states))
            context, with_states = (context, False) if beyond is None else beyond.asked(context)
            dx = node.layer.backward(context, of_y if len(of_y) > 1 else of_y[0], need_dx=need_dx)
            if beyond is not None and with_states:
                dx, *beyond.states[self._state_key(node)] = dx
            if dx is None or not need_dx:
                continue
            of_x = dx if node.layer.many_inputs or node.states else [dx]
            for slot, gradient in zip((*node.x, *node.states), of_x, strict=True):
                if wanted[slot]:
                    gradients[slot] = _added(gradients[slot], gradient)
        if beyond is not None and beyond.with_inputs:
            of_inputs = gradients[: len(graph.inputs)]
            beyond.inputs = of_inputs if len(of_inputs) > 1 else of_inputs[0]

    def _given_states(self) -> list[Layer]:
        nodes = (node for node in self._graph.nodes if isinstance(node.layer, SequenceLayer))
        return [node.layer for node in nodes if node.states or node.shared]

    def _state_key(self, node: Node) -> str:
        """The layer's name; of one that is called several times with the number of the call behind it: "lstm/1"."""
        if not node.shared:
            return node.layer.name
        calls = [other.number for other in self._graph.nodes if other.layer is node.layer]
        return f"{node.layer.name}/{calls.index(node.number)}"


def _added(a: Any, b: Any) -> Any:
    """The sum of two gradients; None is none."""
    if a is None or b is None:
        return b if a is None else a
    return like(a, _core.merge("sum", np.ascontiguousarray(values_of(a)), np.ascontiguousarray(values_of(b))))
