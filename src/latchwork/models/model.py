"""Model: a graph of layers with any number of inputs and outputs."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arena import Arena
from latchwork.layers.arguments import as_input, check_fit, refuse
from latchwork.layers.base import Layer, Stage
from latchwork.layers.explain import Asked
from latchwork.layers.explanation import Explanation
from latchwork.layers.input import Input
from latchwork.layers.symbol import Symbol
from latchwork.models.batches import Rows, Several
from latchwork.models.estimate import Estimate
from latchwork.models.forms import Form, form_of
from latchwork.models.graph import graph_of
from latchwork.models.graph_passes import GraphPasses
from latchwork.models.graph_views import asked_shapes, largest_stages, lines_of, timed_parts
from latchwork.models.summary import Line
from latchwork.ragged import Ragged


class Model(GraphPasses):
    """A graph of layers, called on each other's outputs: several inputs, several outputs, shared layers, states.

    Args:
        inputs: An `Input`, or a list of them: the order of the arrays in x. In a dict x goes by their names.
        outputs: A symbol that a layer returned, or a list: the order of predictions and targets. An output is named
            as the layer that makes it, with _1, _2 where a layer makes several.
        name: The model's, in `summary` and errors.
        dtype: "float32" or "float64"; left out, it is what inputs and layers say, float32 if they say nothing.

    Raises:
        ValueError: inputs and outputs are not connected, a layer is in another model, or names or dtypes clash.

    A layer called several times has one set of parameters, and its gradients add up. Layers are in the order of their
    first calls, in `get_weights` too. Masks flow as in Keras. All that `Sequential` does holds here, but `estimate`;
    `generate` and `forecast` are for graphs of one input and one output.

    >>> import numpy as np
    >>> from latchwork.layers import LSTM, Concatenate, Dense, Input
    >>> series, table = Input((None, 2), name="series"), Input((3,), name="table")
    >>> both = Concatenate()([LSTM(8)(series), table])
    >>> model = Model([series, table], [Dense(1, name="price")(both), Dense(1, activation="sigmoid", name="up")(both)])
    >>> model.compile("adam", loss={"price": "mse", "up": "bce"}, loss_weights={"up": 0.5})
    >>> x = {"series": np.ones((4, 5, 2)), "table": np.ones((4, 3))}
    >>> list(model.fit(x, [np.ones(4), np.ones(4)], verbose=0).history)
    ['loss', 'price_loss', 'up_loss']
    >>> [y.shape for y in model.predict(x)]
    [(4, 1), (4, 1)]
    """

    is_graph = True

    def __init__(
        self, inputs: Any = None, outputs: Any = None, *, name: str = "model", dtype: Any = None, **others: Any
    ) -> None:
        refuse("Model", others, {"trainable": True}, ("inputs", "outputs", "name", "dtype"))
        super().__init__(name, dtype)
        given = _listed(inputs, f"{name}: inputs", Input)
        wanted = _listed(outputs, f"{name}: outputs", Symbol)
        if len(set(given)) < len(given):
            raise ValueError(f"{name}: inputs must differ, got one of them twice")
        self.input_names = _unique([(each.given_name, "input") for each in given], f"{name}: inputs")
        for i, symbol in enumerate(wanted):
            if symbol.call is None:
                raise ValueError(f"{name}: outputs must be made by layers, got an Input as outputs[{i}]")
        self._graph = graph_of(given, wanted, self.input_names, name)
        layers, taken = self._graph.layers(), set[str]()
        names = []
        for layer in layers:
            owner = None if layer._model is None else layer._model()
            if owner is not None:
                raise ValueError(f"{name}: layer {layer.name!r} already belongs to {owner.name!r}")
            names.append(self._name_for(layer, taken))
            taken.add(names[-1])
        for each in given:
            self._agree_on_dtype(each.dtype, each.name)
        for layer, called in zip(layers, names, strict=True):
            self._agree_on_dtype(layer.dtype if layer.built else layer.given_dtype, called)
        for layer, called in zip(layers, names, strict=True):
            layer.name, layer._model = called, weakref.ref(self)
        for node in self._graph.nodes:
            if not node.again:
                node.layer.number = node.number
        self.layers = layers
        makers = [symbol.call.layer.name for symbol in wanted if symbol.call is not None]
        self._output_names = _unique([(None, maker) for maker in makers], "outputs")

    # ---- building -----------------------------------------------------------------------------------------------

    def build(self, input_shape: Any = None) -> None:
        """Create the parameters; `Input` has said the shapes.

        Raises:
            ValueError: An input_shape is given.
        """
        if input_shape is not None:
            raise ValueError(f"{self.name}: input_shape must be None, as the Inputs have shapes, got {input_shape!r}")
        if self._arena is None:
            self._arena = Arena(self.layers, self.dtype)

    def _sample_shape(self, x: Rows) -> None:
        return None

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs in dicts and figures."""
        return list(self._output_names)

    # ---- what training needs ------------------------------------------------------------------------------------

    def _read(self, x: Any) -> tuple[Rows, list[Form]]:
        parts, forms = [], []
        for i, (name, given) in enumerate(zip(self.input_names, self._by_input(x), strict=True)):
            try:
                part = self._read_input(i, given)
            except ValueError as error:
                raise error if len(self.input_names) == 1 else ValueError(f"input {name!r}: {error}") from None
            parts.append(part)
            forms.append(form_of(part))
            if len(part) != len(parts[0]):
                counts = f"{len(parts[0])} in {self.input_names[0]!r}, {len(part)} in {name!r}"
                raise ValueError(f"{self.name}: inputs must have the same number of samples, got {counts}")
        found = self._graph.forms(forms)
        return parts[0] if len(parts) == 1 else Several(*parts), [found[slot] for slot in self._graph.outputs]

    def _read_input(self, i: int, given: Any) -> NDArray[Any] | Ragged:
        own = [layer for layer in self._graph.readers(i) if type(layer).read is not Layer.read]
        for layer in own:  # such as an Embedding, which reads whole numbers
            given = layer.read(given, self.dtype)
        part: NDArray[Any] | Ragged = given if own else as_input(given, "x", self.dtype)
        if not isinstance(part, Ragged) and part.ndim == 0:
            raise ValueError("x must have a batch axis, got a single number")
        shape, expected = form_of(part).shape, self._graph.opened(i)
        if own and isinstance(part, Ragged) and len(expected) == 1:  # numbers [N, 1] of sequences [T]
            shape = shape[:1]
        check_fit(shape, expected, self.name)
        return part

    def _by_input(self, x: Any) -> list[Any]:
        names = self.input_names
        if isinstance(x, Several):  # read before
            return list(x.parts)
        if isinstance(x, Mapping):
            if set(x) != set(names):
                raise ValueError(f"x must be a dict of {', '.join(names)}, got {', '.join(map(str, x)) or 'nothing'}")
            return [x[name] for name in names]
        if len(names) == 1:
            in_list = isinstance(x, (list, tuple)) and len(x) == 1 and isinstance(x[0], (np.ndarray, Ragged))
            return [x[0] if in_list else x]
        if not isinstance(x, (list, tuple)) or len(x) != len(names):
            got = f"{len(x)} entries" if isinstance(x, (list, tuple)) else type(x).__name__
            raise ValueError(f"x must be a list or a dict of the inputs {', '.join(names)}, got {got}")
        return list(x)

    # ---- looks --------------------------------------------------------------------------------------------------

    def estimate(
        self, batch_size: int = 32, steps: int | None = None, *, memory: str = "store", measure: bool = True
    ) -> Estimate:
        """Estimates of graphs are not built.

        Args:
            batch_size, steps, memory, measure: As in `Sequential.estimate`.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{self.name}: estimate is for a Sequential: that of graphs is not supported yet")

    def _fields(self) -> dict[str, Any]:
        graph = self._graph
        inputs = zip(self.input_names, graph.inputs, strict=True)
        return {
            "inputs": [{"name": name, "shape": list(symbol.shape)} for name, symbol in inputs],
            "nodes": [
                {"layer": self.layers.index(node.layer), "x": [*node.x], "initial_state": [*node.states]}
                for node in graph.nodes
            ],
            "outputs": [*graph.outputs],
        }

    def _known(self) -> bool:
        return True

    def _lines(self) -> list[Line]:
        return lines_of(self._graph, self.input_names)

    def _calls(self, shape: Any) -> Iterator[tuple[Layer, Any]]:
        shapes = self._graph.shapes(shape)
        return ((node.layer, node.taken(shapes)) for node in self._graph.nodes)

    def _largest_stages(self, x: Rows, batch_size: int) -> list[Stage]:
        return largest_stages(self._graph, list(x.parts) if isinstance(x, Several) else [x], batch_size)

    def _asked_shape(self, steps: Any) -> Any:
        self.build()
        return asked_shapes(self._graph, steps)

    def _timed_parts(self, found: Explanation, shape: Any) -> list[Explanation]:
        return timed_parts(self._graph, found, shape)

    def _explained(self, shape: Any, asked: Asked) -> Explanation:
        parts = [layer._explain(x_shape, asked) for layer, x_shape in self._calls(shape)]
        kind = f"{type(self).__name__}, {self.dtype}"
        return asked.answer(self._graph.readers(0)[0], self.name, kind, shape[0], parts=tuple(parts))

    def __repr__(self) -> str:
        return f"<Model {self.name!r}: {', '.join(self.input_names)} -> {', '.join(self._output_names)}>"


def _listed(given: Any, what: str, kind: type) -> list[Any]:
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    if not found or not all(isinstance(each, kind) for each in found):
        names = ", ".join(type(each).__name__ for each in found) or "nothing"
        raise ValueError(f"{what} must be one {kind.__name__} or a list of them, got {names}")
    return found


def _unique(names: Sequence[tuple[str | None, str]], what: str) -> list[str]:
    """The names given, and for the others an automatic one, with _1, _2 where it is taken."""
    given = [name for name, _ in names if name is not None]
    if len(set(given)) < len(given):
        raise ValueError(f"{what} must have different names, got {', '.join(given)}")
    found: list[str] = []
    for name, auto in names:
        free = (auto if i == 0 else f"{auto}_{i}" for i in range(len(names) + len(given) + 1))
        found.append(next(one for one in free if one not in found and one not in given) if name is None else name)
    return found
