"""The work folder of a run: finished stages are kept in it, and taken from it again while what made them stands."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from edge.compress.parallel.ranks import current_ranks
from edge.compress.provenance import first_change
from edge.compress.prune.plan import apply
from edge.compress.stages.measure import MeasuredStage
from edge.compress.stages.origin import origin_of
from edge.compress.stages.saved import read_manifest_of, read_stage, write_stage
from edge.compress.stages.stage import Artifact, DistillStage
from edge.runtime.errors import EdgeError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.compress.provenance import Origin
    from edge.compress.stages.saved import Architecture, SavedStage
    from edge.compress.stages.stage import CompressionContext, StageConfig

logger = logging.getLogger(__name__)


class GraphsOnly(nn.Module):
    """Stands for the module of a stage whose graphs are all that was saved.

    A quantized module is a traced graph, which only pickle could hold. What follows it (timing, packing) reads its
    ONNX graphs and its torch program, and no stage may come after.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def forward(self, *_: object) -> tuple[torch.Tensor, ...]:
        """Raises.

        Raises:
            ModelError: Always.
        """
        raise ModelError(f"stage '{self._name}' was restored from its graphs, without its module", "use --fresh")


@dataclass
class StageStore:
    """Keeps each finished stage under its place in the recipe.

    Attributes:
        folder: Made when the first stage is kept.
        common: What all stages of the run are made from.
        fresh: Whether to take nothing from the folder.
        resumed: Names of the stages that were taken from it.
    """

    folder: Path
    common: Origin
    fresh: bool = False
    resumed: list[str] = field(default_factory=list)

    def recall_first(self, name: str, model: nn.Module) -> MeasuredStage | None:
        """The measurement of a model that is at hand, such as the teacher."""
        return self._recall(name, 0, self.common, lambda saved: Artifact(name, model))

    def keep_first(self, stage: MeasuredStage) -> None:
        """Keeps what was measured of a model that is saved elsewhere."""
        self._write(0, stage, self.common, "none")

    def recall(
        self, stages: Sequence[StageConfig], before: MeasuredStage, context: CompressionContext
    ) -> MeasuredStage | None:
        """The last of `stages` as it was saved; None, with the reason logged, where it has to be done again.

        Args:
            stages: The recipe, up to and including the stage.
            before: What it starts from.
            context: Builds the student.
        """
        config = stages[-1]
        origin = origin_of(self.common, stages, before.artifact.model.state_dict())
        found = self._recall(config.name, len(stages), origin, lambda saved: _revived(saved, before, context))
        if found is None:
            return None
        record = found.record.model_copy(update={"config": config.model_dump(mode="json")})  # the gate is today's
        return MeasuredStage(
            found.artifact, found.graphs, record, found.program, found.validation_counts, found.test_counts
        )

    def keep(
        self, stages: Sequence[StageConfig], before: MeasuredStage, stage: MeasuredStage, context: CompressionContext
    ) -> None:
        """Saves a stage that was just measured."""
        origin = origin_of(self.common, stages, before.artifact.model.state_dict())
        architecture = _architecture(stages[-1], before, stage.artifact, context)
        if architecture is None:
            logger.warning("stage '%s' cannot be resumed: its model is none that can be built again", stage.record.name)
            return
        self._write(len(stages), stage, origin, architecture)

    def _write(self, position: int, stage: MeasuredStage, origin: Origin, architecture: Architecture) -> None:
        if current_ranks().first:
            write_stage(self._place(position), stage, origin, architecture)

    def _recall(
        self, name: str, position: int, origin: Origin, revive: Callable[[SavedStage], Artifact]
    ) -> MeasuredStage | None:
        if self.fresh:
            return None
        try:
            manifest = read_manifest_of(self._place(position))
            if manifest is None:
                return None
            reason = first_change(manifest.origin, origin)
            if reason is not None:
                logger.warning("stage '%s' is done again: %s", name, reason)
                return None
            saved = read_stage(self._place(position), manifest)
            artifact = revive(saved)
        except EdgeError as error:
            logger.warning("stage '%s' is done again: %s", name, error.problem)
            return None
        self.resumed.append(name)
        return MeasuredStage(
            artifact, saved.graphs, manifest.record, saved.program, saved.validation_counts, saved.test_counts
        )

    def _place(self, position: int) -> Path:
        return self.folder / f"stage-{position}"


def _revived(saved: SavedStage, before: MeasuredStage, context: CompressionContext) -> Artifact:
    manifest = saved.manifest
    name, plan = manifest.record.name, manifest.plan
    if manifest.architecture == "none":
        graphs_only, digest = GraphsOnly(name), manifest.calibration_digest
        return Artifact(name, graphs_only, plan, digest, manifest.settings, sparsity=manifest.sparsity)
    model = _template(manifest.architecture, before, Artifact(name, nn.Identity(), plan), context)
    try:
        model.load_state_dict(saved.weights or {})
    except RuntimeError as error:
        raise ModelError("the saved weights are of another architecture", "remove the folder") from error
    return Artifact(name, model.eval(), plan, manifest.calibration_digest, sparsity=manifest.sparsity)


def _architecture(
    config: StageConfig, before: MeasuredStage, artifact: Artifact, context: CompressionContext
) -> Architecture | None:
    """What the artifact's weights fit into; None where that is nothing that can be built again."""
    if artifact.quantized:
        return "none"
    wanted = _shapes(artifact.model)
    candidates: tuple[Architecture, ...] = ("student",) if isinstance(config, DistillStage) else ("before", "student")
    if artifact.plan is not None and artifact.plan != before.artifact.plan:
        candidates = ("pruned",)
    return next((c for c in candidates if _shapes(_template(c, before, artifact, context)) == wanted), None)


def _template(
    architecture: Architecture, before: MeasuredStage, artifact: Artifact, context: CompressionContext
) -> nn.Module:
    """A model of that architecture, whatever its weights; the caller's random numbers are left alone."""
    if architecture == "student":
        with torch.random.fork_rng(devices=[]):
            return context.build_student()
    if architecture == "before" or artifact.plan is None:
        return copy.deepcopy(before.artifact.model)
    return apply(before.artifact.model, artifact.plan)


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
