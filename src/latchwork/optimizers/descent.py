"""SGD, RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latchwork import _core
from latchwork.optimizers.base import Optimizer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(eq=False, repr=False)
class SGD(Optimizer):
    """Gradient descent: w -= lr g. With momentum, v = momentum v - lr g, then w += v; with Nesterov's,
    w += momentum v - lr g (I. Sutskever et al., 2013). Formulas and defaults of Keras 3.

    Args:
        learning_rate: Default 0.01.
        momentum: In [0, 1], default 0.
        nesterov: Default False.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ...: See `Optimizer`.

    Example:
        >>> import numpy as np
        >>> w = np.array([1.0, 2.0])
        >>> SGD(0.5).update(w, np.array([2.0, 2.0]))
        >>> w
        array([0., 1.])
    """

    learning_rate: Any = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    _up_to_one = ("momentum",)

    @property
    def moments(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        _core.sgd_update(
            params,
            grads,
            slots[0] if slots else None,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay or 0.0,
            momentum=self.momentum,
            nesterov=self.nesterov,
        )


@dataclass(eq=False, repr=False)
class RMSprop(Optimizer):
    """s = rho s + (1 - rho) g^2, w -= lr g / sqrt(s + epsilon) (T. Hinton, 2012; formulas and defaults of Keras 3).

    Args:
        learning_rate: Default 0.001.
        rho: In [0, 1], default 0.9.
        momentum: In [0, 1], default 0; else m = momentum m + the step above, w -= m.
        epsilon: Inside the root, default 1e-7.
        centered: Default False; else s - a^2 stands for s, with a = rho a + (1 - rho) g.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ...: See `Optimizer`.

    Example:
        >>> import numpy as np
        >>> w = np.array([1.0])
        >>> RMSprop(0.1, rho=0.75, epsilon=0.0).update(w, np.array([3.0]))
        >>> w
        array([0.8])
    """

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False
    _up_to_one = ("rho", "momentum")
    _not_negative = ("epsilon",)

    @property
    def moments(self) -> tuple[str, ...]:
        return (
            "velocity",
            *(("momentum",) if self.momentum else ()),
            *(("average_gradient",) if self.centered else ()),
        )

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        _core.rmsprop_update(
            params,
            grads,
            slots[0],
            slots[1] if self.momentum else None,
            slots[-1] if self.centered else None,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay or 0.0,
            rho=self.rho,
            momentum=self.momentum,
            epsilon=self.epsilon,
        )


@dataclass(eq=False, repr=False)
class Adagrad(Optimizer):
    """s += g^2, w -= lr g / sqrt(s + epsilon) (J. Duchi et al., 2011; formulas and defaults of Keras 3).

    Args:
        learning_rate: Default 0.001.
        initial_accumulator_value: What s begins with, 0 or more, default 0.1.
        epsilon: Inside the root, default 1e-7.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ...: See `Optimizer`.

    Example:
        >>> import numpy as np
        >>> w = np.array([1.0])
        >>> Adagrad(0.5, initial_accumulator_value=7.0, epsilon=0.0).update(w, np.array([3.0]))
        >>> w
        array([0.625])
    """

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7
    _not_negative = ("initial_accumulator_value", "epsilon")

    @property
    def moments(self) -> tuple[str, ...]:
        return ("accumulator",)

    def _initial(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        self._rule("adagrad", params, grads, slots, epsilon=self.epsilon)


@dataclass(eq=False, repr=False)
class Adadelta(Optimizer):
    """s = rho s + (1 - rho) g^2, d = g sqrt(u + epsilon) / sqrt(s + epsilon), u = rho u + (1 - rho) d^2, w -= lr d
    (M. Zeiler, 2012; formulas and defaults of Keras 3).

    Args:
        learning_rate: Default 0.001; the paper's is 1.
        rho: In [0, 1], default 0.95.
        epsilon: Inside the roots, default 1e-7.
        weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ...: See `Optimizer`.

    Example:
        >>> import numpy as np
        >>> w = np.array([1.0])
        >>> Adadelta(1.0, rho=0.75, epsilon=1.0).update(w, np.array([0.0]))
        >>> w
        array([1.])
    """

    rho: float = 0.95
    epsilon: float = 1e-7
    _up_to_one = ("rho",)
    _not_negative = ("epsilon",)

    @property
    def moments(self) -> tuple[str, ...]:
        return ("accumulated_grad", "accumulated_delta_var")

    def _step(self, params: NDArray[Any], grads: NDArray[Any], slots: list[NDArray[Any]]) -> None:
        self._rule("adadelta", params, grads, slots, beta_1=self.rho, epsilon=self.epsilon)
