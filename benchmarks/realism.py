"""Measure how well synthetic signatures can be told from real ones: benchmarks/results/realism.json.

Usage: python benchmarks/realism.py

Training signers alone take part. Each real data set is put beside as many synthetic signers of its own script.
"""

from __future__ import annotations

from pathlib import Path

from sigedge.cli.inputs import default_data
from sigedge.data import CanvasCache, CanvasSet, load_splits, read_folders, read_index, training_records
from sigedge.evaluation.realism import measure_realism
from sigedge.evaluation.results import provenance, write_result
from sigedge.synthesis import Synthesiser, cached_dataset

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
HEADLINE = "headline"
"""The synthesiser's family of signers who write Devanagari."""
DATASETS = {"cedar-half": False, "bhsig260-hindi": True}
SIGNERS, SAMPLES, SEED = 800, 6, 1


def main() -> None:
    """Measure each data set and write the result."""
    folder = cached_dataset(CACHE, signers=SIGNERS, genuine=8, forged=6, seed=SEED)
    population = Synthesiser(SEED)
    cache = CanvasCache(CACHE / "canvases")
    drawn = cache.canvases([record for record in read_folders(folder) if record.genuine]).usable()
    found = {}
    for dataset, devanagari in DATASETS.items():
        data = default_data()
        parts = training_records(read_index(data / "index.csv"), [dataset], load_splits(data / "splits.json"))
        real = some(cache.canvases([record for record in parts.train if record.genuine]).usable(), SIGNERS)
        wanted = len({record.signer for record in real.records})
        matching = [
            f"signer_{number + 1:04d}"
            for number in range(SIGNERS)
            if (population.signer(number).style.family == HEADLINE) == devanagari
        ]
        synthetic = some(drawn.select([record.signer in set(matching) for record in drawn.records]), wanted)
        found[dataset] = measure_realism(real.canvases, names(real), synthetic.canvases, names(synthetic))
        print(f"{dataset}: AUC {found[dataset]['auc']:.3f}")
    meta = provenance(seed=SEED, samples=SAMPLES)
    write_result(ROOT / "benchmarks" / "results" / "realism.json", {"sets": found, "meta": meta})


def some(canvases: CanvasSet, signers: int) -> CanvasSet:
    """The first samples of the first signers."""
    seen: dict[str, int] = {}
    keep = []
    for record in canvases.records:
        seen[record.signer] = seen.get(record.signer, 0) + 1
        keep.append(seen[record.signer] <= SAMPLES and len(seen) <= signers)
    return canvases.select(keep)


def names(canvases: CanvasSet) -> list[str]:
    """Who wrote each canvas."""
    return [record.signer for record in canvases.records]


if __name__ == "__main__":
    main()
