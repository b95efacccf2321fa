"""Every layer that a file may hold: saved, loaded, and run by C++ with the same bits."""

import numpy as np
import pytest

import latchwork as lw
from latchwork import layers
from latchwork.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GRUCell,
    Input,
    LSTMCell,
    Masking,
    RepeatVector,
    SimpleRNN,
    SimpleRNNCell,
    TimeDistributed,
)
from latchwork.layers.dense import values_of
from latchwork.models import Sequential, load_model
from latchwork.models.saving import CELLS, LAYERS
from model_stacks import STACKS, STEPS, TOKENS, example, in_cpp, same, whole
from problems import using

# Which take no Ragged: a sample of each step would be a sequence, or all steps one sample.
NOT_RAGGED = {
    "Flatten",
    "TimeDistributed",
    "TimeDistributed of Bidirectional",
    "Embedding of steps",
    "Embedding, a mask of sequences",
    "Conv1D",
    "Conv1D, strides",
    "Pooling",
    "Reshape",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STACKS)
def test_same_bits_here_and_in_cpp(name, dtype, path):
    model, x = example(name, dtype)
    y = whole(model, x)
    model.save(path)
    loaded = load_model(path)
    assert same([whole(loaded, x), in_cpp(path, x)], [y, y])
    assert same(loaded.get_weights(), model.get_weights())
    assert [v.name for v in loaded.variables] == [v.name for v in model.variables]
    assert (loaded.name, loaded.dtype) == (model.name, model.dtype)
    assert [layer.trainable for layer in loaded.layers] == [layer.trainable for layer in model.layers]
    before = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == before
    assert in_cpp(path, x[:0]).shape == (0, *y.shape[1:])


@pytest.mark.parametrize("name", STACKS)
def test_ragged_sequences(name, path):
    """The same bits, or an error, in both languages."""
    model, x = example(name)
    if x.ndim == 2:
        x = x[..., None]
        model = Sequential([Input(x.shape[1:]), *STACKS[name]()])
    ragged = lw.Ragged.from_list([row[: n % 7] for n, row in enumerate(x)])
    model.save(path)
    try:
        y = whole(model, ragged)
    except ValueError:
        assert name in NOT_RAGGED
        with pytest.raises(ValueError, match=r"ragged|x must be"):
            in_cpp(path, ragged)
        return
    assert same([values_of(whole(load_model(path), ragged)), in_cpp(path, ragged)], [values_of(y)] * 2)
    assert name not in NOT_RAGGED


@pytest.mark.parametrize(
    "name",
    ["Masking passes by", "RNN of a stack", "Bidirectional of three cells and one", "Masking, zeros at each step"],
)
def test_more_rows_than_run_at_once(name, path):
    model, x = example(name)
    x = np.concatenate([x] * 5)[:300]
    model.save(path)
    ragged = lw.Ragged.from_list([row[: n % 5] for n, row in enumerate(x)])
    for given in (x, ragged):
        assert same([in_cpp(path, given)], [values_of(whole(model, given))])


@pytest.mark.parametrize("mode", ["concat", "ave"])
def test_both_directions_on_any_number_of_threads(mode, path):
    """Large enough to run side by side."""
    cells = [GRUCell(40), LSTMCell(33)]
    model = Sequential([Input((20, 16)), Masking(), Bidirectional(RNN(cells, return_sequences=True), mode)])
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(24, 20, 16)) * (rng.random((24, 20, 1)) > 0.3)).astype(np.float32)
    model.save(path)
    with using(threads=1):
        y = whole(model, x)
    for threads in (1, 2, 4):
        with using(threads=threads):
            assert same([in_cpp(path, x)], [y])


def random_layers(rng):
    """Layers that fit x [B, 6, 2], or tokens [B, 6]."""

    def pick(*choices):
        return choices[rng.integers(len(choices))]()

    def flag():
        return bool(rng.integers(2))

    def units():
        return int(rng.choice([1, 3, 8, 16, 17, 33]))

    def cell():
        return pick(
            lambda: LSTMCell(units(), pick(lambda: "tanh", lambda: "softsign")),
            lambda: GRUCell(units(), reset_after=flag()),
            lambda: SimpleRNNCell(units(), use_bias=flag()),
        )

    def plain(**options):
        return pick(
            lambda: LSTM(units(), **options),
            lambda: GRU(units(), reset_after=flag(), **options),
            lambda: SimpleRNN(units(), "relu", **options),
            lambda: RNN([cell() for _ in range(rng.integers(1, 4))], **options),
        )

    def recurrent(sequences):
        options = {"return_sequences": sequences, "zero_output_for_mask": flag()}
        return pick(
            lambda: plain(go_backwards=flag(), **options),
            lambda: Bidirectional(plain(**options), rng.choice(["concat", "sum", "mul", "ave"]).item()),
            lambda: Bidirectional(plain(**options), backward_layer=plain(go_backwards=True, **options)),
        )

    def row():
        return pick(
            lambda: Dense(units(), "softmax"),
            lambda: Activation("tanh"),
            lambda: Dropout(0.5),
            lambda: Activation("softmax"),
        )

    first = pick(lambda: [Embedding(9, units(), mask_zero=flag())], lambda: [Masking()], list)
    middle = [
        pick(lambda: recurrent(sequences=True), row, lambda: TimeDistributed(row()), Masking)
        for _ in range(rng.integers(0, 4))
    ]
    last = pick(
        list,
        lambda: [recurrent(sequences=False), row()],
        lambda: [recurrent(sequences=False), RepeatVector(3), recurrent(sequences=True)],
        lambda: [Flatten(), Dense(3)],
    )
    found = [*first, *middle, *last] or [row()]
    return found, bool(first) and isinstance(first[0], Embedding)


@pytest.mark.parametrize("seed", range(40))
def test_random_stacks(seed, path):
    rng = np.random.default_rng(seed)
    found, tokens = random_layers(rng)
    dtype = rng.choice(["float32", "float64"]).item()
    x = (TOKENS if tokens else STEPS).astype(dtype)
    model = Sequential([Input(x.shape[1:]), *found], dtype=dtype)
    y = whole(model, x)
    model.save(path)
    assert same([whole(load_model(path), x), in_cpp(path, x)], [y, y])


def nested(layer):
    """The layer and all within it."""
    yield layer
    for inner in getattr(layer, "inner", ()):
        yield from nested(inner)


def test_every_layer_is_tried():
    used = {type(part).__name__ for make in STACKS.values() for layer in make() for part in nested(layer)}
    used |= {name for name, kind in LAYERS.classes.items() if kind.many_inputs}  # test_graph_files tries those
    assert used == {*LAYERS.classes, *CELLS.classes}
    abstract = {"Layer", "Recurrent", "Cell", "Merge", "Input", "Symbol", "Variable", "CallPlan", "Explanation"}
    assert used == {name for name in layers.__all__ if isinstance(getattr(layers, name), type)} - abstract


# ---- weights at once, where the input is known -----------------------------------------------------------------------


def known_models():
    x = lw.layers.Input((5, 2))
    bidirectional = lw.layers.Bidirectional(lw.layers.LSTM(3))
    return [
        lw.models.Sequential([lw.layers.Input((5, 2)), lw.layers.LSTM(3), lw.layers.Dense(1)]),
        lw.models.Sequential([lw.layers.LSTM(3, input_shape=(5, 2)), lw.layers.Dense(1)]),
        lw.models.Model(x, lw.layers.Dense(1)(lw.layers.LSTM(3)(x))),
        lw.models.Sequential([lw.layers.Input((5, 2)), bidirectional, lw.layers.Dense(1)]),
    ]


@pytest.mark.parametrize("kind", range(4))
def test_a_layer_has_weights_at_once(kind):
    """Those that the model then has; what is written into a layer is in the model, and a layer added keeps it."""
    lw.set_seed(4)
    first = known_models()[kind]
    lw.set_seed(4)
    model = known_models()[kind]
    of_layer = model.layers[0].get_weights()
    wanted = first.get_weights()
    for weight, other in zip(of_layer, wanted, strict=False):
        np.testing.assert_array_equal(weight, other)
    assert len(of_layer) == len(wanted) - 2
    model = known_models()[kind]
    model.layers[0].set_weights([np.full_like(w, 0.5) for w in of_layer])
    assert all((w == 0.5).all() for w in model.get_weights()[:-2])
    if kind == 3:
        model = known_models()[kind]
        assert model.layers[0].forward_layer.get_weights()[0].shape == (2, 12)
    if kind == 0:
        model.add(lw.layers.Dense(2))
        assert (model.layers[0].get_weights()[0] == 0.5).all()
        assert model.layers[2].get_weights()[0].shape == (1, 2)


def test_a_layer_of_an_unknown_input_has_none():
    """As in Keras."""
    model = lw.models.Sequential([lw.layers.LSTM(3), lw.layers.Dense(1)])
    assert model.layers[0].get_weights() == []
    with pytest.raises(ValueError, match="weights cannot be set yet"):
        model.layers[0].set_weights([])
    model.predict(np.ones((1, 5, 2)))
    assert len(model.layers[0].get_weights()) == 3
