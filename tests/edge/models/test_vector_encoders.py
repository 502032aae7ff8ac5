"""Tables and series: shapes, what a reading far out may do, and that INT8 covers all of their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from edge.compress.dialects.unquantized import left_float
from edge.compress.export import export_onnx
from edge.compress.quantize.pt2e import quantize_static
from edge.models.encoders.choice import build_encoder
from edge.models.encoders.series import SeriesEncoder, SeriesEncoderConfig
from edge.models.encoders.table import TableEncoder, TableEncoderConfig
from edge.models.map_sizes import map_size
from edge.runtime.model_io import SeriesInput, TensorInput
from tests.edge.models.fusion_cases import LABS, SHAKES

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE = TensorInput.model_validate(LABS)
SERIES = SeriesInput.model_validate(SHAKES)


def test_a_table_becomes_a_map_of_one_cell() -> None:
    encoder = build_encoder(TableEncoderConfig(kind="table", hidden=(8, 12)), TABLE).eval()
    assert isinstance(encoder, TableEncoder)
    assert encoder.out_channels == 12
    assert encoder(torch.randn(5, 3)).shape == (5, 12, 1, 1)


def test_a_table_is_a_perceptron() -> None:
    torch.manual_seed(0)
    encoder = TableEncoder(3, TableEncoderConfig(kind="table", hidden=(8,))).eval()
    convolution, norm, _ = encoder.net[0].children()
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.normal_()
    x = torch.randn(4, 3)
    linear = x @ convolution.weight[:, :, 0, 0].T
    wanted = torch.relu((linear - norm.running_mean) / (norm.running_var + norm.eps).sqrt())
    assert torch.allclose(encoder(x)[:, :, 0, 0], wanted, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(steps=st.integers(1, 40), kernel=st.sampled_from([1, 3, 5, 9]), layers=st.integers(1, 4))
def test_a_series_halves_its_steps_after_the_first_layer(steps: int, kernel: int, layers: int) -> None:
    config = SeriesEncoderConfig(kind="series", hidden=(4,) * layers, kernel=kernel)
    encoder = SeriesEncoder(2, config).eval()
    left = steps
    for _ in range(layers - 1):
        left = -(-left // 2)
    assert encoder(torch.randn(2, 2, steps)).shape == (2, 4, 1, left)


def test_a_series_sees_its_steps_in_order() -> None:
    torch.manual_seed(0)
    encoder = SeriesEncoder(3, SeriesEncoderConfig(kind="series", hidden=(4,), kernel=3)).eval()
    x = torch.zeros(1, 3, 16)
    x[..., 5] = torch.randn(3)
    with torch.no_grad():
        moved = (encoder(x) - encoder(torch.zeros(1, 3, 16))).abs().amax((0, 1, 2))
    assert set(moved.nonzero().flatten().tolist()) <= {4, 5, 6}
    assert moved[4:7].max() > 0


@pytest.mark.parametrize("kind", ["table", "series"])
def test_a_reading_far_out_counts_as_one_at_the_limit(kind: str) -> None:
    encoder, x = built(kind, clip=4.0)
    far = x.clone()
    x[0, 1], far[0, 1] = 4.0, 1e6
    with torch.no_grad():
        assert torch.equal(encoder(far), encoder(x))


def built(kind: str, clip: float = 8.0) -> tuple[nn.Module, Tensor]:
    """An encoder with batch statistics as if trained, and a batch for it."""
    torch.manual_seed(0)
    if kind == "table":
        encoder: nn.Module = TableEncoder(3, TableEncoderConfig(kind="table", hidden=(16, 16), clip=clip))
    else:
        encoder = SeriesEncoder(3, SeriesEncoderConfig(kind="series", hidden=(16, 16), clip=clip))
    x = torch.randn(64, 3) if kind == "table" else torch.randn(64, 3, 16)
    encoder.train()
    for _ in range(20):
        encoder(x)
    return encoder.eval(), x.clone()


class Head(nn.Module):
    """Reads an encoder's map, as a fusion does."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.logits = encoder, nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.logits(self.encoder(x)).mean((2, 3))
        return logits


@pytest.mark.parametrize("kind", ["table", "series"])
def test_all_of_it_is_int8(kind: str) -> None:
    encoder, x = built(kind)
    model = Head(encoder).eval()
    quantized = quantize_static(model, (x[:2],), [(x,)])
    with torch.no_grad():
        error = (quantized(x) - model(x)).abs().mean() / model(x).std()
    assert error < 0.03
    graph = export_onnx(quantized, (x[:1],), ("x",), ("y",))
    assert left_float(graph, ()) == {}
    assert sum(node.op_type == "Conv" for node in graph.graph.node) == 3  # batch norms are folded
    assert not any(node.op_type == "BatchNormalization" for node in graph.graph.node)


def test_the_size_of_a_map_is_asked_without_a_trace() -> None:
    encoder = SeriesEncoder(3, SeriesEncoderConfig(kind="series", hidden=(4, 4))).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    assert map_size(encoder, SERIES) == (1, 8)
    assert encoder.training
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: SeriesEncoderConfig(kind="series", kernel=4), "a kernel of 4 steps has no middle; make it 3 or 5"),
        (lambda: SeriesEncoderConfig(kind="series", hidden=()), "at least 1 item"),
        (lambda: TableEncoderConfig(kind="table", hidden=(8, 0)), "greater than 0"),
        (lambda: TableEncoderConfig(kind="table", clip=0), "greater than 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        make()
