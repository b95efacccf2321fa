"""OpenVINO: inference only, float32 throughout (its own default is bfloat16 where the processor has it)."""

from __future__ import annotations

import numpy as np
import openvino

from arrays import Arrays, Results
from engines import Prepared, onnx_graph
from rows import Row


def layer(row: Row, arrays: Arrays, threads: int) -> Prepared:
    if row.kind == "training" or row.ragged:
        raise NotImplementedError
    core = openvino.Core()
    model = core.read_model(onnx_graph.graph(row, arrays))
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    names = onnx_graph.states(row)
    zeros = {name: np.zeros((1, row.B, row.H), np.float32) for name in names}

    def put(x: np.ndarray) -> None:
        request.set_tensor("X", openvino.Tensor(np.ascontiguousarray(x)))

    def start() -> None:
        for name, value in zeros.items():
            request.set_tensor(name, openvino.Tensor(value.copy()))

    def run() -> np.ndarray:
        request.infer()
        for name in names:
            request.get_tensor(name).copy_from(request.get_tensor(f"{name}_next"))
        return request.get_tensor("Y").data

    def results() -> Results:
        start()
        if row.kind != "stream":
            return {"y": run().swapaxes(0, 1).copy()}
        found = {}
        for t in range(arrays.x.shape[1]):
            put(arrays.x[:, t][None])
            found[f"y{t}"] = run()[0].copy()
        return found

    put(arrays.x[:, :1].swapaxes(0, 1) if row.kind == "stream" else arrays.x.swapaxes(0, 1))
    return Prepared(run, results)
