"""PyTorch's own module inputs (torch.testing, ModuleInfo) through latchwork.functional, in float64 at 1e-12."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.testing._internal.common_modules import module_db

from peers.torch_adapter import Direction, Stack, cell_of

TOLERANCE = 1e-12
SEQUENCES = {torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU}
CELL_MODULES = {torch.nn.RNNCell, torch.nn.LSTMCell, torch.nn.GRUCell}


def samples(classes):
    for info in module_db:
        if info.module_cls not in classes:
            continue
        torch.manual_seed(0)
        inputs = info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=True, training=True)
        for number, sample in enumerate(inputs):
            if sample.constructor_input.kwargs.get("proj_size", 0):
                continue
            yield pytest.param(info.module_cls, sample, id=f"{info.module_cls.__name__}-{number}")


def build(module_class, sample):
    torch.manual_seed(1)
    return module_class(*sample.constructor_input.args, **sample.constructor_input.kwargs).double()


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


@pytest.mark.parametrize(("module_class", "sample"), list(samples(SEQUENCES)))
def test_sequence_module(module_class, sample):
    module = build(module_class, sample)
    x, *given = sample.forward_input.args
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


@pytest.mark.parametrize(("module_class", "sample"), list(samples(CELL_MODULES)))
def test_cell_module(module_class, sample):
    """nn.LSTMCell and the like: one step of a sequence."""
    module = build(module_class, sample)
    arguments = [*sample.forward_input.args, *sample.forward_input.kwargs.values()]
    x, *given = arguments
    given = [g for g in given if g is not None]
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
