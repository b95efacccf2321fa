"""Models: layers in a row, trained and run, saved and loaded."""

from latchwork.models.loading import load_model
from latchwork.models.sequential import Sequential

__all__ = ["Sequential", "load_model"]
