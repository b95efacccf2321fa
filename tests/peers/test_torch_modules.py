"""PyTorch's own module inputs (torch.testing, ModuleInfo) through latchwork.functional, in float64 at 1e-12.

All 87 of torch's recurrent modules: 71 give torch's numbers; 16 are LSTMs with a projection, which is not built and
gets an error. torch has no inputs for cells without bias: those are ours.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.testing._internal.common_modules import module_db

from peers.torch_adapter import Direction, Stack, cell_of

TOLERANCE = 1e-12
SEQUENCES = {torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU}
CELL_MODULES = {torch.nn.RNNCell, torch.nn.LSTMCell, torch.nn.GRUCell}


@dataclass(frozen=True)
class Sample:
    """A module to make, and what to call it with."""

    module_class: type
    kwargs: dict[str, Any]
    inputs: tuple[Any, ...]
    args: tuple[Any, ...] = field(default=())

    @property
    def projected(self):
        return bool(self.kwargs.get("proj_size", 0))


def from_torch(classes):
    """By number as torch gives them."""
    found = []
    for info in module_db:
        if info.module_cls not in classes:
            continue
        torch.manual_seed(0)
        for s in info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=True, training=True):
            inputs = (*s.forward_input.args, *s.forward_input.kwargs.values())
            inputs = tuple(given for given in inputs if given is not None)
            found.append(Sample(info.module_cls, s.constructor_input.kwargs, inputs, s.constructor_input.args))
    return found


def cells_without_bias():
    generator = torch.Generator().manual_seed(3)
    for module_class in (torch.nn.RNNCell, torch.nn.LSTMCell, torch.nn.GRUCell):
        activations = ("tanh", "relu") if module_class is torch.nn.RNNCell else (None,)
        for nonlinearity in activations:
            kwargs = {"bias": False, **({} if nonlinearity is None else {"nonlinearity": nonlinearity})}
            x, h, c = (torch.randn(3, n, dtype=torch.float64, generator=generator).requires_grad_() for n in (5, 4, 4))
            states = (h, c) if module_class is torch.nn.LSTMCell else h
            yield Sample(module_class, kwargs, (x, states), (5, 4))


def named(samples):
    return [pytest.param(sample, id=f"{sample.module_class.__name__}-{i}") for i, sample in enumerate(samples)]


IN_SEQUENCES, IN_CELLS = from_torch(SEQUENCES), from_torch(CELL_MODULES)
PROJECTED = [sample for sample in IN_SEQUENCES if sample.projected]
BUILT = [sample for sample in IN_SEQUENCES if not sample.projected]


def test_nothing_of_torch_is_left_out():
    """Seen when torch adds inputs: 87 in torch 2.13."""
    counts = {"cells": len(IN_CELLS), "sequences": len(BUILT), "projection, not built": len(PROJECTED)}
    assert counts == {"cells": 7, "sequences": 64, "projection, not built": 16}
    assert sum(counts.values()) == 87


def build(sample):
    torch.manual_seed(1)
    return sample.module_class(*sample.args, **sample.kwargs).double()


def as_tuple(states):
    return states if isinstance(states, tuple) else (states,)


def close(name, ours, theirs):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape, name
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


def seeds_like(tensors):
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in tensors]


def batched(module, x):
    """A module's input as [B, T, I] and lengths, with the way back for arrays like it."""
    if isinstance(x, PackedSequence):
        padded, lengths = pad_packed_sequence(x, batch_first=True)
        return padded.detach().numpy(), lengths.numpy(), None
    if x.dim() == 2:
        return x.detach().numpy()[None], np.array([len(x)]), lambda array: array[0]
    if module.batch_first:
        return x.detach().numpy(), np.full(x.shape[0], x.shape[1]), lambda array: array
    batch_first = np.ascontiguousarray(x.detach().numpy().swapaxes(0, 1))
    return batch_first, np.full(x.shape[1], x.shape[0]), lambda array: array.swapaxes(0, 1)


@pytest.mark.parametrize("sample", named(BUILT))
def test_sequence_module(sample):
    module = build(sample)
    x, *given = sample.inputs
    theirs, their_states = module(x, *given)
    their_states = as_tuple(their_states)
    packed = isinstance(x, PackedSequence)
    leaf = x.data if packed else x
    out = theirs.data if packed else theirs
    outputs = [out, *their_states]
    seeds = seeds_like(outputs)
    initial = list(as_tuple(given[0])) if given else []
    wanted = torch.autograd.grad(outputs, [leaf, *initial, *module.parameters()], seeds)

    stack = Stack(module)
    array, lengths, back = batched(module, x)
    unbatched = not packed and x.dim() == 2
    states = [s.detach().numpy() for s in initial] or [np.zeros(s.shape) for s in their_states]
    if unbatched:
        states = [s[:, None] for s in states]
    y, final = stack.forward(array, states, lengths)

    if packed:
        dy, _ = pad_packed_sequence(theirs._replace(data=seeds[0]), batch_first=True)
        close("y", y, pad_packed_sequence(theirs, batch_first=True)[0])
    else:
        close("y", back(y), out)
        dy, _, _ = batched(module, seeds[0])
    d_states = [s.numpy()[:, None] if unbatched else s.numpy() for s in seeds[1:]]
    for s, (ours, their) in enumerate(zip(final, their_states, strict=True)):
        close(f"state[{s}]", ours[:, 0] if unbatched else ours, their)

    dx, d_initial, named = stack.backward(np.asarray(dy), d_states)
    if packed:
        close("dx", dx, pad_packed_sequence(x._replace(data=wanted[0]), batch_first=True)[0])
    else:
        close("dx", back(dx), wanted[0])
    for s in range(len(initial)):
        close(f"d_initial[{s}]", d_initial[s][:, 0] if unbatched else d_initial[s], wanted[1 + s])
    for (name, _), gradient in zip(module.named_parameters(), wanted[1 + len(initial) :], strict=True):
        close(name, named[name], gradient)


@pytest.mark.parametrize("sample", named(PROJECTED))
def test_projection_is_an_error(sample):
    """recurrent_kernel [P, 4 H] belongs to an h of another size than c: said before anything runs."""
    module = build(sample)
    x, lengths, _ = batched(module, sample.inputs[0])
    layers = module.num_layers * (1 + module.bidirectional)
    states = [np.zeros((layers, len(x), size)) for size in (module.proj_size, module.hidden_size)]
    with pytest.raises(ValueError, match=r"recurrent_kernel must have shape \(3, 12\), got \(2, 12\)"):
        Stack(module).forward(x, states, lengths)


@pytest.mark.parametrize("sample", named([*IN_CELLS, *cells_without_bias()]))
def test_cell_module(sample):
    """nn.LSTMCell and the like: one step of a sequence."""
    module = build(sample)
    x, *given = sample.inputs
    theirs = as_tuple(module(x, *given))
    initial = list(as_tuple(given[0])) if given else []
    seeds = seeds_like(theirs)
    wanted = torch.autograd.grad(theirs, [x, *initial, *module.parameters()], seeds)

    def rows(tensor):
        array = tensor.detach().numpy()
        return array if array.ndim == 2 else array[None]

    cell = cell_of(module)
    direction = Direction("", module, cell)
    states = tuple(rows(s) for s in initial) or tuple(np.zeros_like(rows(s)) for s in theirs)
    _, final, ctx = cell.run(np.ascontiguousarray(rows(x)[:, None]), direction.parameters, states)
    for ours, their in zip(final, theirs, strict=True):
        close("state", ours.reshape(their.shape), their)
    gradients = cell.backward(ctx, None, tuple(rows(s) for s in seeds))
    close("dx", gradients.x.reshape(x.shape), wanted[0])
    for s, tensor in enumerate(initial):
        close("d_initial", gradients.state[s].reshape(tensor.shape), wanted[1 + s])
    named = direction.torch_gradients(gradients)
    for (name, _), gradient in zip(module.named_parameters(), wanted[1 + len(initial) :], strict=True):
        close(name, named[name], gradient)
