"""What attention layers share: how queries, values and keys are read, and the core's weighted sums."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latchwork import _core
from latchwork.floats import usual_floats
from latchwork.layers.arguments import Shape, as_array, as_flag, as_input, open_steps, shape_text
from latchwork.layers.base import Batch
from latchwork.layers.dense import like, values_of
from latchwork.layers.dropout import Drawing
from latchwork.layers.masking import Mask, as_mask
from latchwork.ragged import Ragged

Rows = NDArray[Any]


class Places(NamedTuple):
    """Where each sequence begins, and which rows are real (None: all)."""

    query_offsets: NDArray[np.int64]  # [B + 1]
    value_offsets: NDArray[np.int64]
    query_real: Mask | None  # [queries]
    value_real: Mask | None


class Given(NamedTuple):
    """What a call was given: checked batches, their numbers with 0 at masked steps, and which steps are real."""

    parts: list[Batch]  # query, value and, where given, key
    query: Rows  # [B, Tq, F] or, of a Ragged, [N, F]
    key: Rows
    value: Rows
    places: Places


class Kept(NamedTuple):
    """What backward needs."""

    given: Given
    scored: tuple[Rows, Rows, Rows, Rows | None]  # query, key, value [N, heads, ...] and vector, as the core had them
    before: Any  # of `_scored`
    behind: Any  # of `_joined`
    keep: Rows | None
    weights: Rows


class Attending(Drawing):
    """y of a query = sum over values of softmax(scores of query and keys) * value, sample by sample, head by head.

    Subclasses say what queries, keys and values become before (`_scored`) and what becomes of the sums (`_joined`).
    """

    many_inputs: ClassVar[bool] = True
    takes_mask: ClassVar[bool] = True
    same_lengths: ClassVar[bool] = False
    by_step = False  # a query reads all values
    dropout: float

    def _take_options(self, dropout: Any, seed: Any, use_causal_mask: Any, return_attention_scores: Any) -> None:
        owner = type(self).__name__
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
            raise ValueError(f"{owner}: dropout must be in [0, 1), got {dropout!r}")
        self.dropout = float(dropout)
        self._take_seed(seed)
        self.use_causal_mask = as_flag(use_causal_mask, "use_causal_mask", owner)
        self.return_attention_scores = as_flag(return_attention_scores, "return_attention_scores", owner)

    # ---- shapes and masks ---------------------------------------------------------------------------------------

    @property
    def outputs(self) -> int:
        return 2 if self.return_attention_scores else 1

    def any_steps(self, x_shape: Any) -> Any:
        """`x_shape`, of one input or the list of all, with numbers of steps left open."""
        return [open_steps(shape) for shape in x_shape] if isinstance(x_shape, list) else open_steps(x_shape)

    def _three(self, given: Any) -> tuple[Any, Any, Any]:
        """(query, value, key) of x or of its shapes: the key is the value where none is given."""
        if not isinstance(given, (list, tuple)) or not 2 <= len(given) <= 3:
            got = len(given) if isinstance(given, (list, tuple)) else f"one {type(given).__name__}"
            raise ValueError(f"{self.name}: x must be a list [query, value] or [query, value, key], got {got}")
        return given[0], given[1], given[-1]

    def _fitting(self, x_shape: Any) -> tuple[Shape, Shape, Shape]:
        """The three shapes, of (T, F) each; keys and values have the same steps."""
        query, value, key = self._three(x_shape)
        for name, shape in (("query", query), ("value", value), ("key", key)):
            if len(shape) != 2 or shape[1] is None:
                raise ValueError(f"{self.name}: x: {name} must be (B, T, F) with a known F, got {shape_text(shape)}")
        if None not in (value[0], key[0]) and value[0] != key[0]:
            got = f"{shape_text(value)}, {shape_text(key)}"
            raise ValueError(f"{self.name}: x: value and key must have the same steps, got {got}")
        return query, value, key

    def y_shapes(self, x_shape: Any) -> list[Shape]:
        query, value, _ = self._fitting(x_shape)
        scores: list[Shape] = [(*self._head_axis(), query[0], value[0])] if self.return_attention_scores else []
        return [self.y_shape(x_shape), *scores]

    def _head_axis(self) -> Shape:
        """The axis of heads that scores have, if they have one."""
        return ()

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """The query's of the list `mask`: y has a step for each step of the query, whatever else is in `x`."""
        return None if mask is None else mask[0]

    # ---- what subclasses say ------------------------------------------------------------------------------------

    def _scored(self, given: Given, training: bool) -> tuple[tuple[Rows, Rows, Rows, Rows | None], Any]:
        """Queries, keys, values [N, heads, ...] and the vector of additive scores or None; and a context."""
        raise NotImplementedError

    def _scored_backward(self, kept: Kept, gradients: tuple[Rows, ...], need_dx: bool) -> tuple[Rows | None, ...]:
        """Gradients of query, key and value, from those of what `_scored` made; adds to those of the variables."""
        raise NotImplementedError

    def _joined(self, y: Rows, given: Given, training: bool) -> tuple[Rows, Any]:
        """[N, features] of the heads' sums [N, heads, D], and a context."""
        return y.reshape(len(y), y.shape[1] * y.shape[2]), None

    def _joined_backward(self, kept: Kept, dy: Rows) -> Rows:
        return dy.reshape(len(dy), *kept.scored[2].shape[1:])

    # ---- running ------------------------------------------------------------------------------------------------

    @usual_floats
    def forward(self, x: Any, *, mask: Any = None, training: bool = True, step: int | None = None) -> tuple[Any, Any]:
        given = self._read(x, mask)
        scored, before = self._scored(given, training)
        query, key, value, vector = scored
        shape = self._scores_shape(given)
        keep = self._keep(shape, step) if training else None
        want = training or self.return_attention_scores
        arrays = [query, key, value, *given.places, keep, vector, None, None, None]
        y, weights, _, _ = _core.attention(arrays, self.use_causal_mask, want)
        rows, behind = self._joined(y, given, training)
        ctx = Kept(given, scored, before, behind, keep, weights) if training else None
        first = given.parts[0]
        out = like(first, rows.reshape(*values_of(first).shape[:-1], rows.shape[-1]))
        return [out, weights.reshape(shape)] if self.return_attention_scores else out, ctx

    @usual_floats
    def backward(self, ctx: Kept, dy: Any, *, need_dx: bool = True) -> Any:
        given = ctx.given
        expected = self.outputs
        parts = list(dy) if expected > 1 and isinstance(dy, (list, tuple)) else [dy]
        if len(parts) != expected:
            raise ValueError(f"{self.name}: dy must be {expected} arrays, as forward returned, got {len(parts)}")
        d_weights = None if expected == 1 or parts[1] is None else as_array(parts[1], "dy[1]", self.dtype)
        rows = self._joined_backward(ctx, self._gradient(given, parts[0]))
        query, key, value, vector = ctx.scored
        if d_weights is not None:
            if d_weights.shape != self._scores_shape(given):
                got = f"{self._scores_shape(given)}, got {d_weights.shape}"
                raise ValueError(f"{self.name}: dy[1] must have the shape of the scores, {got}")
            d_weights = d_weights.reshape(ctx.weights.shape)
        arrays = [query, key, value, *given.places, ctx.keep, vector, rows, ctx.weights, d_weights]
        found = _core.attention(arrays, self.use_causal_mask, False)
        d_query, d_key, d_value = self._scored_backward(ctx, found, need_dx)
        if d_query is None or d_key is None or d_value is None:
            return None
        gradients = [d_query, d_value, d_key] if len(given.parts) == 3 else [d_query, d_value + d_key]
        return [
            like(part, each.reshape(values_of(part).shape)) for part, each in zip(given.parts, gradients, strict=True)
        ]

    def _gradient(self, given: Given, dy: Any) -> Rows:
        """dy [N, features], zeros where there is none."""
        first = values_of(given.parts[0])
        shapes: Any = [values_of(part).shape[-2:] for part in given.parts]
        features = self.y_shape(shapes)[-1]
        shape = (*first.shape[:-1], features)
        if dy is None:
            return np.zeros(shape, self.dtype).reshape(-1, features or 1)
        grad = as_array(values_of(dy), "dy", self.dtype)
        if grad.shape != shape:
            raise ValueError(f"{self.name}: dy must have the shape of y, {shape}, got {grad.shape}")
        return grad.reshape(-1, features or 1)

    def _scores_shape(self, given: Given) -> tuple[int, ...]:
        sizes = [int(np.diff(offsets).max(initial=0)) for offsets in given.places[:2]]
        parts = [values_of(part) for part in given.parts]
        if not isinstance(given.parts[0], Ragged) and not isinstance(given.parts[1], Ragged):
            sizes = [parts[0].shape[1], parts[1].shape[1]]
        elif self.return_attention_scores:
            raise ValueError(f"{self.name}: return_attention_scores needs arrays, got a Ragged")
        heads = tuple(size or 1 for size in self._head_axis())
        return (len(given.parts[0]), *heads, sizes[0], sizes[1])

    def _keep(self, scores: tuple[int, ...], step: int | None) -> Rows | None:
        """Dropout's factors [B, Tq, heads, Tv]: of a weight they hang on its sample, query, head and value alone."""
        if self.dropout == 0.0 or self.passing.still:
            return None
        heads = scores[1] if len(scores) == 4 else 1
        ones = np.ones((scores[0], scores[-2] * heads, scores[-1]), self.dtype)
        _, kept = _core.dropout(ones, self.dropout, *self._draw(step))
        return kept.reshape(scores[0], scores[-2], heads, scores[-1])

    def _read(self, x: Any, mask: Any) -> Given:
        self._three(x)
        parts = [as_input(part, f"x[{i}]", self.dtype) for i, part in enumerate(x)]
        shapes: Any = [(None, *p.values.shape[1:]) if isinstance(p, Ragged) else p.shape[1:] for p in parts]
        self._fitting(shapes)
        self.y_shape(shapes)
        if self._arena is None:
            self.build([(None, *shape) for shape in self.any_steps(shapes)])
        if len({len(part) for part in parts}) > 1:
            counts = ", ".join(str(len(part)) for part in parts)
            raise ValueError(f"{self.name}: x must hold as many samples each, got {counts}")
        offsets = [_offsets(part) for part in parts]
        if not np.array_equal(offsets[1], offsets[-1]):
            raise ValueError(f"{self.name}: x: value and key must have the same steps")
        real = self._real(mask, parts)
        values = real[1] if len(real) < 3 else _both(real[1], real[2])
        query, value, key = _cleared(parts[0], real[0]), _cleared(parts[1], values), _cleared(parts[-1], values)
        return Given(parts, query, key, value, Places(offsets[0], offsets[1], real[0], values))

    def _real(self, mask: Any, parts: list[Batch]) -> list[Mask | None]:
        """The masks, one for each input: None, or a bool for each of its rows."""
        if mask is None:
            return [None] * len(parts)
        if not isinstance(mask, (list, tuple)) or not 2 <= len(mask) <= len(parts):
            got = len(mask) if isinstance(mask, (list, tuple)) else f"one {type(mask).__name__}"
            raise ValueError(f"{self.name}: mask must be a list, one or None for each of {len(parts)} x, got {got}")
        found: list[Mask | None] = []
        for each, part in zip(mask, parts, strict=False):
            real = None if each is None else as_mask(each, part, self.name).ravel()
            found.append(None if real is None or real.all() else real)
        return found


def _both(a: Mask | None, b: Mask | None) -> Mask | None:
    return b if a is None else a if b is None else a & b


def _offsets(part: Batch) -> NDArray[np.int64]:
    if isinstance(part, Ragged):
        return part.offsets
    return np.arange(len(part) + 1) * np.int64(part.shape[1])


def _cleared(part: Batch, real: Mask | None) -> Rows:
    """The numbers, 0 at masked steps: nothing there is read, whatever it holds."""
    values = values_of(part)
    if real is None:
        return values
    return np.where(real.reshape(*values.shape[:-1], 1), values, np.zeros((), values.dtype))
