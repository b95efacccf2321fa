"""The one reader and writer of files, against the safetensors package: whatever we take it takes, with equal bits."""

import json
import math
import os
import re
import struct

import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from latchwork import _core


def file_of(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def info(dtype="U8", shape=(1,), offsets=(0, 1), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def header_of(tensor, data=b"x"):
    return file_of(b'{"a":' + tensor + b"}", data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def read(path):
    return _core.SafetensorsFile(os.fsencode(path))


def refusal(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read(path)
    assert "m.safetensors" in str(caught.value)
    return str(caught.value)


NESTED = b"[" * 100_000 + b"]" * 100_000

# name: (file, part of the message). The package refuses these too ...
MALFORMED = {
    "empty file": (b"", "8 bytes of header length, got a file of 0 bytes"),
    "7 bytes": (b"1234567", "got a file of 7 bytes"),
    "no header": (file_of(b""), 'must begin with "{", got no header'),
    "header of 2^40": (file_of({}, length=1 << 40), "got a length of 1099511627776"),
    "header of 2^64 - 1": (file_of({}, length=2**64 - 1), "got a length of 18446744073709551615"),
    "header beyond the file": (file_of({}, length=3), "at most 2 bytes"),
    "no JSON": (file_of(b"{nothing}"), 'a text in quotes before byte 1, got "n"'),
    "JSON cut": (file_of(b'{"a":'), "an object before byte 5, got the end"),
    "two values": (file_of(b"{}{}"), "nothing more"),
    "bad UTF-8": (file_of(b'{"\xff":1}'), "must be UTF-8"),
    "overlong UTF-8": (file_of(b'{"\xc0\xaf":1}'), "must be UTF-8"),
    "surrogate in UTF-8": (file_of(b'{"\xed\xa0\x80":1}'), "must be UTF-8"),
    "half a surrogate pair": (file_of(rb'{"\ud800":1}'), "a pair of surrogates"),
    "control character": (file_of(b'{"\n":1}'), "escaped control characters"),
    "nesting": (file_of(b'{"a":' + NESTED + b"}"), "an object before byte 5"),
    "nested shape": (header_of(b'{"dtype":"U8","shape":' + NESTED + b"}"), "a whole number"),
    "a number for a tensor": (file_of({"a": 1}), "an object"),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}}), "a text in quotes"),
    "metadata a list": (file_of({"__metadata__": []}), "an object"),
    "unknown dtype": (file_of({"a": info("F33")}, b"x"), 'known dtype of tensor "a" before byte 21, got "F33"'),
    "dtype a number": (file_of({"a": info(5)}, b"x"), "a text in quotes"),
    "no dtype": (header_of(b'{"shape":[1],"data_offsets":[0,1]}'), "too few fields"),
    "no shape": (header_of(b'{"dtype":"U8","data_offsets":[0,1]}'), "too few fields"),
    "no offsets": (header_of(b'{"dtype":"U8","shape":[1]}'), "too few fields"),
    "one offset": (file_of({"a": info(offsets=[0])}, b"x"), "too few fields"),
    "three offsets": (file_of({"a": info(offsets=[0, 1, 1])}, b"x"), "two data_offsets"),
    "float in shape": (file_of({"a": info(shape=[1.0])}, b"x"), "a whole number"),
    "exponent in shape": (header_of(b'{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}'), "a whole number"),
    "text in shape": (file_of({"a": info(shape=["1"])}, b"x"), "a whole number"),
    "negative extent": (file_of({"a": info(shape=[-1])}, b"x"), "a whole number"),
    "leading zero": (header_of(b'{"dtype":"U8","shape":[01],"data_offsets":[0,1]}'), '","'),
    "negative offset": (file_of({"a": info(offsets=[-1, 0])}, b"x"), "a whole number"),
    "overflowing shape": (file_of({"a": info("F64", [2**62, 8], [0, 0])}), "less than 2^63 bytes"),
    "overflowing bytes": (file_of({"a": info("F64", [2**61], [0, 0])}), "less than 2^63 bytes"),
    "wrong size": (file_of({"a": info("F32", [1], [0, 5])}, b"12345"), "the 4 bytes of F32 of shape [1]"),
    "offsets backwards": (file_of({"a": info(offsets=[1, 0])}, b"x"), "begin at byte 0"),
    "overlap": (file_of({"a": info(), "b": info()}, b"x"), 'tensor "b" must begin at byte 1'),
    "hole": (file_of({"a": info(), "b": info(offsets=[2, 3])}, b"xyz"), 'tensor "b" must begin at byte 1'),
    "hole in front": (file_of({"a": info(offsets=[1, 2])}, b"xy"), "begin at byte 0"),
    "short data": (file_of({"a": info("F32", [1], [0, 4])}, b"xyz"), "end by byte 3"),
    "trailing data": (file_of({"a": info()}, b"xy"), "1 bytes behind it"),
    "data without tensors": (file_of({}, b"x"), "1 bytes behind it"),
    "duplicate field": (header_of(b'{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}'), "each key once"),
}

# ... and these it takes and we do not.
STRICTER = {
    "duplicate tensor": (
        file_of(b'{"a":%b,"a":%b}' % ((json.dumps(info()).encode(),) * 2), b"x"),
        'each key once before byte 62, got a second "a"',
    ),
    "duplicate metadata": (file_of(b'{"__metadata__":{"k":"1","k":"2"}}'), "each key once"),
    "space before the header": (file_of(b" {}"), 'must begin with "{", got " "'),
    "unknown field": (file_of({"a": info(more=1)}, b"x"), 'got field "more"'),
    "rank 9": (file_of({"a": info(shape=[1] * 9)}, b"x"), "at most 8 axes"),
    "metadata null": (file_of({"__metadata__": None}), "an object"),
    "100,001 tensors": (
        file_of({f"{i}": info(shape=[0], offsets=[0, 0]) for i in range(100_001)}),
        "at most 100000 tensors",
    ),
    "1001 metadata": (file_of({"__metadata__": {f"{i}": "" for i in range(1001)}}), "at most 1000 entries"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name, path):
    content, part = MALFORMED[name]
    assert part in refusal(path, content)
    with pytest.raises(safetensors.SafetensorError):
        safetensors.deserialize(content)


@pytest.mark.parametrize("name", STRICTER)
def test_stricter_than_the_package(name, path):
    content, part = STRICTER[name]
    assert part in refusal(path, content)


def test_a_huge_header_is_refused_before_it_is_read(path):
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 200_000_000))
        file.truncate(300_000_000)  # no disk is used
    with pytest.raises(ValueError, match="at most 100000000 bytes"):
        read(path)


@pytest.mark.parametrize("kind", ["folder", "missing", "pipe"])
def test_what_is_no_file(kind, path):
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    expected = {"folder": IsADirectoryError, "missing": FileNotFoundError, "pipe": ValueError}[kind]
    with pytest.raises(expected, match=r"m\.safetensors"):
        read(path)


def test_corners_that_are_allowed(path):
    tensors = {
        "empty": info("F32", [0, 3], [0, 0]),
        "number": info("F64", [], [0, 8]),
        "": info("F32", [1, 1, 1, 1, 1, 1, 1, 1], [8, 12]),
        "nul \0 \N{SNOWMAN} \U0001f40e": info("F32", [1], [12, 16]),
    }
    content = file_of(tensors, struct.pack("<dff", math.pi, 2.0, 3.0))
    path.write_bytes(content)
    file = read(path)
    assert file.tensors == {name: (t["dtype"], tuple(t["shape"])) for name, t in tensors.items()}
    assert file.read("number") == math.pi
    assert file.read("empty").shape == (0, 3)
    assert {name for name, _ in safetensors.deserialize(content)} == set(file.tensors)
    with pytest.raises(ValueError, match='no tensor is named "x"'):
        file.read("x")


def test_other_dtypes_are_told_not_guessed(path):
    save_file({"a": np.ones(3, np.int64)}, path)
    assert read(path).tensors == {"a": ("I64", (3,))}
    with pytest.raises(ValueError, match='"a" must be F32 or F64, got I64'):
        read(path).read("a")


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name != "__metadata__")
TEXTS = st.dictionaries(NAMES, NAMES, max_size=3)


@st.composite
def arrays(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    dtype = draw(st.sampled_from([np.uint32, np.uint64]))
    raw = draw(st.binary(min_size=math.prod(shape) * dtype().itemsize, max_size=math.prod(shape) * dtype().itemsize))
    return np.frombuffer(raw, dtype).view(np.float32 if dtype is np.uint32 else np.float64).reshape(shape)


TENSORS = st.dictionaries(NAMES, arrays(), max_size=5)


def same(a, b):
    return {k: (v.dtype, v.shape, v.tobytes()) for k, v in a.items()} == {
        k: (v.dtype, v.shape, v.tobytes()) for k, v in b.items()
    }


@given(tensors=TENSORS, metadata=TEXTS)
def test_our_files_load_there(tensors, metadata, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "ours.safetensors"
    _core.write_safetensors(os.fsencode(path), list(tensors.items()), metadata)
    assert same(load_file(path), tensors)
    assert (safetensors.safe_open(path, "numpy").metadata() or {}) == metadata
    raw = path.read_bytes()
    assert (8 + struct.unpack("<Q", raw[:8])[0]) % 8 == 0


@given(tensors=TENSORS, metadata=TEXTS)
def test_their_files_load_here(tensors, metadata, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "theirs.safetensors"
    save_file(tensors, path, metadata or None)  # 0.8 writes a header for {} that it cannot read itself
    file = read(path)
    assert same({name: file.read(name) for name in file.tensors}, tensors)
    assert file.metadata == metadata


# What a refusal that the package does not share may say: the rules of docs/model-files.md, most shown by STRICTER.
OUR_RULES = re.compile(
    r'got a second "|must begin with "{"|, got field "|at most (8 axes|100000 tensors|1000 entries of metadata)'
    r"|must have an object before byte \d+, got \"n\""  # null for no metadata
    r"|a known dtype of tensor .*, got \"(C64|F4|F6_\w+|F8_E8M0|F8_\w+FNUZ)\""  # newer ones of the package
)


def verdicts(content, path):
    """What we say and what the package says: (contents, None) or (None, refusal)."""
    path.write_bytes(content)
    try:
        file = read(path)
        raw = {n: file.read(n).tobytes() for n, (dtype, _) in file.tensors.items() if dtype in ("F32", "F64")}
        ours = (file.tensors, raw), None
    except ValueError as error:
        ours = None, str(error)
    try:
        found = {
            name: (t["dtype"], tuple(t["shape"]), bytes(t["data"])) for name, t in safetensors.deserialize(content)
        }
        raw = {name: t[2] for name, t in found.items() if t[0] in ("F32", "F64")}
        theirs = ({name: t[:2] for name, t in found.items()}, raw), None
    except safetensors.SafetensorError as error:
        theirs = None, str(error)
    return ours, theirs


def assert_agreement(content, path):
    (ours, refusal), (theirs, reason) = verdicts(content, path)
    if ours is not None:
        assert theirs is not None, f"we take what the package does not: {reason}"
        assert ours == theirs
    elif theirs is not None:
        assert OUR_RULES.search(refusal), f"we refuse what the package takes: {refusal}"


@pytest.mark.parametrize("name", STRICTER)
def test_our_rules_are_what_the_package_takes(name, path):
    """Each rule is one that the package does not have; when it gets one, the table says so."""
    content, _ = STRICTER[name]
    (ours, refusal), (theirs, reason) = verdicts(content, path)
    assert ours is None
    assert OUR_RULES.search(refusal)
    assert theirs is not None, reason


SMALL = file_of(
    {"__metadata__": {"k": "v\n"}, "a/b": info("F32", [2, 1], [0, 8]), "c": info("F64", [], [8, 16])}, bytes(16)
)


CHANGE = st.tuples(st.integers(0, len(SMALL)), st.integers(0, 2), st.binary(min_size=1, max_size=2))


@given(changes=st.lists(CHANGE, max_size=3))
def test_changed_bytes(changes, tmp_path_factory):
    content = bytearray(SMALL)
    for at, removed, added in changes:
        content[at : at + removed] = added
    assert_agreement(bytes(content), tmp_path_factory.getbasetemp() / "changed.safetensors")


NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 8, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 1.0, 1e300, True])
ODD = NUMBERS | st.sampled_from([None, "", "F32", "f32", "I64", [], [0], {}, "__metadata__"])
DTYPES = st.sampled_from(["F32", "F64", "I8", "BOOL", "BF16", "U64", "C64", "F8_E4M3", "F4", "f32", ""])


@st.composite
def damaged(draw):
    """A file with tensors that fit, then some fields changed for others: most are refused, each for its own reason."""
    header, at = {}, 0
    if draw(st.booleans()):
        header["__metadata__"] = draw(TEXTS)
    for name in draw(st.lists(NAMES, max_size=3, unique=True)):
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        dtype, bytes_each = draw(st.sampled_from([("F32", 4), ("F64", 8), ("I8", 1), ("F16", 2)]))
        size = math.prod(shape) * bytes_each
        header[name] = info(dtype, shape, (at, at + size))
        at += size
    tensors = [header[name] for name in header if name != "__metadata__"]
    for _ in range(draw(st.integers(0, 2))):
        if not tensors:
            break
        tensor = draw(st.sampled_from(tensors))
        field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "more"]))
        match draw(st.sampled_from(["other", "gone", "number", "dtype"])):
            case "other":
                tensor[field] = draw(ODD)
            case "gone":
                tensor.pop(field, None)
            case "number" if isinstance(tensor.get(field), list) and tensor[field]:
                tensor[field][draw(st.integers(0, len(tensor[field]) - 1))] = draw(NUMBERS)
            case _:
                tensor["dtype"] = draw(DTYPES)
    text = json.dumps(header, ensure_ascii=draw(st.booleans())).encode()
    text += b" " * draw(st.sampled_from([0, 0, 1, 8]))
    data = bytes(max(0, at + draw(st.sampled_from([0, 0, 0, -1, 1]))))
    return file_of(text, data, len(text) + draw(st.sampled_from([0, 0, 0, 0, -1, 1])))


@given(content=damaged())
def test_damaged_files(content, tmp_path_factory):
    assert_agreement(content, tmp_path_factory.getbasetemp() / "damaged.safetensors")
