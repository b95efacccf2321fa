"""Model: graphs against rows of layers, against numpy, and their gradients against differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import latchwork as lw
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Add,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    LSTMCell,
    Masking,
    Multiply,
    RepeatVector,
    SimpleRNN,
    StackedRNNCells,
    Subtract,
    TimeDistributed,
)
from latchwork.models import Model, Sequential

RNG = np.random.default_rng(3)


def rows_of(stack, shape):
    """The same layers as a row and as a graph, with the same first weights."""
    models = []
    for kind in (Sequential, Model):
        lw.set_seed(7)
        layers = stack()
        if kind is Sequential:
            models.append(Sequential([Input(shape), *layers]))
            continue
        symbol = x = Input(shape)
        for layer in layers:
            symbol = layer(symbol)
        models.append(Model(x, symbol))
    return models


def equal(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


T, F = 6, 3
STACKS = {
    "tutorial": lambda: [LSTM(5), Dense(1)],
    "deep": lambda: [GRU(4, return_sequences=True), SimpleRNN(3, return_sequences=True), LSTM(4), Dense(2)],
    "dropout": lambda: [Dropout(0.3), LSTM(5, return_sequences=True), Dropout(0.5), GRU(4), Dense(1)],
    "masked": lambda: [Masking(0.0), LSTM(5, return_sequences=True), Dense(2)],
    "both ways": lambda: [Bidirectional(LSTM(3, return_sequences=True)), TimeDistributed(Dense(4)), GRU(2)],
    "stacked cells": lambda: [RNN([LSTMCell(3), LSTMCell(4)]), Dense(1)],
    "repeated": lambda: [LSTM(3), RepeatVector(4), GRU(3, return_sequences=True), Activation("tanh")],
    "flat": lambda: [Flatten(), Dense(3, activation="relu"), Dense(1)],
    "stateful": lambda: [LSTM(4, stateful=True), Dense(1)],
    "frozen": lambda: [LSTM(4, trainable=False), Dense(3), Dense(1)],
}


@pytest.mark.parametrize("name", STACKS)
def test_a_row_of_layers_has_the_bits_of_sequential(name):
    row, graph = rows_of(STACKS[name], (T, F))
    x = RNG.normal(size=(37, T, F))
    x[RNG.random((37, T)) < 0.3] = 0
    assert equal(row.get_weights(), graph.get_weights())
    y = row.predict(x)
    np.testing.assert_array_equal(y, graph.predict(x))
    histories = []
    for model in (row, graph):
        lw.set_seed(11)
        model.reset_states()
        model.compile("adam", "mse", metrics=["mae"])
        found = model.fit(x, np.zeros_like(y), batch_size=8, epochs=3, verbose=0, validation_split=0.2)
        histories.append((found.history, model.evaluate(x, np.zeros_like(y), verbose=0)))
    assert histories[0] == histories[1]
    assert equal(row.get_weights(), graph.get_weights())
    assert [v.name for v in row.variables] == [v.name for v in graph.variables]


@settings(max_examples=25)
@given(st.data())
def test_random_rows(data):
    def stack():
        return [kind() for kind in kinds]

    kinds = data.draw(
        st.lists(
            st.sampled_from([
                lambda: LSTM(3, return_sequences=True), lambda: GRU(2, return_sequences=True), lambda: Dense(4),
                lambda: Dropout(0.25), lambda: Activation("tanh"), lambda: Masking(0.0),
                lambda: Bidirectional(SimpleRNN(2, return_sequences=True)),
            ]),
            min_size=1,
            max_size=5,
        )
    )  # fmt: skip
    row, graph = rows_of(stack, (None, F))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    lengths = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    x = lw.Ragged.from_list([rng.normal(size=(n, F)).astype(np.float32) for n in lengths])
    y = row.predict(x)
    np.testing.assert_array_equal(y.values, graph.predict(x).values)
    if sum(lengths) and row.variables:
        for model in (row, graph):
            model.compile("sgd", "mse")
            model.fit(x, lw.Ragged(np.ones_like(y.values), y.offsets), epochs=2, batch_size=4, verbose=0)
        assert equal(row.get_weights(), graph.get_weights())


# ---- against numpy --------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.data())
def test_random_graphs(data):
    """Graphs of Dense and merging layers in float64, beside the same formulas in numpy."""
    count = data.draw(st.integers(1, 3))
    symbols = [Input((4,), dtype="float64") for _ in range(count)]
    arrays = [RNG.normal(size=(5, 4)) for _ in range(count)]
    inputs, given_arrays = symbols[:], arrays[:]
    later = []  # weights are known once the model is built
    shared = Dense(4, activation="tanh")
    for _ in range(data.draw(st.integers(1, 6))):
        kind = data.draw(st.sampled_from(["dense", "shared", "add", "multiply", "subtract"]))
        i, j = (data.draw(st.integers(0, len(symbols) - 1)) for _ in range(2))
        if kind in ("dense", "shared"):
            layer = shared if kind == "shared" else Dense(4)
            symbols.append(layer(symbols[i]))
            later.append((layer, i, None))
        else:
            merge = {"add": Add, "multiply": Multiply, "subtract": Subtract}[kind]()
            symbols.append(merge([symbols[i], symbols[j]]))
            later.append((kind, i, j))
    total = Add()([*symbols, symbols[-1]])  # every input, and one array twice
    model = Model(inputs, [total, symbols[-1]])
    found = model.predict(given_arrays)
    for what, i, j in later:
        a = arrays[i]
        if j is None:
            kernel, bias = what.get_weights()
            y = a @ kernel + bias
            arrays.append(np.tanh(y) if what is shared else y)
        else:
            b = arrays[j]
            arrays.append({"add": a + b, "multiply": a * b, "subtract": a - b}[what])
    scale = max(np.abs(each).max() for each in arrays)
    np.testing.assert_allclose(found[1], arrays[-1], rtol=1e-12, atol=1e-13 * scale)
    np.testing.assert_allclose(found[0], sum(arrays) + arrays[-1], rtol=1e-12, atol=1e-12 * scale)


def losses_of(model, x, y):
    return model.evaluate(x, y, verbose=0, return_dict=True)["loss"]


def check_gradients(model, x, y, eps=1e-5):
    """One step of plain descent changes each weight by the gradient; compared with central differences."""
    before = model.get_weights()
    expected = []
    for i, weight in enumerate(before):
        gradient = np.zeros_like(weight)
        for at in np.ndindex(weight.shape):
            sides = []
            for step in (eps, -eps):
                moved = [w.copy() for w in before]
                moved[i][at] += step
                model.set_weights(moved)
                sides.append(losses_of(model, x, y))
            gradient[at] = (sides[0] - sides[1]) / (2 * eps)
        expected.append(gradient)
    model.set_weights(before)
    model.train_on_batch(x, y)
    for old, new, gradient in zip(before, model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(old - new, gradient, rtol=2e-6, atol=2e-9)


def shared_layer():
    a, b = Input((None, 2), dtype="float64", name="a"), Input((None, 2), name="b")
    lstm = LSTM(3)
    return Model([a, b], Dense(1)(Subtract()([lstm(a), lstm(b)]))), [(4, 5, 2), (4, 3, 2)], [(4, 1)]


def encoder_decoder():
    source, target = Input((None, 2), dtype="float64"), Input((None, 3))
    _, h, c = LSTM(3, return_state=True)(source)
    y = LSTM(3, return_sequences=True)(target, initial_state=[h, c])
    return Model([source, target], Dense(2)(y)), [(3, 4, 2), (3, 5, 3)], [(3, 5, 2)]


def states_through_both_ways():
    x = Input((None, 2), dtype="float64")
    y, h, back = Bidirectional(GRU(2, return_sequences=True, return_state=True))(x)
    joined = Concatenate()([h, back])
    z, last = RNN(StackedRNNCells([LSTMCell(2)]), return_state=True)(y)[:2]
    return Model(x, [Dense(1)(Concatenate()([joined, z])), last]), [(2, 4, 2)], [(2, 1), (2, 2)]


def two_halves():
    x = Input((None, 2), dtype="float64")
    ahead, back = Bidirectional(SimpleRNN(2, return_sequences=True), merge_mode=None)(x)
    return Model(x, Multiply()([ahead, back])), [(2, 3, 2)], [(2, 3, 2)]


def skip_and_tasks():
    x = Input((3, 2), dtype="float64")
    h = GRU(2, return_sequences=True)(x)
    both = Add()([h, x])
    return Model(x, [Dense(1)(both), Dense(2)(Flatten()(both)), h]), [(3, 3, 2)], [(3, 3, 1), (3, 2), (3, 3, 2)]


GRAPHS = [shared_layer, encoder_decoder, states_through_both_ways, two_halves, skip_and_tasks]


@pytest.mark.parametrize("make", GRAPHS)
def test_gradients(make):
    model, inputs, outputs = make()
    x, y = ([RNG.normal(size=shape) for shape in shapes] for shapes in (inputs, outputs))
    weights = [1.0, 0.3, 2.0][: len(y)]
    model.compile(lw.optimizers.SGD(1.0), "mse", loss_weights=weights)
    check_gradients(model, x, y)


@pytest.mark.parametrize("make", GRAPHS)
def test_one_answer(make):
    """Any batch, any threads: the same bits, of outputs and trained weights."""
    found = []
    for threads in (1, 2):
        lw.set_seed(1)
        lw.set_num_threads(threads)
        model, inputs, outputs = make()
        rng = np.random.default_rng(0)
        x, y = ([rng.normal(size=(50, *shape[1:])) for shape in shapes] for shapes in (inputs, outputs))
        model.compile("adam", "mse")
        model.fit(x, y, epochs=2, batch_size=16, verbose=0)
        whole, parts = model.predict(x), model.predict(x, batch_size=7)
        assert equal(*([each] if isinstance(each, np.ndarray) else each for each in (whole, parts)))
        found.append(model.get_weights())
    lw.set_num_threads(2)
    assert equal(*found)


def test_an_array_may_be_two_outputs():
    def weights(outputs):
        lw.set_seed(3)
        x = Input((2,), dtype="float64")
        y = Dense(1)(x)
        model = Model(x, [y] * outputs)
        assert model.output_names == ["dense", "dense_1"][:outputs]
        model.compile(lw.optimizers.SGD(0.1 if outputs == 2 else 0.2), "mse")
        model.train_on_batch(rows, [targets] * outputs)
        return model.get_weights()

    rows, targets = RNG.normal(size=(4, 2)), RNG.normal(size=(4, 1))
    for one, two in zip(weights(1), weights(2), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-14)


def test_states_as_inputs_and_outputs_go_step_by_step():
    lw.set_seed(1)
    x, h, c = Input((None, 2), name="x"), Input((3,), name="h"), Input((3,), name="c")
    model = Model([x, h, c], LSTM(3, return_sequences=True, return_state=True)(x, initial_state=[h, c]))
    assert model.output_names == ["lstm", "lstm_1", "lstm_2"]
    series, zero = RNG.normal(size=(4, 6, 2)), np.zeros((4, 3))
    whole = model.predict([series, zero, zero])
    states, steps = [zero, zero], []
    for t in range(6):
        y, *states = model.predict({"h": states[0], "c": states[1], "x": series[:, t : t + 1]})
        steps.append(y)
    np.testing.assert_array_equal(np.concatenate(steps, axis=1), whole[0])
    assert equal(states, whole[1:])
    assert model.explain(4, 6, measure=False).steps == 6


def test_validation_split_of_several_inputs():
    found = []
    for split in (True, False):
        model, inputs, outputs = shared_layer()
        rng = np.random.default_rng(0)
        x, y = ([rng.normal(size=(20, *shape[1:])) for shape in shapes] for shapes in (inputs, outputs))
        lw.set_seed(5)
        model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
        model.compile("adam", "mse")
        if split:
            history = model.fit(x, y, epochs=2, batch_size=4, verbose=0, validation_split=0.25)
        else:
            held_out = [part[15:] for part in x], [part[15:] for part in y]
            train = [part[:15] for part in x], [part[:15] for part in y]
            history = model.fit(*train, epochs=2, batch_size=4, verbose=0, validation_data=held_out)
        found.append(history.history)
    assert found[0] == found[1]


def test_a_shared_layer_is_one_set_of_parameters():
    model, *_ = shared_layer()
    assert model.count_params() == 4 * (2 * 3 + 3 * 3 + 3) + 4
    assert [layer.name for layer in model.layers] == ["lstm", "subtract", "dense"]


def test_trainable_ends_where_nothing_learns():
    model, _, _ = encoder_decoder()
    model.layers[1].trainable = model.layers[2].trainable = False
    x, y = [RNG.normal(size=(3, 4, 2)), RNG.normal(size=(3, 5, 3))], RNG.normal(size=(3, 5, 2))
    before = model.get_weights()
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [True] * 3 + [False] * 5  # through the states of frozen layers


# ---- masks, Ragged, dropout, embeddings ------------------------------------------------------------------------------


def two_branches(dtype="float32"):
    lw.set_seed(2)
    text, series = Input((None,), name="text"), Input((None, 2), name="series", dtype=dtype)
    words = GRU(3)(Embedding(9, 4, mask_zero=True)(text))
    values = LSTM(3, return_sequences=True)(Masking(0.0)(series))
    return Model([text, series], [Dense(1, name="score")(words), Dense(2, name="tags")(values)])


def test_padded_and_ragged_are_one_answer():
    model = two_branches()
    numbers = [RNG.integers(1, 9, size=(n, 1)) for n in (3, 5, 1)]
    series = [RNG.normal(size=(n, 2)) + 3 for n in (4, 2, 6)]
    ragged = [lw.Ragged.from_list(numbers), lw.Ragged.from_list(series)]
    padded = [ragged[0].to_padded()[..., 0], ragged[1].to_padded()]
    score, tags = model.predict(ragged)
    again, padded_tags = model.predict(padded)
    np.testing.assert_array_equal(score, again)
    assert isinstance(tags, lw.Ragged)
    for i, n in enumerate((4, 2, 6)):
        np.testing.assert_array_equal(tags[i], padded_tags[i, :n])
    results = []
    targets = [np.ones(3), lw.Ragged(np.ones_like(tags.values), tags.offsets)]
    for x, y in ((ragged, targets), (padded, [targets[0], np.ones_like(padded_tags)])):
        model = two_branches()
        model.compile("adam", {"score": "mse", "tags": "mae"}, metrics={"tags": ["mse"]})
        found = model.fit(x, y, batch_size=2, epochs=3, verbose=0)  # a masked step counts no more than a missing one
        results.append((found.history, [w.tolist() for w in model.get_weights()]))
    assert results[0] == results[1]


def test_a_shared_dropout_draws_anew_for_each_call():
    x, dropout = Input((50,)), Dropout(0.5, seed=1)
    first, second = dropout(x), dropout(x)
    model = Model(x, [first, second, Dense(1)(Add()([first, second]))])
    ones = np.ones((4, 50), np.float32)
    draws = [model._run(ones, True, step) for step in (0, 0, 1)]
    one, two = draws[0][0][:2]
    assert not np.array_equal(one, two)
    assert equal(draws[0][0], draws[1][0])
    assert not np.array_equal(one, draws[2][0][0])
    model._backward(draws[0][2], [one, two, None])  # nothing learns before them: runs, and asks for no gradient


def test_dropout_gradients_use_the_masks_of_their_calls():
    x = Input((8,), dtype="float64")
    dense, dropout = Dense(8, use_bias=False), Dropout(0.5, seed=3)
    h = dense(x)
    model = Model(x, Subtract()([dropout(h), dropout(h)]))
    model.build()
    rows = RNG.normal(size=(5, 8))
    y, _, contexts = model._run(rows, True, 0)
    dy = RNG.normal(size=y.shape)
    model._backward(contexts, dy)
    pre = rows @ dense.get_weights()[0]
    expected = rows.T @ (dy * y / pre)  # y = (mask1 - mask2) * pre
    np.testing.assert_allclose(dense.variables[0].gradient, expected, rtol=1e-10, atol=1e-12)


def test_stateful():
    x = Input((None, 1))
    y, h = GRU(3, stateful=True, return_state=True)(x)
    model = Model(x, [Dense(1)(y), h])
    series = RNG.normal(size=(2, 6, 1))
    whole = model.predict(series)
    model.reset_states()
    model.predict(series[:, :4])
    assert equal(whole, model.predict(series[:, 4:]))


# ---- losses, weights, figures ----------------------------------------------------------------------------------------


class Weighted(lw.losses.Loss):
    """mean(weight * (p - y)^2)."""

    name = "weighted"

    def value_and_grad(self, y_true, y_pred, sample_weight=None):
        w = np.ones(len(y_pred)) if sample_weight is None else np.asarray(sample_weight)
        w = np.broadcast_to(w.reshape(w.shape + (1,) * (y_pred.ndim - w.ndim)), y_pred.shape)
        e = y_pred - np.reshape(y_true, y_pred.shape)
        return float((w * e * e).sum()), e.size, (2 * w * e / e.size).astype(y_pred.dtype)


def heads(**options):
    lw.set_seed(4)
    x = Input((3,), dtype="float64")
    model = Model(x, [Dense(1, name="a")(x), Dense(2, name="b")(x), Dense(1, name="c")(x)])
    model.compile(lw.optimizers.SGD(0.1), **options)
    return model


X3, Y3 = RNG.normal(size=(10, 3)), [RNG.normal(size=(10, n)) for n in (1, 2, 1)]


def test_figures_of_several_outputs():
    model = heads(loss="mse", loss_weights={"b": 0.5, "c": 2}, metrics={"b": ["mae"], "a": "mae"})
    logs = model.evaluate(X3, Y3, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "a_loss", "b_loss", "c_loss", "a_mae", "b_mae"]
    assert logs["loss"] == pytest.approx(logs["a_loss"] + 0.5 * logs["b_loss"] + 2 * logs["c_loss"], rel=1e-15)
    predicted = model.predict(X3)
    assert logs["b_loss"] == pytest.approx(((predicted[1] - Y3[1]) ** 2).mean())
    assert logs["b_mae"] == pytest.approx(np.abs(predicted[1] - Y3[1]).mean())
    assert model.evaluate(X3, Y3, verbose=0) == list(logs.values())
    assert model.evaluate(X3, Y3, verbose=0, batch_size=3) == list(logs.values())
    history = model.fit(X3, Y3, verbose=0, validation_data=(X3, Y3)).history
    assert list(history) == [*logs, *(f"val_{name}" for name in logs)]


def test_lists_dicts_and_one_for_all_say_the_same():
    forms = [
        {"loss": "mse", "loss_weights": [1, 0.5, 1], "metrics": [["mae"], None, []]},
        {"loss": ["mse"] * 3, "loss_weights": {"b": 0.5}, "metrics": {"a": ["mae"]}},
        {"loss": dict.fromkeys("abc", "mse"), "loss_weights": (1.0, 0.5, 1.0), "metrics": {"a": "mae"}},
    ]
    targets = [Y3, tuple(Y3), dict(zip("cba", Y3[::-1], strict=True))]
    inputs = [X3, [X3], {"input": X3}]
    found = []
    for form, y, x in zip(forms, targets, inputs, strict=True):
        model = heads(**form)
        found.append((model.fit(x, y, epochs=2, verbose=0).history, [w.tolist() for w in model.get_weights()]))
    assert found[0] == found[1] == found[2]


def test_an_output_without_a_loss():
    model = heads(loss={"b": "mse"}, metrics={"b": "mae"})
    before = model.get_weights()
    for y in ([None, Y3[1], None], {"b": Y3[1]}):
        assert list(model.fit(X3, y, verbose=0).history) == ["loss", "b_mae"]
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, False, True, True, False, False]
    with pytest.raises(ValueError, match="output 'a': y must be None for an output without a loss"):
        model.fit(X3, Y3, verbose=0)
    assert len(model.predict(X3)) == 3


def test_sample_weights():
    weights = RNG.random(10)
    one = heads(loss=Weighted())
    logs = one.evaluate(X3, Y3, verbose=0, return_dict=True, sample_weight=[weights, None, weights * 0])
    predicted = one.predict(X3)
    assert logs["a_loss"] == pytest.approx((weights[:, None] * (predicted[0] - Y3[0]) ** 2).mean())
    assert logs["b_loss"] == pytest.approx(((predicted[1] - Y3[1]) ** 2).mean())
    assert logs["c_loss"] == 0
    before = one.get_weights()
    one.train_on_batch(X3, Y3, sample_weight={"a": weights, "c": weights * 0})
    changed = [not np.array_equal(a, b) for a, b in zip(before, one.get_weights(), strict=True)]
    assert changed == [True] * 4 + [False] * 2
    for_all = heads(loss=Weighted()).evaluate(X3, Y3, verbose=0, sample_weight=weights)
    assert for_all == heads(loss=Weighted()).evaluate(X3, Y3, verbose=0, sample_weight=[weights] * 3)


def test_weights_are_shuffled_and_split_with_their_samples():
    """A weight of 0 leaves a sample out, wherever the shuffle puts it."""
    x, y = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 1))
    weights = (np.arange(40) % 4 > 0).astype(float)
    found = []
    for target in (y, np.where(weights[:, None] > 0, y, 1e6)):
        lw.set_seed(0)
        model = Sequential([Dense(1, input_shape=(3,))])
        model.compile("sgd", Weighted())
        history = model.fit(x, target, sample_weight=weights, validation_split=0.25, epochs=3, batch_size=7, verbose=0)
        found.append((history.history, [w.tolist() for w in model.get_weights()]))
    assert found[0] == found[1]


def test_weights_of_one_are_no_weights():
    """The same bits: x, y and weights are shuffled alike."""
    x, y = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 1))
    found = []
    for options in ({}, {"sample_weight": np.ones(40)}):
        lw.set_seed(0)
        a, b = Input((3,), dtype="float64"), Input((3,))
        model = Model([a, b], Dense(1)(Concatenate()([a, b])))
        model.compile("sgd", Weighted())
        history = model.fit([x, x[::-1]], y, epochs=3, batch_size=7, verbose=0, **options)
        found.append((history.history, [w.tolist() for w in model.get_weights()]))
    lw.set_seed(0)
    row = Sequential([Dense(1, input_shape=(6,), dtype="float64")])
    row.compile("sgd", Weighted())
    history = row.fit(np.concatenate([x, x[::-1]], axis=1), y, epochs=3, batch_size=7, verbose=0)
    found.append((history.history, [w.tolist() for w in row.get_weights()]))
    assert found[0] == found[1] == found[2]


def test_class_weights():
    x, labels = RNG.normal(size=(12, 3)), np.arange(12) % 2
    found = []
    for options in ({"class_weight": {1: 3.0}}, {"sample_weight": np.where(labels == 1, 3.0, 1.0)}):
        lw.set_seed(0)
        model = Sequential([Dense(1, input_shape=(3,))])
        model.compile("sgd", Weighted())
        found.append((model.fit(x, labels, verbose=0, **options).history, [w.tolist() for w in model.get_weights()]))
    assert found[0] == found[1]
    lw.set_seed(0)
    model = Sequential([Dense(1, input_shape=(3,))])
    model.compile("sgd", Weighted())
    assert model.fit(x, labels, verbose=0).history != found[0][0]


def test_weights_of_masked_and_ragged_steps():
    lw.set_seed(0)
    x = Input((None, 2), dtype="float64")
    model = Model(x, Dense(1)(LSTM(2, return_sequences=True)(Masking(0.0)(x))))
    model.compile("sgd", Weighted())
    ragged = lw.Ragged.from_list([RNG.normal(size=(n, 2)) for n in (3, 1, 5)])
    ragged.values[[1, 5]] = 0
    real = ragged.values.any(axis=1)
    of_rows, of_steps = RNG.random(3), RNG.random(9)
    y = lw.Ragged(RNG.normal(size=(9, 1)), ragged.offsets)
    steps = lw.Ragged(of_steps[:, None], ragged.offsets)
    e = (model.predict(ragged).values - y.values)[:, 0]
    for weights, padded, expected in (
        (of_rows, of_rows, np.repeat(of_rows, (3, 1, 5))),
        (steps, steps.to_padded()[..., 0], of_steps),
    ):
        loss = model.evaluate(ragged, y, verbose=0, sample_weight=weights)
        assert loss == pytest.approx((expected * e * e)[real].mean())
        assert loss == model.evaluate(ragged.to_padded(), y.to_padded(), verbose=0, sample_weight=padded)


def test_a_loss_of_ones_own_that_knows_no_weights():
    class Plain(lw.losses.Loss):
        name = "plain"

        def value_and_grad(self, y_true, y_pred):
            return float(y_pred.sum()), y_pred.size, np.full_like(y_pred, 1 / y_pred.size)

    heads(loss=Plain()).fit(X3, Y3, verbose=0)


# ---- what else models do ---------------------------------------------------------------------------------------------


def test_summary():
    model, *_ = shared_layer()
    lines = []
    model.summary(print_fn=lines.append)
    assert lines == [
        "Model 'model', float64",
        "Layer                Output shape  Parameters  Bytes  FLOPs/step  Connected to",
        "-" * 78,
        "a (Input)            (B, None, 2)",
        "b (Input)            (B, None, 2)",
        "lstm (LSTM)          (B, 3)                72    576         120  a",
        "lstm (LSTM)          (B, 3)            shared                120  b",
        "subtract (Subtract)  (B, 3)                 0      0           0  lstm, lstm",
        "dense (Dense)        (B, 1)                 4     32           6  subtract",
        "-" * 78,
        "Parameters: 76 (0.6 KiB)",
        "FLOPs of the kernels, forward, a step of one sample: 246",
    ]


def test_explain():
    model, *_ = shared_layer()
    found = model.explain(4, 10, training=True)
    assert [part.name for part in found.parts] == ["lstm", "lstm", "subtract", "dense"]
    assert found.steps == 10
    assert found.forward_ns > 0
    assert found.backward_ns > 0
    assert found.parts[0].levels[0][0].kept_bytes > 0
    assert "Subtract" in str(found)


@pytest.mark.parametrize("make", [shared_layer, encoder_decoder])
def test_memory_budgets(make):
    """Both calls of a shared layer keep what its mode says, and the trained weights are the same bits."""
    found = []
    for memory in ("store", "recompute", "checkpoint", "0.55MB"):
        lw.set_seed(1)
        rng = np.random.default_rng(1)
        model, inputs, outputs = make()
        x = [rng.normal(size=(16, 60, shape[2])) for shape in inputs]
        y = [rng.normal(size=(16, *((60,) if len(shape) > 2 else ()), shape[-1])) for shape in outputs]
        model.compile("adam", "mse")
        model.fit(x, y, batch_size=16, verbose=0, memory=memory)
        found.append(model.get_weights())
    assert all(equal(found[0], each) for each in found[1:])
    with pytest.raises(ValueError, match=r"memory: 1KB is too little for a batch of 16: .* at least \d+"):
        model.fit(x, y, batch_size=16, verbose=0, memory="1KB")


def test_layers_may_be_called_in_any_order_of_lists():
    """Model runs calls in the order they were made, whatever order outputs are listed in."""
    x = Input((2,))
    first = Dense(3, name="first")(x)
    second = Dense(2, name="second")(first)
    model = Model(x, [second, first])
    assert model.output_names == ["second", "first"]
    assert [y.shape for y in model.predict(np.ones((4, 2)))] == [(4, 2), (4, 3)]
    assert [y.shape for y in model.predict(np.ones((0, 2)))] == [(0, 2), (0, 3)]
