"""The dataset class for loops of one's own: the same samples from a manifest, a folder and in worker processes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from edge.data.multimodal import MultimodalDataset
from edge.data.prepared import prepare_dataset
from edge.data.stream_columns import write_stream_columns
from edge.runtime.errors import ConfigError, DataError
from edge.runtime.sources.manifest_layout import read_layout, streams_file
from tests.edge.data.manifest_projects import class_of, project_on, tensors_of
from tests.runtime.sources.manifest_files import IO, LAYOUT, RIG, changed, machine_rows, write_rows

KEYS = {"picture", "sound", "values", "history", "present", "target_state", "id"}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = machine_rows(tmp_path)
    rows[8].update(picture="", sodium="", urea="")
    return write_rows(tmp_path / "rows.csv", rows)


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Keys, types and values."""
    if first.keys() != second.keys():
        return False
    return all(
        torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        for key, value in first.items()
    )


def test_a_sample_is_what_the_runtime_makes_of_the_row(manifest: Path) -> None:
    data, drawn = MultimodalDataset.from_manifest(manifest, IO, RIG, LAYOUT), tensors_of(manifest)
    assert len(data) == 20
    for number in range(len(data)):
        item = data[number]
        assert item.keys() == KEYS
        for name in ("picture", "sound", "values", "history", "present"):
            assert np.array_equal(item[name].numpy(), drawn[item["id"]][name][0])
        assert (item["target_state"].dtype, int(item["target_state"])) == (torch.int64, class_of(item["id"]))
    assert data[8]["present"].tolist() == [0, 1, 0, 1]
    assert same(data[-1], data[19])
    with pytest.raises(IndexError, match="sample 20 of 20"):
        data[20]


def test_a_folder_gives_the_same_samples(manifest: Path, tmp_path: Path) -> None:
    folder = prepare_dataset(project_on(manifest), tmp_path / "data")
    stored = MultimodalDataset.from_folder(folder, "train")
    lazy = MultimodalDataset.from_manifest(manifest, IO, RIG, LAYOUT, split="train")
    assert len(stored) == len(lazy) == 10
    assert all(same(stored[number], lazy[number]) for number in range(10))
    stored[0]["picture"].fill_(7)
    assert same(stored[0], lazy[0]), "what was handed out is the caller's"


def test_a_hugging_face_folder_gives_the_same_samples(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = machine_rows(tmp_path)
    for row in rows:
        row.update({name: str(tmp_path / row[name]) for name in ("picture", "sound")})
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "stored"))
    stored = MultimodalDataset.from_hugging_face(tmp_path / "stored", IO, RIG, LAYOUT, "test")
    lazy = MultimodalDataset.from_manifest(write_rows(tmp_path / "rows.csv", rows), IO, RIG, LAYOUT, "test")
    assert len(stored) == 5
    assert all(same(stored[number], lazy[number]) for number in range(5))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_loader_give_batches(manifest: Path, method: str) -> None:
    data = MultimodalDataset.from_manifest(manifest, IO, RIG, LAYOUT)
    data[0]  # the preprocessor that this makes stays here
    loader = DataLoader(data, batch_size=8, num_workers=2 if method == "fork" else 1, multiprocessing_context=method)
    batches = list(loader)
    assert [len(batch["id"]) for batch in batches] == [8, 8, 4]
    assert batches[0]["picture"].shape == (8, 1, 8, 8)
    assert [name for batch in batches for name in batch["id"]] == [f"s{n}" for n in range(20)]
    assert torch.equal(batches[1]["history"][3], data[11]["history"])


def test_it_can_be_sent_to_another_process(manifest: Path) -> None:
    data = MultimodalDataset.from_manifest(manifest, IO, RIG, LAYOUT)
    first = data[0]
    assert same(pickle.loads(pickle.dumps(data))[0], first)


def test_a_transform_changes_samples(manifest: Path) -> None:
    def brighter(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "picture": item["picture"] + 1}

    plain = MultimodalDataset.from_manifest(manifest, IO, RIG, LAYOUT)
    data = MultimodalDataset.from_manifest(manifest, IO, RIG, LAYOUT, transform=brighter)
    assert torch.equal(data[2]["picture"], plain[2]["picture"] + 1)


def test_the_layout_may_lie_beside_the_manifest(manifest: Path) -> None:
    with pytest.raises(ConfigError, match=r"rows\.streams\.yaml"):
        MultimodalDataset.from_manifest(manifest, IO, RIG)
    path = write_stream_columns(manifest, LAYOUT)
    assert path == streams_file(manifest) == manifest.parent / "rows.streams.yaml"
    assert read_layout(path) == LAYOUT
    assert len(MultimodalDataset.from_manifest(manifest, IO, RIG, split="test")) == 5


def test_samples_without_targets_have_none(manifest: Path) -> None:
    data = MultimodalDataset.from_manifest(manifest, IO, RIG, changed(LAYOUT, targets={}))
    assert data[0].keys() == KEYS - {"target_state"}


def test_a_file_that_cannot_be_read_is_named_when_it_is_asked_for(manifest: Path) -> None:
    (manifest.parent / "3.wav").write_bytes(b"no sound")
    data = MultimodalDataset.from_manifest(manifest, IO, RIG, LAYOUT)
    assert data[2]["id"] == "s2"
    with pytest.raises(DataError, match=r"rows\.csv: row 4, column 'sound'"):
        data[3]
