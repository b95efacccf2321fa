"""A model from its file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from latchwork import _core, random
from latchwork.config import as_object, check_keys, rebuild
from latchwork.data.series import as_count
from latchwork.layers.base import Layer
from latchwork.layers.input import Input
from latchwork.layers.symbol import call_on_symbols
from latchwork.models.compiled import Compiled
from latchwork.models.model import Model
from latchwork.models.network import Network
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


def load_model(path: PathLike) -> Network:
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


def _model(file: _core.SafetensorsFile, path: str) -> Network:
    """The layers, built and with their weights. Nothing is allocated before a tensor of the file has that size."""
    where = f"{path}: model"
    fields = as_object(file.description("model"), where)
    kind = fields.get("class")
    if kind not in ("Sequential", "Model"):
        raise ValueError(f"{where}: class must be 'Sequential' or 'Model', got {kind!r}")
    check_keys(fields, ("class", "name", "dtype", *(ROW if kind == "Sequential" else GRAPH), "layers"), where)
    if not isinstance(fields["name"], str) or not isinstance(fields["layers"], list):
        raise ValueError(f"{where}: name must be a text and layers a list")
    if fields["dtype"] not in ("float32", "float64"):
        raise ValueError(f"{where}: dtype must be 'float32' or 'float64', got {fields['dtype']!r}")
    found = [rebuild(layer, LAYERS, f"{where}: layers[{i}]") for i, layer in enumerate(fields["layers"])]
    model = _row(fields, found, where) if kind == "Sequential" else _graph(fields, found, where)
    variables = named(model)
    for variable in variables.values():
        variable.value = np.empty(0, model.dtype)
    for variable, value in zip(variables.values(), read_weights(file, path, variables), strict=True):
        variable.value, variable.bound = value, True
    model.build()
    return model


ROW = ("input_shape",)
GRAPH = ("inputs", "nodes", "outputs")


def _row(fields: dict[str, Any], found: list[Layer], where: str) -> Network:
    if not isinstance(fields["input_shape"], list):
        raise ValueError(f"{where}: input_shape must be a list, got {fields['input_shape']!r}")
    try:
        model = Sequential([Input(fields["input_shape"]), *found], name=fields["name"], dtype=fields["dtype"])
        if not found:
            model.build()  # raises
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return model


def _graph(fields: dict[str, Any], found: list[Layer], where: str) -> Network:
    """The layers, called on each other as the nodes say. A node reads slots that are filled before: no cycles."""
    symbols: list[Any] = []
    for i, described in enumerate(_list_of(fields, "inputs", where)):
        at = f"{where}: inputs[{i}]"
        given = as_object(described, at)
        check_keys(given, ("name", "shape"), at)
        if not isinstance(given["name"], str) or not isinstance(given["shape"], list):
            raise ValueError(f"{at}: name must be a text and shape a list")
        symbols.append(_tried(at, Input, given["shape"], name=given["name"]))
    count = len(symbols)
    layers_left = list(range(len(found)))
    for i, described in enumerate(_list_of(fields, "nodes", where)):
        at = f"{where}: nodes[{i}]"
        node = as_object(described, at)
        check_keys(node, ("layer", "x", "initial_state"), at)
        number = _reference(node["layer"], len(found), f"{at}: layer")
        if number in layers_left and layers_left.pop(0) != number:
            raise ValueError(f"{at}: layer must be the first one that no node has called yet, got {number}")
        layer = found[number]
        x, states = (
            [symbols[_reference(slot, len(symbols), f"{at}: {name}")] for slot in _list_of(node, name, at)]
            for name in ("x", "initial_state")
        )
        if not x or (len(x) > 1 and not layer.many_inputs):
            raise ValueError(f"{at}: x must be {'slots' if layer.many_inputs else 'one slot'}, got {len(x)}")
        if states and not layer.state_sizes:
            raise ValueError(f"{at}: initial_state must be empty for a layer without states, got {len(states)}")
        read = x if layer.many_inputs else x[0]
        made = _tried(at, call_on_symbols, layer, read, states or None)
        symbols += made if isinstance(made, list) else [made]
    if layers_left:
        raise ValueError(f"{where}: layers[{layers_left[0]}] is called by no node")
    slots = _list_of(fields, "outputs", where)
    outputs = [symbols[_reference(slot, len(symbols), f"{where}: outputs")] for slot in slots]
    model = _tried(where, Model, symbols[:count], outputs, name=fields["name"], dtype=fields["dtype"])
    for name, value in model._fields().items():
        if value != fields[name]:
            raise ValueError(f"{where}: {name} must be {value}, got {fields[name]}: every node must reach an output")
    network: Network = model
    return network


def _tried(where: str, make: Callable[..., Any], *given: Any, **named: Any) -> Any:
    try:
        return make(*given, **named)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _list_of(fields: dict[str, Any], name: str, where: str) -> list[Any]:
    if not isinstance(fields[name], list):
        raise ValueError(f"{where}: {name} must be a list, got {fields[name]!r}")
    found: list[Any] = fields[name]
    return found


def _reference(value: Any, count: int, where: str) -> int:
    """The number of one of `count` things that are there already."""
    if type(value) is not int or not 0 <= value < count:
        raise ValueError(f"{where} must be a number from 0 to {count - 1}, of what stands before it, got {value!r}")
    return value


def _resume(model: Network, file: _core.SafetensorsFile, path: str) -> None:
    """Compile as the file says, and put back how far training had come."""
    where = f"{path}: training"
    fields = as_object(file.description("training"), where)
    weights = ("loss_weights",) if model.is_graph or "loss_weights" in fields else ()
    check_keys(fields, ("optimizer", "iterations", "loss", *weights, "metrics", "epochs_trained", "seed"), where)
    optimizer = rebuild(fields["optimizer"], OPTIMIZERS, f"{where}: optimizer")
    told: dict[str, Any]
    if model.is_graph:
        count = len(model.output_names)
        given = {name: _list_of(fields, name, where) for name in ("loss", "loss_weights", "metrics")}
        for name, found in given.items():
            if len(found) != count:
                raise ValueError(f"{where}: {name} must have {count} entries, one an output, got {len(found)}")
        told = {
            "loss": [_loss(each, f"{where}: loss[{i}]") for i, each in enumerate(given["loss"])],
            "metrics": [_metrics(each, f"{where}: metrics[{i}]") for i, each in enumerate(given["metrics"])],
            "loss_weights": [
                _loss_weight(each, loss is not None, f"{where}: loss_weights[{i}]")
                for i, (each, loss) in enumerate(zip(given["loss_weights"], given["loss"], strict=True))
            ],
        }
    else:
        told = {
            "loss": _loss(fields["loss"], f"{where}: loss"),
            "metrics": _metrics(fields["metrics"], f"{where}: metrics"),
        }
        if weights:
            told["loss_weights"] = _loss_weight(
                fields["loss_weights"], told["loss"] is not None, f"{where}: loss_weights"
            )
    counts = {name: _count(fields[name], f"{where}: {name}") for name in ("iterations", "epochs_trained", "seed")}
    try:
        model.compile(optimizer, **told)
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


def _loss(described: Any, where: str) -> Any:
    return None if described is None else rebuild(described, LOSSES, where)


def _metrics(described: Any, where: str) -> list[Any]:
    if not isinstance(described, list):
        raise ValueError(f"{where} must be a list, got {described!r}")
    return [
        metric if isinstance(metric, str) else rebuild(metric, METRICS, f"{where}[{i}]")
        for i, metric in enumerate(described)
    ]


def _loss_weight(value: Any, has_loss: bool, where: str) -> float | None:
    """None where the output has no loss: its weight is then 1, as `compile` leaves it."""
    if type(value) is not float or (not has_loss and value != 1.0):
        raise ValueError(f"{where} must be a number with a point{'' if has_loss else ', 1.0'}, got {value!r}")
    return value if has_loss else None


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


def _check_names(model: Network, file: _core.SafetensorsFile, path: str) -> None:
    """Tensors that nothing in the file speaks of are errors."""
    slots = () if model._compiled is None else model._compiled.optimizer.slot_names
    known = {*named(model), *(f"optimizer.{slot}" for slot in slots)}
    known |= {f"extras.{name}.{field}" for name in model.extras for field in SCALER_FIELDS}
    for name in file.tensors:
        if name not in known:
            raise ValueError(f"{path}: tensor {name!r} belongs to nothing that the file describes")
