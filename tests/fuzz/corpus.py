"""The kept inputs of the fuzzing programs.

    python tests/fuzz/corpus.py seeds FOLDER        models and inputs to start from (also writes tests/fuzz/models)
    python tests/fuzz/corpus.py keep FOLDER NAME    corpus/NAME becomes the seeds and FOLDER's shortest inputs

To renew a corpus: seeds, run the program on the folder for some minutes, then its own -merge=1 into another, keep that.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

import latchwork as lw
from latchwork.layers import (
    GRU,
    LSTM,
    Add,
    Bidirectional,
    Concatenate,
    Dense,
    Dot,
    Embedding,
    Input,
    Masking,
    SimpleRNN,
)
from latchwork.models import saving

HERE = Path(__file__).parent
MOST_BYTES = {"reader": 40_000, "c": 5_500}


def graph(name):
    """States handed over, a layer called twice, masks that meet: one input, one output."""
    x = Input((None, 2))
    y, state = GRU(2, return_sequences=True, return_state=True)(Masking()(x))
    shared = Dense(2)
    merged = Add()([shared(y), Concatenate()([Dense(1)(x), Dense(1)(y)]), shared(x)])
    ends = Bidirectional(SimpleRNN(2), merge_mode=None)(merged, initial_state=[state, state])
    return lw.models.Model(x, Concatenate()([Dot(1)(ends), ends[0]]), name=name)


def graph_of_small():
    """The layers of tests/cpp/data/model.safetensors, whose tensors the reader gives a description, as a graph."""
    small = lw.models.load_model(HERE.parent / "cpp" / "data" / "model.safetensors")
    fields = saving.model_fields(small)
    count = len(fields["layers"])
    nodes = [{"layer": i, "x": [i], "initial_state": []} for i in range(count)]
    inputs = [{"name": "x", "shape": fields.pop("input_shape")}]
    return fields | {"class": "Model", "inputs": inputs, "nodes": nodes, "outputs": [count]}


# name: what tests/fuzz/models/NAME.safetensors holds
MODELS = {
    "double": lambda: lw.models.Sequential([Input((None, 2)), GRU(2), Dense(1)], dtype="float64"),
    "dense": lambda: lw.models.Sequential([Input((3,)), Dense(2, activation="softmax")]),
    "numbers": lambda: lw.models.Sequential(
        [Input((None,)), Embedding(5, 3, mask_zero=True), Bidirectional(LSTM(2, return_sequences=True)), GRU(2)]
    ),
    "backwards": lambda: lw.models.Sequential([Input((4, 2)), LSTM(2, go_backwards=True)]),
    "graph": lambda: graph("G"),
    "writer": lambda: lw.models.Sequential([Input((None,)), Embedding(5, 2), GRU(2), Dense(5, "softmax")]),
}


def header_of(content):
    return content[8 : 8 + struct.unpack("<Q", content[:8])[0]]


def reader_seeds():
    found = {name: (HERE / "models" / f"{name}.safetensors").read_bytes() for name in MODELS}
    yield b"F" + found.pop("graph")
    found.pop("writer")  # like "numbers"
    models = [*found.values()]
    models.append((HERE.parent / "cpp" / "data" / "model.safetensors").read_bytes())
    for content in models:
        header = header_of(content)
        yield b"F" + content
        yield b"H" + header + b"\0" + content[8 + len(header) :]
        yield b"M" + json.loads(header)["__metadata__"]["model"].encode()
    yield b"M" + json.dumps(graph_of_small()).encode()
    tensor = {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}
    other = {"dtype": "I8", "shape": [], "data_offsets": [8, 9]}
    yield b"H" + json.dumps({"a": tensor, "\u20ac": other, "__metadata__": {"k": "v\n"}}).encode() + b"\0" + bytes(9)
    yield b'H{"a":{"dtype":"F64","shape":[9223372036854775807,2],"data_offsets":[0,0]}}'
    yield b"H" + b"[" * 40


def c_seeds():
    """Calls as bytes: what, model, streams, then arguments (fuzz_c.cpp)."""
    for path in range(12):
        load = bytes([0, 0, 0, path])
        for features in (2, 3):
            shape = bytes([0, 1, 3, 4, features])  # [3, 4, features]
            both = bytes([4, 0, 0]) + shape + bytes([5, 0, 0]) + shape
            asked = bytes([3, 0, 0]) + shape + bytes([8])
            ragged = bytes([10, 0, 0, 3, 2, 0, 4, 11, 0, 0, 3, 2, 0, 4])
            streams = bytes([6, 0, 0, 2, 8, 0, 0, 9, 0, 0, 14, 0, 0, 8, 0, 0, 12, 0, 0, 13, 0, 0])
            prompts = bytes([15, 0, 0, 2, 0, 2, 1, 3, 1, 3, 0, 1, 2, 1])
            ahead = bytes([16, 0, 0, 2, 0, 2, 1, 3, 0, 0, 17, 0, 0, 2, 0, 2, 1, 3, 2, 4])
            yield load + bytes([2, 0, 0]) + asked + both + ragged + streams + prompts + ahead + bytes([1, 0, 0])


SEEDS = {"reader": reader_seeds, "c": c_seeds}


def write(folder, inputs):
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(inputs):
        (folder / f"{number:03}").write_bytes(content)


def seeds(folder):
    lw.set_seed(1)
    (HERE / "models").mkdir(exist_ok=True)
    for name, model in MODELS.items():
        model().save(HERE / "models" / f"{name}.safetensors")
    for name, inputs in SEEDS.items():
        write(folder / name, inputs())


def keep(folder, name):
    target = HERE / "corpus" / name
    shutil.rmtree(target, ignore_errors=True)
    kept = list(SEEDS[name]())
    inputs = {path.read_bytes() for path in folder.iterdir()} - set(kept)
    for content in sorted(inputs, key=lambda content: (len(content), content)):
        if sum(map(len, kept)) + len(content) <= MOST_BYTES[name]:
            kept.append(content)
    write(target, kept)
    print(f"{len(kept)} inputs, {sum(map(len, kept))} bytes")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["seeds", folder]:
            seeds(Path(folder))
        case ["keep", folder, name]:
            keep(Path(folder), name)
        case _:
            sys.exit(__doc__)
