"""A manifest becomes a dataset folder: tensors by the runtime's preprocessing, labels, splits and what is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.data.dataset_folder import load_split, read_manifest
from edge.data.prepared import prepare_dataset, project_rig, sample_count
from edge.project import ManifestData, load_project
from edge.runtime.errors import ConfigError, DataError, RigError
from edge.workbench import open_workbench
from tests.edge.data.manifest_projects import class_of, project_on, tensors_of
from tests.runtime.sources.manifest_files import IO, LAYOUT, RIG, machine_rows, write_rows

INPUTS = ("picture", "sound", "values", "history")


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, str]]:
    return machine_rows(tmp_path)


@pytest.mark.parametrize("workers", [1, 3])
def test_every_row_is_what_the_runtime_makes_of_it(tmp_path: Path, rows: list[dict[str, str]], workers: int) -> None:
    rows[8].update(picture="", sodium="", urea="")
    path = write_rows(tmp_path / "rows.csv", rows)
    counted: list[int] = []
    project = project_on(path, workers=workers)
    folder = prepare_dataset(project, tmp_path / "data", counted.append)
    assert sum(counted) == sample_count(project) == 20
    drawn = tensors_of(path)
    seen: list[str] = []
    for split in ("train", "validation", "test"):
        data = load_split(folder, split)
        assert data.available is not None
        for number, name in enumerate(data.ids):
            seen.append(name)
            for tensor, values in zip(INPUTS, data.inputs, strict=True):
                assert np.array_equal(values[number].numpy(), drawn[name][tensor][0]), (name, tensor)
            assert data.available[number].tolist() == drawn[name]["present"][0].tolist()
            assert int(data.targets[0][number]) == class_of(name)
    assert sorted(seen) == sorted(row["name"] for row in rows)


def test_splits_recordings_and_attributes_are_kept(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    folder = prepare_dataset(project_on(write_rows(tmp_path / "rows.csv", rows)), tmp_path / "data")
    data = load_split(folder, "test")
    assert data.ids == ("s2", "s6", "s10", "s14", "s18")
    assert set(data.recordings) == {"m2"}
    assert data.attributes == {"shift": ("night", "day", "night", "night", "day")}
    assert set(load_split(folder, "train").recordings) == {"m0", "m3"}


def test_a_set_that_lacks_nothing_says_nothing_of_it(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    streams = {name: c for name, c in LAYOUT.model_dump(mode="json")["streams"].items() if name != "meter"}
    io = IO.model_dump(mode="json", by_alias=True)
    io["inputs"] = [i for i in io["inputs"] if i["tensor"] != "history"]
    io["inputs"][-1]["streams"] = ["camera", "audio", "labs"]
    project = project_on(write_rows(tmp_path / "rows.csv", rows), streams=streams)
    project = type(project).model_validate({**project.model_dump(mode="json", by_alias=True), "io": io})
    folder = prepare_dataset(project, tmp_path / "data")
    assert load_split(folder, "train").available is None
    assert not list(folder.glob("*.available.npy"))


def inode(folder: Path) -> int:
    """Another one after the folder was drawn again."""
    return (folder / "dataset.json").stat().st_ino


def test_a_drawn_folder_is_used_again_until_something_changes(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path, out = write_rows(tmp_path / "rows.csv", rows), tmp_path / "data"
    first = inode(prepare_dataset(project_on(path), out))
    assert inode(prepare_dataset(project_on(path, workers=1), out)) == first, "workers change nothing"
    os.utime(tmp_path / "3.png", ns=(1, 1))
    touched = inode(prepare_dataset(project_on(path), out))
    assert touched != first
    rows[3]["urea"] = "9.5"
    write_rows(path, rows)
    assert inode(prepare_dataset(project_on(path), out)) != touched
    assert float(load_split(out, "train").inputs[2][1, 1]) == pytest.approx((9.5 - 5) / 2)


def test_rows_that_only_begin_a_series_are_no_samples(
    tmp_path: Path, rows: list[dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    for row in rows:
        if row["machine"] == "m0" and row["minute"] in ("0", "1"):
            row.update(picture="", sound="", sodium="", urea="")
    folder = prepare_dataset(project_on(write_rows(tmp_path / "rows.csv", rows)), tmp_path / "data")
    assert "s0" not in load_split(folder, "train").ids
    assert read_manifest(folder).provenance["rows_without_history"] == 2
    assert "2 rows only begin a time series" in caplog.text


@pytest.mark.parametrize("label", ["melted", "", "3", "-1", "1.0"])
def test_a_label_outside_the_classes_is_refused(tmp_path: Path, rows: list[dict[str, str]], label: str) -> None:
    rows[6]["state"] = label
    rows[7]["state"] = "neither"
    said = f"'{label}' is no class of the output 'state'" if label else "the label is missing"
    with pytest.raises(DataError, match=rf"row 7, column 'state': {said} \(1 more rows are bad\)") as refused:
        prepare_dataset(project_on(write_rows(tmp_path / "rows.csv", rows)), tmp_path / "data")
    assert refused.value.remedy == "write one of healthy, worn, broken, or its index from 0"
    assert not (tmp_path / "data").exists()


def test_a_class_may_be_given_by_its_index(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    for number, row in enumerate(rows):
        row["state"] = str(number % 3)
    folder = prepare_dataset(project_on(write_rows(tmp_path / "rows.csv", rows)), tmp_path / "data")
    data = load_split(folder, "validation")
    assert data.targets[0].tolist() == [class_of(name) for name in data.ids]


@pytest.mark.parametrize(
    ("cell", "heard"),
    [("", []), ("horn", [1]), ("horn siren", [0, 1]), ("siren; big dog", [0, 2]), ("big dog", [2]), ("2;1", [1, 2])],
)
def test_events_are_several_names(tmp_path: Path, rows: list[dict[str, str]], cell: str, heard: list[int]) -> None:
    rows[2]["state"] = cell
    for row in rows[3:] + rows[:2]:
        row["state"] = ""
    project = project_on(write_rows(tmp_path / "rows.csv", rows)).model_dump(mode="json", by_alias=True)
    project["io"]["outputs"] = [{"decoder": "events", "tensor": "state", "classes": ["siren", "horn", "big dog"]}]
    from edge.project import Project

    folder = prepare_dataset(Project.model_validate(project), tmp_path / "data")
    target = load_split(folder, "test").targets[0]
    assert target[0].nonzero().flatten().tolist() == heard
    assert target[1:].sum() == 0


def test_files_that_turn_out_to_be_unusable_are_counted(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    for number in (4, 9, 12):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    path = write_rows(tmp_path / "rows.csv", rows)
    said = (
        r"rows\.csv: row 5, column 'picture': .*4\.png is no picture, or is truncated \(at least 2 more rows are bad\)"
    )
    with pytest.raises(DataError, match=said):
        prepare_dataset(project_on(path, workers=1), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_picture_of_another_size_is_named_with_its_row(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "4.png"), np.zeros((9, 8), np.uint8))
    path = write_rows(tmp_path / "rows.csv", rows)
    with pytest.raises(DataError, match=r"row 5, column 'picture': stream 'camera': the image is 8x9"):
        prepare_dataset(project_on(path), tmp_path / "data")


def test_a_split_without_rows_is_refused(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    kept = [row for row in rows if row["split"] != "validation"]
    with pytest.raises(DataError, match=r"no row of the split 'validation'; its rows are of test, train"):
        prepare_dataset(project_on(write_rows(tmp_path / "rows.csv", kept)), tmp_path / "data")
    columns = {"id": "name", "recording": "machine"}
    with pytest.raises(DataError, match="no row of the split 'train'; name a column for the split, or give `shares`"):
        prepare_dataset(project_on(write_rows(tmp_path / "rows.csv", rows), columns=columns), tmp_path / "data")


def test_shares_take_the_place_of_a_column(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    changes: dict[str, Any] = {"columns": {"id": "name"}, "shares": {"validation": 0.3, "test": 0.3}}
    streams = {name: c for name, c in LAYOUT.model_dump(mode="json")["streams"].items() if name != "meter"}
    io = IO.model_dump(mode="json", by_alias=True)
    io["inputs"] = [i for i in io["inputs"] if i["tensor"] != "history"]
    io["inputs"][-1]["streams"] = ["camera", "audio", "labs"]
    project = project_on(write_rows(tmp_path / "rows.csv", rows), streams=streams, **changes)
    project = type(project).model_validate({**project.model_dump(mode="json", by_alias=True), "io": io})
    folder = prepare_dataset(project, tmp_path / "data")
    ids = [load_split(folder, split).ids for split in ("train", "validation", "test")]
    assert sorted(name for members in ids for name in members) == sorted(row["name"] for row in rows)


def test_the_layout_must_fit_the_outputs(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path = write_rows(tmp_path / "rows.csv", rows)
    for targets, said in (
        ({}, "the data names no `targets`"),
        ({"mood": {"column": "state"}}, "`targets` name 'mood', no output of the model"),
    ):
        with pytest.raises(ConfigError, match=said):
            prepare_dataset(project_on(path, targets=targets), tmp_path / "data")
    project = project_on(path).model_dump(mode="json", by_alias=True)
    outputs: list[dict[str, Any]] = [{"decoder": "events", "tensor": "heard", "classes": ["a"]}]
    from edge.project import Project

    project["io"]["outputs"] += outputs
    with pytest.raises(ConfigError, match="`targets` lack the output 'heard'"):
        prepare_dataset(Project.model_validate(project), tmp_path / "data")
    grid = {"decoder": "grid", "tensor": "state", "distance_tensor": "d", "camera": "camera", "classes": ["car"]}
    project["io"]["outputs"] = [grid]
    with pytest.raises(ConfigError, match=r"no answers for the output 'state' \(grid\); prepare a dataset folder"):
        prepare_dataset(Project.model_validate(project), tmp_path / "data")


def test_the_rig_must_have_the_streams(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    import yaml

    path = write_rows(tmp_path / "rows.csv", rows)
    project = project_on(path)
    content = RIG.model_dump(mode="json", by_alias=True)
    del content["streams"]["meter"]
    (tmp_path / "rig.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RigError, match="no stream 'meter'"):
        prepare_dataset(project, tmp_path / "data")


def test_paths_of_a_project_are_against_its_file(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    import yaml

    (tmp_path / "config").mkdir()
    path = write_rows(tmp_path / "rows.csv", rows)
    content = project_on(path).model_dump(mode="json", by_alias=True)
    content["data"] |= {"path": "../rows.csv", "rig": "../rig.yaml", "generated": True}
    (tmp_path / "config" / "project.yaml").write_text(yaml.safe_dump(content))
    project = load_project(tmp_path / "config" / "project.yaml")
    assert isinstance(project.data, ManifestData)
    assert (project.data.path, project.data.generated) == (path, True)
    assert project_rig(project) == RIG
    content["data"]["colums"] = {}
    (tmp_path / "config" / "project.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"data\.manifest\.colums"):
        load_project(tmp_path / "config" / "project.yaml")


@pytest.mark.parametrize("generated", [False, True])
def test_a_workbench_opens_on_a_manifest(tmp_path: Path, rows: list[dict[str, str]], generated: bool) -> None:
    rows[2].update(sound="")
    project = project_on(write_rows(tmp_path / "rows.csv", rows), generated=generated)
    bench = open_workbench(project, prepare_dataset(project, tmp_path / "data"))
    assert bench.training_data.kind == ("simulated" if generated else "recorded")
    assert bench.rig == RIG
    feeds = bench.example_feeds(3)
    assert [list(feed) for feed in feeds] == [[*INPUTS, "present"]] * 3
    assert feeds[0]["present"].tolist() == [[1, 0, 1, 0]], "s2 has no sound, and no two rows before it"
    assert feeds[2]["present"].tolist() == [[1, 1, 1, 1]]
