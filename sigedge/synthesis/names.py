"""Made-up names: syllables put together by chance, so that no person is meant."""

from __future__ import annotations

import numpy as np

from sigedge.synthesis.glyphs import CAPITALS, DEVANAGARI

_ONSETS = "b c d f g h j k l m n p r s t v w z br ch cl dr fr gr kr ph pr sh st th tr sch".split()
_VOWELS = "a a a e e e i i o o u ai ea ee ie oo ou y ae".split()
_CODAS = "- - - n n r l s m t d k ck ng nd rt ss ll tt x ff ns st".split()
_MATRAS = ("", "", "", "aa", "aa", "ii", "i", "e", "ai", "o", "u", "uu", "dot")


def word(rng: np.random.Generator, syllables: int) -> str:
    """A capitalised Latin word of `syllables` syllables."""
    parts = []
    for _ in range(syllables):
        parts += [str(rng.choice(_ONSETS)), str(rng.choice(_VOWELS))]
    parts.append(str(rng.choice(_CODAS)).replace("-", ""))
    text = "".join(parts)
    return (text[1:] if rng.random() < 0.15 else text).capitalize()


def full_name(rng: np.random.Generator) -> list[str]:
    """Two or three words of which the first ones may be initials ("J.", "R")."""
    words = [word(rng, int(rng.choice([1, 2, 2, 3]))) for _ in range(int(rng.choice([2, 2, 2, 3])))]
    if rng.random() < 0.45:
        count = int(rng.integers(1, len(words)))
        words[:count] = [initial(rng) for _ in range(count)]
    elif len(words) == 3:
        words[1] = initial(rng)
    return words


def initial(rng: np.random.Generator) -> str:
    """One capital, with a full stop half of the time."""
    return str(rng.choice(list(CAPITALS))) + ("." if rng.random() < 0.5 else "")


def devanagari_words(rng: np.random.Generator) -> list[list[tuple[str, str]]]:
    """Two (seldom one or three) words as lists of (consonant, vowel sign) names."""
    consonants = list(DEVANAGARI)
    return [
        [(str(rng.choice(consonants)), str(rng.choice(_MATRAS))) for _ in range(int(rng.integers(2, 6)))]
        for _ in range(int(rng.choice([1, 2, 2, 2, 2, 3])))
    ]
