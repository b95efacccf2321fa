"""Two small real series that ship with the package; sources, dates and licences stand in README.md beside them."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Series(NamedTuple):
    """A series of numbers with the time of each: `time` datetime64 [N], `values` float64 [N], NaN where missing.

    >>> series = sunspots()
    >>> series.time.shape == series.values.shape
    True
    """

    time: NDArray[np.datetime64]
    values: NDArray[np.float64]


def co2() -> Series:
    """Weekly CO2 at Mauna Loa in ppm, 1958-03-29 to 2001-12-29: 2284 weeks, 59 of them missing (NaN).

    Source: Keeling and Whorf 2004 through statsmodels 0.15; public domain.

    >>> time, values = co2()
    >>> str(time[0]), float(values[0]), values.shape
    ('1958-03-29', 316.1, (2284,))
    """
    return _read("co2.csv", "datetime64[D]")


def sunspots() -> Series:
    """Yearly mean sunspot number, 1700 to 2008: 309 years, none missing.

    Source: National Geophysical Data Center through statsmodels 0.15; public domain.

    >>> time, values = sunspots()
    >>> str(time[-1]), float(values[-1]), values.shape
    ('2008', 2.9, (309,))
    """
    return _read("sunspots.csv", "datetime64[Y]")


def _read(name: str, time_dtype: Any) -> Series:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="ascii") as file:
        rows = [line.rstrip("\n").split(",") for line in file][1:]
    time = np.array([when for when, _ in rows], dtype=time_dtype)
    values = np.array([float(value) if value else np.nan for _, value in rows])
    return Series(time, values)
