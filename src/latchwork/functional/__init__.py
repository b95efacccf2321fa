"""Pure calls on numpy arrays: forward, and the backward that consumes what forward left.

Shapes: T time, B batch, I input, H hidden. Every array of a call has one dtype, float32 or float64; nothing is cast.

- `lstm(x, params, state) -> y, state, ctx` and `lstm_backward(ctx, dy, dstate) -> Gradients`; `gru`, `rnn`, `dense`
  alike.
- `forward([Call(...), Call(...)])` and `backward([BackwardCall(...), ...])` run independent calls at once.
- `params` is `(kernel, recurrent_kernel, bias)`: `kernel [I, G*H]`, `recurrent_kernel [H, G*H]`, `bias [G*H]` or None
  (`[2, 3*H]` for the GRU that resets after the product). Gate order: LSTM i, f, g, o; GRU z, r, n.
- `x` is `[B, T, I]`, `[T, B, I]` with `time_major=True`, or a `latchwork.Ragged`.
- The same sequence gives the same bits in any batch, padded or ragged, whole or in chunks, on any CPU and thread count.
"""

from latchwork.functional.arrays import Array, Context, Params, Sequences, State, even_rows
from latchwork.functional.calls import BackwardCall, Call, Gradients, Result, backward, forward
from latchwork.functional.dense import DenseGradients, dense, dense_backward
from latchwork.functional.recurrent import (
    gru,
    gru_backward,
    lstm,
    lstm_backward,
    rnn,
    rnn_backward,
)

__all__ = [
    "Array",
    "BackwardCall",
    "Call",
    "Context",
    "DenseGradients",
    "Gradients",
    "Params",
    "Result",
    "Sequences",
    "State",
    "backward",
    "dense",
    "dense_backward",
    "even_rows",
    "forward",
    "gru",
    "gru_backward",
    "lstm",
    "lstm_backward",
    "rnn",
    "rnn_backward",
]
