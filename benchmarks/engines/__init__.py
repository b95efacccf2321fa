"""The engines compared. Each module runs in a process of its own (worker.py) and offers

- `layer(row, arrays, threads) -> Prepared`: a call to time and the results to compare first. NotImplementedError: the
  engine has nothing for such a row;
- `program(threads) -> tutorial.Program`: the tutorials' program, for those that train.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from arrays import Results


@dataclass
class Prepared:
    run: Callable[[], object]
    results: Callable[[], Results]
    enter: Callable[[], object] = lambda: None  # before each turn: sets the thread count
    nanoseconds: Callable[[], int] = lambda: 0  # a counter of time inside the engine, where it has one
    steps: int = 1  # that one run takes: times are for one of them


@dataclass(frozen=True)
class Engine:
    name: str
    module: str  # in this folder
    needs: tuple[str, ...]  # modules that must be there, and whose versions are printed
    environment: tuple[tuple[str, str], ...] = ()
    threads_at_start: bool = False  # its thread count is fixed when its process starts

    @property
    def installed(self) -> bool:
        return all(find_spec(module) for module in self.needs)


def _keras(backend: str) -> Engine:
    environment = (("KERAS_BACKEND", backend), ("TF_CPP_MIN_LOG_LEVEL", "3"), ("CUDA_VISIBLE_DEVICES", ""))
    return Engine(f"keras-{backend}", "keras", ("keras", backend), environment, threads_at_start=True)


OWN = Engine("latchwork", "latchwork", ("latchwork",))
TORCH = Engine("torch", "torch", ("torch",))
LAYER_PEERS = (
    TORCH,
    Engine("onnxruntime", "onnxruntime", ("onnxruntime", "onnx")),
    Engine("openvino", "openvino", ("openvino", "onnx")),
)
PROGRAM_PEERS = (_keras("tensorflow"), _keras("jax"), TORCH)
ENGINES = {engine.name: engine for engine in (OWN, *LAYER_PEERS, *PROGRAM_PEERS)}
