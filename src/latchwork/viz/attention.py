"""Where an attention layer looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latchwork import drawing
from latchwork.layers.attending import Attending
from latchwork.viz.running import at_rest, one_row


@dataclass(frozen=True, eq=False)
class Looks:
    """The weights of an attention layer on one sample, as `attention` finds them.

    Attributes:
        layer: Its name.
        weights: [heads, Tq, Tv] in the model's dtype: how much of each value goes into each query. Rows add up to 1;
            masked values have 0, rows of masked queries are 0.

    >>> import numpy as np
    >>> Looks("attention", np.ones((1, 3, 1))).weights.shape
    (1, 3, 1)
    """

    layer: str
    weights: NDArray[Any]

    def plot(
        self,
        queries: Sequence[Any] | None = None,
        values: Sequence[Any] | None = None,
        *,
        head: int = 0,
        ax: Any = None,
    ) -> Any:
        """A heat map, a row a query.

        Args:
            queries, values: What to write at the rows and columns, such as letters: as many as are to be shown, from
                the first on; None: all, by number.
            head: Of several.
            ax: Axes to draw into; None: a new Figure.

        Returns:
            The matplotlib Figure.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: More queries or values than there are, no such head, or another number of Axes.
        """
        if isinstance(head, bool) or not isinstance(head, (int, np.integer)) or not 0 <= head < len(self.weights):
            raise ValueError(f"head must be a whole number within [0, {len(self.weights)}), got {head!r}")
        shown = list(self.weights.shape[1:])
        for i, (name, labels) in enumerate((("queries", queries), ("values", values))):
            if labels is not None:
                if len(labels) > shown[i]:
                    raise ValueError(f"{name} must be at most {shown[i]}, got {len(labels)}")
                shown[i] = len(labels)
        size = (min(14.0, 0.28 * shown[1] + 2.2), min(14.0, 0.28 * shown[0] + 1.2))
        [axis] = drawing.panels(ax, 1, size=size)
        image = axis.imshow(self.weights[head, : shown[0], : shown[1]], cmap=drawing.SHARES, vmin=0, vmax=1)
        axis.figure.colorbar(image, ax=axis, shrink=0.8, label="weight")
        axis.set(title=f"{self.layer}: each row looks\nwhere it is bright", xlabel="value", ylabel="query")
        if queries is not None:
            axis.set_yticks(range(len(queries)), list(queries))
        if values is not None:
            axis.set_xticks(range(len(values)), list(values))
        return axis.figure


def attention(model: Any, x: Any, layer: Any = None, sample: int = 0) -> Looks:
    """How much of each value an attention layer takes for each query, on one sample: the numbers that the core used.

    Args:
        model: A `Model` with an attention layer.
        x: Its input, as in `predict`.
        layer: An Attention, AdditiveAttention or MultiHeadAttention: its name or itself; None: the first one.
        sample: Which of the N.

    Raises:
        ValueError: An argument is out of range, the layer is of another kind, or the graph calls it more than once.

    >>> import numpy as np
    >>> from latchwork.layers import Attention, Input
    >>> from latchwork.models import Model
    >>> x = Input((None, 2))
    >>> attention(Model(x, Attention()([x, x])), np.zeros((1, 4, 2))).weights[0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    with at_rest(model, x, "attention") as rows:
        found = _layer_of(model, layer)
        row = one_row(rows, sample, "attention")
        seen: list[Any] = []
        forward = found.forward

        def watched(x: Any, **given: Any) -> Any:
            y, context = forward(x, **(given | {"training": True}))  # at rest it computes the same, and keeps weights
            seen.append(context)
            return y, context

        found.forward = watched
        try:
            model._run(row, False)
        finally:
            del found.forward
    if len(seen) != 1:
        raise ValueError(f"attention: layer {found.name!r} is called {len(seen)} times in its model, must be once")
    [context] = seen
    queries, values = (int(offsets[-1]) for offsets in context.given.places[:2])
    return Looks(found.name, context.weights.reshape(-1, queries, values))


def _layer_of(model: Any, layer: Any) -> Any:
    """The attention layer that is meant: by name, itself, or None for the first one."""
    known = [each for each in model.layers if isinstance(each, Attending)]
    found = known if layer is None else [each for each in known if each is layer or each.name == layer]
    if not found:
        names = ", ".join(each.name for each in known) or "there is none"
        raise ValueError(f"attention: layer must be one of {model.name}'s attention layers ({names}), got {layer!r}")
    return found[0]
