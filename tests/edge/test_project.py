"""Project files: presets load, bases are overridden, mistakes name their key."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.project import StreetData, find_project, load_project, preset_path, with_seed
from edge.runtime.errors import ConfigError


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
