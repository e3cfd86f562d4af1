"""Identification among many: short vectors, indexes over them, and who is worth an exact comparison.

See docs/identification.md.
"""

from __future__ import annotations

from sigedge_runtime.search.faiss_index import FaissIndex, faiss_installed
from sigedge_runtime.search.index import NOBODY, MatrixIndex, Neighbours, TemplateIndex
from sigedge_runtime.search.short import short_vectors
from sigedge_runtime.search.users import EXACT_UP_TO, MATRIX_UP_TO, SHORT_LIST, UserSearch, build_index

__all__ = [
    "EXACT_UP_TO",
    "MATRIX_UP_TO",
    "NOBODY",
    "SHORT_LIST",
    "FaissIndex",
    "MatrixIndex",
    "Neighbours",
    "TemplateIndex",
    "UserSearch",
    "build_index",
    "faiss_installed",
    "short_vectors",
]
