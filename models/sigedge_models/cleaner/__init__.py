"""cleaner, which takes a document away from under a signature: see CARD.md and recipe.yaml."""

from sigedge_models.cleaner.model import Model

__all__ = ["Model"]
