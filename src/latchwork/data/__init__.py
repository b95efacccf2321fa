"""From a series to training data: fill what is missing, split by time, scale, cut windows, shuffle; text as tokens."""

from latchwork.data.missing import fill_missing
from latchwork.data.order import permutation
from latchwork.data.padding import pad_sequences
from latchwork.data.scaler import StandardScaler
from latchwork.data.text import CharacterVocabulary
from latchwork.data.timeseries import TimeseriesDataset
from latchwork.data.windows import split_by_time, windows

__all__ = [
    "CharacterVocabulary",
    "StandardScaler",
    "TimeseriesDataset",
    "fill_missing",
    "pad_sequences",
    "permutation",
    "split_by_time",
    "windows",
]
