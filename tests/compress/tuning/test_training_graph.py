"""The graph that is trained is the one that is converted."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.prepared_graph import watcher_at
from edge.compress.quantize.pt2e import convert_static, prepare_static
from edge.compress.tuning.learned_levels import LearnedLevels
from edge.compress.tuning.training_graph import TrainingGraph

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from tests.compress.conftest import Quantized

decomposed = torch.ops.quantized_decomposed
QDQ = {
    decomposed.quantize_per_tensor.default,
    decomposed.dequantize_per_tensor.default,
    decomposed.dequantize_per_channel.default,
}


class Mixed(nn.Module):
    """What the placement has rules for beyond plain convolutions: transposed ones, a tied layer, sums, a kept head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.tied = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(8, 8, 2, 2)
        self.head = nn.Linear(16, 4)
        self.kept = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        early = self.stem(x)
        late = torch.relu(self.tied(torch.relu(self.tied(early))) + early)
        both = torch.cat([late, self.up(late)[:, :, ::2, ::2]], 1)
        logits: Tensor = self.kept(torch.relu(self.head(both.mean((2, 3)))))
        return logits


def batches(count: int = 3) -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(3)
    return [(torch.randn(8, 3, 8, 8, generator=generator),) for _ in range(count)]


def prepared_mixed(config: QuantizeConfig | None = None) -> GraphModule:
    torch.manual_seed(0)
    data = batches()
    return prepare_static(Mixed().eval(), data[0], data, config or QuantizeConfig(keep_float=("kept",)))


def trained_a_little(model: TrainingGraph, data: list[tuple[Tensor, ...]], rate: float = 1e-3) -> None:
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], rate)
    for inputs in data:
        optimizer.zero_grad()
        outputs = model(*inputs)
        parts = outputs if isinstance(outputs, tuple) else (outputs,)
        torch.stack([part.square().mean() for part in parts]).sum().backward()
        optimizer.step()


def levels_of(model: GraphModule) -> dict[str, LearnedLevels]:
    found = ((str(n.target), watcher_at(model, n)) for n in model.graph.nodes)
    return {name: module for name, module in found if isinstance(module, LearnedLevels)}


@pytest.mark.parametrize(
    "config",
    [
        QuantizeConfig(keep_float=("kept",)),
        QuantizeConfig(weight_bits=7, observer="mse"),
        QuantizeConfig(equalize="activations", keep_float=("kept",)),
    ],
    ids=["kept head", "7 bits", "equalized"],
)
def test_what_was_trained_answers_as_what_comes_of_it(config: QuantizeConfig) -> None:
    prepared = prepared_mixed(config)
    model = TrainingGraph(prepared, learn_scales=True)
    untrained = model(*batches()[0]).detach()
    trained_a_little(model, batches())
    model.finish()
    with torch.no_grad():
        trained, converted = model(*batches()[1]), convert_static(prepared)(*batches()[1])
        assert not torch.allclose(model(*batches()[0]), untrained, atol=1e-4)
    torch.testing.assert_close(trained, converted, atol=1e-6, rtol=1e-6)


def test_so_does_a_fusion_model_of_three_branches(three_branch: Quantized) -> None:
    prepared = prepare_static(
        three_branch.model, three_branch.calibration[0], three_branch.calibration, QuantizeConfig()
    )
    model = TrainingGraph(prepared, learn_scales=True)
    trained_a_little(model, three_branch.calibration)
    model.finish()
    unseen = tuple(t[:32] for t in three_branch.unseen)
    with torch.no_grad():
        trained, converted = model(*unseen), convert_static(prepared)(*unseen)
        before = three_branch.module(*unseen)
    for a, b, untuned in zip(trained, converted, before, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
        assert float((a - untuned).abs().max()) > 1e-2


def test_untrained_it_converts_to_what_calibration_alone_gives() -> None:
    prepared = prepared_mixed()
    plain = convert_static(copy.deepcopy(prepared))
    model = TrainingGraph(prepared, learn_scales=True)
    model.finish()
    same = convert_static(prepared)
    assert [n.target for n in same.graph.nodes] == [n.target for n in plain.graph.nodes]
    with torch.no_grad():
        assert torch.equal(same(*batches()[0]), plain(*batches()[0]))


def test_gradients_reach_every_weight_and_every_scale() -> None:
    prepared = prepared_mixed()
    model = TrainingGraph(prepared, learn_scales=True)
    model(*batches()[0]).square().mean().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
    assert len(levels_of(prepared)) > 10


def test_fixed_scales_stay_and_weights_move() -> None:
    prepared = prepared_mixed()
    model = TrainingGraph(prepared, learn_scales=False)
    before = model.state()
    trained_a_little(model, batches())
    after = model.state()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"stem.0.weight", "tied.weight", "up.weight", "head.weight", "kept.weight"} <= moved
    assert not any(name.endswith(".growth") for name in moved)


def test_scales_that_are_one_stay_one_and_zero_points_stay_zero() -> None:
    """The sum's inputs, the concatenation's with its result, and the two readings of the tied weight."""
    prepared = prepared_mixed()
    plain = convert_static(copy.deepcopy(prepared))
    model = TrainingGraph(prepared, learn_scales=True)
    trained_a_little(model, batches())
    model.finish()
    tuned = convert_static(prepared)
    assert [n.target for n in tuned.graph.nodes] == [n.target for n in plain.graph.nodes]
    groups = [_scale_groups(found) for found in (plain, tuned)]
    assert groups[0] == groups[1]
    assert max(groups[1]) < len(groups[1]) - 1  # some are shared
    for node in tuned.graph.nodes:
        if node.target in QDQ and "per_tensor" in str(node.target):
            assert node.args[1] > 0 and node.args[2] == 0
    weights = [v for _, v in tuned.named_buffers() if v.dtype == torch.int8]
    twice = [(a, b) for i, a in enumerate(weights) for b in weights[i + 1 :] if torch.equal(a, b)]
    assert len(twice) == 1 and twice[0][0].shape == (8, 4, 3, 3)  # the tied weight, at one scale


def _scale_groups(model: GraphModule) -> list[int]:
    """For each Q/DQ node with one scale, the first that has the same."""
    scales = [n.args[1] for n in model.graph.nodes if n.target in QDQ and "per_tensor" in str(n.target)]
    return [scales.index(scale) for scale in scales]


def test_state_is_restored_to_the_bit() -> None:
    prepared = prepared_mixed()
    model = TrainingGraph(prepared, learn_scales=True)
    start = model.state()
    trained_a_little(model, batches())
    model.restore(start)
    assert all(torch.equal(values, start[name]) for name, values in prepared.state_dict().items())
