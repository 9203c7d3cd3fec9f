"""One way to run Lightning for gennas' own models: by steps, quiet, resumable."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from gennas.progress import Report, progress


class _Steps(Callback):
    """Reports the finished steps and the latest loss."""

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
    """Trains ``module`` on batches of row numbers drawn with replacement from ``range(size)``.

    Args:
        module: its ``training_step`` receives ``[(batch_size,) int64]``.
        title: what the progress is called.
        size: rows of the data set, which the module holds itself.
        steps: optimiser steps in all; a repeated call goes on from the last saved one.
        batch_size: rows per step.
        seed: of every random number drawn on the way.
        folder: where ``training.ckpt`` is kept until the training has ended.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    lightning.seed_everything(seed, verbose=False)
    rows = TensorDataset(torch.arange(size))
    sampler = RandomSampler(rows, replacement=True, num_samples=steps * batch_size)
    saved = ModelCheckpoint(dirpath=folder, filename="training", every_n_train_steps=max(steps // 10, 1))
    last = folder / "training.ckpt"
    with warnings.catch_warnings(), progress(title, steps) as report:
        # Lightning advises more loader workers and warns of what a resumed epoch skips; neither applies here.
        warnings.simplefilter("ignore")
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
        trainer.fit(module, loader, ckpt_path=last if last.is_file() else None, weights_only=True)
    last.unlink(missing_ok=True)
