"""Types of the compiled core. Arrays are C-contiguous numpy arrays, float32 or float64, of one dtype a call."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__version__: str

# what it runs on
def isa() -> str: ...
def isas() -> list[str]: ...
def supported_isas() -> list[str]: ...
def use_isa(name: str) -> None: ...
def features() -> list[str]: ...
def num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def tolerate_late_teams(tolerated: bool) -> None: ...  # for tests: late teams are given work all the same
def nanoseconds() -> int: ...  # of computation by this thread, outside the GIL, since it began
def pool_bytes() -> int: ...  # that the core's memory pool has handed out now
def pool_peak() -> int: ...  # the most at once since reset_pool_peak
def reset_pool_peak() -> None: ...
def pool_fresh() -> int: ...  # blocks that the pool has taken from the system since the process began
def with_usual_floats(f: Callable[..., Any], *arguments: Any, **named: Any) -> Any: ...

# recurrent and dense layers
class RecurrentWeights:
    def __init__(
        self,
        cell: str,
        kernel: NDArray[Any] | None,
        recurrent_kernel: NDArray[Any] | None,
        bias: NDArray[Any] | None,
    ) -> None: ...
    def touch(self) -> None: ...
    @property
    def cell(self) -> str: ...
    @property
    def states(self) -> int: ...
    @property
    def input(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

class Context:
    @property
    def consumed(self) -> bool: ...
    @property
    def sequences(self) -> bool: ...
    @property
    def y_shape(self) -> tuple[int, ...]: ...
    @property
    def states(self) -> int: ...
    @property
    def offsets(self) -> NDArray[np.int64] | None: ...
    @property
    def cell(self) -> str: ...
    @property
    def kept_bytes(self) -> int: ...
    @property
    def plan(self) -> tuple[int, str, int, int]: ...
    @property
    def memory(self) -> str: ...

# weights, x, state, lengths, offsets, time_major, reverse, activation, recurrent_activation, return_sequences, mask,
# hold, align, out, memory
GivenCall: TypeAlias = tuple[
    RecurrentWeights,
    NDArray[Any],
    Sequence[NDArray[Any] | None],
    NDArray[Any] | None,
    NDArray[Any] | None,
    bool,
    bool,
    str,
    str,
    bool,
    NDArray[np.bool_] | None,
    bool,
    bool,
    NDArray[Any] | None,
    str | int,
]
# ctx, dy, dstate, need_dx, need_dstate, out
GivenGradients: TypeAlias = tuple[
    Context, NDArray[Any] | None, Sequence[NDArray[Any] | None], bool, bool, Sequence[NDArray[Any] | None] | None
]

def recurrent_forward(
    calls: Sequence[GivenCall], training: bool
) -> list[tuple[NDArray[Any], tuple[NDArray[Any], ...], Context | None]]: ...
def recurrent_backward(
    calls: Sequence[GivenGradients],
) -> list[
    # dx, dstate, kernel, recurrent_kernel (None for a cell without), bias
    tuple[NDArray[Any] | None, Any, NDArray[Any], Any, NDArray[Any] | None]
]: ...
def empty(shape: Sequence[int], float64: bool) -> NDArray[Any]: ...
def gather_rows(table: NDArray[Any], numbers: NDArray[np.int64]) -> NDArray[Any]: ...
def scatter_add_rows(d_rows: NDArray[Any], numbers: NDArray[np.int64], d_table: NDArray[Any]) -> None: ...
def legal_plans(
    cell: str, float64: bool, batch: int, steps: int, input: int, hidden: int, threads: int
) -> list[tuple[int, str, int, int, int, int]]: ...
def plan_costs(
    cell: str, float64: bool, batch: int, steps: int, input: int, hidden: int, threads: int
) -> list[float]: ...
def explain_calls(
    calls: Sequence[tuple[RecurrentWeights, int, int, bool, str]], training: bool
) -> list[dict[str, Any]]: ...  # weights, batch, steps, sequences, memory
def pool_size(bytes: int) -> int: ...
def recurrent_bytes(
    cell: str, float64: bool, lengths: NDArray[np.integer[Any]], input: int, hidden: int, sequences: bool
) -> dict[str, tuple[int, int, int]]: ...  # by mode: kept, work space of forward, of backward
def packed_bytes(cell: str, float64: bool, input: int, hidden: int) -> int: ...
def force_plan(plan: tuple[int, str, int, int, int, int] | None) -> None: ...

# functions of one number, of two; softmax
def unary(name: str, x: NDArray[Any]) -> NDArray[Any]: ...
def activation(name: str, x: NDArray[Any]) -> NDArray[Any]: ...
def activation_backward(name: str, y: NDArray[Any], dy: NDArray[Any]) -> NDArray[Any]: ...
def activation_names() -> list[str]: ...
def merge(name: str, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]: ...
def probe(operation: str, a: NDArray[Any], b: NDArray[Any], c: NDArray[Any]) -> NDArray[Any]: ...
def probe_names() -> list[str]: ...

# losses, optimizers, sums
def loss(
    name: str,
    y: NDArray[Any],
    y_pred: NDArray[Any],
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    delta: float = 1.0,
    gradient: bool = True,
    weight: NDArray[Any] | None = None,
    count: int | None = None,
) -> tuple[float, int, NDArray[Any] | None]: ...
def formula_loss(
    name: str,
    y: NDArray[Any],
    y_pred: NDArray[Any],
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    alpha: float = -1.0,
    gamma: float = 0.0,
    df: float = 0.0,
    min_scale: float = 0.0,
    levels: Sequence[float] = (),
    components: int = 1,
    gradient: bool = True,
    weight: NDArray[Any] | None = None,
    count: int | None = None,
) -> tuple[float, int, NDArray[Any] | None]: ...
def ctc_loss(
    labels: NDArray[np.int64],
    places: NDArray[np.int64],
    y_pred: NDArray[Any],
    steps: NDArray[np.int64],
    *,
    blank: int,
    gradient: bool = True,
    weight: NDArray[Any] | None = None,
    count: int | None = None,
) -> tuple[float, int, NDArray[Any] | None]: ...
def sgd_update(
    params: NDArray[Any],
    grads: NDArray[Any],
    velocity: NDArray[Any] | None,
    *,
    learning_rate: float,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
) -> None: ...
def rmsprop_update(
    params: NDArray[Any],
    grads: NDArray[Any],
    square: NDArray[Any],
    momenta: NDArray[Any] | None,
    average: NDArray[Any] | None,
    *,
    learning_rate: float,
    weight_decay: float,
    rho: float,
    momentum: float,
    epsilon: float,
) -> None: ...
def adam_update(
    params: NDArray[Any],
    grads: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    maximum: NDArray[Any] | None,
    *,
    step: int,
    learning_rate: float,
    weight_decay: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None: ...
def rule_update(
    name: str,
    params: NDArray[Any],
    grads: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any] | None,
    *,
    step: int,
    learning_rate: float,
    weight_decay: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None: ...
def average_update(average: NDArray[Any], params: NDArray[Any], momentum: float) -> None: ...
def power(base: float, exponent: float) -> float: ...
def half_cosine(x: float) -> float: ...
def clip_norm(grads: NDArray[Any], variables: list[tuple[int, int]], max_norm: float, together: bool) -> None: ...
def clip_value(a: NDArray[Any], limit: float) -> None: ...
def scale(a: NDArray[Any], factor: float) -> None: ...
def sum(a: NDArray[Any]) -> float: ...
def sum_squares(a: NDArray[Any]) -> float: ...
def all_finite(a: NDArray[Any]) -> bool: ...
def mean_std(a: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def softmax(x: NDArray[Any]) -> NDArray[Any]: ...
def softmax_backward(y: NDArray[Any], dy: NDArray[Any]) -> NDArray[Any]: ...

# random numbers
def philox(key: int, counter: Sequence[int]) -> list[int]: ...
def philox_uniform(
    seed: int, stream: int, shape: Sequence[int], low: float, high: float, dtype: str
) -> NDArray[Any]: ...
def philox_normal(
    seed: int, stream: int, shape: Sequence[int], mean: float, deviation: float, truncated: bool, dtype: str
) -> NDArray[Any]: ...
def orthogonal(seed: int, stream: int, rows: int, columns: int, gain: float, dtype: str) -> NDArray[Any]: ...
def permutation(seed: int, epoch: int, n: int) -> NDArray[np.int64]: ...
def dropout(
    x: NDArray[Any], rate: float, seed: int, step: int, layer: int, sample_offset: int = 0
) -> tuple[NDArray[Any], NDArray[Any]]: ...
def dropout_backward(dy: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]: ...
def gaussian_noise(
    x: NDArray[Any], deviation: float, seed: int, step: int, layer: int, sample_offset: int = 0
) -> NDArray[Any]: ...

# normalization: rows, columns
def normalize_rows(x: NDArray[Any], epsilon: float) -> tuple[NDArray[Any], NDArray[Any]]: ...
def normalize_rows_backward(
    dy: NDArray[Any], normalized: NDArray[Any], inverse: NDArray[Any], gamma: NDArray[Any] | None
) -> NDArray[Any]: ...
def affine_columns(
    x: NDArray[Any], center: NDArray[Any] | None, factor: NDArray[Any] | None, shift: NDArray[Any] | None
) -> NDArray[Any]: ...
def column_sums(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]: ...  # [2, F]: of a, of a * b
def batch_norm_backward(
    dy: NDArray[Any],
    normalized: NDArray[Any],
    factor: NDArray[Any],
    d_mean: NDArray[Any],
    d_deviation: NDArray[Any],
    real: NDArray[np.bool_] | None,
) -> NDArray[Any]: ...

# windows over steps: x_offsets, y_offsets, real, size, stride, dilation, before; arrays are [rows, F]
GivenWindows: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_] | None, int, int, int, int]

def window_frame(padding: str, steps: int, size: int, stride: int, dilation: int) -> tuple[int, int]: ...
def window_pass(  # "gather", "scatter", "max", "max_backward", "mean", "mean_backward"; what max took, or None
    name: str, a: NDArray[Any], windows: GivenWindows, which: NDArray[np.int32] | None = None
) -> tuple[NDArray[Any], NDArray[np.int32] | None]: ...

# query, key, value, query_offsets, value_offsets, query_real, value_real, keep, additive, dy, weights, d_weights
# -> y, weights; with dy the gradients of query, key, value, additive
def attention(
    given: Sequence[NDArray[Any] | None], causal: bool, want_weights: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]: ...

# model files
FORMAT: dict[str, str]

class SafetensorsFile:
    def __init__(self, path: bytes) -> None: ...
    @property
    def metadata(self) -> dict[str, str]: ...
    @property
    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]: ...
    def find(self, name: str) -> tuple[str, tuple[int, ...]] | None: ...
    def read(self, name: str) -> NDArray[Any]: ...
    def check_format(self) -> None: ...
    def description(self, key: str) -> Any: ...

def check_suffix(path: bytes) -> None: ...
def write_safetensors(path: bytes, tensors: Sequence[tuple[str, NDArray[Any]]], metadata: dict[str, str]) -> None: ...
def json_text(value: object) -> str: ...
def parse_json(text: str) -> Any: ...

class Model:
    def __init__(self, path: bytes) -> None: ...
    def predict(self, x: NDArray[Any], lengths: Sequence[int] | None = None) -> NDArray[Any]: ...
    def predict_all(self, x: Sequence[NDArray[Any]]) -> list[NDArray[Any]]: ...
    @property
    def outputs(self) -> list[str]: ...

class Session:
    def __init__(
        self, description: dict[str, Any], weights: Sequence[tuple[str, NDArray[Any]]], streams: int, threads: int = 1
    ) -> None: ...
    def step(self, x: NDArray[Any]) -> NDArray[Any]: ...
    def step_all(self, x: Sequence[NDArray[Any]]) -> list[NDArray[Any]]: ...
    def reset(self, stream: int | None = None) -> None: ...
    def state(self) -> dict[str, NDArray[Any]]: ...
    def set_state(self, states: Sequence[NDArray[Any]]) -> None: ...

def generate(
    description: dict[str, Any],
    weights: Sequence[tuple[str, NDArray[Any]]],
    prompts: NDArray[np.int64],
    lengths: Sequence[int],
    n: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    end: int,
    from_logits: bool | None,
    threads: int,
) -> NDArray[np.int64]: ...
def forecast(
    description: dict[str, Any],
    weights: Sequence[tuple[str, NDArray[Any]]],
    x: NDArray[Any],
    lengths: Sequence[int],
    horizon: int,
    known: NDArray[Any] | None,
    outputs: str,
    quantiles: Sequence[float],
    paths: int,
    min_scale: float,
    seed: int,
    threads: int,
) -> NDArray[Any]: ...
