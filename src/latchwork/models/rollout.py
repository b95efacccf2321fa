"""Roll-outs: a model goes on from a prompt or a history, its own outputs fed back by the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latchwork import _core, losses, random
from latchwork.data.series import as_count
from latchwork.layers.arguments import as_array, as_flag, as_input
from latchwork.models.session import as_threads, in_memory
from latchwork.models.use import shared
from latchwork.ragged import Ragged


class RollOuts:
    """What a model can do with its own outputs as its next inputs: `generate` tokens, `forecast` values.

    >>> from latchwork.models import Sequential
    >>> issubclass(Sequential, RollOuts)
    True
    """

    @shared
    def generate(
        self,
        prompt: ArrayLike | Ragged | Sequence[ArrayLike],
        n: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        end: int | None = None,
        from_logits: bool | None = None,
        threads: int | None = None,
    ) -> NDArray[np.int64]:
        """Go on from prompts of tokens: `n` more for each, drawn one after the other by what the model makes of all
        tokens so far.

        The loop over steps runs in the core; Ctrl-C ends it. The model reads tokens as numbers, if it begins with an
        Embedding, or one-hot, as rows of zeros with a 1, and gives a score for each: with or without return_sequences.
        Token i of prompt b is drawn from a float64 sum of exp(logit / temperature) in the order of the tokens, by a
        number that hangs on (seed, b, i) alone: the same tokens on every CPU and for any number of threads. Stateful
        layers begin at zero.

        Args:
            prompt: Whole numbers, at least one a prompt: [T] is one prompt; [B, T], a list of B sequences or a Ragged
                of one feature are B of them, of different lengths if you like.
            n: How many tokens to give, at least 1.
            temperature: Below 1 likely tokens become likelier; 0 takes the most likely, the lowest of equals.
            top_k: Draw among the k most likely tokens, k at least 1; None: among all.
            top_p: Then among the fewest that together have this probability, in (0, 1]; None: among all (A. Holtzman
                et al., "The curious case of neural text degeneration", 2020). Of equals the lower token comes first.
            seed: An integer in [0, 2^64). None: another at each call, repeatable by `lw.set_seed`.
            end: A token that ends its sequence: the rest of the row is `end` too. None: there is none.
            from_logits: Whether the model gives logits, else probabilities. None: a last layer with softmax gives
                probabilities, a linear one logits.
            threads: The most that share a step, at least 1; None: `lw.num_threads()`.

        Returns:
            int64 [n] for one prompt given as [T], else [B, n]: without the prompts.

        Raises:
            ValueError: An argument or a token is out of range, the model's outputs are not scores of what it reads, one
                of them is NaN or infinite, or a layer cannot step (see `session`); it is named.

        >>> import numpy as np
        >>> from latchwork.layers import LSTM, Dense, Embedding, Input
        >>> from latchwork.models import Sequential
        >>> model = Sequential([Input((None,)), Embedding(5, 8), LSTM(16), Dense(5, "softmax")])
        >>> model.generate([[1, 2, 3], [4]], 6, top_k=3, seed=0).shape
        (2, 6)
        >>> tokens = model.generate([1, 2], 2, temperature=0)
        >>> bool(tokens[1] == model.predict([[1, 2, tokens[0]]]).argmax())
        True
        """
        tokens, lengths = _prompts(prompt)
        count = _count(n, "generate: n", 1)
        heat = _number(temperature, "generate: temperature")
        likeliest = 0 if top_k is None else _count(top_k, "generate: top_k", 1)
        nucleus = 1.0 if top_p is None else _number(top_p, "generate: top_p")
        last = -1 if end is None else _count(end, "generate: end", 0)
        logits = None if from_logits is None else as_flag(from_logits, "from_logits", "generate")
        shared_by = as_threads(threads, "generate")
        key = _seed(seed)
        described, weights = in_memory(_model(self), "generate")
        made = _core.generate(
            described, weights, tokens, lengths, count, heat, likeliest, nucleus, key, last, logits, shared_by
        )
        return made[0] if _is_one(prompt) else made

    @shared
    def forecast(
        self,
        x: ArrayLike | Ragged,
        horizon: int,
        *,
        known: ArrayLike | None = None,
        quantiles: Sequence[float] | None = None,
        paths: int | None = None,
        min_scale: float | None = None,
        seed: int | None = None,
        outputs: str | None = None,
        threads: int | None = None,
    ) -> NDArray[Any]:
        """Go on from histories: the next `horizon` steps, each prediction fed back as the next input.

        y of a model here is, at every step or for the whole history, what the F features are at the step after. The
        loop over steps runs in the core; Ctrl-C ends it. Bits are those of `predict` on the history grown by its own
        predictions, step after step, on every CPU and for any number of threads. Values are in the units the model was
        trained in: scale before, unscale after. Stateful layers begin at zero.

        Args:
            x: [B, T, F + K] or Ragged, in the model's dtype or cast to it: at least one step a history.
            horizon: How many steps, at least 1.
            known: [B, horizon, K] what the last K columns of x hold at the steps to come (a calendar, a plan); known[:,
                h] stands beside the prediction for step h, so the last of them is not read. None: K is 0.
            quantiles: Levels that rise within (0, 1). With outputs="quantiles" those of the model's outputs, 0.5 among
                them; with paths those to take of the paths (type 7 of R. J. Hyndman, Y. Fan, 1996). None: those of the
                loss `Quantile` that the model was compiled with, else none.
            paths: With outputs="gaussian" how many to draw for each history; every path feeds back its own draws. None:
                none, the mean is fed back.
            min_scale: Of paths: a scale is softplus(output) + min_scale. None: that of the loss
                `GaussianNegativeLogLikelihood` that the model was compiled with, else 0.
            seed: Of the draws, an integer in [0, 2^64). None: another at each call, repeatable by `lw.set_seed`.
            outputs: What y is: "values", F numbers; "quantiles", Q for each feature in turn, the median is fed back, so
                they say how sure the model is of one step, not of all; "gaussian", F means, then F scales before
                softplus. None: what the loss that the model was compiled with makes of them, "quantiles" for `Quantile`
                and "gaussian" for `GaussianNegativeLogLikelihood` (`Masked` or not), else "values".
            threads: The most that share a step, at least 1; None: `lw.num_threads()`.

        Returns:
            [B, horizon, F] in the model's dtype; [B, horizon, F, Q] of quantiles, [B, horizon, F, paths] of paths
            without quantiles.

        Raises:
            ValueError: An argument is out of range, the model's outputs are not as many as `outputs` says, or a layer
                cannot step (see `session`); it is named.

        >>> import numpy as np
        >>> from latchwork.layers import LSTM, Dense, Input
        >>> from latchwork.models import Sequential
        >>> model = Sequential([Input((None, 1)), LSTM(8), Dense(1)])
        >>> x = np.linspace(0, 1, 20).reshape(2, 10, 1)
        >>> y = model.forecast(x, 3)
        >>> y.shape, bool((y[:, 0] == model.predict(x)).all())
        ((2, 3, 1), True)
        >>> model = Sequential([Input((None, 1)), LSTM(8), Dense(2)])
        >>> model.compile(loss="gaussian_nll")
        >>> model.forecast(x, 3, paths=50, quantiles=[0.1, 0.5, 0.9], seed=1).shape
        (2, 3, 1, 3)
        """
        model = _model(self)
        values, lengths = _histories(as_input(x, "x", model.dtype))
        steps = _count(horizon, "forecast: horizon", 1)
        beside = None if known is None else as_array(known, "known", model.dtype)
        trained = _of_loss(model)
        form = trained.outputs if outputs is None else outputs
        same = form == trained.outputs  # else the loss says nothing of them
        drawn = 0 if paths is None else _count(paths, "forecast: paths", 1)
        levels = [*(trained.quantiles if same else ())] if quantiles is None else _levels(quantiles)
        scale = trained.min_scale if same and drawn else 0.0
        least = scale if min_scale is None else _number(min_scale, "forecast: min_scale")
        shared_by = as_threads(threads, "forecast")
        key = _seed(seed)
        described, weights = in_memory(model, "forecast")
        return _core.forecast(
            described, weights, values, lengths, steps, beside, form, levels, drawn, least, key, shared_by
        )


def _model(model: Any) -> Any:
    return model


class _Trained(NamedTuple):
    """What a loss makes of a model's outputs."""

    outputs: str = "values"
    quantiles: Sequence[float] = ()
    min_scale: float = 0.0


def _of_loss(model: Any) -> _Trained:
    """By the loss of the first output; of a model that is not compiled: values."""
    loss = None if model._compiled is None else model._compiled.heads[0].loss
    loss = loss.loss if isinstance(loss, losses.Masked) else loss
    if isinstance(loss, losses.Quantile):
        return _Trained("quantiles", loss._levels())
    if isinstance(loss, losses.GaussianNegativeLogLikelihood):
        return _Trained("gaussian", min_scale=loss.min_scale)
    return _Trained()


def _is_one(prompt: Any) -> bool:
    """Whether it is one prompt, [T], not a batch of them."""
    if isinstance(prompt, Ragged):
        return False
    if isinstance(prompt, np.ndarray):
        return prompt.ndim == 1
    return not any(isinstance(part, (np.ndarray, list, tuple)) for part in prompt)


def _prompts(prompt: Any) -> tuple[NDArray[np.int64], list[int]]:
    """Tokens laid end to end, and how many are of each prompt."""
    if isinstance(prompt, Ragged):
        if prompt.values.shape[1] != 1:
            raise ValueError(f"prompt must be Ragged of one feature, got {prompt!r}")
        return _tokens(prompt.values[:, 0], "prompt"), prompt.lengths.tolist()
    if not isinstance(prompt, (np.ndarray, list, tuple)):
        raise ValueError(f"prompt must be an array, a list of whole numbers or of prompts, or a Ragged, got {prompt!r}")
    if _is_one(prompt):
        parts = [_tokens(prompt, "prompt")]
    else:
        parts = [_tokens(part, f"prompt[{i}]") for i, part in enumerate(prompt)]
    return np.concatenate([np.zeros(0, np.int64), *parts]), [len(part) for part in parts]


def _tokens(tokens: Any, name: str) -> NDArray[np.int64]:
    try:
        given = np.asarray(tokens)
    except ValueError:
        given = np.zeros((0, 0))
    whole = given.ndim == 1 and given.dtype.kind in "iuf" and given.size > 0
    if not whole or not bool((np.abs(given) < 2**62).all()) or not bool((given == given.astype(np.int64)).all()):
        raise ValueError(f"{name} must be at least one whole number, [T], got {tokens!r}")
    return given.astype(np.int64)


def _histories(x: NDArray[Any] | Ragged) -> tuple[NDArray[Any], list[int]]:
    if isinstance(x, Ragged):
        return np.ascontiguousarray(x.values), x.lengths.tolist()
    if x.ndim != 3:
        raise ValueError(f"x must be [B, T, F] or Ragged, got {x.shape}")
    batch, steps, features = x.shape
    return x.reshape(batch * steps, features), [steps] * batch


def _count(value: Any, name: str, least: int) -> int:
    return min(as_count(value, name, least), 2**62)  # the core says what is too large


def _seed(seed: int | None) -> int:
    return random.next_seed() if seed is None else random._integer("seed", seed, 64)


def _number(value: Any, name: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return float(value)


def _levels(quantiles: Any) -> list[float]:
    levels = as_array(quantiles, "quantiles", np.dtype(np.float64))
    if levels.ndim != 1 or levels.size == 0:
        raise ValueError(f"quantiles must be a list of levels, got {quantiles!r}")
    return [float(level) for level in levels]
