"""A loss or gradient that is not finite: the error names layer, sample, time step and gate."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Cell,
    Concatenate,
    Dense,
    GRUCell,
    Input,
    Layer,
    LSTMCell,
    Masking,
    SimpleRNN,
    TimeDistributed,
)
from latchwork.layers.wrapper import Wrapper

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
    assert not any(callable(value) and name in WATCHED for name, value in members(model))
    return text


WATCHED = {"forward", "advance", "backward", "_advanced", "_backward_call"}


def members(model):
    """What the layers, and those in wrappers, hold."""
    found, layers = [], list(model.layers)
    for layer in layers:
        found += vars(layer).items()
        layers += layer.inner if isinstance(layer, Wrapper) else ()
        if isinstance(layer, RNN):
            layers += layer._fused
            found += vars(layer._loop).items()
    return found


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
    assert "the first output that is not finite is that of layer 'one', sample 0 of the batch;" in raised(
        model, np.ones((2, T, F))
    )
    model = model_of(Bidirectional(LSTM(H)), Dense(1))
    model.build()
    model.layers[0].touch()
    model.layers[0].variables[0].value[0, 0] = np.nan
    assert "is that of layer 'bidirectional/forward_lstm', sample 0 of the batch, time step 0, input gate i;" in raised(
        model, np.ones((2, T, F))
    )


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
    assert "the first gradient that is not finite is that of the input of layer 'high', sample 0 of the batch;" in text
    model.layers[1].variables[0].value[...] = [[1e18], [0], [0]]
    model.layers[1].touch()
    model.layers[0].set_weights([np.full((F, 4 * H), 1e-4), np.zeros((H, 4 * H)), np.zeros(4 * H)])
    assert (
        "the first gradient that is not finite is that of low/kernel, sample 0 of the batch, time step 5, candidate g;"
        in raised(model, np.full((1, T, F), 100.0))
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


# ---- gradients: a finite loss, and one gradient on the way down that is too large for a gate ------------------------

STEEP, LARGE = 1e37, 1e6  # their product is not finite in float32


class Steep(Layer):
    """y is x; one of the gradients that pass by becomes STEEP."""

    supports_masking, by_step = True, True

    def __init__(self, *at, **common):
        super().__init__(**common)
        self.at = at

    def forward(self, x, *, training=True, step=None):
        return x, None

    def backward(self, ctx, dy, *, need_dx=True):
        values = np.zeros_like(getattr(dy, "values", dy))
        values[self.at] = STEEP
        return lw.Ragged(values, dy.offsets) if isinstance(dy, lw.Ragged) else values


def flat(layer, gate):
    """A layer whose gates do not depend on x; only this one's (of a GRU r, also n's) slot gradients are not 0."""
    *products, bias = layer.get_weights()
    bias[...] = 100.0
    if isinstance(layer, GRU):
        bias[:, :H] = -100.0
        bias[1, 2 * H :] = 1.0
    bias.reshape(-1, bias.shape[-1])[:, gate * H : gate * H + H] = 0.1
    if isinstance(layer, GRU) and gate == 1:
        bias[:, 2 * H :] = 0.1
    layer.set_weights([*(np.zeros_like(product) for product in products), bias])


def large_at(*place, rows=3, steps=T):
    x = np.ones((rows, steps, F))
    x[place] = LARGE
    return x


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("kind", "gate"), [(kind, gate) for kind, names in GATES for gate in range(len(names))])
def test_the_step_and_gate_of_a_gradient(kind, gate, backwards):
    """dy of the step is finite, its product with x is not. y of a layer that goes backwards is in the order read."""
    read = T - 1 - 3 if backwards else 3
    model = model_of(kind(H, return_sequences=True, go_backwards=backwards), Steep(1, read))
    model.build()
    flat(model.layers[0], gate)
    text = raised(model, large_at(1, 3), np.zeros((3, T, H)))
    layer, wanted = model.layers[0].name, dict(GATES)[kind][gate]
    assert text.startswith(f"epoch 1, batch 1 of 1: the gradient of {layer}/kernel is not finite; ")
    where = f"that of {layer}/kernel, sample 1 of the batch, time step 3, {wanted};"
    assert f"the first gradient that is not finite is {where}" in text


def test_backward_begins_at_the_last_step():
    """Two steps overflow; the later one is the first on the way back. Of two samples in it, the first is named."""
    model = model_of(LSTM(H, return_sequences=True), Steep(slice(1, 3), [2, 4]))
    model.build()
    flat(model.layers[0], 3)
    assert "that of lstm/kernel, sample 1 of the batch, time step 4, output gate o;" in raised(
        model, np.full((3, T, F), LARGE), np.zeros((3, T, H))
    )


def test_the_last_output_alone():
    """Without sequences the gradient goes in at the last step, and by way of the cell state to the step at fault."""
    model = model_of(LSTM(H), Steep(1))
    model.build()
    flat(model.layers[0], 2)
    assert "that of lstm/kernel, sample 1 of the batch, time step 4, candidate g;" in raised(
        model, large_at(1, 4), np.zeros((3, H))
    )


@pytest.mark.parametrize("zero", [False, True])
def test_a_gradient_at_masked_steps(zero):
    """y of a masked step is the one before it, and so is its gradient's step; where y is 0 there is none."""
    x = large_at(1, 2)
    x[1, 3:5] = 0
    model = model_of(Masking(), LSTM(H, return_sequences=True, zero_output_for_mask=zero), Steep(1, 4))
    model.build()
    flat(model.layers[1], 3)
    if zero:
        model.fit(x, np.zeros((3, T, H)), verbose=0)
    else:
        assert "that of lstm/kernel, sample 1 of the batch, time step 2, output gate o;" in raised(
            model, x, np.zeros((3, T, H))
        )


@pytest.mark.parametrize("backwards", [False, True])
def test_a_gradient_of_ragged_sequences(backwards):
    x = lw.Ragged.from_list([np.ones((n, F)) for n in (2, 5, 6)])
    x.values[2 + 3] = LARGE
    model = model_of(LSTM(H, return_sequences=True, go_backwards=backwards), Steep(2 + (1 if backwards else 3)))
    model.build()
    flat(model.layers[0], 1)
    assert "that of lstm/kernel, sample 1 of the batch, time step 3, forget gate f;" in raised(
        model, x, lw.Ragged(np.zeros((13, H)), x.offsets)
    )


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_a_gradient_in_a_direction(way):
    """Each direction has half of the features."""
    half = slice(0, H) if way == "forward" else slice(H, 2 * H)
    model = model_of(Bidirectional(LSTM(H, return_sequences=True)), Steep(1, 2, half))
    model.build()
    for layer in model.layers[0].inner:
        flat(layer, 3)
    assert f"that of bidirectional/{way}_lstm/kernel, sample 1 of the batch, time step 2, output gate o;" in raised(
        model, large_at(1, 2), np.zeros((3, T, 2 * H))
    )
    layer = model.layers[0].inner[way == "backward"]
    layer.touch()
    layer.variables[2].value[:H] = np.nan
    step = 0 if way == "forward" else T - 1
    assert f"layer 'bidirectional/{way}_lstm', sample 0 of the batch, time step {step}, input gate i;" in raised(
        model, large_at(1, 2), np.zeros((3, T, 2 * H))
    )


@pytest.mark.parametrize("kind", ["array", "ragged"])
def test_a_gradient_in_a_step_of_sequences(kind):
    """TimeDistributed(LSTM): x [B, T, S, F], and a Dense in the steps of a Ragged."""
    if kind == "array":
        lw.set_seed(1)
        layers = [TimeDistributed(LSTM(H, return_sequences=True)), Steep(1, 2, 3)]
        model = lw.models.Sequential([Input((4, T, F)), *layers])
        model.compile("sgd", "mse")
        model.build()
        flat(model.layers[0].layer, 0)
        x = np.ones((3, 4, T, F))
        x[1, 2, 3] = LARGE
        where = "sample 1 of the batch, time step 2, inner time step 3, input gate i;"
        assert f"that of time_distributed/lstm/kernel, {where}" in raised(model, x, np.zeros((3, 4, T, H)))
        return
    model = model_of(TimeDistributed(Dense(H)))
    model.build()
    x = lw.Ragged.from_list([np.full((n, F), 1e-30) for n in (2, 5, 6)])
    x.values[2 + 3] = 1e30
    model.layers[0].touch()
    model.layers[0].variables[0].value[...] = 1e30
    where = "that of layer 'time_distributed/dense', sample 1 of the batch, time step 3;"
    assert where in raised(model, x, lw.Ragged(np.zeros((13, H)), x.offsets))


def test_stacked_cells():
    """The upper cell is the first on the way back; both run fused."""
    model = model_of(RNN([LSTMCell(H), GRUCell(H)], return_sequences=True), Steep(1, 3))
    model.build()
    lower, upper = model.layers[0]._fused
    flat(lower, 0)
    flat(upper, 0)
    path = "rnn/stacked_rnn_cells/"
    upper.touch()
    upper.variables[0].value[0, 2 * H :] = np.nan
    assert f"layer '{path}gru_cell', sample 0 of the batch, time step 0, candidate n;" in raised(
        model, np.ones((3, T, F)), np.zeros((3, T, H))
    )
    flat(upper, 2)
    upper.touch()
    upper.variables[0].value[...] = 0.1
    assert f"that of {path}lstm_cell/kernel, sample 1 of the batch, time step 3, input gate i;" in raised(
        model, large_at(1, 3), np.zeros((3, T, H))
    )


class Own(Cell):
    """h' = w x, with nothing of the core."""

    state_size = F

    def create(self, features):
        self.w = self.add_weight((features,), "ones", "w")

    def forward(self, x, states, training=False):
        y = x * self.w.value
        return y, [y], x

    def backward(self, ctx, dy, dstates):
        with np.errstate(over="ignore"):
            self.w.gradient += (ctx * dy).sum(0)
        return dy * self.w.value, [np.zeros_like(dy)]


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_cell_of_your_own(stacked, backwards):
    read = T - 1 - 3 if backwards else 3
    cells = [LSTMCell(F), Own()] if stacked else Own()
    model = model_of(RNN(cells, return_sequences=True, go_backwards=backwards), Steep(1, read))
    model.build()
    x, path = large_at(1, 3), "rnn/stacked_rnn_cells/" if stacked else "rnn/"
    if not stacked:  # the gradient is a sum over the rows: no sample
        assert f"that of {path}own/w, time step 3;" in raised(model, x, np.zeros((3, T, F)))
    model.layers[0].variables[-1].value[...] = np.nan
    first = T - 1 if backwards else 0
    assert f"layer '{path}own', sample 0 of the batch, time step {first};" in raised(model, x, np.zeros((3, T, F)))


def test_several_inputs():
    """The branch at fault is named, and the part of the batch is counted from its first sample."""
    lw.set_seed(1)
    one, two = Input((T, F), name="one"), Input((T, F), name="two")
    sequences = [LSTM(H, return_sequences=True, name=name)(x) for name, x in (("left", one), ("right", two))]
    model = lw.models.Model([one, two], Steep(1, 3, slice(H, 2 * H))(Concatenate()(sequences)))
    model.compile("sgd", "mse")
    model.build()
    for layer in model.layers:
        if isinstance(layer, LSTM):
            flat(layer, 0)
    x, y = [large_at(1, 3)] * 2, np.zeros((3, T, 2 * H))
    assert "that of right/kernel, sample 1 of the batch, time step 3, input gate i;" in raised(model, x, y)


def test_an_initial_state_from_a_graph():
    """The state's gradient comes in at the last step."""
    lw.set_seed(1)
    x = Input((T, F))
    _, *states = LSTM(H, return_state=True, name="encoder")(x)
    model = lw.models.Model(x, Steep(1, 0)(LSTM(H, return_sequences=True, name="decoder")(x, initial_state=states)))
    model.compile("sgd", "mse")
    model.build()
    flat(model.layers[0], 2)
    flat(model.layers[1], 3)
    # both have f = 1: the cell state of the encoder is the decoder's first
    text = raised(model, large_at(1, 4), np.zeros((3, T, H)))
    assert "that of encoder/kernel, sample 1 of the batch, time step 4, candidate g;" in text


def test_a_gradient_of_the_loss():
    """It is not finite when it comes: the output is named, with its sample and step."""

    class Wrong(lw.losses.MeanSquaredError):
        def value_and_grad(self, y_true, y_pred, *args, **options):
            total, count, gradient = super().value_and_grad(y_true, y_pred, *args, **options)
            gradient[1, 3] = np.inf
            return total, count, gradient

    model = model_of(LSTM(H, return_sequences=True), loss=Wrong())
    where = "that of the output of layer 'lstm', sample 1 of the batch, time step 3;"
    assert where in raised(model, np.ones((3, T, F)), np.zeros((3, T, H)))


def test_parts_and_chunks():
    """Samples are those of the whole step of accumulated batches; time steps those of the whole sequence."""
    model = model_of(LSTM(H, return_sequences=True), Steep(1, 1))
    model.build()
    flat(model.layers[0], 3)
    x, y = large_at(3, 1, rows=4), np.zeros((4, T, H))
    with pytest.raises(FloatingPointError, match="sample 3 of the batch, time step 1, output gate o;"):
        model.fit(x, y, 2, verbose=0, shuffle=False, accumulate=2)
    x[3], x[1, 4] = 1, LARGE
    model.compile(lw.optimizers.SGD(0.0), "mse")  # the first chunk, which is finite, is a step
    with pytest.raises(FloatingPointError, match=r"chunk 2: .*sample 1 of the batch, time step 4, output gate o;"):
        model.fit(x, y, 4, verbose=0, shuffle=False, tbptt=3)


def test_a_sum_of_finite_gradients():
    """Each step's gradient is finite; the step at which their sum no longer is has no single sample to blame."""
    model = model_of(SimpleRNN(H, return_sequences=True, use_bias=False, activation="linear"), Steep())
    model.build()
    model.layers[0].set_weights([w * 0 for w in model.layers[0].get_weights()])
    text = raised(model, np.full((4, T, F), 1.5), np.zeros((4, T, H)))
    assert "that of simple_rnn/kernel, time step 0, candidate h;" in text
