"""TensorBoard and SwapEMAWeights."""

import struct
import sys

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

import latchwork as lw
from latchwork.callbacks import LambdaCallback, ModelCheckpoint, SwapEMAWeights, TensorBoard

X = np.arange(12.0).reshape(6, 2) / 10
Y = X[:, :1] - X[:, 1:]


def model(**options):
    lw.set_seed(1)
    net = lw.models.Sequential([lw.layers.Dense(1, input_shape=(2,))], dtype="float64")
    net.compile(lw.optimizers.SGD(0.1, **options), "mse")
    return net


def scalars(folder):
    """(tag, step): value of all event files below a folder; histograms have None."""
    found = {}
    for path in folder.glob("events*"):
        data = path.read_bytes()
        while data:  # length, its checksum, the event, its checksum
            length = struct.unpack("<Q", data[:8])[0]
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                found[value.tag, event.step] = None if value.HasField("histo") else value.simple_value
    return found


def test_tensorboard(tmp_path):
    callback = TensorBoard(tmp_path, histogram_freq=2, write_steps_per_second=True)
    history = model().fit(X, Y, 2, 3, 0, callback, validation_data=(X, Y)).history
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    tags = {"epoch_loss", "epoch_learning_rate", "epoch_steps_per_second", "dense/kernel/histogram"}
    assert {tag for tag, _ in train} == tags | {"dense/bias/histogram"}
    assert [train["epoch_loss", epoch] for epoch in range(3)] == pytest.approx(history["loss"], rel=1e-6)
    assert train["epoch_learning_rate", 2] == pytest.approx(0.1)
    assert train["epoch_steps_per_second", 1] > 0
    assert ("dense/kernel/histogram", 1) not in train
    assert [validation["epoch_loss", epoch] for epoch in range(3)] == pytest.approx(history["val_loss"], rel=1e-6)
    assert validation["evaluation_loss_vs_iterations", 9] == pytest.approx(history["val_loss"][2], rel=1e-6)


@pytest.mark.parametrize(("update_freq", "steps"), [("batch", [1, 2, 3, 4, 5, 6]), (4, [4]), ("epoch", [])])
def test_tensorboard_of_batches(tmp_path, update_freq, steps):
    model().fit(X, Y, 2, 2, 0, TensorBoard(tmp_path, update_freq=update_freq))
    assert sorted(step for tag, step in scalars(tmp_path / "train") if tag == "batch_loss") == steps


def test_tensorboard_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'TensorBoard needs tensorboardX: pip install "latchwork\[tensorboard\]"'):
        TensorBoard()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"update_freq": 0}, "update_freq must be 'epoch', 'batch' or a number of batches, got 0"),
        ({"histogram_freq": -1}, "histogram_freq must be a number of epochs or 0, got -1"),
        ({"write_steps_per_second": 1}, "write_steps_per_second must be True or False, got 1"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=f"^TensorBoard: {message}$"):
        TensorBoard(**options)


def averages_of(epochs):
    """The weights of each step of three an epoch, averaged as Keras does, after each epoch."""
    net, average, found = model(), None, []

    def add(batch, logs=None):
        nonlocal average
        now = np.concatenate([w.ravel() for w in net.get_weights()])
        average = now if average is None else 0.5 * average + 0.5 * now

    note = LambdaCallback(on_train_batch_end=add, on_epoch_end=lambda *_: found.append(average))
    net.fit(X, Y, 2, epochs, 0, note)
    return found


def flat(net):
    return np.concatenate([w.ravel() for w in net.get_weights()])


def test_fit_ends_with_the_averages():
    net = model(use_ema=True, ema_momentum=0.5)
    net.fit(X, Y, 2, 3, 0)
    np.testing.assert_allclose(flat(net), averages_of(3)[-1], rtol=1e-14)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_swapped_for_validation_and_files(tmp_path, swap_on_epoch):
    wanted = averages_of(3)
    net, plain = model(use_ema=True, ema_momentum=0.5), model()
    seen = []
    callbacks = [
        SwapEMAWeights(swap_on_epoch),
        ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_weights_only=True),
        LambdaCallback(on_epoch_begin=lambda *_: seen.append(flat(net))),
    ]
    history = net.fit(X, Y, 2, 3, 0, callbacks, validation_data=(X, Y)).history
    plain_weights = []
    note = LambdaCallback(on_epoch_begin=lambda *_: plain_weights.append(flat(plain)))
    assert plain.fit(X, Y, 2, 3, 0, note).history["loss"] == history["loss"]  # training does not notice
    np.testing.assert_array_equal(seen, plain_weights)
    probe = model()
    for epoch, weights in enumerate(wanted):
        probe.set_weights([weights[:2].reshape(2, 1), weights[2:]])
        assert history["val_loss"][epoch] == pytest.approx(probe.evaluate(X, Y), rel=1e-12)
        probe.load_weights(tmp_path / f"{epoch + 1}.safetensors")
        assert np.allclose(flat(probe), weights, rtol=1e-14) == swap_on_epoch
    np.testing.assert_allclose(flat(net), wanted[-1], rtol=1e-14)


def test_swapped_for_predict_and_back():
    net = model(use_ema=True, ema_momentum=0.5)
    swap = SwapEMAWeights()
    swap.set_model(net)
    first = flat(net)
    net.predict(X, callbacks=swap)  # no step yet: there are no averages
    assert (flat(net) == first).all()
    for _ in range(3):
        net.train_on_batch(X, Y)
    raw, average = flat(net), net.optimizer.slots["average"].copy()
    y = net.predict(X, callbacks=swap)
    np.testing.assert_allclose(y[:, 0], X[:, 0] * average[0] + X[:, 1] * average[1] + average[2], rtol=1e-12)
    assert (flat(net) == raw).all()


def test_swapping_needs_averages():
    with pytest.raises(ValueError, match="SwapEMAWeights needs an optimizer with use_ema=True, got SGD"):
        model().fit(X, Y, callbacks=SwapEMAWeights(), verbose=0)
    with pytest.raises(ValueError, match="swap_on_epoch must be True or False, got 1"):
        SwapEMAWeights(1)
