"""An origin changes with everything that a stage depends on, and says what changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import yaml

from edge.compress.fitting import FitConfig
from edge.compress.gates.config import GateConfig
from edge.compress.provenance import Origin, first_change, tensors_digest
from edge.compress.samples import SampleSet
from edge.compress.stages.origin import common_origin, origin_of, split_digest, stage_seed
from edge.compress.stages.stage import DistillStage, PruneStage, QuantizeStage
from edge.compress.tuning.config import TuneConfig, TuneFit


def split(name: str = "train", value: float = 0.0) -> SampleSet:
    return SampleSet(name, ("a", "b"), ("r", "r"), (torch.full((2, 1, 2, 2), value),), (torch.tensor([0, 1]),))


def teacher(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2, 3, 1, 1), value), "steps": torch.tensor(4)}


def common(value: float = 1.0, data: float = 0.0, width: int = 8) -> Origin:
    splits = (split(value=data), split("test"))
    return common_origin(teacher(value), splits, {"student": {"channels": width, "depths": [1, 2]}})


def origin(*stages: DistillStage | PruneStage | QuantizeStage, base: Origin | None = None) -> Origin:
    return origin_of(base or common(), stages, teacher())


def test_equal_inputs_have_equal_origins() -> None:
    assert first_change(origin(DistillStage()), origin(DistillStage())) is None


def test_a_change_is_named() -> None:
    stages = (DistillStage(), PruneStage.model_validate({"prune": {"macs_ratio": 0.5}}))
    was = origin(*stages)
    other = PruneStage.model_validate({"prune": {"macs_ratio": 0.6}})
    assert first_change(was, origin(stages[0], other)) == "stage 'prune'.prune.macs_ratio was 0.5, is 0.6"
    assert first_change(was, origin(*stages, base=common(value=2.0))) == "the teacher's weights changed"
    assert first_change(was, origin(*stages, base=common(data=2.0))) == "the train split changed"
    assert first_change(was, origin(*stages, base=common(width=9))) == "student.channels was 8, is 9"
    newer = {**common(), "versions": {**common()["versions"], "torch": "9.9"}}
    assert first_change(was, origin(*stages, base=newer)) == f"versions.torch was {torch.__version__}, is 9.9"
    assert (first_change(was, origin(stages[0])) or "").endswith("is gone")
    assert (first_change(origin(stages[0]), was) or "").endswith("is new")
    after_another = origin_of(common(), stages, teacher(3.0))
    assert first_change(was, after_another) == "the model of the stage before changed"


def test_a_gate_judges_a_stage_and_is_no_part_of_it() -> None:
    gated = DistillStage(gate=GateConfig(max_loss=7))
    assert first_change(origin(DistillStage()), origin(gated)) is None
    assert stage_seed(DistillStage()) == stage_seed(gated)
    assert stage_seed(DistillStage()) != stage_seed(DistillStage(name="other"))


def test_a_table_counts_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    path.write_text("one")
    stage = QuantizeStage.model_validate({"search": {"table": str(path)}})
    was = origin(stage)
    path.touch()
    assert first_change(was, origin(stage)) is None
    path.write_text("two")
    assert first_change(was, origin(stage)) == "the file of stage 'quantize'.search.table changed"
    path.unlink()
    assert first_change(was, origin(stage)) == "the file of stage 'quantize'.search.table changed"


def test_a_plans_file_counts_by_its_rules(tmp_path: Path) -> None:
    """They were read with the recipe: comments and order of keys change nothing, a precision does."""
    path = tmp_path / "plan.yaml"

    def written(precision: str, comment: str = "") -> Origin:
        path.write_text(comment + yaml.safe_dump({"rules": [{"layers": "head", "precision": precision}]}))
        return origin(QuantizeStage.model_validate({"plan": str(path)}))

    was = written("int8")
    assert first_change(was, written("int8", "# by hand\n")) is None
    assert first_change(was, written("fp16")) == "stage 'quantize'.plan.rules changed"


def test_digests_are_of_contents_and_not_of_layout() -> None:
    image = torch.arange(48.0).reshape(2, 4, 3, 2)
    laid_out = image.contiguous(memory_format=torch.channels_last)
    assert tensors_digest({"x": image}) == tensors_digest({"x": laid_out})
    assert tensors_digest({"x": image}) != tensors_digest({"y": image})
    assert tensors_digest({"x": image}) != tensors_digest({"x": image.reshape(2, 3, 4, 2)})
    assert tensors_digest({"x": torch.zeros(4)}) != tensors_digest({"x": torch.zeros(4, dtype=torch.int32)})


def test_a_split_is_its_samples_recordings_and_values() -> None:
    plain = split()
    others = (
        split(value=1.0),
        SampleSet("train", ("a", "c"), plain.recordings, plain.inputs, plain.targets),
        SampleSet("train", plain.ids, ("r", "s"), plain.inputs, plain.targets),
        SampleSet("train", plain.ids, plain.recordings, plain.inputs, (torch.tensor([1, 1]),)),
    )
    assert split_digest(plain) == split_digest(split())
    assert len({split_digest(s) for s in (plain, *others)}) == 5


def test_where_a_training_is_logged_changes_nothing() -> None:
    logged = DistillStage(fit=FitConfig(log_dir=Path("log")))
    assert first_change(origin(DistillStage()), origin(logged)) is None
    tuned = (QuantizeStage(tune=TuneConfig()), QuantizeStage(tune=TuneConfig(fit=TuneFit(log_dir=Path("log")))))
    assert first_change(*(origin(stage) for stage in tuned)) is None


def test_how_it_is_trained_changes_the_stage_and_not_what_it_draws() -> None:
    """A key that came later leaves seeds alone while it says nothing: an older recipe then gives what it gave."""
    sgd = DistillStage(fit=FitConfig(optimizer="sgd"))
    assert first_change(origin(DistillStage()), origin(sgd)) == "stage 'student'.fit.optimizer was adamw, is sgd"
    elsewhere = DistillStage(fit=FitConfig(device="cuda", log_dir=Path("log"), optimizer="adamw"))
    assert stage_seed(elsewhere) == stage_seed(DistillStage())
    assert len({stage_seed(s) for s in (sgd, DistillStage(), DistillStage(fit=FitConfig(dropped="hidden")))}) == 3
    assert stage_seed(DistillStage(fit=FitConfig(epochs=9))) != stage_seed(DistillStage())


def test_what_samples_lack_is_part_of_a_split() -> None:
    lacking = replace(split(), available=torch.tensor([[1.0], [0.0]]))
    assert split_digest(lacking) != split_digest(split())
