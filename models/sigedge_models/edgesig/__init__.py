"""edgesig, the flagship verifier: see CARD.md for what it is and recipe.yaml for how it is trained."""

from sigedge_models.edgesig.model import EdgeSig as Model

__all__ = ["Model"]
