"""ONNX Runtime: inference only. A stream's states go out and in by name."""

from __future__ import annotations

import numpy as np
import onnxruntime

from arrays import Arrays, Results
from engines import Prepared, onnx_graph
from rows import Row


def layer(row: Row, arrays: Arrays, threads: int) -> Prepared:
    if row.kind == "training" or row.ragged:
        raise NotImplementedError
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(onnx_graph.graph(row, arrays), options, providers=["CPUExecutionProvider"])
    if row.kind == "stream":
        return _stream(row, arrays, session)
    x = {"X": arrays.x.swapaxes(0, 1).copy()}
    return Prepared(lambda: session.run(["Y"], x), lambda: {"y": session.run(["Y"], x)[0].swapaxes(0, 1)})


def _stream(row: Row, arrays: Arrays, session: onnxruntime.InferenceSession) -> Prepared:
    names = onnx_graph.states(row)
    outputs = ["Y", *(f"{name}_next" for name in names)]
    zeros = {name: np.zeros((1, row.B, row.H), np.float32) for name in names}
    feed = {"X": arrays.x[:, 0][None].copy(), **zeros}

    def run() -> np.ndarray:
        y, *states = session.run(outputs, feed)
        feed.update(zip(names, states, strict=True))
        return y

    def results() -> Results:
        feed.update(zeros)
        found = {}
        for t in range(arrays.x.shape[1]):
            feed["X"] = arrays.x[:, t][None].copy()
            found[f"y{t}"] = run()[0]
        return found

    return Prepared(run, results)
