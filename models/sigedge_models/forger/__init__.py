"""forger, networks that draw signatures and one that finds the drawn: see CARD.md for what they are."""

from sigedge_models.forger.discriminator import PatchDiscriminator
from sigedge_models.forger.model import GENERATORS
from sigedge_models.forger.model import forger_network as Model

__all__ = ["GENERATORS", "Model", "PatchDiscriminator"]
