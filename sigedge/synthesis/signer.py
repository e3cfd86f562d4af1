"""Synthetic signers: who they are (style, master plan) and the samples they and their forgers write."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from sigedge.synthesis.flourish import decorated, monogram, scribble
from sigedge.synthesis.forgery import Forger, forged_plan, forger_dynamics
from sigedge.synthesis.lettering import Letterer, arranged
from sigedge.synthesis.movement import Dynamics, execute
from sigedge.synthesis.names import full_name, initial, word
from sigedge.synthesis.plan import Plan
from sigedge.synthesis.rendering import Image, Trajectory, render
from sigedge.synthesis.scan import ScanConditions
from sigedge.synthesis.streams import Stream, derive_seed, stream
from sigedge.synthesis.style import SignerStyle
from sigedge.synthesis.variation import Variability, varied

Label = Literal["genuine", "skilled"]
FORGERS_PER_SIGNER = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """One synthetic signature.

    `image` is uint8 grey [H, W] or BGR [H, W, 3]; `trajectory` float32 [T, 3] holds x, y in pixels of the image
    and 1 while the pen is down (a row with 0 closes each run); `seed` is the signer's.
    """

    image: Image
    signer: int
    label: Label
    index: int
    seed: int
    trajectory: Trajectory


class Synthesiser:
    """A population of signers; signer `i` of seed `s` is the same person wherever and whenever it is drawn."""

    def __init__(self, seed: int) -> None:
        """`seed` is any non-negative integer."""
        self.seed = _checked(seed, "seed")

    def signer(self, index: int) -> SyntheticSigner:
        """Signer `index` (0, 1, 2, ... without limit)."""
        return SyntheticSigner(derive_seed(self.seed, _checked(index, "signer index")), index)


class SyntheticSigner:
    """One person: `style`, and as many genuine samples and skilled forgeries as wanted."""

    def __init__(self, seed: int, index: int = 0) -> None:
        """`seed` (non-negative) decides everything about the person; `index` only names them in samples."""
        self.seed = _checked(seed, "seed")
        self.index = index
        self.style = SignerStyle.from_seed(seed)

    @cached_property
    def plan(self) -> Plan:
        """The master plan, in a level row: what the signer means to write each time."""
        return master_plan(self.style, stream(self.seed, Stream.MASTER))

    def genuine(self, index: int, scan: ScanConditions | None = None) -> Sample:
        """Genuine sample `index`; `scan` None draws random conditions from a stream of their own."""
        rng = stream(self.seed, Stream.GENUINE, _checked(index, "sample index"))
        style = self.style
        plan = varied(self.plan, Variability().scaled(style.instability), rng)
        dynamics = Dynamics(
            roundness=style.roundness * float(np.exp(rng.normal(0.0, 0.08))),
            overlap=style.overlap * float(np.exp(rng.normal(0.0, 0.1))),
            tremor=style.tremor,
        )
        scan = scan or ScanConditions.random(stream(self.seed, Stream.SCAN_GENUINE, index))
        image, trajectory = render(execute(arranged(plan, style), dynamics, rng), scan)
        return Sample(image, self.index, "genuine", index, self.seed, trajectory)

    def skilled_forgery(self, index: int, scan: ScanConditions | None = None) -> Sample:
        """Forgery `index` of this signer's signature; forger `index % 3` made it from one genuine sample.

        The forger saw a genuine sample that `genuine` never returns, so no forgery is a copy of a sample.
        """
        who = _checked(index, "sample index") % FORGERS_PER_SIGNER
        bias = stream(self.seed, Stream.FORGER, who)
        forger = Forger.draw(bias)
        model = varied(self.plan, Variability().scaled(self.style.instability), bias)
        rng = stream(self.seed, Stream.FORGERY, index)
        plan = forged_plan(model, self.style, forger, bias, rng)
        scan = scan or ScanConditions.random(stream(self.seed, Stream.SCAN_FORGERY, index))
        plan = arranged(plan, self.style)
        image, trajectory = render(execute(plan, forger_dynamics(self.style, forger), rng), scan)
        return Sample(image, self.index, "skilled", index, self.seed, trajectory)


def master_plan(style: SignerStyle, rng: np.random.Generator) -> Plan:
    """What a signer of this style means to write."""
    letterer = Letterer(style, rng)
    if style.family == "headline":
        plan = letterer.headline_words()
    elif style.family == "scribble":
        plan = scribble(rng)
        if rng.random() < 0.5:
            plan = (*letterer.words([initial(rng)]), *plan)
    elif style.family == "monogram":
        letters = "".join(initial(rng)[0] for _ in range(int(rng.integers(1, 4))))
        plan = monogram(letterer.words([letters]), rng)
    elif style.family in ("word", "pseudo"):
        plan = letterer.words([word(rng, int(rng.integers(1, 4)))])
    else:
        plan = letterer.words(full_name(rng))
    return decorated(plan, style, rng)


def _checked(value: int, name: str) -> int:
    if value < 0:
        raise ValueError(f"the {name} must be a non-negative integer, not {value}; pass 0 or more")
    return value
