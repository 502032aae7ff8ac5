"""Modules with inputs by keyword, tokens and masks, inputs without a batch, outputs in dictionaries."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edge.compress.dialects.writing import write_s8
from edge.compress.export import export_onnx
from edge.compress.named_call import NamedCall
from edge.compress.quantize.pt2e import quantize_static
from edge.runtime.errors import ModelError
from tests.compress.onnx_model.models import sentences, tiny_bert


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor, *, gain: Tensor, double: bool = False) -> dict[str, Tensor]:
        values = self.layer(x * gain)
        return {"values": values * 2 if double else values, "size": values.norm(dim=-1)}


def test_an_encoder_of_transformers_by_its_own_argument_names() -> None:
    torch.manual_seed(0)
    bert = tiny_bert().get_submodule("model").eval()
    names = ("attention_mask", "input_ids")  # not in forward's order
    model = NamedCall(bert, names, ("logits",))
    arrays = sentences(12, 0)[0]
    inputs = tuple(torch.from_numpy(arrays[name]) for name in names)
    with torch.no_grad():
        expected = bert(input_ids=inputs[1], attention_mask=inputs[0]).logits
        module = quantize_static(model, inputs, [inputs])
        found = module(*inputs)[0]
    assert (found - expected).square().mean() < 0.01 * expected.var()
    graph = write_s8(export_onnx(module, tuple(t[:1] for t in inputs), names, ("logits",)))
    assert [item.name for item in graph.graph.input] == list(names)
    quantized = {n.name.split(".2")[0] for n in graph.graph.node if n.op_type in ("MatMul", "Conv")}
    assert "module.bert.encoder.layer.0.attention.self.query" in quantized


def test_flags_and_inputs_without_a_batch_become_constants() -> None:
    gain, x = torch.tensor([1.0, 2.0, 0.5, 3.0]), torch.randn(6, 4)
    scaled = Scaled().eval()
    model = NamedCall(scaled, ("x",), ("size", "values"), {"gain": gain, "double": True})
    module = quantize_static(model, (x,), [(x,)])
    with torch.no_grad():
        expected, found = scaled(x, gain=gain, double=True), module(x)
    torch.testing.assert_close(found[1], expected["values"], atol=0.1, rtol=0.1)
    torch.testing.assert_close(found[0], expected["size"], atol=0.1, rtol=0.1)


def test_an_output_that_is_not_there_is_named() -> None:
    model = NamedCall(Scaled(), ("x",), ("logits",), {"gain": torch.ones(4)})
    with pytest.raises(ModelError, match="no tensor 'logits'; name one of what it returns: values, size"):
        model(torch.randn(2, 4))


def test_names_and_tensors_must_fit() -> None:
    with pytest.raises(ModelError, match="'x' is an input and a constant"):
        NamedCall(Scaled(), ("x",), ("values",), {"x": torch.ones(4)})
    with pytest.raises(ModelError, match="2 tensors for 1 inputs; pass x"):
        NamedCall(Scaled(), ("x",), ("values",))(torch.ones(1, 4), torch.ones(1, 4))
