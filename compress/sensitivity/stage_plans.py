"""From a quantization stage to the settings that carry its plan: read from the stage, or searched under its budget."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.compress.latency_table import load_latency_table
from edge.compress.precision_plan import PLAN_NOTE, PrecisionPlan
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.sensitivity.branches import default_prior
from edge.compress.sensitivity.calibrated_graph import calibrate_graph, fold_graph
from edge.compress.sensitivity.emulation import emulate_half
from edge.compress.sensitivity.plan_refusals import demand_latency
from edge.compress.sensitivity.plan_search import PlanSearch
from edge.compress.sensitivity.planning_split import planning_samples
from edge.compress.sensitivity.report import SENSITIVITY_NOTE
from edge.compress.sensitivity.sweep_shards import sweep
from edge.compress.sensitivity.swept_model import SweptModel
from edge.compress.sensitivity.unit_costs import UnitCosts
from edge.compress.sensitivity.units import find_units, precisions_of_plan, quantize_settings
from edge.compress.sensitivity.verified_plan import FollowedPlan
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from edge.compress.precision_plan import PlannedPrecision
    from edge.compress.quantize.config import QuantizeConfig
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task
    from edge.compress.sensitivity.config import PlanSearchConfig
    from edge.compress.sensitivity.report import Sensitivity
    from edge.compress.sensitivity.verified_plan import VerifiedPlan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedQuantization:
    """How a model is to be quantized.

    Attributes:
        settings: With the layers that the plan keeps wider in `keep_float` and `keep_fp32`.
        notes: For the stage's record.
    """

    settings: QuantizeConfig
    notes: dict[str, Any] = field(default_factory=dict)


def follow_plan(
    plan: PrecisionPlan,
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    calibration: Sequence[tuple[Tensor, ...]],
    base: QuantizeConfig,
) -> PlannedQuantization:
    """Settings that give every layer the precision that a plan names; one plan always gives the same settings.

    Where a layer cannot have it (FP16 that does not hold its weights), it has the next wider, with a warning.

    Raises:
        ConfigError: No rule of the plan names a layer of this model.
        ModelError: The model does not export.
    """
    units = find_units(fold_graph(model, example_inputs, calibration, base), ())
    layers = [layer for unit in units for layer in unit.layers]
    if not any(plan.names(layer) for layer in layers):
        raise ConfigError(
            f"no rule of the precision plan names a layer of this model, such as '{layers[0]}'",
            "pass the plan of this model, or end it with a rule for '*'",
        )
    precisions = precisions_of_plan(plan, units)
    wider = {layer: precisions[u.name] for u in units for layer in u.layers if plan.of(layer) != precisions[u.name]}
    if wider:
        logger.warning("the plan asks for what these layers cannot have: %s", wider)
    followed = FollowedPlan(plan=plan, precisions=precisions, wider_than_planned=wider).model_dump(mode="json")
    notes = {name: value for name, value in followed.items() if value or name != "wider_than_planned"}
    return PlannedQuantization(quantize_settings(precisions, units, base), {PLAN_NOTE: notes})


def search_plan(
    config: PlanSearchConfig,
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    calibration: Sequence[tuple[Tensor, ...]],
    base: QuantizeConfig,
    task: Task,
    validation: SampleSet,
) -> tuple[VerifiedPlan, Sensitivity]:
    """Sweeps a float model, then searches and verifies a plan for it.

    Args:
        config: Budget, latency table and how much is measured.
        model: Float, in eval mode.
        example_inputs: One tensor per input.
        calibration: Batches of inputs.
        base: What else quantization does; layers in its `keep_float` and `keep_fp32` stay there.
        task: Metric, output kinds, modalities.
        validation: The plan is judged by it, or by half of its recordings (`config.judged_on`).

    Raises:
        ConfigError: The table is missing, malformed or of another model.
        GateError: No plan keeps the budget.
        ModelError: The model does not export.
        DataError: The calibration set is empty or gives NaN, `validation` is the test split, or has one recording
            where two are wanted.
    """
    table = load_latency_table(config.table)
    seen, judged = planning_samples(validation, config.judged_on)
    swept = SweptModel(calibrate_graph(model, example_inputs, calibration, base), task, seen, config.sensitivity)
    costs = UnitCosts(table, swept.units)
    demand_latency(costs, config.budget)
    found = sweep(swept)
    prior = config.prior or default_prior(found.branches, task.modalities)

    def quantized_scores(precisions: Mapping[str, PlannedPrecision]) -> dict[str, float]:
        settings = quantize_settings(precisions, swept.units, base)
        quantized = quantize_static(model, example_inputs, calibration, settings)
        return swept.scores_of(emulate_half(quantized, settings.keep_fp32))

    search = PlanSearch(found, costs, precisions_of_plan(prior, swept.units), config, swept.scores)
    verified = search.run(quantized_scores)
    return verified.model_copy(update={"judged": judged, "not_emulated": _not_emulated(base)}), found


def planned_quantization(
    plan: PrecisionPlan | None,
    search: PlanSearchConfig | None,
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    calibration: Sequence[tuple[Tensor, ...]],
    base: QuantizeConfig,
    task: Task,
    validation: SampleSet | None,
) -> PlannedQuantization:
    """What a stage asks for: a plan that is followed, one that is searched, or neither.

    Raises:
        ConfigError: A plan is to be searched and there is no validation split; or as `search_plan` and `follow_plan`.
        GateError: No plan keeps the budget.
    """
    if search is not None:
        if validation is None:
            raise ConfigError("a plan is to be searched and the context has no validation split", "pass `validation`")
        verified, found = search_plan(search, model, example_inputs, calibration, base, task, validation)
        followed = follow_plan(verified.plan, model, example_inputs, calibration, base)
        notes = {
            PLAN_NOTE: verified.model_dump(mode="json"),
            SENSITIVITY_NOTE: found.model_dump(mode="json", by_alias=True),
        }
        return PlannedQuantization(followed.settings, notes)
    return PlannedQuantization(base) if plan is None else follow_plan(plan, model, example_inputs, calibration, base)


def _not_emulated(base: QuantizeConfig) -> tuple[str, ...]:
    """Rounding is learned layer by layer behind layers that are quantized already: it differs with every mix."""
    return ("rounding: adaptive",) if base.rounding == "adaptive" else ()
