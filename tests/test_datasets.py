"""The shipped series are the values they say they are."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from latchwork import datasets

FOLDER = Path(datasets.__file__).parent


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("co2.csv", "599638ed8670dccfdd92f64a6b3e7babee90e2529ebb5aa103004e48eb1014b5"),
        ("sunspots.csv", "a7459ac790a1e40cf4b78b44fdf8248c9a0514ed672ec42cc555f4e8ddcbfd1b"),
    ],
)
def test_files_are_pinned(name, digest):
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_readme_tells_source_date_citation_and_licence():
    text = (FOLDER / "README.md").read_text()
    for word in ("co2.csv", "sunspots.csv", "statsmodels", "public domain", "Keeling", "2014-03-15", "59 missing"):
        assert word in text, word


def test_co2():
    time, values = datasets.co2()
    assert time.dtype == "datetime64[D]"
    assert values.dtype == np.float64
    assert time.shape == values.shape == (2284,)
    assert np.isnan(values).sum() == 59
    assert (np.diff(time) == np.timedelta64(7, "D")).all()
    assert (str(time[0]), str(time[-1])) == ("1958-03-29", "2001-12-29")
    assert values[-1] == 371.5


def test_sunspots():
    series = datasets.sunspots()
    assert series.time.dtype == "datetime64[Y]"
    assert (str(series.time[0]), str(series.time[-1])) == ("1700", "2008")
    assert series.values.shape == (309,)
    assert series.values[:3].tolist() == [5, 11, 16]


def test_a_caller_may_change_what_it_got():
    datasets.sunspots().values[:] = 0
    assert datasets.sunspots().values[0] == 5


def test_values_are_those_of_statsmodels():
    pytest.importorskip("statsmodels")
    from statsmodels.datasets import co2, sunspots

    theirs = co2.load_pandas().data["co2"]
    time, values = datasets.co2()
    assert np.array_equal(values, theirs.to_numpy(float), equal_nan=True)
    assert np.array_equal(time, theirs.index.to_numpy().astype("datetime64[D]"))
    theirs = sunspots.load_pandas().data
    time, values = datasets.sunspots()
    assert np.array_equal(values, theirs["SUNACTIVITY"].to_numpy(float))
    assert np.array_equal(time.astype(int) + 1970, theirs["YEAR"].to_numpy(float))
