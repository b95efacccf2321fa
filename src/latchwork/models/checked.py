"""What the verbs of a model check before they begin, and which threads may call them."""

from __future__ import annotations

import threading
from typing import Any

from latchwork.data.series import as_count
from latchwork.floats import usual_floats
from latchwork.layers.arena import Arena
from latchwork.models.batches import Rows
from latchwork.models.compiled import Compiled
from latchwork.models.explaining import Explaining
from latchwork.models.targets import Asked, class_weighted
from latchwork.models.use import Use

BATCH_SIZE = 32  # Keras' default, for training
# For what no figure depends on; 32 rows at a time were 25 % slower over 4096 x 32 steps of LSTM(50).
ROWS_AT_ONCE = 256


class Checked(Explaining):
    """For a model that has `layers` and knows what `Passes` asks of it."""

    def __init__(self) -> None:
        super().__init__()
        self._use = Use()
        self._building = threading.Lock()  # of threads that predict with a new model at once

    def _compiled_with_loss(self, verb: str) -> Compiled:
        if self._compiled is None or self._compiled.loss is None:
            raise ValueError(f"{verb} needs a loss: call compile(optimizer=..., loss=...) first")
        return self._compiled

    @usual_floats
    def _pair(self, x: Any, y: Any, verb: str, sample_weight: Any = None) -> tuple[Rows, Rows]:
        """x and y, with weights if there are any, checked and cast; the model is not built yet.

        verb: Begins the errors that the arguments themselves do not explain; "" where the caller says whose they are.
        """
        verb = verb and f"{verb}: "
        if x is None or y is None:
            raise ValueError(f"{verb}{'x' if x is None else 'y'} must be given")
        assert self._compiled is not None
        rows, forms = self._read(x)
        if len(rows) == 0:
            raise ValueError(f"{verb}x must hold at least one sample, got none")
        asked = Asked(self._compiled.heads, self.output_names, forms, len(rows), self.dtype)
        return rows, asked.targets(y, sample_weight)

    def _class_weighted(self, x: Rows, y: Rows, class_weight: Any) -> Rows:
        assert self._compiled is not None
        return class_weighted(self._compiled.heads, self._read(x)[1], y, class_weight, self.dtype)

    def _built(self, x: Rows) -> Arena:
        """The model's parameters, created now if these are its first rows."""
        with self._building:
            if self._arena is None:
                self.build(self._sample_shape(x))
        assert self._arena is not None
        return self._arena

    def _rows_at_once(self, given: Any, name: str) -> int:
        """How many rows a pass without training runs at once; what stateful layers carry depends on it."""
        default = BATCH_SIZE if any(layer.stateful for layer in self.layers) else ROWS_AT_ONCE
        return as_count(default if given is None else given, name, 1)
