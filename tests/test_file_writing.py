"""Files are written whole or not at all, whatever happens in between."""

import os
import resource

import numpy as np
import pytest
from safetensors.numpy import load_file

from latchwork import _core


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def write(path, size=10):
    _core.write_safetensors(os.fsencode(path), [("a", np.full(size, 1.5))], {})


def assert_untouched(path, before):
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_full_disk_leaves_the_old_file(path):
    write(path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # a write is cut short there, the next one fails
    try:
        with pytest.raises(OSError, match=r"m\.safetensors.*writing failed"):
            write(path, 1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_untouched(path, before)


def test_a_name_that_is_taken_by_a_folder(path):
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="renaming"):
        write(path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_folders_that_cannot_be_written(path):
    with pytest.raises(FileNotFoundError, match="opening its folder"):
        write(path.parent / "no" / path.name)
    with pytest.raises(OSError, match="creating a temporary file"):
        write("/proc/m.safetensors")  # read-only for everybody, root too


def test_a_file_of_a_killed_process_is_in_nobodys_way(path):
    for number in range(50):
        (path.parent / f".latchwork-{os.getpid()}-{number}.tmp").write_bytes(b"")
    write(path)
    assert load_file(path)["a"][0] == 1.5


def test_permissions_follow_umask(path):
    write(path)
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ([("a", np.ones(1)), ("a", np.ones(1))], {}, 'tensor names must differ, got "a" twice'),
        ([("__metadata__", np.ones(1))], {}, "tensor names must differ"),
        ([("a", np.ones(1, np.int32))], {}, "a must be float32 or float64"),
        ([("a", np.ones((2, 2)).T[:1])], {}, "a must be C-contiguous"),
        ([("a", np.ones((1,) * 9))], {}, "at most 8 axes, got 9"),
    ],
)
def test_what_is_not_written(tensors, metadata, message, path):
    with pytest.raises(ValueError, match=message):
        _core.write_safetensors(os.fsencode(path), tensors, metadata)
    assert not path.exists()


def test_paths(path):
    for bad in (b"m.h5", b"m", b"", b"m.safetensors.tmp"):
        with pytest.raises(ValueError, match="must end in"):
            write(os.fsdecode(bad))
    with pytest.raises(ValueError, match="zero byte"):
        _core.write_safetensors(b"a\0.safetensors", [], {})
    odd = os.fsencode(path.parent) + b"/\xff\xe9 \n.safetensors"
    _core.write_safetensors(odd, [], {})
    assert _core.SafetensorsFile(odd).tensors == {}
    os.remove(odd)
    with pytest.raises(FileNotFoundError, match=r"\\xff\\xe9 \\u000a"):
        _core.SafetensorsFile(odd)
