"""cgan: a network that draws the signatures of known signers, and two that judge them; see CARD.md."""

from sigedge_models.cgan.discriminator import Discriminator
from sigedge_models.cgan.model import Model

__all__ = ["Discriminator", "Model"]
