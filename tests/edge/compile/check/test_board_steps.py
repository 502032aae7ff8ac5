"""Steps on the board itself: which roads lead there, what fits its DLA, and whether the memory suffices."""

from __future__ import annotations

import dataclasses

import pytest

from edge.compile.check.board_steps import check_dla, check_memory, check_versions
from edge.compile.check.target import Target, open_target
from tests.edge.compile.check.subjects import subject
from tests.edge.compile.precision.pair_graphs import convolution

ORIN = open_target("orin-nano-8gb")


@pytest.mark.parametrize(
    ("name", "jetpack", "road"),
    [
        ("orin-nano-8gb", "6.2", "its Torch-TensorRT 2.8.0 is of the regime before 2.13: take the ONNX road"),
        ("orin-nano-8gb", "6.1", "there is no Torch-TensorRT wheel for it: take the ONNX road"),
        ("orin-nano-8gb", "7.2", "there is no Torch-TensorRT wheel for it: take the ONNX road"),
        ("agx-thor-t5000", "7.2", "its Torch-TensorRT 2.12 is of the regime before 2.13: take the ONNX road"),
    ],
)
def test_versions_say_which_road_leads_there(name: str, jetpack: str, road: str) -> None:
    step = check_versions(open_target(name, jetpack))
    assert step.status == "passed"
    assert step.detail.endswith(f"; {road}")


def test_a_torch_tensorrt_of_the_regime_that_is_known_is_a_road_too() -> None:
    assert ORIN.jetpack is not None
    newer = ORIN.jetpack.model_copy(update={"torch_tensorrt": "2.13.0"})
    step = check_versions(dataclasses.replace(ORIN, jetpack=newer))
    assert step.detail.endswith("; take Torch-TensorRT 2.13.0 or the ONNX road")
    assert step.facts == {"tensorrt": "10.3.0", "cuda": "12.6", "torch_tensorrt": "2.13.0"}


@pytest.mark.parametrize("jetpack", ["5.1.2", "6.0"])
def test_a_tensorrt_that_no_engine_is_built_with_fails(jetpack: str) -> None:
    step = check_versions(open_target("orin-nano-8gb", jetpack))
    assert step.status == "failed"
    assert step.detail.endswith("engines are built with TensorRT 10.3 and newer")
    assert "newer JetPack" in step.remedy


def test_without_a_jetpack_nothing_decides() -> None:
    assert check_versions(open_target("dgx-spark")).status == "noted"


def test_the_dla_is_worth_knowing_and_no_verdict() -> None:
    agx = open_target("agx-orin-64gb")
    step = check_dla(subject(fp32=convolution(activation=False, weight=False)), agx)
    assert (step.status, step.detail) == ("noted", "1 of 1 layer can run there, in FP16, 100% of the MACs")
    assert step.facts == {"share": 1.0}
    quantized = check_dla(subject(), agx)
    assert "the DLA takes no Q/DQ" in quantized.detail
    assert check_dla(subject(), ORIN).detail == "orin-nano-8gb has no DLA"


def test_the_memory_of_running_and_building_is_told_in_parts() -> None:
    step = check_memory(subject(), ORIN)
    assert step.status == "passed"
    assert step.detail.startswith("estimated ") and step.detail.endswith("of 8192 MiB fitted")
    assert sum(step.facts["building"].values()) == step.facts["building_bytes"]


def small(gib: float) -> Target:
    memory = ORIN.device.memory.model_copy(update={"gib": gib})
    return dataclasses.replace(ORIN, device=ORIN.device.model_copy(update={"memory": memory}))


@pytest.mark.parametrize(("gib", "short"), [(1.5, []), (1.0, ["building"]), (0.5, ["running", "building"])])
def test_what_does_not_fit_is_named(gib: float, short: list[str]) -> None:
    step = check_memory(subject(), small(gib))
    assert [finding.layer for finding in step.findings] == short
    assert step.status == ("failed" if short else "passed")
    assert all(f"MiB of {gib * 1024:.0f} MiB" in finding.message for finding in step.findings)


def test_a_cpu_bounds_memory_otherwise() -> None:
    step = check_memory(subject(), open_target("x86-cpu"))
    assert (step.status, "--memory-limit" in step.detail) == ("noted", True)


@pytest.mark.parametrize("name", ["stem", ""])
def test_operators_that_share_a_name_are_no_fault(name: str) -> None:
    """As those of an attention do, which is one module and many operators; a node without one has its result's."""
    model = convolution(activation=False, weight=False)
    again = model.graph.node.add()
    again.CopyFrom(model.graph.node[0])
    again.op_type, again.name = "Relu", name
    again.input[:], again.output[:] = ["y"], ["stem"]
    model.graph.output[0].name = "stem"
    assert check_memory(subject(fp32=model), ORIN).status == "passed"
