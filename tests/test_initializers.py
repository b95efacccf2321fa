"""Initialisers: bounds and moments, orthogonality, the same bits everywhere, names, bad input."""

import hashlib

import numpy as np
import pytest

from latchwork import _core, initializers, random
from problems import ISAS, assert_bits, using

DRAWN = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
    "random_uniform",
    "random_normal",
    "truncated_normal",
    "variance_scaling",
)
# Standard deviation of a [60, 240] kernel (fan_in 60, fan_out 240), and its largest element: Keras 3's formulas.
TRUNCATED = 2 / 0.87962566103423978
MOMENTS = {
    "glorot_uniform": (np.sqrt(2 / 300), np.sqrt(6 / 300)),
    "glorot_normal": (np.sqrt(2 / 300), TRUNCATED * np.sqrt(2 / 300)),
    "he_uniform": (np.sqrt(2 / 60), np.sqrt(6 / 60)),
    "he_normal": (np.sqrt(2 / 60), TRUNCATED * np.sqrt(2 / 60)),
    "lecun_uniform": (np.sqrt(1 / 60), np.sqrt(3 / 60)),
    "lecun_normal": (np.sqrt(1 / 60), TRUNCATED * np.sqrt(1 / 60)),
    "variance_scaling": (np.sqrt(1 / 60), TRUNCATED * np.sqrt(1 / 60)),
    "random_uniform": (0.05 / np.sqrt(3), 0.05),
    "random_normal": (0.05, 0.05 * 6),
    "truncated_normal": (0.05 * 0.87962566103423978, 0.1),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_moments_and_bounds(name):
    values = initializers.get(name)((60, 240), "float64", seed=11, stream=0)
    deviation, bound = MOMENTS[name]
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > (0.99 * bound if name != "random_normal" else 3 * deviation)
    # Of 14,400 draws: the mean is off by 4 of its deviations, the deviation's ratio by 4 / sqrt(2 n), at most.
    assert abs(values.mean()) < 4 * deviation / np.sqrt(values.size)
    assert abs(values.std() / deviation - 1) < 4 / np.sqrt(2 * values.size)


def test_a_recurrent_kernel_counts_all_its_gates():
    values = initializers.GlorotUniform()((64, 256), "float64", seed=1, stream=0)
    limit = np.sqrt(6 / (64 + 256))
    assert 0.999 * limit < np.abs(values).max() <= limit


def quantile_error(values, quantile):
    """Largest distance of the empirical distribution from the wanted one (Kolmogorov-Smirnov), over sqrt(n)."""
    n = values.size
    p = quantile(np.sort(values.ravel()))
    return max(np.abs(p - np.arange(1, n + 1) / n).max(), np.abs(p - np.arange(n) / n).max()) * np.sqrt(n)


def test_normal_draws_are_normal():
    from statistics import NormalDist

    cdf = np.vectorize(NormalDist().cdf)
    values = _core.philox_normal(5, 0, [20_000], 0.0, 1.0, False, "float64")
    assert quantile_error(values, cdf) < 1.95  # exceeded once in a thousand
    inside = _core.philox_normal(5, 1, [20_000], 0.0, 1.0, True, "float64")
    low = NormalDist().cdf(-2)
    assert quantile_error(inside, lambda x: (cdf(x) - low) / (1 - 2 * low)) < 1.95
    flat = _core.philox_uniform(5, 2, [20_000], 0.0, 1.0, "float64")
    assert quantile_error(flat, lambda x: x) < 1.95


def test_normal_is_the_quantile_of_the_uniform_draw():
    """Inversion: NormalDist().inv_cdf (AS 241, too) of the very draw, tails included."""
    from statistics import NormalDist

    n = 200_000
    values = _core.philox_normal(9, 4, [n], 0.0, 1.0, False, "float64")
    draws = np.array([_core.philox(9, (0, i, 0, 4)) for i in range(n // 2)], dtype=np.uint64).reshape(n, 2)
    u = ((draws[:, 0] | draws[:, 1] << np.uint64(32)) >> np.uint64(12)).astype(np.float64) + 0.5
    wanted = np.array([NormalDist().inv_cdf(p) for p in u * 2.0**-52])
    assert np.abs(wanted).max() > 4.2
    np.testing.assert_allclose(values, wanted, rtol=2e-15, atol=1e-16)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (7, 7), (16, 64), (64, 16), (33, 33), (50, 200), (9, 5000)])
def test_orthogonal_is_orthonormal(shape):
    q = initializers.Orthogonal()(shape, "float64", seed=3, stream=2)
    rows, columns = shape
    gram = q @ q.T if rows <= columns else q.T @ q
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-14)


@pytest.mark.parametrize("shape", [(5, 5), (40, 9), (9, 40), (33, 70)])
def test_orthogonal_is_the_qr_decomposition_with_a_positive_diagonal(shape):
    length, count = max(shape), min(shape)
    a = _core.philox_normal(3, 2, [count, length], 0.0, 1.0, False, "float64").T
    q, r = np.linalg.qr(a)
    q = q * np.sign(np.diag(r))
    wanted = q if shape[0] >= shape[1] else q.T
    np.testing.assert_allclose(_core.orthogonal(3, 2, *shape, 1.0, "float64"), wanted, atol=1e-13)


def test_orthogonal_takes_gain_and_leading_axes():
    q = initializers.Orthogonal(gain=2.0)((2, 3, 4), "float64", seed=1, stream=0)
    assert q.shape == (2, 3, 4)
    flat = q.reshape(6, 4)
    np.testing.assert_allclose(flat.T @ flat, 4 * np.eye(4), atol=1e-14)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_answer_on_every_isa_and_any_number_of_threads(name, dtype):
    wanted = initializers.get(name)((65, 260), dtype, seed=1, stream=7)
    for isa in ISAS:
        for threads in (1, 2, 5):
            with using(isa=isa, threads=threads):
                got = initializers.get(name)((65, 260), dtype, seed=1, stream=7)
                assert_bits(got, wanted, f"{name} on {isa} with {threads} threads")


@pytest.mark.parametrize("name", DRAWN)
def test_float32_is_float64_rounded(name):
    wide = initializers.get(name)((9, 12), "float64", seed=1, stream=0)
    assert_bits(initializers.get(name)((9, 12), "float32", seed=1, stream=0), wide.astype(np.float32))


# The bits are part of the contract: a change here is a new bit version.
GOLDEN = {
    "glorot_uniform": "16cbdf596dc5ca3f",
    "glorot_normal": "5c21ea71b875a579",
    "random_normal": "00d16e1577cabb4b",
    "orthogonal": "45fe3eb24e6a1915",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_bits_are_frozen(name):
    values = initializers.get(name)((37, 148), "float64", seed=20240607, stream=3)
    assert hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16] == GOLDEN[name]


def test_streams_and_seeds_differ():
    def draw(seed, stream):
        return initializers.GlorotUniform()((20, 20), "float32", seed=seed, stream=stream)

    arrays = [draw(seed, stream) for seed in (0, 1, 2**63) for stream in (0, 1, 2)]
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert (a == b).mean() < 0.01


def test_the_same_program_gives_the_same_weights():
    def program():
        random.set_seed(5)
        return [initializers.get("glorot_uniform")((3, 4)), initializers.get("orthogonal")((4, 4))]

    first, second = program(), program()
    for a, b in zip(first, second, strict=True):
        assert_bits(a, b)
    assert first[0].dtype == np.float32


def test_a_seed_of_its_own_wins():
    own = initializers.GlorotUniform(seed=9)
    assert_bits(own((3, 4)), own((3, 4), "float32", seed=1, stream=8))
    assert_bits(own((3, 4)), initializers.GlorotUniform()((3, 4), "float32", seed=9, stream=0))


def test_constants():
    assert initializers.get("zeros")((2, 2)).tolist() == [[0, 0], [0, 0]]
    assert initializers.get("ones")((2,), "float64").dtype == np.float64
    assert initializers.Constant(0.25)((3,)).tolist() == [0.25] * 3
    assert initializers.Identity(gain=3.0)((2, 3)).tolist() == [[3, 0, 0], [0, 3, 0]]


def test_names():
    for name in ("glorot_uniform", "GlorotUniform"):
        assert isinstance(initializers.get(name), initializers.GlorotUniform)
    own = initializers.RandomNormal(stddev=0.1)
    assert initializers.get(own) is own
    with pytest.raises(ValueError, match=r"^unknown initializer 'glorot_unifrom'; nearest known: 'glorot_uniform'"):
        initializers.get("glorot_unifrom")
    with pytest.raises(ValueError, match=r"^initializer must be a name or an Initializer, got 1$"):
        initializers.get(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: initializers.Zeros()((2,), "int32"), r"^dtype must be float32 or float64, got int32$"),
        (lambda: initializers.Zeros()((-1,)), r"^shape must not be negative, got \(-1,\)$"),
        (lambda: initializers.Orthogonal()((3,)), r"^shape must have two axes or more for Orthogonal, got \(3,\)$"),
        (lambda: initializers.Identity()((3,)), r"^shape must have two axes for Identity, got \(3,\)$"),
        (lambda: initializers.VarianceScaling(0.0), r"^scale must be above 0, got 0.0$"),
        (lambda: initializers.VarianceScaling(mode="fan"), r"^unknown mode 'fan'; nearest known: 'fan_in'"),
        (lambda: initializers.VarianceScaling(distribution="gauss"), r"^unknown distribution 'gauss'; known: "),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
