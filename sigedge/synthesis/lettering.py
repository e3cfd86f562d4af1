"""Letters set in a row as one signer writes them: allographs, joins, proportions, loss of legibility."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np

from sigedge.synthesis.glyphs import CAPITALS, CURSIVE, DEVANAGARI, MATRAS, PRINT, Glyph, variants
from sigedge.synthesis.lognormal import Array
from sigedge.synthesis.names import devanagari_words
from sigedge.synthesis.plan import Component, Plan, bounds, map_points
from sigedge.synthesis.style import SignerStyle

_DOT = "2,0 2.6,0.6"


class Letterer:
    """Writes words with the personal allographs of one signer, the same letter always in the same way."""

    def __init__(self, style: SignerStyle, rng: np.random.Generator) -> None:
        self._style = style
        self._rng = rng
        self._glyphs: dict[str, Glyph] = {}
        self._pseudo: dict[str, str] = {}

    def words(self, words: Iterable[str]) -> Plan:
        """Latin words side by side from x = 0, a gap between them."""
        lines: list[list[Component]] = []
        cursor = 0.0
        for text in words:
            written, cursor = self._word(text, cursor, first=not lines)
            lines.append(written)
            cursor += self._style.word_gap
        if self._style.stacked and len(lines) > 1:
            lines[-1] = self._below(lines[-1], cursor)
        return tuple(run for line in lines for run in line)

    def _below(self, line: list[Component], cursor: float) -> list[Component]:
        """A line set under the ones before it instead of to their right."""
        back = bounds(tuple(line))[0] - float(self._rng.uniform(0.0, 0.35)) * cursor
        drop = 20.0 * self._style.capital * float(self._rng.uniform(0.7, 1.1))
        return [run.moved(run.points - (back, drop)) for run in line]

    def headline_words(self) -> Plan:
        """Words in the manner of Devanagari: loose letters and vowel signs under a bar."""
        plan: list[Component] = []
        cursor = 0.0
        bar = str(self._rng.choice(["word", "word", "letters", "none"], p=[0.5, 0.2, 0.2, 0.1]))
        for letters in devanagari_words(self._rng):
            start, edges = cursor, [cursor]
            body: list[Component] = []
            for consonant, sign in letters:
                body += self._shifted(self._glyph("d:" + consonant), cursor)
                cursor += self._advance(self._glyph("d:" + consonant))
                body += self._shifted(self._glyph("m:" + sign), cursor)
                cursor += self._advance(self._glyph("m:" + sign)) if sign else 0.0
                edges.append(cursor)
            plan += body + self._bars(bar, start, edges)
            cursor += self._style.word_gap + 6.0
        return tuple(plan)

    def _bars(self, kind: str, start: float, edges: list[float]) -> list[Component]:
        """The headline: one bar a word, one a letter, or none."""
        spans = {"word": [(start, edges[-1])], "letters": list(pairwise(edges))}.get(kind, [])
        lift = self._rng.normal(0.0, 0.5, size=(len(spans), 3)) + 10.0 * self._style.x_height
        return [
            Component(np.array([[a - 0.5, y[0]], [(a + b) / 2, y[1]], [b + 0.5, y[2]]]))
            for (a, b), y in zip(spans, lift, strict=True)
        ]

    def _word(self, text: str, cursor: float, *, first: bool) -> tuple[list[Component], float]:
        runs: list[Component] = []
        marks: list[Component] = []
        joined = False
        for position, letter in enumerate(text):
            glyph = self._glyph(letter)
            if first and position == 0:
                glyph = Glyph(map_points(glyph.components, self._enlarged), glyph.width * self._style.lead)
            bodies = [run for run in self._shifted(glyph, cursor) if run.kind == "body"]
            marks += [run for run in self._shifted(glyph, cursor) if run.kind == "mark"]
            bodies = [run.moved(self._worn(run.points, position)) for run in bodies]
            if joined and runs and bodies:
                runs[-1] = runs[-1].moved(_join(runs[-1].points, bodies.pop(0).points))
            runs += bodies
            joined = letter != "." and bool(self._rng.random() < self._style.connectedness)
            cursor += self._advance(glyph) * (1.0 - 0.3 * self._wear(position))
        return [*runs, *marks], cursor

    def _wear(self, position: int) -> float:
        return self._style.decay * float(np.clip((position - self._style.legible + 1) / 3.0, 0.0, 1.0))

    def _worn(self, points: Array, position: int) -> Array:
        """A letter written in haste: flatter, with some targets skipped."""
        wear = self._wear(position)
        if wear < 0.05:
            return points
        keep = self._rng.random(len(points)) >= 0.6 * wear
        keep[[0, -1]] = True
        kept: Array = points[keep].copy()
        kept[:, 1] = 2.0 + (kept[:, 1] - 2.0) * (1.0 - 0.65 * wear)
        return kept

    def _advance(self, glyph: Glyph) -> float:
        return glyph.width * self._style.width + self._style.spacing

    def _shifted(self, glyph: Glyph, cursor: float) -> Plan:
        offset = np.array([cursor, 0.0])
        return tuple(run.moved(run.points * (self._style.width, 1.0) + offset) for run in glyph.components)

    def _glyph(self, letter: str) -> Glyph:
        if letter not in self._glyphs:
            self._glyphs[letter] = self._personal(letter)
        return self._glyphs[letter]

    def _personal(self, letter: str) -> Glyph:
        """The signer's own form of a letter: one allograph, deformed once and for all."""
        options = variants(self._source(letter))
        glyph = options[int(self._rng.integers(len(options)))]
        scale = self._height(letter)
        stretch = np.exp(self._rng.normal(0.0, 0.12, size=2))
        if letter[:2] in ("d:", "m:"):
            stretch[1] = 1.0  # these hang from the headline, which all of them share
        shear = self._rng.normal(0.0, 0.08)
        runs = [run.moved(self._deform(scale(run.points) * stretch, shear)) for run in glyph.components]
        if letter in "tf":
            runs = [run if run.kind == "body" else run.moved(self._barred(run.points)) for run in runs]
        if letter in "ij" and not self._style.dots:
            runs = [run for run in runs if run.kind == "body"]
        return Glyph(tuple(runs), glyph.width * float(stretch[0]))

    def _barred(self, bar: Array) -> Array:
        return np.asarray(bar[0] + (bar - bar[0]) * (self._style.bar, 1.0))

    def _enlarged(self, points: Array) -> Array:
        return np.asarray(points * self._style.lead)

    def _deform(self, points: Array, shear: float) -> Array:
        noise = self._rng.normal(0.0, self._style.letter_noise, size=points.shape)
        return np.asarray(points + noise + np.stack([shear * points[:, 1], np.zeros(len(points))], axis=1))

    def _source(self, letter: str) -> str:
        if letter == ".":
            return _DOT
        if letter[:2] == "d:":
            return DEVANAGARI[letter[2:]]
        if letter[:2] == "m:":
            return MATRAS[letter[2:]]
        if self._style.family == "pseudo":
            return self._pseudo.setdefault(letter, pseudo_letter(self._rng))
        if letter in CAPITALS:
            return CAPITALS[letter]
        return (PRINT if self._style.print_letters else CURSIVE)[letter]

    def _height(self, letter: str) -> Callable[[Array], Array]:
        """The map of heights: x-height, ascenders, descenders and capitals have their own proportions."""
        style = self._style
        if letter in CAPITALS:
            return lambda points: np.asarray(points * style.capital)

        def small(points: Array) -> Array:
            y = points[:, 1]
            core = np.clip(y, 0.0, 10.0) * style.x_height
            above = np.maximum(y - 10.0, 0.0) * style.ascender
            below = np.minimum(y, 0.0) * style.descender
            return np.stack([points[:, 0], core + above + below], axis=1)

        return small


def pseudo_letter(rng: np.random.Generator) -> str:
    """A letter of no known script: three to seven targets between descender and ascender, drifting right."""
    count = int(rng.integers(3, 8))
    heights = rng.choice([-8, 0, 0, 1, 5, 9, 10, 10, 17], size=count)
    advance = np.cumsum(rng.uniform(-3.0, 5.0, size=count))
    advance -= advance.min()
    targets = " ".join(f"{x:.1f},{y}" for x, y in zip(advance, heights, strict=True))
    if rng.random() < 0.25:
        x = float(rng.uniform(1.0, 7.0))
        return f"{targets};.{x:.1f},14 {x + rng.uniform(0.5, 5.0):.1f},{rng.integers(12, 17)}"
    return targets


def _join(left: Array, right: Array) -> Array:
    """Two runs as one; a target next to the join goes when the two nearly meet, as a hand would skip it."""
    if len(right) > 2 and np.hypot(*(right[0] - left[-1])) < 4.0:
        right = right[1:]
    return np.concatenate([left, right])


def arranged(plan: Plan, style: SignerStyle) -> Plan:
    """The plan, set in a level row, with the signer's taper, bow, slant and slope."""
    left, _, right, _ = bounds(plan)
    width = max(right - left, 1.0)

    def place(points: Array) -> Array:
        along = (points[:, 0] - left) / width
        bow = 4.0 * style.bow * width * along * (1.0 - along)
        y = points[:, 1] * (1.0 + style.taper * (along - 0.5)) + bow
        x = points[:, 0] + np.tan(style.slant) * y
        cos, sin = np.cos(style.slope), np.sin(style.slope)
        return np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)

    return map_points(plan, place)
