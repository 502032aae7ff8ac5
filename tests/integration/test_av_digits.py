"""The AV digits example at small scale: its data as the task defines it, and the whole chain to INT8."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from edge.data.dataset_folder import DatasetManifest, load_split, read_manifest
from edge.project import load_project
from edge.runtime.rig import load_rig
from edge.workbench import open_workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.compress.stages.measure import MeasuredStage

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "av_digits"
STATES = ("all", "only_image", "only_audio")
CHANCE = 10.0
NARROW = {"embedding": 16, "hidden": [16, 32], "depths": [1, 1]}
WIDE = {"embedding": 24, "hidden": [32, 64], "depths": [1, 1]}
SMALL = {
    "teacher": {"encoders": {"image": WIDE, "audio": WIDE}, "fusion": {"channels": 64}},
    "student": {"encoders": {"image": NARROW, "audio": NARROW}, "fusion": {"channels": 32}},
    "train": {"epochs": 2, "batch_size": 32},
    "recipe": {
        "stages": [
            {"stage": "distill", "fit": {"epochs": 2, "batch_size": 32, "learning_rate": 0.004}},
            {"stage": "prune", "prune": {"macs_ratio": 0.8}, "fit": {"epochs": 1, "batch_size": 32}},
            {"stage": "quantize", "samples": 64},
        ]
    },
}


@pytest.fixture(scope="module")
def dataset(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("av_digits") / "data"
    counts = ("--train", "3000", "--validation", "320", "--test", "400")
    command = [sys.executable, str(EXAMPLE / "prepare.py"), str(shared_data), str(out), *counts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def stages(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[MeasuredStage]:
    path = tmp_path_factory.mktemp("project") / "small.yaml"
    data = {"path": str(dataset), "rig": str(dataset / "rig.yaml")}
    path.write_text(yaml.safe_dump({"base": str(EXAMPLE / "project.yaml"), "data": data, **SMALL}))
    bench = open_workbench(load_project(path), dataset)
    teacher = bench.measure_teacher(*bench.train_teacher())
    return [teacher, *bench.compress(teacher)]


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports the example's modules as its script does."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield importlib.import_module
    for name in ("prepare", "digit_samples", "digit_sources", "digit_splits", "digit_voices"):
        sys.modules.pop(name, None)


@pytest.fixture
def prepare(modules: Callable[[str], ModuleType]) -> Callable[..., None]:
    """The script's entry point, which takes what its options take."""
    main: Callable[..., None] = modules("prepare").main
    return main


@pytest.fixture
def samples_module(modules: Callable[[str], ModuleType]) -> ModuleType:
    return modules("digit_samples")


def indices(manifest: DatasetManifest, split: str) -> set[int]:
    return {int(name.split("_")[2]) for s, m in manifest.splits.items() if s == split for name in m.recordings}


def test_the_splits_are_those_of_the_task(dataset: Path) -> None:
    manifest = read_manifest(dataset)  # which refuses a recording in two splits
    assert indices(manifest, "test") == set(range(5))
    assert indices(manifest, "train") | indices(manifest, "validation") == set(range(5, 50))
    assert len(set(manifest.splits["test"].recordings)) == 200
    assert manifest.provenance["image_sigma"] == 0.9
    assert manifest.provenance["snr_db"] == 0.0
    ranges = manifest.provenance["images"]
    assert isinstance(ranges, dict)
    assert ranges["test"] == [5500, 7000]
    assert max(end for split, (_, end) in ranges.items() if split != "test") <= 5500


def test_targets_are_what_the_recordings_say(dataset: Path) -> None:
    samples = load_split(dataset, "test")
    assert samples.targets[0].tolist() == [int(name[0]) for name in samples.recordings]
    assert load_rig(dataset / "rig.yaml").stream("audio").sample_rate_hz == 8000


def test_a_seed_repeats_the_dataset(
    prepare: Callable[..., None], shared_data: Path, dataset: Path, tmp_path: Path
) -> None:
    prepare(shared_data, tmp_path / "again", train=20, validation=1, test=1)
    prepare(shared_data, tmp_path / "other", train=20, validation=1, test=1, seed=1)
    first, again, other = (load_split(f, "train").inputs for f in (dataset, tmp_path / "again", tmp_path / "other"))
    for i in range(2):
        assert np.array_equal(first[i][:20].numpy(), again[i].numpy())
        assert not np.array_equal(again[i].numpy(), other[i].numpy())


def test_a_held_out_speaker_is_heard_in_the_test_alone(
    prepare: Callable[..., None], shared_data: Path, tmp_path: Path
) -> None:
    prepare(shared_data, tmp_path / "data", train=1300, validation=130, test=500, held_out_speaker="lucas")
    splits = read_manifest(tmp_path / "data").splits
    speakers = {split: {name.split("_")[1] for name in m.recordings} for split, m in splits.items()}
    assert speakers["test"] == {"lucas"}
    assert speakers["train"] == speakers["validation"] == {"george", "jackson", "nicolas"}
    assert len(set(splits["test"].recordings)) == 500
    assert read_manifest(tmp_path / "data").provenance["varied_voices"] == {
        "speed": 1.3,
        "tempo": 1.3,
        "snr_db": [-9.0, 1.0],
    }


@pytest.mark.parametrize("factor", [0.7, 0.95, 1.0, 1.3])
def test_speed_moves_the_pitch_and_tempo_does_not(modules: Callable[[str], ModuleType], factor: float) -> None:
    voices = modules("digit_voices")
    tone = np.sin(2 * np.pi * 500 * np.arange(8000) / 8000).astype(np.float32)
    for changed, pitch in ((voices.at_speed(tone, factor), 500 * factor), (voices.at_tempo(tone, factor), 500)):
        assert changed.dtype == np.float32
        assert len(changed) / len(tone) == pytest.approx(1 / factor, rel=0.01)
        middle = changed[len(changed) // 4 : -len(changed) // 4]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        assert spectrum.argmax() * 8000 / len(middle) == pytest.approx(pitch, abs=2.5)
        assert 0.6 < middle.std() / tone.std() < 1.05  # a phase vocoder lets neighbouring bins drift apart a little


def test_what_would_fold_back_is_taken_away(modules: Callable[[str], ModuleType]) -> None:
    tone = np.sin(2 * np.pi * 3500 * np.arange(8000) / 8000).astype(np.float32)
    assert np.abs(modules("digit_voices").at_speed(tone, 1.5)).max() < 0.01


def test_voices_are_as_varied_as_they_say_and_repeat(modules: Callable[[str], ModuleType]) -> None:
    variation = modules("digit_voices").VoiceVariation(speed=1.5, tempo=1.2, snr_db=(-6.0, 2.0))
    word = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    spoken = [variation.speak(word, np.random.default_rng(seed)) for seed in range(40)]
    lengths = np.array([len(word) / len(samples) for samples in spoken])
    assert 1 / 1.9 < lengths.min() < 0.7 and 1.4 < lengths.max() < 1.9
    assert np.array_equal(spoken[3], variation.speak(word, np.random.default_rng(3)))
    assert all(-6 <= variation.draw_snr_db(np.random.default_rng(seed)) <= 2 for seed in range(40))


@pytest.mark.parametrize(("speaker", "problem"), [("nobody", "hold out one of"), (None, "holds no wav files")])
def test_mistakes_end_in_one_line(
    prepare: Callable[..., None],
    shared_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    speaker: str | None,
    problem: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        prepare(shared_data if speaker else tmp_path, tmp_path / "data", held_out_speaker=speaker)
    assert stopped.value.code == 2
    assert problem in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "data").exists()


def test_noise_keeps_its_information_in_eight_bits(samples_module: ModuleType) -> None:
    pixels = np.random.default_rng(0).uniform(0, 1, 20_000) + np.random.default_rng(1).normal(0, 0.9, 20_000)
    levels = samples_module.quantize(pixels)
    assert np.mean((levels == 0) | (levels == 255)) < 0.005, "almost nothing is clipped"
    span = samples_module.PIXEL_HIGH - samples_module.PIXEL_LOW
    back = samples_module.PIXEL_LOW + levels / 255 * span
    assert np.sqrt(np.mean((back - pixels) ** 2)) < 0.02


@pytest.mark.parametrize("loudness", [1e-3, 0.3, 1.0])
def test_speech_and_background_have_equal_power(samples_module: ModuleType, loudness: float) -> None:
    generator = np.random.default_rng(0)
    speech = (loudness * np.sin(np.arange(8000))).astype(np.float32)
    noise = generator.normal(0, 0.01, 8000).astype(np.float32)
    mixed = samples_module.mix(speech, noise)
    design = np.stack([speech, noise], axis=1).astype(np.float64)
    gains = np.linalg.lstsq(design, mixed.astype(np.float64), rcond=None)[0]
    powers = gains**2 * np.mean(design**2, axis=0)
    assert powers[0] == pytest.approx(powers[1], rel=1e-3)
    assert np.abs(mixed).max() <= 1.0


@pytest.mark.parametrize("length", [500, 8000, 9500])
def test_recordings_fill_the_window_whole_or_cut(samples_module: ModuleType, length: int) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    placed = samples_module.place(samples, 8000, np.random.default_rng(0))
    assert len(placed) == 8000
    sounding = placed[placed > 0]
    assert len(sounding) == min(length, 8000)
    assert (np.diff(sounding) == 1).all()


def test_every_stage_beats_chance_in_every_state_and_fusion_beats_single_modalities(
    stages: list[MeasuredStage],
) -> None:
    assert [stage.record.name for stage in stages] == ["teacher", "student", "prune", "quantize"]
    for stage in stages:
        scores = {state: metrics["score"] for state, metrics in stage.record.metrics.items()}
        assert set(scores) == set(STATES)
        assert min(scores.values()) > 3 * CHANCE, (stage.record.name, scores)
        assert scores["all"] > max(scores["only_image"], scores["only_audio"]) + 3, (stage.record.name, scores)


def test_every_step_shrinks_and_int8_costs_little(stages: list[MeasuredStage]) -> None:
    sizes = [stage.record.bytes for stage in stages]
    assert sizes == sorted(sizes, reverse=True)
    before, after = stages[-2].record.metrics, stages[-1].record.metrics
    assert all(before[state]["score"] - after[state]["score"] <= 3 for state in STATES)
    assert stages[-1].record.notes["u8_agrees_with_s8"] >= 0.97
