"""lw.cpu: what is asked of it is what the kernels then do."""

import pytest

import latchwork as lw
from latchwork import _core
from problems import ISAS, THREADS


def test_threads():
    for n in THREADS:
        lw.cpu.set_num_threads(n)
        assert lw.cpu.num_threads() == _core.num_threads() == n
    for wrong in (0, -1, True, 2.0, "2"):
        with pytest.raises(ValueError, match="n must be a whole number of at least 1, got"):
            lw.cpu.set_num_threads(wrong)
    assert lw.cpu.num_threads() == THREADS[-1]


def test_instruction_sets():
    assert lw.cpu.supported() == list(ISAS)
    for isa in ISAS:
        lw.cpu.use(isa)
        assert lw.cpu.isa() == isa
    with pytest.raises(ValueError, match="avx1024"):
        lw.cpu.use("avx1024")
    assert lw.cpu.isa() == ISAS[-1]


def test_features_are_those_of_the_instruction_sets():
    features = lw.cpu.features()
    assert all(isinstance(name, str) for name in features)
    for isa, needed in {"avx2": {"avx2", "fma"}, "avx512": {"avx2", "fma", "avx512f"}}.items():
        if isa in ISAS:
            assert needed <= set(features)
