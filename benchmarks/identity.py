"""Measure identification (1:N) with the shipped bundle: benchmarks/results/identity-edgesig.json.

Usage: python benchmarks/identity.py [--queries N] [--result FILE]

Recall: signatures of development signers (training and validation signers of the recipe's real data sets, and its
synthetic ones; no test signer) among galleries of these signers, filled up with spliced users
(sigedge.evaluation.identification). Speed: one thread, at every size of gallery. Takes some ten minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from sigedge.bench.identification import time_match, timed
from sigedge.bench.machine import peak_rss_mb
from sigedge.bench.summary import summarise
from sigedge.cli.inputs import default_data
from sigedge.data import CanvasCache, Record, load_splits, read_folders, read_index, training_records
from sigedge.evaluation.embeddings import embed_canvases
from sigedge.evaluation.identification import Ranks, Splices, Trials, draw_trials, rank_winners, scores_of_all
from sigedge.evaluation.results import provenance, write_result
from sigedge.synthesis import cached_dataset
from sigedge.training.data import SYNTHETIC
from sigedge.training.recipe import load_recipe
from sigedge_models import folder
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.choice import choose_for
from sigedge_runtime.decision import Decision
from sigedge_runtime.engines import open_engine
from sigedge_runtime.scoring import scores
from sigedge_runtime.search import EXACT_UP_TO, MATRIX_UP_TO, NOBODY, SHORT_LIST, FaissIndex, MatrixIndex, short_vectors
from sigedge_runtime.store import Gallery, TemplateStore

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "identity-edgesig.json"
CACHE = ROOT / ".cache"
REFERENCES = 5
QUERIES = 100
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
WHOLE_SIZES = (100, 200, 500, 1_000, 2_000, 5_000)
LENGTHS = (1, 5, 10, 20, 50, 100, 200, 500)
TIMED = 100
FEW = 20
SEED = 0
IDENTITY = "measured"
Read = Callable[[Any], Gallery]


def main(result: Path, queries: int) -> None:
    """Embed, then measure everything with one thread."""
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1), Bundle.open(None) as bundle, said("embedding"):
        decision, model = bundle.manifest.verification, bundle.manifest.model
        artifact, _ = choose_for(bundle, "auto", None, 1)
        trials = embedded(bundle, artifact, decision, queries)
    with threadpool_limits(1):
        with said("comparing with everybody"):
            exact = scores_of_all(trials, decision)
        with said("splicing"):
            real = short_vectors(flat(trials), decision.similarity)
            count = max(0, SIZES[-1] // REFERENCES - len(trials.references))
            splices = Splices.draw(trials.references, decision.similarity, count, SEED)
            vectors = np.concatenate([real, *splices.short_vectors()])
        with tempfile.TemporaryDirectory(prefix="sigedge-identity-") as work:
            read = stand_ins(filled(Path(work) / "templates.db", trials), len(trials.references))
            rows = [measured(size, trials, exact, splices, vectors, decision, read) for size in SIZES]
            whole = [compared(size, trials, decision, read) for size in WHOLE_SIZES]
    meta = provenance(
        seed=SEED,
        threads=1,
        model={"name": model.name, "version": model.version, "checkpoint_sha256": model.checkpoint_sha256},
        artifact={"name": artifact.name, "sha256": artifact.sha256},
    )
    meta["versions"]["faiss-cpu"] = metadata.version("faiss-cpu")
    constants = {"exact_up_to": EXACT_UP_TO, "matrix_up_to": MATRIX_UP_TO, "short_list": SHORT_LIST}
    found = {"rows": rows, "whole": whole, "crossovers": crossovers(rows, whole), "constants": constants}
    facts = {"references": REFERENCES, "short_vector": vectors.shape[1], "users": len(trials.references)}
    write_result(result, {**found, **facts, "peak_rss_mb": peak_rss_mb(), "meta": meta})


def embedded(bundle: Bundle, artifact: Any, decision: Decision, queries: int) -> Trials:
    """References and queries of the development signers, as the device's artefact embeds them."""
    records, kinds = development_signers(default_data())
    canvases = CanvasCache(CACHE / "canvases").canvases(records).usable()
    with open_engine("auto", artifact, bundle.path(artifact.file), 1) as engine:
        vectors = embed_canvases(engine, canvases.canvases, cache=CACHE / "canvases")
    prepared = np.concatenate(
        [decision.similarity.prepare(vectors[i : i + 1000]) for i in range(0, len(vectors), 1000)]
    )
    signers = [f"{record.dataset}/{record.signer}" for record in canvases.records]
    groups = [kinds[record] for record in canvases.records]
    return draw_trials(prepared, signers, groups, references=REFERENCES, queries=queries, seed=SEED)


def development_signers(data: Path) -> tuple[list[Record], dict[Record, str]]:
    """Genuine samples of the recipe's signers, those of validation first, and what kind of signer each is of."""
    recipe = load_recipe(folder("edgesig") / "recipe.yaml").data
    names = [name for name in recipe.signers_per_batch if name != SYNTHETIC]
    real = training_records(read_index(data / "index.csv"), names, load_splits(data / "splits.json"))
    wanted = recipe.synthetic
    drawn = cached_dataset(
        CACHE, signers=wanted.signers, genuine=wanted.genuine, forged=wanted.forged, seed=wanted.seed
    )
    parts = {"validation": real.validation, "training": real.train, SYNTHETIC: read_folders(drawn)}
    kinds = {record: kind for kind, part in parts.items() for record in part if record.genuine}
    return list(kinds), kinds


def filled(path: Path, trials: Trials) -> TemplateStore:
    """A store of all users that are not spliced."""
    with said("enrolling"):
        store = TemplateStore(path)
        for user, own in enumerate(trials.references):
            store.add(name_of(user), own, IDENTITY)
        return store


def name_of(user: int) -> str:
    return f"{user:06d}"


def measured(
    size: int, trials: Trials, exact: Any, splices: Splices, vectors: Any, decision: Decision, read: Read
) -> dict[str, Any]:
    """One size of gallery: recall, and time and memory of both indexes."""
    with said(f"{size:,} templates"):
        enrolled = min(size // REFERENCES, len(trials.references))
        asking, known = trials.first(enrolled), exact[trials.asked(enrolled), :enrolled]
        rows = np.r_[: enrolled * REFERENCES, len(trials.references) * REFERENCES : len(vectors)][:size]
        own, labels = vectors[rows], np.arange(size, dtype=np.int64) // REFERENCES
        matrix, built = timed(lambda: exact_index(labels, own))
        fast, trained = timed(lambda: FaissIndex(labels, own))
        ranks = rank_winners(asking, known, splices, matrix, decision)
        queries = short_vectors(asking.queries, decision.similarity)
        near = [index.search(queries, SHORT_LIST).labels for index in (matrix, fast)]
        return {
            "templates": size,
            "spliced": size // REFERENCES - enrolled,
            "queries": len(queries),
            "recall": recalls(asking, ranks, near),
            "matrix": index_figures(matrix, built, asking, decision, read),
            "faiss": index_figures(fast, trained, asking, decision, read),
        }


def exact_index(labels: Any, vectors: Any) -> MatrixIndex:
    index = MatrixIndex(vectors.shape[1])
    index.add(labels, vectors)
    return index


def recalls(asking: Trials, ranks: Ranks, near: list[Any]) -> dict[str, Any]:
    """Of the user whom the exact comparison ranks first, and of FAISS in the place of exact search."""
    listed = ranks.recall(SHORT_LIST)
    by_faiss = np.array([winner in labels for winner, labels in zip(ranks.winners, near[1], strict=True)])
    overlap = [len(set(a) & set(b)) / len(set(a)) for a, b in zip(*(one.tolist() for one in near), strict=True)]
    return {
        "lengths": {str(length): float(ranks.recall(length).mean()) for length in LENGTHS},
        "kinds": {str(kind): float(listed[asking.kinds == kind].mean()) for kind in np.unique(asking.kinds)},
        "short_list": float(listed.mean()),
        "short_list_by_faiss": float(by_faiss.mean()),
        "faiss_of_exact_search": float(np.mean(overlap)),
        "worst_place": int(ranks.places.max()) + 1 if ranks.places.min() >= 0 else None,
        "writer_wins": float((ranks.winners == asking.owners).mean()),
    }


def index_figures(index: Any, built: float, asking: Trials, decision: Decision, read: Read) -> dict[str, Any]:
    """Milliseconds of a query, seconds of building, and bytes."""
    times = time_match(index, some(asking.queries, TIMED), decision, read, SHORT_LIST)
    return {"ms": times, "build_s": built / 1e3, "bytes": index.nbytes}


def stand_ins(store: TemplateStore, users: int) -> Read:
    """Reads the listed users; for spliced ones, whom the store does not hold, it reads others."""

    def read(labels: Any) -> Gallery:
        names = dict.fromkeys(name_of(label % users) for label in labels.tolist() if label != NOBODY)
        parts = [store.templates(name, IDENTITY) for name in names]
        return Gallery(tuple(names), np.array([len(part) for part in parts], np.intp), np.concatenate(parts))

    return read


def compared(size: int, trials: Trials, decision: Decision, read: Read) -> dict[str, Any]:
    """Milliseconds of comparing everybody, and by a short list of the same gallery; consistencies known to both."""
    users = size // REFERENCES
    references, sizes = flat(trials)[: users * REFERENCES], trials.sizes[:users]
    known = decision.similarity.consistencies(references, sizes)
    index = exact_index(np.arange(size, dtype=np.int64) // REFERENCES, short_vectors(references, decision.similarity))
    queries = some(trials.queries, FEW)
    whole = [timed(lambda one=one: scores(one, references, sizes, decision, known))[1] for one in queries]
    short = time_match(index, queries, decision, read, SHORT_LIST)["remembered"]
    return {"templates": size, "everybody_ms": asdict(summarise(whole)), "short_list_ms": short}


def crossovers(rows: list[dict[str, Any]], whole: list[dict[str, Any]]) -> dict[str, int | None]:
    """The smallest measured sizes from which on the faster way is the other one."""
    listed = [row["templates"] for row in whole if row["short_list_ms"]["p50"] < row["everybody_ms"]["p50"]]
    by_faiss = [r["templates"] for r in rows if r["faiss"]["ms"]["search"]["p50"] < r["matrix"]["ms"]["search"]["p50"]]
    return {"short_list": min(listed, default=None), "faiss": min(by_faiss, default=None)}


def some(queries: Any, count: int) -> Any:
    """About so many of the queries, of all kinds of signers."""
    return queries[:: max(1, len(queries) // count)]


def flat(trials: Trials) -> Any:
    return trials.references.reshape(-1, trials.references.shape[2])


@contextmanager
def said(what: str) -> Iterator[None]:
    """Say how long something took."""
    start = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=QUERIES, help="at most so many of each kind of signer")
    parser.add_argument("--result", type=Path, default=RESULT, help="file to write")
    chosen = parser.parse_args()
    main(chosen.result, chosen.queries)
