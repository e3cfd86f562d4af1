"""Golden vectors: images, canvases, embeddings and scores of the reference model, in plain JSON and PNG."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from sigedge_runtime._records import Record, dump_json, parse_json, require, unique
from sigedge_runtime.manifest import is_safe_path

VECTORS_VERSION = 1


@dataclass(frozen=True)
class VectorCase(Record):
    """One image with what the reference made of it.

    Attributes:
        id: unique in the file.
        signer: whose signature it is or claims to be.
        label: ``genuine`` or what kind of forgery it is.
        image: path of the image, relative to the file of the vectors.
        canvas: path of the canvas as PNG, relative likewise.
        canvas_sha256: of the canvas's raw bytes, row by row.
        embedding: the reference model's embedding [D], not normalised.
    """

    id: str
    signer: str
    label: str
    image: str
    canvas: str
    canvas_sha256: str
    embedding: tuple[float, ...]

    def __post_init__(self) -> None:
        require(is_safe_path(self.image) and is_safe_path(self.canvas), "image and canvas must be relative paths")
        require(re.fullmatch(r"[0-9a-f]{64}", self.canvas_sha256) is not None, "canvas_sha256 must be 64 hex digits")
        require(any(self.embedding) and all(map(math.isfinite, self.embedding)), "embedding must be finite, not zero")


@dataclass(frozen=True)
class VectorScore(Record):
    """The reference's score of a query against references (ids of cases) and its default decision."""

    references: tuple[str, ...]
    query: str
    score: float
    accepted: bool

    def __post_init__(self) -> None:
        require(len(self.references) > 0, "references must not be empty")
        require(-2 <= self.score <= 2, "score must be between -2 and 2")


@dataclass(frozen=True)
class Vectors(Record):
    """All golden vectors of a bundle; `reference` names what computed them, e.g. ``torch float32``."""

    format_version: int
    reference: str
    cases: tuple[VectorCase, ...]
    scores: tuple[VectorScore, ...]

    def __post_init__(self) -> None:
        require(self.format_version == VECTORS_VERSION, f"format_version must be {VECTORS_VERSION}")
        require(len(self.cases) > 0 and len(self.scores) > 0, "cases and scores must not be empty")
        unique("cases", (case.id for case in self.cases))
        used = {name for entry in self.scores for name in (*entry.references, entry.query)}
        require(used <= {case.id for case in self.cases}, "scores name unknown cases")
        require(len({len(case.embedding) for case in self.cases}) == 1, "embeddings differ in size")

    @classmethod
    def from_json(cls, text: str, where: str = "vectors.json") -> Vectors:
        """Read vectors.

        Raises:
            BundleError: not JSON, or against a rule; the sentence names the field.
        """
        return cls.from_dict(parse_json(text, where), where)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, indent 2, a final newline."""
        return dump_json(self)
