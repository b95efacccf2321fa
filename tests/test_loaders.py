"""Text as tokens, padded sequences, batches of windows."""

import numpy as np
import pytest

import latchwork as lw
from latchwork.data import CharacterVocabulary, TimeseriesDataset, pad_sequences


def test_a_text_and_back():
    text = "Grüße, 世界!\n" * 3
    vocabulary = CharacterVocabulary(text)
    numbers = vocabulary.encode(text)
    assert numbers.dtype == np.int64
    assert vocabulary.decode(numbers) == text
    assert len(vocabulary) == len(set(text)) == numbers.max() + 1
    assert CharacterVocabulary(reversed(text)).characters == vocabulary.characters == "".join(sorted(set(text)))
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.decode([]) == ""


@pytest.mark.parametrize("text", ["", [], [""], 3 * [1], ["a", None]])
def test_no_vocabulary(text):
    with pytest.raises(ValueError, match="text must be a text of at least one character"):
        CharacterVocabulary(text)


def test_what_a_vocabulary_does_not_have():
    vocabulary = CharacterVocabulary("abc")
    with pytest.raises(ValueError, match="text must have characters of the vocabulary, got 'x' at 2"):
        vocabulary.encode("abxx")
    with pytest.raises(ValueError, match="text must be a text, got 3"):
        vocabulary.encode(3)
    for numbers in ([3], [-1], [0.0], [[0]], 1):
        with pytest.raises(ValueError, match=r"numbers must be whole numbers \[T\] in \[0, 3\)"):
            vocabulary.decode(numbers)


def test_a_model_of_characters():
    """What it is for: the numbers of generate are characters."""
    vocabulary = CharacterVocabulary("latch")
    layers = [lw.layers.Input((None,)), lw.layers.Embedding(len(vocabulary), 3), lw.layers.LSTM(4)]
    model = lw.models.Sequential([*layers, lw.layers.Dense(len(vocabulary), "softmax")])
    written = vocabulary.decode(model.generate(vocabulary.encode("la"), 9, seed=1))
    assert len(written) == 9
    assert set(written) <= set("latch")


RAGGED = [[1, 2, 3], [4], [], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[0, 1, 2, 3], [0, 0, 0, 4], [0, 0, 0, 0], [5, 6, 7, 8]]),
        ({"padding": "post"}, [[1, 2, 3, 0], [4, 0, 0, 0], [0, 0, 0, 0], [5, 6, 7, 8]]),
        ({"maxlen": 2}, [[2, 3], [0, 4], [0, 0], [7, 8]]),
        ({"maxlen": 2, "truncating": "post", "value": 9}, [[1, 2], [9, 4], [9, 9], [5, 6]]),
        (
            {"maxlen": 5, "padding": "post", "value": -1},
            [[1, 2, 3, -1, -1], [4] + [-1] * 4, [-1] * 5, [5, 6, 7, 8, -1]],
        ),
    ],
)
def test_padded(options, expected):
    found = pad_sequences(RAGGED, **options)
    assert found.dtype == np.int32
    assert found.tolist() == expected


def test_padded_features():
    x = [np.ones((2, 3), "f"), np.full((1, 3), 2, "f")]
    found = pad_sequences(x, dtype="float32", padding="post")
    assert found.dtype == np.float32
    assert np.array_equal(found, lw.Ragged.from_list(x).to_padded())
    assert pad_sequences([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequences": "abc"}, "sequences must be a list of arrays"),
        ({"sequences": 3}, "sequences must be a list of arrays"),
        ({"sequences": [[1], [[2]]]}, r"sequences\[1\] must be numbers \[T\] or \[T, F\] like the first"),
        ({"sequences": [["a"]]}, r"sequences\[0\] must be numbers"),
        ({"sequences": [[1]], "maxlen": 0}, "maxlen must be a whole number of at least 1"),
        ({"sequences": [[1]], "padding": "left"}, "unknown padding 'left'"),
        ({"sequences": [[1]], "truncating": "right"}, "unknown truncating 'right'"),
    ],
)
def test_padding_that_cannot(arguments, message):
    with pytest.raises(ValueError, match=message):
        pad_sequences(**arguments)


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("rate", [1, 2])
@pytest.mark.parametrize("batch", [1, 5, 100])
def test_windows_in_batches(length, stride, rate, batch):
    series = np.arange(60.0).reshape(30, 2)
    targets = np.arange(30)
    options = {"sequence_length": length, "sequence_stride": stride, "sampling_rate": rate, "batch_size": batch}
    dataset = TimeseriesDataset(series, targets, **options)
    batches = list(dataset)
    assert len(batches) == len(dataset)
    assert all(len(x) == len(y) == batch for x, y in batches[:-1])
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    starts = [s for s in range(0, 30, stride) if s + (length - 1) * rate < 30]
    assert y.tolist() == starts
    for window, start in zip(x, starts, strict=True):
        assert np.array_equal(window, series[start : start + (length - 1) * rate + 1 : rate])
    only = list(TimeseriesDataset(series[:, 0].astype("f"), None, **options))
    assert np.array_equal(np.concatenate(only), x[:, :, :1])
    assert only[0].dtype == np.float32


def test_shuffled_windows():
    series = np.arange(40.0)
    options = {"sequence_length": 3, "batch_size": 7, "shuffle": True}

    def passes(dataset, n=2):
        return [np.concatenate([y for _, y in dataset]).tolist() for _ in range(n)]

    dataset = TimeseriesDataset(series, series, seed=4, **options)
    first, second = passes(dataset)
    assert first != second
    assert sorted(first) == sorted(second) == series[:38].tolist()
    assert passes(TimeseriesDataset(series, series, seed=4, **options)) == [first, second]
    assert first == lw.data.permutation(38, seed=4, epoch=0).tolist()
    lw.set_seed(4)
    assert passes(TimeseriesDataset(series, series, **options), 1) == [first]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequence_length": 11}, "series has 10 rows, fewer than one window of 11"),
        ({"sequence_length": 6, "sampling_rate": 2}, "series has 10 rows, fewer than one window of 11"),
        ({"targets": np.ones(6)}, r"targets must have at least 7 rows, .* got shape \(6,\)"),
        ({"targets": 1.0}, "targets must have at least 7 rows"),
        ({"series": np.ones((2, 2, 2))}, "series must be"),
        ({"sequence_length": 0}, "sequence_length must be"),
        ({"sequence_stride": 0}, "sequence_stride must be"),
        ({"sampling_rate": 0.5}, "sampling_rate must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"shuffle": 1}, "shuffle must be True or False, got 1"),
        ({"seed": -1}, "seed must be in"),
    ],
)
def test_windows_that_cannot(arguments, message):
    with pytest.raises(ValueError, match=message):
        TimeseriesDataset(**{"series": np.ones(10), "targets": np.ones(10), "sequence_length": 4, **arguments})
