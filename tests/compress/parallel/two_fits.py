"""What each of two processes does in `test_fits.py`, and one process alone to compare with.

Run by torchrun: python -m torch.distributed.run --standalone --nproc-per-node 2 .../two_fits.py OUT
Each writes OUT/RANK.json and OUT/RANK.safetensors; the states of interrupted trainings lie in OUT.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from edge.compress.fitting import EarlyStoppingConfig, ResumePoint, Validation, fit
from edge.compress.learning.balancing import balanced_draws, weighing_task
from edge.compress.parallel.ranks import Ranks, current_ranks, joined_ranks
from edge.runtime.model_io import ModelIO, SoftmaxOutput, TensorInput
from edge.training.fusion_task import FusionTask
from tests.compress.learning.small_models import QUICK, TwoBranches, fresh_model, pictures

if TYPE_CHECKING:
    from torch import Tensor

FIT = QUICK.model_copy(update={"epochs": 4, "batch_size": 14, "learning_rate": 0.02})
# Balanced draws and weights, augmentation, parts of batches, recomputed activations, early stopping: all at once.
FULL = FIT.model_copy(
    update={
        "epochs": 12,
        "schedule": "constant",
        "class_weights": "balanced",
        "sampling": "balanced",
        "early_stopping": EarlyStoppingConfig(patience=2),
        "accumulate": 2,
        "gradient_checkpointing": True,
    }
)
STOP_AT = 12  # five steps an epoch


class InterruptedTrainingError(Exception):
    """What Ctrl-C would raise."""


def task() -> FusionTask:
    inputs = tuple(
        TensorInput(tensor=name, stream=name, shape=(1, 1), fields=("x",), mean=(0.0,), std=(1.0,)) for name in "ab"
    )
    return FusionTask(
        ModelIO(schema=1, inputs=inputs, outputs=(SoftmaxOutput(tensor="digit", classes=("0", "1", "2")),))
    )


def noisy(inputs: tuple[Tensor, ...], _: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
    return tuple(x + 0.3 * torch.randn(x.shape, generator=generator) for x in inputs)


def trained(
    ranks: Ranks, folder: Path | None = None, stop_at: int | None = None, dropout: float = 0.0
) -> tuple[TwoBranches, list[float], list[dict[str, Any]]]:
    """Rank 1 starts from other weights, which must not matter."""
    model, losses = fresh_model(seed=1 + ranks.rank, dropout=dropout), list[float]()
    reports: list[dict[str, Any]] = []
    data, plain = pictures(), task()
    weighted = weighing_task(plain, FULL, data)

    def on_step(done: int, _steps: int, loss: float) -> None:
        losses.append(loss)
        if done == stop_at:
            raise InterruptedTrainingError

    fit(
        model,
        data,
        lambda inputs, targets: weighted.loss(model(*inputs), targets),
        FULL,
        on_step,
        augment=noisy,
        draw_weights=balanced_draws(plain, FULL, data),
        validation=Validation(model, pictures("validation", seed=5), plain),
        resume=None if folder is None else ResumePoint(folder, {"settings": FULL.model_dump(mode="json")}),
        on_epoch=lambda report: reports.append(report.model_dump(exclude={"seconds"})),
    )
    return model, losses, reports


def resumed(ranks: Ranks, folder: Path) -> TwoBranches:
    """Interrupted in the third epoch, and begun again; dropout draws on each rank for itself."""
    try:
        trained(ranks, folder, STOP_AT, dropout=0.3)
    except InterruptedTrainingError:
        return trained(ranks, folder, dropout=0.3)[0]
    raise AssertionError("nothing was interrupted")


def work(ranks: Ranks, out: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """All of it: plain values, and the weights of what was trained."""
    model, losses, reports = trained(ranks)
    whole = trained(ranks, dropout=0.3)[0]
    again = resumed(ranks, out / f"state-{ranks.world}")
    weights = {f"trained.{k}": v for k, v in model.state_dict().items()}
    weights |= {f"whole.{k}": v for k, v in whole.state_dict().items()}
    weights |= {f"again.{k}": v for k, v in again.state_dict().items()}
    return {"losses": losses, "reports": reports}, {name: tensor.contiguous() for name, tensor in weights.items()}


def main() -> None:
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    with joined_ranks(timeout_s=120):
        ranks = current_ranks()
        values, weights = work(ranks, out)
    (out / f"{ranks.rank}.json").write_text(json.dumps(values), encoding="utf-8")
    save_file(weights, out / f"{ranks.rank}.safetensors")


if __name__ == "__main__":
    main()
