"""The C ABI from ctypes, with the standard library alone: argv is the shared library, a model and its features."""

import ctypes
import sys

library, path, features = ctypes.CDLL(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
library.latchwork_last_error.restype = ctypes.c_char_p
library.latchwork_version.restype = ctypes.c_char_p

model = ctypes.c_void_p()
assert library.latchwork_model_load(b"/nowhere.safetensors", ctypes.byref(model)) == 2
assert b"/nowhere.safetensors" in library.latchwork_last_error()
assert library.latchwork_model_load(path, ctypes.byref(model)) == 0, library.latchwork_last_error()

shape = (ctypes.c_int64 * 3)(1, 4, features)
y_shape, y_rank = (ctypes.c_int64 * 8)(), ctypes.c_size_t(8)
status = library.latchwork_model_output_shape(model, shape, ctypes.c_size_t(3), y_shape, ctypes.byref(y_rank))
assert status == 0, library.latchwork_last_error()
size = 1
for extent in y_shape[: y_rank.value]:
    size *= extent

x = (ctypes.c_float * (4 * features))(*(((i * 5) % 9 - 4) / 8 for i in range(4 * features)))
once, again = (ctypes.c_float * size)(), (ctypes.c_float * size)()
for y in (once, again):
    status = library.latchwork_model_predict_f32(model, x, shape, ctypes.c_size_t(3), y)
    assert status == 0, library.latchwork_last_error()
assert bytes(once) == bytes(again)
assert any(once)
library.latchwork_model_free(model)
print(f"latchwork {library.latchwork_version().decode()} through ctypes: good")
