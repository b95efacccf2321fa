"""Losses that are likelihoods: the output holds the parameters of a distribution of each target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from latchwork.losses.base import FormulaLoss, Shape


class _Likelihood(FormulaLoss):
    """Outputs [..., P D] of targets [..., D]: P blocks of D parameters, or of D groups of one for each component."""

    _parameters: ClassVar[int] = 2
    min_scale: float

    def __post_init__(self) -> None:
        if not 0 < self.min_scale < math.inf:
            raise ValueError(f"min_scale must be finite and above 0, got {self.min_scale}")

    def _options(self) -> dict[str, Any]:
        return {"min_scale": self.min_scale}

    def _outputs_each(self) -> int:
        return self._parameters

    def target_shape(self, output: Shape) -> Shape:
        width, each = output[-1] or 0, self._outputs_each()
        if width % each or not width:
            raise ValueError(f"{self.name} needs {each} outputs for each target, got a last axis of {width}")
        return (*output[:-1], width // each)

    def loss_shape(self, output: tuple[int, ...]) -> tuple[int, ...]:
        return (*output[:-1], output[-1] // self._outputs_each())


@dataclass(eq=False, repr=False)
class GaussianNegativeLogLikelihood(_Likelihood):
    """mean(-log N(y_true; mean, scale)), scale = softplus(raw) + min_scale (D. Nix and A. Weigend, 1994).

    Outputs [..., 2 D] for targets [..., D]: the D means, then the D raw scales, of a Dense(2 * D) without activation.
    Name: "gaussian_nll".

    Args:
        min_scale: Keeps a target that is met exactly from earning infinitely much; above 0.

    Raises:
        ValueError: `min_scale` is not above 0; when called, an odd number of outputs.

    Example:
        >>> import numpy as np
        >>> round(GaussianNegativeLogLikelihood()([0.0], np.array([[0.0, 0.541323854612918]])), 5)
        0.91894
    """

    min_scale: float = 1e-6
    name: str = "gaussian_negative_log_likelihood"
    _core_name = "gaussian"


@dataclass(eq=False, repr=False)
class StudentTNegativeLogLikelihood(_Likelihood):
    """mean of the negative log density of Student's t ("The probable error of a mean", 1908) at (y_true - mean) /
    scale: tails so heavy that outliers pull little. Outputs and scale are those of `GaussianNegativeLogLikelihood`.
    Name: "student_t_nll".

    Args:
        df: Degrees of freedom, finite and above 0: fixed, not learned.
        min_scale: Finite and above 0.

    Raises:
        ValueError: `df` or `min_scale` is not finite and above 0; when called, an odd number of outputs.

    Example:
        >>> import numpy as np
        >>> round(StudentTNegativeLogLikelihood(df=1.0)([0.0], np.array([[0.0, 0.541323854612918]])), 5)
        1.14473
    """

    df: float = 4.0
    min_scale: float = 1e-6
    name: str = "student_t_negative_log_likelihood"
    _core_name = "student_t"

    def __post_init__(self) -> None:
        if not 0 < self.df < math.inf:
            raise ValueError(f"df must be finite and above 0, got {self.df}")
        super().__post_init__()

    def _options(self) -> dict[str, Any]:
        return {"df": self.df, "min_scale": self.min_scale}


@dataclass(eq=False, repr=False)
class MixtureNegativeLogLikelihood(_Likelihood):
    """mean(-log(sum over k of w_k N(y_true; mean_k, scale_k))), w = softmax(logits), scales as `softplus(raw) +
    min_scale`: a mixture density network (C. Bishop, 1994), each target with a mixture of its own.

    Outputs [..., 3 D K] for targets [..., D]: logits, then means, then raw scales, each [D, K] row by row. Name:
    "mixture_nll".

    Args:
        components: K, 1 or more.
        min_scale: Finite and above 0.

    Raises:
        ValueError: An option out of range; when called, outputs that are no multiple of 3 K.

    Example:
        >>> import numpy as np
        >>> round(MixtureNegativeLogLikelihood(1)([0.0], np.array([[7.0, 0.0, 0.541323854612918]])), 5)
        0.91894
    """

    components: int = 3
    min_scale: float = 1e-6
    name: str = "mixture_negative_log_likelihood"
    _core_name = "mixture"
    _parameters = 3

    def __post_init__(self) -> None:
        if isinstance(self.components, bool) or not isinstance(self.components, int) or self.components < 1:
            raise ValueError(f"components must be a whole number from 1, got {self.components!r}")
        super().__post_init__()

    def _options(self) -> dict[str, Any]:
        return {"components": self.components, "min_scale": self.min_scale}

    def _outputs_each(self) -> int:
        return self._parameters * self.components
