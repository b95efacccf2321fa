"""Read dates as people write them, "Tuesday, 3 March 1998" or "3/3/98", and write them as 1998-03-03.

An encoder reads the letters forwards and backwards. A decoder writes one letter after the other, reads what it has
written (in training what it should have: teacher forcing), and for each letter looks by attention at what the encoder
made of the letters read, which is all it learns of them. `--plot dates.png` draws where it looks.
"""

import argparse
from datetime import date, timedelta

import numpy as np

import latchwork as lw
from latchwork.layers import LSTM, Attention, Bidirectional, Concatenate, Dense, Embedding, Input
from latchwork.models import Model

FORMS = ("%A, {d} %B %Y", "{d} %b %Y", "%B {d}, %Y", "{d}/{m}/%y", "{d}.{m}.%Y", "%b {d}, '%y")
LENGTH = len("1998-03-03")
READ = lw.data.CharacterVocabulary(" ,./'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
WRITE = lw.data.CharacterVocabulary("-0123456789")
START = len(WRITE)  # what the decoder reads before its first letter


def dates(count, rng):
    """Letters [N, 28], 0 behind the last, and what to write: [N, 10]."""
    days = [date(1970, 1, 1) + timedelta(days=int(n)) for n in rng.integers(0, 60 * 365, count)]
    forms = [FORMS[k] for k in rng.integers(0, len(FORMS), count)]
    texts = [day.strftime(form.format(d=day.day, m=day.month)) for day, form in zip(days, forms, strict=True)]
    letters = lw.data.pad_sequences([READ.encode(text) + 1 for text in texts], maxlen=28, padding="post")
    return texts, letters, np.stack([WRITE.encode(day.isoformat()) for day in days])


def shifted(y):
    """What the decoder reads: START, then what it should have written so far."""
    return np.column_stack([np.full(len(y), START), y[:, :-1]])


def build(units=64):
    letters, so_far = Input((None,)), Input((None,))
    embedded = Embedding(len(READ) + 1, 32, mask_zero=True)(letters)  # nothing is read of the padding
    encoded = Bidirectional(LSTM(units // 2, return_sequences=True))(embedded)
    steps = LSTM(units, return_sequences=True)(Embedding(len(WRITE) + 1, 32)(so_far))
    seen = Attention()([steps, encoded])  # each step's mean of the letters read, weighed by how well they fit it
    model = Model([letters, so_far], Dense(len(WRITE), activation="softmax")(Concatenate()([steps, seen])))
    model.compile(loss="sparse_categorical_crossentropy", optimizer=lw.optimizers.Adam(0.003), metrics=["accuracy"])
    return model


def write(model, letters):
    """Dates letter by letter: what was likeliest is what the decoder reads next."""
    said = np.zeros((len(letters), LENGTH), int)
    for t in range(LENGTH):
        said[:, t] = model.predict([letters, shifted(said)[:, : t + 1]])[:, -1].argmax(axis=-1)
    return said


def main(epochs=10, count=8000, units=64, plot=None):
    lw.set_seed(0)
    rng = np.random.default_rng(0)
    _, x, y = dates(count, rng)
    texts, x_test, y_test = dates(500, rng)

    model = build(units)
    model.fit([x, shifted(y)], y, batch_size=64, epochs=epochs, validation_split=0.05, verbose=2)

    said = write(model, x_test)
    right = float(np.mean((said == y_test).all(axis=1)))
    for text, letters in zip(texts[:8], said[:8], strict=True):
        print(f"{text:<28} {WRITE.decode(letters)}")
    print(f"right in every letter: {right:.1%} of dates not seen")
    if plot:
        longest = max(range(len(texts)), key=lambda i: len(texts[i]))
        looks = lw.viz.attention(model, [x_test, shifted(said)], sample=longest)
        looks.plot(WRITE.decode(said[longest]), texts[longest]).savefig(plot, dpi=80)
        print(f"{plot}: a row a letter written, bright where it looked")
    return right


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    parser.add_argument("--plot", metavar="FILE", help="draw what the decoder looks at (pip install latchwork[viz])")
    main(**vars(parser.parse_args()))
