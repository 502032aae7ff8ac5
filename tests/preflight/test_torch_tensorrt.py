"""Torch-TensorRT without a driver: it imports, says what it converts, and builds engines of the declared precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from edge.compile import driverless
from edge.compile.torch_tensorrt.artefact import save_artefact
from edge.compile.torch_tensorrt.coverage import count_engines, lower, measure_coverage
from edge.compile.torch_tensorrt.engine import build_from_program
from edge.compile.torch_tensorrt.installation import open_torch_tensorrt, require_installation
from edge.compile.torch_tensorrt.options import TorchTensorRTConfig
from edge.compress.precision_plan import PrecisionPlan
from edge.compress.program.file import Program
from edge.compress.quantize.tracing import trace
from edge.runtime.errors import ConfigError, GateError, MissingDependencyError, ModelError

if TYPE_CHECKING:
    from tests.preflight.conftest import Compiled

pytestmark = pytest.mark.preflight
EVERYWHERE = PrecisionPlan.int8()
FOR_86 = TorchTensorRTConfig(compute_capability="8.6")


def test_this_machine_has_no_driver_and_still_imports_it() -> None:
    if driverless.has_device():
        pytest.skip("there is a device, so nothing is substituted")
    assert open_torch_tensorrt().__version__.startswith("2.1")
    assert require_installation().title == "Torch-TensorRT-RTX 2.13.0"


def test_every_operator_of_the_int8_street_is_converted(street: Compiled) -> None:
    coverage = measure_coverage(street.program.exported, "x")
    assert coverage.missing == ()
    counts = {o.operator: 0 for o in coverage.operators}
    for operator in coverage.operators:
        counts[operator.operator] += 1
    assert counts["aten.convolution.default"] == 25
    assert counts["aten.linear.default"] == 1
    assert counts["quantized_decomposed.dequantize_per_channel.default"] == 26
    assert count_engines(street.program.exported) == 1


def test_the_int8_street_becomes_one_engine_all_int8(street: Compiled) -> None:
    built = build_from_program(street.program, FOR_86)
    assert len(built.engine.plan) > 1_000_000
    assert len(built.declared.layers) == 26
    assert built.declared.shares() == {"int8": 1.0}
    built.declared.demand(EVERYWHERE)
    names = {layer.name for layer in built.declared.layers}
    assert {"fusion.mix.0", "heads.0.classes", "heads.1.logits"} <= names


def test_weights_stay_int8_in_the_engine(reference: Compiled) -> None:
    """Folded to FP32 constants they would take four times the bytes."""
    plan = build_from_program(reference.program, FOR_86).engine.plan
    weights = sum(t.numel() for t in reference.program.exported.state_dict.values() if t.dtype == torch.int8)
    assert weights > 4_000_000
    assert len(plan) < 2 * weights


def test_what_is_not_int8_is_fp16_when_asked(street: Compiled) -> None:
    float_program = Program(_small_program(), ("x",), ("y",))
    full = build_from_program(float_program, FOR_86).declared
    half = build_from_program(float_program, TorchTensorRTConfig(compute_capability="8.6", half=True)).declared
    assert (full.shares(), half.shares()) == ({"fp32": 1.0}, {"fp16": 1.0})
    quantized = build_from_program(street.program, TorchTensorRTConfig(compute_capability="8.6", half=True)).declared
    assert quantized.shares() == {"int8": 1.0}
    assert {layer.name for layer in half.layers} == {"stem", "head"}


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.stem(x)).mean((2, 3)))
        return logits


def _small_program() -> Any:
    torch.manual_seed(0)
    return trace(Small(), (torch.zeros(1, 3, 16, 16),))


def test_a_program_is_left_as_it_is(street: Compiled) -> None:
    before = {name: tensor.dtype for name, tensor in street.program.exported.state_dict.items()}
    build_from_program(street.program, TorchTensorRTConfig(compute_capability="8.6", half=True))
    assert {name: tensor.dtype for name, tensor in street.program.exported.state_dict.items()} == before


def test_folded_weights_are_declared_as_float(street: Compiled) -> None:
    """A layer whose weight lost its Q/DQ computes in float, and the plan refuses it."""
    module = street.program.exported.module()
    node = next(n for n in module.graph.nodes if n.op == "call_function" and "conv2d" in str(n.target))
    dequantize = node.args[1]
    levels, scales = (module.get_buffer(str(a.target)) for a in dequantize.args[:2])
    module.register_buffer("folded", levels.float() * scales.reshape(-1, 1, 1, 1))
    with module.graph.inserting_before(node):
        node.replace_input_with(dequantize, module.graph.get_attr("folded"))
    module.recompile()
    shapes = [n.meta["val"].shape for n in module.graph.nodes if n.op == "placeholder"]
    exported = torch.export.export(module, tuple(torch.zeros(tuple(s)) for s in shapes), strict=False)
    program = Program(exported, street.program.input_names, street.program.output_names)
    declared = build_from_program(program, FOR_86).declared
    with pytest.raises(GateError, match=r"1 of 26 layers fall short .* its weight is not dequantized INT8"):
        declared.demand(EVERYWHERE)


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.odd = Determinant()

    def forward(self, x: Tensor) -> Tensor:
        value: Tensor = self.odd(self.stem(x))
        return value


class Determinant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        value: Tensor = torch.linalg.det(x)
        return value


def test_an_operator_without_converter_is_named_by_its_layer() -> None:
    exported = trace(Odd(), (torch.zeros(1, 3, 6, 6),))
    coverage = measure_coverage(exported, "x")
    assert {o.layer for o in coverage.missing} == {"odd"}
    assert 0 < coverage.share < 1
    with pytest.raises(ModelError, match="does not build the program"):
        build_from_program(Program(exported, ("x",), ("y",)), FOR_86)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"enabled_precisions": [torch.float16]}, "ignores 'enabled_precisions' since 2.13"),
        ({"use_explicit_typing": True}, "ignores 'use_explicit_typing'"),
        ({"min_blok_size": 3}, "did you mean min_block_size"),
        ({"enable_autocast": True}, "has no option 'enable_autocast'"),
    ],
)
def test_options_that_would_be_swallowed_are_refused(street: Compiled, option: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build_from_program(street.program, TorchTensorRTConfig(extra=option))


def test_autocast_is_an_option_for_float_programs_only(street: Compiled, tmp_path: Any, monkeypatch: Any) -> None:
    autocast = TorchTensorRTConfig(extra={"enable_autocast": True, "autocast_low_precision_type": torch.float16})
    lowered = lower(_small_program(), autocast)
    types = {n.meta["val"].dtype for n in lowered.graph.nodes if n.op == "call_function" and "conv" in str(n.target)}
    assert types == {torch.float16}
    monkeypatch.setattr(driverless, "has_device", lambda: True)
    with pytest.raises(ConfigError, match="casts the INT8 levels"):
        save_artefact(street.program, tmp_path / "model.ep", autocast)


def test_unsymmetric_quantization_counts_as_not_convertible() -> None:
    operators = torch.ops.quantized_decomposed

    class Shifted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            levels = operators.quantize_per_tensor.default(x, 0.1, 3, -128, 127, torch.int8)
            values: Tensor = operators.dequantize_per_tensor.default(levels, 0.1, 3, -128, 127, torch.int8)
            return values + 1

    open_torch_tensorrt()
    import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401

    coverage = measure_coverage(trace(Shifted(), (torch.zeros(1, 4),)), "x")
    assert {o.operator for o in coverage.missing} == {
        "quantized_decomposed.quantize_per_tensor.default",
        "quantized_decomposed.dequantize_per_tensor.default",
    }


def test_an_artefact_for_torch_needs_a_device(street: Compiled, tmp_path: Any) -> None:
    if driverless.has_device():
        pytest.skip("there is a device")
    with pytest.raises(MissingDependencyError, match="no device"):
        save_artefact(street.program, tmp_path / "model.ep")
    assert list(tmp_path.iterdir()) == []
    save_artefact(street.program, tmp_path / "model.engine", FOR_86)
    assert (tmp_path / "model.engine").stat().st_size > 1_000_000
