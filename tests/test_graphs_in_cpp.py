"""Graphs run by C++: the bits of Python's predict, and a reader that takes nothing else than what save writes."""

import os

import numpy as np
import pytest

import latchwork as lw
from latchwork import _core
from latchwork.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    AdditiveAttention,
    Attention,
    Average,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    Dense,
    Dot,
    Dropout,
    Embedding,
    GlobalAveragePooling1D,
    Input,
    LayerNormalization,
    Masking,
    Maximum,
    MaxPooling1D,
    Minimum,
    MultiHeadAttention,
    Multiply,
    RepeatVector,
    SimpleRNN,
    Subtract,
    TimeDistributed,
)
from latchwork.models import Model, load_model
from latchwork.models.saving import LAYERS
from model_graphs import GRAPHS, TABLE, graph_example, graph_in_cpp
from model_stacks import STEPS, TOKENS, in_cpp, same
from problems import using
from test_graph_files import DAMAGED, changed, model_of, put


def listed(y):
    return y if isinstance(y, list) else [y]


def whole(model, x):
    model.reset_states()
    return listed(model.predict(x, batch_size=256))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", GRAPHS)
def test_same_bits_here_and_in_cpp(name, dtype, path):
    model, x = graph_example(name, dtype)
    y = whole(model, x)
    model.save(path)
    assert same(graph_in_cpp(path, x), y)
    assert same(whole(load_model(path), x), y)
    assert _core.Model(os.fsencode(path)).outputs == model.output_names
    assert [each.shape for each in graph_in_cpp(path, [each[:0] for each in x])] == [(0, *each.shape[1:]) for each in y]


def test_more_samples_than_one_pass_takes(path):
    model, x = graph_example("states")
    model.save(path)
    many = [np.concatenate([each] * 8) for each in x]
    assert same(graph_in_cpp(path, many), [np.concatenate([each] * 8) for each in whole(model, x)])


@pytest.mark.parametrize("isa", lw.cpu.supported())
@pytest.mark.parametrize("name", ["stacks_and_ways", "attention"])
def test_every_isa_and_number_of_threads(name, isa, path):
    model, x = graph_example(name)
    y = whole(model, x)
    model.save(path)
    for threads in (1, 2):
        with using(isa=isa, threads=threads):
            assert same(graph_in_cpp(path, x), y)


def test_subnormal_numbers_are_merged_as_in_python(path):
    a, b = Input((2,)), Input((2,))
    model = Model([a, b], [Add()([a, b]), Dot(1)([a, b])], dtype="float32")
    model.save(path)
    x = [np.array([[1e-40, 1e-20]], np.float32), np.array([[2e-40, 1e-20]], np.float32)]
    y = model.predict(x)
    assert (np.concatenate(y, axis=1) > 0).all()
    assert same(graph_in_cpp(path, x), y)


def branch(x):
    """Ragged sequences of one input: merged with what was made of them."""
    steps = Masking()(x)
    y = Concatenate()([LSTM(3, return_sequences=True)(steps), x])
    return [Add()([Dense(5)(steps), y])]


@pytest.mark.parametrize("last", [False, True])
def test_ragged_sequences(last, path):
    x = Input((None, 2))
    outputs = branch(x) if not last else LSTM(2)(branch(x)[0])
    model = Model(x, outputs)
    ragged = lw.Ragged.from_list([row[: n % 7] for n, row in enumerate(np.concatenate([STEPS] * 4))])
    y = model.predict(ragged)
    model.save(path)
    assert same([in_cpp(path, ragged)], [y.values if isinstance(y, lw.Ragged) else y])


@pytest.mark.parametrize(
    "merged",
    [
        lambda x: Dot(1)([x, Dense(3)(x)]),
        lambda x: Concatenate(axis=1)([x, x]),
        lambda x: Dot(2)([x, x]),
    ],
)
def test_ragged_sequences_that_cannot(merged, path):
    x = Input((None, 2))
    model = Model(x, merged(x))
    ragged = lw.Ragged.from_list(list(STEPS[:3]))
    with pytest.raises(ValueError, match=r"Ragged"):
        model.predict(ragged)
    model.save(path)
    with pytest.raises(ValueError, match="x must be an array, got a ragged one"):
        in_cpp(path, ragged)


@pytest.mark.parametrize("layer", [Attention(True), AdditiveAttention(), MultiHeadAttention(2, 3)])
def test_ragged_sequences_look_back(layer, path):
    x = Input((None, 2))
    steps = Masking()(x)
    made = Dense(2)(steps)
    model = Model(x, layer([made, steps]))
    ragged = lw.Ragged.from_list([each[:length] for each, length in zip(STEPS, [6, 0, 3, 1, 5], strict=False)])
    y = model.predict(ragged)
    model.save(path)
    assert same([in_cpp(path, ragged)], [y.values])


def test_scores_of_ragged_sequences_are_refused(path):
    x = Input((None, 2))
    model = Model(x, Attention(return_attention_scores=True)([x, x])[0])
    model.save(path)
    with pytest.raises(ValueError, match="x must be an array, got a ragged one"):
        in_cpp(path, lw.Ragged.from_list(list(STEPS[:3])))


def test_cpp_knows_every_layer_that_a_file_may_name(path, tmp_path):
    model_of().save(path)
    changed_class = changed(path, tmp_path, "model", put("layers", 0, "class", "Nothing"))
    with pytest.raises(ValueError, match="class must be one of ") as found:
        _core.Model(os.fsencode(changed_class))
    known = str(found.value).split("one of ")[1].split(", got")[0]
    assert set(known.split(", ")) == set(LAYERS.classes)


# ---- a row ----------------------------------------------------------------------------------------------------------


def test_a_graph_that_is_a_row_steps_and_goes_on():
    model, (x,) = graph_example("row")
    session, y = model.session(len(x)), whole(model, [x])[0]
    for t in range(x.shape[1]):
        found = session.step(x[:, t])
    assert same([found], [y])
    forecast = model.forecast(x[:3], 2)
    assert same([forecast[:, 0].copy()], [y[:3]])


# ---- sessions --------------------------------------------------------------------------------------------------------


def stepping(dtype="float32"):
    """Whatever steps: shared layers, masks that meet, every merge, a table beside the series, tokens, two outputs."""
    series, words, table = Input((None, 2), name="series"), Input((None,), name="words"), Input((3,), name="table")
    steps = Masking()(series)
    text = Embedding(9, 2, mask_zero=True)(words)
    shared, cell = Dense(2, "tanh"), LSTM(2, return_sequences=True, name="cell")
    u, v = shared(steps), cell(text)
    merged = [kind()([u, v, steps]) for kind in (Add, Multiply, Average, Maximum, Minimum)]
    wide = Concatenate()([*merged, Subtract()([v, shared(Dropout(0.3)(text))]), steps])
    again = GRU(4, return_sequences=True)(LayerNormalization()(wide))
    rows = Concatenate(axis=2)([again, cell(TimeDistributed(Dense(2))(again)), u])
    end = SimpleRNN(3)(BatchNormalization()(rows))
    last = Dense(2, "softmax")(Concatenate(axis=1)([end, table, Dot(1)([end, Activation("relu")(table)])]))
    return Model([series, words, table], [last, rows, end], name="G", dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", lw.cpu.supported())
def test_steps_of_a_graph_are_its_predict(isa, dtype):
    with using(isa=isa):
        model = stepping(dtype)
        x = [STEPS.astype(dtype), TOKENS.astype(dtype), TABLE.astype(dtype)]
        session = model.session(len(STEPS))
        for t in range(STEPS.shape[1]):
            now = [x[0][:, t], x[1][:, t], x[2]]
            y = session.step(now if t % 2 else dict(zip(model.input_names, now, strict=True)), copy=True)
            last, rows, end = model.predict([x[0][:, : t + 1], x[1][:, : t + 1], x[2]], batch_size=256)
            assert same(y, [last, rows[:, -1].copy(), end])
        assert list(session.state) == ["cell/h", "cell/c", "gru/h", "cell_1/h", "cell_1/c", "simple_rnn/h"]


def test_a_session_of_a_graph_takes_back_what_it_carried():
    model = stepping()
    session = model.session(2)
    x = [STEPS[:2, 0], TOKENS[:2, 0], TABLE[:2]]
    session.step(x)
    kept = session.state
    first = session.step(x, copy=True)
    session.state = kept
    assert same(session.step(x), first)
    session.reset()
    assert not any(values.any() for values in session.state.values())
    before = session.state
    with pytest.raises(ValueError, match="whole numbers within the Embedding's table"):
        session.step([x[0], x[1] + 9, x[2]])
    assert same(list(session.state.values()), list(before.values()))


def test_one_input_rolls_out_through_a_graph():
    x = Input((None, 2))
    model = Model(x, Dense(2)(Add()([GRU(2, return_sequences=True)(x), x])))
    history = STEPS[:3]
    for step in np.moveaxis(model.forecast(history, 3), 1, 0):
        assert same([step.copy()], [model.predict(history)[:, -1].copy()])
        history = np.concatenate([history, step[:, None]], axis=1)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda x: Attention(name="a")([x, x]), "a: cannot step: its queries read all steps"),
        (lambda x: Bidirectional(GRU(2), name="a")(x), "a: cannot step: it needs all steps"),
        (lambda x: MaxPooling1D(2, name="a")(x), "a: cannot step: it needs all steps"),
        (lambda x: GlobalAveragePooling1D(name="a")(x), "a: cannot step: it needs all steps"),
        (lambda x: Conv1D(2, 2, name="a")(x), "a: cannot step: it needs all steps"),
        (lambda x: GRU(2, name="a", return_state=True)(x)[0], "a: cannot step: it gives more than one array"),
        (lambda x: GRU(2, name="a")(x, initial_state=GRU(2)(x)), "a: cannot step: it begins with states that others"),
        (lambda x: Concatenate(1, name="a")([x, x]), "a: cannot step: it needs all steps"),
        (lambda x: Dot(2, name="a")([x, x]), "a: cannot step: it needs all steps"),
        (lambda x: Embedding(9, 2, name="a")(Dense(1)(x)), "a: cannot step: it needs all steps"),
        (lambda x: Add()([RepeatVector(6, name="a")(GRU(2)(x)), x]), "a: cannot step: it needs all steps"),
    ],
)
def test_what_cannot_step_is_named(made, message):
    x = Input((6, 2))
    with pytest.raises(ValueError, match=message):
        Model(x, made(x)).session(1)


def test_inputs_that_cannot_step():
    table, words = Input((3,)), Input((3,))
    with pytest.raises(ValueError, match=r"a session needs a model of sequences, \[T, F\], got samples of \[3\]"):
        Model(table, Dense(2)(table)).session(1)
    both = Add()([Embedding(9, 2)(words), Embedding(9, 2)(words)])
    assert Model(words, GRU(2)(both)).session(1).step([[2]]).shape == (1, 2)
    mixed = Concatenate()([GRU(2)(Embedding(9, 2)(words)), Dense(2)(words)])
    with pytest.raises(ValueError, match=r"a session needs a model of sequences"):
        Model(words, mixed).session(1)


def test_arguments_of_steps():
    session = stepping().session(2)
    x = [STEPS[:2, 0], TOKENS[:2, 0], TABLE[:2]]
    for given, message in (
        (x[:2], "x must be a list of 3 arrays or a dict of series, words, table, got 2 of them"),
        (x[0], "x must be a list of 3 arrays or a dict of series, words, table, got ndarray"),
        ({"series": x[0]}, "x must be a dict of series, words, table, got series"),
        ([x[0], x[1], x[2][:, :2]], r"x\[2\] must be float32 \[2, 3\], got float32 \(2, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            session.step(given)


# ---- what does not fit -----------------------------------------------------------------------------------------------


def test_arguments(path):
    model, x = graph_example("states")
    model.save(path)
    native = _core.Model(os.fsencode(path))
    short = [x[0], x[1][:-1], x[2]]
    wide = [x[0], x[1], np.zeros((70, 4), np.float32)]
    for given, message in (
        (x[:2], "x must be 3 arrays, got 2"),
        (short, r'input "series" must have as many samples as the first, 70, got 69'),
        (wide, r'input "start" must be \[-1, 3\] \(-1: any\), got \[70, 4\]'),
        ([x[0][..., None, None], *x[1:]], r'input "text" must be \[-1, -1\]'),
        ([x[0] + 9, *x[1:]], r"embedding: x must hold whole numbers in \[0, 9\)"),
        ([each.astype("float64") for each in x], "float32"),
    ):
        with pytest.raises(ValueError, match=message):
            native.predict_all(given)
    with pytest.raises(ValueError, match="G has 3 inputs: x must be all of them"):
        native.predict(x[1])
    model, x = graph_example("deep_masks")
    model.save(path)
    with pytest.raises(ValueError, match="G has 2 outputs: y must be all of them"):
        _core.Model(os.fsencode(path)).predict(x[0])


ATTENTION = {
    "one": ("multi_head_attention", lambda node: node["x"].pop(), r"x must be query \[T, F\], value"),
    "other features": ("multi_head_attention", lambda node: node["x"].reverse(), r"query/kernel.* \[3, 2, 3\], got"),
    "another key": ("attention", lambda node: node["x"].append(1), r"attention: key: x must be \[B, T, 2\], got"),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_that_does_not_fit(name, path, tmp_path):
    a, b = Input((4, 2)), Input((5, 3))
    model = Model([a, b], [MultiHeadAttention(2, 3)(a, b), Attention()([a, Dense(2)(b)])])
    model.save(path)
    layer, change, message = ATTENTION[name]

    def damage(fields):
        number = next(i for i, each in enumerate(fields["layers"]) if each["name"] == layer)
        change(next(node for node in fields["nodes"] if node["layer"] == number))

    with pytest.raises(ValueError, match=message):
        _core.Model(os.fsencode(changed(path, tmp_path, "model", damage)))


def test_steps_that_fit_no_longer(path):
    a, b = Input((None, 2)), Input((None, 3))
    model = Model([a, b], Concatenate()([a, b]))
    model.save(path)
    x = [np.ones((2, 4, 2), np.float32), np.ones((2, 5, 3), np.float32)]
    with pytest.raises(ValueError, match="concatenate"):
        model.predict(x)
    with pytest.raises(ValueError, match=r"concatenate: x must be arrays of one shape but for the axis, got"):
        graph_in_cpp(path, x)


# What C++ does not read is no part of `training`.
@pytest.mark.parametrize("name", [name for name, (key, *_) in DAMAGED.items() if key == "model"])
def test_damaged(name, path, tmp_path):
    model_of().save(path)
    _, change, _ = DAMAGED[name]
    with pytest.raises(ValueError, match=r"model|tensor") as found:
        _core.Model(os.fsencode(changed(path, tmp_path, "model", change)))
    assert str(found.value).startswith('"')


MORE = {
    "no inputs": (put("inputs", []), "inputs must be 1 to 10000 of them, got 0"),
    "an input that nobody reads": (
        lambda f: (f["inputs"].append({"name": "more", "shape": [2]}), shift(f)),
        r"inputs\[2\] must reach an output",
    ),
    "a node that nobody reads": (lambda f: f["outputs"].pop(1), r"nodes\[\d+\] must reach an output"),
    "a layer called no more": (put("nodes", 0, "layer", 1), r"nodes\[0\]: layer must be the first one that no node"),
    "states of another size": (put("nodes", 2, "initial_state", [2, 2]), r"decoder: initial_state must be"),
    "one input for a merge": (lambda f: merge(f)["x"].pop(), "subtract: x must be two arrays"),
    "a merge in a row": (lambda f: row(f, {"class": "Add", "name": "a", "trainable": True}), "a layer of one input"),
}


def shift(fields):
    """The numbers of slots behind one more input."""
    count = len(fields["inputs"]) - 1
    for node in fields["nodes"]:
        for key in ("x", "initial_state"):
            node[key] = [slot + (slot >= count) for slot in node[key]]
    fields["outputs"] = [slot + 1 for slot in fields["outputs"]]


def merge(fields):
    number = next(i for i, layer in enumerate(fields["layers"]) if layer["class"] == "Subtract")
    return next(node for node in fields["nodes"] if node["layer"] == number)


def row(fields, layer):
    for key in ("inputs", "nodes", "outputs"):
        del fields[key]
    fields |= {"class": "Sequential", "input_shape": [None, 2], "layers": [layer]}


@pytest.mark.parametrize("name", MORE)
def test_more_damage(name, path, tmp_path):
    model_of().save(path)
    change, message = MORE[name]
    with pytest.raises(ValueError, match=message):
        _core.Model(os.fsencode(changed(path, tmp_path, "model", change)))


def test_the_change_alone_is_what_is_refused(path, tmp_path):
    model_of().save(path)
    _core.Model(os.fsencode(changed(path, tmp_path, "model", lambda fields: None)))
