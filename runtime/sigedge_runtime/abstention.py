"""When not to decide: a picture that is usable, yet so poor that its score means little, is asked for again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sigedge_runtime.quality import Measurements


@dataclass(frozen=True)
class _Figure:
    """A figure of an image, where it harms so much that the image is refused, and from where on it does no harm."""

    value: Callable[[Measurements], float]
    harms: float
    fine: float
    message: str

    def share(self, measurements: Measurements) -> float:
        """0 at `harms` and beyond, 1 at `fine` and beyond, straight between them."""
        share = (self.value(measurements) - self.harms) / (self.fine - self.harms)
        return min(1.0, max(0.0, share))


# `harms` is where `quality.judge` refuses; strokes one pixel wide measure 2. `fine` is where, on copies of 18
# validation signers' signatures made smaller, blurred, faint or uneven, the mean score had fallen by less than 0.02.
_FIGURES = (
    _Figure(lambda m: m.sharpness, 0.38, 0.5, "The strokes are blurred; hold the camera still and focus on the ink."),
    _Figure(lambda m: m.ink_contrast, 12, 30, "The ink is hardly darker than the paper; sign with a darker pen."),
    _Figure(
        lambda m: max(m.ink_width, m.ink_height),
        48,
        240,
        "The signature is only a few pixels large; scan at 150 dpi or more, or move the camera closer.",
    ),
    _Figure(
        lambda m: m.stroke_width,
        2.0,
        2.4,
        "The strokes are hardly a pixel wide; scan at 150 dpi or more, or move the camera closer.",
    ),
    _Figure(
        lambda m: m.paper_unevenness,
        0.15,
        0.06,
        "The background is no even paper; photograph dark ink on plain light paper.",
    ),
)


def quality_index(measurements: Measurements) -> float:
    """How far an image is from what harms its score: 0 (refused, or about to be) to 1 (nothing does harm).

    Sharpness, contrast, size of the signature, width of the strokes and evenness of the paper are each worth 0 to 1,
    and the worst of them counts: a sharp picture does not make up for a tiny one. It never falls when a figure gets
    better.
    """
    return min(figure.share(measurements) for figure in _FIGURES)


def remedy(measurements: Measurements, sign_again_below: float | None) -> str:
    """What to ask of the person whose image has a quality index below the bound; empty when it is good enough.

    Args:
        measurements: of the image.
        sign_again_below: the bound, see `Decision`; None when no image is sent back.
    """
    if sign_again_below is None or quality_index(measurements) >= sign_again_below:
        return ""
    worst = min(_FIGURES, key=lambda figure: figure.share(measurements))
    return f"Sign again, or take the picture again. {worst.message}"
