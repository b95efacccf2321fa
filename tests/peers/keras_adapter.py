"""Keras itself, run by torch in float64, beside latchwork: one description builds a layer of either."""

import os
from dataclasses import dataclass
from typing import Any

import torch

os.environ["KERAS_BACKEND"] = "torch"

import keras
from keras.src.backend.common import dtypes

from latchwork import layers

keras.config.set_floatx("float64")
# Without TensorFlow, Keras takes every float64 result back to float32, as JAX does by default: 1e-8 instead of 1e-16.
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"

# What Keras warns of: a mask that ends (here it ends silently), a softmax over one number.
IGNORED = ("ignore:Layer .* was passed an input with a mask:UserWarning", "ignore:You are using a softmax:UserWarning")


@dataclass(frozen=True)
class Of:
    """A layer by name and arguments; arguments may hold descriptions of inner layers."""

    name: str
    arguments: dict[str, Any]

    def build(self, module, **more):
        def built(value):
            if isinstance(value, Of):
                return value.build(module)
            return [built(part) for part in value] if isinstance(value, list) else value

        return getattr(module, self.name)(**{key: built(value) for key, value in self.arguments.items()}, **more)


def of(name, **arguments):
    return Of(name, arguments)


def in_keras(description):
    return description.build(keras.layers)


def here(description):
    return description.build(layers, dtype="float64")


def as_list(result):
    """What a layer returned as a flat list; Keras nests the states of stacked cells."""
    return [leaf for part in result for leaf in as_list(part)] if isinstance(result, (list, tuple)) else [result]


def tensor(array):
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


def numbers(tensor):
    return tensor.detach().numpy()


def share_weights(ours, theirs, rng):
    """The same random parameters in both, biases too."""
    weights = [rng.normal(size=weight.shape) * 0.5 for weight in theirs.weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)


@dataclass
class Row:
    """Our layers one after another, with masks handed on as a model does, and the way back."""

    layers: list[Any]

    def forward(self, x, training=True):
        self.contexts, mask = [], None
        for layer in self.layers:
            given = {"mask": mask} if layer.takes_mask and mask is not None else {}
            y, ctx = layer.forward(x, training=training, **given)
            mask = layer.compute_mask(x, mask)
            x = y
            self.contexts.append(ctx)
        return x

    def backward(self, dy):
        for layer, ctx in zip(reversed(self.layers), reversed(self.contexts), strict=True):
            dy = layer.backward(ctx, dy)
        return dy

    @property
    def variables(self):
        return [variable for layer in self.layers for variable in layer.variables]

    def set_weights(self, weights):
        for layer in self.layers:
            own, weights = weights[: len(layer.variables)], weights[len(layer.variables) :]
            layer.set_weights(own)
