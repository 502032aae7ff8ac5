"""What INT8 has no rule for stays float, and is named: in the record, in the plan and in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from edge.cli.build_steps import stage_notes
from edge.compile.precision.declared_in_graph import graph_precision
from edge.compress.dialects.unquantized import left_float
from edge.compress.dialects.writing import write_s8
from edge.compress.export import export_onnx
from edge.compress.precision_plan import PrecisionPlan, plan_of_stages
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.stages.record import StageRecord
from edge.compress.stages.stage import QuantizeStage
from edge.runtime.errors import BundleError
from edge.runtime.manifest import StageEntry

if TYPE_CHECKING:
    import onnx


class UNet(nn.Module):
    """Down, up by a transposed convolution, and the skip between them, on volumes: a medical model in small."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle = nn.Conv3d(1, 8, 3, padding=1), nn.Conv3d(8, 8, 3, stride=2, padding=1)
        self.up, self.head = nn.ConvTranspose3d(8, 8, 2, stride=2), nn.Conv3d(16, 2, 1)

    def forward(self, scan: Tensor) -> Tensor:
        skip = self.down(scan).relu()
        result: Tensor = self.head(torch.cat([skip, self.up(self.middle(skip).relu()).relu()], 1))
        return result


@pytest.fixture(scope="module")
def unet() -> onnx.ModelProto:
    torch.manual_seed(0)
    model, batch = UNet().eval(), (torch.randn(2, 1, 8, 8, 8),)
    return export_onnx(quantize_static(model, batch, [batch]), (batch[0][:1],), ["x"], ["y"])


def record(left: object, keep_float: tuple[str, ...] = ()) -> StageRecord:
    config = QuantizeStage(quantize=QuantizeConfig(keep_float=keep_float)).model_dump(mode="json")
    notes = {"left_float": left}
    return StageRecord(
        name="quantize", config=config, params=1, macs=1, bytes=1, seconds=0, metrics={}, gate_metrics={}, notes=notes
    )


def plan_with(left: object, keep_float: tuple[str, ...] = ()) -> PrecisionPlan:
    return plan_of_stages([StageEntry.model_validate(record(left, keep_float).model_dump())])


def test_transposed_convolutions_of_three_dimensions_are_named(unet: onnx.ModelProto) -> None:
    assert left_float(unet) == {"up": "ConvTranspose"}


def test_what_is_kept_on_purpose_is_not_left(unet: onnx.ModelProto) -> None:
    assert left_float(unet, ["up"]) == {}
    assert left_float(unet, ["head"]) == {"up": "ConvTranspose"}


def test_the_plan_excuses_what_was_left_and_nothing_else(unet: onnx.ModelProto) -> None:
    declared = graph_precision(write_s8(unet))
    assert [layer.name for layer in declared.shortfall(plan_with({}))] == ["up"]
    plan = plan_with(left_float(unet))
    declared.demand(plan)
    assert plan.of("up") == "fp32"
    assert plan.of("upper") == plan.of("middle") == "int8"


def test_names_are_no_globs_of_others() -> None:
    plan = plan_with({"heads[0]": "ConvTranspose", "*": "Conv"})
    assert plan.of("heads[0]") == "fp32"
    assert plan.of("heads0") == plan.of("anything") == "int8"


@pytest.mark.parametrize("forged", [["up"], {"up": 3}, "up"])
def test_a_note_that_is_none_is_refused(forged: object) -> None:
    with pytest.raises(BundleError, match="does not say which layers it kept"):
        plan_with(forged)


def test_the_report_says_it() -> None:
    assert stage_notes(record({"up": "ConvTranspose"})) == ("up stays float: there is no INT8 rule for ConvTranspose.",)
    assert stage_notes(record({})) == ()
