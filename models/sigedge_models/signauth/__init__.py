"""signauth, a classifier of the signatures of known people: see CARD.md for what it is and what it cannot do."""

from sigedge_models.signauth.model import SignAuth as Model

__all__ = ["Model"]
