"""SigNet, the Siamese network of Dey et al.: see CARD.md for what it is and recipe.yaml for how it is trained."""

from sigedge_models.signet.model import SigNet as Model

__all__ = ["Model"]
