"""latchwork: recurrent networks (RNN, LSTM, GRU) trained and run by hand-vectorised CPU kernels.

>>> import latchwork as lw
>>> model = lw.models.Sequential([lw.layers.LSTM(50, input_shape=(32, 1)), lw.layers.Dense(1)])
>>> model.compile(loss="mse", optimizer="adam")
"""

from typing import Any

from latchwork import (
    callbacks,
    cpu,
    data,
    datasets,
    functional,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    random,
    schedules,
)
from latchwork._core import __version__
from latchwork.cpu import set_num_threads
from latchwork.ragged import Ragged
from latchwork.random import set_seed

__all__ = [
    "Ragged",
    "__version__",
    "callbacks",
    "cpu",
    "data",
    "datasets",
    "functional",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "random",
    "schedules",
    "set_num_threads",
    "set_seed",
    "testing",
    "viz",
]


def __getattr__(name: str) -> Any:
    """`lw.testing` and `lw.viz`, imported when they are asked for."""
    if name == "testing":
        import latchwork.testing

        return latchwork.testing
    if name == "viz":
        import latchwork.viz

        return latchwork.viz
    raise AttributeError(f"module 'latchwork' has no attribute {name!r}")
