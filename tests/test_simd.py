"""Every operation of the vector vocabulary, bit for bit on every ISA, against its definition written here in numpy."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from latchwork import _core
from problems import DTYPES, ISAS, using

FRACTION_BITS = {np.float32: 23, np.float64: 52}
UNSIGNED = {np.float32: np.uint32, np.float64: np.uint64}


def flushed(y):
    """Kernels run with subnormal results flushed to zero."""
    return np.where(np.abs(y) < np.finfo(y.dtype).tiny, np.copysign(y.dtype.type(0), y), y)


def nearest(value, dtype):
    """The floating-point number nearest to a fraction, ties to even."""
    if value == 0:
        return dtype(0)
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    ulp = Fraction(2) ** (exponent - FRACTION_BITS[dtype])
    rounded = round(value / ulp) * ulp
    if abs(rounded) > Fraction(float(np.finfo(dtype).max)):
        return dtype(np.inf) if rounded > 0 else dtype(-np.inf)
    return dtype(float(rounded))


def exact_fma(a, b, c):
    dtype = type(a)
    if not (np.isfinite(a) and np.isfinite(b)):
        return a * b + c
    if not np.isfinite(c):
        return c
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact == 0:  # a product that vanishes keeps its sign; nonzero terms that cancel give +0
        return np.copysign(dtype(0), a) * np.copysign(dtype(1), b) + c if a == 0 or b == 0 else dtype(0)
    return nearest(exact, dtype)


def fma(a, b, c):
    return np.array([exact_fma(*abc) for abc in zip(a, b, c, strict=True)], a.dtype)


def bits(x):
    return x.view(UNSIGNED[x.dtype.type])


def shifted(a):
    return (bits(a) << FRACTION_BITS[a.dtype.type]).view(a.dtype)


def mantissa_and_exponent(a):
    m, e = np.frexp(a)
    return (2 * m).astype(a.dtype), (e - 1).astype(a.dtype)


def number(mask, like):
    return mask.astype(like.dtype)


DEFINITIONS = {
    "broadcast": lambda a, b, c: np.full_like(a, 3),
    "add": lambda a, b, c: a + b,
    "subtract": lambda a, b, c: a - b,
    "multiply": lambda a, b, c: a * b,
    "divide": lambda a, b, c: a / b,
    "negate": lambda a, b, c: -a,
    "fma": fma,
    "fnma": lambda a, b, c: fma(-a, b, c),
    "less": lambda a, b, c: number(a < b, a),
    "less_equal": lambda a, b, c: number(a <= b, a),
    "equal": lambda a, b, c: number(a == b, a),
    "not_equal": lambda a, b, c: number(a != b, a),
    "mask_and": lambda a, b, c: number((a < b) & (b < c), a),
    "mask_or": lambda a, b, c: number((a < b) | (b < c), a),
    "mask_not": lambda a, b, c: number(~(a < b), a),
    "select": lambda a, b, c: np.where(a < b, b, c),
    "min": lambda a, b, c: np.where(a < b, a, b),
    "max": lambda a, b, c: np.where(a > b, a, b),
    "clamp": lambda x, low, high: np.where(high < (m := np.where(low > x, low, x)), high, m),
    "abs": lambda a, b, c: np.abs(a),
    "copysign": lambda a, b, c: np.copysign(a, b),
    "sqrt": lambda a, b, c: np.sqrt(a),
    "round": lambda a, b, c: np.rint(a),
    "shift_to_exponent": lambda a, b, c: shifted(a),
    "pow2": lambda a, b, c: np.where(a < np.finfo(a.dtype).minexp, 0, np.ldexp(a.dtype.type(1), a.astype(int))),
    "exponent": lambda a, b, c: mantissa_and_exponent(a)[1],
    "mantissa": lambda a, b, c: mantissa_and_exponent(a)[0],
    "partial": lambda a, b, c: np.ones_like(a),
}


def specials(dtype):
    largest = np.finfo(dtype).max
    values = [0.0, 1.0, 0.3, 0.5, 1.5, 2.5, 3.5, np.pi, 1e-10, 4194303.5, 8388609.0, 2.0**53, largest, np.inf]
    return np.array([sign * v for v in values for sign in (1, -1)] + [np.nan], dtype)


def arguments(operation, dtype):
    """Arrays a, b, c: triples of special values, then random ones; no multiple of any vector's lanes."""
    rng = np.random.default_rng(1)
    if operation == "pow2":
        low = np.finfo(dtype).minexp - 1  # one below the normal numbers gives zero
        a = np.arange(low, -low + 1).astype(dtype)
        return a, a, a
    if operation in ("exponent", "mantissa"):
        a = np.exp2(rng.uniform(*np.log2([np.finfo(dtype).tiny * 2, np.finfo(dtype).max / 2]), 10_001)).astype(dtype)
        a[:3] = np.finfo(dtype).tiny, np.finfo(dtype).max, 1
        return a, a, a
    values = specials(dtype)
    grid = np.array(list(itertools.product(values, values, [0.0, -0.0, 0.3, -2.5, np.inf, np.nan])), dtype).T
    spread = (rng.normal(size=(3, 2001)) * np.exp2(rng.integers(-12, 12, (3, 2001)))).astype(dtype)
    both = np.concatenate([grid, spread], axis=1)
    if operation == "partial":  # compares numbers, so no NaN; b is the guard around what is stored
        both = np.nan_to_num(both[:, -2001:])
    return tuple(np.ascontiguousarray(row) for row in both)


def assert_equal_bits(actual, wanted, arguments, name):
    """NaN may be any NaN."""
    assert actual.dtype == wanted.dtype
    different = (bits(actual) != bits(wanted)) & ~(np.isnan(actual) & np.isnan(wanted))
    first = np.argmax(different)
    at = [float(x[first]) for x in arguments]
    assert not different.any(), f"{name}{at}: {actual[first]!r} instead of {wanted[first]!r}; {different.sum()} differ"


def test_every_operation_has_a_definition():
    assert set(_core.probe_names()) == set(DEFINITIONS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", DEFINITIONS)
def test_operation(operation, dtype):
    abc = arguments(operation, dtype)
    with np.errstate(all="ignore"):
        wanted = DEFINITIONS[operation](*abc).astype(dtype)
    if operation in ("multiply", "divide", "fma", "fnma", "add", "subtract"):
        wanted = flushed(wanted)
    for isa in ISAS:
        with using(isa=isa):
            assert_equal_bits(_core.probe(operation, *abc), wanted, abc, f"{isa} {operation}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", ["fma", "fnma"])
def test_fma_rounds_once(operation, dtype):
    """Sums a hair beside the middle of two numbers, where rounding first to a wider type loses the hair."""
    rng = np.random.default_rng(2)
    n, p = 3001, FRACTION_BITS[dtype]
    k = rng.integers(1, 2**10, n)
    ulp = 2.0**-p
    # a b = 2^-(p + 1) (1 - (k ulp)^2): just under half an ULP of c in [1, 2).
    a = ((1 + k * ulp) * 2.0 ** -(p // 2)).astype(dtype)
    b = ((1 - k * ulp) * 2.0 ** -(p + 1 - p // 2)).astype(dtype)
    c = (1 + rng.integers(0, 2**p - 1, n) * ulp).astype(dtype)
    scale = np.exp2(rng.integers(-20, 20, n)).astype(dtype)
    a, b, c = (a * scale * rng.choice([-1, 1], n)).astype(dtype), b, (c * scale * rng.choice([-1, 1], n)).astype(dtype)
    wanted = DEFINITIONS[operation](a, b, c)
    with np.errstate(all="ignore"):
        sign = -1 if operation == "fnma" else 1
        twice = (sign * a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)).astype(dtype)
    assert (twice != wanted).sum() > n / 10, "the cases do not separate one rounding from two"
    for isa in ISAS:
        with using(isa=isa):
            assert_equal_bits(_core.probe(operation, a, b, c), wanted, (a, b, c), f"{isa} {operation}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_fma_of_random_bits_is_exact(dtype):
    """Terms of any relative size: products far below, beside and far above the addend, and cancelling ones."""
    rng = np.random.default_rng(3)
    n = 4001
    a, b = ((rng.uniform(1, 2, n) * np.exp2(rng.integers(-10, 10, n))).astype(dtype) for _ in range(2))
    c = (rng.uniform(-2, 2, n) * np.exp2(rng.integers(-60, 60, n))).astype(dtype)
    c[::3] = -(a * b)[::3]
    wanted = fma(a, b, c)
    for isa in ISAS:
        with using(isa=isa):
            assert_equal_bits(_core.probe("fma", a, b, c), wanted, (a, b, c), f"{isa} fma")
