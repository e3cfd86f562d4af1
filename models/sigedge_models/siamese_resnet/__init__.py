"""A Siamese residual network with spatial attention: CARD.md says what it is, recipe.yaml how it is trained."""

from sigedge_models.siamese_resnet.model import SiameseResNet as Model

__all__ = ["Model"]
