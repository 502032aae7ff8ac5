"""Whole estimates: totals that add up, memory by hand, tables, power modes, and the caveat that goes with each."""

from __future__ import annotations

import json
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge.compress.latency_table import graph_digest
from edge.compress.precision_plan import PrecisionPlan, PrecisionRule
from edge.devices.catalog import load_device, shipped_devices
from edge.devices.estimate import (
    CONTEXT_BYTES,
    ERROR_FILE,
    Estimate,
    at_clock,
    estimate_graph,
    in_power_mode,
    peak_activations,
    published_error,
)
from edge.devices.kernels import kernel_graph
from edge.graph.layers import graph_layers
from edge.runtime.errors import DeviceError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.devices.profile import DeviceProfile

RESULT = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "estimate.json"
CONV = "Conv <pads = [1, 1, 1, 1]>"


def make_graph(inputs: str, outputs: str, body: str, **weights: Sequence[int]) -> onnx.ModelProto:
    text = f'<ir_version: 10, opset_import: ["" : 18]> g ({inputs}) => ({outputs}) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    for name, shape in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
    return model


@pytest.fixture(scope="module")
def device() -> DeviceProfile:
    return load_device("orin-nano-8gb", environ={})


@pytest.fixture(scope="module")
def branches() -> onnx.ModelProto:
    """Two convolutions of one input, joined and mixed; a head."""
    return make_graph(
        "float[1,4,8,8] x",
        "float[1,5] y",
        f"""a = {CONV} (x, w) ra = Relu(a) b = {CONV} (x, v) rb = Relu(b)
            c = Concat <axis = 1> (ra, rb) m = {CONV} (c, u) p = GlobalAveragePool(m) f = Flatten(p)
            y = Gemm <transB = 1> (f, h, k)""",
        w=(8, 4, 3, 3),
        v=(8, 4, 3, 3),
        u=(8, 16, 3, 3),
        h=(5, 8),
        k=(5,),
    )


@pytest.fixture(scope="module")
def found(branches: onnx.ModelProto, device: DeviceProfile) -> Estimate:
    return estimate_graph(branches, device, "fp16")


def test_the_whole_is_the_sum_of_its_layers(found: Estimate, branches: onnx.ModelProto) -> None:
    assert [layer.operator for layer in found.layers] == ["Conv", "Conv", "Concat", "Conv", "GlobalAveragePool", "Gemm"]
    assert found.layers[0].joined == ("ra",)
    assert found.total_ms == pytest.approx(found.fixed_ms + fsum(layer.ms for layer in found.layers))
    assert fsum(found.bound_shares.values()) == pytest.approx(1.0)
    assert found.layers[2].ms == 0.0
    assert found.layers[2].bound is None
    assert found.layers[0].macs == 64 * 8 * 4 * 9
    assert found.layers[0].bytes == 2 * (4 * 64 + 8 * 64 + 8 * 4 * 9)
    assert (found.device, found.power_mode) == ("orin-nano-8gb", "MAXN_SUPER")
    assert found.graph_sha256 == graph_digest(branches)


def test_the_table_holds_every_layer_at_every_precision(branches: onnx.ModelProto, device: DeviceProfile) -> None:
    table = estimate_graph(branches, device).latency_table()
    assert table.source == "estimate:orin-nano-8gb"
    assert sorted(table.names) == sorted(layer.name for layer in graph_layers(branches))
    assert len(table.layers) == 3 * 9
    assert table.ms("ra", "fp16") == 0.0  # joined the convolution in front of it
    assert table.ms("f", "fp16") == 0.0  # a view
    for precision in ("int8", "fp16", "fp32"):
        plan = PrecisionPlan(rules=(PrecisionRule(layers="*", precision=precision),))
        assert table.total_ms(plan) == pytest.approx(estimate_graph(branches, device, precision).total_ms)
        assert table.total_ms(plan) == pytest.approx(estimate_graph(branches, device, plan=plan).total_ms)


def test_a_plan_counts_layer_by_layer(branches: onnx.ModelProto, device: DeviceProfile) -> None:
    plan = PrecisionPlan(rules=(PrecisionRule(layers="[ab]", precision="int8"),))
    mixed = estimate_graph(branches, device, plan=plan)
    assert [layer.precision for layer in mixed.layers] == ["int8", "int8", "fp32", "fp32", "fp32", "fp32"]
    assert mixed.total_ms == pytest.approx(mixed.latency_table().total_ms(plan))


def test_what_the_graph_declares_counts_by_default(branches: onnx.ModelProto, device: DeviceProfile) -> None:
    assert {layer.precision for layer in estimate_graph(branches, device).layers} == {"fp32"}


def test_memory_of_a_small_graph_by_hand(found: Estimate) -> None:
    weights = 8 * 4 * 9 * 2 + 8 * 16 * 9 + 5 * 8 + 5
    assert found.memory.weights == 2 * weights
    assert found.memory.io == 4 * (4 * 64 + 5)
    # While the third convolution runs: both halves in the place where they are joined, and its result.
    assert found.memory.activations == 2 * (16 * 64 + 8 * 64)
    assert found.memory.context == CONTEXT_BYTES
    assert found.memory.device == 8 * 2**30
    parts = found.memory
    assert parts.total == parts.weights + parts.activations + parts.io + parts.context
    assert parts.fits


def test_a_residual_keeps_its_tensor_alive() -> None:
    body = f"a = {CONV} (x, w) b = {CONV} (a, w) c = {CONV} (b, w) d = Add(c, a) y = MaxPool <kernel_shape=[2,2]> (d)"
    graph = kernel_graph(make_graph("float[1,8,4,4] x", "float[1,8,3,3] y", body, w=(8, 8, 3, 3)))
    assert [k.name for k in graph.kernels] == ["a", "b", "c", "y"]
    # a; a and b; a, b and d; d alone, for y is the graph's own.
    assert peak_activations(graph, ["int8"] * 4) == 3 * 128
    assert peak_activations(graph, ["fp16", "int8", "fp16", "fp32"]) == 2 * 128 + 128 + 2 * 128
    chain = kernel_graph(
        make_graph("float[1,8,4,4] x", "float[1,8,4,4] y", f"a = {CONV} (x, w) y = Softmax(a)", w=(8, 8, 3, 3))
    )
    assert peak_activations(chain, ["fp32", "fp32"]) == 4 * 128


def test_a_graph_too_large_for_the_board_is_said_to_be(device: DeviceProfile) -> None:
    tiny = device.model_copy(update={"memory": device.memory.model_copy(update={"gib": 0.5})})
    model = make_graph("float[1,8,4,4] x", "float[1,8,4,4] y", "y = Relu(x)")
    assert not estimate_graph(model, tiny).memory.fits


def test_another_power_mode_has_other_rates(branches: onnx.ModelProto, device: DeviceProfile) -> None:
    slow = in_power_mode(device, "15W")
    assert slow.power_mode == "15W"
    assert slow.gpu is not None
    assert (slow.gpu.clock_mhz, slow.memory.bandwidth_gb_s) == (612, 68.3)
    assert slow.peak.int8_tops == pytest.approx(33.4 * 612 / 1020)
    assert in_power_mode(device, "MAXN_SUPER") is device
    gated = in_power_mode(device, "7W")
    assert gated.peak.fp16_tflops == pytest.approx(16.7 * 408 / 1020 / 2)  # four of its eight multiprocessors
    assert estimate_graph(branches, slow).total_ms > estimate_graph(branches, device).total_ms
    same = at_clock(device, 1020, 102.4)
    assert same.peak.model_dump() == pytest.approx(device.peak.model_dump())
    with pytest.raises(DeviceError, match="no power mode '30W'"):
        in_power_mode(device, "30W")
    with pytest.raises(DeviceError, match="no source tells the limits of agx-thor-t5000 in 90W"):
        in_power_mode(load_device("agx-thor-t5000", environ={}), "90W")


def test_every_shipped_gpu_can_be_estimated_and_no_cpu(branches: onnx.ModelProto) -> None:
    for profile in shipped_devices():
        if profile.gpu is None:
            with pytest.raises(DeviceError, match="has no GPU"):
                estimate_graph(branches, profile)
        else:
            times = [estimate_graph(branches, profile, p).total_ms for p in ("int8", "fp16", "fp32")]
            assert times == sorted(times)


def test_unknown_shapes_are_refused(device: DeviceProfile) -> None:
    with pytest.raises(ModelError, match="not fixed"):
        estimate_graph(make_graph("float[n,8] x", "float[n,8] y", "y = Relu(x)"), device)


def test_estimates_repeat(branches: onnx.ModelProto, device: DeviceProfile) -> None:
    first, second = (estimate_graph(branches, device, "int8") for _ in range(2))
    assert first.model_dump_json() == second.model_dump_json()
    assert first.latency_table() == second.latency_table()


def test_the_caveat_is_what_the_benchmark_found(found: Estimate) -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    held_out = [row["ratio"] for row in result["rows"] if not row["fitted"]]
    error = published_error()
    assert error["rows"] == len(held_out) >= 20
    assert error["lowest"] == pytest.approx(min(held_out), abs=1e-3)
    assert error["highest"] == pytest.approx(max(held_out), abs=1e-3)
    assert found.caveat.startswith("estimate, not a measurement")
    assert f"{min(held_out):.2f} to {max(held_out):.2f} times" in found.caveat
    assert found.caveat in json.loads(found.model_dump_json())["caveat"]
    assert ERROR_FILE.endswith(".json")  # the catalogue's devices are YAML


def test_the_constants_are_fitted_to_few_figures_and_reported_on_others() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    fitted = {(row["publisher"], row["device"]) for row in result["rows"] if row["fitted"]}
    assert len(fitted) == 1
    for name, used in result["constants"]["used"].items():
        assert used == pytest.approx(result["constants"]["fitted"][name], rel=0.02)
    held_out = {row["graph"] for row in result["rows"] if not row["fitted"]}
    assert {"yolov8n", "yolov8s", "yolox-s-leaky", "bevfusion-camera", "resnet50"} <= held_out
