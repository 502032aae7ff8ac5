"""Which layers of well-known nets run in integer kernels on x86, and which stay float on purpose."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTModel

from edge.compress.dialects.kernels import KernelReport, integer_kernels
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.quantize.pt2e import quantize_static
from tests.compress.quantize.hard_cases import Separable

BLOCKS = 2


class Classifier(nn.Module):
    """A backbone of transformers with a linear head."""

    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        found = self.backbone(x).last_hidden_state
        result: Tensor = self.head(found[:, 0] if found.ndim == 3 else found.mean((2, 3)))
        return result


def report_of(model: nn.Module, *shape: int) -> KernelReport:
    torch.manual_seed(0)
    inputs = torch.randn(4, *shape)
    module = quantize_static(model.eval(), (inputs,), [(inputs,)])
    return integer_kernels(write_u8(write_s8(export_onnx(module, (inputs[:1],), ["x"], ["y"]))))


def counts(report: KernelReport, kind: str) -> tuple[int, int]:
    return report.kinds[kind].integer, report.kinds[kind].float


def test_a_depthwise_separable_net_is_all_integer() -> None:
    report = report_of(Separable(), 1, 12, 12)
    assert counts(report, "convolutions") == (7, 0)
    assert counts(report, "linears") == (1, 0)


def test_a_resnet_is_all_integer_its_additions_too() -> None:
    config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[BLOCKS, BLOCKS], layer_type="basic")
    report = report_of(Classifier(ResNetModel(config), 32), 3, 32, 32)
    assert counts(report, "convolutions") == (1 + 2 * 2 * BLOCKS + 1, 0)
    assert counts(report, "linears") == (1, 0)
    assert counts(report, "additions") == (2 * BLOCKS, 0)


def test_of_a_vit_products_of_activations_and_the_residual_stream_stay_float() -> None:
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=BLOCKS,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        attn_implementation="eager",
    )
    report = report_of(Classifier(ViTModel(config, add_pooling_layer=False), 32), 3, 32, 32)
    assert counts(report, "convolutions") == (1, 0)
    assert counts(report, "linears") == (6 * BLOCKS + 1, 2 * BLOCKS)  # the last are queries by keys, and by values
    assert counts(report, "additions")[0] == 0
