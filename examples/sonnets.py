"""Learn to write like Shakespeare, letter by letter.

sonnets.txt holds the first sixty of Shakespeare's Sonnets (London, 1609; spelling modernised), in the public domain.
The text is cut into 16 long streams that are read side by side. `tbptt=64` takes a step of the optimizer every 64
letters: what the network remembers goes on through the whole stream, gradients go back 64 letters at most (truncated
back-propagation through time).
"""

import argparse
from pathlib import Path

import latchwork as lw
from latchwork.layers import LSTM, Dense, Embedding, Input
from latchwork.models import Sequential

STREAMS, PIECE = 16, 64


def load(letters=None):
    text = (Path(__file__).parent / "sonnets.txt").read_text()[:letters]
    split = int(0.9 * len(text))
    return text[:split], text[split:]


def in_streams(tokens, streams):
    """Tokens and those that follow: [streams, T] each, row by row."""
    steps = (len(tokens) - 1) // streams
    return tokens[: streams * steps].reshape(streams, steps), tokens[1 : streams * steps + 1].reshape(streams, steps)


def build(letters, units=128, dtype="float32"):
    layers = [
        Input((None,)),
        Embedding(letters, 32),
        LSTM(units, return_sequences=True),
        Dense(letters, activation="softmax"),
    ]
    model = Sequential(layers, dtype=dtype)
    model.compile(
        loss="sparse_categorical_crossentropy",
        optimizer=lw.optimizers.Adam(0.005, clipnorm=1.0),
        metrics=["perplexity"],
    )
    return model


def main(epochs=20, letters=None, units=128):
    lw.set_seed(0)
    text, held_out = load(letters)
    alphabet = lw.data.CharacterVocabulary(text + held_out)
    x, y = in_streams(alphabet.encode(text), STREAMS)
    later = in_streams(alphabet.encode(held_out), 1)

    model = build(len(alphabet), units)
    history = model.fit(x, y, batch_size=STREAMS, epochs=epochs, tbptt=PIECE, validation_data=later, verbose=2).history
    unseen = history["val_perplexity"][-1]
    print(f"perplexity of lines not seen: {unseen:.2f}, were all letters as likely {len(alphabet)}.00")

    prompt = "Shall I compare thee to "
    written = model.generate(alphabet.encode(prompt), 300, temperature=0.6, seed=1)
    print(prompt + alphabet.decode(written))
    return unseen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    main(**vars(parser.parse_args()))
