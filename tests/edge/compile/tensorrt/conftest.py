"""TensorRT of the versions that matter, none of them real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.edge.compile.tensorrt.fake_tensorrt import fake_library

if TYPE_CHECKING:
    from edge.compile.tensorrt.library import TensorRTLibrary


@pytest.fixture
def orin() -> TensorRTLibrary:
    """TensorRT of JetPack 6.2."""
    return fake_library("10.3.0")


@pytest.fixture
def newest() -> TensorRTLibrary:
    """TensorRT that knows typed networks only."""
    return fake_library("11.4.0")


@pytest.fixture
def rtx() -> TensorRTLibrary:
    """TensorRT-RTX."""
    return fake_library("1.7.1.116")
