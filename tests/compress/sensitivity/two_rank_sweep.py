"""What each of two processes finds in `test_two_process_sweep.py`, and one process alone to compare with.

Run by torchrun: python -m torch.distributed.run --standalone --nproc-per-node 2 .../two_rank_sweep.py FOLDER
FOLDER holds model.safetensors and table.yaml; each process writes FOLDER/RANK.json.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from edge.compress.parallel.ranks import joined_ranks
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.sensitivity.calibrated_graph import calibrate_graph
from edge.compress.sensitivity.config import SensitivityConfig
from edge.compress.sensitivity.sweep_shards import sweep
from edge.compress.sensitivity.swept_model import SweptModel
from edge.compress.stages import handlers  # noqa: F401  (registers what a stage runs)
from edge.compress.stages.measure import StageMeasurer
from edge.compress.stages.stage import Artifact, CompressionContext, QuantizeStage, apply_stage
from tests.compress.sensitivity.conftest import MODALITIES, Digits, FusionNet, samples

SENSITIVITY = SensitivityConfig(samples=64, scored=2, batch_size=240)
BUDGET = {"max_loss": 1.0, "max_loss_any": 1.5}


def findings(folder: Path) -> dict[str, Any]:
    """The report of a sweep; the plan that a stage searched by another one, its record's notes, and its graphs."""
    model = FusionNet()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    train, validation = samples("train", 256, 1), samples("validation", 240, 2)
    batches = [tuple(t[:32] for t in (*train.inputs, torch.ones(256, 3)))]
    swept = SweptModel(calibrate_graph(model, batches[0], batches, QuantizeConfig()), Digits(), validation, SENSITIVITY)
    search = {"table": str(folder / "table.yaml"), "budget": BUDGET, "sensitivity": SENSITIVITY.model_dump()}
    config = QuantizeStage.model_validate({"samples": 64, "search": search})
    context = CompressionContext(Digits(), train, model, build_student=FusionNet, validation=validation)
    artifact = apply_stage(config, Artifact("student", model), context)
    few = samples("validation", 8, 2), samples("test", 8, 3)
    stage = StageMeasurer(Digits(), *few, (*MODALITIES, "present"), ("classes",))(artifact, config, 1.0, None)
    return {
        "report": sweep(swept).model_dump(mode="json", by_alias=True),
        "notes": stage.record.notes,
        "graphs": {dialect: hashlib.sha256(graph).hexdigest() for dialect, graph in stage.graphs.items()},
    }


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    with joined_ranks(timeout_s=240) as ranks:
        found = findings(folder)
    (folder / f"{ranks.rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
