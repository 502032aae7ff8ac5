"""Proved precision: what the engine inspector says, in the forms of TensorRT 8.6, 10 and 11."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.precision.layer_precision import LayerPrecision, PrecisionReport
from edge.compile.precision.proved_in_engine import proved_precision
from edge.compress.precision_plan import PrecisionPlan
from edge.runtime.errors import GateError, ModelError
from tests.edge.compile.precision.inspector_layers import (
    F16_GEMM,
    F32_CONVOLUTION,
    I8_GEMM,
    convolution,
    engine,
    fused_from,
    kernel,
    split_tensor,
    tensor,
)

if TYPE_CHECKING:
    from edge.compress.precision_plan import Precision


def prove(information: str, *names: str) -> dict[str, tuple[Precision, str]]:
    declared = PrecisionReport(
        evidence="declared",
        source="a network",
        layers=tuple(LayerPrecision(name=name, macs=10, precision="int8", reason="declared") for name in names),
    )
    found = proved_precision(information, declared, "TensorRT 10.3.0 on a board")
    assert (found.evidence, found.source) == ("proved", "TensorRT 10.3.0 on a board")
    assert [(x.name, x.macs) for x in found.layers] == [(name, 10) for name in names]
    return {x.name: (x.precision, x.reason) for x in found.layers}


def of(layer: dict[str, Any], name: str = "stem") -> Precision:
    return prove(engine(layer), name)[name][0]


@pytest.mark.parametrize(
    ("read", "stored", "tactic", "found"),
    [
        ("Thirty-two wide channel vectorized row major Int8 format.", "Int8", "", "int8"),
        ("Row major Int8 format", "Int8", "", "int8"),
        ("Int8", "Int8", "", "int8"),
        ("Channel major FP16 format where channel % 8 == 0", "Half", "", "fp16"),
        ("Half", "Half", "", "fp16"),
        ("BFloat16", "BFloat16", "", "bf16"),
        ("Row major linear BF16 format", "BF16", "", "bf16"),
        ("Row major linear FP32", "Float", "", "fp32"),
        ("Float", "Float", F32_CONVOLUTION, "fp32"),
        # The kernel's name is the surest witness.
        ("Float", None, "turing_int8_i8816cudnn_int8_128x128_ldg16_relu_small_nt_v1", "int8"),
        ("Int8", "Int8", F16_GEMM, "fp16"),
        ("Int8", "Int8", F32_CONVOLUTION, "fp32"),
        ("Half", None, "ampere_h16816gemm_256x128_ldg8_nn_v1", "fp16"),
        ("Half", None, "sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n", "bf16"),
        ("Float", None, "ampere_scudnn_128x64_relu_small_nn_v1", "fp32"),
        # INT8 multiplies INT8 with INT8: one wide side makes the layer wide.
        ("Half", "Int8", "", "fp16"),
        ("Float", "Int8", "", "fp32"),
        ("Int8", "Half", "", "fp16"),
        ("Int8", "Float", "", "fp32"),
        # Nothing said is nothing proved.
        ("FP8", "FP8", "", "unknown"),
        ("Int32", None, "", "unknown"),
    ],
)
def test_a_convolution_computes_in_what_its_kernel_and_tensors_say(
    read: str, stored: str | None, tactic: str, found: Precision
) -> None:
    assert of(convolution("stem", read, stored, tactic)) == found


def test_layers_are_found_by_the_names_that_were_fused() -> None:
    layer = convolution("onnx::Conv_7 + stem.0.weight_QuantizeLinear + stem.0 + PWN(stem.2)")
    assert prove(engine(layer), "stem.0", "stem.1") == {
        "stem.0": ("int8", ""),
        "stem.1": ("unknown", "the engine names no kernel for it"),
    }


@pytest.mark.parametrize("between", ["\x1e", "\x1f", "", " "])
def test_layers_are_found_by_the_metadata(between: str) -> None:
    layer = kernel("gemm", fused_from("block.query", "block.key", between=between), "Int8", tactic=I8_GEMM)
    assert prove(engine(layer), "block.query", "block.key", "block") == {
        "block.query": ("int8", ""),
        "block.key": ("int8", ""),
        "block": ("unknown", "the engine names no kernel for it"),
    }


def test_names_with_brackets_are_found() -> None:
    layer = kernel("gemm", fused_from("heads[0]", "heads[1].x"), "Int8", tactic=I8_GEMM)
    assert {name: found for name, (found, _) in prove(engine(layer), "heads[0]", "heads[1].x").items()} == {
        "heads[0]": "int8",
        "heads[1].x": "int8",
    }


def test_names_of_torch_tensorrt_are_found() -> None:
    named = "[CONVOLUTION]-[aten_ops.convolution.default]-[encoder.stem.0/convolution_21]"
    alone = "[MATRIX_MULTIPLY]-[aten_ops.linear.default]-[linear_3]"
    layers = (
        convolution(f"{named} + [ACTIVATION]-[aten_ops.relu.default]-[encoder.stem.1/relu_4]"),
        convolution(alone, "Half", "Half", ""),
    )
    assert prove(engine(*layers), "encoder.stem.0", alone) == {"encoder.stem.0": ("int8", ""), alone: ("fp16", "")}


def test_an_engine_of_tensorrt_11_says_type_and_format_apart() -> None:
    layer = convolution("stem", tactic="")
    layer["Inputs"] = [split_tensor("Int8", "Thirty-two wide channel vectorized row major format (kCHW32)")]
    assert of(layer) == "int8"
    layer["Inputs"] = [split_tensor("Half", "Channel major format where channel % 8 == 0 (kHWC8)")]
    assert of({**layer, "Weights": {"Type": "Half", "Count": 9216}}) == "fp16"
    document = {"Layers": [layer], "I/O Tensors": [{"Name": "x", "IOMode": "Input", "DataType": "Float"}]}
    assert prove(json.dumps(document), "stem")["stem"][0] == "fp16"  # INT8 weights, FP16 activation


def test_a_product_is_as_wide_as_its_wider_side() -> None:
    both = kernel("gemm", fused_from("attention"), "Int8", "Int8")
    one = kernel("gemm", fused_from("attention"), "Int8", "Half")
    assert (of(both, "attention"), of(one, "attention")) == ("int8", "fp16")


def test_a_residual_says_nothing_of_what_a_convolution_multiplies() -> None:
    layer = convolution("stem", tactic="")
    layer["Inputs"].append(tensor("Float", "residual"))
    assert of(layer) == "int8"


@pytest.mark.parametrize(
    ("kind", "read", "tactic", "found"),
    [
        ("fusion", "Int8", "sm80_xmma_gemm_i8f32_i8i32_f32_by_fusion_tactic", "int8"),
        ("gemm", "Half", F16_GEMM, "fp16"),
        ("gemm", "Half", "", "fp16"),
        ("kgen", "Int8", "_gemm_mha_v2_0x1f", "int8"),
        ("kgen", "Half", "_gemm_mha_v2_0x1f", "fp16"),
        ("kgen", "Half", "", "fp16"),
        ("MatrixMultiply", "Float", "ampere_sgemm_32x32_sliced1x4_tn", "fp32"),
    ],
)
def test_other_kernels_are_read_too(kind: str, read: str, tactic: str, found: Precision) -> None:
    assert of(kernel(kind, fused_from("linear"), read, tactic=tactic), "linear") == found


def test_a_layer_in_several_kernels_is_as_wide_as_the_widest_that_multiplies() -> None:
    split = (
        kernel("gemm", fused_from("linear"), "Int8", tactic=I8_GEMM, name="linear_myl0_3"),
        kernel("gemm", fused_from("linear"), "Half", tactic=F16_GEMM, name="linear_myl0_5"),
    )
    assert prove(engine(*split), "linear")["linear"][0] == "fp16"


def test_what_scales_or_moves_around_a_product_is_no_witness() -> None:
    around = (
        kernel("kgen", fused_from("linear"), "Float", tactic="__myl_MulQuan_0x2a"),
        kernel("gemm", fused_from("linear"), "Int8", tactic=I8_GEMM),
        kernel("kgen", fused_from("linear", "relu"), "Half", tactic="__myl_CastMulAdd_0x2b"),
    )
    assert prove(engine(*around), "linear")["linear"] == ("int8", "")


@pytest.mark.parametrize("kind", ["Reformat", "NoOp", "Constant", "Shuffle", "reformat", "signal"])
def test_copies_that_carry_a_layers_name_are_ignored(kind: str) -> None:
    copy = {**convolution("stem", "Row major linear FP32", None, "", Metadata=fused_from("stem")), "LayerType": kind}
    assert of(copy) == "unknown"
    assert prove(engine(copy, convolution("stem"), copy), "stem")["stem"][0] == "int8"


def test_a_kernel_that_does_not_tell_is_told_from_none() -> None:
    silent = {"Name": "stem", "LayerType": "CaskConvolution"}
    assert prove(engine(silent), "stem", "head") == {
        "stem": ("unknown", "its kernel does not tell"),
        "head": ("unknown", "the engine names no kernel for it"),
    }


def test_what_was_proved_is_held_against_the_plan() -> None:
    declared = PrecisionReport(
        evidence="declared",
        source="a network",
        layers=tuple(LayerPrecision(name=name, macs=10, precision="int8") for name in ("stem", "head")),
    )
    information = engine(convolution("stem"), convolution("head", "Half", "Int8", ""))
    found = proved_precision(information, declared, "TensorRT 10.3.0 on a board")
    assert found.shares() == {"int8": 0.5, "fp16": 0.5}
    with pytest.raises(GateError, match=r"as proved by TensorRT 10\.3\.0 on a board: head is fp16, planned int8"):
        found.demand(PrecisionPlan.int8())


@pytest.mark.parametrize(
    "information",
    ["", "no JSON", "[]", "{}", "null", '{"Layers": {"Name": "a"}}', '{"layers": []}'],
)
def test_what_is_no_list_of_layers_is_refused(information: str) -> None:
    with pytest.raises(ModelError):
        prove(information, "stem")


@pytest.mark.parametrize("layers", [[], ["stem + relu", "head"], [convolution("stem"), "head"]])
def test_names_alone_prove_nothing(layers: list[Any]) -> None:
    with pytest.raises(ModelError, match=r"no more than its layers' names; build it with `edge build`"):
        prove(engine(*layers), "stem")
