"""Schedules: Keras' formulas to 1e-12, the core's powers and cosines against exact ones, bad input, files."""

import decimal
import math
from decimal import Decimal

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core, optimizers, schedules
from latchwork.schedules import CosineDecay, ExponentialDecay, LinearWarmup, OneCycle, Schedule

EVERY = [
    schedules.ExponentialDecay(0.1, 100, 0.96),
    schedules.ExponentialDecay(0.1, 100, 0.96, True),
    schedules.StepDecay(0.1, 30, 0.5),
    schedules.PiecewiseConstantDecay([10, 20.5], [1.0, 0.5, 0.1]),
    schedules.PolynomialDecay(0.1, 100, 0.01, 0.5, True),
    schedules.InverseTimeDecay(0.1, 10, 0.5, True),
    schedules.CosineDecay(0.1, 100, 0.1, 0.5, 20),
    schedules.CosineDecayRestarts(0.1, 10, 1.5, 0.9, 0.01),
    schedules.OneCycle(0.1, 100, 0.25, "linear", 10.0, 100.0),
    schedules.LinearWarmup(10, schedules.ExponentialDecay(0.1, 50, 0.5), 0.01),
    schedules.LinearWarmup(10, 0.5),
]
EXACT = decimal.Context(prec=60)


def exact_half_cosine(x):
    """(1 + cos(pi x)) / 2 = cos^2(pi x / 2) by Taylor's series in decimals."""
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
    angle = EXACT.multiply(pi, Decimal(x))
    term = total = Decimal(1)
    for k in range(1, 40):
        term = EXACT.divide(
            EXACT.multiply(EXACT.multiply(EXACT.minus(term), angle), angle), Decimal(2 * k * (2 * k - 1))
        )
        total = EXACT.add(total, term)
    return EXACT.divide(EXACT.add(1, total), Decimal(2))


def ulps(found, exact):
    return abs(EXACT.subtract(Decimal(found), exact)) / Decimal(math.ulp(float(exact)))


def test_half_cosine_is_within_two_ulp():
    rng = np.random.default_rng(0)
    points = [*rng.random(2000).tolist(), *(1 - rng.random(200) * 1e-6).tolist(), 0.5, np.nextafter(0.5, 0), 1e-9]
    assert max(ulps(_core.half_cosine(x), exact_half_cosine(x)) for x in points) <= 2
    assert [_core.half_cosine(x) for x in (0, 0.5, 1)] == [1, 0.5, 0]
    falling = [_core.half_cosine(i / 4096) for i in range(4097)]
    assert falling == sorted(falling, reverse=True)


def test_power_is_near_the_exact_one():
    rng = np.random.default_rng(1)
    for base, exponent in zip(rng.uniform(0.01, 2, 500).tolist(), rng.uniform(-100, 100, 500).tolist(), strict=True):
        exact = EXACT.power(Decimal(base), Decimal(exponent))
        slack = 3 * np.finfo(float).eps * (1 + abs(float(exact.ln(EXACT))))
        assert abs(Decimal(_core.power(base, exponent)) / exact - 1) <= slack, (base, exponent)
    assert [_core.power(0.5, n) for n in range(65)] == [math.ldexp(1, -n) for n in range(65)]
    assert [_core.power(2.0, -3), _core.power(9.0, 0.5), _core.power(0.0, 0.0), _core.power(0.0, 1.5)] == [
        0.125,
        3,
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("call", "given"), [("power", (-1.0, 2.0)), ("power", (1.0, 1e300)), ("power", (1.0, math.nan))]
)
def test_power_of_what_has_none(call, given):
    with pytest.raises(ValueError, match="base must be 0 or more and exponent within"):
        getattr(_core, call)(*given)


@pytest.mark.parametrize("x", [-0.1, 1.5, math.nan])
def test_half_cosine_outside(x):
    with pytest.raises(ValueError, match=r"x must be in \[0, 1\]"):
        _core.half_cosine(x)


def test_one_answer_on_every_isa():
    steps = range(0, 300, 7)
    answers = []
    for isa in _core.supported_isas():
        lw.cpu.use(isa)
        answers.append([schedule(step) for schedule in EVERY for step in steps])
    assert all(answer == answers[0] for answer in answers)


def test_restarts_are_where_they_are_said_to_be():
    """At the very step, where a quotient of logarithms may come out a bit below a whole number."""
    for t_mul in (1.0, 2.0, 3.0, 10.0):
        rate = schedules.CosineDecayRestarts(1.0, 10, t_mul)
        start, length = 0, 10
        for _ in range(6):
            assert rate(start) == 1.0
            assert rate(start + length - 1) < 0.1
            start, length = start + length, int(length * t_mul)


def test_a_warm_up_reaches_what_follows():
    rate = LinearWarmup(4, ExponentialDecay(0.8, 1, 0.5))
    assert [rate(step) for step in range(7)] == [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 0.4, 0.2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExponentialDecay(-1, 1, 1), "initial_learning_rate must be a number at least 0, got -1"),
        (lambda: ExponentialDecay(0.1, 0, 1), "decay_steps must be a number above 0, got 0"),
        (lambda: ExponentialDecay(0.1, 1, math.nan), "decay_rate must be a number at least 0, got nan"),
        (lambda: ExponentialDecay(0.1, 1, 1, 1), "staircase must be True or False"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), "values must be one more than boundaries, 2, got 1"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1.0, 1, 1]), "boundaries must increase"),
        (lambda: schedules.PiecewiseConstantDecay(1, [1.0]), "boundaries must be a list"),
        (lambda: CosineDecay(0.1, 10, warmup_steps=5), "needs a warmup_target"),
        (lambda: schedules.CosineDecayRestarts(0.1, 10, 0.5), "t_mul must be a number at least 1"),
        (lambda: OneCycle(0.1, 10, 0.05), "must leave steps on both sides"),
        (lambda: OneCycle(0.1, 10, anneal_strategy="cosine"), "unknown anneal_strategy 'cosine'"),
        (lambda: LinearWarmup(10, "fast"), "learning_rate must be a number"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_rate_of_an_optimizer_is_that_of_its_next_step():
    sgd = optimizers.SGD(ExponentialDecay(0.5, 1, 0.5))
    w, rates = np.zeros(1), []
    for _ in range(4):
        rates.append(sgd.learning_rate)
        sgd.update(w, np.ones(1))
    assert rates == [0.5, 0.25, 0.125, 0.0625]
    assert w[0] == -sum(rates)
    sgd.iterations = 1
    assert sgd.learning_rate == 0.25
    with pytest.raises(TypeError, match=r"learning_rate follows ExponentialDecay\("):
        sgd.learning_rate = 0.1
    sgd.learning_rate = CosineDecay(1.0, 10)
    assert sgd.learning_rate == CosineDecay(1.0, 10)(1)
    assert repr(optimizers.SGD(CosineDecay(1.0, 10))).startswith("SGD(learning_rate=CosineDecay(initial_learning")


def test_a_schedule_that_gives_no_rate():
    class Own(Schedule):
        def __call__(self, step):
            return -1.0

    with pytest.raises(ValueError, match=r"learning_rate of .* at step 0 must be 0 or more, got -1"):
        optimizers.SGD(Own())


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_in_files(schedule, tmp_path):
    """The model read back goes on with the rates, and the bits, of the one that was saved."""
    x, y = np.random.default_rng(0).normal(size=(8, 3)), np.zeros((8, 1))
    model = lw.models.Sequential([lw.layers.Dense(1, input_shape=(3,))])
    model.compile(optimizers.Adam(schedule), "mse")
    model.fit(x, y, batch_size=2, epochs=3, verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = lw.models.load_model(tmp_path / "m.safetensors")
    assert again.optimizer.schedule == schedule
    assert again.optimizer.learning_rate == model.optimizer.learning_rate == schedule(12)
    for each in (model, again):
        each.fit(x, y, batch_size=2, epochs=3, verbose=0)
    assert all((a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


def test_your_own_is_not_saved(tmp_path):
    class Own(Schedule):
        def __call__(self, step):
            return 0.1

    model = lw.models.Sequential([lw.layers.Dense(1, input_shape=(3,))])
    model.compile(optimizers.SGD(Own()), "mse")
    with pytest.raises(ValueError, match="no classes of your own"):
        model.save(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "callback",
    [lw.callbacks.ReduceLROnPlateau("loss"), lw.callbacks.LearningRateScheduler(lambda epoch: 0.1)],
    ids=lambda c: type(c).__name__,
)
def test_callbacks_that_would_set_the_rate(callback):
    model = lw.models.Sequential([lw.layers.Dense(1, input_shape=(3,))])
    model.compile(optimizers.SGD(CosineDecay(0.1, 10)), "mse")
    with pytest.raises(ValueError, match="sets the learning rate, which follows CosineDecay"):
        model.fit(np.ones((2, 3)), np.ones((2, 1)), callbacks=callback, verbose=0)
