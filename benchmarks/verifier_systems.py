"""Measure a verifier of the literature as a system: benchmarks/results/system-MODEL.json, and the figures of its page.

Usage: python benchmarks/verifier_systems.py BUNDLE

The research data are looked for as everywhere: in SIGEDGE_DATA, else ../shared/data. Pictures show synthetic signers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from sigedge.cli.inputs import default_data
from sigedge.evaluation.pair_figures import draw_confusion, draw_pairs
from sigedge.evaluation.pair_system import deployed, evaluate_pair_system
from sigedge.evaluation.pairs import DifferenceRule, judge_pair
from sigedge.evaluation.results import write_result
from sigedge.evaluation.voting import KINDS
from sigedge.synthesis import Synthesiser
from sigedge_runtime.preprocessing import harmonise

ROOT = Path(__file__).resolve().parent.parent
SEED = 900_004
SIGNER, STRANGER = 0, 1


def main(arguments: list[str]) -> None:
    """Measure the bundle, write the result, and draw."""
    bundle = Path(arguments[0])
    result = evaluate_pair_system(bundle, default_data(), progress=print)
    name = result["meta"]["model"]["name"]
    write_result(ROOT / "benchmarks" / "results" / f"system-{name}.json", result)
    folder = ROOT / "docs" / "systems" / name
    draw_synthetic_pairs(bundle, DifferenceRule(**result["rules"]["difference"]), folder / "pairs.png")
    draw_matrix(result, folder / "confusion.svg")


def draw_synthetic_pairs(bundle: Path, rule: DifferenceRule, path: Path) -> None:
    """Three pairs of one synthetic signer: with another sample, with a forgery, with somebody else's signature."""
    population = Synthesiser(SEED)
    signer = population.signer(SIGNER)
    reference = signer.genuine(0).image
    questioned = {
        "Two genuine samples": signer.genuine(1).image,
        "A genuine sample and a skilled forgery": signer.skilled_forgery(0).image,
        "Two signers": population.signer(STRANGER).genuine(0).image,
    }
    with deployed(bundle) as verifier:

        def embed(image: Any) -> Any:
            return verifier.engine.infer(harmonise(image, verifier.bundle.manifest.preprocess).canvas)

        first = embed(reference)
        rows = [(title, reference, image, judge_pair(rule, first, embed(image))) for title, image in questioned.items()]
    draw_pairs(rows, path)


def draw_matrix(result: dict[str, Any], path: Path) -> None:
    """The normalised confusion matrix of the classifier's vote with five references of CEDAR test signers."""
    confusion = result["decisions"]["cedar-half"]["logistic regression"]["5"]["confusion"]
    shares = np.array([confusion[kind]["share_accepted"] for kind in KINDS])
    draw_confusion(np.column_stack([shares, 1 - shares]), path, title="CEDAR test signers, vote of 5 references")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
