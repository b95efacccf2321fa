"""Philox against its published vectors; seeds and streams; shuffles; dropout as a function of its counter."""

import itertools
import math

import numpy as np
import pytest

from latchwork import _core, random
from problems import ISAS, assert_bits, using

# Random123's known answers for philox4x32-10 (tests/kat_vectors of its distribution).
KNOWN = [
    (0x0000000000000000, (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (0xFFFFFFFFFFFFFFFF, (0xFFFFFFFF,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        0x299F31D0A4093822,
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("key", "counter", "wanted"), KNOWN)
def test_philox_gives_the_known_answers(key, counter, wanted):
    assert tuple(_core.philox(key, counter)) == wanted


def test_seeds_and_streams():
    random.set_seed(np.int64(12))
    assert random.seed() == 12
    assert [random.next_stream() for _ in range(3)] == [0, 1, 2]
    random.set_seed(12)
    assert random.next_stream() == 0


@pytest.mark.parametrize("n", [-1, 2**64])
def test_a_seed_out_of_range(n):
    random.set_seed(4)
    with pytest.raises(ValueError, match=rf"^seed must be in \[0, 2\^64\), got {n}$"):
        random.set_seed(n)
    assert random.seed() == 4


@pytest.mark.parametrize("n", [1.5, "1", None])
def test_a_seed_that_is_no_integer(n):
    with pytest.raises(TypeError, match=r"^seed must be an integer, got "):
        random.set_seed(n)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
def test_a_permutation_has_every_element_once(n):
    order = random.permutation(3, 1, n)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


def test_a_permutation_hangs_on_seed_and_epoch_alone():
    wanted = random.permutation(3, 1, 500)
    random.set_seed(99)
    for isa in ISAS:
        with using(isa=isa, threads=2):
            assert_bits(random.permutation(3, 1, 500), wanted)
    for seed, epoch in ((3, 2), (4, 1), (3 + 2**32, 1)):
        assert (random.permutation(seed, epoch, 500) == wanted).mean() < 0.05


def test_every_order_is_as_likely():
    counts = dict.fromkeys(itertools.permutations(range(4)), 0)
    draws = 24_000
    for epoch in range(draws):
        counts[tuple(random.permutation(1, epoch, 4).tolist())] += 1
    expected = draws / math.factorial(4)
    chi_squared = sum((c - expected) ** 2 / expected for c in counts.values())
    assert chi_squared < 49.7  # 23 degrees of freedom: exceeded once in a thousand


def test_a_permutation_is_fisher_yates_with_unbiased_draws():
    """Lemire's bounded draws from the stream's 32-bit words; n is large enough that some are drawn again."""
    n, seed, epoch = 200_000, 5, 8
    words = (word for block in itertools.count() for word in _core.philox(seed, (1 << 21, block, 0, epoch)))
    order, again = list(range(n)), 0
    for i in range(n - 1, 0, -1):
        while (product := next(words) * (i + 1)) % 2**32 < 2**32 % (i + 1):
            again += 1
        j = product >> 32
        order[i], order[j] = order[j], order[i]
    assert again > 0
    assert random.permutation(seed, epoch, n).tolist() == order


def test_a_permutation_out_of_range():
    with pytest.raises(ValueError, match=r"^epoch must be in \[0, 2\^32\), got -1$"):
        random.permutation(1, -1, 5)
    with pytest.raises(ValueError, match=r"^n must be in \[0, 2\^32\), got -5$"):
        random.permutation(1, 0, -5)


def mask(shape, rate=0.4, *, seed=1, step=0, layer=0, sample_offset=0, dtype=np.float32):
    return random.dropout(np.ones(shape, dtype), rate, seed=seed, step=step, layer=layer, sample_offset=sample_offset)[
        1
    ]


@pytest.mark.parametrize("shape", [(6, 5), (6, 16), (6, 3, 21), (6, 2, 3, 9)])
def test_a_mask_does_not_depend_on_how_the_batch_is_cut(shape):
    whole = mask(shape)
    for cut in range(1, shape[0]):
        first = mask((cut, *shape[1:]))
        second = mask((shape[0] - cut, *shape[1:]), sample_offset=cut)
        assert_bits(np.concatenate([first, second]), whole)


def test_a_mask_does_not_depend_on_the_length_or_the_width():
    assert_bits(mask((4, 3, 20)), np.ascontiguousarray(mask((4, 7, 33))[:, :3, :20]))


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mask_is_what_the_documented_counter_gives(rate, dtype):
    N, T, F, seed, step, layer = 3, 4, 11, 2**40 + 5, 7, 9
    got = mask((N, T, F), rate, seed=seed, step=step, layer=layer, dtype=dtype)
    for n, t, f in np.ndindex(N, T, F):
        word = (f // 8) | 2 << 21 | layer << 24
        block = _core.philox(seed, (word, t, n, step))
        draw = block[f % 8 // 2] >> (16 * (f % 2)) & 0xFFFF
        assert got[n, t, f] == (0 if draw < round(rate * 65536) else dtype(1 / (1 - rate)))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_the_rate_is_met_and_the_mean_kept(rate):
    kept = mask((200, 500), rate)
    share = (kept == 0).mean()
    assert abs(share - rate) <= 4 * np.sqrt(rate * (1 - rate) / kept.size) + 2**-17
    assert set(np.unique(kept)) <= {np.float32(0), np.float32(1 / (1 - rate))}


@pytest.mark.parametrize("other", [{"seed": 2}, {"step": 1}, {"layer": 1}, {"sample_offset": 50}])
def test_another_counter_gives_another_mask(other):
    same = (mask((50, 40), 0.5) == mask((50, 40), 0.5, **other)).mean()
    assert abs(same - 0.5) < 4 * 0.5 / np.sqrt(2000)


def test_dropout_and_its_gradient():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(9, 3, 13)), rng.normal(size=(9, 3, 13))
    x[0, 0] = np.inf
    y, kept = random.dropout(x, 0.5, seed=1, step=0, layer=0)
    np.testing.assert_array_equal(y, np.where(kept == 0, 0, x * 2))
    np.testing.assert_array_equal(random.dropout_backward(dy, kept), dy * kept)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dropped_element_is_zero_whatever_it_was(dtype):
    """Not 0 * x, which is -0, or NaN for infinity; what is kept keeps what it was."""
    x = np.resize(np.array([-2.0, np.inf, -np.inf, np.nan], dtype), (20, 20))
    y, kept = random.dropout(x, 0.5, seed=1, step=0, layer=0)
    for values in (y, random.dropout_backward(x, kept)):
        assert_bits(values[kept == 0], np.zeros(np.count_nonzero(kept == 0), dtype))
        np.testing.assert_array_equal(values[kept != 0], x[kept != 0] * 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_is_one_answer(dtype):
    x = np.random.default_rng(0).normal(size=(64, 10, 37)).astype(dtype)
    wanted = random.dropout(x, 0.3, seed=1, step=2, layer=3)
    for isa in ISAS:
        for threads in (1, 2, 3):
            with using(isa=isa, threads=threads):
                got = random.dropout(x, 0.3, seed=1, step=2, layer=3)
            assert_bits(got[0], wanted[0])
            assert_bits(got[1], wanted[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 1.0}, r"^rate must be in \[0, 1\), got 1"),
        ({"rate": -0.1}, r"^rate must be in \[0, 1\), got -0.1"),
        ({"rate": float("nan")}, r"^rate must be in \[0, 1\), got nan"),
        ({"layer": 256}, r"^layer must be in \[0, 2\^8\), got 256$"),
        ({"step": -1}, r"^step must be in \[0, 2\^32\), got -1$"),
        ({"x": np.ones(3)}, r"^x must be \[N, ..., F\], got \(3,\)$"),
        ({"x": np.ones((2, 2), int)}, r"^x must be float32 or float64"),
    ],
)
def test_bad_dropout(change, message):
    arguments = {"x": np.ones((2, 2)), "rate": 0.5, "seed": 1, "step": 0, "layer": 0} | change
    with pytest.raises(ValueError, match=message):
        random.dropout(arguments.pop("x"), arguments.pop("rate"), **arguments)


def test_a_gradient_of_another_shape():
    with pytest.raises(ValueError, match=r"^dy must have the shape of mask, \(2, 3\), got \(3, 2\)$"):
        random.dropout_backward(np.ones((3, 2)), np.ones((2, 3)))
