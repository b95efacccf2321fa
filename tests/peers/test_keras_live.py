"""Random layers and rows of layers beside Keras on torch, in float64 at 1e-12: outputs, states, every gradient."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from latchwork.models import Sequential
from peers.keras_adapter import IGNORED, Row, as_list, here, in_keras, keras, numbers, of, share_weights, tensor

pytestmark = [pytest.mark.filterwarnings(warning) for warning in IGNORED]

# Not inside layers: hard_sigmoid, whose gradient torch makes with a 1/6 of float32; softplus, which torch takes to be x
# above 20, 2e-9 off; exponential, which explodes in a loop.
NAMES = ("tanh", "sigmoid", "softsign", "linear", "relu", "elu", None)
FLAGS = st.booleans()
SIZES = st.integers(1, 5)
SEEDS = st.integers(0, 2**32 - 1)
MERGES = st.sampled_from(["concat", "sum", "mul", "ave"])


def close(name, ours, theirs, tolerance=1e-12):
    """Within tolerance of the largest value: a chain of sums loses digits of what cancels in it."""
    theirs = numbers(theirs)
    assert ours.shape == theirs.shape, name
    assert ours.dtype == theirs.dtype == np.float64, name
    bound = tolerance * max(1.0, abs(theirs).max(initial=0.0))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=bound, err_msg=name)


def tame(tensors):
    """Whether nothing exploded: gates of linear or relu can square the states in every step."""
    return all(abs(numbers(t)).max(initial=0.0) < 1e3 for t in tensors)


# ---- descriptions ------------------------------------------------------------------------------------------


@st.composite
def cell_options(draw, kind):
    options = {"units": draw(SIZES), "activation": draw(st.sampled_from(NAMES)), "use_bias": draw(FLAGS)}
    if kind != "SimpleRNN":
        options["recurrent_activation"] = draw(st.sampled_from(NAMES))
    if kind == "GRU":
        options["reset_after"] = draw(FLAGS)
    return options


KINDS = st.sampled_from(["LSTM", "GRU", "SimpleRNN"])


@st.composite
def recurrent(draw, merges=MERGES, cells=3, **fixed):
    """A recurrent layer: plain, bidirectional, or up to `cells` cells in an RNN."""
    form = draw(st.sampled_from(["plain", "plain", "bidirectional", "cells"]))
    options = {"return_sequences": draw(FLAGS), "zero_output_for_mask": draw(FLAGS), **fixed}
    if form != "bidirectional":
        options["go_backwards"] = draw(FLAGS)
    if form == "cells":
        kinds = draw(st.lists(KINDS, min_size=1, max_size=cells))
        stack = [of(f"{kind}Cell", **draw(cell_options(kind))) for kind in kinds]
        return of("RNN", cell=stack if len(stack) > 1 else stack[0], **options)
    kind = draw(KINDS)
    layer = of(kind, **draw(cell_options(kind)), **options)
    if form == "plain":
        return layer
    back = None
    merge_mode = draw(merges)
    if draw(FLAGS):
        other = draw(KINDS)
        own = {**draw(cell_options(other)), "units": layer.arguments["units"]}  # Keras counts on equal ones
        back = of(other, **own, **options, go_backwards=True)
    return of("Bidirectional", layer=layer, backward_layer=back, merge_mode=merge_mode)


def gives_sequences(layer):
    inner = layer.arguments.get("layer", layer)
    return inner.arguments["return_sequences"]


def keras_deals_states(layer):
    """Whether Keras gives each layer its initial states: Bidirectional halves the list, LSTM has two and others one."""
    back = layer.arguments.get("backward_layer")
    return back is None or (back.name == "LSTM") == (layer.arguments["layer"].name == "LSTM")


@st.composite
def dense(draw):
    return of("Dense", units=draw(SIZES), activation=draw(st.sampled_from([*NAMES, "softmax", "exponential"])))


@st.composite
def rows(draw):
    """Layers that fit each other, and an x [B, T, F] or, before an Embedding, [B, T]; steps of zeros among them."""
    rng = np.random.default_rng(draw(SEEDS))
    B, T, F = draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(SIZES)
    if draw(FLAGS):
        x = rng.integers(0, 4, (B, T))
        layers = [of("Embedding", input_dim=4, output_dim=F, mask_zero=draw(FLAGS))]
    else:
        x = rng.normal(size=(B, T, F)) * (rng.random((B, T, 1)) < 0.7)
        layers = [of("Masking")] if draw(FLAGS) else []
    sequence = True
    for _ in range(draw(st.integers(1, 3))):
        if not sequence:
            layers.append(of("RepeatVector", n=draw(st.integers(1, 4))))
        layers.append(draw(recurrent()))
        sequence = gives_sequences(layers[-1])
        if draw(FLAGS):
            layers.append(of("Dropout", rate=0.5))
        if draw(FLAGS):
            layer = draw(dense())
            layers.append(of("TimeDistributed", layer=layer) if sequence and draw(FLAGS) else layer)
    if sequence and draw(FLAGS):
        layers.append(of("Flatten"))
    return layers, x, rng


# ---- tests -------------------------------------------------------------------------------------------------


@given(rows())
def test_rows_of_layers(drawn):
    """Outputs at inference, then the gradients of x and of every parameter."""
    descriptions, x, rng = drawn
    theirs = keras.Sequential([in_keras(description) for description in descriptions])
    ours = Row([here(description) for description in descriptions])
    leaf = tensor(x)
    theirs(leaf)
    ours.forward(x, training=False)
    share_weights(ours, theirs, rng)
    wanted = theirs(leaf)
    assume(tame([wanted]))
    close("y", ours.forward(x, training=False), wanted)

    trained = Row([layer for layer in ours.layers if type(layer).__name__ != "Dropout"])  # at inference it does nothing
    seed = rng.normal(size=wanted.shape)
    leaves = [variable.value for variable in theirs.trainable_variables]
    with_dx = [leaf, *leaves] if leaf.requires_grad else leaves
    gradients = torch.autograd.grad(wanted, with_dx, torch.tensor(seed))
    close("y in training", trained.forward(x), wanted)
    dx = trained.backward(seed)
    if leaf.requires_grad:
        close("dx", dx, gradients[0])
    for variable, gradient in zip(trained.variables, gradients[-len(leaves) :], strict=True):
        close(variable.name, variable.gradient, gradient)


@given(recurrent(merges=st.sampled_from(["concat", "sum", "mul", "ave", None]), return_state=True), SEEDS, FLAGS, FLAGS)
def test_states_in_and_out(description, seed, with_state, with_mask):
    """One layer with masks of any form: y, final states, the gradients through both, into initial states too."""
    with_state = with_state and keras_deals_states(description)
    rng = np.random.default_rng(seed)
    B, T, F = rng.integers(1, 5), rng.integers(1, 7), rng.integers(1, 6)
    x = rng.normal(size=(B, T, F))
    theirs, ours = in_keras(description), here(description)
    leaf = tensor(x)
    outputs = as_list(theirs(leaf))
    ours(x)
    share_weights(ours, theirs, rng)

    merged = 2 if description.arguments.get("merge_mode", "") is None else 1
    states = [rng.normal(size=s.shape) for s in outputs[merged:]] if with_state else None
    given_states = None if states is None else [tensor(s) for s in states]
    mask = rng.random((B, T)) < 0.6 if with_mask else None
    cells = description.arguments.get("cell")
    nested = given_states
    if isinstance(cells, list) and given_states is not None:  # Keras wants the states of stacked cells as a tree
        rest = list(given_states)
        nested = [[rest.pop(0) for _ in range(2)] if cell.name == "LSTMCell" else rest.pop(0) for cell in cells]
    wanted = as_list(theirs(leaf, initial_state=nested, mask=None if mask is None else torch.tensor(mask)))
    assume(tame(wanted))
    found, ctx = ours.forward(x, initial_state=states, mask=mask)
    for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
        close(f"output {i}", np.array(a), b)

    seeds = [rng.normal(size=w.shape) for w in wanted]
    parameters = [variable.value for variable in theirs.trainable_variables]
    leaves = [leaf, *(given_states or []), *parameters]
    gradients = torch.autograd.grad(wanted, leaves, [torch.tensor(s) for s in seeds])
    back = ours.backward(ctx, seeds)
    back = back if with_state else [back]
    for i, (a, b) in enumerate(zip(back, gradients[: len(back)], strict=True)):
        close(f"gradient of input {i}", a, b)
    for variable, gradient in zip(ours.variables, gradients[len(back) :], strict=True):
        close(variable.name, variable.gradient, gradient)


@given(recurrent(cells=1, return_sequences=True, stateful=True), SEEDS, FLAGS)  # Keras cannot reset a stack of cells
def test_states_carried_from_batch_to_batch(description, seed, masked):
    rng = np.random.default_rng(seed)
    B, F = rng.integers(1, 4), rng.integers(1, 4)
    T = rng.integers(1, 5)
    batches = [rng.normal(size=(B, T, F)) * (rng.random((B, T, 1)) < 0.7) for _ in range(3)]
    row = [of("Masking"), description] if masked else [description]
    theirs = keras.Sequential([keras.Input(batch_shape=(B, T, F)), *(in_keras(layer) for layer in row)])
    ours = Sequential([here(layer) for layer in row])
    ours.build((None, T, F))
    share_weights(ours, theirs, rng)
    for _ in range(2):
        for i, x in enumerate(batches):
            wanted = theirs(tensor(x))
            assume(tame([wanted]))
            close(f"batch {i}", ours.predict(x), wanted)
        ours.reset_states()
        theirs.layers[-1].reset_state()


@given(st.integers(1, 3), SEEDS, st.sampled_from(["softmax", *NAMES, "exponential", "hard_sigmoid", "softplus"]))
def test_activation_layer(axes, seed, name):
    rng = np.random.default_rng(seed)
    x = 4 * rng.normal(size=rng.integers(1, 5, axes + 1))
    leaf = tensor(x)
    wanted = in_keras(of("Activation", activation=name or "linear"))(leaf)
    layer = here(of("Activation", activation=name))
    y, ctx = layer.forward(x)
    close("y", y, wanted)
    dy = rng.normal(size=x.shape)
    dx = torch.autograd.grad(wanted, leaf, torch.tensor(dy))[0]
    close("dx", layer.backward(ctx, dy), dx, 1e-7 if name == "hard_sigmoid" else 1e-12)
