from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch

from tests.compress.onnx_model.models import CASES, exported, taught

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx
    from torch import nn

    from tests.compress.onnx_model.models import Exporter


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def taught_model() -> Callable[[str], nn.Module]:
    return cache(lambda name: taught(CASES[name]))


@pytest.fixture(scope="session")
def onnx_file(taught_model: Callable[[str], nn.Module]) -> Callable[[str, Exporter], onnx.ModelProto]:
    def make(name: str, exporter: Exporter) -> onnx.ModelProto:
        return exported(taught_model(name), CASES[name].draw(2, 0)[0], exporter)

    return cache(make)
