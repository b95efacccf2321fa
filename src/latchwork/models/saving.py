"""A model as a file: safetensors with the architecture, and what training needs to go on, as JSON in its metadata.

docs/model-files.md describes the format; reading and writing it are the core's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latchwork import _core, data, layers, losses, metrics, optimizers, schedules
from latchwork.config import Registry, describe
from latchwork.layers.arena import Variable
from latchwork.layers.arguments import as_flag
from latchwork.layers.parameters import write_weights
from latchwork.models.compiled import Compiled
from latchwork.models.heads import Head

if TYPE_CHECKING:
    from latchwork.models.network import Network

PathLike = str | bytes | os.PathLike[Any]

LAYER_FIELDS = ("name", "trainable")  # which every layer's constructor passes on


def _named(*kinds: type) -> dict[str, type]:
    return {kind.__name__: kind for kind in kinds}


# The closed registries: what a file may name, which is what C++ runs too.
CELLS = Registry(_named(layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell, layers.StackedRNNCells), LAYER_FIELDS)
CELLS.parts["cells"] = CELLS
LAYERS = Registry(
    _named(
        layers.LSTM, layers.GRU, layers.SimpleRNN, layers.RNN, layers.Bidirectional, layers.TimeDistributed,
        layers.Dense, layers.Activation, layers.Dropout, layers.Flatten, layers.RepeatVector, layers.Masking,
        layers.Embedding, layers.LayerNormalization, layers.BatchNormalization, layers.Normalization, layers.Conv1D,
        layers.MaxPooling1D, layers.AveragePooling1D, layers.GlobalMaxPooling1D, layers.GlobalAveragePooling1D,
        layers.SpatialDropout1D, layers.GaussianNoise, layers.Reshape, layers.Permute,
        layers.Concatenate, layers.Add, layers.Subtract, layers.Multiply, layers.Average,
        layers.Maximum, layers.Minimum, layers.Dot, layers.Attention, layers.AdditiveAttention,
        layers.MultiHeadAttention,
    ),
    LAYER_FIELDS,
    numbers=("mask_value",),
)  # fmt: skip
LAYERS.parts.update(layer=LAYERS, backward_layer=LAYERS, cell=CELLS)
SCHEDULES = Registry(schedules.CLASSES)
SCHEDULES.parts["learning_rate"] = SCHEDULES
OPTIMIZERS = Registry(optimizers.CLASSES, parts={"learning_rate": SCHEDULES})
METRICS = Registry(metrics.CLASSES)
LOSSES = Registry(losses.CLASSES, numbers=("mask_value",))
LOSSES.parts["loss"] = METRICS.parts["loss"] = LOSSES
EXTRAS = Registry({"StandardScaler": data.StandardScaler})


def as_path(path: PathLike) -> bytes:
    """The path as bytes; files of models end in .safetensors."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise ValueError(f"path must be a path, got {path!r}")
    found = os.fsencode(path)
    _core.check_suffix(found)
    return found


def shown(path: PathLike) -> str:
    """The path as errors write it."""
    return f'"{os.fsdecode(path)}"'


def save(model: Network, path: PathLike, include_optimizer: bool, extras: Mapping[str, Any] | None) -> None:
    """Write the whole model; see `Sequential.save`."""
    target = as_path(path)
    described, tensors = _extras(model.extras if extras is None else extras)
    with_training = as_flag(include_optimizer, "include_optimizer", "save")
    model.build()
    metadata = {"model": _core.json_text(model_fields(model))}
    if with_training and model._compiled is not None:
        metadata["training"] = _core.json_text(_training_fields(model, model._compiled))
        slots = model._compiled.optimizer.slots
        tensors = [*((f"optimizer.{name}", values) for name, values in slots.items()), *tensors]
    if described:
        metadata["extras"] = _core.json_text(described)
    _core.write_safetensors(target, [*weights(model), *tensors], _core.FORMAT | metadata)


def save_weights(model: Network, path: PathLike) -> None:
    """Write the parameters alone; see `Sequential.save_weights`."""
    target = as_path(path)
    _core.write_safetensors(target, weights(model), _core.FORMAT)


def load_weights(model: Network, path: PathLike) -> None:
    """Read the parameters; see `Sequential.load_weights`."""
    file = _core.SafetensorsFile(as_path(path))
    model.build()
    write_weights(model.layers, read_weights(file, shown(path), named(model)))


def weights(model: Network) -> list[tuple[str, NDArray[Any]]]:
    return [(variable.name, variable.value) for variable in model.variables]


def named(model: Network) -> dict[str, Variable]:
    """The variables that the layers have declared, by the names they have in files."""
    return {f"{layer.name}/{variable.key}": variable for layer in model.layers for variable in layer.variables}


def read_weights(file: _core.SafetensorsFile, path: str, variables: Mapping[str, Variable]) -> list[NDArray[Any]]:
    """The file's tensors for these variables: all of them, of the right shapes, and no others."""
    for name in file.tensors:
        if name not in variables and ("/" in name or not name.startswith(("optimizer.", "extras."))):
            raise ValueError(f"{path}: no layer has a tensor {name!r}; there are {', '.join(variables)}")
    return [read_tensor(file, path, name, variable.shape, variable.value.dtype) for name, variable in variables.items()]


def read_tensor(
    file: _core.SafetensorsFile, path: str, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """One tensor, which must be there with this shape and dtype: checked before it is read."""
    expected, found = ("F64" if dtype == np.float64 else "F32", shape), file.find(name)
    if found != expected:
        got = "no such tensor" if found is None else "{} of shape {}".format(*found)
        raise ValueError(f"{path}: tensor {name!r} must be {expected[0]} of shape {shape}, got {got}")
    return file.read(name)


def model_fields(model: Network) -> dict[str, Any]:
    """The architecture: the metadata's "model"."""
    common = {"class": type(model).__name__, "name": model.name, "dtype": str(model.dtype)}
    return common | model._fields() | {"layers": [describe(layer, LAYERS) for layer in model.layers]}


def _training_fields(model: Network, compiled: Compiled) -> dict[str, Any]:
    """What `compile` was told and how far training has come: the metadata's "training"."""
    assert model._arena is not None
    compiled.begin(model._arena)  # its moments exist, and are this model's
    return {
        "optimizer": describe(compiled.optimizer, OPTIMIZERS),
        "iterations": compiled.optimizer.iterations,
        **_heads(model, compiled.heads),
        "epochs_trained": model.epochs_trained,
        "seed": model._seed(),
    }


def _heads(model: Network, heads: Sequence[Head]) -> dict[str, Any]:
    """What outputs are trained on: of a Sequential its own, of a graph a list each."""
    losses_of = [None if head.loss is None else describe(head.loss, LOSSES) for head in heads]
    metrics_of = [
        [metric if isinstance(metric, str) else describe(metric, METRICS) for metric in head.metrics.values()]
        for head in heads
    ]
    weights_of = [head.weight for head in heads]
    if model.is_graph:
        return {"loss": losses_of, "loss_weights": weights_of, "metrics": metrics_of}
    weight = {} if weights_of == [1.0] else {"loss_weights": weights_of[0]}
    return {"loss": losses_of[0], **weight, "metrics": metrics_of[0]}


def _extras(extras: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, NDArray[Any]]]]:
    """Descriptions by name, and tensors, of what travels with a model."""
    if not isinstance(extras, Mapping):
        raise ValueError(f"extras must be a dict of names and scalers, got {extras!r}")
    described: dict[str, Any] = {}
    tensors: list[tuple[str, NDArray[Any]]] = []
    for name, extra in extras.items():
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(f"extras must be named by texts without '/', got {name!r}")
        described[name] = describe(extra, EXTRAS)
        if not hasattr(extra, "mean_"):
            raise ValueError(f"extras[{name!r}] is not fitted yet: call its fit(x) first")
        tensors += [(f"extras.{name}.{field}", np.ascontiguousarray(getattr(extra, field))) for field in SCALER_FIELDS]
    return described, tensors


SCALER_FIELDS = ("mean_", "scale_")
