"""Ranges of a real network: the same however it is batched or shared out, named by layer, and enough to choose by."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

from edge.calibration.drawing import DrawConfig, SampleSource, draw_set, whole_split
from edge.calibration.observers import Observer
from edge.compress.quantize.activation_ranges import RangeFinder
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.observation import observe, observed_tensors
from edge.compress.quantize.placement import PlacementQuantizer
from edge.compress.quantize.pt2e import export_float, quantize_static
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch.fx import GraphModule

COUNT = 600


class TwoSenses(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.eye, self.ear = nn.Conv2d(3, 12, 3, 2, 1), nn.Conv2d(1, 12, 3, 2, 1)
        self.mix, self.head = nn.Conv2d(24, 16, 3, padding=1), nn.Linear(16, 4)

    def forward(self, image: Tensor, sound: Tensor, present: Tensor) -> Tensor:
        gates = [present[:, i].view(-1, 1, 1, 1) for i in range(2)]
        seen, heard = torch.relu(self.eye(image)) * gates[0], torch.relu(self.ear(sound)) * gates[1]
        mixed = torch.relu(self.mix(torch.cat([seen, heard], 1)))
        return torch.as_tensor(self.head(mixed.mean((2, 3))))


@cache
def model() -> nn.Module:
    torch.manual_seed(0)
    return TwoSenses().eval()


@cache
def source() -> SampleSource:
    """Samples as a camera and a microphone bring them: a few are several times as loud as most."""
    generator = np.random.default_rng(0)
    loud = np.exp(0.4 * generator.standard_normal((2, COUNT, 1, 1, 1)))
    image = generator.normal(size=(COUNT, 3, 16, 16)) * loud[0]
    sound = generator.normal(size=(COUNT, 1, 16, 16)) * loud[1]
    inputs = {"image": image.astype(np.float32), "sound": sound.astype(np.float32)}
    return SampleSource("train", [f"s{i}" for i in range(COUNT)], inputs)


def examples() -> tuple[Tensor, ...]:
    return (*(torch.from_numpy(v[:2]) for v in source().modalities.values()), torch.ones(2, 2))


def finder(observer: Observer = "minmax", **changes: object) -> RangeFinder:
    config = QuantizeConfig.model_validate({"observer": observer, "percentile": 99.9, **changes})
    return RangeFinder(model(), examples(), config, ("image", "sound", "present"))


def batches(size: int, first: int = 0, last: int = 48) -> list[tuple[NDArray[np.generic], ...]]:
    rows = [np.concatenate(parts)[first:last] for parts in zip(*whole_split(source(), DrawConfig()), strict=True)]
    return [tuple(r[i : i + size] for r in rows) for i in range(0, last - first, size)]


def prepared() -> GraphModule:
    graph: GraphModule = prepare_pt2e(export_float(model(), examples()), PlacementQuantizer())
    return graph


def test_tensors_are_called_after_layers_and_inputs() -> None:
    names = list(finder().ranges(batches(48)))
    assert {"image", "sound"} <= set(names)
    assert any(name.startswith("mix") or "relu" in name for name in names)
    assert len(set(names)) == len(names)


def test_batches_and_ranks_change_nothing() -> None:
    whole, ones = finder().ranges(batches(48)), finder().ranges(batches(1))
    graph = prepared()
    observe(graph, [tuple(torch.from_numpy(v) for v in b) for b in batches(7, 0, 20)])
    parts = [o.range for o in observed_tensors(graph).values()]
    graph = prepared()
    observe(graph, [tuple(torch.from_numpy(v) for v in b) for b in batches(5, 20, 48)], first=20)
    for part, rest in zip(parts, observed_tensors(graph).values(), strict=True):
        part.merge(rest.range)
    for one, found, joined in zip(ones.values(), whole.values(), parts, strict=True):
        assert sorted(found.peaks) == list(range(48))
        for observer in get_args(Observer):
            assert joined.ceiling(observer) == pytest.approx(found.ceiling(observer), rel=1e-5)
            assert one.ceiling(observer) == pytest.approx(found.ceiling(observer), rel=1e-5)


@pytest.mark.parametrize("observer", ["moving_average", "entropy"])
def test_quantizing_finds_the_same_scales(observer: Observer) -> None:
    config = QuantizeConfig(observer=observer, percentile=99.9, bias_correction=False)
    calibration = [tuple(torch.from_numpy(v) for v in batch) for batch in batches(16)]
    module = quantize_static(model(), examples(), calibration, config)
    quantize = torch.ops.quantized_decomposed.quantize_per_tensor.default
    scales = {float(n.args[1]) for n in module.graph.nodes if n.target is quantize}
    ceilings = [found.ceiling(observer, 99.9) for found in finder(observer).ranges(batches(48)).values()]
    assert sorted(scales) == pytest.approx(sorted({c / 127 for c in ceilings}), rel=1e-4)


@pytest.mark.parametrize("observer", get_args(Observer))
def test_64_chosen_samples_have_the_scales_of_all(observer: Observer) -> None:
    found = finder(observer)
    chosen = draw_set(source(), DrawConfig(samples=64, selection="ranges"), found.by_sample)
    method = found.method
    whole = {name: r.ceiling(observer, method.percentile) for name, r in found.whole.items()}

    def errors(tensors: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
        part = found.ranges([tuple(tensors)])
        return np.array([abs(r.ceiling(observer, method.percentile) / whole[n] - 1) for n, r in part.items()])

    near = errors(list(chosen.tensors.values()))
    drawn = errors(list(draw_set(source(), DrawConfig(samples=64)).tensors.values()))
    # How far a divergence lets a ceiling rise depends on how many values there are, and here the loud ones are few.
    assert np.median(near) <= (0.05 if observer == "entropy" else 0.02)
    assert np.quantile(near, 0.95) <= 0.10
    assert np.median(near) < np.median(drawn)


def test_an_activation_that_is_not_finite_names_layer_and_sample() -> None:
    broken = TwoSenses().eval()
    with torch.no_grad():
        broken.ear.weight.fill_(torch.inf)
    found = RangeFinder(broken, examples(), QuantizeConfig(), ("image", "sound", "present"))
    rows = batches(4, 0, 4)[0]
    rows[1][:2] = 0
    rows[1][2:] = 1
    ids = ["a", "b", "c", "d"]
    with pytest.raises(DataError, match=r"layer '.*' gives NaN or infinity for sample '[abcd]'"):
        found.ranges([rows], ids)


def test_no_sample_is_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        finder().ranges([])


def test_the_key_sees_weights_data_and_method() -> None:
    calibration = draw_set(source(), DrawConfig(samples=4))
    base = finder().key(calibration)
    assert finder().key(calibration) == base
    assert base.differences(finder("mse").key(calibration))[0].startswith("another method")
    assert base.differences(finder().key(draw_set(source(), DrawConfig(samples=5))))[0].startswith("another calib")
    torch.manual_seed(1)
    other = RangeFinder(TwoSenses().eval(), examples(), QuantizeConfig(percentile=99.9))
    assert [w.split(" (")[0] for w in base.differences(other.key(calibration))] == ["another model"]
