"""Embedding: token numbers to rows of a table."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, initializers
from latchwork.data.series import as_count
from latchwork.floats import usual_floats
from latchwork.layers.arena import Variable
from latchwork.layers.arguments import Shape, as_array, as_flag, as_input
from latchwork.layers.base import Batch, Layer
from latchwork.layers.dense import like, values_of
from latchwork.layers.parameters import drawn, fixed
from latchwork.ragged import Ragged


class Embedding(Layer):
    """y[b, t] = embeddings[x[b, t]]: x [B, T] of whole numbers in [0, input_dim) -> y [B, T, output_dim].

    A `lw.Ragged` of numbers has values [N, 1]; [B, T, 1] is taken as [B, T]. Variable: `embeddings`
    [input_dim, output_dim]. Equal numbers add their gradients in the order of x. backward returns None: numbers have no
    gradient. Arguments and defaults are Keras'.

    Args:
        input_dim: Rows of the table.
        output_dim: Features of y.
        embeddings_initializer: A name or an `lw.initializers` object; "uniform" is uniform in +-0.05.
        mask_zero: 0 means padding, and recurrent layers behind skip it (row 0 of the table is then not used).
        weights: First values: the table, or a list of that one array.

    Raises:
        ValueError: An argument out of range; when called, a number outside the table.

    >>> import numpy as np
    >>> layer = Embedding(10, 4, mask_zero=True)
    >>> layer(np.array([[7, 7, 0]])).shape, layer.compute_mask(np.array([[7, 7, 0]]), None).tolist()
    ((1, 3, 4), [[True, True, False]])
    """

    by_step = True

    unbuilt: ClassVar[dict[str, Any]] = {
        **Layer.unbuilt,
        "embeddings_regularizer": None,
        "embeddings_constraint": None,
        "lora_rank": None,
        "lora_alpha": None,
        "quantization_config": None,
    }

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        *,
        mask_zero: bool = False,
        weights: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.input_dim = as_count(input_dim, "Embedding: input_dim", 1)
        self.output_dim = as_count(output_dim, "Embedding: output_dim", 1)
        self.mask_zero = as_flag(mask_zero, "mask_zero", "Embedding")
        self._initializer = initializers.get(embeddings_initializer)
        self.weights = None  # those given become the variable's first value and are configuration no longer
        self._first = None if weights is None else self._table(weights)

    def _table(self, weights: Any) -> NDArray[Any]:
        given = weights[0] if isinstance(weights, (list, tuple)) and len(weights) == 1 else weights
        table, shape = as_array(given, "Embedding: weights", np.dtype(np.float64)), (self.input_dim, self.output_dim)
        if table.shape != shape:
            raise ValueError(f"Embedding: weights must be one array of shape {shape}, got shape {table.shape}")
        return table

    def _declare(self, input_shape: Shape) -> None:
        initial = drawn(self._initializer) if self._first is None else fixed(self._first)
        self.variables = [Variable("embeddings", (self.input_dim, self.output_dim), initial)]

    def y_shape(self, x_shape: Shape) -> Shape:
        return (*(x_shape[:-1] if len(x_shape) > 1 and x_shape[-1] == 1 else x_shape), self.output_dim)

    def any_steps(self, x_shape: Shape) -> Shape:
        return (*(None for _ in x_shape[:1]), *x_shape[1:])

    @usual_floats
    def read(self, x: Any, dtype: np.dtype[Any]) -> Batch:
        """`x` as int64, whatever the model's `dtype`.

        Raises:
            ValueError: Fractions, NaN, numbers outside the table, or a Ragged of several features.
        """
        values = values_of(x)
        if type(values) is np.ndarray and values.dtype == np.int64:
            rows: Batch = as_input(x, "x", values.dtype)
        else:
            given = as_input(x, "x", np.dtype(np.float64))
            with np.errstate(invalid="ignore"):  # NaN and infinity are told by the comparison
                rows = like(given, values_of(given).astype(np.int64))
            if not np.array_equal(values_of(rows), values_of(given)):
                raise ValueError(f"{self.name}: x must hold whole numbers, got fractions, NaN or infinity")
        numbers = values_of(rows)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.input_dim):
            bad = numbers.min() if numbers.min() < 0 else numbers.max()
            raise ValueError(f"{self.name}: x must hold whole numbers in [0, {self.input_dim}), got {bad}")
        if isinstance(rows, Ragged) and numbers.shape[1] != 1:
            raise ValueError(f"{self.name}: a Ragged x must have values [N, 1], got {numbers.shape}")
        return rows

    def _numbers(self, x: Any) -> NDArray[np.int64]:
        """[B, T], or [N] of a Ragged."""
        values = values_of(x)
        return np.asarray(
            values[..., 0] if values.ndim > 2 - isinstance(x, Ragged) and values.shape[-1] == 1 else values
        )

    def _sample(self, shape: Any) -> NDArray[Any]:
        return np.full(shape, min(1, self.input_dim - 1), np.int64)

    def compute_mask(self, x: Any, mask: Any) -> Any:
        return self._numbers(x) != 0 if self.mask_zero else None

    def forward(self, x: Any, *, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        x = self.read(x, self.dtype)
        if not self.built:
            self.build((None, *((None, 1) if isinstance(x, Ragged) else self.any_steps(x.shape[1:]))))
        numbers = np.ascontiguousarray(self._numbers(x))
        return like(x, _core.gather_rows(self.variables[0].value, numbers)), numbers if training else None

    def backward(self, ctx: Any, dy: Any, *, need_dx: bool = True) -> Any:
        grad = as_array(values_of(dy), "dy", self.dtype)
        if grad.shape != (*ctx.shape, self.output_dim):
            expected = (*ctx.shape, self.output_dim)
            raise ValueError(f"{self.name}: dy must have the shape of y, {expected}, got {grad.shape}")
        _core.scatter_add_rows(grad, ctx, self.variables[0].gradient)
