"""A run of Lightning as every system here trains: quiet, logged, and exactly resumable."""

from __future__ import annotations

import logging
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

LAST = "last.ckpt"


def fit(
    module: lightning.LightningModule,
    out: Path,
    *,
    steps: int,
    steps_per_epoch: int,
    validate_every: int = 1,
    optimisers: int = 1,
    bfloat16: bool = False,
    clip: float | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train until `steps` batches are done; a run that was interrupted goes on after its last checkpoint.

    To resume exactly, the module's batches must be a function of its seed and `global_step` alone, and so must the
    randomness inside its networks (`torch.manual_seed(seed + global_step)` at the start of a step).

    Args:
        module: offers its own loader, which Lightning asks for in every epoch.
        out: folder of the run: ``csv/``, ``tensorboard/`` and ``last.ckpt``.
        steps: batches in all.
        steps_per_epoch: batches of an epoch, the unit of the log.
        validate_every: epochs between validations, each followed by a checkpoint.
        optimisers: steps of optimisers for each batch, 2 where a generator and a discriminator take turns.
        bfloat16: mixed precision, where this machine multiplies bfloat16 in hardware.
        clip: largest norm of the gradient; None clips nothing, which manual optimisation asks for.
        callbacks: further ones.

    Raises:
        KeyboardInterrupt: Ctrl-C; the same call goes on after the last checkpoint.
    """
    last = out / LAST
    if _take_finished(module, last, steps * optimisers):
        return
    epochs = -(-steps // steps_per_epoch)
    validate_every = min(validate_every, epochs)
    with _quiet():
        trainer = lightning.Trainer(
            default_root_dir=out,
            accelerator="auto",
            devices=1,
            precision="bf16-mixed" if bfloat16 and has_bfloat16() else "32-true",
            max_steps=steps * optimisers,
            # Steps alone decide when it ends: Lightning counts an epoch too many when a run is resumed.
            max_epochs=-1,
            check_val_every_n_epoch=validate_every,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            gradient_clip_val=clip,
            log_every_n_steps=steps_per_epoch,
            logger=[CSVLogger(out, name="csv"), _tensorboard(out)],
            callbacks=[
                # Only where an epoch ended with validation does Lightning resume exactly at the next batch.
                ModelCheckpoint(
                    out,
                    filename=Path(LAST).stem,
                    enable_version_counter=False,
                    every_n_epochs=validate_every,
                    save_on_train_epoch_end=True,
                ),
                *callbacks,
                _Progress(epochs),
            ],
            enable_model_summary=False,
        )
        try:
            trainer.fit(module, ckpt_path=str(last) if last.is_file() else None)
        except SystemExit as stopped:
            # Lightning answers Ctrl-C by leaving the process; the caller shall decide that.
            raise KeyboardInterrupt from stopped


class _Progress(RichProgressBar):
    """Lightning's bar, which cannot know how many epochs there are where steps decide."""

    def __init__(self, epochs: int) -> None:
        super().__init__(leave=True)
        self._epochs = epochs

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1} of {self._epochs}"


def _tensorboard(out: Path) -> TensorBoardLogger:
    # TensorBoard's own switch to its small stand-in for TensorFlow: where that is installed for the export chain, it
    # would otherwise be loaded for a few file operations, with seconds of start-up and a page of warnings.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    return TensorBoardLogger(out, name="tensorboard")


def has_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16 matrices in hardware (elsewhere it is slower than float32)."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice, which does not apply to these loaders, out of the user's sight."""
    chatter = logging.getLogger("lightning.pytorch")
    level = chatter.level
    chatter.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*Checkpoint directory.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*")
        try:
            yield
        finally:
            chatter.setLevel(level)


def _take_finished(module: lightning.LightningModule, last: Path, steps: int) -> bool:
    """Load the weights of a run that had done all its steps; Lightning would leave out its averages of weights."""
    if not last.is_file():
        return False
    checkpoint = torch.load(last, map_location="cpu", weights_only=False)  # of this run
    if checkpoint["global_step"] < steps:
        return False
    module.on_load_checkpoint(checkpoint)  # which may refuse it
    module.load_state_dict(checkpoint["state_dict"])
    return True
