"""The training of the detector on spectra, for Lightning."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from sigedge.evaluation.metrics import auc, equal_error_rate
from sigedge.systems.forger.processing import PROCESSINGS, processed
from sigedge.systems.forger.recipe import Detection
from sigedge.systems.forger.specimens import Specimens
from sigedge.systems.forger.spectra import spectrum_canvases
from sigedge_models.forger.detector import Detector

Floats = NDArray[np.float64]
_SCORE_BATCH = 256


class SpectrumBatches(Dataset[tuple[Tensor, Tensor]]):
    """The batches of one epoch; batch i of epoch e is a function of (seed, e, i) alone.

    An item is one batch: spectra float32 [B, 1, H, W] of 0 to 255 and labels int64 [B], half of them generated, every
    species as often as any other.

    Args:
        spectra: uint8 [P, N, H, W], those of every image after each of `PROCESSINGS`; the first alone is enough where
            none is to be processed.
        specimens: the N images.
        settings: batch composition.
        seed: of the draw.
        epoch: number of the epoch.
    """

    def __init__(
        self, spectra: NDArray[np.uint8], specimens: Specimens, settings: Detection, seed: int, epoch: int
    ) -> None:
        self._spectra, self._settings, self._seed, self._epoch = spectra, settings, seed, epoch
        species = np.asarray(specimens.species)
        self._real = np.flatnonzero(~specimens.generated)
        self._drawn = [np.flatnonzero(species == name) for name in sorted(set(species[specimens.generated]))]

    def __len__(self) -> int:
        return self._settings.steps_per_epoch

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index >= len(self):
            raise IndexError(index)
        random = np.random.default_rng([self._seed, self._epoch, index])
        half = self._settings.batch // 2
        kinds = random.integers(len(self._drawn), size=half)
        rows = np.concatenate([random.choice(self._real, half), [random.choice(self._drawn[kind]) for kind in kinds]])
        others = random.integers(1, len(PROCESSINGS), size=len(rows))
        how = np.where(random.random(len(rows)) < self._settings.processed, others, 0)
        spectra = torch.from_numpy(self._spectra[how, rows][:, None].astype(np.float32))
        return spectra, torch.from_numpy((np.arange(len(rows)) >= half).astype(np.int64))


class DetectorTraining(lightning.LightningModule):
    """Trains a detector by cross-entropy on balanced batches.

    Args:
        detector: learns.
        settings: optimisation.
        seed: of the batches.
        train: specimens to learn from.
        validation: specimens to measure by, unprocessed.
    """

    def __init__(
        self, detector: Detector, settings: Detection, seed: int, train: Specimens, validation: Specimens
    ) -> None:
        super().__init__()
        self.detector = detector
        self._settings, self._seed, self._train, self._validation = settings, seed, train, validation
        names = list(PROCESSINGS) if settings.processed > 0 else ["none"]
        self._spectra = np.stack([spectrum_canvases(processed(train.images, name)) for name in names])
        detector.standardise(torch.from_numpy(self._spectra[0, :, None].astype(np.float32)))

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the current epoch; Lightning asks again for every epoch."""
        epoch = int(self.global_step) // self._settings.steps_per_epoch
        batches = SpectrumBatches(self._spectra, self._train, self._settings, self._seed, epoch)
        return DataLoader(batches, batch_size=None, shuffle=False)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of one batch."""
        spectra, labels = batch
        loss = functional.cross_entropy(self.detector(spectra), labels)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def val_dataloader(self) -> DataLoader[Any]:
        """One empty batch: validation looks at all specimens at once."""
        return DataLoader([torch.zeros(0)], batch_size=None)  # type: ignore[arg-type]

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Figures on the validation signers."""
        scores = detector_scores(self.detector, self._validation.images)
        generated = self._validation.generated
        figures = {
            "eer": equal_error_rate(scores[generated], scores[~generated]),
            "auc": auc(scores[generated], scores[~generated]),
        }
        self.log_dict(figures, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        """AdamW with one-cycle learning rate."""
        settings = self._settings
        optimiser = torch.optim.AdamW(self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.learning_rate, total_steps=settings.steps, pct_start=0.15
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def detector_scores(detector: nn.Module, images: NDArray[np.uint8]) -> Floats:
    """How far each image uint8 [N, H, W] looks generated: logit of generated less that of real, float64 [N]."""
    canvases = spectrum_canvases(images)
    detector.eval()
    with torch.inference_mode():
        parts = [
            detector(torch.from_numpy(canvases[start : start + _SCORE_BATCH, None].astype(np.float32)))
            for start in range(0, len(canvases), _SCORE_BATCH)
        ]
    logits = torch.cat(parts).double().numpy()
    return np.asarray(logits[:, 1] - logits[:, 0], dtype=np.float64)
