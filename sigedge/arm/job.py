"""What is compared, written by one process and read by the others: pictures, bundles and trials."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sigedge_runtime.atomic import write_atomically

REFERENCES = (1, 3, 5)


@dataclass(frozen=True)
class Picture:
    """One source image.

    Attributes:
        path: of the file.
        source: what it is one of, e.g. ``"synthetic"`` or the name of a data set.
        signer: who signed; empty for a picture that only preprocessing sees.
    """

    path: str
    source: str
    signer: str = ""


@dataclass(frozen=True)
class Trial:
    """A query against references, as positions among the pictures that have a signer."""

    query: int
    references: tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """All that one process shall compute.

    Attributes:
        pictures: to read and to harmonise; those with a signer are embedded, too.
        bundles: folders by the name they have in results.
        trials: to score with each artefact.
    """

    pictures: tuple[Picture, ...]
    bundles: dict[str, str]
    trials: tuple[Trial, ...]

    @property
    def signatures(self) -> tuple[Picture, ...]:
        """The pictures that have a signer, in their order."""
        return tuple(picture for picture in self.pictures if picture.signer)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_atomically(path, json.dumps(asdict(self)).encode(), durable=False)

    @classmethod
    def read(cls, path: Path) -> Job:
        """The job that `write` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        pictures = tuple(Picture(**entry) for entry in values["pictures"])
        trials = tuple(Trial(entry["query"], tuple(entry["references"])) for entry in values["trials"])
        return cls(pictures, values["bundles"], trials)


def draw_trials(pictures: Sequence[Picture], count: int, seed: int) -> tuple[Trial, ...]:
    """Trials with 1, 3 and 5 references of one signer, half of them with a query of the same signer.

    Args:
        pictures: those that have a signer.
        count: how many trials.
        seed: of the draw; the same seed gives the same trials.
    """
    rng = random.Random(seed)
    by_signer: dict[str, list[int]] = {}
    for number, picture in enumerate(pictures):
        by_signer.setdefault(picture.signer, []).append(number)
    # One more than the references, so that a genuine query is left over.
    signers = [own for own in by_signer.values() if len(own) > max(REFERENCES)]
    trials = []
    for number in range(count if signers else 0):
        own = rng.sample(rng.choice(signers), REFERENCES[number % len(REFERENCES)] + 1)
        query = own[0] if rng.random() < 0.5 else rng.randrange(len(pictures))
        trials.append(Trial(query, tuple(own[1:])))
    return tuple(trials)
