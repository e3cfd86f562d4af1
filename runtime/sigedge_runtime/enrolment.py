"""Storing the references of a user, and advising on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sigedge_runtime.decision import Decision
from sigedge_runtime.errors import UnknownUserError
from sigedge_runtime.guidance import guide
from sigedge_runtime.matching import Vector
from sigedge_runtime.results import Embedding, Enrolment
from sigedge_runtime.store import TemplateStore


def enrol(
    store: TemplateStore,
    user: str,
    embeddings: Sequence[Embedding],
    decision: Decision,
    operating_point: str,
    *,
    names: Sequence[str] = (),
    replace: bool = False,
) -> Enrolment:
    """Store a user's embeddings and judge all references that the user has then.

    Args:
        store: where to.
        user: any text that is not blank.
        embeddings: at least one, all of one identity.
        decision: of the bundle that made the embeddings.
        operating_point: name of the threshold whose errors the guidance tells.
        names: of the embeddings' images, for the guidance's sentences.
        replace: drop the user's earlier templates; else they are kept and these are added.

    Raises:
        TemplateMismatchError: the user's earlier templates are of another identity.
        StoreError: nothing was stored.
        BundleError: there is no operating point of that name; nothing was stored.
    """
    identity = embeddings[0].identity
    new = np.stack([one.vector for one in embeddings])
    # Judged before it is stored: whatever fails, fails before anything has changed.
    references = new if replace else np.concatenate([*_stored(store, user, identity), new])
    guidance = guide(references, decision, operating_point, names)
    total = (store.replace if replace else store.add)(user, new, identity)
    return Enrolment(user, len(new), total, tuple(one.quality for one in embeddings), identity, guidance)


def _stored(store: TemplateStore, user: str, identity: str) -> list[Vector]:
    """Templates [K, D] of a known user as the one entry of a list; empty for a new user."""
    try:
        return [store.templates(user, identity)]
    except UnknownUserError:
        return []
