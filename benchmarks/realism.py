"""Measure how well synthetic signatures can be told from real ones: benchmarks/results/realism.json.

Usage: python benchmarks/realism.py

Training signers alone take part. Each real data set is put beside as many synthetic signers of its own script, scanned
as it was: in grey, or in black and white. Canvases are compared as they are, and as training sees them, with the
recipe's augmentation.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.cli.inputs import default_data
from sigedge.data import CanvasCache, CanvasSet, Record, load_splits, read_folders, read_index, training_records
from sigedge.evaluation.realism import measure_realism
from sigedge.evaluation.results import provenance, write_result
from sigedge.synthesis import Synthesiser, cached_dataset
from sigedge.training.augmentation import augment
from sigedge.training.recipe import Augmentation, load_recipe
from sigedge_models import folder as model_folder

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
RECIPE = model_folder("edgesig") / "recipe-clean.yaml"
HEADLINE = "headline"
"""The synthesiser's family of signers who write Devanagari."""
SIGNERS, SAMPLES, SEED = 800, 6, 1


class Kind(NamedTuple):
    """What a data set holds: Devanagari or not, scanned in black and white or in grey."""

    devanagari: bool
    two_level: bool


DATASETS = {"cedar-half": Kind(False, False), "bhsig260-hindi": Kind(True, True)}


def main() -> None:
    """Measure each data set and write the result."""
    recipe = load_recipe(RECIPE)
    drawn = recipe.data.synthetic
    folder = cached_dataset(CACHE, signers=drawn.signers, genuine=drawn.genuine, forged=drawn.forged, seed=drawn.seed)
    population = Synthesiser(drawn.seed)
    cache = CanvasCache(CACHE / "canvases")
    known = [record for record in read_folders(folder) if record.genuine]
    found = {}
    for dataset, kind in DATASETS.items():
        data = default_data()
        parts = training_records(read_index(data / "index.csv"), [dataset], load_splits(data / "splits.json"))
        real = some(cache.canvases([record for record in parts.train if record.genuine]).usable(), SIGNERS)
        wanted = len({record.signer for record in real.records})
        matching = {
            f"signer_{number + 1:04d}"
            for number in range(SIGNERS)
            if (population.signer(number).style.family == HEADLINE) == kind.devanagari
        }
        alike = [record for record in known if record.signer in matching and is_two_level(record) == kind.two_level]
        synthetic = some(cache.canvases(alike).usable(), wanted)
        found[dataset] = {
            **measure_realism(real.canvases, names(real), synthetic.canvases, names(synthetic)),
            "trained": measure_realism(
                *(part for side in (real, synthetic) for part in (augmented(side, recipe.augmentation), names(side)))
            )["auc"],
        }
        print(f"{dataset}: AUC {found[dataset]['auc']:.3f}, as trained {found[dataset]['trained']:.3f}")
    meta = provenance(seed=SEED, samples=SAMPLES)
    write_result(ROOT / "benchmarks" / "results" / "realism.json", {"sets": found, "meta": meta})


def augmented(canvases: CanvasSet, settings: Augmentation) -> list[NDArray[np.uint8]]:
    """Each canvas as a training batch shows it."""
    random = np.random.default_rng(SEED)
    return [augment(canvas, settings, random) for canvas in canvases.canvases]


def is_two_level(record: Record) -> bool:
    """Whether an image is black and white alone."""
    image = cv2.imread(str(record.path), cv2.IMREAD_UNCHANGED)
    return bool(((image == 0) | (image == 255)).all())


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
