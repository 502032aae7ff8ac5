from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.compress.dialects.kernels import integer_kernels
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from tests.compress.conftest import Quantized


def test_a_float_graph_has_no_integer_kernels(two_branch: Quantized) -> None:
    report = integer_kernels(two_branch.fp32)
    assert report.kinds["convolutions"].integer == 0
    assert report.kinds["convolutions"].float == 7
    assert report.conversions == 0


def test_bytes_and_protobuf_give_the_same_report(two_branch: Quantized) -> None:
    assert integer_kernels(two_branch.u8.SerializeToString()) == integer_kernels(two_branch.u8)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="ONNX Runtime refuses"):
        integer_kernels(b"not a model")
