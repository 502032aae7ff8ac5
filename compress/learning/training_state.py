"""Where a training stands after an epoch, on disk, so that an interrupted one goes on as if nothing had happened.

One file: tensors as safetensors, and the rest as JSON in its header. One file is replaced at once; two are not.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from edge.compress.learning.progress import EpochReport
from edge.compress.provenance import first_change, tensors_digest
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import first_line

if TYPE_CHECKING:
    from torch import Tensor

    from edge.compress.provenance import Origin

logger = logging.getLogger(__name__)
STATE_FILE = "training.safetensors"
_HEADER = "training"


@dataclass(frozen=True)
class ResumePoint:
    """Where a training keeps its state.

    Attributes:
        folder: Made with the first epoch; who called `fit` clears it by `forget_state` once the result is safe.
        origin: JSON of all that the training follows from: data, architecture, settings, versions.
        fresh: Whether to start anew whatever lies there.
    """

    folder: Path
    origin: Origin
    fresh: bool = False

    @property
    def file(self) -> Path:
        """The one file in the folder."""
        return self.folder / STATE_FILE


class TrainingManifest(BaseModel):
    """What is no tensor of a training's state.

    Attributes:
        origin: What it follows from.
        processes: Among which its batches were shared out: each has random numbers of its own.
        reports: Of the epochs that are done.
        scaling: Of float16 gradients.
        digest: Of the tensors.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    origin: dict[str, Any]
    processes: int = Field(ge=1)
    reports: tuple[EpochReport, ...] = Field(min_length=1)
    scaling: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class TrainingState:
    """A training after some epochs.

    Attributes:
        reports: Of these epochs.
        tensors: By their names with a prefix: `model.`, `best.`, `optimizer.`, `batches.`, `noise.`.
        scaling: Of float16 gradients.
    """

    reports: tuple[EpochReport, ...]
    tensors: dict[str, Tensor]
    scaling: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Those tensors whose names begin with the prefix, without it."""
        return {k.removeprefix(f"{prefix}."): v for k, v in self.tensors.items() if k.startswith(f"{prefix}.")}


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU in the plain layout, with a prefix before their names."""
    return {f"{prefix}.{name}": tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def write_state(point: ResumePoint, state: TrainingState, processes: int) -> None:
    """Replaces what lies there, at once."""
    manifest = TrainingManifest(
        schema=1,
        origin=point.origin,
        processes=processes,
        reports=state.reports,
        scaling=state.scaling,
        digest=tensors_digest(state.tensors),
    )
    with atomic_file(point.file) as partial:
        save_file(state.tensors, partial, {_HEADER: manifest.model_dump_json(by_alias=True)})


def read_state(point: ResumePoint, processes: int) -> TrainingState | None:
    """The state that lies there; None, with the reason logged, where the training has to start anew."""
    if point.fresh or not point.file.is_file():
        return None
    try:
        with safe_open(point.file, "pt") as opened:
            manifest = TrainingManifest.model_validate_json((opened.metadata() or {}).get(_HEADER, ""))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (no mapping)
    except (OSError, SafetensorError, ValidationError) as error:
        reason: str | None = f"{point.file} is no training state ({first_line(error)})"
    else:
        reason = first_change({**manifest.origin, "processes": manifest.processes}, _expected(point, processes))
        if reason is None and tensors_digest(tensors) != manifest.digest:
            reason = f"{point.file} was altered"
        if reason is None:
            return TrainingState(manifest.reports, tensors, manifest.scaling)
    logger.warning("training starts anew: %s", reason)
    return None


def forget_state(folder: Path) -> None:
    """Removes what `write_state` wrote, and the folder if there is nothing else in it."""
    (folder / STATE_FILE).unlink(missing_ok=True)
    with suppress(OSError):  # not there, or with other files in it
        folder.rmdir()


def _expected(point: ResumePoint, processes: int) -> Origin:
    return {**point.origin, "processes": processes}
