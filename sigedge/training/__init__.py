"""Training: recipes, batches of signers, the loss, and the decision rule fixed on validation signers."""

from sigedge.training.decision import fit_decision
from sigedge.training.recipe import Recipe, load_recipe
from sigedge.training.train import embed, train

__all__ = ["Recipe", "embed", "fit_decision", "load_recipe", "train"]
