"""The states that stateful layers carry from one batch to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

States = list[NDArray[Any]]


class Carried:
    """States by layer number: row i of a batch goes on where row i of the batch before it ended.

    Any batch size runs: a smaller batch goes on with the first rows and leaves the others as they are, new rows of a
    larger one start at zero. What a batch leaves counts once `commit` is called: a failed step carries nothing on.
    """

    def __init__(self) -> None:
        self._held: dict[int, States] = {}
        self._next: dict[int, States] = {}

    def begin(self) -> None:
        """Forget what an uncommitted batch left."""
        self._next.clear()

    def initial(self, layer: int, batch: int) -> States | None:
        """The states [batch, ...] to begin with; None for zeros."""
        held = self._held.get(layer)
        if held is None:
            return None
        missing = batch - len(held[0])
        if missing <= 0:
            return [state[:batch] for state in held]
        return [np.concatenate([state, np.zeros((missing, *state.shape[1:]), state.dtype)]) for state in held]

    def leave(self, layer: int, states: States) -> None:
        """The states [batch, ...] at the end of a batch."""
        held, batch = self._held.get(layer), len(states[0])
        if held is not None and len(held[0]) > batch:
            states = [np.concatenate([new, old[batch:]]) for new, old in zip(states, held, strict=True)]
        self._next[layer] = states

    def commit(self) -> None:
        self._held.update(self._next)
        self._next.clear()

    def held(self) -> dict[int, States]:
        """What is carried on now, for `put_back`."""
        return dict(self._held)

    def put_back(self, held: dict[int, States]) -> None:
        self._held, self._next = held, {}

    def reset(self, mask: Any = None, layer: int | None = None) -> None:
        """Zero all rows, or those where mask (bool, one for each carried row) is True; of one layer or of all."""
        layers = [number for number in self._held if layer in (None, number)]
        if mask is None:
            for number in layers:
                del self._held[number]
            return
        rows = np.asarray(mask)
        if rows.dtype != np.bool_ or rows.ndim != 1:
            raise ValueError(f"mask must be bool of shape (rows,), got {rows.dtype} of shape {rows.shape}")
        for number in layers:
            if len(self._held[number][0]) != len(rows):
                count = len(self._held[number][0])
                raise ValueError(f"mask must have an entry for each of {count} carried rows, got {len(rows)}")
        for number in layers:
            self._held[number] = [np.where(rows[:, None], np.zeros((), s.dtype), s) for s in self._held[number]]
