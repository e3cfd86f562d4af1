"""Everything about a scan that says nothing about the writer: pen, paper, light, sensor, file format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

Pen = Literal["ballpoint", "gel", "felt", "fountain"]
PENS: tuple[Pen, ...] = get_args(Pen)

# (least, most) line width in plan units, and how much the width gives way to speed
_PEN_WIDTHS: dict[Pen, tuple[float, float, float]] = {
    "ballpoint": (0.45, 0.95, 0.25),
    "gel": (0.6, 1.2, 0.1),
    "felt": (1.1, 2.1, 0.2),
    "fountain": (0.7, 1.5, 0.45),
}
_PAPERS = ((255, 255, 255), (250, 250, 250), (244, 244, 243), (222, 238, 243), (225, 226, 228))
_INKS = ((25, 25, 25), (60, 60, 60), (110, 45, 30), (140, 60, 25), (45, 40, 120), (90, 95, 95))


@dataclass(frozen=True, slots=True)
class ScanConditions:
    """Nuisance of one scan; colours are blue, green, red in 0..255, depths and light are fractions of 1."""

    pen: Pen = "ballpoint"
    pen_width: float = 0.9  # plan units (small letters are 10 high)
    speed_response: float = 0.2  # 0: even line, 1: fast strokes are thin and pale
    ink: tuple[int, int, int] = (30, 30, 30)
    opacity: float = 1.0
    paper: tuple[int, int, int] = (255, 255, 255)
    resolution: float = 3.0  # pixels a plan unit before the size limits of the renderer
    margins: tuple[float, float, float, float] = (0.06, 0.06, 0.06, 0.06)  # left, top, right, bottom; of ink
    skew: float = 0.0  # radians
    gradient: tuple[float, float] = (0.0, 0.0)  # loss of light from left to right and from top to bottom
    texture: float = 0.0  # grey levels, standard deviation of the paper grain
    stain: float = 0.0  # depth of one soft dark spot
    ruled: float = 0.0  # depth of printed lines
    blur: float = 0.0  # pixels, sigma
    noise: float = 0.0  # grey levels, standard deviation
    jpeg_quality: int = 0  # 0: not compressed, else 30..95
    colour: bool = False
    cut: float = 0.0  # 0: grey levels; else black and white alone, cut at this share of the way from paper to ink
    noise_seed: int = 0

    @classmethod
    def clean(cls) -> ScanConditions:
        """White paper, black ball-point, no noise: the same for every sample."""
        return cls()

    @classmethod
    def random(cls, rng: np.random.Generator) -> ScanConditions:
        """Conditions of an ordinary office scan or a good phone photo; takes nothing but `rng`."""
        pen = PENS[int(rng.choice(len(PENS), p=(0.5, 0.25, 0.12, 0.13)))]
        thin, thick, response = _PEN_WIDTHS[pen]
        paper = np.array(_PAPERS[int(rng.integers(len(_PAPERS)))]) - rng.integers(0, 12)
        ink = np.array(_INKS[int(rng.integers(len(_INKS)))]) + rng.integers(-20, 20)
        good_scan = rng.random() < 0.45
        light = 0.02 if good_scan else 0.14
        conditions = cls(
            pen=pen,
            pen_width=float(rng.uniform(thin, thick)),
            speed_response=float(response * rng.uniform(0.4, 1.6)),
            ink=_colour(ink),
            opacity=float(rng.uniform(0.7, 1.0)),
            paper=_colour(paper),
            resolution=float(rng.uniform(2.2, 5.0)),
            margins=_margins(rng),
            skew=float(rng.normal(0.0, 0.02)),
            gradient=(float(rng.uniform(-light, light)), float(rng.uniform(-light, light))),
            texture=float(rng.uniform(0.0, 3.0)),
            stain=float(rng.uniform(0.03, 0.15)) if rng.random() < 0.1 else 0.0,
            ruled=0.0,
            blur=float(rng.uniform(0.0, 0.7 if good_scan else 1.3)),
            noise=float(rng.uniform(0.0, 1.5 if good_scan else 6.0)),
            jpeg_quality=int(rng.integers(40, 96)) if rng.random() < 0.5 else 0,
            colour=bool(rng.random() < 0.3),
            noise_seed=int(rng.integers(2**31)),
        )
        # Offices scan forms in black and white, then at a higher resolution.
        if rng.random() >= 0.3:
            return conditions
        return replace(
            conditions,
            cut=float(rng.uniform(0.3, 0.7)),
            resolution=float(rng.uniform(3.5, 6.0)),
            colour=False,
            jpeg_quality=0,
        )


def _colour(values: np.ndarray) -> tuple[int, int, int]:  # type: ignore[type-arg]
    blue, green, red = (int(value) for value in np.clip(values, 0, 255))
    return blue, green, red


def _margins(rng: np.random.Generator) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(value) for value in rng.uniform(0.03, 0.16, size=4))
    return left, top, right, bottom
