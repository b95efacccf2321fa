"""Calls with random wrong arguments; run as a program by test_wrong_arguments.py: `wrong_calls.py core SEED COUNT`.

A recipe makes a call that is right: what is called and its arguments by name. Some of them are then replaced by what a
caller might give by mistake. Each call is printed before it is made, so that a crash leaves its name behind.
"""

import faulthandler
import os
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from latchwork import _core
from latchwork import functional as F
from latchwork.ragged import Ragged

MODEL = str(Path(__file__).parent / "cpp" / "data" / "model.safetensors").encode()
ALLOWED = (ValueError, TypeError, MemoryError, OverflowError, OSError)
SECONDS = 60  # that a call may take; all are small
MADE_BY_OTHERS = ("Context",)  # classes without a constructor
GUARD = 64  # elements around an array that nobody may write


def array(*shape, dtype=np.float32):
    """Values in (0, 1), every one different, inside a larger array."""
    size = int(np.prod(shape))
    whole = ((np.arange(size + 2 * GUARD) + 0.5) / (size + 2 * GUARD)).astype(dtype)
    return whole[GUARD : GUARD + size].reshape(shape)


def labels(*shape):
    return (np.arange(int(np.prod(shape))) % 3).reshape(shape)


def weights(cell="lstm", gates=4):
    return _core.RecurrentWeights(cell, array(3, gates * 5), array(5, gates * 5), array(gates * 5))


def of_call(run, **arguments):
    return run, arguments


def windows(name, rows, features, which=None):
    def run(name, a, x_offsets, y_offsets, real, size, stride, dilation, before, which):
        return _core.window_pass(name, a, (x_offsets, y_offsets, real, size, stride, dilation, before), which)

    return of_call(
        run,
        name=name,
        a=array(rows, features),
        x_offsets=np.array([0, 3, 7]),
        y_offsets=np.array([0, 2, 5]),
        real=np.array([True] * 6 + [False]),
        size=2,
        stride=1,
        dilation=2,
        before=1,
        which=which,
    )


def attention(*gradients):
    """Of two sequences, 3 and 1 queries, 2 and 4 values; gradients: dy, weights, their gradients or None."""
    names = (
        "query", "key", "value", "query_offsets", "value_offsets", "query_real", "value_real", "keep", "additive", "dy",
        "weights", "d_weights",
    )  # fmt: skip

    def run(causal, want_weights, **given):
        return _core.attention([given[name] for name in names], causal, want_weights)

    return of_call(
        run,
        query=array(4, 2, 3),
        key=array(6, 2, 3),
        value=array(6, 2, 5),
        query_offsets=np.array([0, 3, 4]),
        value_offsets=np.array([0, 2, 6]),
        query_real=np.array([True, False, True, True]),
        value_real=np.array([True] * 5 + [False]),
        keep=array(2, 3, 2, 4),
        additive=array(3) if gradients else None,
        dy=gradients[0] if gradients else None,
        weights=gradients[1] if gradients else None,
        d_weights=gradients[2] if gradients else None,
        causal=True,
        want_weights=True,
    )


def one_forward(*, training, **call):
    [result] = _core.recurrent_forward([tuple(call.values())], training)
    return result


def forward(**changed):
    arguments = {
        "weights": weights(),
        "x": array(2, 4, 3),
        "state": [array(2, 5), array(2, 5)],
        "lengths": np.array([4, 2]),
        "offsets": None,
        "time_major": False,
        "reverse": False,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "training": True,
        "sequences": True,
        "mask": None,
        "hold": False,
        "align": False,
        "out": array(2, 4, 5),
        "memory": "recompute",
    }
    return one_forward, arguments | changed


def several_given():
    _, call = forward()
    training = call.pop("training")
    return of_call(_core.recurrent_forward, calls=[tuple(call.values()), tuple(call.values())], training=training)


def masked_forward():
    return forward(lengths=None, mask=np.ones((2, 4), bool), hold=True, out=None)


def ragged_forward():
    return forward(x=array(6, 3), lengths=None, offsets=np.array([0, 4, 6]), out=None)


def context(**changed):
    run, arguments = forward(**changed)
    return run(**arguments)[2]


def backward():
    gradients = [array(3, 20), array(5, 20), array(20)]
    return of_call(
        lambda **call: _core.recurrent_backward([tuple(call.values())]),
        ctx=context(),
        dy=array(2, 4, 5),
        dstate=[array(2, 5), array(2, 5)],
        need_dx=True,
        need_dstate=True,
        out=gradients,
    )


def method(make, name, /, **arguments):
    """A method of an object made for the call."""

    def recipe():
        made = make()
        return lambda **given: getattr(made, name)(**given), dict(arguments)

    return recipe


def model():
    return _core.Model(MODEL)


def session(units=5, **changed):
    lstm = {"class": "LSTM", "name": "lstm", "trainable": True, "units": units, "activation": "tanh", "use_bias": True}
    lstm |= {"recurrent_activation": "sigmoid", "return_sequences": False, "return_state": False}
    lstm |= {"go_backwards": False, "stateful": False, "zero_output_for_mask": False}
    arguments = {
        "description": {
            "class": "Sequential",
            "name": "small",
            "dtype": "float32",
            "input_shape": [None, 3],
            "layers": [lstm],
        },
        "weights": [
            ("lstm/kernel", array(3, 4 * units)),
            ("lstm/recurrent_kernel", array(units, 4 * units)),
            ("lstm/bias", array(4 * units)),
        ],
        "streams": 2,
        "threads": 1,
    }
    return _core.Session, arguments | changed


def made_session():
    run, arguments = session()
    return run(**arguments)


def roll_out(run, units, **others):
    """A model as `session` has it, and the rest of the call."""
    _, arguments = session(units)
    return of_call(run, description=arguments["description"], weights=arguments["weights"], **others)


def generate():
    options = {"temperature": 0.5, "top_k": 2, "top_p": 0.9, "seed": 1, "end": 2, "from_logits": True, "threads": 1}
    return roll_out(_core.generate, 3, prompts=labels(5), lengths=[4, 1], n=3, **options)


def forecast(units, known, **options):
    options = {"x": array(6, 3), "lengths": [4, 2], "horizon": 3, "known": known} | options
    return roll_out(_core.forecast, units, **options, seed=1, threads=1)


def attribute(make, name):
    """Reads an attribute; the object may be replaced."""

    def recipe():
        made = make()
        return of_call(lambda owner: getattr(type(made), name).fget(owner), owner=made)

    return recipe


def moments(run, *names, **numbers):
    return lambda: of_call(run, params=array(7), grads=array(7), **{name: array(7) for name in names}, **numbers)


RULE = {"step": 3, "learning_rate": 0.1, "weight_decay": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
WEIGHT_ARGUMENTS = {"cell": "lstm", "kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,)}

# Every function, class with a constructor, and public method or attribute of _core, to recipes.
CORE = {
    "isa": [lambda: of_call(_core.isa)],
    "isas": [lambda: of_call(_core.isas)],
    "supported_isas": [lambda: of_call(_core.supported_isas)],
    "use_isa": [lambda: of_call(_core.use_isa, name="portable")],
    "features": [lambda: of_call(_core.features)],
    "num_threads": [lambda: of_call(_core.num_threads)],
    "set_num_threads": [lambda: of_call(_core.set_num_threads, threads=2)],
    "with_usual_floats": [
        lambda: of_call(lambda f, x: _core.with_usual_floats(f, x), f=np.copy, x=array(3)),
        lambda: of_call(lambda f, a: _core.with_usual_floats(f, a=a), f=np.copy, a=array(3)),
    ],
    "RecurrentWeights": [
        lambda: of_call(
            _core.RecurrentWeights,
            cell="lstm",
            kernel=array(3, 20),
            recurrent_kernel=array(5, 20),
            bias=array(20),
        ),
        lambda: of_call(_core.RecurrentWeights, cell="dense", kernel=array(3, 5), recurrent_kernel=None, bias=array(5)),
    ],
    "RecurrentWeights.touch": [method(weights, "touch")],
    **{
        f"RecurrentWeights.{name}": [attribute(weights, name)]
        for name in ("cell", "states", "input", "hidden", "dtype")
    },
    **{
        f"Context.{name}": [attribute(context, name)]
        for name in ("consumed", "sequences", "y_shape", "states", "offsets", "cell", "kept_bytes", "plan", "memory")
    },
    "recurrent_forward": [
        forward,
        masked_forward,
        ragged_forward,
        several_given,
    ],
    "recurrent_backward": [backward, lambda: of_call(_core.recurrent_backward, calls=[])],
    "empty": [lambda: of_call(_core.empty, shape=[2, 3], float64=True)],
    "gather_rows": [lambda: of_call(_core.gather_rows, table=array(4, 5), numbers=labels(2, 3))],
    "scatter_add_rows": [
        lambda: of_call(_core.scatter_add_rows, d_rows=array(2, 3, 5), numbers=labels(2, 3), d_table=array(4, 5))
    ],
    "legal_plans": [
        lambda: of_call(_core.legal_plans, cell="gru", float64=False, batch=3, steps=4, input=5, hidden=6, threads=2)
    ],
    "plan_costs": [
        lambda: of_call(_core.plan_costs, cell="gru", float64=False, batch=3, steps=4, input=5, hidden=6, threads=2)
    ],
    "explain_calls": [
        lambda: of_call(_core.explain_calls, calls=[(weights(), 3, 4, True, "checkpoint")], training=True),
        lambda: of_call(_core.explain_calls, calls=[(weights(), 3, 4, False, "store")] * 2, training=False),
    ],
    "pool_size": [lambda: of_call(_core.pool_size, bytes=1000)],
    "recurrent_bytes": [
        lambda: of_call(
            _core.recurrent_bytes,
            cell="lstm",
            float64=False,
            lengths=np.array([4, 2]),
            input=3,
            hidden=5,
            sequences=True,
        )
    ],
    "packed_bytes": [lambda: of_call(_core.packed_bytes, cell="gru", float64=True, input=3, hidden=5)],
    "tolerate_late_teams": [lambda: of_call(_core.tolerate_late_teams, tolerated=False)],
    "nanoseconds": [lambda: of_call(_core.nanoseconds)],
    "pool_bytes": [lambda: of_call(_core.pool_bytes)],
    "pool_peak": [lambda: of_call(_core.pool_peak)],
    "reset_pool_peak": [lambda: of_call(_core.reset_pool_peak)],
    "pool_fresh": [lambda: of_call(_core.pool_fresh)],
    "force_plan": [lambda: of_call(_core.force_plan, plan=(1, "rows", 5, 3, 0, 0))],
    "unary": [lambda: of_call(_core.unary, name="exp", x=array(3, 4))],
    "activation": [lambda: of_call(_core.activation, name="tanh", x=array(3, 4))],
    "activation_backward": [lambda: of_call(_core.activation_backward, name="tanh", y=array(3, 4), dy=array(3, 4))],
    "activation_names": [lambda: of_call(_core.activation_names)],
    "probe": [lambda: of_call(_core.probe, operation="add", a=array(9), b=array(9), c=array(9))],
    "probe_names": [lambda: of_call(_core.probe_names)],
    "loss": [
        lambda: of_call(_core.loss, name="mse", y=array(4, 3), y_pred=array(4, 3), delta=0.5, gradient=True),
        lambda: of_call(
            _core.loss,
            name="categorical_crossentropy",
            y=array(4, 3),
            y_pred=array(4, 3),
            from_logits=True,
            label_smoothing=0.1,
        ),
        lambda: of_call(_core.loss, name="sparse_categorical_crossentropy", y=labels(4), y_pred=array(4, 3)),
    ],
    "formula_loss": [
        lambda: of_call(_core.formula_loss, name="log_cosh", y=array(4, 3), y_pred=array(4, 3), weight=array(4, 3)),
        lambda: of_call(_core.formula_loss, name="quantile", y=array(4), y_pred=array(4, 2), levels=[0.1, 0.5]),
        lambda: of_call(
            _core.formula_loss, name="mixture", y=array(4, 2), y_pred=array(4, 12), components=2, min_scale=0.1, count=3
        ),
        lambda: of_call(
            _core.formula_loss,
            name="categorical_focal",
            y=array(4, 3),
            y_pred=array(4, 3),
            weight=array(4),
            alpha=0.25,
            gamma=2.0,
            from_logits=True,
            label_smoothing=0.1,
            gradient=True,
        ),
        lambda: of_call(_core.formula_loss, name="student_t", y=array(4, 2), y_pred=array(4, 4), df=3.0, min_scale=0.1),
    ],
    "ctc_loss": [
        lambda: of_call(
            _core.ctc_loss,
            labels=labels(4) + 1,
            places=np.array([0, 1, 4]),
            y_pred=array(9, 5),
            steps=np.array([0, 4, 9]),
            blank=0,
            gradient=True,
            weight=array(2),
            count=2,
        )
    ],
    "sgd_update": [
        moments(_core.sgd_update, "velocity", learning_rate=0.1, weight_decay=0.1, momentum=0.9, nesterov=True)
    ],
    "rmsprop_update": [
        moments(
            _core.rmsprop_update,
            "square",
            "momenta",
            "average",
            learning_rate=0.1,
            weight_decay=0.1,
            rho=0.9,
            momentum=0.9,
            epsilon=1e-7,
        )
    ],
    "adam_update": [
        moments(
            _core.adam_update,
            "first",
            "second",
            "maximum",
            step=3,
            learning_rate=0.1,
            weight_decay=0.1,
            beta_1=0.9,
            beta_2=0.999,
            epsilon=1e-7,
        )
    ],
    "rule_update": [
        moments(_core.rule_update, "first", "second", name="nadam", **RULE),
        moments(_core.rule_update, "first", name="lion", second=None, **RULE),
    ],
    "average_update": [lambda: of_call(_core.average_update, average=array(9), params=array(9), momentum=0.9)],
    "power": [lambda: of_call(_core.power, base=0.5, exponent=1.5)],
    "half_cosine": [lambda: of_call(_core.half_cosine, x=0.25)],
    "clip_norm": [
        lambda: of_call(_core.clip_norm, grads=array(9), variables=[(0, 4), (4, 9)], max_norm=0.1, together=True)
    ],
    "clip_value": [lambda: of_call(_core.clip_value, a=array(9), limit=0.1)],
    "scale": [lambda: of_call(_core.scale, a=array(9), factor=2.0)],
    "sum": [lambda: of_call(_core.sum, a=array(9))],
    "sum_squares": [lambda: of_call(_core.sum_squares, a=array(9))],
    "all_finite": [lambda: of_call(_core.all_finite, a=array(9))],
    "mean_std": [lambda: of_call(_core.mean_std, a=array(9, 2))],
    "merge": [lambda: of_call(_core.merge, name="ave", a=array(3, 4), b=array(3, 4))],
    "softmax": [lambda: of_call(_core.softmax, x=array(3, 4))],
    "softmax_backward": [lambda: of_call(_core.softmax_backward, y=array(3, 4), dy=array(3, 4))],
    "philox": [lambda: of_call(_core.philox, key=1, counter=[1, 2, 3, 4])],
    "philox_uniform": [
        lambda: of_call(_core.philox_uniform, seed=1, stream=2, shape=[3, 4], low=0.0, high=1.0, dtype="float32")
    ],
    "philox_normal": [
        lambda: of_call(
            _core.philox_normal,
            seed=1,
            stream=2,
            shape=[3, 4],
            mean=0.0,
            deviation=1.0,
            truncated=True,
            dtype="float64",
        )
    ],
    "orthogonal": [lambda: of_call(_core.orthogonal, seed=1, stream=2, rows=4, columns=3, gain=1.0, dtype="float32")],
    "permutation": [lambda: of_call(_core.permutation, seed=1, epoch=2, n=9)],
    "dropout": [lambda: of_call(_core.dropout, x=array(3, 2, 4), rate=0.5, seed=1, step=2, layer=3, sample_offset=4)],
    "gaussian_noise": [
        lambda: of_call(_core.gaussian_noise, x=array(3, 2, 4), deviation=0.5, seed=1, step=2, layer=3, sample_offset=4)
    ],
    "normalize_rows": [lambda: of_call(_core.normalize_rows, x=array(3, 4), epsilon=0.1)],
    "normalize_rows_backward": [
        lambda: of_call(
            _core.normalize_rows_backward, dy=array(3, 4), normalized=array(3, 4), inverse=array(3), gamma=array(4)
        )
    ],
    "affine_columns": [
        lambda: of_call(_core.affine_columns, x=array(3, 4), center=array(4), factor=array(4), shift=array(4))
    ],
    "column_sums": [lambda: of_call(_core.column_sums, a=array(3, 4), b=array(3, 4))],
    "batch_norm_backward": [
        lambda: of_call(
            _core.batch_norm_backward,
            dy=array(3, 4),
            normalized=array(3, 4),
            factor=array(4),
            d_mean=array(4),
            d_deviation=array(4),
            real=np.array([True, False, True]),
        )
    ],
    "window_frame": [
        lambda: of_call(_core.window_frame, padding="same", steps=9, size=3, stride=2, dilation=1),
    ],
    "attention": [
        lambda: attention(),
        lambda: attention(array(4, 2, 5), array(2, 2, 3, 4), array(2, 2, 3, 4)),
    ],
    "window_pass": [
        lambda: windows("gather", 7, 3),
        lambda: windows("scatter", 5, 6),
        lambda: windows("max", 7, 3),
        lambda: windows("max_backward", 5, 3, which=np.zeros((5, 3), np.int32)),
        lambda: windows("mean", 7, 3),
        lambda: windows("mean_backward", 5, 3),
    ],
    "dropout_backward": [lambda: of_call(_core.dropout_backward, dy=array(3, 4), mask=array(3, 4))],
    "SafetensorsFile": [lambda: of_call(_core.SafetensorsFile, path=MODEL)],
    **{
        f"SafetensorsFile.{name}": [attribute(lambda: _core.SafetensorsFile(MODEL), name)]
        for name in ("metadata", "tensors")
    },
    "SafetensorsFile.find": [method(lambda: _core.SafetensorsFile(MODEL), "find", name="lstm/kernel")],
    "SafetensorsFile.read": [method(lambda: _core.SafetensorsFile(MODEL), "read", name="lstm/kernel")],
    "SafetensorsFile.check_format": [method(lambda: _core.SafetensorsFile(MODEL), "check_format")],
    "SafetensorsFile.description": [
        lambda: of_call(lambda key: _core.SafetensorsFile(MODEL).description(key), key="model")
    ],
    "check_suffix": [lambda: of_call(_core.check_suffix, path=b"a.safetensors")],
    "write_safetensors": [
        lambda: of_call(
            _core.write_safetensors, path=b"a.safetensors", tensors=[("a", array(2, 3))], metadata={"b": "c"}
        )
    ],
    "json_text": [lambda: of_call(_core.json_text, value={"a": [1, 2.5, None, True, "b"]})],
    "parse_json": [lambda: of_call(_core.parse_json, text='{"a": [1, 2.5, null, true, "b"]}')],
    "Session": [session],
    "Session.step": [method(made_session, "step", x=array(2, 3))],
    "Session.step_all": [method(made_session, "step_all", x=[array(2, 3)])],
    "Session.reset": [method(made_session, "reset", stream=1)],
    "Session.state": [method(made_session, "state")],
    "Session.set_state": [method(made_session, "set_state", states=[array(2, 5), array(2, 5)])],
    "generate": [generate],
    "forecast": [
        lambda: forecast(2, array(2, 3, 1), outputs="values", quantiles=[], paths=0, min_scale=0.0),
        lambda: forecast(6, None, outputs="quantiles", quantiles=[0.2, 0.5], paths=0, min_scale=0.0),
        lambda: forecast(6, None, outputs="gaussian", quantiles=[0.2, 0.6], paths=5, min_scale=0.1),
        lambda: forecast(4, array(2, 3, 1), outputs="gaussian", quantiles=[], paths=2, min_scale=0.0),
    ],
    "Model": [lambda: of_call(_core.Model, path=MODEL)],
    "Model.predict": [
        method(model, "predict", x=array(2, 4, 2)),
        method(model, "predict", x=array(6, 2), lengths=[4, 0, 2]),
    ],
    "Model.predict_all": [method(model, "predict_all", x=[array(2, 4, 2)])],
    "Model.outputs": [attribute(model, "outputs")],
}

STATES = {"lstm": 2, "gru": 1, "rnn": 1}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def functional_forward(name):
    def recipe():
        gates = GATES[name] * 5
        bias = array(2, gates) if name == "gru" else array(gates)
        arguments = {
            "x": array(2, 4, 3),
            "params": (array(3, gates), array(5, gates), bias),
            "state": tuple(array(2, 5) for _ in range(STATES[name])),
            "lengths": np.array([4, 2]),
            "time_major": False,
            "reverse": True,
            "activation": "tanh",
            "training": True,
            "return_sequences": True,
            "mask": None,
            "hold": False,
            "align": True,
            "out": None,
            "memory": "store",
        }
        return getattr(F, name), arguments

    return recipe


def functional_ragged(name):
    def recipe():
        run, arguments = functional_forward(name)()
        return run, arguments | {"x": Ragged(array(6, 3), np.array([0, 4, 6])), "lengths": None}

    return recipe


def functional_backward(name):
    def recipe():
        run, arguments = functional_forward(name)()
        _, _, ctx = run(**arguments)
        dstate = tuple(array(2, 5) for _ in range(STATES[name]))
        return of_call(
            getattr(F, f"{name}_backward"), ctx=ctx, dy=array(2, 4, 5), dstate=dstate, need_dx=True, out=None
        )

    return recipe


def several_forward():
    _, arguments = functional_forward("lstm")()
    arguments = {"calls": 2, **arguments}

    def run(*, calls, training, **call):
        return F.forward([F.Call("lstm", **call)] * calls, training=training)

    return run, arguments


def several_backward():
    _, arguments = functional_backward("lstm")()
    return lambda **call: F.backward([F.BackwardCall(**call)]), arguments


def dense():
    return of_call(F.dense, x=array(2, 4, 3), params=(array(3, 5), array(5)), activation="tanh", training=True)


def dense_backward():
    run, arguments = dense()
    return of_call(F.dense_backward, ctx=run(**arguments)[1], dy=array(2, 4, 5), need_dx=True)


FUNCTIONAL = {
    **{name: [functional_forward(name), functional_ragged(name)] for name in GATES},
    **{f"{name}_backward": [functional_backward(name)] for name in GATES},
    "forward": [several_forward],
    "backward": [several_backward],
    "dense": [dense],
    "dense_backward": [dense_backward],
}

# ---- what is wrong ----------------------------------------------------------------------------------------------

INTEGERS = [-(2**63), -(2**31), -1, 0, 1, 2, 3, 4, 255, 65536]
INTEGERS += [2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64, 2**70]
DTYPES = ["f2", "f4", "f8", "i1", "i4", "i8", "u8", "?", "c8", "O", "U3", ">f4", ">f8", ">i8", "M8[s]", "f4,f4"]


class Stubborn:
    """Raises whatever it is asked."""

    def __getattr__(self, name):
        raise ZeroDivisionError(name)

    def __repr__(self):
        return "Stubborn()"


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(a.tobytes(), np.uint8)
    return raw[1:].view(a.dtype).reshape(a.shape)


def apart(a):
    whole = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype) if a.ndim else np.zeros(2, a.dtype)
    whole[..., ::2] = a
    return whole[..., ::2]


def read_only(a):
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def spoiled(a, value):
    copy = a.copy()
    if copy.size:
        copy.flat[copy.size // 2] = value
    return copy


def variants(a):
    """Arrays that are wrong in the place of `a`, or nearly so."""
    one = a.reshape(-1)[:1].reshape(())
    made = [
        lambda: a[..., None],
        lambda: a.reshape(-1),
        lambda: a[:-1],
        lambda: a[..., :-1],
        lambda: a[:0],
        lambda: a[..., :0],
        lambda: np.concatenate([a, a]),
        lambda: a.T,
        lambda: a[::-1],
        lambda: a[..., ::-1],
        lambda: np.asfortranarray(a),
        lambda: apart(a),
        lambda: unaligned(a),
        lambda: read_only(a),
        lambda: one,
        lambda: one[()],
        lambda: a.tolist(),
        lambda: np.broadcast_to(one, a.shape),
        lambda: np.broadcast_to(one, (2**40, *a.shape[1:])),
        lambda: np.broadcast_to(one, (*a.shape[:-1], 2**40)),
        lambda: np.broadcast_to(one, (2**20, 2**20, 2**18)),
        lambda: np.zeros((0,) * a.ndim, a.dtype),
        lambda: np.zeros((*a.shape[:-1], 0, 2), a.dtype),
        lambda: np.zeros((2,) * 9, a.dtype),
        lambda: a.view(np.recarray),
    ]
    if a.dtype.kind in "fi":
        values = [0, -1, 1e30, -(2.0**63)] if a.dtype.kind == "f" else [-1, 3, 2**31, 2**63 - 1, -(2**63)]
        values += [np.nan, np.inf] if a.dtype.kind == "f" else []
        with np.errstate(all="ignore"):
            made += [lambda v=v: spoiled(a, a.dtype.type(v)) for v in values]
    return made


@st.composite
def wrong(draw, value, others):
    """Something in the place of `value`."""
    numbers = st.sampled_from([*INTEGERS, 0.5, -0.5, 1.5, 1e300, float("nan"), float("inf")])
    texts = st.sampled_from(["", "lstm", "dense", "tanh", "rows", "\0", "\ud800", "ä" * 1000, "{", "[" * 999])
    things = st.sampled_from([None, True, False, b"", b"\xff", [], (), {}, [None], {"a": object}, object(), Stubborn()])
    kinds = [numbers, texts, things]
    if isinstance(value, (list, tuple)) and value:
        at = draw(st.integers(0, len(value) - 1))
        changed = [draw(wrong(v, others)) if i == at else v for i, v in enumerate(value)]
        kinds += [st.just(type(value)(changed)), st.just(value[:-1]), st.just([*value, value[0]])]
    if isinstance(value, np.ndarray):
        kinds = [*kinds, st.sampled_from(variants(value)).map(lambda make: make())]
        kinds += [st.sampled_from(DTYPES).map(lambda dtype: cast(value, dtype))] * 2
        kinds += [st.sampled_from(variants(value)).map(lambda make: make())] * 3
        kinds += [st.sampled_from(others)]
    elif others:
        kinds += [st.sampled_from(others)]
    return draw(st.one_of(kinds))


def cast(a, dtype):
    with np.errstate(all="ignore"):
        return np.zeros(a.shape, dtype) if dtype in ("M8[s]", "f4,f4") else a.astype(dtype)


def arrays_in(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Ragged):
        yield value.values
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from arrays_in(each)


def memory_of(a):
    """The array that `a` is a part of, guards and all; None for what is only pretended to be large."""
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a if a.nbytes < 2**24 and a.dtype.kind != "O" else None


def text_of(value):
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {value.shape} strides {value.strides}>"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text_of(each) for each in value[:9]) + "]"
    return ascii(value)[:80]


def guards(whole, part):
    """What lies around `part` in `whole`, where it was made by `array`."""
    size = whole.size - 2 * GUARD
    return None if part.base is None or size < 0 else (whole[:GUARD].tobytes(), whole[GUARD + size :].tobytes())


def check(name, recipes, data):
    recipe = data.draw(st.sampled_from(recipes))
    run, arguments = recipe()
    others = [a for value in arguments.values() for a in arrays_in(value)]
    given_around = [(memory_of(a), a, guards(memory_of(a), a)) for a in others]
    names = list(arguments)
    if names:
        for argument in data.draw(st.lists(st.sampled_from(names), max_size=3, unique=True)):
            arguments[argument] = data.draw(wrong(arguments[argument], others))
    given = [(a, memory_of(a)) for a in arrays_in(list(arguments.values()))]
    before = [None if whole is None else whole.tobytes() for _, whole in given]
    print(name, ", ".join(f"{key}={text_of(value)}" for key, value in arguments.items()), flush=True)
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        run(**arguments)
    except ALLOWED:
        for (a, whole), content in zip(given, before, strict=True):
            assert whole is None or whole.tobytes() == content, f"{name} raised and had changed {text_of(a)}"
    except ZeroDivisionError:
        assert any(isinstance(value, Stubborn) for value in flat(arguments.values()))
    finally:
        faulthandler.cancel_dump_traceback_later()
        _core.force_plan(None)
        _core.set_num_threads(2)
        _core.use_isa(ISA)
    for whole, a, around in given_around:
        assert guards(whole, a) == around, f"{name} wrote beside {text_of(a)}"


def flat(values):
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from flat(value)
        else:
            yield value


ISA = _core.isa()


def calls_of(name, recipes):
    @given(st.data())
    def calls(data):
        check(name, recipes, data)

    return calls


def main(which, seed, count):
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))  # what is asked in vain is a MemoryError
    everything = settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, recipes in (CORE if which == "core" else FUNCTIONAL).items():
            seeded(seed)(everything(calls_of(name, recipes)))()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
