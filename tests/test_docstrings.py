"""Every public object says what it is called with, what it gives, what it refuses and where its formula comes from.

Defaults need no sentence: the reference prints them with the signature. That the examples run and that they print what
they say is tests/test_readme.py.
"""

import ast
import inspect
import re
import textwrap
import types

import pytest

import latchwork as lw

MODULES = [value for name in lw.__all__ if isinstance(value := getattr(lw, name), types.ModuleType)]
FORMULAS = (lw.losses, lw.metrics, lw.optimizers, lw.initializers)
NO_FORMULA = {
    "get", "fans", "targets_like", "labels_for", "shape_of", "Loss", "Metric", "LossMetric", "Optimizer", "Initializer",
    "Zeros", "Ones", "Constant", "Identity", "RandomUniform", "MeanSquaredError", "MeanAbsoluteError",
    "RootMeanSquaredError",
}  # fmt: skip
SOURCE = r"\b(?:19|20)\d\d\b|Keras"
ARRAYS = r"NDArray|ArrayLike|\bArray\b|Sequences|Ragged"
SHAPE = r"\[[A-Z0-9.][^\]]*\]|\bshape"
DTYPE = r"float|dtype|bool|int\d|whole number|integer"
INTRODUCED = r"`{0}`|\b{0}=|^[ \w,]*\b{0}\b[ \w,]*(?::|,$)"  # in a list of names before a colon, not just somewhere
ERROR = r"(?:Value|Type|Index|OS|FloatingPoint)Error"


def public(module):
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and callable(value)
    ]  # fmt: skip
    return {name: getattr(module, name) for name in names if callable(getattr(module, name))}


def written(function):
    """Whether there is a source to read: dataclasses make their __init__ themselves."""
    return inspect.isfunction(function) and function.__code__.co_filename.endswith(".py")


PUBLIC = {value for m in MODULES for value in public(m).values() if inspect.isclass(value)}


def methods(cls):
    """The public methods and properties that it brings, as functions; overrides say no more than what they override."""
    for base in cls.__mro__:
        if base is not cls and (not base.__module__.startswith("latchwork") or base in PUBLIC):
            continue
        for name, value in vars(base).items():
            function = getattr(value, "fget", None) or getattr(value, "__func__", value)
            if not inspect.isfunction(function) or (name.startswith("_") and name != "__call__"):
                continue
            overridden = [c for c in base.__mro__[1:] if name in vars(c)]
            if written(function) and (function.__doc__ or not overridden):
                yield name, function


OBJECTS = {
    f"{m.__name__.removeprefix('latchwork.')}.{name}": value for m in MODULES for name, value in public(m).items()
}
OBJECTS |= {name: getattr(lw, name) for name in lw.__all__ if callable(getattr(lw, name))}
CLASSES = {name: value for name, value in OBJECTS.items() if inspect.isclass(value)}
FUNCTIONS = {name: value for name, value in OBJECTS.items() if inspect.isfunction(value)}
METHODS = {f"{name}.{method}": (cls, function) for name, cls in CLASSES.items() for method, function in methods(cls)}


def parameters(function):
    given = inspect.signature(function).parameters.values()
    return [p.name for p in given if p.name not in ("self", "cls") and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def unnamed(function, text, said=INTRODUCED):
    return [name for name in parameters(function) if not re.search(said.format(name), text, re.MULTILINE)]


def raised(function):
    """The errors that its own source raises."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {call.func.id for call in calls if isinstance(call.func, ast.Name) and re.fullmatch(ERROR, call.func.id)}


def missing(function, text, said=INTRODUCED):
    """What a text does not say of a function that it describes."""
    if names := unnamed(function, text, said):
        yield f"does not name {', '.join(names)}"
    if errors := {error for error in raised(function) if error not in text}:
        yield f"does not say that it raises {', '.join(sorted(errors))}"
    if re.search(ARRAYS, str(function.__annotations__)):
        if not re.search(SHAPE, text):
            yield "takes or gives arrays and says no shape"
        if not re.search(DTYPE, text):
            yield "takes or gives arrays and says no dtype"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    assert not list(missing(FUNCTIONS[name], text))
    assert ">>>" in text, "no example"


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name):
    """What a public base class says of an argument is not said again."""
    cls = CLASSES[name]
    text = inspect.getdoc(cls) or ""
    assert ">>>" in text, "no example"
    made = [hook for name in ("__init__", "__post_init__") if written(hook := vars(cls).get(name))]
    text += "".join(inspect.getdoc(said) or "" for said in (*made, *PUBLIC.intersection(cls.__mro__)))
    names = unnamed(cls, text)
    assert not names, f"does not name {', '.join(names)}"
    for function in made:
        errors = {error for error in raised(function) if error not in text}
        assert not errors, f"does not say that it raises {', '.join(errors)}"


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    """What a method takes may be said in a sentence, or by its class; what it does by the class it overrides."""
    cls, function = METHODS[name]
    own = inspect.getdoc(getattr(cls, function.__name__))
    assert own, "no docstring"
    assert not list(missing(function, own + (inspect.getdoc(cls) or ""), said=r"\b{0}\b"))


@pytest.mark.parametrize("name", [n for n in OBJECTS if any(OBJECTS[n].__module__ == m.__name__ for m in FORMULAS)])
def test_formulas_have_a_source(name):
    if name.split(".")[-1] not in NO_FORMULA:
        assert re.search(SOURCE, inspect.getdoc(OBJECTS[name]) or "")


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "LSTM", "GRU", "SimpleRNN"])
def test_cells_have_a_source(name):
    thing = getattr(lw.functional, name, None) or getattr(lw.layers, name)
    assert re.search(r"\d{4}", inspect.getdoc(thing) or "")
    assert " = " in (inspect.getdoc(thing) or ""), "no equation"


def test_everything_was_looked_at():
    assert len(MODULES) >= 12
    assert len(CLASSES) > 60
    assert len(FUNCTIONS) > 25
