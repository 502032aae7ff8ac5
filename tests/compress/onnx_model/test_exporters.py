"""Files as torch's two exporters write them, in the forms that Optimum asks for: dynamic batch and length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from edge.compress.dialects.half_regions import write_half
from edge.compress.dialects.kernels import integer_kernels
from edge.compress.dialects.writing import write_u8
from edge.compress.onnx_model.agreement import output_agreement
from edge.compress.onnx_model.config import OnnxQuantizeConfig
from edge.compress.onnx_model.static_quantization import quantize_onnx
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from tests.compress.onnx_model.models import CASES, as_samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.compress.onnx_model.models import Exporter


@pytest.mark.parametrize("exporter", ["dynamo", "legacy"])
@pytest.mark.parametrize(("name", "decibels"), [("plain", 25), ("mixed", 20), ("vit", 20), ("bert", 20)])
def test_int8_decides_as_the_float_file_does(
    onnx_file: Callable[[str, Exporter], onnx.ModelProto], name: str, exporter: Exporter, decibels: float
) -> None:
    model, draw = onnx_file(name, exporter), CASES[name].draw
    result = quantize_onnx(model, as_samples(model, draw(48, 1)[0]))
    assert result.left_float == result.custom == {}
    unseen = as_samples(model, draw(60, 2)[0])
    reference = result.float32.SerializeToString()
    same = output_agreement(model.SerializeToString(), reference, "fp32", unseen)[0]
    assert same.agreement == 1.0 and (same.sqnr_db is None or same.sqnr_db > 90)
    graphs = {"s8": result.s8, "u8": write_u8(result.s8), "s8f16": write_half(result.s8)}
    for dialect, graph in graphs.items():
        onnx.checker.check_model(graph, full_check=True)
        found = output_agreement(reference, graph.SerializeToString(), dialect, unseen)[0]
        assert found.decisions == 60 and found.agreement is not None and found.agreement >= 0.98, (dialect, found)
        assert found.sqnr_db is not None and found.sqnr_db > decibels, (dialect, found)


@pytest.mark.parametrize("name", ["plain", "mixed"])
def test_every_layer_of_a_convolutional_file_runs_in_an_integer_kernel(
    onnx_file: Callable[[str, Exporter], onnx.ModelProto], name: str
) -> None:
    model = onnx_file(name, "legacy")
    kinds = integer_kernels(write_u8(quantize_onnx(model, as_samples(model, CASES[name].draw(8, 1)[0])).s8)).kinds
    for kind in ("convolutions", "linears", "additions", "concatenations"):
        assert kinds[kind].float == 0, (kind, kinds)
    assert kinds["convolutions"].integer >= 4


def test_both_exporters_give_the_same_scales(onnx_file: Callable[[str, Exporter], onnx.ModelProto]) -> None:
    arrays = CASES["plain"].draw(16, 1)[0]
    found = []
    for exporter in ("dynamo", "legacy"):
        model = onnx_file("plain", exporter)
        graph = quantize_onnx(model, as_samples(model, arrays), OnnxQuantizeConfig(bias_correction=False)).s8
        constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
        scales = [constants[n.input[1]] for n in graph.graph.node if n.op_type == "QuantizeLinear"]
        found.append(np.sort(np.array(scales)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_the_file_itself_is_left_alone(onnx_file: Callable[[str, Exporter], onnx.ModelProto]) -> None:
    model = onnx_file("mixed", "dynamo")
    before = model.SerializeToString(deterministic=True)
    quantize_onnx(model, as_samples(model, CASES["mixed"].draw(4, 1)[0]))
    assert model.SerializeToString(deterministic=True) == before


def test_what_is_kept_float_is_as_it_was(onnx_file: Callable[[str, Exporter], onnx.ModelProto]) -> None:
    model, arrays = onnx_file("plain", "dynamo"), CASES["plain"].draw(8, 1)[0]
    kept = quantize_onnx(model, as_samples(model, arrays), OnnxQuantizeConfig(keep_float=("head",)))
    layers = {n.name: n for n in kept.s8.graph.node if n.op_type in ("Gemm", "Conv", "MatMul")}
    constants = {t.name: t for t in kept.s8.graph.initializer}
    assert layers["head"].input[1] in constants and "head" not in kept.left_float
    assert sum(node.input[1] in constants for node in layers.values()) == 1


def test_seven_bit_weights_stay_within_63(onnx_file: Callable[[str, Exporter], onnx.ModelProto]) -> None:
    model, arrays = onnx_file("plain", "dynamo"), CASES["plain"].draw(8, 1)[0]
    graph = quantize_onnx(model, as_samples(model, arrays), OnnxQuantizeConfig(weight_bits=7)).s8.graph
    weights = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert max(int(np.abs(w.astype(np.int16)).max()) for w in weights if w.ndim > 1) == 63


def test_batches_and_single_samples_give_the_same_scales(
    onnx_file: Callable[[str, Exporter], onnx.ModelProto],
) -> None:
    arrays = CASES["bert"].draw(20, 1)[0]
    dynamic = onnx_file("bert", "legacy")
    fixed = onnx.ModelProto()
    fixed.CopyFrom(dynamic)
    for item in fixed.graph.input:
        item.type.tensor_type.shape.dim[0].dim_value = 1
    config = OnnxQuantizeConfig(observer="mse", bias_correction=False)
    one, many = (quantize_onnx(m, as_samples(m, arrays), config).s8 for m in (fixed, dynamic))
    feed = as_samples(fixed, arrays).feed(0)
    outputs = [OnnxRuntimeEngine(m.SerializeToString(), "s8").run(feed)["logits"] for m in (one, many)]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-3, atol=1e-3)
