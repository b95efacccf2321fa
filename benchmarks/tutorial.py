"""The tutorials' program, LSTM(50) -> Dense(1) with Adam on 4096 windows of 32 steps, against a torch loop by hand."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from latchwork.layers import LSTM, Dense
from latchwork.models import Sequential

N, T, BATCH = 4096, 32, 32
STEPS = N // BATCH


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (N, 1))
    wave = np.sin(phase + 0.3 * np.arange(T + 1)).astype(np.float32)
    return wave[:, :T, None].copy(), wave[:, T:].copy()


def latchwork_calls() -> dict[str, Callable[[], object]]:
    X, y = data()
    model = Sequential()
    model.add(LSTM(50, input_shape=(T, 1)))
    model.add(Dense(1))
    model.compile(loss="mse", optimizer="adam")
    return {
        "training step": lambda: model.fit(X, y, epochs=1, batch_size=BATCH, verbose=0),
        "evaluate 4096": lambda: model.evaluate(X, y, verbose=0),
        "predict 1": lambda: model.predict(X[:1], verbose=0),
    }


def torch_calls() -> dict[str, Callable[[], object]]:
    import torch

    X, y = (torch.from_numpy(a) for a in data())

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.dense = torch.nn.LSTM(1, 50, batch_first=True), torch.nn.Linear(50, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.dense(self.lstm(x)[0][:, -1])

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    loss = torch.nn.MSELoss()

    def train() -> None:
        order = torch.randperm(N)
        for at in range(0, N, BATCH):
            batch = order[at : at + BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss(net(X[batch]), y[batch]).backward()
            optimizer.step()

    def evaluate() -> float:
        with torch.inference_mode():
            return loss(net(X), y).item()

    def predict() -> object:
        with torch.inference_mode():
            return net(X[:1])

    return {"training step": train, "evaluate 4096": evaluate, "predict 1": predict}


def calls() -> dict[str, dict[str, Callable[[], object]]]:
    """What to time, by line and engine; "training step" is one epoch of STEPS steps."""
    engines = {"latchwork": latchwork_calls()}
    if find_spec("torch"):
        engines["torch"] = torch_calls()
    return {line: {engine: of[line] for engine, of in engines.items()} for line in engines["latchwork"]}
