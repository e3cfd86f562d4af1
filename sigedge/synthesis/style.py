"""What stays the same in one person's signatures: the family, the proportions, the habits of the hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sigedge.synthesis.streams import Stream, stream

Family = Literal["name", "word", "degenerate", "monogram", "scribble", "headline", "pseudo"]
FAMILIES: tuple[Family, ...] = get_args(Family)
_FAMILY_WEIGHTS = (0.30, 0.17, 0.16, 0.07, 0.06, 0.16, 0.08)


@dataclass(frozen=True, slots=True)
class SignerStyle:
    """Habits of one signer.

    Lengths are in plan units (x-height 10), angles in radians, the rest are ratios or probabilities.
    """

    family: Family
    print_letters: bool
    connectedness: float  # probability that a letter joins the next one
    x_height: float  # height of small letters against capitals, 1 = as drawn
    ascender: float
    descender: float
    capital: float
    lead: float  # size of the first letter of all against other capitals
    bar: float  # length of the bars of t and f
    dots: bool  # whether i and j get their dots
    stacked: bool  # the last word under the others
    width: float  # horizontal stretch of letters
    spacing: float  # gap between letters, plan units
    word_gap: float
    slant: float  # radians, positive leans right
    slope: float  # radians, positive climbs
    bow: float  # vertical bend of the base line, fraction of the width
    taper: float  # growth of letters from the first to the last, -0.6..0.5
    decay: float  # how much legibility is lost along a word, 0..1
    legible: int  # letters before the decay starts
    letter_noise: float  # personal deformation of each letter, plan units
    roundness: float  # 0 angular .. 1 round
    overlap: float  # share of a stroke's time that it shares with the next, 0.1..0.6
    tremor: float  # plan units
    instability: float  # how much the signer varies, 0.4 stable .. 2 variable
    underline: float  # chance of each decoration when the master signature is planned
    tail: float
    entry: float
    enclosure: float

    @classmethod
    def from_seed(cls, seed: int) -> SignerStyle:
        """The style of the signer with this seed (a non-negative integer)."""
        return _draw_style(stream(seed, Stream.STYLE))


def _draw_style(rng: np.random.Generator) -> SignerStyle:
    family = FAMILIES[int(rng.choice(len(FAMILIES), p=_FAMILY_WEIGHTS))]
    headline = family == "headline"
    print_letters = headline or bool(rng.random() < 0.22)
    degenerate = family == "degenerate"
    letter_noise = float(rng.uniform(0.2, 0.7) if headline else rng.uniform(0.3, 1.1))
    roundness = float(rng.beta(2.0, 1.3))
    return SignerStyle(
        family=family,
        print_letters=print_letters,
        connectedness=0.0 if headline else float(rng.choice([rng.uniform(0.0, 0.5), rng.uniform(0.75, 1.0)])),
        x_height=float(rng.uniform(0.85, 1.3) if headline else rng.uniform(0.55, 1.15)),
        ascender=float(rng.lognormal(0.0, 0.25)),
        descender=float(rng.lognormal(0.0, 0.35)),
        capital=float(rng.uniform(0.85, 1.9)) if not headline else 1.0,
        lead=float(max(1.0, rng.normal(1.0, 0.25))),
        bar=float(max(0.7, rng.lognormal(0.1, 0.45))),
        dots=bool(rng.random() < 0.85),
        stacked=bool(rng.random() < 0.06) and not headline,
        width=float(np.clip(rng.lognormal(-0.05, 0.28), 0.55, 1.9)),
        spacing=float(rng.uniform(0.0, 3.0) if headline else rng.uniform(-1.0, 4.5)),
        word_gap=float(rng.uniform(2.0, 14.0)),
        slant=float(rng.normal(0.05, 0.1) if headline else rng.normal(0.2, 0.25)),
        slope=float(rng.normal(0.0, 0.05) if headline or rng.random() < 0.6 else rng.uniform(0.0, 0.65)),
        bow=float(rng.normal(0.0, 0.015)),
        taper=float(np.clip(rng.normal(-0.08, 0.18), -0.6, 0.4)),
        decay=float(rng.uniform(0.5, 0.95) if degenerate else max(0.0, rng.normal(0.0, 0.2))),
        legible=int(rng.integers(0, 4)) if degenerate else int(rng.integers(1, 8)),
        letter_noise=letter_noise,
        roundness=roundness,
        overlap=float(rng.uniform(0.12, 0.48)),
        tremor=float(max(0.0, rng.normal(0.02, 0.08))),
        instability=float(np.clip(rng.lognormal(-0.6 if headline else 0.05, 0.35), 0.4, 2.0)),
        underline=0.02 if headline else 0.28,
        tail=0.02 if headline else 0.3,
        entry=0.0 if headline else 0.1,
        enclosure=0.0 if headline else 0.05,
    )
