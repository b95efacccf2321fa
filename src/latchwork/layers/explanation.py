"""What `explain` returns: the core's own plan of each call, in numbers and words."""

from __future__ import annotations

from dataclasses import dataclass

from latchwork.fields import Value


@dataclass(eq=False, repr=False)
class CallPlan(Value):
    """How the core runs one call of a cell, and why; from the function that plans every call.

    Args:
        name: Of the layer or cell.
        products: (operand, rows, terms, columns) of each product of a step: `[rows x terms] x [terms x columns]`.
        members: Threads that share it.
        split: What they share: "rows" of the batch, or "units" of the state.
        strip_rows: Rows whose pre-activations are made and used while they are in the first cache.
        hoist_steps: Steps whose input products are made at once, ahead; 0: fused into the step.
        few_rows: Where so few sequences go on, threads share units instead of rows.
        kept_bytes: What forward leaves for backward beside y; 0 without training.
        forward_bytes, backward_bytes: Work space while a pass runs.
        pack_bytes: The weights once more, as the kernels read them.
        cost: Forward by the cost table, in multiply-adds of one core at its peak.
        why: A sentence for each choice: "threads", "input" and "strip".

    >>> from latchwork.layers import GRU
    >>> layer = GRU(8)
    >>> layer.build((None, None, 3))
    >>> call = layer.explain(4, 10, measure=False).levels[0][0]
    >>> call.products, call.flops, call.members
    ((('x', 4, 3, 24), ('h', 4, 8, 24)), 2112, 1)
    """

    name: str
    products: tuple[tuple[str, int, int, int], ...]
    members: int
    split: str
    strip_rows: int
    hoist_steps: int
    few_rows: int
    kept_bytes: int
    forward_bytes: int
    backward_bytes: int
    pack_bytes: int
    cost: float
    why: dict[str, str]

    @property
    def flops(self) -> int:
        """Floating-point operations of the products of one step, forward; backward has twice as many."""
        return sum(2 * rows * terms * columns for _, rows, terms, columns in self.products)


@dataclass(eq=False, repr=False)
class Explanation(Value):
    """What `explain` returns: numbers for programs, and a text when printed.

    Args:
        name, kind: Of the layer or model; kind is what `summary` calls it.
        batch_size, steps: What was asked for; steps is None where x has none.
        training, memory: As asked for: with the backward pass, and what it keeps (see `lw.functional.lstm`).
        isa: The instruction set in use.
        note: What a layer without calls of the core is, in one line.
        levels: Its calls of the core. Those of one level are independent: both directions of a `Bidirectional`.
        together: For each level how its calls are run, where there are several; "" for one.
        side_by_side: For each level whether its calls run at once, each on threads of its own.
        costs: What the cost table says of each level, as `CallPlan.cost`.
        forward_ns, backward_ns: Measured nanoseconds a step, Python's share included; None where not measured.
        parts: The layers of a model, the layer within a `TimeDistributed`.

    >>> from latchwork.layers import LSTM, Dense
    >>> from latchwork.models import Sequential
    >>> model = Sequential([LSTM(8, input_shape=(None, 3)), Dense(1)])
    >>> found = model.explain(4, 10, training=True)
    >>> [part.name for part in found.parts], found.parts[0].threads, found.kept_bytes > 0, found.forward_ns > 0
    (['lstm', 'dense'], 1, True, True)
    """

    name: str
    kind: str
    batch_size: int
    steps: int | None
    training: bool
    memory: str
    isa: str
    note: str = ""
    levels: tuple[tuple[CallPlan, ...], ...] = ()
    together: tuple[str, ...] = ()
    side_by_side: tuple[bool, ...] = ()
    costs: tuple[float, ...] = ()
    forward_ns: float | None = None
    backward_ns: float | None = None
    parts: tuple[Explanation, ...] = ()

    @property
    def threads(self) -> int:
        """The most threads that work at once."""
        counts = (
            sum(call.members for call in calls) if at_once else max(call.members for call in calls)
            for calls, at_once in zip(self.levels, self.side_by_side, strict=True)
        )
        return max([1, *counts, *(part.threads for part in self.parts)])

    @property
    def kept_bytes(self) -> int:
        """What all calls leave for backward, beside their outputs."""
        return sum(call.kept_bytes for calls in self.levels for call in calls) + sum(p.kept_bytes for p in self.parts)

    @property
    def pack_bytes(self) -> int:
        """The weights once more, as the kernels read them."""
        return sum(call.pack_bytes for calls in self.levels for call in calls) + sum(p.pack_bytes for p in self.parts)

    @property
    def cost(self) -> float:
        """Forward by the cost table, as `CallPlan.cost`; 0 where nothing runs in the core."""
        return sum(self.costs) + sum(part.cost for part in self.parts)

    @property
    def flops(self) -> int:
        """Floating-point operations of the products of one step, forward."""
        return sum(call.flops for calls in self.levels for call in calls) + sum(part.flops for part in self.parts)

    def __str__(self) -> str:
        passes = f"training, memory={self.memory!r}" if self.training else "inference"
        size = count_text(self.batch_size, "row") + (
            "" if self.steps is None else f" x {count_text(self.steps, 'step')}"
        )
        return "\n".join([f"{self.name} ({self.kind}): {size}, {passes}, {self.isa}", *self._lines("  ")])

    __repr__ = __str__

    def _lines(self, margin: str) -> list[str]:
        lines = [f"{margin}{self.note}"] if self.note else []
        for calls, together in zip(self.levels, self.together, strict=True):
            lines += [f"{margin}{'together':<10}{together}"] if together else []
            for call in calls:
                if len(self.levels) > 1 or len(calls) > 1:
                    lines.append(f"{margin}{call.name}")
                lines += [f"{margin}{label:<10}{text}" for label, text in _said(call, self.training)]
        for part in self.parts:
            lines += [f"{margin}{part.name} ({part.kind})", *part._lines(margin + "  ")]
        if self.forward_ns is not None:
            lines.append(f"{margin}{'measured':<10}{self._measured(self.forward_ns)}")
        return lines

    def _measured(self, forward_ns: float) -> str:
        step = "" if self.steps is None else " a step"
        text = f"{forward_ns:,.0f} ns{step}, forward"
        if self.flops and not self.parts:
            text += f" ({self.flops / forward_ns:.1f} GFLOP/s)"
        return text if self.backward_ns is None else f"{text}, and {self.backward_ns:,.0f} ns backward"


def count_text(number: int, what: str) -> str:
    """1 row, 2 rows."""
    return f"{number:,} {what}" + "s" * (number != 1)


def bytes_text(count: float) -> str:
    """1,234 B, 56.7 KB, 8.9 MB, ...: powers of 1000.

    >>> bytes_text(512), bytes_text(1.5e6)
    ('512 B', '1.5 MB')
    """
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.2f} GB"


def _said(call: CallPlan, training: bool) -> list[tuple[str, str]]:
    products = ", ".join(f"{name} [{rows} x {k}] x [{k} x {n}]" for name, rows, k, n in call.products)
    if all(operand == "x" for operand, *_ in call.products):  # a dense layer
        return [("product", f"{products}: {call.flops:,} FLOP, threads {call.why['threads']}")]
    lines = [("products", f"{products}: {call.flops:,} FLOP a step"), *call.why.items()]
    if training:
        space = bytes_text(max(call.forward_bytes, call.backward_bytes))
        lines.append(("memory", f"{bytes_text(call.kept_bytes)} kept for backward, {space} of work space"))
    return lines
