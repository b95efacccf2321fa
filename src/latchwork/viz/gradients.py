"""How far back a loss is felt: gradients of a recurrent layer's states and inputs by time step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import drawing, functional
from latchwork.layers import Bidirectional
from latchwork.layers.dense import values_of
from latchwork.ragged import Ragged
from latchwork.viz.running import Watched, at_rest, input_gradients, layer_of, one_call, watching
from latchwork.viz.steps import STATES, Steps, order, run, steps_of

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class GradientNorms:
    """Norms of the gradients of a batch's loss, as `gradient_norms` finds them.

    Attributes:
        layer: The recurrent layer's name.
        norms: "h" and, of an LSTM, "c": the states behind step t; "x": what the layer reads at step t. float64 [B, T]
            each, NaN at masked steps and beyond a length.
        loss: The loss of the batch.

    >>> import numpy as np
    >>> GradientNorms("lstm", {"h": np.array([[0.1, 1.0]])}, 0.5).norms["h"].shape
    (1, 2)
    """

    layer: str
    norms: dict[str, Array]
    loss: float

    def plot(self, names: Any = None, *, ax: Any = None) -> Any:
        """The median over the samples by time step, with the range of the middle 80 % of them, on a logarithmic axis.

        Args:
            names: Letters of `norms`; None: the states.
            ax: Axes to draw into; None: a new Figure.

        Returns:
            The matplotlib Figure.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: An unknown letter, or another number of Axes.
        """
        chosen = [name for name in self.norms if name != "x"] if names is None else list(names)
        for name in chosen:
            if name not in self.norms:
                raise ValueError(f"names must be among {', '.join(self.norms)}, got {name!r}")
        [axis] = drawing.panels(ax, 1, size=(6.8, 3.8))
        for i, name in enumerate(chosen):
            norms = self.norms[name]
            seen = np.flatnonzero(np.isfinite(norms).any(axis=0))
            low, middle, high = np.nanquantile(norms[:, seen], [0.1, 0.5, 0.9], axis=0)
            label = {**STATES, "x": "input x"}[name]
            axis.plot(seen, middle, color=drawing.COLOURS[i], label=label)
            axis.fill_between(seen, low, high, color=drawing.COLOURS[i], alpha=0.2, linewidth=0)
        axis.set_yscale("log")
        axis.legend(frameon=False)
        axis.set(
            title=f"{self.layer}: does the gradient reach the steps that matter?\nfalling to the left it vanishes, "
            "rising to the left it explodes",
            xlabel="time step",
            ylabel="norm of the loss's gradient, a sample",
        )
        return axis.figure


def gradient_norms(model: Any, x: Any, y: Any, layer: Any = None, *, direction: str | None = None) -> GradientNorms:
    """The norm of dLoss/dh_t for every step t of every sample: by all ways, through later steps too.

    In a simple recurrent network these norms change by about one factor a step: below 1 the gradient vanishes, above 1
    it explodes (Y. Bengio et al. 1994; R. Pascanu et al. 2013). The loss is that of the whole batch, its mean over
    elements as in `fit`, of the model as it predicts.

    Args:
        model: A compiled `Sequential` or `Model`.
        x, y: One batch, as in `fit`: [B, ...] of any dtype that is cast to the model's, or a Ragged.
        layer: An LSTM, GRU or SimpleRNN, or a Bidirectional of one: its name or itself; None: the first one.
        direction: Of a Bidirectional, "forward" (None) or "backward".

    Raises:
        ValueError: An argument is out of range, there is no loss, the layer is of another kind, is called more than
            once, or the loss does not depend on it.

    >>> import numpy as np
    >>> from latchwork.layers import LSTM, Dense
    >>> from latchwork.models import Sequential
    >>> model = Sequential([LSTM(4, input_shape=(None, 1)), Dense(1)])
    >>> model.compile(loss="mse")
    >>> {name: norms.shape for name, norms in gradient_norms(model, np.ones((2, 7, 1)), np.zeros(2)).norms.items()}
    {'h': (2, 7), 'c': (2, 7), 'x': (2, 7)}
    """
    verb = "gradient_norms"
    with at_rest(model, x, verb):
        found, compiled = layer_of(model, layer, verb), model._compiled_with_loss(verb)
        rows, targets = model._pair(x, y, verb)
        with watching(found) as seen:
            output, mask, contexts = model._run(rows, True, None)
            call = one_call(seen, found, verb)
            loss, _, gradient = compiled.step(targets, output, mask)
            input_gradients(model, contexts, gradient)  # all the way, whatever learns
        if call.kept is None:
            raise ValueError(f"{verb}: layer {found.name!r} must reach a loss, none depends on it")
        steps = steps_of(found, call, direction, verb)
        of_states, of_x = _walk_back(steps, *_gradients_of(found, steps, call))
    norms = {name: _norms(values, steps.real) for name, values in zip(("h", "c"), of_states, strict=False)}
    return GradientNorms(found.name, norms | {"x": _norms(of_x, steps.real)}, float(loss))


def _norms(values: Array, real: NDArray[np.bool_]) -> Array:
    found = np.sqrt(np.square(values.astype(np.float64)).sum(axis=-1))
    return np.where(real, found, np.nan)


def _gradients_of(layer: Any, steps: Steps, call: Watched) -> tuple[Any, list[Any]]:
    """The gradients of the states that y shows, [B, T, H], and of the final states, of the layer or one direction."""
    if not isinstance(layer, Bidirectional):
        return _by_step(steps, call.dy, call.kept.silent), list(call.d_states)
    grads = call.dy if layer.merge_mode is None else layer._merge_backward(call.dy, call.kept.outputs)
    count, back = layer.forward_layer.state_count, steps.layer is layer.backward_layer
    kept = call.kept.backward if back else call.kept.forward
    d_states = call.d_states[count:] if back else call.d_states[:count]
    return _by_step(steps, grads[int(back)], kept.silent), list(d_states)


def _walk_back(steps: Steps, grads: Array, d_states: list[Any]) -> tuple[list[Array], Array]:
    """Gradients of the states behind each step, [B, T, H] each, and of x [B, T, F]."""
    layer, (batch, count, features) = steps.layer, steps.x.shape
    contexts = run(steps, training=True).contexts
    zero = np.zeros((batch, layer.units), layer.dtype)
    state = [zero if each is None else np.asarray(each) for each in d_states]
    found = [np.empty((batch, count, layer.units), layer.dtype) for _ in state]
    of_x = np.zeros((batch, count, features), layer.dtype)
    for t in reversed(order(steps)):
        state = [np.ascontiguousarray(state[0] + grads[:, t]), *state[1:]]
        for kept, now in zip(found, state, strict=True):
            kept[:, t] = now
        [done] = functional.backward([functional.BackwardCall(contexts[t], None, state)])
        of_x[:, t], state = np.asarray(done.x)[:, 0], list(done.state)
    return found, of_x


def _by_step(steps: Steps, dy: Any, silent: Any) -> Array:
    """dy laid out by the step whose state it is the gradient of, [B, T, H]; 0 where y is 0 whatever the state.

    silent: of a layer that shows the last step alone, the rows whose y is 0.
    """
    layer, (batch, count, _) = steps.layer, steps.x.shape
    grads = np.zeros((batch, count, layer.units), layer.dtype)
    if dy is None:
        return grads
    if steps.end:
        grads[:, order(steps)[-1]] = values_of(dy)
        if silent is not None:
            grads[silent] = 0
        return grads
    in_order_read = layer.go_backwards and not layer._options.get("align")
    if isinstance(dy, Ragged):
        for row, of_row in zip(grads, dy, strict=True):
            row[: len(of_row)] = of_row[::-1] if in_order_read else of_row
    else:
        grads[...] = dy[:, ::-1] if in_order_read else dy
    shown = steps.real
    if not layer.zero_output_for_mask:  # the last output is repeated; before the first one y is 0
        way = slice(None, None, -1 if layer.go_backwards else 1)
        shown = np.maximum.accumulate(steps.real[:, way], axis=1)[:, way]
    grads[~shown] = 0
    return grads
