"""Losses, optimizers and whole training steps beside Keras on torch, in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latchwork import losses, optimizers, schedules
from latchwork.models import Sequential
from peers.keras_adapter import IGNORED, here, in_keras, keras, numbers, of, share_weights, tensor

NADAM = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"  # of Keras' own on torch
pytestmark = [pytest.mark.filterwarnings(warning) for warning in (*IGNORED, NADAM)]

FLAGS, SEEDS = st.booleans(), st.integers(0, 2**32 - 1)
RATES = st.floats(1e-4, 0.5)


@st.composite
def loss_settings(draw):
    kind = draw(
        st.sampled_from(
            [
                "MeanSquaredError",
                "MeanAbsoluteError",
                "Huber",
                "BinaryCrossentropy",
                "CategoricalCrossentropy",
                "SparseCategoricalCrossentropy",
            ]
        )
    )
    settings = {}
    if kind == "Huber":
        settings["delta"] = draw(st.floats(0.05, 3))
    if "Crossentropy" in kind:
        settings["from_logits"] = draw(FLAGS)
    if kind in ("BinaryCrossentropy", "CategoricalCrossentropy"):
        settings["label_smoothing"] = draw(st.sampled_from([0.0, 0.1, 0.5]))
    return kind, settings


def targets_and_outputs(kind, settings, shape, rng):
    """Random ones that fit the loss; a fifth of the probabilities are 0 or 1, which both libraries clip."""
    y_pred = 3 * rng.normal(size=shape)
    if settings.get("from_logits") is False:
        y_pred = rng.random(shape)
        y_pred = np.where(rng.random(shape) < 0.2, y_pred.round(), y_pred)
        if "Categorical" in kind:
            y_pred[..., 0] += 0.1  # a row must have a sum
    if kind == "SparseCategoricalCrossentropy":
        return rng.integers(0, shape[-1], shape[:-1]), y_pred
    return (rng.random(shape) if "Crossentropy" in kind else rng.normal(size=shape)), y_pred


@given(loss_settings(), st.integers(1, 6), st.integers(0, 4), st.integers(2, 5), SEEDS)
def test_losses(drawn, batch, steps, classes, seed):
    """Value and gradient; outputs [B, C] and [B, T, C]."""
    kind, settings = drawn
    shape = (batch, steps, classes) if steps else (batch, classes)
    y_true, y_pred = targets_and_outputs(kind, settings, shape, np.random.default_rng(seed))
    leaf = tensor(y_pred)
    theirs = getattr(keras.losses, kind)(**settings)(torch.tensor(y_true), leaf)
    total, count, gradient = getattr(losses, kind)(**settings).value_and_grad(y_true, y_pred)
    np.testing.assert_allclose(total / count, theirs.item(), rtol=1e-12)
    wanted = numbers(torch.autograd.grad(theirs, leaf)[0])
    # 1 / p of a clipped p near 1e-7 comes to 1e7 and more: digits are those of the largest gradient.
    np.testing.assert_allclose(gradient, wanted, rtol=1e-12, atol=1e-12 * max(1.0, abs(wanted).max()))


@st.composite
def optimizer_settings(draw, kind):
    settings = {"learning_rate": draw(RATES)}
    if draw(FLAGS):
        settings["weight_decay"] = draw(st.floats(1e-4, 0.2))
    if draw(FLAGS):
        settings[draw(st.sampled_from(["clipnorm", "clipvalue", "global_clipnorm"]))] = draw(st.floats(0.05, 3))
    if draw(FLAGS):
        every = draw(st.sampled_from([None, 1, 3]))
        settings |= {"use_ema": True, "ema_momentum": draw(st.floats(0, 1)), "ema_overwrite_frequency": every}
    if kind == "SGD":
        settings |= {"momentum": draw(st.sampled_from([0.0, 0.5, 0.9])), "nesterov": draw(FLAGS)}
    elif kind == "RMSprop":
        settings |= {"rho": draw(st.floats(0.3, 0.99)), "momentum": draw(st.sampled_from([0.0, 0.5, 0.9]))}
        settings |= {"epsilon": draw(st.floats(1e-8, 1e-2)), "centered": draw(FLAGS)}
    elif kind == "Adagrad":
        settings |= {"initial_accumulator_value": draw(st.floats(0, 1)), "epsilon": draw(st.floats(1e-8, 1e-2))}
    elif kind == "Adadelta":
        settings |= {"rho": draw(st.floats(0.3, 0.99)), "epsilon": draw(st.floats(1e-8, 1e-2))}
    else:
        settings |= {"beta_1": draw(st.floats(0.3, 0.99)), "beta_2": draw(st.floats(0.3, 0.9999))}
        if kind != "Lion":
            settings |= {"epsilon": draw(st.floats(1e-8, 1e-2))}
        if "Adam" in kind:
            settings |= {"amsgrad": draw(FLAGS)}
    return settings


@pytest.mark.parametrize("kind", ["SGD", "RMSprop", "Adam", "AdamW", "Nadam", "Adagrad", "Adadelta", "Lion"])
@given(st.data(), SEEDS)
def test_optimizers(kind, data, seed):
    """Ten steps with the same gradients on two variables."""
    settings = data.draw(optimizer_settings(kind))
    rng = np.random.default_rng(seed)
    shapes = [(3, 2), (4,)]
    first = [rng.normal(size=shape) for shape in shapes]
    variables = [keras.Variable(value, dtype="float64") for value in first]
    theirs = getattr(keras.optimizers, kind)(**settings)
    theirs.build(variables)
    ours = getattr(optimizers, kind)(**settings)
    params = np.concatenate([value.ravel() for value in first])
    for step in range(10):
        gradients = [rng.normal(size=shape) * 2 for shape in shapes]
        theirs.apply([torch.tensor(g) for g in gradients], variables)
        ours.update(params, np.concatenate([g.ravel() for g in gradients]), [(0, 6, "a"), (6, 10, "b")])
        wanted = np.concatenate([numbers(v.value).ravel() for v in variables])
        np.testing.assert_allclose(params, wanted, rtol=1e-12, atol=1e-12, err_msg=f"step {step}")
    theirs.finalize_variable_values(variables)
    ours.finalize(params)
    wanted = np.concatenate([numbers(v.value).ravel() for v in variables])
    np.testing.assert_allclose(params, wanted, rtol=1e-12, atol=1e-12)


SCHEDULES = [
    ("ExponentialDecay", {"decay_steps": 7.5, "decay_rate": 0.9}),
    ("ExponentialDecay", {"decay_steps": 7, "decay_rate": 1.1, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [5, 50], "values": [0.1, 0.05, 0.01]}),
    ("PolynomialDecay", {"decay_steps": 60}),
    ("PolynomialDecay", {"decay_steps": 30, "end_learning_rate": 0.02, "power": 1.7, "cycle": True}),
    ("InverseTimeDecay", {"decay_steps": 3.0, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"decay_steps": 3.0, "decay_rate": 0.5, "staircase": True}),
    ("CosineDecay", {"decay_steps": 70, "alpha": 0.1}),
    ("CosineDecay", {"decay_steps": 50, "warmup_target": 0.3, "warmup_steps": 20}),
    ("CosineDecayRestarts", {"first_decay_steps": 12, "t_mul": 1.0, "m_mul": 0.8, "alpha": 0.05}),
    ("CosineDecayRestarts", {"first_decay_steps": 9.5, "t_mul": 1.5, "m_mul": 0.8}),
    ("CosineDecayRestarts", {"first_decay_steps": 9.5}),
]


@pytest.mark.parametrize(("kind", "settings"), SCHEDULES)
def test_schedules(kind, settings):
    """150 rates; where a cosine ends Keras subtracts numbers near 1, so its digits are those of the largest rate."""
    first = {} if "values" in settings else {"initial_learning_rate": 0.1}
    theirs = getattr(keras.optimizers.schedules, kind)(**first, **settings)
    ours = getattr(schedules, kind)(**first, **settings)
    wanted = [float(theirs(torch.tensor(step, dtype=torch.float64))) for step in range(150)]
    np.testing.assert_allclose([ours(step) for step in range(150)], wanted, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_is_that_of_torch(strategy):
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(sgd, 0.3, 90, pct_start=0.25, anneal_strategy=strategy)
    wanted = []
    for _ in range(90):
        wanted.append(theirs.get_last_lr()[0])
        sgd.step()
        theirs.step() if len(wanted) < 90 else None
    ours = schedules.OneCycle(0.3, 90, 0.25, strategy)
    np.testing.assert_allclose([ours(step) for step in range(90)], wanted, rtol=1e-12, atol=1e-16)


def test_training_by_a_schedule():
    """Forty steps of Nadam with a warm-up and an average of the weights."""

    def schedule(module):
        return module.CosineDecay(0.01, 30, warmup_target=0.1, warmup_steps=5)

    rng = np.random.default_rng(2)
    w = rng.normal(size=4)
    variable = keras.Variable(w, dtype="float64")
    theirs = keras.optimizers.Nadam(schedule(keras.optimizers.schedules), use_ema=True)
    theirs.build([variable])
    ours = optimizers.Nadam(schedule(schedules), use_ema=True)
    for _ in range(40):
        gradient = rng.normal(size=4)
        theirs.apply([torch.tensor(gradient)], [variable])
        ours.update(w, gradient.copy())
        np.testing.assert_allclose(w, numbers(variable.value), rtol=1e-12, atol=1e-12)
        assert ours.learning_rate == pytest.approx(float(theirs.learning_rate), rel=1e-12)
    np.testing.assert_allclose(
        ours.slots["average"], numbers(theirs._model_variables_moving_average[0].value), rtol=1e-12
    )


def _rows():
    """Models of the tutorials: masks, tokens, both directions. Keras on torch cannot train stateful layers."""
    lstm = of("LSTM", units=4, return_sequences=True)
    return {
        "forecast": ([of("LSTM", units=5), of("Dense", units=1)], "mean_squared_error", {}),
        "two layers": ([lstm, of("GRU", units=3), of("Dense", units=2)], "mean_absolute_error", {}),
        "masked": ([of("Masking"), lstm, of("SimpleRNN", units=3), of("Dense", units=1)], "huber", {"gaps": True}),
        "sentiment": (
            [
                of("Embedding", input_dim=6, output_dim=3, mask_zero=True),
                of("Bidirectional", layer=of("GRU", units=3, return_sequences=True), merge_mode="sum"),
                of("LSTM", units=3),
                of("Dense", units=1, activation="sigmoid"),
            ],
            "binary_crossentropy",
            {"tokens": True},
        ),
        "tagger": (
            [
                of("Embedding", input_dim=6, output_dim=3, mask_zero=True),
                of("Bidirectional", layer=of("LSTM", units=3, return_sequences=True)),
                of("TimeDistributed", layer=of("Dense", units=4, activation="softmax")),
            ],
            "sparse_categorical_crossentropy",
            {"tokens": True},
        ),
    }


@pytest.mark.parametrize("optimizer", ["SGD", "RMSprop", "Adam"])
@pytest.mark.parametrize("name", list(_rows()))
def test_ten_steps_of_training(name, optimizer):
    """train_on_batch with Keras' defaults but for a larger step: losses on the way, all weights in the end.

    A difference of 1e-16 in a gradient g leaves Adam and RMSprop as one of 1e-16 / sqrt(g^2 + 1e-7) or more: 1e-9.
    """
    row, loss, data = _rows()[name]
    rng = np.random.default_rng(5)
    B, T = 6, 5
    theirs = keras.Sequential([keras.Input(batch_shape=(B, T) if data.get("tokens") else (B, T, 2))])
    for layer in row:
        theirs.add(in_keras(layer))
    ours = Sequential([here(layer) for layer in row])
    ours.build((None, T) if data.get("tokens") else (None, T, 2))
    share_weights(ours, theirs, rng)
    theirs.compile(getattr(keras.optimizers, optimizer)(0.05), loss, jit_compile=False)
    ours.compile(getattr(optimizers, optimizer)(0.05), loss)
    for step in range(10):
        x = rng.integers(0, 6, (B, T)) if data.get("tokens") else rng.normal(size=(B, T, 2))
        x[:, 0] = 1  # a row without a real step has no output to learn from
        if data.get("gaps"):
            x[rng.random((B, T)) < 0.3] = 0
        shape = theirs.output_shape
        if loss == "sparse_categorical_crossentropy":
            y = rng.integers(0, shape[-1], shape[:-1])
        else:
            y = rng.integers(0, 2, shape) if loss == "binary_crossentropy" else rng.normal(size=shape)
        wanted = theirs.train_on_batch(x, y)
        theirs.reset_metrics()
        np.testing.assert_allclose(ours.train_on_batch(x, y), float(wanted), rtol=1e-9, err_msg=f"step {step}")
    for ours_w, theirs_w in zip(ours.get_weights(), theirs.weights, strict=True):
        np.testing.assert_allclose(ours_w, numbers(theirs_w.value), rtol=1e-9, atol=1e-9)
