"""The device API: open a bundle, enrol users, verify signatures."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from sigedge_runtime._clock import Clock
from sigedge_runtime._first_selftest import require_selftest
from sigedge_runtime._machine import usable_cores
from sigedge_runtime.bundle import Bundle
from sigedge_runtime.choice import open_best
from sigedge_runtime.embedding import Embedder
from sigedge_runtime.engines import Engine, EngineChoice
from sigedge_runtime.errors import ImageError, SigedgeError, TemplateMismatchError
from sigedge_runtime.images import ImageSource
from sigedge_runtime.judging import Claim, Desk, Judge
from sigedge_runtime.manifest import Artifact, Manifest
from sigedge_runtime.matching import Vector
from sigedge_runtime.results import Embedding, Enrolment, Identification, Verdict
from sigedge_runtime.store import TemplateStore

if TYPE_CHECKING:
    from sigedge_runtime.parallel import Workers
    from sigedge_runtime.search import UserSearch
    from sigedge_runtime.selftest import SelftestReport


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
        self._workers: dict[int, Workers] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | Bundle | None = None,
        *,
        engine: str = "auto",
        precision: str | None = None,
        store: str | os.PathLike[str] | TemplateStore | None = None,
        store_key: str | bytes | None = None,
        operating_point: str | None = None,
        threads: int | None = 1,
        selftest: bool | None = None,
    ) -> Verifier:
        """Check a bundle, warm an engine, replay the golden vectors and open the template store.

        Args:
            bundle: a folder, a ``.zip`` file or an open bundle, which stays open; default: the one shipped here.
            engine: name of an engine (`engines.names()`), or ``auto`` for the one that is fastest here.
            precision: ``int8``, ``float16`` or ``float32``; default: the best artefact that the engine runs.
            store: SQLite file of the templates, or an open store, which stays open; default: in memory.
            store_key: where the key of that file is, ``file:PATH``, ``keyring:NAME`` or ``env:NAME``, or the key
                itself; default: what the variable SIGEDGE_STORE_KEY names, if it is set.
            operating_point: name of a threshold of the bundle; default: the bundle's default.
            threads: CPU threads of the engine; None takes as many as are fastest here.
            selftest: True replays the golden vectors; None does so unless they passed before on this machine with the
                same bundle, engine, libraries and code; False, never, only to study a bundle that fails.

        Raises:
            BundleError: the bundle is not intact, or lacks the precision or the operating point.
            EngineError: no engine runs the artefact, or it fails.
            SelftestError: this device does not decide as the reference does.
            StoreKeyError: the store's key is missing or wrong.
            StoreError: the store cannot be opened.
        """
        with ExitStack() as stack:
            opened = bundle if isinstance(bundle, Bundle) else stack.enter_context(Bundle.open(bundle))
            point = _choose_operating_point(opened.manifest, operating_point)
            running = open_best(opened, engine, precision, threads)
            stack.callback(running.close)
            require_selftest(opened, running, selftest)
            templates = store if isinstance(store, TemplateStore) else TemplateStore(store, key=store_key)
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
    def engine_choice(self) -> EngineChoice | None:
        """Engine, threads and precision that run, why, and what was measured; None for an engine that was handed in."""
        return self.engine.choice

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
        return self._desk.embedder.embed(image)

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
        from sigedge_runtime.enrolment import enrol

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
        return self._desk.verify(Claim(user, references), image, clock)

    def verify_many(
        self, pairs: Sequence[tuple[str, ImageSource]], *, workers: int | None = None
    ) -> list[Verdict | SigedgeError]:
        """Decide on many signatures at a time, each as `verify` would; for servers.

        Args:
            pairs: of a user and the signature that is said to be the user's.
            workers: this process and others, each with an engine of its own; None for one on each usable core. They
                are started when first asked for, in some tenths of a second, and kept until the verifier is closed.
                OpenCV's own threads are left as this process has them: `cv2.setNumThreads(1)` is the host's to call.

        Returns:
            In the order of the pairs: the verdict, or the error that `verify` would raise for this pair.

        Raises:
            EngineError: there are no workers, or no further engine can be opened.
        """
        known = {user: self._references(user) for user in dict.fromkeys(user for user, _ in pairs)}
        claims = [
            (Claim(user, references), image)
            for user, image in pairs
            if not isinstance(references := known[user], SigedgeError)
        ]
        verdicts = iter(self._share(workers).verify(claims))
        refused = (known[user] for user, _ in pairs)
        return [error if isinstance(error, SigedgeError) else next(verdicts) for error in refused]

    def embed_many(
        self, images: Sequence[ImageSource], *, workers: int | None = None
    ) -> list[Embedding | SigedgeError]:
        """Embed many images at a time, each as `embed` would; arguments, results and errors as in `verify_many`."""
        return self._share(workers).embed(images)

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
        with clock.stage("match"):
            enrolled = self._judge.users.strangers(np.stack([one.vector for one in embeddings]))
        return self._judge.verdict(query, enrolled, clock)

    def identify(self, image: ImageSource, limit: int = 5) -> Identification:
        """Rank the enrolled users as writers of a signature, most probable first, at most `limit` of them.

        All are compared up to `search.EXACT_UP_TO` templates, and beyond those on a short list (`search.UserSearch`).

        Raises:
            UnknownUserError: nobody is enrolled.
            TemplateMismatchError: some templates are of another model or precision.
            StoreError: the store cannot be read.
            ImageError, QualityError, EngineError: as for `embed`.
        """
        clock = Clock()
        with clock.stage("match"):
            self._search.refresh()
        query = self._desk.embedder.embed(image, clock)
        with clock.stage("match"):
            gallery = self._search.gallery(query.vector, limit)
        return self._judge.identification(query, gallery, limit, self._search.enrolled, clock)

    def selftest(self) -> SelftestReport:
        """Replay the bundle's golden vectors and report; see `sigedge_runtime.selftest.replay`."""
        from sigedge_runtime.selftest import replay

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

    @cached_property
    def _desk(self) -> Desk:
        manifest = self.manifest
        matching = manifest.verification.similarity
        return Desk(Embedder(self.engine, manifest.harmonisation, matching, self.identity), self._judge)

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self.manifest.verification, self.operating_point)

    @cached_property
    def _search(self) -> UserSearch:
        from sigedge_runtime.search import UserSearch

        return UserSearch(self.store, self.identity, self.manifest.verification.similarity)

    def _share(self, count: int | None) -> Workers:
        """That many workers, started when they are first asked for and kept until the verifier is closed."""
        from sigedge_runtime.parallel import Workers

        wanted = usable_cores() if count is None else count
        with self._lock:
            if wanted not in self._workers:
                started = self._workers[wanted] = Workers(self._desk, wanted)
                self._resources.callback(started.close)
            return self._workers[wanted]

    def _references(self, user: str) -> Vector | SigedgeError:
        try:
            return self.store.templates(user, self.identity)
        except SigedgeError as error:
            return error

    def _embed_all(self, images: Sequence[ImageSource | Embedding], clock: Clock) -> list[Embedding]:
        if isinstance(images, (str, bytes, os.PathLike, np.ndarray)) or len(images) == 0:
            raise ImageError("No list of images was given; give a list with one image or more.")
        embed = self._desk.embedder.embed
        return [self._accept(one) if isinstance(one, Embedding) else embed(one, clock) for one in images]

    def _accept(self, embedding: Embedding) -> Embedding:
        if embedding.identity != self.identity:
            raise TemplateMismatchError(
                f"An embedding was made by {embedding.identity}, but {self.identity} is loaded; embed its image again."
            )
        return embedding


def _choose_operating_point(manifest: Manifest, name: str | None) -> str:
    decision = manifest.verification
    return decision.operating_point(name or decision.default_operating_point, 1).name


def _file_name(image: ImageSource | Embedding) -> str:
    """Name of an image that has one; pixels and bytes have none that tells a person anything."""
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else ""
