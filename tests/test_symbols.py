"""What the compiler left in the kernels' objects and in the extension: the trap of several ISAs in one binary.

An inline function compiled for AVX-512 under a name that other files have too is a weak symbol, and the linker may keep
that copy for everyone: SIGILL on an older CPU. A static initialiser would run ISA code when the library is loaded.
The objects are those of LATCHWORK_BUILD_DIR, else of the newest build/ that `pip install .` left behind.
"""

import re
import subprocess

import pytest

from build_directory import kernel_objects
from latchwork import _core

OBJECTS = kernel_objects()
LIBM = r"(exp|exp2|expm1|log|log2|log10|log1p|pow|sin|cos|tan|sinh|cosh|tanh|asinh|acosh|atanh|atan|atan2|erf)[fl]?"


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def isa_of(path):
    return re.search(r"latchwork_isa_(\w+?)\.dir", str(path)).group(1)


def symbols(path):
    """(type, name) of every symbol of an object."""
    for line in lines("nm", str(path)):
        kind, name = line.split()[-2:]
        yield kind, name


def in_isa(name, isa):
    return re.match(rf"_Z(GV|TV|TI|TS|Z|L)*N?K?9latchwork{len(isa)}{isa}", name.replace("_ZNK", "_ZN"))


def test_every_isa_was_built():
    assert {isa_of(path) for path in OBJECTS} == set(_core.isas())


@pytest.mark.parametrize("path", OBJECTS, ids=lambda p: f"{isa_of(p)}-{p.stem}")
def test_kernel_object(path):
    isa = isa_of(path)
    weak = [name for kind, name in symbols(path) if kind in "wWvVu" and not in_isa(name, isa)]
    assert not weak, f"weak symbols outside latchwork::{isa}: {weak}"
    allowed = {"memcpy", "memset", "memmove", "fma", "fmaf", "_GLOBAL_OFFSET_TABLE_"}
    needed = [n for kind, n in symbols(path) if kind == "U" and n not in allowed and not in_isa(n, isa)]
    assert not needed, f"symbols of others: {needed}"
    sections = " ".join(lines("objdump", "-h", str(path)))
    assert not re.search(r"\.(init_array|ctors|preinit_array)", sections)


def test_search_sees_weak_symbols(tmp_path):
    """The test above can fail: the same look at a file that breaks the rule."""
    source = tmp_path / "bad.cpp"
    source.write_text("#include <algorithm>\nint f(); int x = f();\nint m(int a) { return std::max(a, x); }\n")
    target = tmp_path / "bad.o"
    lines("c++", "-O0", "-c", str(source), "-o", str(target))
    assert any(kind == "W" and not in_isa(name, "avx512") for kind, name in symbols(target))
    assert ".init_array" in " ".join(lines("objdump", "-h", str(target)))


def test_extension_takes_no_function_from_libm():
    undefined = [line.split()[-1].split("@")[0] for line in lines("nm", "-D", "--undefined-only", _core.__file__)]
    assert not [name for name in undefined if re.fullmatch(LIBM, name)]


def test_extension_needs_no_openmp_and_no_blas():
    needed = " ".join(line for line in lines("objdump", "-p", _core.__file__) if "NEEDED" in line)
    assert "libstdc++" in needed
    assert not re.search(r"gomp|iomp|blas|mkl", needed)
