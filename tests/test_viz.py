"""What lw.viz finds, against the float64 references, plain numpy and predict."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.layers import (
    GRU,
    LSTM,
    Attention,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    GaussianNoise,
    Input,
    Masking,
    MultiHeadAttention,
    SimpleRNN,
)
from latchwork.models import Model, Sequential
from latchwork.viz.running import at_rest, input_gradients
from reference.elman import Elman
from reference.gru import GruResetAfter, GruResetBefore
from reference.lstm import Lstm

B, T, F, H = 4, 6, 3, 5
NOISE = np.random.default_rng(0)
X = NOISE.normal(size=(B, T, F))
CELLS = {
    "lstm": (LSTM, {}, Lstm, "ifgohc"),
    "lstm, other activations": (
        LSTM,
        {"activation": "softsign", "recurrent_activation": "hard_sigmoid"},
        Lstm,
        "ifgohc",
    ),
    "gru": (GRU, {}, GruResetAfter, "zrnh"),
    "gru, gates relu": (GRU, {"recurrent_activation": "relu"}, GruResetAfter, "zrnh"),
    "gru, reset before": (GRU, {"reset_after": False, "recurrent_activation": "hard_sigmoid"}, GruResetBefore, "zrnh"),
    "rnn": (SimpleRNN, {}, Elman, "h"),
}


def randomised(model):
    """All weights, biases too, away from what initializers give."""
    model.set_weights([NOISE.normal(size=w.shape) * 0.6 for w in model.get_weights()])
    return model


def model_of(layer, *behind, dtype="float64"):
    return randomised(Sequential([Input((None, F)), layer, *behind], dtype=dtype))


def reference_of(layer, kind):
    """The naive cell with the layer's weights."""
    kernel, recurrent_kernel, bias = layer.get_weights()
    names = {"activation": layer.activation}
    if hasattr(layer, "recurrent_activation"):
        names["recurrent_activation"] = layer.recurrent_activation
    return kind(kernel, recurrent_kernel, bias, **names)


def walked(cell, x):
    """By letter what a naive cell computes of one sequence, and its tapes."""
    state = tuple(np.zeros(len(cell.parameters[1])) for _ in range(cell.states))
    found, tapes = {}, []
    for row in x:
        before = state
        state, tape = cell.step(row, state)
        tapes.append(tape)
        values = dict(zip("hc", state, strict=False))
        if isinstance(cell, Lstm):
            values |= dict(
                zip("ifgo", (cell.s(tape[3]), cell.s(tape[4]), cell.a(tape[5]), cell.s(tape[6])), strict=True)
            )
        elif not isinstance(cell, Elman):
            zn = tape[4]
            values |= {"z": cell.s(tape[2]), "r": cell.s(tape[3]), "n": cell.a(zn)}
            assert np.allclose(state[0], values["z"] * before[0] + (1 - values["z"]) * values["n"])
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(value) for name, value in found.items()}, tapes


@pytest.mark.parametrize("name", CELLS)
def test_gates_are_those_of_the_reference(name):
    kind, options, cell, letters = CELLS[name]
    layer = kind(H, return_sequences=True, **options)
    model = model_of(layer)
    seen = lw.viz.gates(model, X, sample=2)
    expected, _ = walked(reference_of(layer, cell), X[2])
    assert "".join(seen.values) == letters
    assert set(seen.labels) == set(letters)
    for letter, values in seen.values.items():
        assert values.shape == (T, H)
        np.testing.assert_allclose(values, expected[letter], rtol=1e-12, atol=1e-13, err_msg=letter)
    assert (seen.values["h"] == model.predict(X)[2]).all()
    assert (seen.x == X[2]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gates_have_the_bits_of_the_core(dtype):
    """o * tanh(c) is one rounding, so a gate that is off by a bit would show."""
    model = model_of(LSTM(50, return_sequences=True), dtype=dtype)
    seen = lw.viz.gates(model, X, "lstm").values
    assert seen["o"].dtype == dtype
    tanh = lw._core.activation("tanh", np.ascontiguousarray(seen["c"]))
    assert (seen["o"] * tanh == seen["h"]).all()
    assert (seen["h"] == model.predict(X)[0]).all()


def test_a_layer_without_bias():
    layer = GRU(H, use_bias=False, return_sequences=True)
    model = model_of(layer)
    kernel, recurrent_kernel = layer.get_weights()
    expected, _ = walked(GruResetAfter(kernel, recurrent_kernel, np.zeros((2, 3 * H))), X[0])
    np.testing.assert_allclose(lw.viz.gates(model, X).values["n"], expected["n"], rtol=1e-12)


def test_gates_of_masked_steps():
    x = X.copy()
    x[1, [0, 3]] = -9
    layer = LSTM(H, return_sequences=True)
    model = randomised(Sequential([Masking(-9, input_shape=(None, F)), layer], dtype="float64"))
    seen = lw.viz.gates(model, x, sample=1)
    assert seen.real.tolist() == [False, True, True, False, True, True]
    expected, _ = walked(reference_of(layer, Lstm), x[1, seen.real])
    for letter in "ifgo":
        assert np.isnan(seen.values[letter][~seen.real]).all()
        np.testing.assert_allclose(seen.values[letter][seen.real], expected[letter], rtol=1e-12)
    assert (seen.values["h"] == model.predict(x)[1]).all()


def test_gates_of_a_ragged_and_of_a_layer_that_reads_backwards():
    ragged = lw.Ragged.from_list([X[0, :4], X[1], X[2, :2]])
    layer = GRU(H, go_backwards=True, return_sequences=True)
    model = model_of(layer)
    for i, sequence in enumerate(ragged):
        seen = lw.viz.gates(model, ragged, sample=i)
        expected, _ = walked(reference_of(layer, GruResetAfter), sequence[::-1])
        np.testing.assert_allclose(seen.values["r"], expected["r"][::-1], rtol=1e-12)


def test_gates_of_both_directions_and_of_a_stack():
    double = Bidirectional(LSTM(H, return_sequences=True))
    model = model_of(GRU(H, return_sequences=True), double)
    y, ahead = model.predict(X), lw.viz.gates(model, X, double, sample=3)
    back = lw.viz.gates(model, X, "bidirectional", sample=3, direction="backward")
    assert (np.concatenate([ahead.values["h"], back.values["h"]], axis=-1) == y[3]).all()
    assert (ahead.x == lw.viz.gates(model, X, sample=3).values["h"]).all()


def test_initial_states_of_a_graph():
    series, start = Input((None, F), name="series"), Input((H,), name="start")
    y = GRU(H, return_sequences=True)(series, initial_state=[start])
    model = randomised(Model([series, start], y, dtype="float64"))
    given = {"series": X, "start": NOISE.normal(size=(B, H))}
    assert (lw.viz.gates(model, given, sample=1).values["h"] == model.predict(given)[1]).all()


def test_initial_states_of_both_directions():
    series, *starts = Input((None, F)), *(Input((H,)) for _ in range(4))
    y = Bidirectional(LSTM(H, return_sequences=True))(series, initial_state=starts)
    model = randomised(Model([series, *starts], y, dtype="float64"))
    given = [X, *NOISE.normal(size=(4, B, H))]
    halves = [lw.viz.gates(model, given, direction=way).values["h"] for way in ("forward", "backward")]
    assert (np.concatenate(halves, axis=-1) == model.predict(given)[0]).all()


def test_half_life_and_saturation():
    model = model_of(LSTM(H))
    f = np.concatenate([lw.viz.gates(model, X, sample=i).values["f"] for i in range(B)])
    found = lw.viz.half_life(model, X)
    assert (found.gate, found.length, found.layer) == ("f", T, "lstm")
    np.testing.assert_allclose(found.mean, f.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.mean**found.steps, 0.5)
    share = lw.viz.saturation(model, X)
    assert share.count == B * T
    np.testing.assert_allclose(share.low["f"], (f < 0.1).mean(axis=0))
    np.testing.assert_allclose(share.high["f"], (f > 0.9).mean(axis=0))
    assert 0 < share.low["f"].mean() < 1


def test_half_life_of_gates_at_their_ends():
    layer = GRU(2, recurrent_activation="hard_sigmoid")
    model = model_of(layer)
    layer.set_weights([np.zeros((F, 6)), np.zeros((2, 6)), np.array([[9.0, -9, 0, 0, 0, 0], [0.0] * 6])])
    assert lw.viz.half_life(model, X).steps.tolist() == [np.inf, 0.0]


def test_many_samples_are_read_some_at_once(monkeypatch):
    model = model_of(LSTM(H))
    whole = lw.viz.half_life(model, X).mean
    monkeypatch.setattr("latchwork.viz.steps.ROWS_AT_ONCE", 3)
    np.testing.assert_allclose(lw.viz.half_life(model, X).mean, whole, rtol=1e-14)


# ---- gradients ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_gradient_norms_are_those_of_the_reference(name):
    kind, options, cell, _ = CELLS[name]
    layer = kind(H, **options)
    model = model_of(layer, Dense(1))
    model.compile(loss="mse")
    y = NOISE.normal(size=(B, 1))
    found = lw.viz.gradient_norms(model, X, y)
    assert found.loss == pytest.approx(model.evaluate(X, y, verbose=0), rel=1e-12)
    weights = model.layers[1].get_weights()[0][:, 0]
    error = model.predict(X) - y
    for i in range(B):
        naive = reference_of(layer, cell)
        _, tapes = walked(naive, X[i])
        state = tuple(np.zeros(H) for _ in range(naive.states))
        state = (2 / B * error[i, 0] * weights, *state[1:])
        for t in reversed(range(T)):
            for letter, gradient in zip("hc", state, strict=False):
                np.testing.assert_allclose(found.norms[letter][i, t], np.linalg.norm(gradient), rtol=1e-10)
            dx, state = naive.step_backward(tapes[t], state)
            np.testing.assert_allclose(found.norms["x"][i, t], np.linalg.norm(dx), rtol=1e-10)


def norms_of_x(model, x, y):
    """Of dx by one backward pass over all steps."""
    with at_rest(model, x, "test"):
        rows, targets = model._pair(x, y, "test")
        output, mask, contexts = model._run(rows, True, None)
        _, _, gradient = model._compiled.step(targets, output, mask)
        [dx] = input_gradients(model, contexts, gradient)
    return [np.linalg.norm(row, axis=-1) for row in dx]


RAGGED = lw.Ragged.from_list([X[0, :4], X[1], X[2, :2], X[3, :5]])
HOLES = X.copy()
HOLES[0, 4:] = HOLES[1, :2] = HOLES[2, [1, 3, 5]] = -9
RAGGED_HOLES = lw.Ragged.from_list([HOLES[0], HOLES[2, :5], HOLES[3, :2], HOLES[1, 1:]])


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("x", [X, RAGGED, HOLES, RAGGED_HOLES], ids=["array", "ragged", "masked", "ragged and masked"])
def test_gradients_of_x_are_those_of_one_pass(x, backwards, zero, sequences):
    """Whatever the layout, the loop over steps finds what backward over all of them gives."""
    layer = LSTM(H, go_backwards=backwards, return_sequences=sequences, zero_output_for_mask=zero)
    front = [Masking(-9, input_shape=(None, F))] if x is HOLES or x is RAGGED_HOLES else [Input((None, F))]
    model = randomised(Sequential([*front, layer, Dense(2)], dtype="float64"))
    model.compile(loss="mse")
    output = model.predict(x)
    y = lw.Ragged(np.zeros_like(output.values), output.offsets) if isinstance(output, lw.Ragged) else output * 0
    found = lw.viz.gradient_norms(model, x, y).norms["x"]
    whole = norms_of_x(model, x, y)
    for row, expected in zip(found, whole, strict=True):
        real = np.isfinite(row)
        np.testing.assert_allclose(row[real], expected[: len(row)][real[: len(expected)]], rtol=1e-10)
    assert sum((expected > 0).any() for expected in whole) >= 2
    rows = x.values if isinstance(x, lw.Ragged) else x
    assert np.isfinite(found).sum() == (rows[..., 0] != -9).sum()


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave"])
@pytest.mark.parametrize("sequences", [True, False])
def test_gradients_of_one_direction(mode, sequences):
    """dx of a Bidirectional is the sum of both directions'; with one feature norms are that but for signs."""
    x = X[:1, :, :1]
    double = Bidirectional(GRU(H, return_sequences=sequences), merge_mode=mode)
    model = randomised(Sequential([Input((None, 1)), double, Dense(1)], dtype="float64"))
    model.compile(loss="mse")
    y = model.predict(x) * 0
    ahead, back = (
        lw.viz.gradient_norms(model, x, y, direction=direction).norms["x"][0] for direction in ("forward", "backward")
    )
    [whole] = norms_of_x(model, x, y)
    near = np.minimum(np.abs(whole - (ahead + back)), np.abs(whole - np.abs(ahead - back)))
    assert near.max() < 1e-12
    assert (ahead != back).all()


def test_gradients_through_a_state_handed_over():
    """The encoder is felt through its final states alone."""
    source, queries = Input((None, F), name="source"), Input((None, F), name="queries")
    _, h, c = LSTM(H, return_state=True, name="encoder")(source)
    y = Dense(1)(LSTM(H, name="decoder")(queries, initial_state=[h, c]))
    model = randomised(Model([source, queries], y, dtype="float64"))
    model.compile(loss="mse")
    given, target = [X, X[::-1].copy()], np.ones((B, 1))
    found = lw.viz.gradient_norms(model, given, target, "encoder")
    with at_rest(model, given, "test"):
        rows, targets = model._pair(given, target, "test")
        output, mask, contexts = model._run(rows, True, None)
        dx, _ = input_gradients(model, contexts, model._compiled.step(targets, output, mask)[2])
    np.testing.assert_allclose(found.norms["x"], np.linalg.norm(dx, axis=-1), rtol=1e-10)


def test_a_layer_that_does_not_learn_has_gradients_too():
    model = model_of(LSTM(H, trainable=False), Dense(1))
    model.compile(loss="mse")
    assert (lw.viz.gradient_norms(model, X, np.ones(B)).norms["h"] > 0).all()
    assert model.layers[0].trainable is False


# ---- integrated gradients -----------------------------------------------------------------------------------------


def slopes(model, x, step=1e-5):
    """The gradient of the sum of outputs with respect to x, by differences."""
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        found[place] = (model.predict(up).sum() - model.predict(down).sum()) / (2 * step)
    return found


def test_integrated_gradients_are_the_integral():
    model = model_of(LSTM(H), Dense(1))
    base = NOISE.normal(size=X.shape)
    found = lw.viz.integrated_gradients(model, X, base, nodes=30)
    ways = (np.arange(60) + 0.5) / 60
    expected = (X - base) * np.mean([slopes(model, base + way * (X - base)) for way in ways], axis=0)
    np.testing.assert_allclose(found.values, expected, atol=2e-4)
    assert np.abs(found.values).max() > 0.1
    assert (found.output == model.predict(X)[:, 0]).all()
    assert (found.baseline_output == model.predict(base)[:, 0]).all()
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)), found.output - found.baseline_output, atol=1e-9)
    np.testing.assert_allclose(found.gap, 0, atol=1e-9)


def test_integrated_gradients_of_a_linear_model_are_exact():
    model = randomised(Sequential([Dense(2, input_shape=(F,))], dtype="float64"))
    found = lw.viz.integrated_gradients(model, X[:, 0], target=1, nodes=1)
    np.testing.assert_allclose(found.values, X[:, 0] * model.get_weights()[0][:, 1], rtol=1e-12)
    assert found.target == (1,)


def test_integrated_gradients_of_several_inputs_and_outputs():
    series, table = Input((None, F), name="series"), Input((2,), name="table")
    both = Concatenate()([Bidirectional(GRU(H))(series), table])
    model = randomised(Model([series, table], [Dense(1, name="a")(both), Dense(3, name="b")(both)], dtype="float64"))
    given = {"series": X, "table": X[:, 0, :2]}
    found = lw.viz.integrated_gradients(model, given, output="b", target=2)
    assert {name: values.shape for name, values in found.values.items()} == {"series": X.shape, "table": (B, 2)}
    np.testing.assert_allclose(found.values["table"], X[:, 0, :2] * model.get_weights()[-2][-2:, 2], rtol=1e-12)
    assert (found.output == model.predict(given)[1][:, 2]).all()


def test_integrated_gradients_of_an_input_that_is_read_twice():
    series = Input((None, F))
    model = Model(series, Dense(1)(Concatenate()([LSTM(H)(series), GRU(H)(series)])), dtype="float64")
    found = lw.viz.integrated_gradients(randomised(model), X)
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)), found.output - found.baseline_output, atol=1e-9)


def test_integrated_gradients_of_a_ragged():
    model = model_of(GRU(H), Dense(1))
    found = lw.viz.integrated_gradients(model, RAGGED)
    assert isinstance(found.values, lw.Ragged)
    for i, sequence in enumerate(RAGGED):
        alone = lw.viz.integrated_gradients(model, sequence[None])
        assert (found.values[i] == alone.values[0]).all()


def test_the_model_is_looked_at_as_it_predicts_and_left_as_it_was():
    layers = [
        Input((None, F)), Dropout(0.5), GRU(H, return_sequences=True, stateful=True), BatchNormalization(),
        GaussianNoise(1.0), LSTM(H), Dense(1),
    ]  # fmt: skip
    model = Sequential(layers, dtype="float64")
    model.compile(loss="mse")
    model.train_on_batch(X, np.ones(B))
    weights, gradients = model.get_weights(), model._arena.grads.copy()
    carried = {number: [state.copy() for state in states] for number, states in model._carried.held().items()}
    found = lw.viz.integrated_gradients(model, X)
    lw.viz.gates(model, X)
    norms = lw.viz.gradient_norms(model, X, np.ones(B), "lstm")
    assert not any(layer.passing.still for layer in model.layers)
    assert carried
    assert all((state == before).all() for number, states in carried.items()
               for state, before in zip(model._carried.held()[number], states, strict=True))  # fmt: skip
    assert (model._arena.grads == gradients).all()
    for before, after in zip(weights, model.get_weights(), strict=True):
        assert (before == after).all()
    assert not any("_advance" in vars(layer) for layer in model.layers)
    model.reset_states()
    assert norms.loss == pytest.approx(model.evaluate(X, np.ones(B), verbose=0), rel=1e-12)
    model.reset_states()
    np.testing.assert_allclose(found.output, model.predict(X)[:, 0], rtol=1e-12)


def test_an_error_leaves_the_model_as_it_was():
    model = Sequential([Dropout(0.5, input_shape=(None, F)), LSTM(H), Dense(2)])
    with pytest.raises(ValueError, match="target must say which"):
        lw.viz.integrated_gradients(model, X)
    assert not model.layers[0].passing.still
    model.compile(loss="mse")
    model.train_on_batch(X, np.ones((B, 2)))


# ---- data forms of forecasts and classes --------------------------------------------------------------------------


def test_fan():
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    values = np.array([[1.0, 2, 3, 4, 5], [1, 2, 3, 2.5, 6]])
    found = lw.viz.fan(values, levels)
    assert [share for share, _, _ in found.bands] == [0.9, 0.5]
    assert found.bands[0][1].tolist() == [1, 1]
    assert found.bands[0][2].tolist() == [5, 6]
    assert found.bands[1][2].tolist() == [4, 2.5]
    assert found.middle.tolist() == [3, 3]
    assert found.crossings == 1
    assert lw.viz.fan(values[:, :2], levels[:2]).middle is None


def test_calibration():
    truth = NOISE.normal(size=(50, 4))
    truth[3, 2] = np.nan
    quantiles = np.stack([np.full((50, 4), -0.5), truth * 0 + 0.7], axis=-1)
    quantiles[3, 2] = 9
    found = lw.viz.calibration(truth, quantiles, [0.3, 0.8])
    there = truth[np.isfinite(truth)]
    assert found.count == 199
    assert found.below.tolist() == [(there < -0.5).sum(), (there < 0.7).sum()]
    assert found.shares.tolist() == [below / 199 for below in found.below]
    one = lw.viz.calibration([[1.0], [2.0]], [[1.5], [1.5]], [0.5])
    assert one.below.tolist() == [1]


def test_confusion_matrix():
    truth, guess = NOISE.integers(0, 4, 200), NOISE.integers(0, 3, 200)
    found = lw.viz.confusion_matrix(truth, guess)
    expected = [[int(((truth == i) & (guess == j)).sum()) for j in range(4)] for i in range(4)]
    assert found.counts.tolist() == expected
    assert found.accuracy == (truth == guess).mean()
    scores = np.eye(4)[guess] * 0.4 + 0.1
    for given in (truth, truth[:, None], np.eye(4)[truth], truth.astype(float)):
        assert lw.viz.confusion_matrix(given, scores).counts.tolist() == expected
    assert lw.viz.confusion_matrix(truth[:, None], guess[:, None]).counts.tolist() == expected
    assert lw.viz.confusion_matrix(truth.reshape(20, 10), scores.reshape(20, 10, 4)).counts.tolist() == expected
    assert lw.viz.confusion_matrix([0], [0], names=["a", "b", "c"]).counts.shape == (3, 3)


# ---- attention ----------------------------------------------------------------------------------------------------


LOOKS = np.random.default_rng(3)


def looking(layer, *, twice=False, **options):
    """Queries and values [N, T, F] of their own lengths; of values, steps of zeros are masked."""
    queries, values = Input((None, F)), Input((None, F))
    outputs = layer([queries, Masking()(values)])
    if twice:
        outputs = Concatenate()([outputs, layer([queries, values])])
    return Model([queries, values], outputs, **options)


@pytest.mark.parametrize(
    "make",
    [lambda **o: Attention(dropout=0.5, **o), lambda **o: MultiHeadAttention(2, 3, name="heads", **o)],
    ids=["dot", "multi-head"],
)
def test_attention_is_what_the_layer_returns(make):
    values = LOOKS.normal(size=(B, 8, F))
    values[1, 5:] = 0
    model, telling = looking(make()), looking(make(return_attention_scores=True))
    model.predict([X, values])
    model.set_weights(weights := [LOOKS.normal(size=w.shape) for w in model.get_weights()])
    before = model.predict([X, values])
    telling.predict([X, values])
    telling.set_weights(weights)
    _, expected = telling.predict([X, values])
    for sample in range(B):
        seen = lw.viz.attention(model, [X, values], sample=sample)
        assert (seen.weights == expected[sample].reshape(-1, T, 8)).all()
    assert (lw.viz.attention(model, [X, values], sample=1).weights[:, :, 5:] == 0).all()
    assert (model.predict([X, values]) == before).all()


def test_attention_of_a_ragged():
    """As long as that sample's own sequences."""
    queries, values = (
        lw.Ragged.from_list([LOOKS.normal(size=(n, F)) for n in lengths]) for lengths in ((2, 4), (3, 1))
    )
    model = looking(Attention())
    seen = lw.viz.attention(model, [queries, values], "attention", sample=0).weights
    assert (seen == lw.viz.attention(model, [queries[0][None], values[0][None]]).weights).all()
    assert seen.shape == (1, 2, 3)


# ---- errors -------------------------------------------------------------------------------------------------------


def two_calls():
    given, layer = Input((None, F)), LSTM(H)
    return Model(given, Concatenate()([layer(given), layer(given)]))


def compiled(*layers):
    model = Sequential([Input((None, F)), *layers])
    model.compile(loss="mse")
    return model


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lw.viz.gates("model", X), "gates: model must be a Sequential or a Model, got str"),
        (lambda: lw.viz.gates(compiled(LSTM(H)), X, "gru"), r"layer must be one of sequential's \(lstm\), got 'gru'"),
        (lambda: lw.viz.gates(compiled(LSTM(H), Dense(1)), X, "dense"), "must be an LSTM, GRU or SimpleRNN"),
        (lambda: lw.viz.gates(compiled(Dense(1)), X), "there is none"),
        (lambda: lw.viz.gates(compiled(LSTM(H)), X, sample=B), r"sample must be a whole number within \[0, 4\), got 4"),
        (lambda: lw.viz.gates(compiled(LSTM(H)), X, direction="backward"), "direction is for a Bidirectional"),
        (lambda: lw.viz.gates(compiled(Bidirectional(LSTM(H))), X, direction="up"), "must be 'forward' or 'backward'"),
        (lambda: lw.viz.gates(compiled(LSTM(H)), X[:, :0]), "x must have at least one step"),
        (lambda: lw.viz.gates(two_calls(), X), "called 2 times"),
        (lambda: lw.viz.attention(compiled(LSTM(H)), X), r"attention layers \(there is none\), got None"),
        (lambda: lw.viz.attention(looking(Attention()), [X, X], "lstm"), r"attention layers \(attention\), got 'lstm'"),
        (lambda: lw.viz.attention(looking(Attention()), [X, X], sample=B), r"within \[0, 4\), got 4"),
        (lambda: lw.viz.attention(looking(Attention(), twice=True), [X, X]), "called 2 times"),
        (
            lambda: lw.viz.half_life(compiled(SimpleRNN(H)), X),
            "must have a forget or update gate, 'simple_rnn' has none",
        ),
        (
            lambda: lw.viz.half_life(compiled(LSTM(H, recurrent_activation="tanh")), X),
            r"f of 'lstm' must be within \[0, 1\]",
        ),
        (lambda: lw.viz.half_life(compiled(LSTM(H)), X[:0]), "at least one real step"),
        (lambda: lw.viz.saturation(compiled(SimpleRNN(H)), X), "must have gates, 'simple_rnn' has none"),
        (lambda: lw.viz.gradient_norms(Sequential([LSTM(H)]), X, X), "gradient_norms needs a loss"),
        (lambda: lw.viz.gradient_norms(compiled(LSTM(H)), X, X), "y"),
        (lambda: lw.viz.integrated_gradients(compiled(LSTM(H)), X, target=H), r"target must be an index .*got 5"),
        (lambda: lw.viz.integrated_gradients(compiled(LSTM(H)), X, target=0, output="b"), "output must be one of lstm"),
        (lambda: lw.viz.integrated_gradients(compiled(LSTM(1)), X, nodes=0), "nodes must be"),
        (lambda: lw.viz.integrated_gradients(compiled(LSTM(1)), X, tolerance=0), "tolerance must be above 0"),
        (lambda: lw.viz.integrated_gradients(compiled(LSTM(1)), X, X[:1]), r"baseline must have the form of x"),
        (
            lambda: lw.viz.integrated_gradients(Sequential([Embedding(9, 2), LSTM(1)]), np.ones((2, 3))),
            "'embedding' reads",
        ),
        (lambda: lw.viz.fan([[1.0]], [1.0]), r"fan: levels must rise within \(0, 1\)"),
        (lambda: lw.viz.fan([1.0], [0.5]), r"quantiles must be \[T, 1\], got shape \(1,\)"),
        (lambda: lw.viz.calibration([1.0], [[1.0], [2.0]], [0.5]), r"y_true must be \(2,\), got shape \(1,\)"),
        (lambda: lw.viz.calibration([np.nan], [[1.0]], [0.5]), "at least one number"),
        (lambda: lw.viz.confusion_matrix([0, 1], [0]), "y_pred must be class numbers like y_true"),
        (lambda: lw.viz.confusion_matrix([0.5], [0]), "y_true must be class numbers"),
        (lambda: lw.viz.confusion_matrix([0], [-1]), "y_pred must be class numbers 0"),
        (lambda: lw.viz.confusion_matrix([2], [0], names="ab"), "names must be of 3 classes, got 2"),
    ],
)
def test_bad_arguments(call, message):
    lw.set_seed(0)  # whether a gate of tanh falls below 0 hangs on the weights
    with pytest.raises(ValueError, match=message):
        call()


def test_a_sum_that_is_off_is_an_error():
    model = model_of(LSTM(H), Dense(1))
    model.set_weights([w * 5 for w in model.get_weights()])
    with pytest.raises(ValueError, match=r"must add up to .*give more than 2 nodes"):
        lw.viz.integrated_gradients(model, X * 3, nodes=2)
    with pytest.raises(ValueError, match="must add up to nan"):
        lw.viz.integrated_gradients(model, X * np.nan)
    gap = lw.viz.integrated_gradients(model, X * 3, nodes=2, tolerance=None).gap
    assert np.abs(gap).max() > 1e-2
    assert np.abs(lw.viz.integrated_gradients(model, X * 3, nodes=400, tolerance=1e-2).gap).max() < 1e-2
