"""Seeing what a model does. Every function gives numbers (numpy); their `plot()` draws them, with matplotlib.

`pip install "latchwork[viz]"` brings matplotlib, which is imported when a figure is drawn and not before. A figure is
returned and never shown: `plot().savefig("gates.png")`. Nothing here changes a model, and what is drawn is the model as
it predicts: without dropout, stateful layers from zero.
"""

from latchwork.viz.attention import Looks, attention
from latchwork.viz.attribution import Attribution, integrated_gradients
from latchwork.viz.confusion import ConfusionMatrix, confusion_matrix
from latchwork.viz.forecasts import Calibration, Fan, calibration, fan
from latchwork.viz.gates import Gates, gates
from latchwork.viz.gradients import GradientNorms, gradient_norms
from latchwork.viz.units import HalfLife, Saturation, half_life, saturation

__all__ = [
    "Attribution",
    "Calibration",
    "ConfusionMatrix",
    "Fan",
    "Gates",
    "GradientNorms",
    "HalfLife",
    "Looks",
    "Saturation",
    "attention",
    "calibration",
    "confusion_matrix",
    "fan",
    "gates",
    "gradient_norms",
    "half_life",
    "integrated_gradients",
    "saturation",
]
