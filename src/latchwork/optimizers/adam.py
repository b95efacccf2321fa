"""Adam and its kin: AdamW, Nadam, Lion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from latchwork import _core
from latchwork.optimizers.base import Optimizer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(eq=False, repr=False)
class Adam(Optimizer):
    """m += (1 - beta_1)(g - m), v += (1 - beta_2)(g^2 - v), w -= a m / (sqrt(v) + epsilon) with
    a = lr sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t (D. Kingma, J. Ba, 2015; formulas and defaults of Keras 3).

    Args:
        learning_rate: Default 0.001.
        beta_1, beta_2: In [0, 1), default 0.9 and 0.999.
        epsilon: Outside the root, default 1e-7.
        amsgrad: Default False; else the largest v so far stands for v (S. Reddi et al., 2018).
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ...: See `Optimizer`.

    Example:
        >>> import numpy as np
        >>> w = np.array([1.0])
        >>> Adam(0.25, epsilon=0.0).update(w, np.array([3.0]))
        >>> round(w.item(), 12)
        0.75
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False
    _below_one = ("beta_1", "beta_2")
    _not_negative = ("epsilon",)

    @property
    def moments(self) -> tuple[str, ...]:
        return ("momentum", "velocity", "velocity_hat")[: 3 if self.amsgrad else 2]

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        _core.adam_update(
            params,
            grads,
            slots[0],
            slots[1],
            slots[2] if self.amsgrad else None,
            step=self.iterations + 1,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay or 0.0,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )


@dataclass(eq=False, repr=False)
class AdamW(Adam):
    """`Adam` with decoupled weight decay, w -= lr weight_decay w before the step (I. Loshchilov, F. Hutter, 2019).

    Args:
        learning_rate: Default 0.001.
        weight_decay: Default 0.004; by keyword.
        beta_1, beta_2, epsilon, amsgrad: As in `Adam`.
        clipnorm, clipvalue, global_clipnorm, use_ema, ...: See `Optimizer`.

    Example:
        >>> import numpy as np
        >>> w = np.array([1.0])
        >>> AdamW(0.5, weight_decay=0.5).update(w, np.array([0.0]))
        >>> w
        array([0.75])
    """

    weight_decay: float | None = field(default=0.004, kw_only=True)


@dataclass(eq=False, repr=False)
class Nadam(Optimizer):
    """`Adam` with Nesterov's momentum (T. Dozat, 2016; formulas and defaults of Keras 3).

    With u_t = beta_1 (1 - 0.96^t / 2) at step t, P_t the product of u_1 to u_t, and m and v of Adam:
    w -= lr (u_{t+1} m / (1 - P_{t+1}) + (1 - u_t) g / (1 - P_t)) / (sqrt(v / (1 - beta_2^t)) + epsilon).

    Args:
        learning_rate: Default 0.001.
        beta_1, beta_2: In [0, 1), default 0.9 and 0.999.
        epsilon: Outside the root, default 1e-7.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ...: See `Optimizer`.

    Example:
        >>> import numpy as np
        >>> w = np.array([1.0])
        >>> Nadam(0.25, beta_1=0.0, epsilon=0.0).update(w, np.array([3.0]))
        >>> round(w.item(), 12)
        0.75
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    _below_one = ("beta_1", "beta_2")
    _not_negative = ("epsilon",)

    @property
    def moments(self) -> tuple[str, ...]:
        return ("momentum", "velocity")

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        self._rule("nadam", params, grads, slots, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)


@dataclass(eq=False, repr=False)
class Lion(Optimizer):
    """w -= lr sign(beta_1 m + (1 - beta_1) g), then m = beta_2 m + (1 - beta_2) g (X. Chen et al., 2023; Keras 3).

    Args:
        learning_rate: Default 0.001: every step moves every weight by it.
        beta_1, beta_2: In [0, 1], default 0.9 and 0.99.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ...: See `Optimizer`.

    Example:
        >>> import numpy as np
        >>> w = np.array([1.0, 2.0])
        >>> Lion(0.25).update(w, np.array([3.0, -0.1]))
        >>> w
        array([0.75, 2.25])
    """

    beta_1: float = 0.9
    beta_2: float = 0.99
    _up_to_one = ("beta_1", "beta_2")

    @property
    def moments(self) -> tuple[str, ...]:
        return ("momentum",)

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        self._rule("lion", params, grads, slots, beta_1=self.beta_1, beta_2=self.beta_2)
