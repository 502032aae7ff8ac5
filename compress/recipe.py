"""Recipes: the list of stages a model goes through, checked before anything runs, and the run itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import edge.compress.stages.handlers  # noqa: F401  (registers what each stage runs)
from edge.compress.gates.verdicts import refuse_unknown_limits
from edge.compress.recipe_errors import describe_recipe_error
from edge.compress.stages.judging import judged_stage, unless_refused
from edge.compress.stages.origin import stage_seed
from edge.compress.stages.stage import DistillStage, PruneStage, QuantizeStage, SparsifyStage, apply_stage
from edge.runtime.config_file import read_yaml
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

    from edge.compress.stages.judging import TimePair
    from edge.compress.stages.measure import MeasuredStage
    from edge.compress.stages.stage import Artifact, CompressionContext, StageConfig
    from edge.compress.stages.store import StageStore

Stage = Annotated[DistillStage | PruneStage | SparsifyStage | QuantizeStage, Field(discriminator="stage")]

_ONCE = (SparsifyStage.order, QuantizeStage.order)  # a second one would find nothing left to do


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
        for name in names:
            if name == "teacher" or names.count(name) > 1:
                raise ValueError(f"two stages are called '{name}'; give each a `name` of its own, and none 'teacher'")
        for earlier, later in zip(self.stages, self.stages[1:], strict=False):
            if later.order < earlier.order or (later.order == earlier.order and later.order in _ONCE):
                raise ValueError(
                    f"'{later.name}' ({later.stage}) cannot follow '{earlier.name}' ({earlier.stage}); "
                    "distil, then prune, then sparsify once, then quantize once"
                )
        return self


def load_recipe(path: Path) -> Recipe:
    """Reads a recipe: YAML with a list of `stages`, or a whole project, such as a bundle's `recipe.yaml`.

    Raises:
        ConfigError: The file is missing or no YAML, a key is unknown, or the order impossible.
    """
    content = read_yaml(path)
    if isinstance(content, dict) and "stages" not in content and "recipe" in content:
        content = content["recipe"]
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise ConfigError(*describe_recipe_error(error, content, path)) from error


class Measure(Protocol):
    """Exports and measures an artifact."""

    def __call__(
        self, artifact: Artifact, config: StageConfig | None, seconds: float, before: MeasuredStage | None
    ) -> MeasuredStage:
        """Measures one stage; `before` is the stage it came from."""


def run_recipe(
    recipe: Recipe,
    teacher: MeasuredStage,
    context: CompressionContext,
    measure: Measure,
    store: StageStore | None = None,
    time_pair: TimePair | None = None,
) -> Iterator[MeasuredStage]:
    """Runs the stages one after another, yielding each as soon as it is measured and passed its gate.

    Args:
        recipe: What to run.
        teacher: Measured.
        context: What stages may use.
        measure: Exports and measures.
        store: Finished stages are kept in it, and taken from it where nothing that made them has changed.
        time_pair: For gates with `min_speedup`.

    Raises:
        StageRefusedError: A stage was refused; the stages yielded before it stand.
        ConfigError: A gate limits what is not measured, or asks for a speed that is not timed.
    """
    _check_gates(recipe, teacher, time_pair)
    before = teacher
    for position, config in enumerate(recipe.stages, 1):
        so_far = recipe.stages[:position]
        after = store.recall(so_far, before, context) if store else None
        if after is None:
            after = _run_stage(config, before, context, measure)
            if store:
                store.keep(so_far, before, after, context)
        before = unless_refused(judged_stage(before, after, config.gate, context, time_pair))
        yield before


def _check_gates(recipe: Recipe, teacher: MeasuredStage, time_pair: TimePair | None) -> None:
    for stage in recipe.stages:
        if stage.gate is None:
            continue
        refuse_unknown_limits(stage.name, stage.gate, teacher.record.gate_metrics)
        if stage.gate.min_speedup is not None and time_pair is None:
            raise ConfigError(
                f"stage '{stage.name}': gate.min_speedup is set and nothing times the graphs",
                "pass time_pair, or leave min_speedup out",
            )


def _run_stage(
    config: StageConfig, before: MeasuredStage, context: CompressionContext, measure: Measure
) -> MeasuredStage:
    """From the same weights, layout and random numbers whether the stage before was just made or read from disk."""
    started = time.monotonic()
    _settle(before.artifact.model)
    _settle(context.teacher)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stage_seed(config))
        artifact = apply_stage(config, before.artifact, context)
    return measure(artifact, config, time.monotonic() - started, before)


def _settle(model: nn.Module) -> None:
    """Lays weights out as a fresh model has them: kernels, and so roundings, depend on strides."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
