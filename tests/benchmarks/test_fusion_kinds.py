"""The fusions' benchmark: what is joined to an earlier result, what fails it, and what its tables say."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edge.compress.fitting import FitConfig
from edge.compress.samples import SampleSet
from edge.data.dataset_folder import SPLITS, DatasetManifest, SplitSpec, create_arrays
from edge.models.fusion.weighted_sum import WeightedSum
from edge.models.fusion_model import FusionModel
from edge.project import find_project

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("fusion_kinds")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def study(benchmark: Any, tmp_path: Path) -> Any:
    project = find_project(Path("street_demo"))
    names = {split: tuple(f"{split}-{i}" for i in range(80)) for split in SPLITS}
    splits = {split: SplitSpec(ids=ids, recordings=ids) for split, ids in names.items()}
    manifest = DatasetManifest(schema=1, name="streets", provenance={}, inputs=(), targets=(), splits=splits)
    create_arrays(tmp_path, manifest)
    return benchmark.Study(project, tmp_path, 100, 50, FitConfig(epochs=2), ("audio",), tmp_path)


def row(score: float, lost: float, milliseconds: float) -> dict[str, Any]:
    interval = {"estimate": lost, "low": lost - 0.1, "high": lost + 0.1}
    return {
        "parameters": 1234,
        "macs": 5_000_000,
        "score": {"all": [score + lost]},
        "int8_score": {"all": [score]},
        "int8_loss": {"all": [interval]},
        "left_float": [],
        "check": {"orin-nano-8gb": []},
        "latency_ms": {"fp32": 2 * milliseconds, "u8": milliseconds},
    }


def test_every_kind_has_the_students_width_and_takes_its_encoders(study: Any, benchmark: Any) -> None:
    for kind in benchmark.KINDS:
        widths = study.widths(kind)
        assert widths.encoders == study.project.student.encoders
        assert (widths.fusion.kind, widths.fusion.channels) == (kind, study.project.student.fusion.channels)
    weighted = FusionModel(study.widths("weighted_sum"), study.project.io)
    at = study.project.io.modalities.index("audio")
    present = torch.ones(1, len(study.project.io.modalities))
    assert isinstance(weighted.fusion, WeightedSum)
    assert weighted.fusion.weights(present)[0, at].item() == 0.5


def test_other_kinds_and_projects_stay_and_other_conditions_do_not(study: Any, benchmark: Any, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    first = benchmark.joined(out, study, 1, {"weighted_sum": row(90, 0, 1)})
    out.write_text(json.dumps({"projects": {**first, "another": {"kinds": {}}}}))
    both = benchmark.joined(out, study, 1, {"channel_mixing": row(91, 0, 1)})
    assert list(both[study.project.name]["kinds"]) == ["channel_mixing", "weighted_sum"]
    assert "another" in both
    alone = benchmark.joined(out, study, 3, {"channel_mixing": row(91, 0, 1)})
    assert list(alone[study.project.name]["kinds"]) == ["channel_mixing"]
    conditions = alone[study.project.name]["conditions"]
    assert (conditions["train_samples"], conditions["test_samples"]) == (80, 50), "of 100 asked for there are 80"


def test_a_loss_over_half_a_point_or_a_failed_check_fails_it(benchmark: Any) -> None:
    assert benchmark.passes(row(90, 0.5, 1))
    assert not benchmark.passes(row(90, 0.51, 1))
    assert not benchmark.passes({**row(90, 0, 1), "check": {"orin-nano-8gb": ["operators"]}})


def test_the_tables_say_what_was_measured(benchmark: Any) -> None:
    conditions = {"train_samples": 100, "test_samples": 50, "epochs": 2, "seeds": 1}
    kinds = {"channel_mixing": row(90, 0.25, 1.0), "cross_attention": row(92.5, -0.1, 2.5)}
    kinds["cross_attention"]["check"] = {"orin-nano-8gb": ["operators"]}
    text = "\n".join(benchmark.report({"digits": {"conditions": conditions, "kinds": kinds}}))
    assert "| channel_mixing | 90.00 (+0.25; +0.15 to +0.35) | 90.00 |" in text
    assert "| cross_attention | 1,234 | 5.00 | 5.00 | 2.50 | 2.50x | orin-nano-8gb: operators |" in text
    assert "Best in the mean of the states here: `cross_attention`." in text


def test_of_those_that_no_seed_tells_apart_the_fastest_is_named(benchmark: Any) -> None:
    def seeds(*scores: float, milliseconds: float) -> dict[str, Any]:
        one = row(0, 0, milliseconds)
        losses = one["int8_loss"]["all"] * len(scores)
        return {
            **one,
            "score": {"all": list(scores)},
            "int8_score": {"all": list(scores)},
            "int8_loss": {"all": losses},
        }

    kinds = {
        "channel_mixing": seeds(90, 92, milliseconds=1.0),
        "cross_attention": seeds(91.5, 93, milliseconds=3.0),
        "gated_residual": seeds(80, 91, milliseconds=0.5),
    }
    conditions = {"train_samples": 100, "test_samples": 50, "epochs": 2, "seeds": 2}
    text = "\n".join(benchmark.report({"digits": {"conditions": conditions, "kinds": kinds}}))
    assert "| cross_attention | 92.25 (+0.00) | 92.25 (91.50 to 93.00) |" in text
    assert "Its seeds are reached by those of `channel_mixing`; the fastest of all these is `channel_mixing`." in text


def test_samples_are_spread_over_the_whole_split(benchmark: Any) -> None:
    ids = tuple(map(str, range(10)))
    split = SampleSet("test", ids, ids, (torch.arange(10.0),), (torch.arange(10),))
    assert benchmark.spread(split, 4).ids == ("0", "2", "5", "7")
    assert benchmark.spread(split, 20) is split
