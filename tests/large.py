"""One real call with more than 2^31 elements; run as a program by .ci/full: 9 GB of memory, a minute or two.

A single sequence of 2^21 + 300 steps of 1024 features: whole and in chunks it must give the same bits, both ways.
"""

import sys

import numpy as np

from latchwork import _core
from latchwork import functional as F

T, I, H = 2**21 + 300, 1024, 4
CHUNK = 2**18  # a multiple of the 256 steps whose products are one sum of the weight gradient


def chunks():
    return [slice(start, min(start + CHUNK, T)) for start in range(0, T, CHUNK)]


def same(name, found, wanted):
    if found.tobytes() != wanted.tobytes():
        sys.exit(f"{name}: the bits differ, first at {np.argwhere(found != wanted)[0]}")
    print(f"{name}: the same bits", flush=True)


def main():
    x = _core.philox_uniform(1, 0, (1, T, I), -1.0, 1.0, "float32")
    assert x.size > 2**31
    tail = _core.philox_uniform(1, 0, (1, T, 2), -1.0, 1.0, "float32")
    same("a draw's first elements", x.reshape(-1)[: tail.size], tail.reshape(-1))
    assert not (x[0, -1] == x[0, -1, 0]).all(), "the last elements were never drawn"

    params = tuple(
        _core.philox_uniform(1, stream, shape, -0.1, 0.1, "float32")
        for stream, shape in enumerate([(I, 4 * H), (H, 4 * H), (4 * H,)], 1)
    )
    y, state, ctx = F.lstm(x, params)
    parts, contexts, carried = [], [], None
    for chunk in chunks():
        part, carried, context = F.lstm(x[:, chunk], params, carried)
        parts.append(part)
        contexts.append(context)
    same("y", y, np.concatenate(parts, axis=1))
    for name, whole, chunked in zip("hc", state, carried, strict=True):
        same(name, whole, chunked)

    dy = _core.philox_uniform(1, 9, y.shape, -1.0, 1.0, "float32")
    dy[:, CHUNK - 1 :: CHUNK] = 0  # a chain begins at dy; where a chunk begins anew, that must be where it would anyway
    whole = F.lstm_backward(ctx, dy, need_dx=False)
    out, dstate = tuple(np.zeros_like(p) for p in params), None
    for chunk, context in zip(reversed(chunks()), reversed(contexts), strict=True):
        dstate = F.lstm_backward(context, dy[:, chunk].copy(), dstate, need_dx=False, out=out).state
    for name, found, wanted in zip(("kernel", "recurrent_kernel", "bias"), out, whole[2:], strict=True):
        same(f"gradient of {name}", found, wanted)

    rows = np.array([0, T - 1, 2**21, 5])
    same("rows of a large table", _core.gather_rows(x[0], rows), x[0][rows])
    spoiled = x.reshape(-1)
    assert _core.all_finite(x)
    spoiled[-1] = np.nan
    assert not _core.all_finite(x), "the last element was not looked at"
    print("the last element counts")


if __name__ == "__main__":
    main()
