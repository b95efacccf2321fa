"""MultiHeadAttention: several attentions side by side, each on products of its own."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from latchwork import _core, functional, initializers
from latchwork.data.series import as_count
from latchwork.layers.arena import Arena, Variable
from latchwork.layers.arguments import Shape, as_flag, shape_text
from latchwork.layers.attending import Attending, Given, Kept, Rows
from latchwork.layers.base import Layer
from latchwork.layers.parameters import drawn
from latchwork.layers.symbol import is_symbolic

PARTS = ("query", "key", "value", "attention_output")


class _Projection(NamedTuple):
    """One dense product: packed weights, and views of the gradients of kernel and bias."""

    weights: _core.RecurrentWeights
    gradients: tuple[Rows, Rows | None]

    def forward(self, x: Rows, training: bool) -> tuple[Rows, Any]:
        return functional.dense(x, self.weights, training=training)

    def backward(self, ctx: Any, dy: Rows, need_dx: bool) -> Rows | None:
        return functional.dense_backward(ctx, dy, need_dx=need_dx, out=self.gradients).x


class MultiHeadAttention(Attending):
    """A. Vaswani et al., "Attention is all you need", 2017: query [B, Tq, F], value [B, Tv, E] -> y [B, Tq, F].

    Of each head: q = query · Wq + bq, k = key · Wk + bk, v = value · Wv + bv, and the sums over the values of
    softmax(q · k / sqrt(key_dim)) * v; y = the heads' sums · Wo + bo. The layer is called as `layer(query, value)` or
    `layer(query, value, key)`, as in Keras, or on the list of them; `layer(x, x)` is self-attention. Arguments,
    defaults and weights are Keras'; `use_causal_mask` and `return_attention_scores` are Keras' arguments of the call.

    Masks leave steps of value and key out; y is 0 at masked queries. A query that may read no value has sums of 0. A
    `lw.Ragged`, whose lengths may differ between query and value, gives the bits of each sample alone.

    Variables: `query/kernel` [F, num_heads, key_dim], `query/bias` [num_heads, key_dim], likewise `key` and (with
    value_dim) `value`; `attention_output/kernel` [num_heads, value_dim, F], `attention_output/bias` [F].

    Args:
        num_heads: At least 1.
        key_dim: Of each head's queries and keys.
        value_dim: Of each head's values; None is key_dim.
        dropout: In training, this share of the weights, in [0, 1), is set to 0 and the rest divided by 1 - dropout.
        use_bias: Whether the four products have biases.
        output_shape: The features of y; None: as many as the query has.
        kernel_initializer, bias_initializer: Names or `lw.initializers` objects, of all four.
        seed: Of dropout, in [0, 2^64); None takes that of `lw.set_seed`.
        use_causal_mask: Query i reads values 0 .. i alone.
        return_attention_scores: Return the list [y, weights], weights [B, num_heads, Tq, Tv] before dropout; not of a
            Ragged.

    Raises:
        ValueError: An argument out of range; when called, inputs or masks that do not fit each other.

    >>> import numpy as np
    >>> layer = MultiHeadAttention(num_heads=2, key_dim=3)
    >>> layer(np.ones((2, 5, 4)), np.ones((2, 6, 7))).shape, layer.variables[0].shape
    ((2, 5, 4), (4, 2, 3))
    """

    unbuilt: ClassVar[dict[str, Any]] = {
        **Layer.unbuilt,
        "attention_axes": None,
        "sliding_window": None,
        "flash_attention": None,
        "use_gate": False,
        "kernel_regularizer": None,
        "bias_regularizer": None,
        "kernel_constraint": None,
        "bias_constraint": None,
    }

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        seed: int | None = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        owner = "MultiHeadAttention"
        self.num_heads = as_count(num_heads, f"{owner}: num_heads", 1)
        self.key_dim = as_count(key_dim, f"{owner}: key_dim", 1)
        self.value_dim = self.key_dim if value_dim is None else as_count(value_dim, f"{owner}: value_dim", 1)
        self.use_bias = as_flag(use_bias, "use_bias", owner)
        self.output_shape = None if output_shape is None else as_count(output_shape, f"{owner}: output_shape", 1)
        self._kernel_initializer = initializers.get(kernel_initializer)
        self._bias_initializer = initializers.get(bias_initializer)
        self._take_options(dropout, seed, use_causal_mask, return_attention_scores)

    # ---- building -----------------------------------------------------------------------------------------------

    def _declare(self, input_shape: Any) -> None:
        super()._declare(input_shape)
        query, value, key = self._three(input_shape)
        heads, out = self.num_heads, self.output_shape or query[1]
        shapes = {
            "query": ((query[1], heads, self.key_dim), (heads, self.key_dim)),
            "key": ((key[1], heads, self.key_dim), (heads, self.key_dim)),
            "value": ((value[1], heads, self.value_dim), (heads, self.value_dim)),
            "attention_output": ((heads, self.value_dim, out), (out,)),
        }
        self.variables = []
        for part, (kernel, bias) in shapes.items():
            self.variables.append(Variable(f"{part}/kernel", kernel, drawn(self._kernel_initializer)))
            if self.use_bias:
                self.variables.append(Variable(f"{part}/bias", bias, drawn(self._bias_initializer)))

    def _bind(self, arena: Arena) -> None:
        super()._bind(arena)
        self._projections = {part: self._projection(part) for part in PARTS}

    def _projection(self, part: str) -> _Projection:
        kernel = next(variable for variable in self.variables if variable.key == f"{part}/kernel")
        bias = next((variable for variable in self.variables if variable.key == f"{part}/bias"), None)
        last = kernel.shape[2] if part == "attention_output" else kernel.shape[1] * kernel.shape[2]
        weights = _core.RecurrentWeights(
            "dense", kernel.value.reshape(-1, last), None, None if bias is None else bias.value.reshape(last)
        )
        gradients = kernel.gradient.reshape(-1, last), None if bias is None else bias.gradient.reshape(last)
        return _Projection(weights, gradients)

    def touch(self) -> None:
        if self._arena is not None:
            for projection in self._projections.values():
                projection.weights.touch()

    def y_shape(self, x_shape: Any) -> Shape:
        """(Tq, F), or (Tq, output_shape), for the shapes of query, value and, where given, key in `x_shape`."""
        query, value, key = self._fitting(x_shape)
        kernels = {v.key: v.shape[0] for v in self.variables if v.key.endswith("/kernel")}
        for part, shape in (("query", query), ("key", key), ("value", value)):
            expected = kernels.get(f"{part}/kernel", shape[1])
            if shape[1] != expected:
                raise ValueError(f"{self.name}: x: {part} must have {expected} features, got {shape_text(shape)}")
        return (query[0], self.output_shape or query[1])

    def _head_axis(self) -> Shape:
        return (self.num_heads,)

    def step_flops(self, x_shape: Any) -> int:
        """Of one step of all inputs of the shapes in `x_shape`: products with kernels, and those of a query."""
        steps = self._three(x_shape)[1][0] or 1
        return super().step_flops(x_shape) + 2 * steps * self.num_heads * (self.key_dim + self.value_dim)

    # ---- running ------------------------------------------------------------------------------------------------

    def __call__(
        self, query: Any, value: Any = None, key: Any = None, *, mask: Any = None, training: bool = False
    ) -> Any:
        """y, or the list [y, weights], of arrays or symbols: of (query, value, key), or of the list of them.

        mask: a list with one, or None, for each of them: bool [B, T].
        """
        if value is None and key is not None:
            raise ValueError(f"{self.name}: value must be given where key is")
        x = query if value is None else [query, value] if key is None else [query, value, key]
        if is_symbolic(x) and not isinstance(x, (list, tuple)):
            raise ValueError(f"{self.name}: value must be given: layer(x, x) is self-attention")
        return super().__call__(x, mask=mask, training=training)

    def _scored(self, given: Given, training: bool) -> tuple[tuple[Rows, Rows, Rows, Rows | None], Any]:
        made, contexts = [], []
        for part, x in (("query", given.query), ("key", given.key), ("value", given.value)):
            y, ctx = self._projections[part].forward(x, training)
            made.append(y.reshape(-1, self.num_heads, y.shape[-1] // self.num_heads))
            contexts.append(ctx)
        query, key, value = made
        return (query * self._factor(), key, value, None), contexts

    def _factor(self) -> Any:
        return self.dtype.type(1 / math.sqrt(self.key_dim))

    def _scored_backward(self, kept: Kept, gradients: tuple[Rows, ...], need_dx: bool) -> tuple[Rows | None, ...]:
        found = []
        of_parts = (gradients[0] * self._factor(), gradients[1], gradients[2])
        inputs = (kept.given.query, kept.given.key, kept.given.value)
        for part, ctx, d, x in zip(PARTS, kept.before, of_parts, inputs, strict=False):
            found.append(
                self._projections[part].backward(ctx, d.reshape(*x.shape[:-1], d.shape[1] * d.shape[2]), need_dx)
            )
        return tuple(found)

    def _joined(self, y: Rows, given: Given, training: bool) -> tuple[Rows, Any]:
        rows, ctx = self._projections["attention_output"].forward(
            y.reshape(*given.query.shape[:-1], self.num_heads * self.value_dim), training
        )
        return _silent(rows.reshape(-1, rows.shape[-1]), given), ctx

    def _joined_backward(self, kept: Kept, dy: Rows) -> Rows:
        grad = _silent(dy, kept.given).reshape(*kept.given.query.shape[:-1], dy.shape[-1])
        d = self._projections["attention_output"].backward(kept.behind, grad, True)
        assert d is not None
        return d.reshape(-1, self.num_heads, self.value_dim)


def _silent(rows: Rows, given: Given) -> Rows:
    """The rows [N, F], 0 at masked queries."""
    real = given.places.query_real
    return rows if real is None else np.where(real[:, None], rows, np.zeros((), rows.dtype))
