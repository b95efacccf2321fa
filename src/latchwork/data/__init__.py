"""From a series to training data: fill what is missing, split by time, scale, cut windows, shuffle."""

from latchwork.data.missing import fill_missing
from latchwork.data.order import permutation
from latchwork.data.scaler import StandardScaler
from latchwork.data.windows import split_by_time, windows

__all__ = ["StandardScaler", "fill_missing", "permutation", "split_by_time", "windows"]
