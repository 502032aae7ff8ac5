"""FP16 for a whole exported program: answers stay near, scales stay FP32, and names and the original are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from edge.compile.torch_tensorrt.half_program import halved
from edge.compress.quantize.placement import module_paths
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.quantize.tracing import trace

if TYPE_CHECKING:
    from torch.export import ExportedProgram

HALF, FULL = torch.float16, torch.float32


class Net(nn.Module):
    """Camera and a vector of what is present, as our models have it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 4)
        self.register_buffer("gain", torch.full((1, 8, 1, 1), 2.0))
        self.gain: Tensor

    def forward(self, image: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        features = self.stem(image) * self.gain * present.view(1, -1, 1, 1)[:, :1] + torch.tensor([0.5])
        return features, self.head(self.norm(features.mean((2, 3))))


def examples() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 3, 10, 12, generator=generator), torch.ones(1, 2)


@pytest.fixture(scope="module")
def program() -> ExportedProgram:
    torch.manual_seed(0)
    return trace(Net().eval(), examples())


@pytest.fixture(scope="module")
def quantized() -> ExportedProgram:
    torch.manual_seed(0)
    batch = tuple(t.repeat(2, *(1,) * (t.dim() - 1)) for t in examples())
    return trace(quantize_static(Net().eval(), batch, [batch]), examples())


def run(program: ExportedProgram, *inputs: Tensor) -> tuple[Tensor, ...]:
    with torch.no_grad():
        outputs = program.module()(*inputs)
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def types(program: ExportedProgram, operator: str) -> list[torch.dtype]:
    nodes = (n for n in program.graph.nodes if n.op == "call_function" and operator in str(n.target))
    values = (n.meta["val"] for n in nodes)
    return [tensor.dtype for value in values for tensor in ((value,) if isinstance(value, Tensor) else value)]


# FP16 alone is exact to 0.1 % a layer; a norm divides by what may be small. One step of INT8 is about 1 % of the range.
@pytest.mark.parametrize(("kind", "shares"), [("program", (0.003, 0.03)), ("quantized", (0.03, 0.06))])
def test_answers_are_those_of_fp32_within_fp16(
    kind: str, shares: tuple[float, ...], request: pytest.FixtureRequest
) -> None:
    original: ExportedProgram = request.getfixturevalue(kind)
    half = halved(original)
    for expected, found, share in zip(run(original, *examples()), run(half, *examples()), shares, strict=True):
        assert found.dtype == expected.dtype == FULL
        torch.testing.assert_close(found, expected, atol=share * float(expected.abs().max()), rtol=0)
        assert not torch.equal(found, expected)


def test_all_weights_and_arithmetic_are_fp16(program: ExportedProgram) -> None:
    half = halved(program)
    assert {t.dtype for t in half.state_dict.values() if t.is_floating_point()} == {HALF}
    for operator in ("conv2d", "batch_norm", "layer_norm", "linear", "mul", "relu"):
        assert set(types(half, operator)) == {HALF}, operator
    assert types(program, "conv2d") == [FULL]


def test_inputs_and_outputs_stay_as_they_are(program: ExportedProgram) -> None:
    half = halved(program)
    wanted = set(half.graph_signature.user_inputs)
    given = [n.meta["val"] for n in half.graph.nodes if n.op == "placeholder" and n.name in wanted]
    assert [(v.dtype, tuple(v.shape)) for v in given] == [(FULL, (1, 3, 10, 12)), (FULL, (1, 2))]
    assert [tuple(t.shape) for t in run(half, *examples())] == [(1, 8, 8, 10), (1, 4)]


def test_scales_stay_fp32_and_levels_int8(quantized: ExportedProgram) -> None:
    half = halved(quantized)
    before = {tuple(t.shape): t.dtype for t in quantized.state_dict.values() if t.dtype == torch.int8}
    after = {tuple(t.shape): t.dtype for t in half.state_dict.values() if t.dtype == torch.int8}
    assert before == after != {}
    nodes = [n for n in half.graph.nodes if n.op == "call_function" and "dequantize_per_channel" in str(n.target)]
    assert nodes
    assert {n.args[1].meta["val"].dtype for n in nodes} == {FULL}
    assert set(types(half, "dequantize_per")) == {HALF}
    assert set(types(half, "conv2d")) == {HALF}


@pytest.mark.parametrize("kind", ["program", "quantized"])
def test_layers_keep_the_paths_of_their_modules(kind: str, request: pytest.FixtureRequest) -> None:
    half = halved(request.getfixturevalue(kind))
    found = {
        module_paths(n)[-1]
        for n in half.graph.nodes
        if n.op == "call_function" and any(o in str(n.target) for o in ("conv2d", "aten.linear"))
    }
    assert found == {"stem.0", "head"}


@pytest.mark.parametrize("kind", ["program", "quantized"])
def test_the_original_is_left_alone(kind: str, request: pytest.FixtureRequest) -> None:
    original: ExportedProgram = request.getfixturevalue(kind)
    weights = {name: tensor.clone() for name, tensor in original.state_dict.items()}
    code, answers = original.graph_module.code, run(original, *examples())
    halved(original)
    assert original.graph_module.code == code
    assert {name: t.dtype for name, t in original.state_dict.items()} == {n: t.dtype for n, t in weights.items()}
    assert all(torch.equal(t, weights[name]) for name, t in original.state_dict.items())
    assert all(torch.equal(a, b) for a, b in zip(answers, run(original, *examples()), strict=True))


class Casting(nn.Module):
    """`.to(x.dtype)` and `.float()` are FP32 for good once they are exported."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(torch.softmax(x.float(), -1).to(x.dtype))
        return y


class Making(Casting):
    """Makes tensors of its own, with and without a type."""

    def forward(self, x: Tensor) -> Tensor:
        y = x + torch.zeros(1, 6) + torch.arange(6, dtype=torch.float32) + torch.full((6,), 0.5)
        made: Tensor = self.linear(torch.maximum(y, torch.full((1, 6), float("-inf"))))
        return made


class Recurrent(nn.Module):
    """Its first state is made of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.GRU(6, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cells(x[None])[0]
        return y


class Counting(Casting):
    """Integers stay integers."""

    def forward(self, x: Tensor) -> Tensor:
        best: Tensor = self.linear(x).argmax(-1)
        return best


@pytest.mark.parametrize("model", [Casting, Making, Recurrent, Counting])
def test_programs_that_cast_and_make_tensors_are_fp16_throughout(model: type[nn.Module]) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 6)
    original = trace(model().eval(), (x,))
    half = halved(original)
    ((expected,), (found,)) = run(original, x), run(half, x)
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, atol=0.003 * float(expected.abs().max()), rtol=0)
    assert set(types(half, "linear")) | set(types(half, "gru")) == {HALF}
