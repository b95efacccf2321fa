"""Activations and their derivatives, both as functions of the pre-activation."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


FUNCTION = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "elu": _elu,
    "softplus": lambda x: np.logaddexp(x, 0),
    "exponential": np.exp,
}

DERIVATIVE = {
    "linear": np.ones_like,
    "relu": lambda x: (x > 0) * 1.0,
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
    "sigmoid": lambda x: sigmoid(x) * sigmoid(-x),
    "hard_sigmoid": lambda x: (np.abs(x) < 3) / 6,
    "softsign": lambda x: 1 / (1 + np.abs(x)) ** 2,
    "elu": lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
    "softplus": sigmoid,
    "exponential": np.exp,
}
