"""How many layers could run sparse, by the graph's own weights and the target's compute capability."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest

from edge.compile.check.sparsity import check_sparsity
from edge.compile.check.target import Target, open_target
from edge.compress.sparsify.pattern import two_of_four
from tests.edge.compile.check.subjects import subject
from tests.edge.compile.precision.pair_graphs import PairGraph

ORIN_NANO, AGX_ORIN = open_target("orin-nano-8gb"), open_target("agx-orin-64gb")


def two_layers() -> onnx.ModelProto:
    """An INT8 convolution that is sparse and one that is not."""
    made = PairGraph(shape=(1, 32, 6, 6))
    first = made.int8_weight("first", 32, 32, 1, 1)
    levels = made.constants["first.levels"]
    made.constants["first.levels"] = np.where(two_of_four(np.abs(levels.astype(np.float64))), levels, 0).astype(np.int8)
    made.add("Conv", [made.quantized("x"), first], "c", "stem")
    made.add("Conv", [made.quantized("c"), made.int8_weight("second", 8, 32, 1, 1)], "y", "head")
    return made.model("y")


def before_ampere(target: Target) -> Target:
    assert target.device.gpu is not None
    gpu = target.device.gpu.model_copy(update={"sm": "7.2"})
    return dataclasses.replace(target, device=target.device.model_copy(update={"gpu": gpu}))


def test_it_counts_and_names_the_dense_ones() -> None:
    step = check_sparsity(subject(s8=two_layers()), ORIN_NANO)
    assert step.status == "noted"
    assert step.detail == (
        "1 of 2 layers of s8 have 2:4 sparse weights; compute capability 8.7 has sparse tensor cores: these could run "
        "sparse, where TensorRT finds that quicker; not measured"
    )
    assert [str(finding) for finding in step.findings] == ["head (Conv): dense"]
    assert step.facts == {"sparse": 1, "layers": 2, "could_run": 1}


def test_before_ampere_none_could() -> None:
    step = check_sparsity(subject(s8=two_layers()), before_ampere(ORIN_NANO))
    assert step.detail.endswith("compute capability 7.2 has no sparse tensor cores")
    assert step.facts == {"sparse": 1, "layers": 2, "could_run": 0}


def test_of_a_dla_it_is_said_that_none_do() -> None:
    assert (
        "; none on the DLA, whose sparse convolutions are INT8"
        in check_sparsity(subject(s8=two_layers()), AGX_ORIN).detail
    )


@pytest.mark.parametrize(
    ("target", "told"),
    [("orin-nano-8gb", "no layer of s8 has 2:4 sparse weights"), ("x86-cpu", "ONNX Runtime has no kernels that skip")],
)
def test_a_dense_model_or_a_cpu_has_nothing_to_tell(target: str, told: str) -> None:
    step = check_sparsity(subject(), open_target(target))
    assert (step.status, step.findings, step.facts) == ("noted", (), {})
    assert step.detail.startswith(told)
