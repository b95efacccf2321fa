"""Learn an audio effect from sound before and after it, then play it live: sample by sample, or in blocks.

The effect is known, so that the result can be judged: an overdriven amplifier, tanh(6 x), behind it a low-pass filter
of one pole. At 48 kHz real time leaves 20.8 us a sample.
"""

import argparse
from time import perf_counter

import numpy as np

import latchwork as lw
from latchwork.layers import LSTM, Dense
from latchwork.models import Sequential

RATE = 48_000  # samples a second
SEGMENT = 256  # samples, to train on
BLOCK = 64  # samples: 1.3 ms, what sound cards ask for at a time


def notes(seconds, rng):
    """Plucked strings, [N] within [-1, 1]: four notes a second, each with decaying harmonics."""
    sound = np.zeros(int(seconds * RATE))
    for start in range(0, len(sound), RATE // 4):
        t = np.arange(len(sound) - start) / RATE
        pitch = 110 * 2 ** (rng.integers(0, 24) / 12)
        for harmonic in range(1, 9):
            wave = np.sin(2 * np.pi * harmonic * pitch * t + rng.uniform(0, 2 * np.pi))
            sound[start:] += rng.uniform(0.1, 1) / harmonic * wave * np.exp(-harmonic * 1.5 * t)
    return (sound / np.abs(sound).max()).astype(np.float32)


def effect(x):
    """What is to be learned: y[t] = y[t-1] + 0.25 (tanh(6 x[t]) - y[t-1])."""
    y, last = np.empty_like(x), 0.0
    for t, driven in enumerate(np.tanh(6 * x)):
        last += 0.25 * (driven - last)
        y[t] = last
    return y


def network(stateful=False):
    return Sequential([LSTM(16, return_sequences=True, stateful=stateful, input_shape=(None, 1)), Dense(1)])


def error_to_signal(y, target):
    """The energy of the error, as a share of the target's."""
    return float(np.mean((y - target) ** 2) / np.mean(target**2))


def main(epochs=12, seconds=4):
    lw.set_seed(0)
    rng = np.random.default_rng(0)
    x = notes(seconds, rng)
    model = network()
    model.compile(loss="mse", optimizer=lw.optimizers.Adam(0.005))
    count = len(x) // SEGMENT
    segments = [a[: count * SEGMENT].reshape(count, SEGMENT, 1) for a in (x, effect(x))]
    model.fit(*segments, epochs=epochs, batch_size=16, verbose=2)

    x = notes(seconds, rng)[:, None]  # never heard before
    target = effect(x[:, 0])[:, None]
    begin = perf_counter()
    whole = model.predict(x[None])[0]
    report("whole", len(x), perf_counter() - begin)
    gain = float((x * target).sum() / (x * x).sum())
    print(f"error to signal: {error_to_signal(whole, target):.2%}", end=" ")
    print(f"(of an amplifier that does not distort: {error_to_signal(gain * x, target):.0%})")

    # Sample by sample: the least delay there is.
    session = model.session(1)
    stream = np.empty_like(whole)
    begin = perf_counter()
    for t, sample in enumerate(x):
        stream[t] = session.step(sample)
    report("sample by sample", len(x), perf_counter() - begin)

    # In blocks: a stateful copy goes on where the block before ended.
    live = network(stateful=True)
    live.set_weights(model.get_weights())
    blocks = np.empty_like(whole)
    begin = perf_counter()
    for start in range(0, len(x), BLOCK):
        blocks[start : start + BLOCK] = live.predict(x[None, start : start + BLOCK])[0]
    report(f"blocks of {BLOCK}", len(x), perf_counter() - begin)

    assert (stream == whole).all(), "not the same bits"
    assert (blocks == whole).all(), "not the same bits"
    return error_to_signal(whole, target)


def report(how, samples, seconds):
    print(f"{how}: {1e6 * seconds / samples:.2f} us a sample, {samples / RATE / seconds:.0f} times real time")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    main(**vars(parser.parse_args()))
