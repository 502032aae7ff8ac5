"""torchao's PT2E flow with its own X86InductorQuantizer, as its documentation shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn
    from torch.fx import GraphModule

MAX_BATCH = 4096


def quantize(module: nn.Module, example: tuple[Tensor, ...], batches: Sequence[tuple[Tensor, ...]]) -> GraphModule:
    """The module with Q/DQ pairs, unsigned activations and weights per channel.

    Args:
        module: Float, in eval mode, positional tensors.
        example: Batch 1.
        batches: Calibration inputs.
    """
    doubled = tuple(torch.cat([t, t]) for t in example)
    shapes = torch.export.ShapesCollection()
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    for tensor in doubled:
        shapes[tensor] = {0: batch}
    exported = torch.export.export(module, doubled, dynamic_shapes=shapes).module()
    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())
    with torch.no_grad():
        prepared = prepare_pt2e(exported, quantizer)
        for inputs in batches:
            prepared(*inputs)
        converted: GraphModule = convert_pt2e(prepared)
    return converted
