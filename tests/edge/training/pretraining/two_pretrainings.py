"""What each of two processes does in `test_pretraining_together.py`, and one process alone to compare with.

Run by torchrun: python -m torch.distributed.run --standalone --nproc-per-node 2 .../two_pretrainings.py OUT
Each writes OUT/RANK.safetensors.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from edge.compress.fitting import fit
from edge.compress.parallel.ranks import current_ranks, joined_ranks
from edge.training.alignment import AlignmentConfig
from edge.training.branch_training import supervised
from edge.training.fusion_task import FusionTask
from edge.training.pretraining.kept import encoder_weights
from edge.training.pretraining.running import pretrain
from tests.edge.training.pretraining.cases import small_config, small_io, small_model, small_samples

if TYPE_CHECKING:
    from torch import Tensor

# Seven rows and eight: a batch that cannot be shared out evenly.
FIT = {"epochs": 3, "batch_size": 15, "modality_dropout": 0.3, "precision": "float32", "learning_rate": 0.01}
CASES: dict[str, dict[str, Any]] = {
    "sigmoid": {"reconstruction": 0, "alignment": {"kind": "sigmoid"}},
    "info_nce": {"reconstruction": 0, "alignment": {"kind": "info_nce"}},
    "both": {"alignment": {"kind": "info_nce"}},
}


def work(rank: int) -> dict[str, Tensor]:
    """Encoders pretrained in each way, and a whole model; rank 1 starts from other weights, which must not matter."""
    found: dict[str, Tensor] = {}
    for name, losses in CASES.items():
        model = small_model(seed=rank)
        pretrain(model, small_io(), small_samples(), small_config(fit=FIT, **losses))
        found |= {f"{name}.{key}": value.contiguous() for key, value in encoder_weights(model).items()}
    return found | {f"labels.{key}": value.contiguous() for key, value in labelled(rank).items()}


def labelled(rank: int) -> dict[str, Tensor]:
    """A model trained on labels, with alignment and answers by single modalities."""
    model = small_model(seed=rank)
    trained, objective = supervised(model, FusionTask(small_io()), AlignmentConfig(kind="info_nce"), unimodal=0.5)
    fit(trained, small_samples(), objective, small_config(fit=FIT).fit)
    return model.state_dict()


def main() -> None:
    torch.set_num_threads(1)
    with joined_ranks(timeout_s=120):
        rank = current_ranks().rank
        save_file(work(rank), Path(sys.argv[1]) / f"{rank}.safetensors")


if __name__ == "__main__":
    main()
