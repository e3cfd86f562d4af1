"""Training and judging the localisation of signatures: which pages go where, and what is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sigedge.data import SkippedFile, load_splits, read_index, split_records
from sigedge.data.sheets import Page
from sigedge.evaluation.bootstrap import RESAMPLES, Interval, percentile_interval, resample_weights
from sigedge.evaluation.results import provenance
from sigedge.systems.localisation.composing import composed, real_writer, synthetic_writer
from sigedge.systems.localisation.pages import (
    SPLIT_SEED,
    Example,
    Part,
    load,
    read_blank_pages,
    read_sheets,
    split_pages,
)
from sigedge.systems.localisation.precision import Found, average_precision, precision_interval
from sigedge.systems.localisation.scorer import choose_minimum_score, detect, fit_trees, write_scorer
from sigedge_runtime._integrity import hash_file
from sigedge_runtime.localisation import SCORER, Scorer, find_signatures, read_scorer

Progress = Callable[[str], None]

# Composed pages: signatures of these signers on each blank page of the part, so many times.
COPIES: dict[Part, int] = {"train": 8, "validation": 8, "test": 4}
WRITER_SEEDS: dict[Part, int] = {"train": 1, "validation": 2, "test": 3}
TEST_SIGNERS = "sigcomp2009-nfi"
TIMED_PAGES = 10


def train(data: Path, out: Path, *, seed: int = 0, progress: Progress) -> tuple[Path, list[SkippedFile]]:
    """Learn the scorer from training pages and its minimum score from validation pages.

    Args:
        data: folder of the research data sets.
        out: the JSON file to write.
        seed: of the boosting; pages and their split have fixed seeds of their own.
        progress: told each part before it runs.

    Returns:
        The written file, and the pages that could not be read.

    Raises:
        DataError: a data set is missing or shows no signature, or the file cannot be written.
    """
    skipped: list[SkippedFile] = []
    progress("measuring candidates on the training pages")
    trees = fit_trees(_synthetically_signed(data, "train", skipped), seed)
    progress("choosing the minimum score on the validation pages")
    found = detect(_synthetically_signed(data, "validation", skipped), Scorer(trees, minimum_score=0.0))
    write_scorer(out, Scorer(trees, choose_minimum_score(found)))
    return out, skipped


def evaluate(data: Path, *, scorer: Path | None = None, progress: Progress) -> dict[str, Any]:
    """Figures on the test pages, ready for JSON.

    Args:
        data: folder of the research data sets, with index.csv and splits.json.
        scorer: a file that `train` wrote; the shipped one when None.
        progress: told each part before it runs.

    Raises:
        DataError: a data set is missing.
        BundleError: the scorer cannot be read.
    """
    path = scorer or SCORER
    judge = read_scorer(path)
    skipped: list[SkippedFile] = []
    sheets, blank = split_pages(read_sheets(data)), split_pages(read_blank_pages(data))
    progress("finding signatures on the test sheets")
    on_sheets = detect(load(sheets["test"], skipped), judge)
    progress("looking for false alarms on pages without signatures")
    on_blank = detect(load(blank["test"], skipped), judge)
    progress("finding signatures on composed pages")
    on_composed = detect(_really_signed(data, blank["test"], skipped), judge)
    progress("measuring the time a page takes")
    latency = _latency(sheets["test"][:TIMED_PAGES], judge)
    sheet_figures = figures(on_sheets, judge.minimum_score)
    return {
        "system": "localisation",
        "meta": provenance(seed=SPLIT_SEED, bootstrap=RESAMPLES, scorer_sha256=hash_file(path)),
        "protocol": {
            "overlap": 0.5,
            "interpolation": "all points",
            "minimum_score": judge.minimum_score,
            "split": {part: sorted({page.group for page in pages}) for part, pages in sheets.items()},
            "documents": {part: sorted({page.group for page in pages}) for part, pages in blank.items()},
        },
        "networks": [_row(sheet_figures, judge, hash_file(path))],
        "sets": {
            "SSBI sheets": sheet_figures,
            "SSBI sheets and pages without signatures": figures([*on_sheets, *on_blank], judge.minimum_score),
            "pages signed by NFI signers": figures(on_composed, judge.minimum_score),
            "pages without signatures": false_alarms(on_blank, judge.minimum_score),
        },
        "latency": latency,
        "skipped": [file.path.name for file in skipped],
    }


def figures(found: Sequence[Found], minimum_score: float) -> dict[str, Any]:
    """Average precision with its intervals, and precision and recall at the minimum score.

    The interval ``_ci95`` resamples pages, ``_ci95_groups`` signers or documents, whose pages are alike.
    """
    pages = [Found(page.scores, page.right, page.signatures, f"{index:05d}") for index, page in enumerate(found)]
    accepted = [page.right[page.scores >= minimum_score] for page in found]
    boxes, right = sum(hits.size for hits in accepted), sum(int(hits.sum()) for hits in accepted)
    signatures = sum(page.signatures for page in found)
    return {
        "pages": len(found),
        "groups": len({page.group for page in found}),
        "signatures": signatures,
        "average_precision": average_precision(found),
        "average_precision_ci95": _listed(precision_interval(pages)),
        "average_precision_ci95_groups": _listed(precision_interval(found)),
        "precision": right / boxes if boxes else None,
        "recall": right / signatures,
    }


def false_alarms(found: Sequence[Found], minimum_score: float) -> dict[str, Any]:
    """Boxes at or above the minimum score on pages without signatures, a page, with an interval over documents."""
    alarms = np.array([(page.scores >= minimum_score).sum() for page in found], dtype=np.float64)
    documents = sorted({page.group for page in found})
    owner = np.array([documents.index(page.group) for page in found])
    weights = resample_weights(len(documents))
    totals = np.bincount(owner, weights=alarms, minlength=len(documents))
    pages = np.bincount(owner, minlength=len(documents))
    return {
        "pages": len(found),
        "groups": len(documents),
        "signatures": 0,
        "false_alarms_per_page": float(alarms.mean()),
        "false_alarms_per_page_ci95_groups": _listed(percentile_interval((weights @ totals) / (weights @ pages))),
        "pages_without_alarm": int((alarms == 0).sum()),
        "most_on_one_page": int(alarms.max()),
    }


def _row(sheets: dict[str, Any], judge: Scorer, digest: str) -> dict[str, Any]:
    return {
        "network": "boxes",
        "task": "localisation",
        "metric": "AP at IoU 0.5, SSBI test sheets",
        "reference_metric": "none given",
        "value": sheets["average_precision"],
        "ci95": sheets["average_precision_ci95"],
        "parameters": judge.trees.parameters,
        "checkpoint_sha256": digest,
    }


def _synthetically_signed(data: Path, part: Part, skipped: list[SkippedFile]) -> Iterator[Example]:
    """Sheets, blank pages, and blank pages signed by synthetic signers, of one part."""
    blank = split_pages(read_blank_pages(data))[part]
    seed = WRITER_SEEDS[part]
    yield from load(split_pages(read_sheets(data))[part], skipped)
    yield from load(blank, skipped)
    yield from composed(load(blank, []), synthetic_writer(seed), COPIES[part], seed)


def _really_signed(data: Path, blank: Sequence[Page], skipped: list[SkippedFile]) -> Iterator[Example]:
    """Blank test pages signed with genuine signatures of a data set that no part of training has seen."""
    records = split_records(read_index(data / "index.csv"), TEST_SIGNERS, "test", load_splits(data / "splits.json"))
    genuine = [record for record in records if record.label == "genuine"]
    return composed(load(blank, []), real_writer(genuine, skipped), COPIES["test"], WRITER_SEEDS["test"])


def _latency(pages: Sequence[Page], judge: Scorer) -> dict[str, Any]:
    """Processor time of a decoded page on one thread, after one run to warm up; unlike a clock it does not wait."""
    images = [example.image for example in load(pages, [])]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        find_signatures(images[0], scorer=judge)
        taken = [_processor_time(image, judge) for image in images]
    finally:
        cv2.setNumThreads(threads)
    return {"pages": len(taken), "threads": 1, "median_cpu_ms": float(np.median(taken)), "worst_cpu_ms": max(taken)}


def _processor_time(image: NDArray[np.uint8], judge: Scorer) -> float:
    start = process_time()
    find_signatures(image, scorer=judge)
    return 1000 * (process_time() - start)


def _listed(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)
