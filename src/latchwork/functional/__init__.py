"""Pure calls on numpy arrays: forward, and the backward that consumes what forward left.

Shapes: T time, B batch, I input, H hidden. Every array of a call has one dtype, float32 or float64; nothing is cast.

- `lstm(x, params, state) -> y, state, ctx` and `lstm_backward(ctx, dy, dstate) -> Gradients`; `gru`, `rnn`, `dense`
  alike.
- `forward([Call(...), Call(...)])` and `backward([BackwardCall(...), ...])` run independent calls at once.
- `ctx` is opaque; one backward uses it up. `Array`, `Sequences`, `Params`, `State`, `Context`, `Result` name the types.
- `params` is `(kernel, recurrent_kernel, bias)`: `kernel [I, G*H]`, `recurrent_kernel [H, G*H]`, `bias [G*H]` or None
  (`[2, 3*H]` for the GRU that resets after the product). Gate order: LSTM i, f, g, o; GRU z, r, n.
- `x` is `[B, T, I]`, `[T, B, I]` with `time_major=True`, or a `latchwork.Ragged`.
- The same sequence gives the same bits in any batch, padded or ragged, whole or in chunks, on any CPU and thread count.
"""

from latchwork.functional.arrays import Array as Array
from latchwork.functional.arrays import Context as Context
from latchwork.functional.arrays import Params as Params
from latchwork.functional.arrays import Sequences as Sequences
from latchwork.functional.arrays import State as State
from latchwork.functional.calls import BackwardCall, Call, Gradients, backward, forward
from latchwork.functional.calls import Result as Result
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
    "BackwardCall",
    "Call",
    "DenseGradients",
    "Gradients",
    "backward",
    "dense",
    "dense_backward",
    "forward",
    "gru",
    "gru_backward",
    "lstm",
    "lstm_backward",
    "rnn",
    "rnn_backward",
]
