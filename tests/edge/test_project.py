"""Project files: presets load, bases are overridden, mistakes name their key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edge.compress.stages.stage import DistillStage
from edge.project import StreetData, find_project, load_project, preset_path, with_seed
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import TokensInput


@pytest.mark.parametrize("name", ["street_demo", "street_full"])
def test_shipped_presets_are_valid(name: str) -> None:
    project = load_project(preset_path(name))
    assert project.io.modalities == ("camera", "lidar", "audio")
    assert [s.name for s in project.recipe.stages] == ["student", "prune", "quantize"]


def test_the_full_preset_overrides_only_what_it_names() -> None:
    demo, full = (load_project(preset_path(n)) for n in ("street_demo", "street_full"))
    assert full.teacher == demo.teacher
    assert full.io == demo.io
    assert isinstance(full.data, StreetData) and isinstance(demo.data, StreetData)
    assert full.data.samples > demo.data.samples
    assert full.train.epochs > demo.train.epochs


def test_a_seed_reaches_data_training_and_every_stage() -> None:
    base = load_project(preset_path("street_demo"))
    moved = with_seed(base, 7)
    assert isinstance(moved.data, StreetData)
    assert (moved.data.seed, moved.train.seed) == (7, 7)
    assert moved.recipe != base.recipe
    assert with_seed(base, 0) == base


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="street_demo"):
        find_project(Path("no_such_preset"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("base: street_demo.yaml\nunknown: 1\n", "unknown"),
        ("base: street_demo.yaml\ntrain: {epochs: 0}\n", "train.epochs"),
        ("base: street_demo.yaml\nrecipe: {stages: [{stage: quantize}, {stage: prune}]}\n", "recipe"),
        (
            "base: street_demo.yaml\naugment: {audio: {kind: logmel, mismatched: 0.1}}\nalignment: {}\n",
            "audio.mismatched",
        ),
        ("base: missing.yaml\n", "missing.yaml"),
        ("a: [\n", "YAML"),
        ("- a list\n", "mapping"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "street_demo.yaml").write_text(preset_path("street_demo").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        load_project(path)


def test_null_takes_a_key_of_the_base_away(tmp_path: Path) -> None:
    document = {"base": str(preset_path("street_demo")), "train": {"dropped": None}, "unimodal": None, "pretrain": None}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    project, base = load_project(tmp_path / "mine.yaml"), load_project(preset_path("street_demo"))
    assert (base.train.dropped, base.unimodal) == ("hidden", 0.5)
    assert (project.train.dropped, project.unimodal, project.pretrain) == ("zeros", 0, None)
    assert project.train.epochs == base.train.epochs and project.recipe == base.recipe


def test_a_tokenizer_is_against_the_project_file(tmp_path: Path) -> None:
    raw = yaml.safe_load(preset_path("street_demo").read_text())
    tokens = {
        "feature": "tokens",
        "tensor": "ids",
        "stream": "report",
        "shape": [1, 8],
        "tokenizer": "../words/tokenizer.json",
        "vocabulary": 11,
    }
    raw["io"]["inputs"].insert(0, tokens)
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant" / "project.yaml").write_text(yaml.safe_dump(raw))
    (found,) = (i for i in load_project(tmp_path / "plant" / "project.yaml").io.inputs if isinstance(i, TokensInput))
    assert found.tokenizer == str((tmp_path / "words" / "tokenizer.json").resolve())


def test_logs_are_against_the_project_file(tmp_path: Path) -> None:
    stages = [{"stage": "distill", "fit": {"log_dir": "../logs/student"}}, {"stage": "quantize"}]
    document = {"base": str(preset_path("street_demo")), "train": {"log_dir": "log"}, "recipe": {"stages": stages}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    project = load_project(tmp_path / "mine.yaml")
    assert project.train.log_dir == tmp_path / "log"
    first = project.recipe.stages[0]
    assert isinstance(first, DistillStage) and first.fit.log_dir == tmp_path.parent / "logs" / "student"
