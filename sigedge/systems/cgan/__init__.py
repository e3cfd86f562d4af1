"""cgan: signatures of known signers drawn by a network, and networks that judge them."""

from sigedge.systems.cgan.examples import examples
from sigedge.systems.cgan.experiment import evaluate
from sigedge.systems.cgan.train import train

__all__ = ["evaluate", "examples", "train"]
