"""The sweep: the fragile layer comes first, states tell branches apart, shards make the same whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.compress.sensitivity.report import Sensitivity, load_sensitivity, merge_shards
from edge.compress.sensitivity.sweep_shards import sweep_distances, sweep_scores
from edge.compress.sensitivity.swept_model import SweptModel
from edge.runtime.errors import ConfigError, DataError
from tests.compress.sensitivity.conftest import FRAGILE, samples

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compress.sensitivity.conftest import Fragile


def test_the_fragile_layer_ranks_first_by_far(fragile: Fragile) -> None:
    first, second = fragile.found.ranking()[:2]
    assert first.target == FRAGILE
    assert first.worst_distance > 10 * second.worst_distance
    assert max(first.lost.values()) > 5.0


def test_fp16_is_harmless_where_int8_is_not(fragile: Fragile) -> None:
    for row in fragile.found.ranking("fp16"):
        assert 0 < row.worst_distance < 1e-4
        assert row.worst_distance < fragile.found.row(row.target, "int8").worst_distance
        assert all(abs(points) < 0.5 for points in row.lost.values())


def test_a_branch_shows_in_the_states_that_have_it(fragile: Fragile) -> None:
    lidar = fragile.found.row("encoders.lidar", "int8", "branch")
    for state in ("only_camera", "only_audio", "no_lidar"):
        assert lidar.distance[state] == 0.0
        assert lidar.sqnr_db[state] == 200.0
        assert lidar.lost[state] == 0.0
    assert lidar.worst_state == "only_lidar"
    assert lidar.lost["only_lidar"] > 5.0


def test_branches_and_the_most_sensitive_layers_have_scores(fragile: Fragile) -> None:
    assert fragile.found.branches == ("encoders.camera", "encoders.lidar", "encoders.audio", "mix", "refine", "head")
    scored = {row.target for row in fragile.found.rows if row.kind == "layer" and row.lost}
    leading = {row.target for p in ("int8", "fp16") for row in fragile.found.ranking(p)[:2]}
    assert scored == leading
    assert all(row.lost for row in fragile.found.rows if row.kind == "branch")


def test_layers_of_a_branch_add_up_to_about_the_branch(fragile: Fragile) -> None:
    """What the knapsack counts on."""
    camera = fragile.found.row("encoders.camera", "int8", "branch").distance["all"]
    layers = sum(fragile.found.row(f"encoders.camera.{i}", "int8").distance["all"] for i in (0, 2))
    assert 0.3 < layers / camera < 3.0


def test_two_shards_are_the_whole(fragile: Fragile) -> None:
    parts = [sweep_distances(fragile.swept, (rank, 2)) for rank in (1, 0)]
    assert all(0 < len(part.rows) < len(fragile.found.rows) for part in parts)
    distances = merge_shards(parts)
    scored = merge_shards([sweep_scores(fragile.swept, distances, (rank, 2)) for rank in (1, 0)])
    merged = distances.scored({(r.kind, r.target, r.precision): r.lost for r in scored.rows})
    assert merged.model_dump_json() == fragile.found.model_dump_json()


def test_another_process_finds_the_same_bits(fragile: Fragile) -> None:
    again = SweptModel(fragile.swept.graph, fragile.swept.task, fragile.swept.validation, fragile.swept.config)
    assert sweep_distances(again, (3, 9)).rows == sweep_distances(fragile.swept, (3, 9)).rows


def test_a_sweep_is_read_back_as_written(fragile: Fragile, tmp_path: Path) -> None:
    fragile.found.save(tmp_path / "sensitivity.json")
    assert load_sensitivity(tmp_path / "sensitivity.json") == fragile.found


@pytest.mark.parametrize("text", ["{", '{"schema": 2}', "[]"])
def test_what_is_no_sweep_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigError, match=r"x\.json"):
        load_sensitivity(tmp_path / "x.json")


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0)])
def test_a_shard_that_is_none_is_refused(shard: tuple[int, int], fragile: Fragile) -> None:
    with pytest.raises(ConfigError, match="there is no shard"):
        sweep_distances(fragile.swept, shard)


def test_shards_that_do_not_fit_are_refused(fragile: Fragile) -> None:
    found = fragile.found
    with pytest.raises(DataError, match="the same row"):
        merge_shards([found, found])
    other = found.model_copy(update={"base": dict.fromkeys(found.base, 1.0)})
    with pytest.raises(DataError, match="different models"):
        merge_shards([found, other])
    with pytest.raises(DataError, match="no shard"):
        merge_shards([])
    with pytest.raises(DataError, match="was not swept"):
        Sensitivity(states=found.states, base=found.base, units=found.units, rows=()).row(FRAGILE, "int8")


def test_the_test_split_is_no_ground_to_plan_on(fragile: Fragile) -> None:
    with pytest.raises(DataError, match="'test' split"):
        SweptModel(fragile.swept.graph, fragile.swept.task, samples("test", 8, 3), fragile.swept.config)
