"""What a converter registry answers for, call by call, without the registry itself."""

from __future__ import annotations

import operator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from edge.compile.torch_tensorrt import coverage
from edge.compile.torch_tensorrt.coverage import Coverage, OperatorCoverage, measure_coverage

ATEN = torch.ops.aten


class Registry:
    """Takes convolutions, breaks off at sorts, and knows nothing else."""

    def get(self, node: torch.fx.Node) -> Any:
        if node.target is ATEN.sort.default:
            raise IndexError("tuple index out of range")
        return object() if node.target is ATEN.convolution.default else None


@pytest.fixture
def lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lowered program: a convolution, a sort taken apart, and a determinant."""
    graph = torch.fx.Graph()
    made = graph.call_function(ATEN.convolution.default, (graph.placeholder("x"),))
    made.meta["nn_module_stack"] = {"a": ("stem.0", torch.nn.Conv2d)}
    parted = graph.call_function(ATEN.sort.default, (made,))
    first = graph.call_function(operator.getitem, (parted, 0))
    graph.output(graph.call_function(ATEN.linalg_det.default, (first,)))
    monkeypatch.setattr(coverage, "lower", lambda _program, _config: SimpleNamespace(graph=graph))
    monkeypatch.setattr(coverage, "_registry", Registry)


def test_every_call_is_asked_for_and_what_breaks_off_is_not_taken(lowered: None) -> None:
    program: Any = None
    found = measure_coverage(program, "Torch-TensorRT 2.13.0")
    assert [(o.operator, o.converted) for o in found.operators] == [
        ("aten.convolution.default", True),
        ("aten.sort.default", False),
        ("aten.linalg_det.default", False),
    ]
    assert found.operators[0].layer == "stem.0"
    assert found.source == "Torch-TensorRT 2.13.0"


def test_coverage_counts_what_is_missing() -> None:
    operators = tuple(
        OperatorCoverage(layer=f"layer.{i}", operator="aten.det.default", converted=i != 2) for i in range(4)
    )
    found = Coverage(source="Torch-TensorRT 2.13.0", operators=operators)
    assert [o.layer for o in found.missing] == ["layer.2"]
    assert found.share == 0.75
    assert Coverage(source="x", operators=()).share == 1.0
