"""Settings of the whole suite. What needs a peer or a build directory is collected only where there is one."""

import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

import latchwork
from build_directory import kernel_objects
from latchwork import _core

# deadline: the first example pays for the thread team; derandomize: a run of the suite is the same run everywhere.
hypothesis.settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.register_profile("full", max_examples=400, deadline=None, print_blob=True)
hypothesis.settings.load_profile("quick")

PEERS = {
    "peers/test_torch*.py": ("torch", "expecttest"),
    "peers/test_keras_[!l]*.py": ("keras", "torch"),  # all but test_keras_layers.py, which holds Keras' numbers
    "peers/test_*_live.py": ("keras", "torch"),
}
MISSING = {
    files: absent for files, needed in PEERS.items() if (absent := [name for name in needed if find_spec(name) is None])
}
if not shutil.which("cmake") or not (Path(latchwork.__file__).parent / "lib").is_dir():
    MISSING["test_cpp_package.py"] = ["cmake", "the library inside an installed wheel"]
if not kernel_objects():
    MISSING["test_symbols.py"] = ["a build directory: LATCHWORK_BUILD_DIR, or the build/ of `pip install .`"]
collect_ignore_glob = list(MISSING)


def pytest_report_header():
    left_out = [f"left out: tests/{files} (needs {' and '.join(absent)})" for files, absent in MISSING.items()]
    return [f"latchwork: isa {_core.isa()}, {_core.num_threads()} threads", *left_out]


@pytest.fixture(autouse=True)
def _same_processor_after_as_before():
    """A test that forgets to put ISA or threads back must not change what the next one runs on."""
    before = _core.isa(), _core.num_threads()
    yield
    _core.use_isa(before[0])
    _core.set_num_threads(before[1])


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, also where a shell runs the suite in the background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def thorough(pytestconfig):
    """Whether this is .ci/full's run, which has the time for everything."""
    return pytestconfig.getoption("--hypothesis-profile") == "full"
