"""Learning-rate schedules: names, arguments and formulas of Keras 3, and three of PyTorch's users.

A schedule stands wherever an optimizer takes a `learning_rate`. It is a function of `optimizer.iterations`, the steps
taken so far, so a run that is taken up again goes on with the rates it would have had. Powers and cosines are the
core's: the same bits on every machine.

>>> from latchwork import optimizers, schedules
>>> adam = optimizers.Adam(schedules.CosineDecay(0.01, decay_steps=1000))
>>> adam.learning_rate
0.01
>>> adam.iterations = 500
>>> adam.learning_rate
0.005
"""

from latchwork.schedules.base import Schedule
from latchwork.schedules.cycles import CosineDecay, CosineDecayRestarts, LinearWarmup, OneCycle
from latchwork.schedules.decays import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
    StepDecay,
)

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LinearWarmup",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Schedule",
    "StepDecay",
]

# By the names that files use: those of this package alone.
CLASSES: dict[str, type[Schedule]] = {
    kind.__name__: kind
    for kind in (
        ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay, CosineDecay, CosineDecayRestarts,
        OneCycle, StepDecay, LinearWarmup,
    )
}  # fmt: skip
