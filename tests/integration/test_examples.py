"""The examples: what their generators make, how their scripts refuse, and each of them from its data to streams."""

from __future__ import annotations

import csv
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from edge.data.dataset_folder import load_split
from edge.project import ManifestData, load_project
from edge.report.publish import read_report
from edge.runtime.bundle import Bundle
from edge.runtime.model_io import TokensInput
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.rig import load_rig
from edge.runtime.sources.manifest_layout import read_layout
from edge.runtime.sources.manifest_payloads import PayloadReader
from edge.runtime.sources.manifest_rows import parse_rows
from edge.runtime.sources.manifest_table import CsvTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

PATIENCE = 1500
pytestmark = [pytest.mark.integration, pytest.mark.timeout(PATIENCE + 60)]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = ("street", "av_digits", "bearing", "medicine", "occupancy")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Imports a module of an example as its script does; no two examples in one test."""
    before = set(sys.modules)

    def load(example: str, name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(EXAMPLES / example))
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(EXAMPLES)):
            del sys.modules[name]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def refusal(capsys: pytest.CaptureFixture[str], main: Callable[..., None], *words: Any, **options: Any) -> str:
    """What a script says, in one line, when it refuses."""
    with pytest.raises(SystemExit) as stopped:
        main(*words, **options)
    assert stopped.value.code == 2
    return " ".join(capsys.readouterr().err.split())


# Bearing ----------------------------------------------------------------------------------------------------------


def test_a_6205_strikes_at_its_published_rates(modules: Callable[[str, str], ModuleType]) -> None:
    """Multiples of the shaft's rate as Case Western Reserve University gives them for this bearing."""
    bearing = modules("bearing", "bearing_geometry").DEEP_GROOVE_6205
    found = (bearing.outer_rate, bearing.inner_rate, bearing.cage_rate, 2 * bearing.spin_rate)
    assert found == pytest.approx((3.5848, 5.4152, 0.39828, 4.7135), abs=2e-3)


def test_the_load_lies_in_its_zone(modules: Callable[[str, str], ModuleType]) -> None:
    share = modules("bearing", "bearing_geometry").load_share
    angles = np.linspace(-np.pi, np.pi, 721)
    half = share(angles, 0.5)
    assert half.max() == pytest.approx(1) and angles[half.argmax()] == pytest.approx(0, abs=1e-9)
    assert np.allclose(half, half[::-1])
    assert (half[np.abs(angles) > np.pi / 2 + 1e-9] == 0).all()
    assert (half > 0).sum() < (share(angles, 0.7) > 0).sum()


@pytest.mark.parametrize(("fault", "rate"), [("outer", 3.585), ("inner", 5.415), ("ball", 4.714)])
def test_strikes_come_at_the_rate_of_the_fault_and_sound_so(
    modules: Callable[[str, str], ModuleType], fault: str, rate: float
) -> None:
    """The spectrum of the squared signal, averaged over runs, is highest near the rate or a shaft line beside it."""
    machines, vibration = modules("bearing", "bearing_machines"), modules("bearing", "bearing_vibration")
    count, speed_hz = 12_000, 15.0
    power = np.zeros(count // 2 + 1)
    for number in range(6):
        machine = machines.draw_machine(number, 0)
        run = machines.Run(machine, "m-r0", fault, "drive", 6.0)
        heard = vibration.record_vibration(run, speed_hz, 1.0, count, np.random.default_rng(number))["drive"]
        spectrum = np.fft.rfft(heard)
        spectrum[: round(1000 * count / vibration.RATE_HZ)] = 0  # the unbalance and the teeth
        envelope = np.fft.irfft(spectrum, count) ** 2
        power += np.abs(np.fft.rfft(envelope - envelope.mean()))
    hertz = np.fft.rfftfreq(count, 1 / vibration.RATE_HZ)
    searched = (hertz > 1.5 * speed_hz) & (hertz < 7 * speed_hz)
    loudest = hertz[searched][power[searched].argmax()]
    lines = rate * speed_hz + speed_hz * np.array([-1, -0.796, -0.398, 0, 0.398, 0.796, 1])
    assert np.abs(lines - loudest).min() < 1.5


def test_a_far_fault_is_fainter_and_none_is_quiet(modules: Callable[[str, str], ModuleType]) -> None:
    machines, vibration = modules("bearing", "bearing_machines"), modules("bearing", "bearing_vibration")
    machine = machines.draw_machine(0, 0)

    def loudness(fault: str, heard_at: str) -> float:
        run = machines.Run(machine, "m-r0", fault, "drive", 2.0)
        heard: NDArray[np.float32] = vibration.record_vibration(run, 15.0, 1.0, 12_000, np.random.default_rng(0))[
            heard_at
        ]
        spectrum = np.abs(np.fft.rfft(heard))[1200:]
        return float(np.square(spectrum).mean())

    assert loudness("outer", "drive") > 1.5 * loudness("outer", "fan") > 1.5 * loudness("none", "fan")


def test_bearings_repeat_by_seed_and_no_machine_is_in_two_splits(
    modules: Callable[[str, str], ModuleType], tmp_path: Path
) -> None:
    prepare = modules("bearing", "prepare")
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        prepare.main(tmp_path / name, machines=10, seed=seed)
    rows, other = rows_of(tmp_path / "first"), rows_of(tmp_path / "other")
    assert rows == rows_of(tmp_path / "again") != other
    sound = rows[3]["drive"]
    same = [(tmp_path / name / sound).read_bytes() for name in ("first", "again", "other")]
    assert same[0] == same[1] != same[2]
    machines = {split: {row["machine"] for row in rows if row["split"] == split} for split in prepare.SPLIT_OF}
    assert sum(len(names) for names in machines.values()) == 10 == len(set.union(*machines.values()))
    assert [sum(row["fault"] == fault for row in rows) for fault in prepare.FAULTS] == [200] * 4


def test_too_few_machines_are_refused(
    modules: Callable[[str, str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(capsys, modules("bearing", "prepare").main, tmp_path / "data", machines=9, seed=0)
    assert "9 machines" in told and "at least 10" in told
    assert not (tmp_path / "data").exists()


# Medicine ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def patients(modules: Callable[[str, str], ModuleType], tmp_path: Path) -> Path:
    modules("medicine", "prepare").main(tmp_path / "data", patients=1200, seed=0)
    return tmp_path / "data"


def test_patients_lack_examinations_and_never_all(modules: Callable[[str, str], ModuleType], patients: Path) -> None:
    missing = modules("medicine", "patient_cases").MISSING
    rows = rows_of(patients)
    columns = {"picture": "picture", "report": "report", "labs": "ldh_u_l"}
    for name, column in columns.items():
        assert np.mean([not row[column] for row in rows]) == pytest.approx(missing[name], abs=0.04)
    assert all(any(row[column] for column in columns.values()) for row in rows)
    fields = modules("medicine", "patient_laboratory").FIELDS
    assert {sum(bool(row[field]) for field in fields) for row in rows} == {0, len(fields)}
    assert sorted(path.name for path in (patients / "png").iterdir()) == [
        f"{row['id']}.png" for row in rows if row["picture"]
    ]


def test_every_split_has_every_diagnosis_alike(patients: Path) -> None:
    rows = rows_of(patients)
    for split, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        found = [row["diagnosis"] for row in rows if row["split"] == split]
        assert len(found) == share * len(rows)
        assert {found.count(name) for name in set(found)} == {len(found) // 4}


def test_the_tokenizer_knows_the_reports_and_none_is_too_long(patients: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(patients / "tokenizer.json"))
    item = next(i for i in load_project(EXAMPLES / "medicine" / "project.yaml").io.inputs if isinstance(i, TokensInput))
    assert tokenizer.token_to_id("[PAD]") == 0
    assert tokenizer.get_vocab_size() <= item.vocabulary
    codes = [tokenizer.encode(row["report"]).ids for row in rows_of(patients) if row["report"]]
    assert max(map(len, codes)) <= item.length
    unknown = tokenizer.token_to_id("[UNK]")
    assert np.mean([code == unknown for ids in codes for code in ids]) < 0.001


def test_blood_values_alone_tell_much_and_not_all(modules: Callable[[str, str], ModuleType]) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    cases, laboratory = modules("medicine", "patient_cases"), modules("medicine", "patient_laboratory")
    values, diagnoses = [], []
    for number in range(3000):
        generator = np.random.default_rng([5, number])
        patient = cases.draw_patient(number, generator)
        values.append(list(laboratory.draw_values(patient, generator).values()))
        diagnoses.append(patient.diagnosis)
    table = (np.array(values) - np.mean(values, 0)) / np.std(values, 0)
    model = linear_model.LogisticRegression(max_iter=300).fit(table[:2000], diagnoses[:2000])
    assert 0.75 < model.score(table[2000:], diagnoses[2000:]) < 0.9


def test_too_few_patients_are_refused(
    modules: Callable[[str, str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(capsys, modules("medicine", "prepare").main, tmp_path / "data", patients=20, seed=0)
    assert "20 patients" in told and "at least 100" in told
    assert not (tmp_path / "data").exists()


# Occupancy --------------------------------------------------------------------------------------------------------


def test_occupancy_is_split_as_published_and_validation_is_the_end_of_training(
    modules: Callable[[str, str], ModuleType], shared_data: Path, tmp_path: Path
) -> None:
    modules("occupancy", "prepare").main(shared_data / "occupancy", tmp_path / "data", every=1)
    rows = rows_of(tmp_path / "data")
    splits = [row["split"] for row in rows]
    assert [splits.count(split) for split in ("train", "validation", "test")] == [6129, 2014, 2665 + 9752]
    assert max(row["time"] for row in rows if row["split"] == "train") < "2015-02-09"
    assert min(row["time"] for row in rows if row["split"] == "validation") == "2015-02-09T00:00:00"
    assert len({row["id"] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, "datatraining.txt cannot be read"),
        (("721.25", "much"), "row 1 is malformed"),
        (('"Light"', '"Lamp"'), "no column 'Light'"),
    ],
)
def test_bad_occupancy_files_are_named(
    modules: Callable[[str, str], ModuleType],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str] | None,
    told: str,
) -> None:
    header = '"date","Temperature","Humidity","Light","CO2","HumidityRatio","Occupancy"'
    content = f'{header}\n"1","2015-02-04 17:51:00",23.18,27.272,426,721.25,0.0047,1\n'
    folder = tmp_path / "room"
    folder.mkdir()
    if change is not None:
        for name in ("datatraining.txt", "datatest.txt", "datatest2.txt"):
            (folder / name).write_text(content.replace(*change), encoding="utf-8")
    message = refusal(capsys, modules("occupancy", "prepare").main, folder, tmp_path / "data", every=1)
    assert told in message and "UCI" in message
    assert not (tmp_path / "data").exists()


# AV digits --------------------------------------------------------------------------------------------------------


def test_replayed_digits_are_those_of_the_test_split(
    modules: Callable[[str, str], ModuleType], shared_data: Path, tmp_path: Path
) -> None:
    modules("av_digits", "prepare").main(shared_data, tmp_path, train=20, validation=2, test=6, replayed=4, seed=0)
    project = load_project(EXAMPLES / "av_digits" / "project.yaml")
    layout = read_layout(tmp_path / "replay" / "manifest.streams.yaml")
    rows = parse_rows(CsvTable(tmp_path / "replay" / "manifest.csv"), layout, project.io)
    reader = PayloadReader(rows, project.io)
    preprocessor = Preprocessor(project.io, load_rig(tmp_path / "rig.yaml"))
    drawn = load_split(tmp_path, "test")
    assert len(rows.rows) == 4
    for place, row in enumerate(rows.rows):
        tensors = preprocessor.inputs(reader.payloads(row))
        assert np.allclose(tensors["image"][0], drawn.inputs[0][place].numpy(), atol=1e-6)
        assert np.allclose(tensors["audio"][0], drawn.inputs[1][place].numpy(), atol=1e-5)
    assert [row["digit"] for row in rows_of(tmp_path / "replay")] == [name[0] for name in drawn.recordings[:4]]
    assert drawn.attributes["speaker"] == tuple(name.split("_")[1] for name in drawn.recordings)


# The projects -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", ["project.yaml", "short.yaml"])
@pytest.mark.parametrize("name", NAMES)
def test_every_project_is_valid_and_its_rig_has_its_streams(name: str, config: str) -> None:
    project = load_project(EXAMPLES / name / config)
    assert [stage.stage for stage in project.recipe.stages] == ["distill", "prune", "quantize"]
    if isinstance(project.data, ManifestData):
        rig = load_rig(project.data.rig)
        assert set(project.io.modalities) == set(project.data.streams) <= set(rig.streams)


def test_an_unknown_example_is_refused(
    modules: Callable[[str, str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = modules(".", "run").main
    assert "choose one of street, av_digits" in refusal(capsys, main, "nowhere", tmp_path, tmp_path, short=True)


def test_a_projects_paths_follow_the_folder_of_the_run(
    modules: Callable[[str, str], ModuleType], tmp_path: Path
) -> None:
    run, fields = modules(".", "run"), modules(".", "example_fields")
    path = run.write_project(fields.EXAMPLES["medicine"], tmp_path / "out", short=True)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["data"]["path"] == str(tmp_path / "out" / "data" / "manifest.csv")
    assert content["data"]["rig"] == str(EXAMPLES / "medicine" / "rig.yaml")
    assert content["io"]["inputs"][1]["tokenizer"] == str(tmp_path / "out" / "data" / "tokenizer.json")
    assert load_project(path).name == "medicine"


def test_a_step_that_fails_ends_the_run_with_its_code(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "run.py"), "occupancy", "--data", str(tmp_path), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "datatraining.txt cannot be read" in done.stderr and "this ended with 2: python" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_from_its_data_to_streams(name: str, shared_data: Path, tmp_path: Path) -> None:
    words = (name, "--short", "--data", str(shared_data), "--out", str(tmp_path))
    command = [sys.executable, str(EXAMPLES / "run.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    stages = read_report(tmp_path / "compressed" / "report.json").stages
    assert [stage.name for stage in stages] == ["teacher", "student", "prune", "quantize"]
    assert {"s8", "u8"} <= set(Bundle.open(tmp_path / "compressed" / "bundle").dialects)
    run = read_report(tmp_path / "run" / "report.json").runtime
    assert run is not None and run.fused == len((tmp_path / "run" / "results.jsonl").read_text().splitlines()) > 0
    assert 0 < run.completeness["all"] < 1, "the fault takes one modality away, for a while"
    if name != "street":
        check_streamed(name, tmp_path, done.stdout)


def check_streamed(name: str, folder: Path, printed: str) -> None:
    """Every sample of the test split got its result, and the printed table counts them as `results.jsonl` does."""
    table = dict(re.findall(r"^\| (\w+) \| (\d+) \| [\d.]+ % \|$", printed, re.MULTILINE))
    lines = [json.loads(line) for line in (folder / "run" / "results.jsonl").read_text().splitlines()]
    states = [line["state"] for line in lines]
    assert sum(map(int, table.values())) <= len(lines)
    assert all(int(count) <= states.count(state) for state, count in table.items())
    data = folder / "data" / "replay" if name == "av_digits" else folder / "data"
    tested = sum(row["split"] == "test" for row in rows_of(data))
    least = 0.9 if name == "occupancy" else 0.999  # its first readings of a block only begin a series
    assert sum(map(int, table.values())) >= least * tested
