"""What sending poor pictures back is worth, on validation signers: benchmarks/results/abstention-MODEL.json.

Usage: python benchmarks/abstention.py BUNDLE

Queries are the validation signers' pictures at every step of every distortion; references are as they were. The bound
that `choose_abstention_bound` finds stands beside the curve. No test signer takes part.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np

from sigedge.cli.inputs import default_data, read_part
from sigedge.data import CanvasCache
from sigedge.evaluation.abstention import abstention_curve, choose_abstention_bound
from sigedge.evaluation.bundle import acquire
from sigedge.evaluation.embeddings import embed_canvases
from sigedge.evaluation.poor_pictures import curve_to_dict, score_poor_pictures
from sigedge.evaluation.results import provenance, write_result
from sigedge.evaluation.robustness import REFERENCES, Subject
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.engines import open_engine

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "canvases"
DATASETS = ["cedar-half", "bhsig260-hindi"]
SEED = 0
MOST_SENT_BACK = 0.05


def main(path: Path) -> None:
    """Measure and write."""
    records = read_part(default_data() / "index.csv", DATASETS, "validation")
    with Bundle.open(path) as bundle:
        manifest, chosen = bundle.manifest, bundle.artifact(None)
        canvases = acquire(records, CanvasCache(CACHE, manifest.harmonisation)).canvases
        decision = manifest.verification
        with open_engine("auto", chosen, bundle.path(chosen.file), 1) as engine:
            embed = partial(embed_canvases, engine, cache=CACHE, progress=False)
            subject = Subject(manifest.harmonisation, decision, embed)
            found = score_poor_pictures(subject, canvases, CACHE, seed=SEED)
    threshold = decision.operating_point(decision.default_operating_point, REFERENCES).threshold
    rows = np.arange(len(found.scores))
    curve = abstention_curve(found.quality, rows, found.scores, found.genuine, threshold, seed=SEED)
    bound = choose_abstention_bound(curve, most_rejected=MOST_SENT_BACK)
    model = {name: getattr(manifest.model, name) for name in ("name", "version", "checkpoint_sha256")}
    result = {
        "signers": found.signers,
        "pictures": len(rows),
        "references": REFERENCES,
        "threshold": threshold,
        "most_sent_back": MOST_SENT_BACK,
        "bound": bound,
        "curve": curve_to_dict(curve),
        "meta": provenance(seed=SEED, model=model, datasets=DATASETS),
    }
    write_result(ROOT / "benchmarks" / "results" / f"abstention-{manifest.model.name}.json", result)
    print(f"{len(rows)} pictures of {found.signers} signers; bound {bound}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
