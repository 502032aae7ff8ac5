"""A finished stage on disk: record, weights, graphs and counts, each with its digest. No pickle."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from edge.compress.prune.plan import PruningPlan
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.compress.sparsify.record import SparsityRecord
from edge.compress.stages.record import StageRecord
from edge.runtime.atomic import atomic_folder
from edge.runtime.errors import DataError, ModelError, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from edge.compress.stages.measure import MeasuredStage

MANIFEST_NAME = "stage.json"
WEIGHTS_NAME = "model.safetensors"
PROGRAM_NAME = "program.pt2"
VALIDATION_NAME, TEST_NAME = "validation_counts.npz", "test_counts.npz"
# What the weights go into: a new student, a copy of the model before, that copy with the plan applied, or nothing.
Architecture = Literal["student", "before", "pruned", "none"]


class StageManifest(BaseModel):
    """`stage.json`.

    Attributes:
        origin: What the stage was made from (`edge.compress.stages.origin`).
        record: As measured, before any gate looked at it.
        architecture: What the weights go into; `none` where the graphs are all there is.
        plan: Channels removed so far.
        calibration_digest: Of the calibration set, once quantized.
        settings: How it was quantized, where a plan decided that.
        sparsity: Which weights are 2:4 sparse, where a stage made them so.
        dialects: Of the graphs.
        files: SHA-256 of every other file of the folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    origin: dict[str, Any]
    record: StageRecord
    architecture: Architecture
    plan: PruningPlan | None
    calibration_digest: str | None
    settings: QuantizeConfig | None = None
    sparsity: SparsityRecord | None = None
    dialects: tuple[str, ...]
    files: dict[str, str]


@dataclass(frozen=True, eq=False)
class SavedStage:
    """What `read_stage` gives: a stage but for its module, which the reader builds and fills."""

    manifest: StageManifest
    weights: dict[str, Tensor] | None
    graphs: dict[str, bytes]
    program: bytes | None
    validation_counts: RecordingCounts | None
    test_counts: RecordingCounts | None


def write_stage(folder: Path, stage: MeasuredStage, origin: dict[str, Any], architecture: Architecture) -> None:
    """Writes a stage; the folder appears complete or not at all."""
    contents = _contents(stage, architecture)
    manifest = StageManifest(
        schema=1,
        origin=origin,
        record=stage.record,
        architecture=architecture,
        plan=stage.artifact.plan,
        calibration_digest=stage.artifact.calibration_digest,
        settings=stage.artifact.settings,
        sparsity=stage.artifact.sparsity,
        dialects=tuple(stage.graphs),
        files={name: _sha256(content) for name, content in contents.items()},
    )
    with atomic_folder(folder) as partial:
        for name, content in contents.items():
            (partial / name).write_bytes(content)
        (partial / MANIFEST_NAME).write_text(manifest.model_dump_json(by_alias=True, indent=1), encoding="utf-8")


def read_manifest_of(folder: Path) -> StageManifest | None:
    """`stage.json` of a folder, None where there is none.

    Raises:
        ModelError: It is damaged, or of another schema.
    """
    path = folder / MANIFEST_NAME
    try:
        return StageManifest.model_validate_json(path.read_bytes()) if path.is_file() else None
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} cannot be read ({first_line(error)})", "remove the folder") from error


def read_stage(folder: Path, manifest: StageManifest) -> SavedStage:
    """Reads and checks every file that the manifest lists.

    Raises:
        ModelError: A file is missing, altered or malformed.
    """
    try:
        contents = {name: (folder / name).read_bytes() for name in manifest.files}
        altered = [name for name, content in contents.items() if _sha256(content) != manifest.files[name]]
        if altered:
            raise ModelError(f"{folder / altered[0]} was altered or cut short", "remove the folder")
        weights = contents.get(WEIGHTS_NAME)
        return SavedStage(
            manifest,
            None if weights is None else load(weights),
            {dialect: contents[_graph_name(dialect)] for dialect in manifest.dialects},
            contents.get(PROGRAM_NAME),
            _counts(contents.get(VALIDATION_NAME)),
            _counts(contents.get(TEST_NAME)),
        )
    except (OSError, KeyError, SafetensorError, DataError) as error:
        raise ModelError(f"{folder} is no complete saved stage ({first_line(error)})", "remove the folder") from error


def _contents(stage: MeasuredStage, architecture: Architecture) -> dict[str, bytes]:
    contents = {_graph_name(dialect): graph for dialect, graph in stage.graphs.items()}
    if architecture != "none":
        contents[WEIGHTS_NAME] = save({k: v.contiguous() for k, v in stage.artifact.model.state_dict().items()})
    if stage.program is not None:
        contents[PROGRAM_NAME] = stage.program
    for name, counts in ((VALIDATION_NAME, stage.validation_counts), (TEST_NAME, stage.test_counts)):
        if counts is not None:
            contents[name] = counts.to_bytes()
    return contents


def _graph_name(dialect: str) -> str:
    return f"graph.{dialect}.onnx"


def _counts(content: bytes | None) -> RecordingCounts | None:
    return None if content is None else RecordingCounts.from_bytes(content)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
