from __future__ import annotations

import string

import numpy as np
import pytest

from sigedge.synthesis.glyphs import CAPITALS, CURSIVE, DEVANAGARI, MATRAS, PRINT, variants
from sigedge.synthesis.lettering import pseudo_letter
from sigedge.synthesis.names import full_name, word

TABLES = {"cursive": CURSIVE, "print": PRINT, "capitals": CAPITALS, "devanagari": DEVANAGARI, "signs": MATRAS}


@pytest.mark.parametrize("table", TABLES)
def test_every_glyph_parses_into_runs_of_two_targets_or_more(table: str) -> None:
    for text in TABLES[table].values():
        for glyph in variants(text):
            assert all(len(run.points) >= 2 and np.isfinite(run.points).all() for run in glyph.components)
            assert all(
                np.hypot(*(run.points[-1] - run.points[0])) > 0.1 or len(run.points) > 3 for run in glyph.components
            )


@pytest.mark.parametrize("table", ["cursive", "print", "capitals", "devanagari"])
def test_letters_stay_inside_the_grid(table: str) -> None:
    for name, text in TABLES[table].items():
        for glyph in variants(text):
            points = np.concatenate([run.points for run in glyph.components])
            assert points[:, 0].min() >= -4 and points[:, 0].max() <= 24, name
            assert points[:, 1].min() >= -11 and points[:, 1].max() <= 21, name
            assert glyph.width > 0.0


def test_every_latin_letter_is_there() -> None:
    assert set(CURSIVE) == set(PRINT) == set(string.ascii_lowercase)
    assert set(CAPITALS) == set(string.ascii_uppercase)


def test_marks_and_variants_are_told_apart() -> None:
    kinds = [run.kind for run in variants("1,1 2,2;.3,3 4,4")[0].components]
    assert kinds == ["body", "mark"]
    assert len(variants("1,1 2,2|3,3 4,4")) == 2
    assert variants("")[0].components == ()


def test_made_up_names_use_known_letters_only() -> None:
    rng = np.random.default_rng(0)
    known = set(CURSIVE) | set(CAPITALS) | {"."}
    for _ in range(300):
        assert set("".join(full_name(rng))) <= known
        assert word(rng, 2)[0].isupper()


def test_pseudo_letters_differ() -> None:
    rng = np.random.default_rng(0)
    letters = {pseudo_letter(rng) for _ in range(50)}
    assert len(letters) == 50
    assert all(variants(letter)[0].components for letter in letters)
