"""The device API: open a bundle, enrol users, verify signatures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

import numpy as np

from sigedge_runtime._clock import Clock
from sigedge_runtime.abstention import quality_index, remedy
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.choice import choose_artifact
from sigedge_runtime.engines import Engine, open_engine
from sigedge_runtime.enrolment import enrol
from sigedge_runtime.errors import ImageError, QualityError, TemplateMismatchError
from sigedge_runtime.images import ImageSource, describe, read_image
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.matching import Vector
from sigedge_runtime.preprocessing import harmonise
from sigedge_runtime.results import Candidate, Embedding, Enrolment, Identification, Verdict
from sigedge_runtime.scoring import log_likelihood_ratio, probability, scores
from sigedge_runtime.selftest import SelftestReport, replay, require_passed
from sigedge_runtime.store import Gallery, TemplateStore

_REMEMBERED = 65_536  # users whose consistency is kept, some 200 bytes each


class Verifier:
    """Verifies signatures with one artefact of one bundle; open it with `Verifier.open`.

    A context manager; safe to call from several threads, which then share one engine in turn.
    """

    def __init__(
        self, bundle: Bundle, engine: Engine, store: TemplateStore, operating_point: str, resources: ExitStack
    ) -> None:
        """Use `Verifier.open`."""
        self.bundle = bundle
        self.engine = engine
        self.store = store
        self.operating_point = operating_point
        self._resources = resources
        # By user: what the templates were, and their consistency. No template is kept, nor more than so many users.
        self._consistencies: dict[str, tuple[int, float]] = {}

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | Bundle | None = None,
        *,
        engine: str = "auto",
        precision: str | None = None,
        store: str | os.PathLike[str] | TemplateStore | None = None,
        operating_point: str | None = None,
        threads: int = 1,
        selftest: bool = True,
    ) -> Verifier:
        """Check a bundle, warm an engine, replay the golden vectors and open the template store.

        Args:
            bundle: a folder, a ``.zip`` file or an open bundle, which stays open; default: the one shipped here.
            engine: ``litert``, ``tflite_runtime``, ``onnxruntime``, ``tensorrt``, or ``auto`` for the best installed.
            precision: ``int8``, ``float16`` or ``float32``; default: the best artefact that the engine runs.
            store: SQLite file of the templates, or an open store, which stays open; default: in memory.
            operating_point: name of a threshold of the bundle; default: the bundle's default.
            threads: CPU threads of the engine.
            selftest: replay the golden vectors; switch it off only to study a bundle that fails.

        Raises:
            BundleError: the bundle is not intact, or lacks the precision or the operating point.
            EngineError: no engine runs the artefact, or it fails.
            SelftestError: this device does not decide as the reference does.
            StoreError: the store cannot be opened.
        """
        with ExitStack() as stack:
            opened = bundle if isinstance(bundle, Bundle) else stack.enter_context(Bundle.open(bundle))
            point = _choose_operating_point(opened.manifest, operating_point)
            artifact = choose_artifact(opened, engine, precision)
            running = open_engine(engine, artifact, opened.path(artifact.file), threads)
            stack.callback(running.close)
            if selftest:
                require_passed(replay(opened, running), opened)
            templates = store if isinstance(store, TemplateStore) else TemplateStore(store)
            if templates is not store:
                stack.callback(templates.close)
            return cls(opened, running, templates, point, stack.pop_all())

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.bundle.manifest

    @property
    def artifact(self) -> Artifact:
        """The artefact that runs."""
        return self.engine.artifact

    @property
    def identity(self) -> str:
        """What makes the embeddings: model, checkpoint, artefact and its SHA-256 (12 digits of each sum)."""
        model, artifact = self.manifest.model, self.artifact
        return f"{model.name}:{model.checkpoint_sha256[:12]}:{artifact.name}:{artifact.sha256[:12]}"

    def embed(self, image: ImageSource) -> Embedding:
        """Embed one image.

        Raises:
            ImageError: the image cannot be read.
            QualityError: it shows no usable signature; the sentence says why.
            EngineError: inference failed.
        """
        clock = Clock()
        return self._embed(image, clock)

    def enroll(self, user: str, images: Sequence[ImageSource], *, replace: bool = False) -> Enrolment:
        """Enrol a user with genuine signatures: all images, or none when one of them cannot be used.

        Args:
            user: any text that is not blank.
            images: at least one; five or more make decisions surer.
            replace: drop the user's earlier templates; else they are kept and these are added.

        Returns:
            What was stored, with guidance on all references that the user has now; it refuses none of them.

        Raises:
            ImageError, QualityError: an image cannot be used; nothing was stored.
            TemplateMismatchError: the user's earlier templates are of another model or precision.
            StoreError: nothing was stored.
        """
        embeddings = self._embed_all(images, Clock())
        decision, names = self.manifest.verification, [_file_name(image) for image in images]
        return enrol(self.store, user, embeddings, decision, self.operating_point, names=names, replace=replace)

    def verify(self, user: str, image: ImageSource) -> Verdict:
        """Decide whether a signature is that of an enrolled user.

        Raises:
            UnknownUserError: the user is not enrolled.
            TemplateMismatchError: the templates are of another model or precision.
            StoreError: the store cannot be read.
            ImageError, QualityError, EngineError: as for `embed`.
        """
        clock = Clock()
        with clock.stage("match"):
            references = self.store.templates(user, self.identity)
        query = self._embed(image, clock)
        with clock.stage("match"):
            consistency = self._consistency(user, references)
        return self._judge(query, references, clock, consistency)

    def compare(self, references: Sequence[ImageSource | Embedding], image: ImageSource | Embedding) -> Verdict:
        """Decide whether a signature is by the writer of the references, without a store.

        Args:
            references: at least one image or embedding of genuine signatures.
            image: the questioned signature.

        Returns:
            The verdict; its timings cover the references that had to be embedded, too.

        Raises:
            TemplateMismatchError: an embedding is of another model or precision.
            ImageError, QualityError, EngineError: as for `embed`.
        """
        clock = Clock()
        embeddings = self._embed_all(references, clock)
        query = self._embed_all([image], clock)[0]
        return self._judge(query, np.stack([one.vector for one in embeddings]), clock)

    def identify(self, image: ImageSource, limit: int = 5) -> Identification:
        """Rank the enrolled users as writers of a signature, most probable first, at most `limit` of them.

        Raises:
            UnknownUserError: nobody is enrolled.
            TemplateMismatchError: some templates are of another model or precision.
            StoreError: the store cannot be read.
            ImageError, QualityError, EngineError: as for `embed`.
        """
        clock = Clock()
        with clock.stage("match"):
            gallery = self.store.gallery(self.identity)
        query = self._embed(image, clock)
        with clock.stage("match"):
            asked = self._remedy(query)
            candidates = self._rank(query.vector, gallery, asked)
        return Identification(
            candidates=tuple(candidates[: max(0, limit)]),
            enrolled=len(gallery.users),
            operating_point=self.operating_point,
            sign_again=asked != "",
            remedy=asked,
            quality_index=quality_index(query.quality.measurements),
            quality=query.quality,
            timings=clock.timings(),
            identity=self.identity,
        )

    def selftest(self) -> SelftestReport:
        """Replay the bundle's golden vectors and report; see `sigedge_runtime.selftest.replay`."""
        return replay(self.bundle, self.engine)

    def close(self) -> None:
        """Close the engine and what `open` opened; closing twice does nothing."""
        self._resources.close()

    def __enter__(self) -> Verifier:
        """Return the verifier itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the verifier."""
        self.close()

    def _embed(self, image: ImageSource, clock: Clock) -> Embedding:
        with clock.stage("decode"):
            pixels = read_image(image)
        with clock.stage("preprocess"):
            canvas, quality = harmonise(pixels, self.manifest.harmonisation)
        if not quality.usable:
            raise QualityError(f"{describe(image)} shows no usable signature: {quality.reasons}", quality)
        with clock.stage("infer"):
            vector = self.manifest.verification.similarity.prepare(self.engine.infer(canvas))
        return Embedding(vector, self.identity, quality, clock.timings())

    def _embed_all(self, images: Sequence[ImageSource | Embedding], clock: Clock) -> list[Embedding]:
        if isinstance(images, (str, bytes, os.PathLike, np.ndarray)) or len(images) == 0:
            raise ImageError("No list of images was given; give a list with one image or more.")
        return [self._accept(one) if isinstance(one, Embedding) else self._embed(one, clock) for one in images]

    def _accept(self, embedding: Embedding) -> Embedding:
        if embedding.identity != self.identity:
            raise TemplateMismatchError(
                f"An embedding was made by {embedding.identity}, but {self.identity} is loaded; embed its image again."
            )
        return embedding

    def _judge(self, query: Embedding, references: Vector, clock: Clock, consistency: float | None = None) -> Verdict:
        with clock.stage("match"):
            known = None if consistency is None else np.array([consistency])
            sizes = np.array([len(references)], np.intp)
            found = scores(query.vector, references, sizes, self.manifest.verification, known)
            asked = self._remedy(query)
            result = self._candidate("", float(found[0]), len(references), asked)
        return Verdict(
            accepted=result.accepted,
            score=result.score,
            log_likelihood_ratio=result.log_likelihood_ratio,
            probability=result.probability,
            threshold=result.threshold,
            operating_point=self.operating_point,
            references=result.references,
            sign_again=asked != "",
            remedy=asked,
            quality_index=quality_index(query.quality.measurements),
            quality=query.quality,
            timings=clock.timings(),
            identity=self.identity,
        )

    def _rank(self, query: Vector, gallery: Gallery, asked: str) -> list[Candidate]:
        """All users by likelihood ratio, which is comparable between users with few and with many references."""
        parts = np.split(gallery.vectors, np.cumsum(gallery.sizes)[:-1])
        known = np.array([self._consistency(user, own) for user, own in zip(gallery.users, parts, strict=True)])
        found = scores(query, gallery.vectors, gallery.sizes, self.manifest.verification, known)
        candidates = [
            self._candidate(user, float(score), int(count), asked)
            for user, score, count in zip(gallery.users, found, gallery.sizes, strict=True)
        ]
        return sorted(candidates, key=lambda one: (-one.log_likelihood_ratio, one.user))

    def _consistency(self, user: str, references: Vector) -> float:
        """Of a user's stored references; worked out again only when they changed, for it grows with their square."""
        if not self.manifest.verification.consistency_weight:
            return 0.0
        known, content = self._consistencies.get(user), hash(references.tobytes())
        if known is None or known[0] != content:
            found = self.manifest.verification.similarity.consistencies(
                references, np.array([len(references)], np.intp)
            )
            if len(self._consistencies) >= _REMEMBERED:
                self._consistencies.clear()
            known = self._consistencies[user] = content, float(found[0])
        return known[1]

    def _candidate(self, user: str, score: float, references: int, asked: str) -> Candidate:
        """A score judged; whatever it is, nobody is accepted who is asked to sign again."""
        decision = self.manifest.verification
        threshold = decision.operating_point(self.operating_point, references).threshold
        calibration = decision.calibration(references)
        return Candidate(
            user=user,
            accepted=score >= threshold and not asked,
            score=score,
            log_likelihood_ratio=log_likelihood_ratio(score, calibration),
            probability=probability(score, calibration),
            threshold=threshold,
            references=references,
        )

    def _remedy(self, query: Embedding) -> str:
        """What to ask of the person; empty when the image is good enough to decide on."""
        return remedy(query.quality.measurements, self.manifest.verification.sign_again_below)


def _choose_operating_point(manifest: Manifest, name: str | None) -> str:
    decision = manifest.verification
    return decision.operating_point(name or decision.default_operating_point, 1).name


def _file_name(image: ImageSource | Embedding) -> str:
    """Name of an image that has one; pixels and bytes have none that tells a person anything."""
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else ""
