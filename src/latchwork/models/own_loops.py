"""What a loop of your own is made of: steps one by one, gradients by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork.layers.arguments import as_flag, refuse
from latchwork.layers.base import Passing
from latchwork.models.batches import Rows, rows_between
from latchwork.models.checked import Checked
from latchwork.models.compiled import Compiled
from latchwork.models.diagnosis import where_it_began
from latchwork.models.figures import NonFiniteError, reported
from latchwork.models.gradients import Beyond, Gradients
from latchwork.models.use import alone
from latchwork.optimizers import Optimizer


class OwnLoops(Checked):
    """`train_on_batch`, `value_and_grad`, `per_sample_gradients`."""

    @alone
    def train_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        *,
        return_dict: bool = False,
        **others: Any,
    ) -> Any:
        """One step of the optimizer on all of x and y. Returns the loss before it (and metrics) like `evaluate`.

        Args:
            x, y, sample_weight, class_weight: As in `fit`.
            return_dict: Figures by name.

        Raises:
            ValueError: As `fit`.
            FloatingPointError: A loss or gradient is NaN or infinite; the weights are unchanged.
        """
        refuse("train_on_batch", others, {}, ("x", "y", "sample_weight", "class_weight", "return_dict"))
        compiled = self._compiled_with_loss("train_on_batch")
        x, y = self._pair(x, y, "train_on_batch", sample_weight)
        if class_weight is not None:
            y = self._class_weighted(x, y, class_weight)
        figures = compiled.figures()
        arena = self._built(x)
        ranges = compiled.begin(arena)
        step = partial(self._step, x, y, ranges, check=True)
        try:
            figures.add(*step())
        except NonFiniteError as found:
            began = where_it_began(self.layers, arena, step)
            raise FloatingPointError(f"{found}{began}; the weights are unchanged") from None
        return reported(figures.result(), return_dict)

    @alone
    def value_and_grad(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        training: bool = True,
        step: int | None = None,
        with_inputs: bool = False,
        with_states: bool = False,
    ) -> tuple[float, Gradients]:
        """The compiled loss on x and y and its gradients: `model.optimizer.apply(grads)` takes the step.

        That is what `train_on_batch` does, to the bit. Nothing is checked for NaN. In training moving averages go on;
        stateful layers carry their states on, in inference too.

        Args:
            x, y, sample_weight: As in `fit`.
            training: False runs forward and backward as `predict` would: nothing is dropped, normalizations take their
                moving averages and leave them alone. A layer of your own reads `self.passing.still` for that.
            step: Numbers the random masks; None: the steps that `model.optimizer` has taken.
            with_inputs: Whether `grads.inputs` is wanted too.
            with_states: Whether `grads.states` is wanted too.

        Returns:
            (loss, grads): the loss, a float, is the mean (of several outputs their weighted sum), without metrics;
            grads the `Gradients`, a mapping of arrays by variable name.

        Raises:
            ValueError: As `fit`.

        >>> import numpy as np
        >>> from latchwork.layers import LSTM, Dense
        >>> from latchwork.models import Sequential
        >>> model = Sequential([LSTM(8, input_shape=(None, 2)), Dense(1)])
        >>> model.compile("adam", loss="mse")
        >>> x, y = np.ones((4, 5, 2)), np.ones((4, 1))
        >>> for step in range(3):
        ...     loss, grads = model.value_and_grad(x, y, with_inputs=True)
        ...     model.optimizer.apply(grads)
        >>> list(grads), grads["lstm/kernel"].shape, grads.inputs.shape
        (['lstm/kernel', 'lstm/recurrent_kernel', 'lstm/bias', 'dense/kernel', 'dense/bias'], (2, 32), (4, 5, 2))
        """
        compiled = self._compiled_with_loss("value_and_grad")
        training = as_flag(training, "training", "value_and_grad")
        beyond = Beyond(
            as_flag(with_inputs, "with_inputs", "value_and_grad"), as_flag(with_states, "with_states", "value_and_grad")
        )
        if step is not None and (isinstance(step, bool) or not isinstance(step, (int, np.integer)) or step < 0):
            raise ValueError(f"value_and_grad: step must be None or a whole number of at least 0, got {step!r}")
        x, y = self._pair(x, y, "value_and_grad", sample_weight)
        arena = self._built(x)
        loss = self._gradients(compiled, x, y, not training, step, beyond)
        self._carried.commit()
        return loss, Gradients(self, arena, arena.grads.copy(), beyond)

    @alone
    def per_sample_gradients(self, x: Any, y: Any, *, sample_weight: Any = None) -> dict[str, NDArray[Any]]:
        """The gradients of each sample's own loss, by variable name: arrays [B, ...] over one of all, [B, P].

        In inference mode (see `value_and_grad`), where no sample depends on the others. Each sample is a forward and a
        backward pass of its own: the time of B batches of one sample, many times that of one of B, and B times the
        memory of the gradients. Where all samples have as many elements their mean is the gradient of the batch.

        Args:
            x, y, sample_weight: As in `fit`.

        Raises:
            ValueError: As `fit`, or the model is stateful: a sample begins where another one ended.

        >>> import numpy as np
        >>> from latchwork.layers import Dense
        >>> from latchwork.models import Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="zeros", input_shape=(1,))])
        >>> model.compile(loss="mse")
        >>> grads = model.per_sample_gradients([[1.0], [2.0]], [1.0, 1.0])
        >>> grads["dense/kernel"].ravel().tolist(), grads["dense/bias"].shape
        ([-2.0, -4.0], (2, 1))
        """
        compiled = self._compiled_with_loss("per_sample_gradients")
        if any(layer.stateful for layer in self.layers):
            raise ValueError("per_sample_gradients: the model must carry no states between samples, it is stateful")
        x, y = self._pair(x, y, "per_sample_gradients", sample_weight)
        arena = self._built(x)
        flat = np.empty((len(x), arena.params.size), arena.dtype)
        for i in range(len(x)):
            self._gradients(compiled, rows_between(x, i, i + 1), rows_between(y, i, i + 1), True, 0, Beyond())
            flat[i] = arena.grads
        spans = ((v, start, stop) for _, v, start, stop in arena.trainable_spans())
        return {v.name: flat[:, start:stop].reshape(-1, *v.shape) for v, start, stop in spans}

    def _gradients(self, compiled: Compiled, x: Rows, y: Rows, still: bool, step: int | None, beyond: Beyond) -> float:
        """Writes the gradients into the arena, and what is wanted beyond into `beyond`; returns the loss."""
        assert self._arena is not None
        self._arena.grads.fill(0)
        for layer in self.layers if still else ():
            layer.passing = Passing(still=True)
        try:
            output, mask, contexts = self._run(x, True, compiled.optimizer.iterations if step is None else int(step))
            loss, _, gradient = compiled.step(y, output, mask)
            self._backward(contexts, gradient, beyond if beyond else None)
        finally:
            for layer in self.layers if still else ():
                layer.passing = Passing()
        return loss

    @alone
    def _apply(self, optimizer: Optimizer, grads: Gradients) -> None:
        """One step of `optimizer`, which is the model's from then on."""
        arena = self._arena
        if arena is None or self._compiled is None or grads.arena is not arena:
            raise ValueError(
                "apply: grads must be of the model as it is: it has other layers by now, or is not compiled"
            )
        compiled = Compiled(optimizer, self._compiled.heads)
        ranges = compiled.begin(arena)
        for layer in self.layers:
            layer.touch()
        optimizer.update(arena.params, grads.flat, ranges)
        self._compiled = compiled
