"""Targets and their weights, checked against what a model's outputs will be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core
from latchwork.fields import Value
from latchwork.layers.arguments import Shape, as_input
from latchwork.layers.dense import like, values_of
from latchwork.losses import Loss, Masked
from latchwork.models.batches import One, Rows, Several
from latchwork.models.forms import Form
from latchwork.models.heads import Head
from latchwork.ragged import Ragged


def as_target(y: Any, form: Form, count: int, loss: Loss, dtype: np.dtype[Any]) -> One:
    """y cast, and of the shape and range that the loss wants for an output of `count` samples; (N,) is (N, 1)."""
    labels, output = loss.labels, form.shape
    wanted = loss.target_shape((None, *output))[1:]
    target = as_input(y, "y", np.dtype(np.float64 if labels else dtype))
    if loss.sequences:
        return _labels_of_sequences(target, output, count, loss)
    shape: tuple[int, ...]
    if form.offsets is not None:
        if not isinstance(target, Ragged) or not np.array_equal(target.offsets, form.offsets):
            raise ValueError("y must be Ragged with the lengths of x, as the output is a sequence for each of them")
        shape = (len(target.values), *(size or 1 for size in wanted[1:] or (1,)))
    else:
        if isinstance(target, Ragged):
            raise ValueError("y must be an array: only a sequence for each sequence of a Ragged x is Ragged")
        shape = (count, *(size or 0 for size in wanted))
    values = values_of(target)
    spare = shape[-1:] == (1,) and (len(shape) == 2 or wanted != output)
    one_more = [(*shape, 1)] if labels else [shape[:-1]] if spare else []
    if values.shape != shape and values.shape not in one_more:
        hint = " (class numbers)" if labels else ""
        raise ValueError(f"y must have shape {shape}{hint} to match the model's output, got {values.shape}")
    values = _whole(values.reshape(shape)) if labels else values.reshape(shape)
    loss.check_targets(values, output)
    return like(target, values)


def _labels_of_sequences(y: One, output: Shape, count: int, loss: Loss) -> One:
    """Labels of whole sequences, [B, L] padded or Ragged, which are as long as they are."""
    if len(y) != count:
        raise ValueError(f"y must hold the labels of {count} sequences, got {len(y)}")
    labels = _whole(values_of(y))
    loss.check_targets(labels, output)
    return like(y, labels)


def _whole(labels: NDArray[Any]) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):  # NaN and infinity are told by the comparison
        numbers = labels.astype(np.int64)
    if not np.array_equal(numbers, labels):
        raise ValueError("y must hold whole class numbers, got fractions or NaN")
    return numbers


def as_weights(weights: Any, form: Form, count: int, dtype: np.dtype[Any]) -> One:
    """Sample weights [N], or [N, T] for an output [N, T, ...]; of a Ragged output one a sequence or one a step."""
    given = as_input(weights, "sample_weight", dtype)
    values = given.values if isinstance(given, Ragged) else given
    if not _core.all_finite(values):
        raise ValueError("sample_weight must be finite, got NaN or infinity")
    if values.size and values.min() < 0:
        raise ValueError(f"sample_weight must be at least 0, got {values.min():g}")
    if form.offsets is not None:
        steps = (int(form.offsets[-1]), 1)
        if isinstance(given, Ragged) and np.array_equal(given.offsets, form.offsets) and values.shape == steps:
            return given
        if not isinstance(given, Ragged) and values.shape == (count,):
            lengths = form.offsets[1:] - form.offsets[:-1]
            return Ragged(np.repeat(values, lengths).reshape(steps), form.offsets)
        raise ValueError(f"sample_weight must be ({count},) or Ragged like y with 1 feature, got {values.shape}")
    if isinstance(given, Ragged):
        raise ValueError("sample_weight must be an array, as the output is one")
    whole = (count, *(size or 0 for size in form.shape[:-1]))
    flat = values.reshape(-1) if values.shape == (count, 1) and len(whole) == 1 else values
    if flat.shape not in (whole[:1], whole[:2]):
        expected = " or ".join(str(shape) for shape in dict.fromkeys((whole[:1], whole[:2])))
        raise ValueError(f"sample_weight must have shape {expected}, got {values.shape}")
    return flat


def class_weighted(
    heads: Sequence[Head], forms: Sequence[Form], y: Rows, class_weight: Any, dtype: np.dtype[Any]
) -> Several:
    """Targets y with the weight of each sample's class: the class number, the largest of a one-hot row, or 0 and 1."""
    loss = heads[0].loss
    if len(heads) > 1 or loss is None:
        raise ValueError("class_weight is for a model of one output: give sample_weight as a dict or a list")
    if isinstance(y, Several):
        raise ValueError("class_weight and sample_weight exclude each other: give one of them")
    if not isinstance(class_weight, Mapping) or not class_weight:
        raise ValueError(f"class_weight must be a dict of class numbers and weights, got {class_weight!r}")
    for number, weight in class_weight.items():
        whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
        real = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
        if not whole or not real or not 0 <= weight < math.inf:
            raise ValueError(
                f"class_weight must hold a finite number of at least 0 for each class, got {number!r}: {weight!r}"
            )
    if isinstance(y, Ragged) or loss.sequences or y.ndim > (1 if loss.labels else 2):
        raise ValueError("class_weight must be None for an output of sequences: give sample_weight")
    if y.ndim == 2 and y.shape[1] > 1:
        classes = y.argmax(axis=1)
        if (np.count_nonzero(y == y.max(axis=1, keepdims=True), axis=1) > 1).any():
            raise ValueError("class_weight must be None for rows of y with several largest numbers: give sample_weight")
    else:
        classes = np.rint(y.reshape(len(y)))
    last = max((forms[0].shape[-1] or 1) - 1, 1)
    there = classes[np.isfinite(classes)] if not isinstance(loss, Masked) else classes[:0]
    for number in (*class_weight, *((there.min(), there.max()) if there.size else ())):
        if not -1 <= number <= last:  # -1: the other class of hinge, or a label of no class
            whose = "" if number in class_weight else " in y"
            raise ValueError(f"class_weight: classes must be numbers from 0 to {last}, got {int(number)}{whose}")
    weights = np.ones(len(y), dtype)  # of targets that are not there too
    for number, weight in class_weight.items():
        weights[classes == number] = weight
    return Several(y, weights)


@dataclass(eq=False, repr=False)
class Asked(Value):
    """What a batch of `count` samples must bring for each output: `forms` are those of the outputs."""

    heads: Sequence[Head]
    names: Sequence[str]
    forms: Sequence[Form]
    count: int
    dtype: np.dtype[Any]

    def targets(self, y: Any, sample_weight: Any) -> Rows:
        """y cast and checked; with weights, or for several outputs, targets and then weights in a `Several`."""
        if len(self.heads) == 1:
            target = self._target(0, self._only(y, "y"))
            weights = self._weights(0, self._only(sample_weight, "sample_weight"))
            return target if weights is None else Several(target, weights)
        each_y, each_weight = self._by_output(y, "y"), self._by_output(self._for_all(sample_weight), "sample_weight")
        targets, weights_of = [], []
        for i, name in enumerate(self.names):
            try:
                targets.append(self._target(i, each_y[i]))
                weights_of.append(self._weights(i, each_weight[i]))
            except ValueError as error:
                raise ValueError(f"output {name!r}: {error}") from None
        return Several(*targets, *weights_of)

    def _target(self, i: int, y: Any) -> Any:
        head, form = self.heads[i], self.forms[i]
        if head.loss is None:
            if y is not None:
                raise ValueError("y must be None for an output without a loss")
            return None
        if y is None:
            raise ValueError("y must be given, as the output has a loss")
        return as_target(y, form, self.count, head.loss, self.dtype)

    def _weights(self, i: int, given: Any) -> Any:
        if given is None:
            return None
        loss = self.heads[i].loss
        if loss is None:
            raise ValueError("sample_weight must be None for an output without a loss")
        form = Form(()) if loss.sequences else self.forms[i]  # one weight a sequence
        return as_weights(given, form, self.count, self.dtype)

    def _only(self, given: Any, what: str) -> Any:
        """What is given for the one output: it may stand in a dict by name, or alone in a list of arrays."""
        if isinstance(given, Mapping):
            return self._by_output(given, what)[0]
        in_list = isinstance(given, (list, tuple)) and len(given) == 1
        return given[0] if in_list and isinstance(given[0], (np.ndarray, Ragged)) else given

    def _for_all(self, given: Any) -> Any:
        """Weights that are one array are those of every output."""
        if isinstance(given, (Mapping, list, tuple)):
            return given
        return [None if head.loss is None else given for head in self.heads]

    def _by_output(self, given: Any, what: str) -> list[Any]:
        """The entries of a list or a dict by name, one for each output."""
        names = self.names
        if isinstance(given, Mapping):
            for name in given:
                if name not in names:
                    raise ValueError(f"{what}: no output is named {name!r}; there are {', '.join(names)}")
            return [given.get(name) for name in names]
        if not isinstance(given, (list, tuple)) or len(given) != len(names):
            got = f"{len(given)} entries" if isinstance(given, (list, tuple)) else type(given).__name__
            raise ValueError(f"{what} must be a list or a dict of the outputs {', '.join(names)}, got {got}")
        return list(given)
