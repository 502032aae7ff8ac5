"""The INT8 comparison's own parts, which need no peer: its sides, what is counted, what is kept, what is written."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge.compress.samples import SampleSet
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.runtime.errors import DataError
from edge.training.metrics import AccuracyMetric

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FOLDERS = [str(BENCHMARKS / "compression"), str(BENCHMARKS / "peers"), str(BENCHMARKS)]
STATES = ("all", "only_image", "only_audio")
NAMES = ("image", "audio", "present")


@pytest.fixture(scope="module", autouse=True)
def _importable() -> Iterator[None]:
    sys.path[:0] = FOLDERS
    yield
    for folder in FOLDERS:
        sys.path.remove(folder)


def room(name: str) -> Any:
    return importlib.import_module(name)


class TinyNet(nn.Module):
    """Two convolutions, gated by `present`."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.audio = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(1, 8, 3, padding=1)
        self.head = nn.Linear(16, 2)

    def forward(self, image: torch.Tensor, audio: torch.Tensor, present: torch.Tensor) -> tuple[torch.Tensor]:
        maps = [torch.relu(layer(x)) for layer, x in ((self.image, image), (self.audio, audio))]
        pooled = [m.mean((2, 3)) * present[:, i : i + 1] for i, m in enumerate(maps)]
        return (self.head(torch.cat(pooled, 1)),)


def sample_set(split: str, count: int) -> SampleSet:
    generator = torch.Generator().manual_seed(len(split))
    classes = torch.arange(count) % 2
    images = torch.randn(count, 1, 6, 6, generator=generator) + classes.reshape(-1, 1, 1, 1)
    return SampleSet(
        split,
        tuple(f"{split}-{i}" for i in range(count)),
        tuple(f"{split}-recording-{i // 4}" for i in range(count)),
        (images, images.flip(3)),
        (classes,),
    )


@pytest.fixture(scope="module")
def trained() -> Any:
    """Quacks as `TrainedModel`: a model with its data."""
    torch.manual_seed(0)
    task = SimpleNamespace(modalities=NAMES[:2], output_kinds=("categorical",), metric=AccuracyMetric)
    measurer = SimpleNamespace(input_names=NAMES, output_names=("digit",), test=sample_set("test", 16))
    bench = SimpleNamespace(train=sample_set("train", 600), measurer=measurer, task=task)
    measured = SimpleNamespace(name="tiny", transformer=False)
    return SimpleNamespace(measured=measured, seed=0, module=TinyNet().eval(), bench=bench)


@pytest.fixture(scope="module")
def inputs(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return room("shared_inputs").share_inputs(trained, tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def test_split(trained: Any) -> SampleSet:
    split: SampleSet = trained.bench.measurer.test
    return split


def side_named(name: str) -> Any:
    return next(side for side in room("sides").SIDES if side.name == name)


def test_every_side_has_a_name_of_its_own_and_settings_that_json_takes() -> None:
    sides = room("sides").SIDES
    assert len({side.name for side in sides}) == len(sides)
    assert len({json.dumps([side.name, side.settings], sort_keys=True) for side in sides}) == len(sides)
    assert sum(side.ours for side in sides) == len(room("sides").OUR_VARIANTS)
    assert room("speed").REFERENCE in {side.name for side in sides}


def test_all_get_the_same_samples(inputs: Any) -> None:
    with np.load(inputs.samples_file) as stored:
        assert tuple(stored) == NAMES
        rows = {name: stored[name] for name in NAMES}
    for name, column in zip(NAMES, zip(*inputs.batches(), strict=True), strict=True):
        np.testing.assert_array_equal(torch.cat(column).numpy(), rows[name])
    reader = room("onnxruntime_sides").Samples(inputs.calibration)
    read = list(iter(reader.get_next, None))
    for name in NAMES:
        np.testing.assert_array_equal(np.concatenate([sample[name] for sample in read]), rows[name])


def test_calibration_sees_missing_modalities_as_zeros(inputs: Any) -> None:
    tensors = inputs.calibration.tensors
    present = tensors["present"]
    assert set(inputs.calibration.splits) == {"train"}
    assert present.min() == 0 and present.max() == 1 and (present.sum(1) >= 1).all()
    for column, name in enumerate(NAMES[:2]):
        missing = present[:, column] == 0
        assert not tensors[name][missing].any() and tensors[name][~missing].any()


def test_calibration_refuses_samples_of_another_split(trained: Any) -> None:
    bench = SimpleNamespace(**{**vars(trained.bench), "train": sample_set("validation", 600)})
    with pytest.raises(DataError):
        room("shared_inputs").draw_calibration(SimpleNamespace(**{**vars(trained), "bench": bench}))


@pytest.mark.parametrize("name", ["edge s8, min-max", "edge u8, min-max", "ONNX Runtime U8S8"])
def test_a_side_is_measured_once_and_kept(name: str, inputs: Any, test_split: SampleSet, tmp_path: Path) -> None:
    measurements = room("measurements")
    first = measurements.measure_side(side_named(name), inputs, test_split, tmp_path)
    assert tuple(first.counts.by_state) == STATES
    assert all(counts[:, 1].sum() == len(test_split) for counts in first.counts.by_state.values())
    fp32 = measurements.measure_float(inputs, test_split)
    assert first.record.weight_bytes < fp32.record.weight_bytes and first.record.cpu_seconds > 0

    def never(_inputs: Any) -> Any:
        raise AssertionError("quantized twice")

    again = room("sides").Side(name, True, side_named(name).settings, never)
    kept = measurements.measure_side(again, inputs, test_split, tmp_path)
    assert kept.graph == first.graph and kept.record == first.record
    changed = room("sides").Side(name, True, {"other": 1}, never)
    with pytest.raises(AssertionError, match="twice"):
        measurements.measure_side(changed, inputs, test_split, tmp_path)


@pytest.mark.parametrize("damage", ["graph.onnx", "counts.npz", "record.json"])
def test_what_is_kept_in_part_is_not_taken(damage: str, inputs: Any, test_split: SampleSet, tmp_path: Path) -> None:
    measurements, side = room("measurements"), side_named("ONNX Runtime U8S8")
    measurements.measure_side(side, inputs, test_split, tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / damage).unlink()
    assert measurements.load_measurement(folder, measurements.dependency_key(side, inputs, test_split)) is None


def test_weight_bytes_count_initializers_and_constant_nodes() -> None:
    held = numpy_helper.from_array(np.zeros((3, 5), np.int8), "weight")
    scale = numpy_helper.from_array(np.ones(2, np.float32))
    nodes = [
        helper.make_node("Constant", [], ["scale"], value=scale),
        helper.make_node("Identity", ["scale"], ["out"]),
    ]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])
    graph = onnx.helper.make_model(helper.make_graph(nodes, "g", [], [output], [held]))
    assert room("measurements").weight_bytes(graph.SerializeToString()) == 3 * 5 + 2 * 4


def test_seeds_are_pooled_by_recording() -> None:
    counts = [RecordingCounts("ab", {"all": np.array([[1.0, 2.0], [right, 2.0]])}) for right in (0.0, 2.0)]
    found = room("measurements").pooled(counts)
    np.testing.assert_array_equal(found.by_state["all"], [[2.0, 4.0], [2.0, 4.0]])
    with pytest.raises(ValueError, match="unpack"):
        room("measurements").pooled([counts[0], RecordingCounts("cd", counts[0].by_state)])


def test_a_missing_peer_is_named_with_its_command(tmp_path: Path) -> None:
    venv = room("peer_venv")
    with pytest.raises(venv.PeerMissingError, match=venv.INSTALL):
        venv.require("nncf", tmp_path / "python")
    makefile = (BENCHMARKS.parent / "Makefile").read_text(encoding="utf-8")
    assert f"\n{venv.INSTALL.removeprefix('make ')}:" in makefile


def test_a_peer_that_fails_says_what_happened() -> None:
    worker = room("onnx_quantizers")

    def broken(_asked: Any) -> tuple[str, ...]:
        raise ValueError("no such operator\nmore")

    assert worker.answering(broken)("{}") == {"error": "ValueError: no such operator"}
    assert set(worker.answering(lambda _asked: ("onnx",))("{}")) == {"cpu_seconds", "versions"}


def test_a_missing_modality_is_its_placeholder(trained: Any) -> None:
    branches = room("pooled_branches")
    torch.manual_seed(0)
    sizes = {"image": (28, 28), "audio": (40, 49)}
    for make in (branches.depthwise_net, branches.transformer_net):
        net = make(sizes, 10).train()  # with running statistics, an untrained net fades all signals to nothing
        images, sound = torch.randn(2, 1, 28, 28), torch.randn(2, 1, 40, 49)
        with torch.no_grad():
            (whole,) = net(images, sound, torch.ones(2, 2))
            (deaf,) = net(images, sound, torch.tensor([[1.0, 0.0]]).expand(2, 2))
            (silent,) = net(images, torch.zeros_like(sound), torch.tensor([[1.0, 0.0]]).expand(2, 2))
        assert whole.shape == (2, 10)
        torch.testing.assert_close(deaf, silent)
        assert not torch.equal(whole, deaf)


def summary_of(inputs: Any, trained: Any, rights: dict[str, float]) -> Any:
    """A model's entry: FP32 always right, and sides that are right in the given share of every recording."""
    measurements, summary = room("measurements"), room("summary")
    split = trained.bench.measurer.test

    def measurement(share: float) -> Any:
        by_state = {state: np.array([[4 * share, 4.0]] * 4) for state in STATES}
        record = measurements.SideRecord(
            key="", cpu_seconds=2.0, versions={"tool": "1"}, weight_bytes=100, file_bytes=200, native=None
        )
        return measurements.Measurement(b"", RecordingCounts("ab", by_state), record)

    sides = {name: measurement(share) for name, share in rights.items()}
    result = summary.SeedResult(0, trained, inputs, measurement(1.0), sides)
    measured = SimpleNamespace(title="Tiny", fit=room("measured_models").MODELS[0].fit)
    assert len(split) == 16
    speeds = {"a": {"over_fp32": {"ratio": 2.0, "interval": [1.9, 2.1], "range": [1.5, 2.5], "rounds": 9}}}
    return summary.summarize(measured, [result], speeds, {"b": "not installed: make it"})


def test_a_summary_holds_paired_losses_and_no_side_that_failed(inputs: Any, trained: Any) -> None:
    entry = summary_of(inputs, trained, {"a": 0.75, "b": 1.0})
    assert list(entry["sides"]) == ["a"] and entry["failed"] == {"b": "not installed: make it"}
    assert entry["seeds"] == [0] and entry["recordings"] == 4 and entry["test_samples"] == 16
    side = entry["sides"]["a"]
    assert side["lost"]["only_audio"] == {"estimate": 25.0, "low": 25.0, "high": 25.0}
    assert side["score"]["all"] == 75.0 and side["weights_smaller"] == 1.0 and side["over_fp32"]["ratio"] == 2.0
    json.dumps(entry)


@pytest.mark.parametrize("saturates", [True, False])
def test_the_page_says_what_was_measured_where(inputs: Any, trained: Any, saturates: bool) -> None:
    entry = summary_of(inputs, trained, {"a": 0.75})
    entry["host"] = {"cpu": "A Processor", "cpu_flags": ["avx2"], "machine": "x86_64", "saturates_u8s8": saturates}
    entry["sides"]["a"]["native_score_all"] = 61.25 if saturates else None
    text = room("page").write({"models": {"tiny": entry}})
    assert "25.00 [25.00, 25.00]" in text and "2.00x [1.90, 2.10]" in text and "A Processor (avx2)" in text
    assert ("61.25" in text) is saturates and ("no VNNI" in text) is saturates
    assert "- b: not installed: make it" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| ")}
    assert widths == {6 if saturates else 5, 6}


def test_a_model_measured_again_leaves_the_others(tmp_path: Path) -> None:
    compare, path = room("compare"), tmp_path / "compression.json"
    for name, value in (("street", 1), ("av-digits", 2), ("street", 3)):
        compare.add_result(path, name, {"value": value})
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["models"] == {"av-digits": {"value": 2}, "street": {"value": 3}}
    assert list(written["models"]) == ["av-digits", "street"] and written["environment"]["python"]
