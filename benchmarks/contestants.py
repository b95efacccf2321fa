"""One recurrent layer in each engine, with the same weights: a call to time, and results to compare before timing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from latchwork import _core
from latchwork import functional as F
from rows import GATES, Row

Results = dict[str, np.ndarray]
Contestant = tuple[Callable[[], object], Callable[[], Results]]  # the call to time; y and gradients


class Weights:
    """Float32 weights in latchwork's layout and the x, dy that go with them, batch first."""

    def __init__(self, row: Row) -> None:
        rng = np.random.default_rng(0)
        gates, bound = GATES[row.cell], 1 / np.sqrt(row.H)

        def draw(*shape: int) -> np.ndarray:
            return rng.uniform(-bound, bound, shape).astype(np.float32)

        self.kernel, self.recurrent_kernel = draw(row.I, gates * row.H), draw(row.H, gates * row.H)
        self.bias = draw(2, 3 * row.H) if row.cell == "gru" else draw(gates * row.H)
        self.x = rng.uniform(-1, 1, (row.B, row.T, row.I)).astype(np.float32)
        self.dy = rng.uniform(-1, 1, (row.B, row.T, row.H)).astype(np.float32)

    def reordered(self, order: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights with the gates in another order, as other engines keep them: [G*H, I], [G*H, H], two biases."""

        def pick(array: np.ndarray) -> np.ndarray:
            blocks = np.split(array, len(order), axis=-1)
            return np.concatenate([blocks[g] for g in order], axis=-1)

        biases = self.bias if self.bias.ndim == 2 else np.stack([self.bias, np.zeros_like(self.bias)])
        return pick(self.kernel).T.copy(), pick(self.recurrent_kernel).T.copy(), pick(biases)


def latchwork(row: Row, w: Weights) -> Contestant:
    forward, backward = {
        "lstm": (F.lstm, F.lstm_backward),
        "gru": (F.gru, F.gru_backward),
        "rnn": (F.rnn, F.rnn_backward),
    }[row.cell]
    weights = _core.RecurrentWeights({"rnn": "elman"}.get(row.cell, row.cell), w.kernel, w.recurrent_kernel, w.bias)

    def train() -> Results:
        weights.touch()  # a training step has just written them: packing them anew belongs to its cost
        y, _, ctx = forward(w.x, weights)
        g = backward(ctx, w.dy)
        return {"y": y, "dx": g.x, "kernel": g.kernel, "recurrent_kernel": g.recurrent_kernel}

    def infer() -> Results:
        return {"y": forward(w.x, weights, training=False)[0]}

    run = train if row.training else infer
    return run, run


def torch(row: Row, w: Weights) -> Contestant:
    """torch with time first, its own order; LSTM inference goes through oneDNN."""
    import torch

    module_class = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[row.cell]
    order = {"lstm": [0, 1, 2, 3], "gru": [1, 0, 2], "rnn": [0]}[row.cell]
    module = module_class(row.I, row.H)
    parameters = (module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0, module.bias_hh_l0)
    kernel, recurrent_kernel, biases = w.reordered(order)
    with torch.no_grad():
        for parameter, array in zip(parameters, (kernel, recurrent_kernel, *biases), strict=True):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    x = torch.from_numpy(w.x.swapaxes(0, 1).copy()).requires_grad_(row.training)
    dy = torch.from_numpy(w.dy.swapaxes(0, 1).copy())

    def train() -> object:
        module.zero_grad(set_to_none=True)
        x.grad = None
        y, _ = module(x)
        y.backward(dy)
        return y

    def infer() -> object:
        with torch.inference_mode():
            return module(x)[0]

    def results() -> Results:
        y = (train if row.training else infer)()
        named = {"y": y.detach().numpy().swapaxes(0, 1)}
        if row.training:
            back = np.argsort(order)
            gradients = [
                np.concatenate([np.split(p.grad.numpy(), len(order))[g] for g in back]).T for p in parameters[:2]
            ]
            named |= {"dx": x.grad.numpy().swapaxes(0, 1), "kernel": gradients[0], "recurrent_kernel": gradients[1]}
        return named

    return (train if row.training else infer), results


def onnxruntime(row: Row, w: Weights, threads: int) -> Contestant:
    """One ONNX node; forward only, time first as the standard has it."""
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    kind, order = {"lstm": ("LSTM", [0, 3, 1, 2]), "gru": ("GRU", [0, 1, 2]), "rnn": ("RNN", [0])}[row.cell]
    kernel, recurrent_kernel, biases = w.reordered(order)
    constants = {"W": kernel[None], "R": recurrent_kernel[None], "B": biases.reshape(1, -1)}
    attributes = {"linear_before_reset": 1} if row.cell == "gru" else {}
    node = helper.make_node(kind, ["X", "W", "R", "B"], ["Y"], hidden_size=row.H, **attributes)
    shapes = ("X", [row.T, row.B, row.I]), ("Y", [row.T, 1, row.B, row.H])
    inputs, outputs = ([helper.make_tensor_value_info(n, TensorProto.FLOAT, s)] for n, s in shapes)
    tensors = [numpy_helper.from_array(a, n) for n, a in constants.items()]
    graph = helper.make_graph([node], "layer", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = w.x.swapaxes(0, 1).copy()

    def run() -> np.ndarray:
        return session.run(["Y"], {"X": x})[0]

    return run, lambda: {"y": run()[:, 0].swapaxes(0, 1)}


def of(row: Row, threads: int) -> dict[str, Contestant]:
    """The contestants of a row, latchwork first; those not installed are left out."""
    w = Weights(row)
    found = {"latchwork": latchwork(row, w)}
    if find_spec("torch"):
        found["torch"] = torch(row, w)
    if not row.training and find_spec("onnxruntime") and find_spec("onnx"):
        found["onnxruntime"] = onnxruntime(row, w, threads)
    return found


def check(contestants: dict[str, Contestant]) -> None:
    """Raises unless every contestant computes the same: 1e-4 of the largest value, float32 sums in other orders."""
    ours = contestants["latchwork"][1]()
    ours = {name: np.array(value) for name, value in ours.items()}
    for engine, (_, results) in contestants.items():
        for name, value in results().items():
            error = np.abs(value - ours[name]).max() / np.abs(ours[name]).max()
            if not error < 1e-4:
                raise AssertionError(f"latchwork and {engine} differ in {name} by {error:.2g} of the largest value")
