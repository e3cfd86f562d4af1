"""Templates of enrolled users in one SQLite file, encrypted when a key is given (docs/store.md)."""

from __future__ import annotations

from sigedge_runtime.store.audit import StoreCheck
from sigedge_runtime.store.keys import KEY_VARIABLE, make_key
from sigedge_runtime.store.merging import EXISTING, Merged
from sigedge_runtime.store.opening import store_facts
from sigedge_runtime.store.records import Gallery, StoredTemplates, StoredUser, StoreFacts
from sigedge_runtime.store.schema import SCHEMA_VERSION
from sigedge_runtime.store.templates import TemplateStore
from sigedge_runtime.store.transfer import export_templates, import_templates

__all__ = [
    "EXISTING",
    "KEY_VARIABLE",
    "SCHEMA_VERSION",
    "Gallery",
    "Merged",
    "StoreCheck",
    "StoreFacts",
    "StoredTemplates",
    "StoredUser",
    "TemplateStore",
    "export_templates",
    "import_templates",
    "make_key",
    "store_facts",
]
