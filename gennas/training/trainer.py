"""Training with Lightning: quiet, and for gennas' own models by steps and resumable."""

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from gennas.errors import StudyError
from gennas.progress import Report, progress


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Lightning's warnings and messages within the block."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def one_cycle(parameters: Iterable[torch.nn.Parameter], learning_rate: float, steps: int) -> Any:
    """AdamW with a one-cycle schedule, in the form that ``configure_optimizers`` returns."""
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01)
    # PyTorch divides by the length of the first phase less one step.
    share = 0.2 if 0.1 * steps == 1 else 0.1
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=share)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Steps(Callback):
    """Reports the number of finished steps and the latest loss."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: torch.Tensor | Mapping[str, Any] | None,
        batch: Any,
        batch_idx: int,
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        self.report(trainer.global_step, f"loss {float(loss):.4f}" if loss is not None else "")


def fit(
    module: lightning.LightningModule,
    *,
    title: str,
    size: int,
    steps: int,
    batch_size: int,
    seed: int,
    folder: Path,
) -> None:
    """Trains ``module`` on batches of row numbers, drawn with replacement from ``range(size)``.

    Args:
        module: its ``training_step`` receives ``[(batch_size,) int64]``; it holds the data itself.
        title: title of the progress display.
        size: number of rows of the data.
        steps: total number of optimiser steps; a repeated call resumes from the last saved one.
        batch_size: rows per step.
        seed: seed of all random numbers.
        folder: folder for ``training.ckpt``, which :func:`gennas.part_files.write_part` deletes in the end.

    Raises:
        StudyError: ``training.ckpt`` belongs to another network.
    """
    lightning.seed_everything(seed, verbose=False)
    rows = TensorDataset(torch.arange(size))
    sampler = RandomSampler(rows, replacement=True, num_samples=steps * batch_size)
    saved = ModelCheckpoint(dirpath=folder, filename="training", every_n_train_steps=max(steps // 10, 1))
    last = folder / "training.ckpt"
    with quiet(), progress(title, steps) as report:
        trainer = lightning.Trainer(
            max_steps=steps,
            accelerator="auto",
            devices=1,
            logger=False,
            callbacks=[_Steps(report), saved],
            enable_progress_bar=False,
            enable_model_summary=False,
            gradient_clip_val=1.0,
        )
        loader = DataLoader(rows, batch_size=batch_size, sampler=sampler)
        try:
            trainer.fit(module, loader, ckpt_path=last if last.is_file() else None, weights_only=True)
        except RuntimeError as error:
            if "state_dict" not in str(error):
                raise
            raise StudyError(
                f"{last} was written by another version of gennas, with a different network. Delete it to start over."
            ) from error
