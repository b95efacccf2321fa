"""Attention and AdditiveAttention: each query's weighted mean of values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, initializers
from latchwork.layers.arena import Variable
from latchwork.layers.arguments import Shape, as_flag, shape_text
from latchwork.layers.attending import Attending, Given, Kept, Rows
from latchwork.layers.parameters import drawn
from latchwork.names import resolve

SCORE_MODES = ("dot", "concat")


class _Plain(Attending):
    """Attention of one head on what it is given, [N, 1, F]."""

    def y_shape(self, x_shape: Any) -> Shape:
        """(Tq, D) for a query (Tq, F), a value (Tv, D) and, where given, a key (Tv, F) in the list `x_shape`."""
        query, value, key = self._fitting(x_shape)
        if query[1] != key[1]:
            got = f"{shape_text(query)}, {shape_text(key)}"
            raise ValueError(f"{self.name}: x: query and key must have as many features, got {got}")
        return (query[0], value[1])

    def step_flops(self, x_shape: Any) -> int:
        """Of one query, for the shapes in `x_shape`: 2 for each product; an open number of steps counts as 1."""
        query, value, _ = self._three(x_shape)
        return 2 * (value[0] or 1) * ((query[1] or 0) + (value[1] or 0))

    def _of(self, key: str) -> Variable | None:
        return next((variable for variable in self.variables if variable.key == key), None)


class Attention(_Plain):
    """Attention of M.-T. Luong et al. 2015: query [B, Tq, F], value [B, Tv, D] -> y [B, Tq, D].

    y of a query = sum over the values of softmax(score) * value; the score of a query and a key is scale * sum(query *
    key), or with `score_mode="concat"` weight * sum(tanh(scale * (query + key))). The layer is called on the list
    [query, value] or [query, value, key]; without a key [B, Tv, F] the value is the key. Arguments and defaults are
    Keras'; `use_causal_mask` and `return_attention_scores` are Keras' arguments of the call.

    Masks of value and key leave steps out: nothing of them is read. y is 0 at masked queries, and where no value may
    be read. A `lw.Ragged`, whose lengths may differ between query and value, gives the bits of each sample alone.

    Variables: `scale` [] with use_scale, `concat_score_weight` [] with "concat"; both begin at 1.

    Args:
        use_scale: Whether scores are multiplied by a number that is learnt.
        score_mode: "dot" or "concat".
        dropout: In training, this share of the weights, in [0, 1), is set to 0 and the rest divided by 1 - dropout.
        seed: Of dropout, in [0, 2^64); None takes that of `lw.set_seed`.
        use_causal_mask: Query i reads values 0 .. i alone.
        return_attention_scores: Return the list [y, weights] with weights [B, Tq, Tv], before dropout; not of a Ragged.

    Raises:
        ValueError: An argument out of range; when called, inputs or masks that do not fit each other.

    >>> import numpy as np
    >>> y, weights = Attention(return_attention_scores=True)([np.ones((1, 1, 2)), np.array([[[1.0, 3.0], [3.0, 1.0]]])])
    >>> y.tolist(), weights.tolist()
    ([[[2.0, 2.0]]], [[[0.5, 0.5]]])
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.use_scale = as_flag(use_scale, "use_scale", "Attention")
        self.score_mode = resolve("score_mode", score_mode, SCORE_MODES)
        self._take_options(dropout, seed, use_causal_mask, return_attention_scores)

    def _declare(self, input_shape: Shape) -> None:
        super()._declare(input_shape)
        keys = ["scale"] * self.use_scale + ["concat_score_weight"] * (self.score_mode == "concat")
        self.variables = [Variable(key, (), drawn(initializers.get("ones"))) for key in keys]

    def _scored(self, given: Given, training: bool) -> tuple[tuple[Rows, Rows, Rows, Rows | None], Any]:
        query, key, value = one_head(given)
        scale, weight = self._of("scale"), self._of("concat_score_weight")
        vector = None if weight is None else np.full(query.shape[-1], weight.value, query.dtype)
        if scale is not None:  # scale * sum(q * k) = sum((scale * q) * k); tanh(scale * (q + k)) has both scaled
            query = query * scale.value
            key = key * scale.value if weight is not None else key
        return (query, key, value, vector), None

    def _scored_backward(self, kept: Kept, gradients: tuple[Rows, ...], need_dx: bool) -> tuple[Rows | None, ...]:
        d_query, d_key, d_value, d_vector = gradients
        scale, weight = self._of("scale"), self._of("concat_score_weight")
        if weight is not None:
            weight.gradient += total(columns(d_vector, d_vector)[0])
        if scale is None:
            return d_query, d_key, d_value
        query, key, _ = one_head(kept.given)
        amount = columns(query, d_query)[1]
        if weight is not None:
            amount = np.concatenate([amount, columns(key, d_key)[1]])
            d_key = d_key * scale.value
        scale.gradient += total(amount)
        return d_query * scale.value, d_key, d_value


class AdditiveAttention(_Plain):
    """Attention of D. Bahdanau et al. 2015: query [B, Tq, F], value [B, Tv, D] -> y [B, Tq, D].

    As `Attention`, with the score sum(scale * tanh(query + key)) over the features: Dense layers in front learn the
    products of queries and keys. Arguments and defaults are Keras'.

    Variables: `scale` [F] with use_scale, glorot_uniform.

    Args:
        use_scale: Whether there is a `scale`; else it is 1.
        dropout, seed, use_causal_mask, return_attention_scores: As in `Attention`.

    Raises:
        ValueError: An argument out of range; when called, inputs or masks that do not fit each other.

    >>> import numpy as np
    >>> AdditiveAttention()([np.ones((2, 3, 4)), np.ones((2, 5, 4))]).shape
    (2, 3, 4)
    """

    def __init__(
        self,
        use_scale: bool = True,
        dropout: float = 0.0,
        seed: int | None = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.use_scale = as_flag(use_scale, "use_scale", "AdditiveAttention")
        self._take_options(dropout, seed, use_causal_mask, return_attention_scores)

    def _declare(self, input_shape: Any) -> None:
        super()._declare(input_shape)
        features = self._three(input_shape)[0][1]
        initial = drawn(initializers.get("glorot_uniform"))
        self.variables = [Variable("scale", (features,), initial)] if self.use_scale else []

    def y_shape(self, x_shape: Any) -> Shape:
        found = super().y_shape(x_shape)
        features = self._three(x_shape)[0][1]
        if self.variables and self.variables[0].shape != (features,):
            expected = self.variables[0].shape[0]
            raise ValueError(f"{self.name}: x: query must have {expected} features, got {features}")
        return found

    def _scored(self, given: Given, training: bool) -> tuple[tuple[Rows, Rows, Rows, Rows | None], Any]:
        query, key, value = one_head(given)
        scale = self._of("scale")
        vector = np.ones(query.shape[-1], query.dtype) if scale is None else scale.value.copy()
        return (query, key, value, vector), None

    def _scored_backward(self, kept: Kept, gradients: tuple[Rows, ...], need_dx: bool) -> tuple[Rows | None, ...]:
        scale = self._of("scale")
        if scale is not None:
            scale.gradient += columns(gradients[3], gradients[3])[0].astype(scale.gradient.dtype)
        return gradients[:3]


def one_head(given: Given) -> tuple[Rows, Rows, Rows]:
    """Query, key and value as [N, 1, F]."""
    query, key, value = (each.reshape(-1, 1, each.shape[-1]) for each in (given.query, given.key, given.value))
    return query, key, value


def columns(a: Rows, b: Rows) -> NDArray[np.float64]:
    """[2, F] the sums over all rows of a, and of a * b: one chain of float64 each."""
    return _core.column_sums(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]))


def total(amounts: NDArray[np.float64]) -> float:
    """Their sum: one chain."""
    return float(columns(amounts[:, None], amounts[:, None])[0, 0])
