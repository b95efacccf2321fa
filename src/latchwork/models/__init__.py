"""Models: layers in a row, trained and run."""

from latchwork.models.sequential import Sequential

__all__ = ["Sequential"]
