"""The graph of a functional model: its nodes in an order to run them in, found from its outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latchwork.layers.arguments import Shape
from latchwork.layers.base import Layer
from latchwork.layers.input import Input
from latchwork.layers.symbol import Call, Symbol
from latchwork.models.forms import Form, form_behind


@dataclass(frozen=True, eq=False)
class Node:
    """One call of a layer. Slots number the arrays of a pass: inputs first, then what each node makes."""

    layer: Layer
    number: int  # of the node: numbers its random masks
    x: tuple[int, ...]  # slots it reads ...
    states: tuple[int, ...]  # ... and those of its initial states
    y: tuple[int, ...]  # slots it fills
    done: tuple[int, ...]  # slots that nothing reads from here on
    shared: bool  # whether its layer is called elsewhere too
    again: bool  # ... and was called before

    def taken(self, slots: Sequence[Any]) -> Any:
        """x of the layer, from all slots: one, or the list of several."""
        return [slots[i] for i in self.x] if self.layer.many_inputs else slots[self.x[0]]

    def filled(self, y: Any) -> Sequence[Any]:
        """What the layer returned, one for each slot."""
        return y if len(self.y) > 1 else (y,)


@dataclass(frozen=True, eq=False)
class Graph:
    """What runs between inputs and outputs."""

    inputs: tuple[Symbol, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]  # slots
    slots: int  # how many there are

    def layers(self) -> list[Layer]:
        """Each once, in the order of their first calls."""
        return [node.layer for node in self.nodes if not node.again]

    def readers(self, i: int) -> list[Layer]:
        """The layers that read input i as x, or as a state."""
        return [node.layer for node in self.nodes if i in node.x or i in node.states]

    def opened(self, i: int) -> Shape:
        """The shape of input i with its number of steps left open, where those that read it allow that."""
        shape = self.inputs[i].shape
        found: Shape = self.readers(i)[0].any_steps(shape)
        return found if len(found) == len(shape) else shape

    def wanted(self) -> list[bool]:
        """Of each slot, whether something that learns stands before it."""
        found = [False] * self.slots
        for node in self.nodes:
            learns = bool(node.layer.trainable and node.layer.variables)
            learns = learns or any(found[slot] for slot in (*node.x, *node.states))
            for slot in node.y:
                found[slot] = learns
        return found

    def shapes(self, given: Sequence[Shape]) -> list[Any]:
        """The sample shape in every slot, for inputs of those shapes; an error names the layer that does not fit."""
        found: list[Any] = [*given, *[None] * (self.slots - len(given))]
        for node in self.nodes:
            for slot, shape in zip(node.y, node.layer.y_shapes(node.taken(found)), strict=True):
                found[slot] = shape
            for slot, size in zip(node.states, node.layer.state_sizes, strict=False):
                if found[slot] != (size,):
                    raise ValueError(f"{node.layer.name}: initial_state must be [B, {size}], got {found[slot]}")
        return found

    def forms(self, given: Sequence[Form]) -> list[Form]:
        """The form in every slot: a layer of Ragged sequences whose samples keep the steps gives Ragged ones."""
        shapes = self.shapes([form.shape for form in given])
        found: list[Form] = [*given, *map(Form, shapes[len(given) :])]
        for node in self.nodes:
            offsets = [found[i].offsets for i in node.x]
            first = offsets[0]
            for other in offsets[1:] if node.layer.same_lengths else ():
                same = first is other or (first is not None and other is not None and np.array_equal(first, other))
                if not same:
                    raise ValueError(f"{node.layer.name}: x must be sequences of the same lengths, Ragged or arrays")
            for slot in node.y:
                found[slot] = form_behind(shapes[slot], first)
        return found


def graph_of(inputs: Sequence[Symbol], outputs: Sequence[Symbol], names: Sequence[str], owner: str) -> Graph:
    """The graph between them.

    Raises:
        ValueError: An output needs an input that is not given, an input reaches no output, or there is a cycle.
    """
    calls = _calls_behind(outputs, set(inputs), owner)
    read = {id(symbol) for call in calls for symbol in (*call.x, *call.states)}
    for name, symbol in zip(names, inputs, strict=True):
        if id(symbol) not in read:
            raise ValueError(f"{owner}: no output depends on input {name!r}: the graph is not connected")
    slot_of = {id(symbol): i for i, symbol in enumerate(inputs)}
    for call in calls:
        for symbol in call.y:
            slot_of[id(symbol)] = len(slot_of)
    wanted = tuple(slot_of[id(symbol)] for symbol in outputs)
    last = dict.fromkeys(range(len(slot_of)), -1) | {
        slot_of[id(symbol)]: i for i, call in enumerate(calls) for symbol in (*call.x, *call.states, *call.y)
    }
    counts = Counter(call.layer for call in calls)
    seen: set[Layer] = set()
    nodes = []
    for i, call in enumerate(calls):
        x, states, y = (tuple(slot_of[id(s)] for s in symbols) for symbols in (call.x, call.states, call.y))
        done = tuple(slot for slot, at in last.items() if at == i and slot not in wanted)
        nodes.append(Node(call.layer, i, x, states, y, done, counts[call.layer] > 1, call.layer in seen))
        seen.add(call.layer)
    return Graph(tuple(inputs), tuple(nodes), wanted, len(slot_of))


def _calls_behind(outputs: Sequence[Symbol], inputs: set[Symbol], owner: str) -> list[Call]:
    """Every call that the outputs need, in the order they were made."""
    found: set[Call] = set()
    waiting = list(outputs)
    while waiting:
        symbol = waiting.pop()
        if symbol in inputs:
            continue
        if symbol.call is None:
            what = repr(symbol.name) if isinstance(symbol, Input) else "a symbol that no layer makes"
            raise ValueError(f"{owner}: the graph is not connected: an output needs {what}, which is not among inputs")
        if symbol.call not in found:
            found.add(symbol.call)
            waiting += [*symbol.call.x, *symbol.call.states]
    calls = sorted(found, key=lambda call: call.number)
    for call in calls:
        before = [symbol.call for symbol in (*call.x, *call.states) if symbol.call is not None and symbol not in inputs]
        if any(earlier.number >= call.number for earlier in before):
            raise ValueError(f"{owner}: the graph has a cycle: {call.layer.name} reads what is made of its own output")
    return calls
