"""Text as tokens, character by character."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray


class CharacterVocabulary:
    """The characters of a text, numbered in the order of their code points: what an Embedding of `len(vocabulary)` rows
    reads, and what `model.generate` gives back.

    Args:
        text: A text, or several, that has every character: at least one.

    Raises:
        ValueError: `text` has no character, or is no text.

    >>> vocabulary = CharacterVocabulary("to be or not")
    >>> vocabulary.characters, len(vocabulary)
    (' benort', 7)
    >>> vocabulary.encode("bet").tolist()
    [1, 2, 6]
    >>> vocabulary.decode([1, 2, 6])
    'bet'
    """

    __slots__ = ("_numbers", "characters")

    characters: str

    def __init__(self, text: str | Iterable[str]) -> None:
        texts = [text] if isinstance(text, str) else list(text)
        if not all(isinstance(part, str) for part in texts) or not any(texts):
            raise ValueError(f"text must be a text of at least one character, or several, got {text!r:.80}")
        self.characters = "".join(sorted(set().union(*texts)))
        self._numbers = {character: number for number, character in enumerate(self.characters)}

    def encode(self, text: str) -> NDArray[np.int64]:
        """The numbers of a text's characters, int64 [T].

        Raises:
            ValueError: A character that the vocabulary does not have; it is named.
        """
        if not isinstance(text, str):
            raise ValueError(f"text must be a text, got {text!r:.80}")
        try:
            return np.array([self._numbers[character] for character in text], np.int64)
        except KeyError as error:
            at = text.index(error.args[0])
            raise ValueError(f"text must have characters of the vocabulary, got {error.args[0]!r} at {at}") from None

    def decode(self, numbers: ArrayLike) -> str:
        """The text of numbers [T] of an integer dtype, in [0, len(vocabulary)).

        Raises:
            ValueError: Another shape, or a number that stands for no character.
        """
        given = np.asarray(numbers)
        known = given.size == 0 or (given.dtype.kind in "iu" and given.min() >= 0 and given.max() < len(self))
        if given.ndim != 1 or not known:
            raise ValueError(f"numbers must be whole numbers [T] in [0, {len(self)}), got {numbers!r:.80}")
        return "".join(self.characters[number] for number in given.tolist())

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        return f"CharacterVocabulary({self.characters!r})"
