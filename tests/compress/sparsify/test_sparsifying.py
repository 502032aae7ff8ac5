"""A model made sparse: which layers, by which measure, and what INT8 with all its mending leaves of the pattern."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edge.compress.dialects.half_regions import write_half
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.prune.attention import separate_attention
from edge.compress.quantize.config import AdaptiveRounding, QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.sparsify.config import SparsifyConfig
from edge.compress.sparsify.masks import held_masks
from edge.compress.sparsify.onnx_weights import graph_weights, sparse_layers
from edge.compress.sparsify.pattern import is_two_of_four
from edge.compress.sparsify.sparsifying import held_against, sparsify
from edge.runtime.errors import ConfigError, DataError, ModelError
from tests.compress.sparsify.small_nets import EXAMPLE, NAMES, many_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.compress.sparsify.masks import Masks
    from edge.compress.sparsify.record import SparsityRecord

SPARSE = {"body.0", "mix.linear1", "mix.linear2", "narrow"}


def squares(model: nn.Module) -> Iterator[Tensor]:
    """A loss of two batches."""
    for rows in (slice(0, 2), slice(2, 4)):
        yield model(*(t[rows] for t in EXAMPLE))[0].square().sum()


def test_layers_that_sparse_kernels_exist_for_and_the_reasons_of_the_others() -> None:
    model = many_kinds()
    before = copy.deepcopy(model.state_dict())
    sparse, masks, record = sparsify(model, EXAMPLE, SparsifyConfig())
    assert {layer.layer for layer in record.layers} == SPARSE
    assert str(record) == "sparse 2:4: 4 of 11 layers"
    reasons = {layer: reason.split(":")[0] for layer, reason in record.dense.items()}
    assert reasons == {
        "stem.0": "3 input channels, no multiple of 32",
        "grouped": "grouped",
        "up": "TensorRT has no sparse kernels for 'conv_transpose2d', which reads its weight",
        "mix.self_attn.in_proj_weight": "read by mix.self_attn itself",
        "mix.self_attn.out_proj": "read by mix.self_attn itself",
        "linear_4": "its weight is computed by other operators",
        "head": "20 input channels, no multiple of 32",
    }
    weights = dict(sparse.named_parameters())
    for path, mask in masks.items():
        assert is_two_of_four(weights[path].detach().numpy())
        assert torch.equal(weights[path], before[path] * mask)
    now = model.state_dict()
    assert all(torch.equal(tensor, now[name]) for name, tensor in before.items()), "the model is as it was"
    touched = {path for path in before if not torch.equal(before[path], sparse.state_dict()[path])}
    assert touched == {f"{layer}.weight" for layer in SPARSE}


def test_the_record_tells_how_much_stays() -> None:
    model = many_kinds()
    _, masks, record = sparsify(model, EXAMPLE, SparsifyConfig())
    kept = {layer.layer: layer.kept_norm for layer in record.layers}
    # Of four equally spread values the larger two hold 91 % of the norm (analytically for uniform weights: sqrt(0.85)).
    assert all(0.88 < norm < 0.96 for norm in kept.values())
    weight = dict(model.named_parameters())["narrow.weight"].detach()
    assert kept["narrow"] == pytest.approx(float((weight * masks["narrow.weight"]).norm() / weight.norm()), rel=1e-6)
    own = sum(layer.weights for layer in record.layers)
    others = 32 * 3 * 9 + 32 * 8 + 32 * 32 * 4 + 96 * 32 + 32 * 32 + 5 * 20
    assert record.share == pytest.approx(own / (own + others))


def test_taylor_keeps_what_the_loss_would_miss() -> None:
    model = many_kinds()
    by_size, _, _ = sparsify(model, EXAMPLE, SparsifyConfig())
    by_loss, masks, record = sparsify(model, EXAMPLE, SparsifyConfig(importance="taylor"), squares)
    assert record.importance == "taylor"
    _, again, _ = sparsify(model, EXAMPLE, SparsifyConfig(importance="taylor"), squares)
    assert all(torch.equal(mask, again[path]) for path, mask in masks.items())
    copied = copy.deepcopy(model)
    sum(squares(copied)).backward()  # type: ignore[union-attr]
    weight, dense = dict(by_loss.named_parameters())["narrow.weight"], dict(model.named_parameters())["narrow.weight"]
    assert not torch.equal(weight, dict(by_size.named_parameters())["narrow.weight"])
    gradient = dict(copied.named_parameters())["narrow.weight"].grad
    assert gradient is not None
    missed = (dense.detach() * gradient).abs()
    assert float(missed[weight == 0].mean()) < 0.5 * float(missed[weight != 0].mean())


def test_align_and_keep_decide_which() -> None:
    only = SparsifyConfig(keep=("mix.*", "body.*"), align=4)
    _, masks, record = sparsify(many_kinds(), EXAMPLE, only)
    assert set(masks) == {"narrow.weight", "head.weight"}
    assert record.dense["body.0"] == "named by `keep`"


def test_attention_that_was_taken_apart_is_sparse_as_well() -> None:
    separated, _ = separate_attention(many_kinds())
    sparse, _, record = sparsify(separated, EXAMPLE, SparsifyConfig())
    projections = {f"mix.self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    assert {layer.layer for layer in record.layers} == SPARSE | projections
    assert held_against(record, exported(sparse)).lost == ()


@pytest.fixture(scope="module")
def made() -> tuple[nn.Module, Masks, SparsityRecord]:
    return sparsify(many_kinds(), EXAMPLE, SparsifyConfig())


def exported(model: nn.Module) -> onnx.ModelProto:
    return export_onnx(model, tuple(t[:1] for t in EXAMPLE), *NAMES)


# So eager that, were zeros free to be rounded up, some would become level 1.
EAGER = AdaptiveRounding(iterations=100, learning_rate=0.5, batch=2, samples=4, held_back=0.5)


@pytest.mark.parametrize(
    "settings",
    [
        {"equalize": "weights", "bias_correction": False},
        {"equalize": "activations", "rounding": "adaptive", "adaptive": EAGER},
    ],
    ids=["equalized by weights", "equalized by activations, adaptive rounding"],
)
def test_int8_keeps_the_pattern_in_every_dialect(
    settings: dict[str, Any], made: tuple[nn.Module, Masks, SparsityRecord]
) -> None:
    """Behind folded batch norms, rescaled channels, shifted biases and learned rounding."""
    sparse, masks, record = made
    quantized = quantize_static(sparse, EXAMPLE, [EXAMPLE], QuantizeConfig(**settings))
    s8 = write_s8(exported(quantized))
    for graph in (s8, write_half(s8), write_u8(s8)):
        found = {weight.layer: weight for weight in graph_weights(graph)}
        assert {name for name, weight in found.items() if weight.is_sparse} == SPARSE
        for name in SPARSE:
            levels = found[name].values
            assert levels.dtype == np.int8
            assert is_two_of_four(levels)
            assert not levels[~masks[f"{name}.weight"].numpy().reshape(levels.shape)].any()
            # No more goes than the pattern asks, but for what rounds to zero by itself.
            assert 0.45 < np.count_nonzero(levels) / levels.size <= 0.5
        assert held_against(record, graph).lost == ()


def test_a_layer_whose_pattern_was_broken_is_named(
    made: tuple[nn.Module, Masks, SparsityRecord], caplog: pytest.LogCaptureFixture
) -> None:
    sparse, _, record = made
    graph = exported(sparse)
    assert sparse_layers(graph)["narrow"]
    for constant in graph.graph.initializer:
        values = numpy_helper.to_array(constant).copy()
        if values.shape == (20, 32):
            values[3, 4:7] = 0.5
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    with caplog.at_level(logging.WARNING):
        found = held_against(record, graph)
    assert found.lost == ("narrow",) and found.counts == (3, 11)
    assert "narrow was made 2:4 sparse and is not in the exported graph: its weights are no longer so" in caplog.text
    del graph.graph.node[[n.name for n in graph.graph.node].index("body.0")]
    assert held_against(record, graph).lost == ("body.0", "narrow")


def test_training_leaves_zeros_at_zero_and_moves_the_others() -> None:
    sparse, masks, _ = sparsify(many_kinds(), EXAMPLE, SparsifyConfig())
    weights = dict(sparse.named_parameters())
    before = {path: weights[path].detach().clone() for path in masks}
    with held_masks(sparse, masks):
        optimizer = torch.optim.AdamW(sparse.parameters(), 1e-2, weight_decay=0.1)
        for loss in (loss for _ in range(5) for loss in squares(sparse)):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for path, mask in masks.items():
        assert not bool(weights[path][~mask].any())
        assert bool((weights[path][mask] != before[path][mask]).all())
    loss = next(squares(sparse))
    sparse.zero_grad()
    loss.backward()
    gradient = weights["narrow.weight"].grad
    assert gradient is not None and bool(gradient[~masks["narrow.weight"]].any()), "outside, nothing is held"


@pytest.mark.parametrize(
    ("config", "told", "remedy"),
    [
        (SparsifyConfig(align=64), "stem.0: 3 input channels, no multiple of 64", "lower sparsify.align"),
        (SparsifyConfig(keep=("*",)), "stem.0: named by `keep`", "loosen sparsify.keep"),
    ],
)
def test_a_model_with_no_eligible_layer_is_refused(config: SparsifyConfig, told: str, remedy: str) -> None:
    model = many_kinds()
    model.mix = nn.Identity()  # whose second linear layer has 64 inputs
    with pytest.raises(ConfigError, match="no layer can be 2:4 sparse") as refusal:
        sparsify(model, EXAMPLE, config)
    assert told in refusal.value.problem and " more)" in refusal.value.problem
    assert remedy in refusal.value.remedy


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="the model has no convolution and no linear layer"):
        sparsify(nn.ReLU(), (EXAMPLE[0],), SparsifyConfig())


def test_a_model_that_does_not_export_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(ModelError, match=r"torch\.export cannot trace Branching"):
        sparsify(Branching(), (EXAMPLE[0],), SparsifyConfig())


def test_taylor_needs_losses_and_finite_weights() -> None:
    with pytest.raises(ConfigError, match="importance 'taylor' needs losses"):
        sparsify(many_kinds(), EXAMPLE, SparsifyConfig(importance="taylor"))
    with pytest.raises(DataError, match="there is no batch"):
        sparsify(many_kinds(), EXAMPLE, SparsifyConfig(importance="taylor"), lambda _: ())
    broken = many_kinds()
    with torch.no_grad():
        dict(broken.named_parameters())["narrow.weight"][0, 0] = float("nan")
    with pytest.raises(DataError, match=r"the importance of narrow\.weight is NaN or infinite"):
        sparsify(broken, EXAMPLE, SparsifyConfig())
