"""Text and series all the way: torch, INT8, bundle, `edge verify`, `run`, `profile` and `check`, with int64 ids."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from edge.calibration.dataset import CalibrationSet
from edge.calibration.drawing import DrawConfig
from edge.calibration_run import SET, run_calibration
from edge.cli import app
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.data.dataset_folder import DatasetManifest, SplitSpec, TensorSpec, create_arrays
from edge.packing.pack import pack_bundle
from edge.runtime.bundle import Bundle
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.faults import FaultySource, parse_fault
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import ManualClock
from edge.runtime.pipeline import Pipeline, RunSettings
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.sample import Sample, Series, Text
from edge.runtime.sinks.mcap_recorder import McapRecorder
from tests.runtime.preprocess.small_tokenizer import tokenizer_json
from tests.runtime.text_bundle import (
    CLASSES,
    LENGTH,
    SAID,
    STEPS,
    VOCABULARY,
    PlantSource,
    text_contents,
    text_io,
    text_rig,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge.checkpoint import Checkpoint
    from edge.runtime.fusion import Inference
    from edge.runtime.result import FusedResult
    from edge.runtime.sources.base import Source

pytestmark = pytest.mark.integration
NAMES = ("ids", "last", "now", "present")


class PlantModel(nn.Module):
    """An embedding, a convolution over the series, and a layer over the reading."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 16)
        self.course = nn.Conv2d(2, 16, (1, 3), padding=(0, 1))
        self.speed = nn.Linear(1, 16)
        self.join = nn.Linear(3 * 16 + 3, 32)
        self.state = nn.Linear(32, len(CLASSES))

    def forward(self, ids: Tensor, last: Tensor, now: Tensor, present: Tensor) -> Tensor:
        said = self.words(ids).mean(1)
        course = torch.relu(self.course(last.unsqueeze(2))).mean((2, 3))
        speed = torch.relu(self.speed(now))
        joined = torch.cat([said, course, speed, present], 1)
        found: Tensor = self.state(torch.relu(self.join(joined)))
        return found


def samples(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Modalities as the runtime's own preprocessing makes them."""
    made, random = Preprocessor(text_io(), text_rig(), {"words.json": tokenizer_json()}), np.random.default_rng(seed)
    from edge.runtime.sample import Reading

    rows = [
        made.inputs(
            {
                "report": Text(str(random.choice(SAID))),
                "room": Series((random.normal(size=(STEPS, 2)) * 4 + (20, 50)).astype(np.float32), ("t", "h")),
                "speed": Reading((random.normal(size=1) * 90 + 1000).astype(np.float32), ("rpm",)),
            }
        )
        for _ in range(count)
    ]
    ids, last, now = (torch.from_numpy(np.concatenate([row[name] for row in rows])) for name in NAMES[:3])
    return ids, last, now


@pytest.fixture(scope="module")
def model() -> PlantModel:
    torch.manual_seed(3)
    return PlantModel().eval()


@pytest.fixture(scope="module")
def bundle(model: PlantModel, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Quantized on random plants; the golden inputs are of the runtime's own preprocessing."""

    def inputs(count: int, seed: int) -> tuple[Tensor, ...]:
        return (*samples(count, seed), torch.ones(count, 3))

    quantized = quantize_static(model, inputs(2, 0), [inputs(8, 1), inputs(8, 2)], QuantizeConfig())
    one = inputs(1, 4)
    exported = export_onnx(quantized, one, NAMES, ("state",))
    graphs = {
        "s8": write_s8(exported).SerializeToString(),
        "u8": write_u8(write_s8(exported)).SerializeToString(),
        "fp32": export_onnx(model, one, NAMES, ("state",)).SerializeToString(),
    }
    return pack_bundle(tmp_path_factory.mktemp("plant") / "bundle", text_contents(graphs))


class Lines:
    """A sink of result lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, result: FusedResult) -> None:
        self.lines.append(json.dumps(result.to_json()))

    def close(self, *, complete: bool) -> None:
        assert complete


def ran(bundle: Bundle, source: Source, **settings: Any) -> tuple[list[dict[str, Any]], Pipeline, list[Inference], Any]:
    sink, seen = Lines(), cast("list[Inference]", [])
    engine = OnnxRuntimeEngine(bundle.graph("fp32"), model_io=bundle.model_io)
    pipeline = Pipeline(
        bundle, source, engine, [sink], RunSettings(**settings), on_fused=lambda inference, _: seen.append(inference)
    )
    trace = pipeline.run()
    return [json.loads(line) for line in sink.lines], pipeline, seen, trace


def with_faults(seconds: float, *faults: str) -> FaultySource:
    return FaultySource(PlantSource(seconds), [parse_fault(text) for text in faults], seed=1)


def test_every_dialect_takes_int64_ids_and_agrees_with_torch(bundle: Bundle, model: PlantModel) -> None:
    feeds = bundle.golden_inputs()
    assert all(feed["ids"].dtype == np.int64 for feed in feeds)
    for feed in feeds:
        expected = model(*(torch.from_numpy(feed[name]) for name in NAMES)).detach().numpy()
        for dialect, most in (("fp32", 1e-5), ("s8", 0.1), ("u8", 0.1)):
            engine = OnnxRuntimeEngine(bundle.graph(dialect), dialect, model_io=bundle.model_io, emulate_int8=True)
            assert np.abs(engine.run(feed)["state"] - expected).max() < most, dialect


def test_a_run_gives_what_the_model_says_of_what_was_matched(bundle: Bundle, model: PlantModel) -> None:
    results, _, seen, _ = ran(bundle, PlantSource(8))
    whole = [k for k, r in enumerate(results) if r["state"] == "all"]
    assert len(whole) > 70
    made = Preprocessor(bundle.model_io, text_rig(), bundle.tokenizers())
    for k in whole[::7]:
        fused = seen[k].synced.samples
        tensors = made.inputs({name: sample.payload for name, sample in fused.items()})
        expected = model(*(torch.from_numpy(tensors[name]) for name in NAMES)).softmax(1).detach().numpy()[0]
        (event,) = results[k]["events"]
        assert event["class"] == CLASSES[int(expected.argmax())]
        assert event["score"] == pytest.approx(expected.max(), abs=1e-4)
        assert isinstance(fused["report"].payload, Text)
        # The readings of 20 Hz up to the one at the anchor's stamp.
        last = fused["room"].payload
        assert isinstance(last, Series)
        at = (fused["room"].stamp_ns - 5 * 10**9) / 1e9 * 20
        np.testing.assert_allclose(last.values[:, 1], [50 + (round(at) - k) % 9 for k in range(STEPS - 1, -1, -1)])


FAULTS = (
    "report:empty@2s+1.5s",
    "room:stall@4s+1s",
    "room:drop@6s+2s,p=.2",
    "report:wrong-size@7s+1s",
    "speed:late@3s+1s,by=40ms",
)


def test_a_run_with_faults_repeats_to_the_byte_and_tells_what_was_missing(bundle: Bundle) -> None:
    first, _, _, trace = ran(bundle, with_faults(12, *FAULTS))
    again, *_ = ran(bundle, with_faults(12, *FAULTS))
    assert json.dumps(first) == json.dumps(again)
    states = Counter(result["state"] for result in first)
    assert states["all"] > 60 and states["no_room"] > 5
    assert trace.dropped["report:empty"] == 2 and trace.dropped["report:wrong_size"] == 1
    for result in first:
        assert ("room" in result["present"]) == (result["state"] in ("all", "no_report"))


def test_a_text_that_is_too_long_never_reaches_the_model_and_is_counted(bundle: Bundle) -> None:
    def change(sample: Sample) -> Sample:
        is_long = sample.stream == "report" and sample.seq in (2, 3)
        return replace(sample, payload=Text("door " * (LENGTH + 1))) if is_long else sample

    results, _, seen, trace = ran(bundle, PlantSource(6, change))
    hit = [k for k, one in enumerate(seen) if "report" in one.refused]
    assert len(hit) == 20 == trace.dropped["report:too_long"]  # held for a second each
    for k in hit:
        assert seen[k].refused == {"report": "too_long"}
        assert results[k]["state"] == "no_report" and "report" not in results[k]["present"]
        assert results[k]["levels"]["report"] in ("blind", "ok")  # by hysteresis
    assert results[hit[-1]]["levels"]["report"] == "blind"


def test_what_is_too_long_alone_is_blind_with_the_reason(tmp_path: Path) -> None:
    bundle = pack_bundle(tmp_path / "bundle", replace(text_contents(), validated_states={"only_report": 50.0}))

    def change(sample: Sample) -> Sample:
        return replace(sample, payload=Text("door " * 9)) if sample.stream == "report" else sample

    results, *_ = ran(bundle, PlantSource(4, change))
    assert results and not any(result["valid"] for result in results)
    assert results[-1]["reason"] == "no validated state is contained in room, speed (report: too_long)"


def test_live_gives_the_states_and_answers_of_virtual_time(bundle: Bundle) -> None:
    samples_of = list(with_faults(6, "room:stall@3s+1s").samples())
    virtual, *_ = ran(bundle, with_faults(6, "room:stall@3s+1s"), compute_ms=0.0)
    clock = ManualClock(samples_of[0].arrival_ns)
    engine = OnnxRuntimeEngine(bundle.graph("fp32"), model_io=bundle.model_io)
    with Runtime(bundle, text_rig(), engine, depth=512, results=512, clock=clock) as runtime:
        for sample in samples_of:
            clock.move_to(sample.arrival_ns)
            assert runtime.push(sample)
            assert runtime.settle()
        runtime.finish()
        live = [result.to_json() for result in runtime]

    def answers(results: Iterable[Any]) -> dict[int, Any]:
        return {r["stamp_ns"]: (r["state"], r["events"]) for r in results}

    theirs, mine = answers(virtual), answers(live)
    assert len(mine) > 50 and {state for state, _ in mine.values()} >= {"all", "no_room"}
    assert {stamp: theirs[stamp] for stamp in mine if stamp in theirs} == {k: mine[k] for k in mine if k in theirs}
    assert len(mine.keys() & theirs.keys()) > 50


def test_memory_holds_texts_and_series(bundle: Bundle) -> None:
    _, pipeline, *_ = ran(bundle, PlantSource(2))
    items = {item.what: item.bytes for item in pipeline.plan_memory().items}
    assert next(size for what, size in items.items() if what.startswith("report: ")) >= 200 * 4
    assert items["room: series"] == 2 * STEPS * 2 * 4
    assert items["the model's input tensors"] == 2 * (LENGTH * 8 + 2 * STEPS * 4 + 4)


def command(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done


def in_a_process_of_its_own(*arguments: str | Path) -> None:
    """As a user starts it: what the other tests have loaded does not count against a limit on memory."""
    line = [sys.executable, "-m", "edge", *(str(a) for a in arguments)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plant as a recording, with text and readings."""
    pytest.importorskip("mcap")
    path = tmp_path_factory.mktemp("film") / "plant.mcap"
    recorder = McapRecorder(path, text_rig(), description="a plant in a test")
    for sample in PlantSource(6).samples():
        recorder.add_sample(sample)
    recorder.close(complete=True)
    return path


def test_commands_take_the_bundle(bundle: Bundle, film: Path, tmp_path: Path) -> None:
    command("verify", bundle.path)
    source = ("--source", f"mcap:{film}")
    for name in ("first", "again"):
        command("run", bundle.path, *source, "--out", tmp_path / name, "--record", tmp_path / f"{name}.mcap")
    lines = [(tmp_path / name / "results.jsonl").read_bytes() for name in ("first", "again")]
    assert lines[0] == lines[1] and len(lines[0].splitlines()) > 50
    command("run", bundle.path, "--source", f"mcap:{tmp_path / 'first.mcap'}", "--out", tmp_path / "replayed")
    assert (tmp_path / "replayed" / "results.jsonl").read_bytes() == lines[0]
    faulty = ("--fault", "report:nan@1s+2s", "--memory-limit", "2GiB")
    in_a_process_of_its_own("run", bundle.path, *source, "--out", tmp_path / "faulty", *faulty)
    report = json.loads((tmp_path / "faulty" / "report.json").read_text())
    assert report["runtime"]["dropped"]["report:unreadable"] == 2
    command("inspect", bundle.path)


def test_profile_times_the_road_of_text(bundle: Bundle, film: Path, tmp_path: Path) -> None:
    source = ("--source", f"mcap:{film}")
    command("profile", bundle.path, *source, "--samples", "60", "--out", tmp_path / "profile")
    found = json.loads((tmp_path / "profile" / "profile.json").read_text())
    assert found["stages_ms"]["preprocess"]["distribution"]["p50"] > 0
    command("profile", bundle.path, "--samples", "20", "--no-layers", "--out", tmp_path / "goldens")
    found = json.loads((tmp_path / "goldens" / "profile.json").read_text())
    assert any("Preprocessing was not timed" in note for note in found["notes"])


@pytest.mark.parametrize("target", ["orin-nano-8gb", "agx-thor-t5000"])
def test_check_takes_int64_ids(bundle: Bundle, target: str) -> None:
    steps = json.loads(command("check", bundle.path, "--target", target, "--json").output)["steps"]
    passed = {step["name"] for step in steps if step["status"] == "passed"}
    assert passed >= {"ONNX", "ONNX Runtime", "operators", "precision", "memory"}
    assert not [step for step in steps if step["status"] == "failed"]


def test_calibrate_draws_ids_as_ids(model: PlantModel, tmp_path: Path) -> None:
    io, count = text_io(), 24
    manifest = DatasetManifest(
        schema=1,
        name="plant",
        provenance={},
        inputs=tuple(
            TensorSpec(name=item.tensor, dtype=item.dtype, shape=item.shape[1:])
            for item in io.inputs
            if item.feature != "present"
        ),
        targets=(TensorSpec(name="label", dtype="int64", shape=()),),
        splits={"train": SplitSpec(ids=tuple(map(str, range(count))), recordings=tuple(map(str, range(count))))},
    )
    arrays = create_arrays(tmp_path, manifest)["train"]
    for name, values in zip(NAMES, samples(count, 8), strict=False):
        arrays[name][:] = values.numpy()
    for array in arrays.values():
        array.flush()
    saved = cast("Checkpoint", SimpleNamespace(model=model, manifest=SimpleNamespace(project=SimpleNamespace(io=io))))
    from contextlib import nullcontext

    coverage = run_calibration(
        saved,
        tmp_path,
        DrawConfig(samples=12, selection="ranges"),
        QuantizeConfig(),
        tmp_path / "out",
        lambda _: nullcontext(),
    )
    kept = CalibrationSet.load(tmp_path / "out" / SET)
    assert kept.tensors["ids"].dtype == np.int64 and kept.manifest.tensors["ids"].dtype == "int64"
    assert kept.tensors["ids"].max() < VOCABULARY
    assert coverage.samples == 12 and "ids" not in coverage.tensors
    assert all(found.values for found in coverage.tensors.values())
