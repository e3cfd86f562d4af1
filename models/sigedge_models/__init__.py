"""The PyTorch architectures of sigedge, a folder each with model, recipe, card and parity tolerances."""

from sigedge_models.checkpoint import CheckpointInfo, load_checkpoint, load_weights, save_checkpoint
from sigedge_models.registry import create, folder, names

__all__ = ["CheckpointInfo", "create", "folder", "load_checkpoint", "load_weights", "names", "save_checkpoint"]
