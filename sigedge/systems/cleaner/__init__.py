"""The cleaner: takes stamps, seals, print, lines and document backgrounds away from under a signature.

A generator trained as one half of a CycleGAN, noisy documents to train and judge it on, and what its cleaning is worth
to the verifier.
"""

from __future__ import annotations

from sigedge.systems.cleaner.documents import Documents
from sigedge.systems.cleaner.drawing import drawn_documents, examples
from sigedge.systems.cleaner.evaluation import evaluate
from sigedge.systems.cleaner.metrics import ink_iou, psnr, ssim
from sigedge.systems.cleaner.noise import NoiseSettings, NoisyDocument, noisy_document
from sigedge.systems.cleaner.regions import fit_region, ink_of, place
from sigedge.systems.cleaner.training import train
from sigedge.systems.cleaner.use import clean

__all__ = [
    "Documents",
    "NoiseSettings",
    "NoisyDocument",
    "clean",
    "drawn_documents",
    "evaluate",
    "examples",
    "fit_region",
    "ink_iou",
    "ink_of",
    "noisy_document",
    "place",
    "psnr",
    "ssim",
    "train",
]
