"""torch with time first, its own order. Its inference of nn.LSTM goes through oneDNN: there is no other way to that."""

from __future__ import annotations

import numpy as np
import torch

import tutorial
from arrays import Arrays, Results, back_in_order
from engines import Prepared
from rows import Row

MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}


def _time_first(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.swapaxes(0, 1).copy())


def _module(row: Row, arrays: Arrays) -> torch.nn.RNNBase:
    module = MODULES[row.cell](row.I, row.H, num_layers=row.layers, bidirectional=row.bidirectional)
    parameters = iter(module.parameters())  # of each layer, of each direction: two kernels, two biases
    with torch.no_grad():
        for directions in arrays.weights:
            for w in directions:
                kernel, recurrent_kernel, biases = w.reordered("torch")
                for array in (kernel, recurrent_kernel, *biases):
                    next(parameters).copy_(torch.from_numpy(array))
    return module


def layer(row: Row, arrays: Arrays, threads: int) -> Prepared:
    module = _module(row, arrays)
    make = _stream if row.kind == "stream" else _train if row.kind == "training" else _infer
    prepared = make(row, arrays, module)
    prepared.enter = lambda: torch.set_num_threads(threads)
    return prepared


def _infer(row: Row, arrays: Arrays, module: torch.nn.RNNBase) -> Prepared:
    x = _time_first(arrays.x)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return module(x)[0]

    return Prepared(run, lambda: {"y": run().numpy().swapaxes(0, 1)})


def _train(row: Row, arrays: Arrays, module: torch.nn.RNNBase) -> Prepared:
    x, dy = _time_first(arrays.x), _time_first(arrays.dy)
    if row.ragged:
        lengths = torch.from_numpy(row.lengths)
        pack = torch.nn.utils.rnn.pack_padded_sequence
        dy = pack(dy, lengths, enforce_sorted=False).data
        packed = pack(x, lengths, enforce_sorted=False)
        x = packed.data.requires_grad_()
        operand: object = packed._replace(data=x)
    else:
        operand = x.requires_grad_()

    def run() -> object:
        module.zero_grad(set_to_none=True)
        x.grad = None
        y, _ = module(operand)
        (y.data if row.ragged else y).backward(dy)
        return y

    def padded(rows: torch.Tensor) -> np.ndarray:
        whole, _ = torch.nn.utils.rnn.pad_packed_sequence(packed._replace(data=rows))
        return whole.detach().numpy().swapaxes(0, 1)

    def results() -> Results:
        y = run()
        if row.ragged:
            named = {"y": padded(y.data), "dx": padded(x.grad)}
        else:
            named = {"y": y.detach().numpy().swapaxes(0, 1), "dx": x.grad.numpy().swapaxes(0, 1)}
        if row.layers * row.directions == 1:
            kernel, recurrent_kernel = (p.grad.numpy() for p in list(module.parameters())[:2])
            named["kernel"] = back_in_order(kernel, "torch", row.cell)
            named["recurrent_kernel"] = back_in_order(recurrent_kernel, "torch", row.cell)
        return named

    return Prepared(run, results)


def _stream(row: Row, arrays: Arrays, module: torch.nn.RNNBase) -> Prepared:
    steps = _time_first(arrays.x).split(1)
    state = None

    def run(x: torch.Tensor = steps[0]) -> torch.Tensor:
        nonlocal state
        with torch.inference_mode():
            y, state = module(x, state)
            return y

    def results() -> Results:
        nonlocal state
        state = None
        return {f"y{t}": run(step)[0].numpy().copy() for t, step in enumerate(steps)}

    return Prepared(run, results)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.dense = torch.nn.LSTM(1, 50, batch_first=True), torch.nn.Linear(50, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.lstm(x)[0][:, -1])


class Tutorial(tutorial.Program):
    """The loop written by hand, with the fused Adam of Keras' epsilon."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.net, self.loss = Net(), torch.nn.MSELoss()
        kernel, recurrent_kernel, bias, dense, dense_bias = (torch.from_numpy(w) for w in tutorial.weights())
        values = (kernel.T, recurrent_kernel.T, bias, torch.zeros_like(bias), dense.T, dense_bias)
        with torch.no_grad():
            for parameter, value in zip(self.net.parameters(), values, strict=True):
                parameter.copy_(value)
        self.optimizer = torch.optim.Adam(self.net.parameters(), eps=1e-7, fused=True)
        self.X, self.y = (torch.from_numpy(a) for a in tutorial.data())

    def epoch(self, *, shuffle: bool) -> None:
        order = torch.randperm(tutorial.N) if shuffle else torch.arange(tutorial.N)
        for batch in order.split(tutorial.BATCH):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.net(self.X[batch]), self.y[batch]).backward()
            self.optimizer.step()

    def evaluate(self) -> object:
        with torch.inference_mode():
            return self.loss(self.net(self.X), self.y).item()

    def predict(self, samples: int) -> np.ndarray:
        with torch.inference_mode():
            return self.net(self.X[:samples]).numpy()


def program(threads: int) -> tutorial.Program:
    return Tutorial(threads)
