"""Learn to write like Shakespeare, letter by letter.

sonnets.txt holds the first sixty of Shakespeare's Sonnets (London, 1609; spelling modernised), in the public domain.
The text is cut into a few long streams that are read side by side, 64 letters at a time. `stateful=True` carries what
the network remembers from one piece to the next; gradients go back through one piece (truncated backpropagation).
"""

from pathlib import Path

import numpy as np

import latchwork as lw
from latchwork.layers import LSTM, Dense, Embedding, Input
from latchwork.models import Sequential

STREAMS, PIECE = 16, 64


def load(letters=None):
    text = (Path(__file__).parent / "sonnets.txt").read_text()[:letters]
    split = int(0.9 * len(text))
    return text[:split], text[split:]


def in_pieces(tokens, streams):
    """Tokens and those that follow, [pieces * streams, PIECE]: row i of a batch goes on where it ended in the last."""
    pieces = (len(tokens) - 1) // (streams * PIECE)
    kept = pieces * streams * PIECE
    x, y = (part.reshape(streams, pieces, PIECE).swapaxes(0, 1) for part in (tokens[:kept], tokens[1 : kept + 1]))
    return x.reshape(-1, PIECE), y.reshape(-1, PIECE)


def build(letters, units=128):
    model = Sequential(
        [
            Input((None,)),
            Embedding(letters, 32),
            LSTM(units, return_sequences=True, stateful=True),
            Dense(letters, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer=lw.optimizers.Adam(0.005, clipnorm=1.0))
    return model


def main(epochs=30, letters=None, units=128):
    lw.set_seed(0)
    text, held_out = load(letters)
    alphabet = lw.data.CharacterVocabulary(text + held_out)
    x, y = in_pieces(alphabet.encode(text), STREAMS)
    later = in_pieces(alphabet.encode(held_out), 1)

    model = build(len(alphabet), units)
    for epoch in range(epochs):
        model.reset_states()  # every epoch begins at the beginning of the streams
        loss = model.fit(x, y, batch_size=STREAMS, shuffle=False, verbose=0).history["loss"][0]
        model.reset_states()
        unseen = model.evaluate(*later, batch_size=1)
        print(f"epoch {epoch + 1:2d}   perplexity {np.exp(loss):6.2f}   of lines not seen {np.exp(unseen):6.2f}")
    print(f"letters {len(alphabet)}, every one as likely: {len(alphabet)}.00")

    prompt = "Shall I compare thee to "
    written = model.generate(alphabet.encode(prompt), 300, temperature=0.6, seed=1)
    print(prompt + alphabet.decode(written))
    return np.exp(unseen)


if __name__ == "__main__":
    main()
