"""Optimizers: float64 formulas of Keras 3 to 1e-12, Keras' own numbers, clipping, ranges, bad input, one answer."""

import numpy as np
import pytest

from latchwork import _core, optimizers
from latchwork.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, Nadam, Optimizer, RMSprop
from problems import ISAS, assert_bits, using


class Reference:
    """Keras 3's update_step, in plain float64 numpy."""

    def __init__(self, o):
        self.o, self.t, self.s = o, 0, {}

    def slot(self, name, like):
        return self.s.setdefault(name, np.zeros_like(like))

    def step(self, w, g):
        self.update(w, g)
        if self.o.use_ema:
            average = self.slot("average", w)
            keep = self.o.ema_momentum if self.t > 1 else 0.0
            average[:] = keep * average + (1 - keep) * w
            if self.o.ema_overwrite_frequency and self.t % self.o.ema_overwrite_frequency == 0:
                w[:] = average

    def update(self, w, g):
        o, lr = self.o, self.o.learning_rate
        self.t += 1
        if o.weight_decay:
            w -= w * o.weight_decay * lr
        if isinstance(o, SGD):
            if not o.momentum:
                w -= lr * g
                return
            v = self.slot("v", w)
            v[:] = o.momentum * v - lr * g
            w += o.momentum * v - lr * g if o.nesterov else v
        elif isinstance(o, RMSprop):
            v = self.slot("v", w)
            v[:] = o.rho * v + (1 - o.rho) * g**2
            spread = v
            if o.centered:
                a = self.slot("a", w)
                a[:] = o.rho * a + (1 - o.rho) * g
                spread = v - a**2
            step = lr * g / np.sqrt(spread + o.epsilon)
            if o.momentum:
                m = self.slot("m", w)
                m[:] = o.momentum * m + step
                step = m
            w -= step
        elif isinstance(o, Adagrad):
            total = self.s.setdefault("s", np.full_like(w, o.initial_accumulator_value))
            total += g**2
            w -= lr * g / np.sqrt(total + o.epsilon)
        elif isinstance(o, Adadelta):
            square, steps = self.slot("s", w), self.slot("u", w)
            square[:] = o.rho * square + (1 - o.rho) * g**2
            step = g * np.sqrt(steps + o.epsilon) / np.sqrt(square + o.epsilon)
            steps[:] = o.rho * steps + (1 - o.rho) * step**2
            w -= lr * step
        elif isinstance(o, Lion):
            m = self.slot("m", w)
            w -= lr * np.sign(o.beta_1 * m + (1 - o.beta_1) * g)
            m[:] = o.beta_2 * m + (1 - o.beta_2) * g
        elif isinstance(o, Nadam):
            m, v = self.slot("m", w), self.slot("v", w)
            now, after = (o.beta_1 * (1 - 0.5 * 0.96**t) for t in (self.t, self.t + 1))
            self.product = getattr(self, "product", 1.0) * now
            m += (g - m) * (1 - o.beta_1)
            v += (g**2 - v) * (1 - o.beta_2)
            hat = after * m / (1 - self.product * after) + (1 - now) * g / (1 - self.product)
            w -= lr * hat / (np.sqrt(v / (1 - o.beta_2**self.t)) + o.epsilon)
        else:
            m, v = self.slot("m", w), self.slot("v", w)
            alpha = lr * np.sqrt(1 - o.beta_2**self.t) / (1 - o.beta_1**self.t)
            m += (g - m) * (1 - o.beta_1)
            v += (g**2 - v) * (1 - o.beta_2)
            if o.amsgrad:
                top = self.slot("top", w)
                top[:] = np.maximum(top, v)
                v = top
            w -= m * alpha / (np.sqrt(v) + o.epsilon)


EVERY = [
    lambda: SGD(),
    lambda: SGD(0.1, weight_decay=0.01),
    lambda: SGD(0.1, momentum=0.9),
    lambda: SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    lambda: RMSprop(),
    lambda: RMSprop(0.01, rho=0.8, momentum=0.5),
    lambda: RMSprop(0.01, centered=True),
    lambda: RMSprop(0.01, momentum=0.5, centered=True, weight_decay=0.1),
    lambda: Adam(),
    lambda: Adam(0.1, 0.8, 0.9, 1e-3, True),
    lambda: AdamW(0.01),
    lambda: Nadam(),
    lambda: Nadam(0.1, 0.8, 0.9, 1e-3, weight_decay=0.01),
    lambda: Adagrad(0.1),
    lambda: Adagrad(0.1, 0.5, 1e-3, weight_decay=0.01),
    lambda: Adadelta(1.0),
    lambda: Adadelta(1.0, 0.8, 1e-3, weight_decay=0.01),
    lambda: Lion(0.01),
    lambda: Lion(0.01, 0.8, 0.9, weight_decay=0.1),
    lambda: Adam(0.1, use_ema=True),
    lambda: SGD(0.1, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=3),
]


def run(optimizer, dtype, n=101, steps=20, seed=0):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=n).astype(dtype)
    for _ in range(steps):
        optimizer.update(w, rng.normal(size=n).astype(dtype))
    return w


@pytest.mark.parametrize("make", EVERY, ids=lambda m: repr(m()))
def test_float64_is_the_formula_to_1e_12(make):
    o, reference, rng = make(), Reference(make()), np.random.default_rng(0)
    w = rng.normal(size=101)
    wanted = w.copy()
    for step in range(1, 41):
        g = rng.normal(size=101)
        o.update(w, g.copy())
        reference.step(wanted, g)
        np.testing.assert_allclose(w, wanted, rtol=1e-12, atol=1e-12)
        assert o.iterations == step


@pytest.mark.parametrize("make", EVERY, ids=lambda m: repr(m()))
def test_float32_follows_float64(make):
    rng = np.random.default_rng(1)
    w = rng.normal(size=101).astype(np.float32)
    wide = w.astype(np.float64)
    narrow, double = make(), make()
    for _ in range(20):
        g = rng.normal(size=101).astype(np.float32)
        narrow.update(w, g)
        double.update(wide, g.astype(np.float64))
    np.testing.assert_allclose(w, wide, rtol=0, atol=20 * 8 * np.finfo(np.float32).eps * np.abs(wide).max())


# Keras 3.15.1 on JAX in float64: four steps on [1, 2] and [-0.5] with gradients [0.5, -1] and [3] times
# 1, 0.25, -0.5, -1.25.
KERAS = [
    (SGD(0.1), [1.025, 1.9500000000000002, -0.35]),
    (SGD(0.1, momentum=0.9), [0.904175, 2.1916500000000005, -1.0749500000000003]),
    (
        SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        [0.935175721846, 2.113672540312, -0.8629846429305001],
    ),
    (RMSprop(0.05), [0.9997772298323979, 2.000222897499846, -0.5002229352280775]),
    (
        RMSprop(0.05, rho=0.8, momentum=0.5, centered=True),
        [0.8880601983263547, 2.111939987204517, -0.6119400421767532],
    ),
    (Adam(0.1), [0.8134406031859941, 2.1865600012646977, -0.686560404233957]),
    (Adam(0.1, amsgrad=True, beta_2=0.5), [0.8223862402300159, 2.177613785721781, -0.6776138030229829]),
    (AdamW(0.1), [0.8120398902869013, 2.1831635927796547, -0.685562555722065]),
    (SGD(1.0, clipnorm=1.5), [1.25, 1.5, 0.25]),
    (SGD(1.0, global_clipnorm=1.5), [1.109260642832909, 1.781478714334182, 0.15556385699745445]),
    (SGD(1.0, clipvalue=0.75), [1.25, 1.75, -0.5]),
]


@pytest.mark.parametrize(("optimizer", "wanted"), KERAS, ids=lambda v: repr(v) if isinstance(v, Optimizer) else "")
def test_keras_says_the_same(optimizer, wanted):
    optimizer.iterations = 0
    optimizer.slots.clear()
    optimizer.build(3, np.float64)
    w = np.array([1.0, 2.0, -0.5])
    for k in range(4):
        optimizer.update(w, np.array([0.5, -1.0, 3.0]) * (1 - 0.75 * k), [(0, 2, "v"), (2, 3, "w")])
    # Keras keeps some of its constants in float32: its own digits end near 1e-8.
    np.testing.assert_allclose(w, wanted, rtol=2e-8)


def test_clipnorm_is_each_variables_own():
    g = np.array([3.0, 4.0, 0.3, 0.4, 0.0, 7.0])
    w = np.zeros(6)
    SGD(1.0, clipnorm=1.0).update(w, g, [(0, 2, "a"), (2, 4, "b"), (4, 5, "c")])
    np.testing.assert_allclose(w, [-0.6, -0.8, -0.3, -0.4, 0, 0], rtol=1e-15)


def test_global_clipnorm_is_that_of_the_trainable_ones_together():
    g = np.array([3.0, 100.0, 4.0])
    w = np.zeros(3)
    SGD(1.0, global_clipnorm=1.0).update(w, g.copy(), [(0, 1, "a"), (2, 3, "b")])
    np.testing.assert_allclose(w, [-0.6, 0, -0.8], rtol=1e-15)
    w = np.zeros(3)
    SGD(1.0, global_clipnorm=5.0).update(w, g.copy(), [(0, 1, "a"), (2, 3, "b")])
    np.testing.assert_array_equal(w, [-3, 0, -4])  # at the bound: untouched


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_joint_norm_that_is_not_finite_spoils_every_gradient(value):
    w = np.zeros(2)
    SGD(1.0, global_clipnorm=1.0).update(w, np.array([value, 1.0]), [(0, 1, "a"), (1, 2, "b")])
    assert np.isnan(w).all()


def test_clipvalue_clips_each_element():
    w = np.zeros(4)
    SGD(1.0, clipvalue=0.5).update(w, np.array([-2.0, 0.25, 2.0, np.nan]))
    np.testing.assert_array_equal(w, [0.5, -0.25, -0.5, np.nan])


@pytest.mark.parametrize("make", EVERY, ids=lambda m: repr(m()))
def test_what_is_not_trainable_stays(make):
    w, whole = np.full(30, 2.0), np.full(30, 2.0)
    g = np.linspace(-1, 1, 30)
    some, every = make(), make()
    for _ in range(3):
        some.update(w, g.copy(), [(0, 3, "a"), (3, 10, "b"), (20, 30, "c")])
        every.update(whole, g.copy())
    assert (w[10:20] == 2.0).all()
    assert_bits(np.delete(w, range(10, 20)), np.delete(whole, range(10, 20)))


@pytest.mark.parametrize("make", [*EVERY, lambda: Adam(clipnorm=1.0), lambda: SGD(global_clipnorm=1.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_answer_on_every_isa_and_any_number_of_threads(make, dtype):
    wanted = run(make(), dtype, n=50_021, steps=3)
    for isa in ISAS:
        for threads in (1, 2, 3):
            with using(isa=isa, threads=threads):
                assert_bits(run(make(), dtype, n=50_021, steps=3), wanted, f"{isa}, {threads} threads")


def test_the_learning_rate_may_be_set_between_steps():
    o, w = SGD(1.0), np.zeros(1)
    o.update(w, np.ones(1))
    o.learning_rate = 0.25
    o.update(w, np.ones(1))
    assert w[0] == -1.25
    with pytest.raises(ValueError, match=r"^learning_rate must be 0 or more, got -1.0$"):
        o.learning_rate = -1
    assert o.learning_rate == 0.25


def test_a_state_that_was_kept_goes_on():
    rng = np.random.default_rng(3)
    gradients = rng.normal(size=(6, 9))
    whole, w = Adam(0.1), np.ones(9)
    for g in gradients:
        whole.update(w, g.copy())
    first, other = Adam(0.1), np.ones(9)
    for g in gradients[:3]:
        first.update(other, g.copy())
    second = Adam(0.1)
    second.build(9, np.float64)
    second.iterations = first.iterations
    for name, values in first.slots.items():
        second.slots[name][:] = values
    for g in gradients[3:]:
        second.update(other, g.copy())
    assert_bits(other, w)


def test_bias_correction_of_many_steps():
    o = Adam(1.0, beta_1=0.9, beta_2=0.999, epsilon=0.0)
    o.build(1, np.float64)
    o.iterations = 12_344
    w = np.zeros(1)
    o.update(w, np.ones(1))
    alpha = np.sqrt(1 - 0.999**12_345) / (1 - 0.9**12_345)
    assert w[0] == pytest.approx(-alpha * (1 - 0.9) / np.sqrt(1 - 0.999), rel=1e-13)


@pytest.mark.parametrize("beta_1", [0.9, 0.5, 0.9999])
def test_momentum_of_many_steps(beta_1):
    """Nadam's product of momenta is a function of the step alone, also behind those that are multiplied one by one."""
    o = Nadam(1.0, beta_1, beta_2=0.5, epsilon=0.0)
    o.build(1, np.float64)
    for taken in (999, 1000, 1001, 5000):
        o.iterations, o.slots["momentum"][:], o.slots["velocity"][:] = taken, 0.25, 1.0
        w = np.zeros(1)
        o.update(w, np.ones(1))
        momenta = beta_1 * (1 - 0.5 * 0.96 ** np.arange(1, taken + 3, dtype=np.float64))
        now, after, product = momenta[-2], momenta[-1], np.prod(momenta[:-1])
        m = 0.25 + 0.75 * (1 - beta_1)
        wanted = -(after * m / (1 - product * after) + (1 - now) / (1 - product))
        assert w[0] == pytest.approx(wanted, rel=1e-12)


def test_lion_passes_on_what_is_not_a_number():
    w = np.zeros(3)
    Lion(0.5).update(w, np.array([np.nan, 0.0, -2.0]))
    np.testing.assert_array_equal(w, [np.nan, 0.0, 0.5])


def test_averages():
    """The average of what was not trainable is the weight itself; finalize writes those that are, and needs a step."""
    o, w = SGD(1.0, use_ema=True, ema_momentum=0.5), np.array([4.0, 8.0])
    o.build(2, np.float64)
    o.finalize(w)
    assert w.tolist() == [4.0, 8.0]
    for _ in range(2):
        o.update(w, np.ones(2), [(0, 1, "a")])
    assert w.tolist() == [2.0, 8.0]
    assert o.slots["average"].tolist() == [2.5, 8.0]
    o.finalize(w, [(0, 1, "a")])
    assert w.tolist() == [2.5, 8.0]


def test_names_and_defaults():
    assert optimizers.get("SGD").learning_rate == 0.01
    adam = optimizers.get("adam")
    assert (adam.learning_rate, adam.beta_1, adam.beta_2, adam.epsilon, adam.amsgrad) == (1e-3, 0.9, 0.999, 1e-7, False)
    assert adam.weight_decay is None
    assert optimizers.get("AdamW").weight_decay == 0.004
    rmsprop = optimizers.get("RMSprop")
    assert (rmsprop.learning_rate, rmsprop.rho, rmsprop.epsilon) == (1e-3, 0.9, 1e-7)
    assert optimizers.get(adam) is adam
    assert [o.name for o in (SGD(), RMSprop(), adam, AdamW(name="mine"))] == ["sgd", "rmsprop", "adam", "mine"]
    with pytest.raises(ValueError, match=r"^unknown optimizer 'adm'; nearest known: 'adam', 'nadam', 'adamw'$"):
        optimizers.get("adm")
    with pytest.raises(ValueError, match=r"^optimizer must be a name or an Optimizer, got None$"):
        optimizers.get(None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(-0.1), "learning_rate must be 0 or more, got -0.1"),
        (lambda: SGD(float("nan")), "learning_rate must be 0 or more, got nan"),
        (lambda: SGD(momentum=1.5), r"momentum must be in \[0, 1\], got 1.5"),
        (lambda: RMSprop(rho=-1), r"rho must be in \[0, 1\], got -1.0"),
        (lambda: Adam(beta_1=1.0), r"beta_1 must be in \[0, 1\), got 1.0"),
        (lambda: Adam(epsilon=-1e-7), "epsilon must be 0 or more, got -1e-07"),
        (lambda: Adam(weight_decay=-1), "weight_decay must be 0 or more, got -1.0"),
        (lambda: Adagrad(initial_accumulator_value=-1), "initial_accumulator_value must be 0 or more, got -1.0"),
        (lambda: Adadelta(rho=2), r"rho must be in \[0, 1\], got 2.0"),
        (lambda: Nadam(beta_2=1), r"beta_2 must be in \[0, 1\), got 1.0"),
        (lambda: Lion(beta_1=-1), r"beta_1 must be in \[0, 1\], got -1.0"),
        (lambda: SGD(use_ema=1), "use_ema must be True or False, got 1"),
        (lambda: SGD(use_ema=True, ema_momentum=2), r"ema_momentum must be in \[0, 1\], got 2.0"),
        (
            lambda: SGD(use_ema=True, ema_overwrite_frequency=0),
            "ema_overwrite_frequency must be None or a number of steps, 1 or more, got 0",
        ),
        (lambda: SGD(ema_momentum=0.9), "ema_momentum and ema_overwrite_frequency need use_ema=True"),
        (lambda: Adam(clipnorm=0), "clipnorm must be above 0, got 0"),
        (
            lambda: Adam(clipnorm=1.0, clipvalue=0.5),
            "at most one of clipnorm, clipvalue and global_clipnorm may be given, "
            "got clipnorm=1.0, clipvalue=0.5, global_clipnorm=None",
        ),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()


def test_a_learning_rate_that_is_no_number():
    with pytest.raises(TypeError, match=r"^learning_rate must be a number, got 'fast'$"):
        Adam("fast")


@pytest.mark.parametrize(
    ("params", "grads", "ranges", "message"),
    [
        (np.ones(3), np.ones(4), None, "params and grads must be flat and alike"),
        (np.ones(3), np.ones(3, np.float32), None, "params and grads must be flat and alike"),
        (np.ones((3, 1)), np.ones((3, 1)), None, "params and grads must be flat and alike"),
        (np.ones(6)[::2], np.ones(3), None, "params and grads must be contiguous and writeable"),
        (np.ones(3, int), np.ones(3, int), None, "dtype must be float32 or float64, got int64"),
        (np.ones(3), np.ones(3), [(0, 4, "a")], r"ranges must be ascending and within \[0, 3\]"),
        (np.ones(3), np.ones(3), [(1, 2, "a"), (0, 1, "b")], "ranges must be ascending"),
    ],
)
def test_bad_steps_change_nothing(params, grads, ranges, message):
    o = Adam(clipvalue=0.1)
    with pytest.raises(ValueError, match=f"^{message}"):
        o.update(params, grads, ranges)
    assert (params == 1).all()
    assert (grads == 1).all()
    assert o.iterations == 0


def test_an_optimizer_belongs_to_one_model():
    o = Adam()
    o.build(3, np.float32)
    o.build(4, np.float32)  # no step taken: nothing is lost
    o.update(np.ones(4, np.float32), np.ones(4, np.float32))
    with pytest.raises(ValueError, match=r"'adam' has taken steps with 4 float32 parameters; a model of 5 float64"):
        o.update(np.ones(5), np.ones(5))


def test_the_core_checks_its_arguments():
    options = {"learning_rate": 0.1, "weight_decay": 0.0, "momentum": 0.5, "nesterov": False}
    with pytest.raises(ValueError, match=r"^velocity must have the shape of params, \(3,\), got \(2,\)$"):
        _core.sgd_update(np.ones(3), np.ones(3), np.ones(2), **options)
    with pytest.raises(ValueError, match=r"^grads must be float64 like the other arrays, got float32$"):
        _core.sgd_update(np.ones(3), np.ones(3, np.float32), None, **options)
    rule = {"step": 1, "learning_rate": 0.1, "weight_decay": 0.0, "beta_1": 0.9, "beta_2": 0.9, "epsilon": 0.0}
    with pytest.raises(ValueError, match=r"^name must be one of nadam, adagrad, adadelta, lion, got 'adam'$"):
        _core.rule_update("adam", np.ones(3), np.ones(3), np.ones(3), None, **rule)
    with pytest.raises(ValueError, match=r"^second must be None for lion$"):
        _core.rule_update("lion", np.ones(3), np.ones(3), np.ones(3), np.ones(3), **rule)
    with pytest.raises(ValueError, match=r"^second must be an array like params for nadam$"):
        _core.rule_update("nadam", np.ones(3), np.ones(3), np.ones(3), None, **rule)
    with pytest.raises(ValueError, match=r"^step must be 1 or more, got 0$"):
        _core.rule_update("lion", np.ones(3), np.ones(3), np.ones(3), None, **rule | {"step": 0})
    with pytest.raises(ValueError, match=r"average.*params"):
        _core.average_update(frozen := np.ones(3), frozen, 0.5)
    frozen = np.ones(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"^params must be writeable$"):
        _core.sgd_update(frozen, np.ones(3), None, **options)
    with pytest.raises(ValueError, match=r"^variables must be ranges within grads of 3, got \(0, 4\)$"):
        _core.clip_norm(np.ones(3), [(0, 4)], 1.0, together=False)
