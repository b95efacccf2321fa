"""A row as an ONNX graph, for ONNX Runtime and OpenVINO: one node a layer, time first as the standard has it."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from arrays import Arrays
from rows import Row

NODES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


def states(row: Row) -> list[str]:
    """Names of what a stream carries: inputs of the graph under these names, outputs with "_next" behind."""
    if row.kind != "stream":
        return []
    return ["h", "c"] if row.cell == "lstm" else ["h"]


def graph(row: Row, arrays: Arrays) -> bytes:
    """X [T, B, I] -> Y [T, B, directions * H], and the states [1, B, H] of a stream. Serialized."""
    nodes, constants = [], []
    operand = "X"
    for layer, directions in enumerate(arrays.weights):
        parts = [w.reordered("onnx") for w in directions]
        for name, arrays_of in zip("WRB", zip(*parts, strict=True), strict=True):
            stacked = np.stack([a.reshape(-1) if name == "B" else a for a in arrays_of])
            constants.append(numpy_helper.from_array(stacked, f"{name}{layer}"))
        attributes = {"linear_before_reset": 1} if row.cell == "gru" else {}
        if row.bidirectional:
            attributes["direction"] = "bidirectional"
        inputs = [operand, f"W{layer}", f"R{layer}", f"B{layer}"] + (["", *states(row)] if states(row) else [])
        outputs = [f"each{layer}"] + [f"{state}_next" for state in states(row)]
        nodes.append(helper.make_node(NODES[row.cell], inputs, outputs, hidden_size=row.H, **attributes))
        # [T, directions, B, H] -> [T, B, directions * H]
        nodes.append(helper.make_node("Transpose", [f"each{layer}"], [f"turned{layer}"], perm=[0, 2, 1, 3]))
        operand = "Y" if layer + 1 == row.layers else f"joined{layer}"
        nodes.append(helper.make_node("Reshape", [f"turned{layer}", "shape"], [operand]))
    constants.append(numpy_helper.from_array(np.array([row.T, row.B, row.directions * row.H]), "shape"))

    def values(named: dict[str, list[int]]) -> list[object]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in named.items()]

    state = [1, row.B, row.H]
    inputs = values({"X": [row.T, row.B, row.I]} | dict.fromkeys(states(row), state))
    outputs = values({"Y": [row.T, row.B, row.directions * row.H]} | {f"{s}_next": state for s in states(row)})
    made = helper.make_graph(nodes, "layer", inputs, outputs, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()
