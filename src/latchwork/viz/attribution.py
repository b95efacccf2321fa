"""Which inputs an output comes from: integrated gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import drawing
from latchwork.data.series import as_count
from latchwork.layers.base import Layer
from latchwork.layers.dense import values_of
from latchwork.models import Model
from latchwork.models.batches import Rows, Several, rows_between
from latchwork.ragged import Ragged
from latchwork.viz.running import at_rest, input_gradients

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each number of x adds to an output, as `integrated_gradients` finds it.

    Attributes:
        values: Like x, float64: an array, a Ragged, or for several inputs a dict of them by input name.
        x: What was attributed to, in the same form, in the model's dtype.
        output: The output on x, float64 [N].
        baseline_output: The output on the baseline, float64 [N].
        gap: The sum of a sample's values less (output - baseline_output), float64 [N]: 0 but for the integral's error.
        target: Which number of the output.

    >>> import numpy as np
    >>> one = np.ones(1)
    >>> Attribution(np.ones((1, 2)), np.ones((1, 2)), 2 * one, 0 * one, 0 * one, (0,)).values.tolist()
    [[1.0, 1.0]]
    """

    values: Any
    x: Any
    output: Array
    baseline_output: Array
    gap: Array
    target: tuple[int, ...]

    def plot(self, sample: int = 0, *, name: str | None = None, ax: Any = None) -> Any:
        """The attributions of one sample: bars for one feature over time or features without time, else a heat map.

        Args:
            sample: Which of the N.
            name: Of several inputs, the one to draw.
            ax: Axes to draw into; None: a new Figure.

        Returns:
            The matplotlib Figure.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: No such sample or input, an input of more than two axes, or another number of Axes.
        """
        if not 0 <= sample < len(self.output):
            raise ValueError(f"sample must be within [0, {len(self.output)}), got {sample!r}")
        whole = self.values
        if isinstance(whole, dict):
            if name not in whole:
                raise ValueError(f"name must be one of the inputs {', '.join(whole)}, got {name!r}")
            whole = whole[name]
        elif name is not None:
            raise ValueError(f"name is for a model of several inputs, got {name!r}")
        values = whole[sample]
        if values.ndim > 2:
            raise ValueError(f"a sample must be [F] or [T, F] to be drawn, got {values.shape}")
        [axis] = drawing.panels(ax, 1, size=(7.6, 3.4))
        change = self.output[sample] - self.baseline_output[sample]
        named = "" if name is None else f" through {name}"
        axis.set_title(
            f"What moves the output by {change:+.3g} from its baseline{named}\n(all attributions add up to it)"
        )
        across = "time step" if values.ndim == 2 else "feature"
        if values.ndim == 2 and values.shape[1] > 1:
            largest = max(float(np.abs(values).max()), 1e-12)
            image = axis.imshow(
                values.T, aspect="auto", origin="lower", interpolation="nearest", cmap=drawing.SIGNED, vmin=-largest,
                vmax=largest,
            )  # fmt: skip
            axis.figure.colorbar(image, ax=axis, pad=0.01, label="attribution, units of the output")
            axis.set(xlabel=across, ylabel="feature")
            axis.yaxis.get_major_locator().set_params(integer=True)
        else:
            flat = values.ravel()
            colours = np.where(flat >= 0, drawing.BLUE, drawing.RED)
            axis.bar(np.arange(len(flat)), flat, color=colours, width=0.8)
            axis.axhline(0, color="0.3", linewidth=0.8)
            axis.set(xlabel=across, ylabel="attribution, units of the output")
        axis.xaxis.get_major_locator().set_params(integer=True)
        return axis.figure


def integrated_gradients(
    model: Any,
    x: Any,
    baseline: Any = None,
    *,
    target: Any = None,
    output: str | None = None,
    nodes: int = 50,
    tolerance: float | None = 1e-3,
) -> Attribution:
    """(x - baseline) times the mean of the output's gradient on the straight way from the baseline to x.

    M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", 2017. A sample's attributions add up
    to output(x) - output(baseline): this is checked. The mean is taken by Gauss and Legendre's rule, of the model as it
    predicts; a layer of your own runs as in training.

    Args:
        model: A `Sequential` or `Model` whose inputs are numbers, not the whole numbers that an `Embedding` reads.
        x: As in `predict`: [N, ...] of any dtype that is cast to the model's, a Ragged, or several inputs.
        baseline: What stands for "nothing", in the form and shapes of x; None: zeros. Behind a `Masking` zeros are
            steps that are not there: the output jumps on the way, and the check says so.
        target: Which number of a sample's output: an index, or a tuple of them; None where there is only one.
        output: The name of the output, where the model has several.
        nodes: Gradients on the way, at least 1.
        tolerance: How far a sum may be off beyond rounding, as a share of the output's change; None: any.

    Raises:
        ValueError: An argument is out of range, the output is not one number, or a sum is off by more than `tolerance`:
            give more nodes.

    >>> import numpy as np
    >>> from latchwork.layers import Dense
    >>> from latchwork.models import Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="ones", input_shape=(2,))])
    >>> integrated_gradients(model, np.array([[3.0, 4.0]])).values.round(4).tolist()
    [[3.0, 4.0]]
    """
    verb = "integrated_gradients"
    count = as_count(nodes, f"{verb}: nodes", 1)
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"{verb}: tolerance must be above 0 or None, got {tolerance!r}")
    with at_rest(model, x, verb) as rows:
        _check_continuous(model, verb)
        start = _baseline(model, rows, baseline, verb)
        chosen = _Chosen(model, output, target, verb)
        found = [_one(model, part, base, chosen, count) for part, base in zip(_each(rows), _each(start), strict=True)]
    sums, outputs, bases = (np.array([each[i] for each in found]) for i in (1, 2, 3))
    gap = sums - (outputs - bases)
    if tolerance is not None:
        # both outputs carry the rounding of a whole pass
        rounding = 256 * np.finfo(model.dtype).eps * (np.abs(outputs) + np.abs(bases) + np.abs(sums))
        off = ~(np.abs(gap) <= tolerance * np.abs(outputs - bases) + rounding)  # NaN too
        if off.any():
            i = int(off.argmax())
            raise ValueError(
                f"{verb}: the attributions of sample {i} must add up to {outputs[i] - bases[i]:.6g}, their sum is "
                f"{sums[i]:.6g}: the output jumps or bends on the way; give more than {count} nodes or another baseline"
            )
    parts = [_joined(rows_of, [each[0][i] for each in found]) for i, rows_of in enumerate(_parts(rows))]
    given = list(_parts(rows))
    if len(parts) > 1:
        names = model.input_names
        return Attribution(
            dict(zip(names, parts, strict=True)),
            dict(zip(names, given, strict=True)),
            outputs,
            bases,
            gap,
            chosen.target,
        )
    return Attribution(parts[0], given[0], outputs, bases, gap, chosen.target)


class _Chosen:
    """The number of a model's output that is meant."""

    def __init__(self, model: Any, output: str | None, target: Any, verb: str) -> None:
        names = model.output_names
        if output is None and len(names) > 1:
            raise ValueError(f"{verb}: output must be one of {', '.join(names)}, got None")
        if output is not None and output not in names:
            raise ValueError(f"{verb}: output must be one of {', '.join(names)}, got {output!r}")
        self.several, self.at, self.verb = len(names) > 1, 0 if output is None else names.index(output), verb
        self.given, self.target = target, tuple[int, ...]()

    def take(self, y: Any) -> tuple[Array, Any]:
        """That number of each row, and the gradient that asks for it."""
        one = y[self.at] if self.several else y
        gradient = np.zeros_like(one)
        place = (slice(None), *self._place(one.shape[1:]))
        gradient[place] = 1
        dy: Any = gradient
        if self.several:
            dy = [None] * len(y)
            dy[self.at] = gradient
        return one[place].astype(np.float64), dy

    def _place(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.given is None:
            if np.prod(shape, dtype=np.int64) != 1:
                raise ValueError(f"{self.verb}: target must say which number of an output {shape}, got None")
            self.target = (0,) * len(shape)
            return self.target
        place = self.given if isinstance(self.given, tuple) else (self.given,)
        whole = all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in place)
        if not whole or len(place) != len(shape) or not all(-n <= i < n for i, n in zip(place, shape, strict=True)):
            raise ValueError(f"{self.verb}: target must be an index into an output {shape}, got {self.given!r}")
        self.target = tuple(int(i) for i in place)
        return self.target


def _one(model: Any, x: list[Array], base: list[Array], chosen: _Chosen, nodes: int) -> tuple[Any, ...]:
    """Attributions of one sample, their sum, and the output on it and on its baseline."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    way = np.concatenate([(points + 1) / 2, [0.0, 1.0]])
    rows = [(b + way.reshape(-1, *[1] * b.ndim) * (a - b)).astype(model.dtype) for a, b in zip(x, base, strict=True)]
    for part, a in zip(rows, x, strict=True):
        part[-1] = a  # not b + (a - b), which may be rounded
    y, _, contexts = model._run(rows[0] if len(rows) == 1 else Several(*rows), True, None)
    outputs, dy = chosen.take(y)
    found = []
    for a, b, gradient in zip(x, base, input_gradients(model, contexts, dy), strict=True):
        if gradient is None:
            found.append(np.zeros(a.shape))
            continue
        on_the_way = np.asarray(values_of(gradient), np.float64)[:nodes]
        found.append((a - b) * np.tensordot(weights / 2, on_the_way, axes=1))
    return found, sum(part.sum() for part in found), outputs[-1], outputs[-2]


def _parts(rows: Rows) -> tuple[Any, ...]:
    return rows.parts if isinstance(rows, Several) else (rows,)


def _each(rows: Rows) -> list[list[Array]]:
    """The parts of each sample, in float64 and without the batch axis."""
    found = []
    for i in range(len(rows)):
        parts = _parts(rows_between(rows, i, i + 1))
        found.append([np.asarray(part[0], np.float64) for part in parts])
    return found


def _joined(like_rows: Any, found: list[Array]) -> Any:
    if isinstance(like_rows, Ragged):
        return Ragged(np.concatenate(found) if found else np.zeros(like_rows.values.shape), like_rows.offsets)
    return np.stack(found) if found else np.zeros(like_rows.shape)


def _baseline(model: Any, rows: Rows, baseline: Any, verb: str) -> Rows:
    """Baselines in the form of x."""
    if baseline is not None:
        start: Rows = model._read(baseline)[0]
        for part, other in zip(_parts(rows), _parts(start), strict=True):
            same = type(part) is type(other) and values_of(part).shape == values_of(other).shape
            if not same or (isinstance(part, Ragged) and not np.array_equal(part.offsets, other.offsets)):
                shapes = [values_of(each).shape for each in (part, other)]
                raise ValueError(f"{verb}: baseline must have the form of x, {shapes[0]}, got {shapes[1]}")
        return start
    zeros = [
        Ragged(np.zeros_like(part.values), part.offsets) if isinstance(part, Ragged) else np.zeros_like(part)
        for part in _parts(rows)
    ]
    return zeros[0] if len(zeros) == 1 else Several(*zeros)


def _check_continuous(model: Any, verb: str) -> None:
    readers = (
        [layer for i in range(len(model.input_names)) for layer in model._graph.readers(i)]
        if isinstance(model, Model)
        else model.layers[:1]
    )
    for layer in readers:
        if type(layer).read is not Layer.read:
            raise ValueError(f"{verb}: x must be numbers that can change little by little, {layer.name!r} reads others")
