"""What the verbs of a model are fed: arrays or streams, checked before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from latchwork.data import permutation
from latchwork.data.series import as_count
from latchwork.models.batches import Batches, Rows, rows_between
from latchwork.models.checked import BATCH_SIZE
from latchwork.models.fit import Validation
from latchwork.models.own_loops import OwnLoops
from latchwork.models.streams import Stream, is_stream, training_parts
from latchwork.models.tbptt import Chunks


def only_arrays(verb: str, **given: Any) -> None:
    """Refuse what only arrays can have where x makes its batches."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{verb}: {name} must be left out where x makes the batches, got {type(value).__name__}")


def optional_count(value: Any, name: str) -> int | None:
    """A number of steps, at least 1; None: all there are."""
    return None if value is None else as_count(value, name, 1)


class Feeding(OwnLoops):
    """The data of `fit`, `evaluate` and `predict`."""

    epochs_trained: int
    _seed: Any

    def _training_stream(
        self, source: Any, name: str, steps: int | None, steps_name: str, class_weight: Any = None, tbptt: Any = None
    ) -> Stream:
        """Batches (x, y) of what makes them, each checked when it comes."""

        def read(item: Any) -> tuple[Rows, Rows]:
            given_x, given_y, weight = training_parts(item)
            x, y = self._pair(given_x, given_y, "", weight)
            if tbptt is not None:
                self._check_chunks(tbptt, x)
            return x, y if class_weight is None else self._class_weighted(x, y, class_weight)

        return Stream(source, name, steps, steps_name, read)

    def _training_arrays(
        self, x: Rows, y: Rows, batch_size: int, *, steps: int | None, shuffle: bool, class_weight: Any, tbptt: Any
    ) -> Batches:
        if class_weight is not None:
            y = self._class_weighted(x, y, class_weight)
        if tbptt is not None:
            self._check_chunks(tbptt, x)

        def order(number: int) -> Any:
            return permutation(len(x), seed=self._seed(), epoch=number)

        return Batches(x, y, batch_size, steps=steps, order=order if shuffle else None)

    def _held_out(self, given: Any, batch_size: int | None, steps: int | None, freq: Any) -> Validation | None:
        """What `validation_data` says."""
        freq = _frequency(freq)
        if given is None:
            return None
        if is_stream(given):
            only_arrays("validation_data", validation_batch_size=batch_size)
            stream = self._training_stream(given, "validation_data", steps, "validation_steps")
            if not stream.again and steps is None:
                raise ValueError("validation_data is an iterator, which ends once: give validation_steps")
            stream.first()  # what is wrong with it is said before training
            return Validation(stream, freq)
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            got = type(given).__name__ + (f" of {len(given)}" if isinstance(given, (tuple, list)) else "")
            raise ValueError(
                f"validation_data must be (x, y) or (x, y, sample_weight), or an iterable of such, got {got}"
            )
        given_x, given_y, *weights = given
        try:
            x, y = self._pair(given_x, given_y, "", *weights)
        except ValueError as error:
            raise ValueError(f"validation_data: {error}") from None
        return self._held_out_rows(x, y, batch_size, steps, freq)

    def _held_out_rows(self, x: Rows, y: Rows, batch_size: int | None, steps: int | None, freq: Any) -> Validation:
        x, y, size = self._first_steps(x, y, batch_size, steps, "validation_batch_size", "validation_steps")
        return Validation((x, y, size), _frequency(freq))

    def _first_steps(
        self, x: Rows, y: Any, batch_size: Any, steps: int | None, size_name: str, steps_name: str
    ) -> tuple[Rows, Any, int]:
        """The rows of the first `steps` batches, all for None, and the size of a batch: Keras' where it counts."""
        if steps is None:
            return x, y, self._rows_at_once(batch_size, size_name)
        size = as_count(BATCH_SIZE if batch_size is None else batch_size, size_name, 1)
        if steps > -(-len(x) // size):
            most = -(-len(x) // size)
            raise ValueError(f"{steps_name} must be at most {most}, the batches of {size} there are, got {steps}")
        stop = min(steps * size, len(x))
        return rows_between(x, 0, stop), None if y is None else rows_between(y, 0, stop), size

    # ---- steps of another kind ----------------------------------------------------------------------------------

    def _accumulation(self, accumulate: Any, tbptt: Any, streamed: bool) -> int:
        count = as_count(accumulate, "accumulate", 1)
        if count > 1 and tbptt is not None:
            raise ValueError("accumulate and tbptt exclude each other: give one of them")
        if count > 1 and streamed:
            raise ValueError(f"accumulate must be 1 where x makes batches of a size of its own, got {count}")
        if count > 1 and any(layer.stateful for layer in self.layers):
            raise ValueError(f"accumulate must be 1 for a stateful model, whose rows are one batch, got {count}")
        return count

    def _chunks(self, tbptt: Any) -> Chunks | None:
        if tbptt is None:
            return None
        return Chunks(self.layers, self._carried, as_count(tbptt, "tbptt", 1), self._given_states())

    def _check_chunks(self, chunks: Chunks, x: Rows) -> None:
        assert self._compiled is not None
        chunks.check(x, self._compiled.heads, self.output_names, self._read(x)[1])


def _frequency(freq: Any) -> int | frozenset[int]:
    """After how many epochs, or after which, counted from 1."""
    if isinstance(freq, Iterable) and not isinstance(freq, (str, bytes)):
        return frozenset(as_count(epoch, "validation_freq", 1) for epoch in freq)
    return as_count(freq, "validation_freq", 1)
