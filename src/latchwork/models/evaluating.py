"""evaluate and predict: passes over data that leave the weights alone."""

from __future__ import annotations

from typing import Any

from latchwork.callbacks import CallbackList
from latchwork.layers.arguments import refuse
from latchwork.models.feeding import Feeding, only_arrays, optional_count
from latchwork.models.figures import reported
from latchwork.models.streams import Stream, is_stream
from latchwork.models.use import shared
from latchwork.progress import Progress, verbosity


class Evaluating(Feeding):
    """`evaluate` and `predict`; any number of threads may be in them at once."""

    @shared
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        *,
        callbacks: Any = None,
        return_dict: bool = False,
        sample_weight: Any = None,
        steps: int | None = None,
        **others: Any,
    ) -> Any:
        """The loss over all samples: a float, or [loss, *metrics], or a dict with return_dict=True.

        Args:
            x, y, sample_weight, verbose, callbacks: As in `fit`.
            batch_size: None: 256. It only bounds memory: figures are taken from all outputs at once, unless x makes the
                batches.
            steps: Only so many batches, the first ones (of 32, if batch_size is None).
            return_dict: Figures by name.

        Raises:
            ValueError: As `fit`.
        """
        refuse("evaluate", others, {}, ("batch_size", "verbose", "return_dict"))
        compiled = self._compiled_with_loss("evaluate")
        steps = optional_count(steps, "evaluate: steps")
        figures, level = compiled.figures(), verbosity(verbose)
        if is_stream(x):
            only_arrays("evaluate", y=y, batch_size=batch_size, sample_weight=sample_weight)
            stream = self._training_stream(x, "x", steps, "steps")
            self._built(stream.first()[0])
            hooks = CallbackList(callbacks, self, verbose=level, steps=stream.count, metrics=figures.names)
            hooks.attach()
            return reported(self._evaluate_stream(stream, figures, hooks, Progress(level, stream.count)), return_dict)
        x, y = self._pair(x, y, "evaluate", sample_weight)
        x, y, size = self._first_steps(x, y, batch_size, steps, "batch_size", "evaluate: steps")
        batches = -(-len(x) // size)
        hooks = CallbackList(callbacks, self, verbose=level, steps=batches, metrics=figures.names)
        self._built(x)
        hooks.attach()
        return reported(self._evaluate(x, y, size, figures, hooks, Progress(level, batches)), return_dict)

    @shared
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = 0,
        *,
        callbacks: Any = None,
        steps: int | None = None,
        **others: Any,
    ) -> Any:
        """The model's output, [N, ...] of its dtype; Ragged where x is Ragged and the output a sequence. Of several
        outputs the list.

        Works before `compile`. No rows give no rows.

        Args:
            x: As in `fit`; what makes batches may make x alone, or tuples whose first part is x.
            batch_size: None: 256. It only bounds memory, the result does not depend on it.
            verbose: As in `fit`, 0 by default.
            callbacks: As in `fit`.
            steps: As in `evaluate`.

        Raises:
            ValueError: x has the wrong shape or dtype.
        """
        refuse("predict", others, {}, ("batch_size", "verbose", "callbacks"))
        steps, level = optional_count(steps, "predict: steps"), verbosity(verbose)
        batches: int | None
        streamed = is_stream(x)
        if streamed:
            only_arrays("predict", batch_size=batch_size)
            stream = Stream(x, "x", steps, "steps", lambda item: self._read(_x_of(item))[0])
            self._built(stream.first())
            batches = stream.count
        else:
            rows, forms = self._read(x)
            if steps is None:
                size = self._rows_at_once(batch_size, "batch_size")
            else:
                rows, _, size = self._first_steps(rows, None, batch_size, steps, "batch_size", "predict: steps")
                forms = self._read(rows)[1]
            self._built(rows)
            batches = -(-len(rows) // size)
        hooks = CallbackList(callbacks, self, verbose=level, steps=batches)
        hooks.attach()
        progress = Progress(level, batches)
        progress.begin("Predict")
        hooks.call("on_predict_begin")
        if streamed:
            y = self._predict_stream(stream, hooks, progress)
        else:
            y, _ = self._outputs(rows, forms, size, hooks, "predict", progress)
        hooks.call("on_predict_end")
        progress.end(batches or 0, {})
        return y


def _x_of(item: Any) -> Any:
    """x of a batch that `predict` is fed; a tuple is (x,), (x, y) or (x, y, sample_weight), as in Keras."""
    return item[0] if isinstance(item, tuple) and 1 <= len(item) <= 3 else item
