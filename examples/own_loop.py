"""Train with a loop of your own on the pure calls: arrays in, gradients out, nothing hidden.

The network learns to add up the inputs it was told to (the adding problem, Hochreiter and Schmidhuber 1997).
"""

import argparse

import numpy as np

import latchwork as lw
from latchwork import functional

B, T, H = 64, 30, 32


def problem(rng):
    """x [B, T, 2]: numbers, and a mark at two of the steps; y [B, 1]: the sum of the marked numbers."""
    numbers = rng.uniform(size=(B, T))
    marks = np.zeros((B, T))
    for row in marks:
        row[rng.choice(T, size=2, replace=False)] = 1
    x = np.stack([numbers, marks], axis=2).astype(np.float32)
    return x, (numbers * marks).sum(axis=1, keepdims=True).astype(np.float32)


def main(steps=1500):
    lw.set_seed(0)
    rng = np.random.default_rng(0)
    glorot, orthogonal = lw.initializers.get("glorot_uniform"), lw.initializers.get("orthogonal")
    lstm = [glorot((2, 4 * H)), orthogonal((H, 4 * H)), np.zeros(4 * H, np.float32)]
    lstm[2][H : 2 * H] = 1  # the forget gate starts open
    dense = [glorot((H, 1)), np.zeros(1, np.float32)]
    weights = [*lstm, *dense]
    optimizers = [lw.optimizers.Adam(0.005) for _ in weights]
    mse = lw.losses.get("mse")

    for step in range(steps):
        x, y = problem(rng)
        h, _, lstm_ctx = functional.lstm(x, lstm, return_sequences=False)
        output, dense_ctx = functional.dense(h, dense)
        total, count, dy = mse.value_and_grad(y, output)
        d_dense = functional.dense_backward(dense_ctx, dy)
        d_lstm = functional.lstm_backward(lstm_ctx, d_dense.x, need_dx=False)
        gradients = [d_lstm.kernel, d_lstm.recurrent_kernel, d_lstm.bias, d_dense.kernel, d_dense.bias]
        for optimizer, weight, gradient in zip(optimizers, weights, gradients, strict=True):
            optimizer.update(weight.reshape(-1), gradient.reshape(-1))
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:4d}  loss {total / count:.5f}  (always guessing 1: 0.167)")
    return total / count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=argparse.SUPPRESS)
    main(**vars(parser.parse_args()))
