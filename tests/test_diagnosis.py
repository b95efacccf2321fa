"""A loss or gradient that is not finite: the error names layer, sample, time step and gate."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import GRU, LSTM, Bidirectional, Dense, Input, Masking, SimpleRNN

T, F, H = 6, 2, 3


def model_of(*layers, loss="mse", steps=T):
    lw.set_seed(1)
    model = lw.models.Sequential([Input((steps, F)), *layers])
    model.compile("sgd", loss)
    return model


def raised(model, x, y=None, **options):
    """The error's text, from `fit` and the same from train_on_batch; weights and what follows are as without it."""
    y = np.zeros((len(x), 1)) if y is None else y
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(FloatingPointError) as error:
        model.fit(x, y, len(x), verbose=0, shuffle=False, **options)
    with pytest.raises(FloatingPointError) as other:
        model.train_on_batch(x, y)
    text = str(error.value)
    assert str(other.value).split("; the weights")[0] in text
    np.testing.assert_equal(model.get_weights(), before)
    assert not any({"forward", "advance", "backward"} & set(vars(layer)) for layer in model.layers)
    return text


def spoil(layer, name, gate, value=np.nan):
    """Set a gate's weights of its first unit."""
    variable = next(v for v in layer.variables if v.key == name)
    layer.touch()
    variable.value[..., gate * H] = value


GATES = [
    (LSTM, ["input gate i", "forget gate f", "candidate g", "output gate o"]),
    (GRU, ["update gate z", "reset gate r", "candidate n"]),
    (SimpleRNN, ["candidate h"]),
]


@pytest.mark.parametrize("name", ["kernel", "recurrent_kernel", "bias"])
@pytest.mark.parametrize(("kind", "gate"), [(kind, gate) for kind, names in GATES for gate in range(len(names))])
def test_a_spoilt_weight(kind, gate, name):
    model = model_of(kind(H), Dense(1))
    model.build()
    spoil(model.layers[0], name, gate)
    layer, wanted = model.layers[0].name, dict(GATES)[kind][gate]
    text = raised(model, np.ones((2, T, F)))
    where = (
        f"the first output that is not finite is that of layer '{layer}', sample 0 of the batch, time step 0, {wanted};"
    )
    assert where in text


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_sample_and_the_time_step(sequences, backwards):
    """x is finite; its product with a weight near the largest number is not, in one place."""
    model = model_of(LSTM(H, "linear", return_sequences=sequences, go_backwards=backwards), Dense(1))
    model.build()
    spoil(model.layers[0], "kernel", 2, 1e38)
    x = np.full((4, T, F), 1e-38)
    x[2, 3] = 1e20
    text = raised(model, x, np.zeros((4, T, 1)) if sequences else None)
    assert "of layer 'lstm', sample 2 of the batch, time step 3, candidate g;" in text


@pytest.mark.parametrize("ragged", [False, True])
def test_masks_and_lengths(ragged):
    """Time steps are those of the user's array, masked ones counted."""
    sequences = [np.full((n, F), 1e-38) for n in (2, 5, 6)]
    sequences[1][4] = 1e20
    model = model_of(*([] if ragged else [Masking()]), LSTM(H, "linear", "linear"), Dense(1))
    model.build()
    spoil(model.layers[-2], "kernel", 1, 1e38)
    x = lw.Ragged.from_list(sequences)
    if not ragged:
        x = x.to_padded()
        x = np.concatenate([np.zeros((3, 1, F)), x], 1)  # a masked step in front
    text = raised(model, x, np.zeros((3, 1)))
    assert f"sample 1 of the batch, time step {4 if ragged else 5}, forget gate f;" in text


def test_a_state_that_grows():
    model = model_of(SimpleRNN(H, activation="linear", name="grows"), Dense(1), steps=200)
    model.build()
    model.layers[0].set_weights([np.ones((F, H)), np.full((H, H), 1e3), np.zeros(H)])
    text = raised(model, np.ones((1, 200, F)), np.zeros((1, 1)))
    assert "layer 'grows', sample 0 of the batch, time step 11, candidate h;" in text


def test_x_that_is_not_finite():
    x = np.ones((3, T, F))
    x[1, 4, 0] = np.nan
    text = raised(model_of(GRU(H), Dense(1)), x)
    assert "(x of this batch hold NaN or infinity)" in text
    assert "layer 'gru', sample 1 of the batch, time step 4, whose x is not finite;" in text


def test_other_layers():
    model = model_of(LSTM(H), Dense(2, name="one"), Dense(1, name="two"))
    model.build()
    model.layers[1].variables[0].value[0, 0] = np.inf
    assert "the first output that is not finite is that of layer 'one';" in raised(model, np.ones((2, T, F)))
    model = model_of(Bidirectional(LSTM(H)), Dense(1))
    model.build()
    model.layers[0].touch()
    model.layers[0].variables[0].value[0, 0] = np.nan
    assert "is that of layer 'bidirectional';" in raised(model, np.ones((2, T, F)))


def test_a_loss_of_its_own():
    """Every layer's output is finite: nothing is added."""
    text = raised(model_of(LSTM(H), Dense(1)), np.ones((1, T, F)), np.full((1, 1), 1e30))
    assert text == "epoch 1, batch 1 of 1: the loss is inf; the weights are those before this batch"


def test_a_gradient():
    """The forward pass is finite; the first gradient behind it that is not is named, with its gate."""
    model = model_of(LSTM(H, name="low"), Dense(1, name="high"))
    model.build()
    model.layers[1].touch()
    model.layers[1].variables[0].value[...] = [[1e30], [-1e30], [0]]
    model.layers[0].set_weights([np.full((F, 4 * H), 0.1), np.zeros((H, 4 * H)), np.zeros(4 * H)])

    class Steep(lw.losses.MeanSquaredError):
        def value_and_grad(self, y_true, y_pred, *args, **options):
            _, count, gradient = super().value_and_grad(y_true, y_pred, *args, **options)
            return 1.0, count, np.full_like(gradient, 1e20)

    model.compile("sgd", Steep())
    text = raised(model, np.ones((1, T, F)))
    assert "the first gradient that is not finite is that of the input of layer 'high';" in text
    model.layers[1].variables[0].value[...] = [[1e18], [0], [0]]
    model.layers[1].touch()
    model.layers[0].set_weights([np.full((F, 4 * H), 1e-4), np.zeros((H, 4 * H)), np.zeros(4 * H)])
    assert "the first gradient that is not finite is that of low/kernel, candidate g;" in raised(
        model, np.full((1, T, F), 100.0)
    )


def test_stateful_layers():
    """The second run begins with the states of the first; what is carried on is that of the batch before."""
    model = model_of(LSTM(H, stateful=True, return_sequences=True), Dense(1))
    model.build()
    model.fit(np.ones((2, T, F)), np.zeros((2, T, 1)), 2, verbose=0, shuffle=False)
    held = model._carried.held()
    x = np.ones((2, T, F))
    x[1, 5] = np.inf
    assert "sample 1 of the batch, time step 5, whose x is not finite;" in raised(model, x, np.zeros((2, T, 1)))
    np.testing.assert_equal(model._carried.held(), held)
