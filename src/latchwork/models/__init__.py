"""Models: layers in a row or a graph, trained and run, saved and loaded, whole or step by step."""

from latchwork.models.estimate import Estimate
from latchwork.models.gradients import Gradients
from latchwork.models.loading import load_model
from latchwork.models.model import Model
from latchwork.models.sequential import Sequential
from latchwork.models.session import Session

__all__ = ["Estimate", "Gradients", "Model", "Sequential", "Session", "load_model"]
