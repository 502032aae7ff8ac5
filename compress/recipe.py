"""Recipes: the list of stages a model goes through, checked before anything runs, and the run itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

import edge.compress.handlers  # noqa: F401  (registers what each stage runs)
from edge.compress.gate import check_gate
from edge.compress.stage import DistillStage, PruneStage, QuantizeStage, apply_stage
from edge.runtime.config_file import read_yaml, validated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.compress.measure import MeasuredStage
    from edge.compress.stage import Artifact, CompressionContext, StageConfig

Stage = Annotated[DistillStage | PruneStage | QuantizeStage, Field(discriminator="stage")]


class Recipe(BaseModel):
    """Stages in the order they run.

    Raises:
        ValueError: Two stages share a name, or one stands before another that must precede it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: tuple[Stage, ...] = Field(default=(DistillStage(), PruneStage(), QuantizeStage()), min_length=1)

    @model_validator(mode="after")
    def _order_is_possible(self) -> Recipe:
        names = [s.name for s in self.stages]
        if len(set(names)) != len(names) or "teacher" in names:
            raise ValueError(f"stage names must differ and leave 'teacher' free: {names}")
        for earlier, later in zip(self.stages, self.stages[1:], strict=False):
            if later.order < earlier.order or later.order == earlier.order == QuantizeStage.order:
                order = "distil, then prune, then quantize"
                raise ValueError(f"'{later.stage}' cannot follow '{earlier.stage}': {order}")
        return self


def load_recipe(path: Path) -> Recipe:
    """Reads a recipe: YAML with a list of `stages`.

    Raises:
        ConfigError: The file is missing or no YAML, a key is unknown, or the order impossible.
    """
    return validated(Recipe, read_yaml(path), path)


class Measure(Protocol):
    """Exports and measures an artifact."""

    def __call__(
        self, artifact: Artifact, config: StageConfig | None, seconds: float, before: MeasuredStage | None
    ) -> MeasuredStage:
        """Measures one stage; `before` is the stage it came from."""


def run_recipe(
    recipe: Recipe, teacher: MeasuredStage, context: CompressionContext, measure: Measure
) -> Iterator[MeasuredStage]:
    """Runs the stages one after another, yielding each as soon as it is measured and passed its gate.

    Raises:
        GateError: A stage was refused; the stages yielded before it stand.
    """
    before = teacher
    for config in recipe.stages:
        started = time.monotonic()
        artifact = apply_stage(config, before.artifact, context)
        after = measure(artifact, config, time.monotonic() - started, before)
        if config.gate is not None:
            check_gate(before.record, after.record, config.gate)
        yield after
        before = after
