"""A model from its file."""

from __future__ import annotations

from typing import Any

import numpy as np

from latchwork import _core, random
from latchwork.config import as_object, check_keys, rebuild
from latchwork.data.series import as_count
from latchwork.layers.input import Input
from latchwork.models.compiled import Compiled
from latchwork.models.saving import (
    EXTRAS,
    LAYERS,
    LOSSES,
    METRICS,
    OPTIMIZERS,
    SCALER_FIELDS,
    PathLike,
    as_path,
    named,
    read_tensor,
    read_weights,
    shown,
)
from latchwork.models.sequential import Sequential


def load_model(path: PathLike) -> Sequential:
    """The model that `model.save` wrote: its layers, weights, compile settings, optimizer's state and extras.

    It predicts the same bits, and training goes on with the same bits as if it had never been interrupted: the moments,
    the counts of steps and epochs, and the seed of shuffles and masks come back (a later `lw.set_seed` sets another).

    The extras are in `model.extras`, a dict.

    Args:
        path: Ends in ".safetensors". The file is data, never code: its layers come from a closed list, its fields are
            checked, nothing is imported by name.

    Raises:
        OSError: The file cannot be read.
        ValueError: Anything else that is not right: the message names the file, the tensor or field, what was expected
            and what came.

    >>> import os, tempfile
    >>> import numpy as np
    >>> import latchwork as lw
    >>> model = lw.models.Sequential([lw.layers.LSTM(4, input_shape=(5, 1)), lw.layers.Dense(1)])
    >>> x = np.ones((2, 5, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "m.safetensors"))
    ...     again = lw.models.load_model(os.path.join(folder, "m.safetensors"))
    >>> bool((again.predict(x) == model.predict(x)).all())
    True
    """
    file, name = _core.SafetensorsFile(as_path(path)), shown(path)
    file.check_format()
    model = _model(file, name)
    if "training" in file.metadata:
        _resume(model, file, name)
    if "extras" in file.metadata:
        model.extras = _extras(file, name)
    _check_names(model, file, name)
    return model


def _model(file: _core.SafetensorsFile, path: str) -> Sequential:
    """The layers, built and with their weights. Nothing is allocated before a tensor of the file has that size."""
    where = f"{path}: model"
    fields = as_object(file.description("model"), where)
    check_keys(fields, ("class", "name", "dtype", "input_shape", "layers"), where)
    if fields["class"] != "Sequential":
        raise ValueError(f"{where}: class must be 'Sequential', got {fields['class']!r}")
    if not isinstance(fields["name"], str) or not isinstance(fields["layers"], list):
        raise ValueError(f"{where}: name must be a text and layers a list")
    if fields["dtype"] not in ("float32", "float64"):
        raise ValueError(f"{where}: dtype must be 'float32' or 'float64', got {fields['dtype']!r}")
    if not isinstance(fields["input_shape"], list):
        raise ValueError(f"{where}: input_shape must be a list, got {fields['input_shape']!r}")
    found = [rebuild(layer, LAYERS, f"{where}: layers[{i}]") for i, layer in enumerate(fields["layers"])]
    try:
        model = Sequential([Input(fields["input_shape"]), *found], name=fields["name"], dtype=fields["dtype"])
        if not found:
            model.build()  # raises
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    variables = named(model)
    for variable in variables.values():
        variable.value = np.empty(0, model.dtype)
    for variable, value in zip(variables.values(), read_weights(file, path, variables), strict=True):
        variable.value, variable.bound = value, True
    model.build()
    return model


def _resume(model: Sequential, file: _core.SafetensorsFile, path: str) -> None:
    """Compile as the file says, and put back how far training had come."""
    where = f"{path}: training"
    fields = as_object(file.description("training"), where)
    check_keys(fields, ("optimizer", "iterations", "loss", "metrics", "epochs_trained", "seed"), where)
    if not isinstance(fields["metrics"], list):
        raise ValueError(f"{where}: metrics must be a list, got {fields['metrics']!r}")
    optimizer = rebuild(fields["optimizer"], OPTIMIZERS, f"{where}: optimizer")
    loss = None if fields["loss"] is None else rebuild(fields["loss"], LOSSES, f"{where}: loss")
    measured = [
        metric if isinstance(metric, str) else rebuild(metric, METRICS, f"{where}: metrics[{i}]")
        for i, metric in enumerate(fields["metrics"])
    ]
    counts = {name: _count(fields[name], f"{where}: {name}") for name in ("iterations", "epochs_trained", "seed")}
    try:
        model.compile(optimizer, loss, measured)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    arena, compiled = model._arena, model._compiled
    assert arena is not None
    assert isinstance(compiled, Compiled)
    slots = {
        slot: read_tensor(file, path, f"optimizer.{slot}", arena.params.shape, arena.dtype)
        for slot in optimizer.slot_names
    }
    compiled.resume(arena, counts["iterations"], slots)
    model.epochs_trained = counts["epochs_trained"]
    model._seed = random.resumed(counts["seed"])


def _count(value: Any, where: str) -> int:
    bits = 64 if where.endswith("seed") else 48  # counts that no training reaches
    number = as_count(value, where, 0)
    if number >= 1 << bits:
        raise ValueError(f"{where} must be below 2^{bits}, got {number}")
    return number


def _extras(file: _core.SafetensorsFile, path: str) -> dict[str, Any]:
    where = f"{path}: extras"
    extras = {}
    for name, described in as_object(file.description("extras"), where).items():
        extras[name] = scaler = rebuild(described, EXTRAS, f"{where}: {name!r}")
        for field in SCALER_FIELDS:
            tensor = f"extras.{name}.{field}"
            kind, shape = file.find(tensor) or ("no such tensor", ())
            if kind != "F64" or len(shape) != 1:
                raise ValueError(f"{path}: tensor {tensor!r} must be F64 of shape (F,), got {kind} {shape or ''}")
            setattr(scaler, field, file.read(tensor))
        if scaler.mean_.shape != scaler.scale_.shape:
            raise ValueError(f"{where}: {name!r} must have as many scales as means")
    return extras


def _check_names(model: Sequential, file: _core.SafetensorsFile, path: str) -> None:
    """Tensors that nothing in the file speaks of are errors."""
    slots = () if model._compiled is None else model._compiled.optimizer.slot_names
    known = {*named(model), *(f"optimizer.{slot}" for slot in slots)}
    known |= {f"extras.{name}.{field}" for name in model.extras for field in SCALER_FIELDS}
    for name in file.tensors:
        if name not in known:
            raise ValueError(f"{path}: tensor {name!r} belongs to nothing that the file describes")
