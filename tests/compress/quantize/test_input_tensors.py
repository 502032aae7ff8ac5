from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edge.compress.quantize.pt2e import quantize_static
from edge.runtime.errors import DataError, ModelError


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor, gain: Tensor) -> Tensor:
        values: Tensor = self.layer(x * gain)
        return values


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"gain": torch.ones(4)}, "example input 1 is dict and no tensor"),
        (torch.tensor(2.0), "example input 1 has no batch dimension"),
        (torch.ones(4), "example input 1 has 4 rows, input 0 has 3"),
    ],
)
def test_what_is_no_batch_of_tensors_is_refused(second: Any, told: str) -> None:
    inputs = (torch.randn(3, 4), second)
    with pytest.raises(ModelError, match=f"{told}.*NamedCall"):
        quantize_static(Scaled(), inputs, [inputs])


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        ((torch.randn(3, 5),), r"input 0 of calibration batch 1 is float32 \[N, 5\], the example is float32 \[N, 4\]"),
        ((torch.randn(3, 4).double(),), r"input 0 of calibration batch 1 is float64 \[N, 4\]"),
        ((torch.randn(3, 4), torch.randn(3, 4)), "calibration batch 1 has 2 tensors, the model takes 1"),
    ],
)
def test_a_calibration_batch_of_another_form_is_named(batch: tuple[Tensor, ...], told: str) -> None:
    good = (torch.randn(3, 4),)
    with pytest.raises(DataError, match=told):
        quantize_static(nn.Linear(4, 3), good, [good, batch])


def test_batches_may_differ_in_rows() -> None:
    batches = [(torch.randn(rows, 4),) for rows in (1, 5, 2)]
    module = quantize_static(nn.Linear(4, 3), batches[0], batches)
    assert module(torch.randn(7, 4)).shape == (7, 3)
