"""Keras, on the backend that KERAS_BACKEND names; fixed to as many CPUs as it may have threads (worker.py)."""

from __future__ import annotations

import keras
import numpy as np

import tutorial


class Tutorial(tutorial.Program):
    def __init__(self) -> None:
        self.model = keras.Sequential(
            [keras.layers.Input((tutorial.T, 1)), keras.layers.LSTM(50), keras.layers.Dense(1)]
        )
        self.model.compile(loss="mse", optimizer="adam")
        self.model.set_weights(tutorial.weights())

    def epoch(self, *, shuffle: bool) -> None:
        self.model.fit(*tutorial.data(), epochs=1, batch_size=tutorial.BATCH, shuffle=shuffle, verbose=0)

    def evaluate(self) -> object:
        return self.model.evaluate(*tutorial.data(), verbose=0)

    def predict(self, samples: int) -> np.ndarray:
        return self.model.predict(tutorial.data()[0][:samples], verbose=0)


def program(threads: int) -> tutorial.Program:
    return Tutorial()
