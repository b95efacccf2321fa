"""Sessions: a model one time step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import _core
from latchwork.data.series import as_count
from latchwork.layers.arguments import as_array
from latchwork.models import saving

if TYPE_CHECKING:
    from latchwork.models.network import Network


def in_memory(model: Network, verb: str) -> tuple[dict[str, Any], list[tuple[str, NDArray[Any]]]]:
    """The model as the core reads it: its description and weights."""
    model.build()
    try:
        return saving.model_fields(model), saving.weights(model)
    except ValueError as error:
        raise ValueError(f"{verb}: {error}") from None


def as_threads(threads: int | None, verb: str) -> int:
    """How many share a step; None is all."""
    return _core.num_threads() if threads is None else as_count(threads, f"{verb}: threads", 1)


class Session:
    """`n` streams that a model reads step by step, and the states they carry: what `model.session(n)` returns.

    The core runs it without allocating: `step` costs a microsecond or two beyond its products. Steps of some 10 us or
    more (LSTM(256), not LSTM(128)) are shared by threads where they follow each other closely, within 40 us.
    Its weights are those of the model when it was made; later training does not reach it. Bits are those of `predict`.
    For one thread at a time. Arrays have the model's dtype, float32 or float64; what is given is cast to it.

    Args:
        model: Built if it is not yet; one of sequences, of layers that can step.
        n: How many streams, at least 1.
        threads: The most that share a step, at least 1; None: `lw.num_threads()`.

    Raises:
        ValueError: n or threads is below 1, or a layer cannot step; it is named.

    >>> import numpy as np
    >>> from latchwork.layers import GRU
    >>> from latchwork.models import Sequential
    >>> session = Sequential([GRU(4, input_shape=(None, 3))]).session(2)
    >>> session.step(np.ones((2, 3))).shape
    (2, 4)
    >>> kept = session.state
    >>> first = session.step(np.ones((2, 3)), copy=True)
    >>> session.state = kept
    >>> bool((session.step(np.ones((2, 3))) == first).all())
    True
    """

    def __init__(self, model: Network, n: int, *, threads: int | None = None) -> None:
        streams = as_count(n, "session: n", 1)
        most = as_threads(threads, "session")
        described, weights = in_memory(model, "session")
        self._dtype = model.dtype
        self._inputs, outputs = described.get("inputs"), described.get("outputs", [0])
        self._one = (self._inputs is None or len(self._inputs) == 1) and len(outputs) == 1
        self._core = _core.Session(described, weights, streams, most)

    def step(self, x: Any, *, copy: bool = False) -> Any:
        """y [n, outputs] after one more step x [n, features] of every stream: the last row `predict` would give.

        x of one stream or one feature may be flat, [features] or [n]. y is one array that every step writes anew;
        copy=True gives one of its own. Of a model with several inputs x is a list, or a dict by their names; an input
        without steps, [F], is given with every step. Several outputs are a list.

        Raises:
            ValueError: x does not fit, or holds a number outside an Embedding's table; the states are unchanged.
        """
        if not self._one:
            made = self._core.step_all([as_array(part, "x", self._dtype) for part in self._parts(x)])
            made = [y.copy() for y in made] if copy else made
            return made[0] if len(made) == 1 else made
        if type(x) is not np.ndarray and isinstance(x, Mapping):
            (x,) = self._parts(x)
        if type(x) is not np.ndarray or x.dtype is not self._dtype or not x.flags.c_contiguous:
            x = as_array(x, "x", self._dtype)
        y = self._core.step(x)
        return y.copy() if copy else y

    def _parts(self, x: Any) -> list[Any]:
        """What is given for each input, in their order."""
        names = ["x"] if self._inputs is None else [each["name"] for each in self._inputs]
        if isinstance(x, Mapping):
            if set(x) != set(names):
                raise ValueError(f"x must be a dict of {', '.join(names)}, got {', '.join(map(str, x))}")
            return [x[name] for name in names]
        if len(names) == 1:
            return [x]
        if not isinstance(x, (list, tuple)) or len(x) != len(names):
            got = f"{len(x)} of them" if isinstance(x, (list, tuple)) else type(x).__name__
            raise ValueError(f"x must be a list of {len(names)} arrays or a dict of {', '.join(names)}, got {got}")
        return list(x)

    def reset(self, stream: int | None = None) -> None:
        """Let `stream`, or all with None, begin anew: nothing seen, states of zero.

        Raises:
            ValueError: stream is not within 0 and n - 1.
        """
        self._core.reset(stream)

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """What the streams carry, by name ("lstm/h"): copies [n, units]. Set it to go on from there.

        Raises:
            ValueError: What is set has other names or shapes; the states are unchanged.
        """
        return self._core.state()

    @state.setter
    def state(self, state: Mapping[str, ArrayLike]) -> None:
        names = list(self._core.state())
        if not isinstance(state, Mapping) or set(state) != set(names):
            raise ValueError(f"state must be a dict of {', '.join(names) or 'nothing'}, got {state!r}")
        self._core.set_state([as_array(state[name], name, self._dtype) for name in names])
