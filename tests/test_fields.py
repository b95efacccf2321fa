"""What dataclasses of values share is what `@dataclass(frozen=True)` would have written for each."""

import copy
import pickle
import re
from dataclasses import FrozenInstanceError, fields, make_dataclass

import pytest

from latchwork import initializers, losses, metrics, optimizers

# Masked needs a loss, and NaN is not equal to itself elsewhere: tests/test_masked_losses.py.
VALUES = [
    *(kind for kind in losses.CLASSES.values() if kind is not losses.Masked),
    *dict.fromkeys(initializers._CLASSES.values()),
]


def written_out(kind):
    """A class of the same name and fields, made by `dataclasses` alone."""
    declared = [(field.name, field.type, field) for field in fields(kind)]
    return make_dataclass(
        kind.__qualname__, [(name, type_, field.default) for name, type_, field in declared], frozen=True
    )


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_values(kind):
    value = kind()
    wanted = written_out(kind)(**{field.name: getattr(value, field.name) for field in fields(kind)})
    assert repr(value) == repr(wanted)
    assert hash(value) == hash(wanted)
    assert value == kind()
    assert value != wanted  # of another class
    for field in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)
        with pytest.raises(FrozenInstanceError):
            delattr(value, field.name)
        other = copy.copy(value)
        object.__setattr__(other, field.name, "another")
        assert other != value
        assert hash(other) != hash(value)
    if "__dataclass_fields__" in vars(kind):
        with pytest.raises(FrozenInstanceError):
            value.unheard_of = 1
    assert pickle.loads(pickle.dumps(value)) == value == copy.deepcopy(value)


def test_a_class_of_the_users_own():
    class Own(losses.Huber):
        pass

    own = Own(2.0)
    own.note = "here"
    own.note = "there"
    with pytest.raises(FrozenInstanceError):
        own.delta = 3.0
    assert repr(own) == "test_a_class_of_the_users_own.<locals>.Own(delta=2.0, name='huber_loss')"
    assert own == Own(2.0) != losses.Huber(2.0)


def test_optimizers_are_shown_and_told_apart():
    adam = optimizers.Adam(0.5)
    adam.iterations = 3  # no argument of the constructor
    assert repr(adam) == (
        "Adam(learning_rate=0.5, weight_decay=None, clipnorm=None, clipvalue=None, global_clipnorm=None, "
        "use_ema=False, ema_momentum=0.99, ema_overwrite_frequency=None, name='adam', "
        "beta_1=0.9, beta_2=0.999, epsilon=1e-07, amsgrad=False)"
    )
    assert adam != optimizers.Adam(0.5)


WITH_REFUSALS = [*losses.CLASSES.values(), *metrics.CLASSES.values(), *optimizers.CLASSES.values()]
REFUSED = {
    (kind, name): instead
    for kind in dict.fromkeys(WITH_REFUSALS)
    for name, instead in getattr(kind, "refused", {}).items()
}


@pytest.mark.parametrize(("kind", "name"), REFUSED, ids=lambda given: getattr(given, "__name__", given))
def test_arguments_that_only_keras_has(kind, name):
    text = re.escape(f"{kind.__name__}: {name} is not supported, {REFUSED[kind, name]}; got 'sum'")
    with pytest.raises(ValueError, match=f"^{text}$"):
        kind(**{name: "sum"})


def test_only_masked_has_every_argument():
    """A loss of Keras', a metric and an optimizer refuse; Masked is none of Keras'."""
    assert {kind for kind in WITH_REFUSALS if not getattr(kind, "refused", {})} == {losses.Masked}


def test_a_class_of_the_users_own_may_have_them():
    class Summed(metrics.MeanSquaredError):
        def __init__(self, axis, **more):
            super().__init__()
            self.axis, self.more = axis, more

    summed = Summed(axis=1, dtype="float64")
    assert (summed.axis, summed.more) == (1, {"dtype": "float64"})
