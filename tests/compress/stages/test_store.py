"""An interrupted run goes on after its last finished stage, and ends as if it had never been interrupted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import onnx
import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.latency_table import LatencyTable, LayerLatency
from edge.compress.provenance import tensors_digest
from edge.compress.recipe import Recipe, load_recipe, run_recipe
from edge.compress.samples import SampleSet
from edge.compress.scoring.evaluation import evaluate_by_recording
from edge.compress.scoring.task import OutputKind
from edge.compress.sparsify.onnx_weights import sparse_layers
from edge.compress.sparsify.record import noted_sparsity
from edge.compress.stages.judging import StageRefusedError
from edge.compress.stages.measure import MeasuredStage, StageMeasurer
from edge.compress.stages.origin import common_origin
from edge.compress.stages.record import StageRecord
from edge.compress.stages.stage import Artifact, CompressionContext, StageConfig
from edge.compress.stages.store import StageStore
from edge.runtime.errors import ModelError
from edge.training.metrics import AccuracyMetric

if TYPE_CHECKING:
    from pathlib import Path

FIT = {"epochs": 1, "batch_size": 16, "precision": "float32"}
DISTILL = {"stage": "distill", "fit": FIT, "distill": {"feature_points": ["stem"]}}
NARROW = {"ratio": 0.5, "align": 2, "minimum": 2}
PRUNE = {"stage": "prune", "fit": FIT, "distill": {"feature_points": ["stem"]}, "prune": NARROW}
SPARSIFY = {"stage": "sparsify", "fit": FIT, "distill": {"feature_points": ["stem"]}, "sparsify": {"align": 4}}
QUANTIZE = {"stage": "quantize", "samples": 16}


class Net(nn.Module):
    """Two inputs with three dimensions each, so that a layout matters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Linear(width, 3)

    def forward(self, image: Tensor, present: Tensor) -> tuple[Tensor]:
        features = self.late(self.stem(image)) * present[:, 0].reshape(-1, 1, 1, 1)
        return (self.head(features.mean((2, 3))),)


class ClassTask:
    modalities = ("camera",)
    output_kinds: tuple[OutputKind, ...] = ("categorical",)

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        return functional.cross_entropy(outputs[0], targets[0])

    def metric(self) -> AccuracyMetric:
        return AccuracyMetric()


def samples(split: str, count: int) -> SampleSet:
    random = torch.Generator().manual_seed(len(split))
    classes = torch.arange(count) % 3
    images = torch.randn(count, 3, 8, 8, generator=random) + functional.one_hot(classes, 3).reshape(-1, 3, 1, 1)
    ids = tuple(f"{split}{i}" for i in range(count))
    return SampleSet(split, ids, tuple(f"{split}{i // 2}" for i in range(count)), (images,), (classes,))


SPLITS = {name: samples(name, count) for name, count in (("train", 64), ("validation", 12), ("test", 12))}


class WeightMeasurer:
    """Measures without an export, which takes most of the time: the graph is the digest of the weights."""

    def __call__(
        self, artifact: Artifact, config: StageConfig | None, seconds: float, before: MeasuredStage | None
    ) -> MeasuredStage:
        graph = tensors_digest(artifact.model.state_dict()).encode()
        validated, tested = (
            evaluate_by_recording(artifact.model, SPLITS[name], ClassTask()) for name in ("validation", "test")
        )
        record = StageRecord(
            name=artifact.name,
            config={} if config is None else config.model_dump(mode="json"),
            params=1,
            macs=1,
            bytes=len(graph),
            seconds=seconds,
            metrics=tested.metrics,
            gate_metrics=validated.metrics,
            notes=artifact.notes,
        )
        return MeasuredStage(artifact, {"fp32": graph}, record, None, validated.counts, tested.counts)


MEASURER = StageMeasurer(ClassTask(), SPLITS["validation"], SPLITS["test"], ("image", "present"), ("classes",))


@dataclass
class Run:
    """A run of a recipe with a work folder; `trained` says which stages really ran."""

    folder: Path
    recipe: Recipe
    measure: WeightMeasurer | StageMeasurer = field(default_factory=WeightMeasurer)
    fresh: bool = False
    teacher_seed: int = 0
    train: SampleSet = SPLITS["train"]
    fail_in: str | None = None
    trained: list[str] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)

    def stages(self) -> list[MeasuredStage]:
        teacher = _seeded(lambda: Net(16), self.teacher_seed).eval()
        splits = (self.train, SPLITS["validation"], SPLITS["test"])
        common = common_origin(teacher.state_dict(), splits, {"student": 8})
        store = StageStore(self.folder, common, self.fresh)
        first = store.recall_first("teacher", teacher)
        if first is None:
            first = self.measure(Artifact("teacher", teacher), None, 1.0, None)
            store.keep_first(first)
        validation = SPLITS["validation"]
        context = CompressionContext(ClassTask(), self.train, teacher, lambda: Net(8), self._on_step, validation)
        try:
            return [first, *run_recipe(self.recipe, first, context, self.measure, store)]
        finally:
            self.resumed = store.resumed

    def _on_step(self, name: str) -> Callable[[int, int, float], None]:
        def step(done: int, total: int, loss: float) -> None:
            if name == self.fail_in and done == 2:
                raise KeyboardInterrupt
            if done == 1:
                self.trained.append(name)

        return step


def _seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def recipe(*stages: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({"stages": stages})


def changed(stage: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**stage, **changes}


@pytest.fixture
def short(tmp_path: Path) -> Run:
    """Two float stages."""
    return Run(tmp_path / "work", recipe(DISTILL, PRUNE))


@pytest.mark.integration
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    chain = recipe(DISTILL, PRUNE, QUANTIZE)
    whole = Run(tmp_path / "whole", chain, MEASURER).stages()
    interrupted = Run(tmp_path / "work", chain, MEASURER, fail_in="prune")
    with pytest.raises(KeyboardInterrupt):
        interrupted.stages()
    assert interrupted.trained == ["student", "prune"]
    torch.rand(5)  # other random numbers than the first run found
    again = Run(tmp_path / "work", chain, MEASURER)
    stages = again.stages()
    assert again.resumed == ["teacher", "student"]
    assert again.trained == ["prune"]
    _assert_equal(stages, whole)
    third = Run(tmp_path / "work", chain, MEASURER)
    back = third.stages()
    _assert_equal(back, whole)
    assert third.resumed == ["teacher", "student", "prune", "quantize"]
    assert third.trained == []
    _check_graphs_only(back[-1], stages[-1])


@pytest.mark.integration
def test_a_sparse_stage_goes_on_as_well_and_int8_keeps_its_pattern(tmp_path: Path) -> None:
    """Interrupted in the sparse stage, and again read whole: the graphs are equal to the byte."""
    chain = recipe(DISTILL, PRUNE, SPARSIFY, QUANTIZE)
    whole = Run(tmp_path / "whole", chain, MEASURER).stages()
    interrupted = Run(tmp_path / "work", chain, MEASURER, fail_in="sparsify")
    with pytest.raises(KeyboardInterrupt):
        interrupted.stages()
    again = Run(tmp_path / "work", chain, MEASURER)
    _assert_equal(again.stages(), whole)
    assert (again.resumed, again.trained) == (["teacher", "student", "prune"], ["sparsify"])
    third = Run(tmp_path / "work", chain, MEASURER)
    back = third.stages()
    _assert_equal(back, whole)
    assert third.trained == []
    for stage in (*whole[-2:], *back[-2:]):
        assert stage.artifact.sparsity == whole[-2].artifact.sparsity
        noted = noted_sparsity(stage.record.notes)
        assert noted is not None and noted.lost == () and str(noted) == "sparse 2:4: 2 of 3 layers"
        for dialect in ("fp32",) if stage.record.name == "sparsify" else ("s8", "s8f16"):
            sparse = sparse_layers(onnx.load_model_from_string(stage.graphs[dialect]))
            assert sparse == {"stem.0": False, "late.0": True, "head": True}


def _assert_equal(found: list[MeasuredStage], wanted: list[MeasuredStage]) -> None:
    assert [s.record.name for s in found] == [s.record.name for s in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.graphs == theirs.graphs
        assert ours.record.model_copy(update={"seconds": 0}) == theirs.record.model_copy(update={"seconds": 0})
        assert ours.artifact.calibration_digest == theirs.artifact.calibration_digest
        assert ours.artifact.plan == theirs.artifact.plan
        assert (ours.program is None) == (theirs.program is None)


def test_the_recipe_that_a_bundle_records_gives_the_same_graphs(short: Run, tmp_path: Path) -> None:
    made = short.stages()
    path = tmp_path / "recipe.yaml"
    recorded = {"schema": 1, "name": "x", "recipe": short.recipe.model_dump(mode="json", by_alias=True)}
    path.write_text(yaml.safe_dump(recorded, sort_keys=False))
    replayed = Run(tmp_path / "elsewhere", load_recipe(path))
    _assert_equal(replayed.stages(), made)
    assert replayed.trained == ["student", "prune"]


def _check_graphs_only(back: MeasuredStage, made: MeasuredStage) -> None:
    """What timing and packing need of a quantized stage comes back; its module does not, and says so."""
    assert back.program == made.program and made.program is not None
    assert back.artifact.quantized
    with pytest.raises(ModelError, match="without its module"):
        back.artifact.model(torch.zeros(1, 3, 8, 8), torch.ones(1, 1))


def test_fresh_takes_nothing(short: Run) -> None:
    short.stages()
    again = Run(short.folder, short.recipe, fresh=True)
    again.stages()
    assert (again.resumed, again.trained) == ([], ["student", "prune"])


@pytest.mark.parametrize(
    ("changes", "redone", "reason"),
    [
        (
            {"recipe": recipe(DISTILL, changed(PRUNE, prune={**NARROW, "ratio": 0.25}))},
            ["prune"],
            "stage 'prune' is done again: stage 'prune'.prune.ratio was 0.5, is 0.25",
        ),
        (
            {"recipe": recipe(changed(DISTILL, fit={**FIT, "seed": 3}), PRUNE)},
            ["student", "prune"],
            "stage 'student' is done again: stage 'student'.fit.seed was 0, is 3",
        ),
        ({"teacher_seed": 1}, ["student", "prune"], "stage 'student' is done again: the teacher's weights changed"),
        (
            {"train": samples("train", 60)},
            ["student", "prune"],
            "stage 'student' is done again: the train split changed",
        ),
    ],
)
def test_what_changed_is_done_again_with_the_reason(
    short: Run, changes: dict[str, Any], redone: list[str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    short.stages()
    again = Run(short.folder, **{"recipe": short.recipe, **changes})
    with caplog.at_level(logging.WARNING):
        again.stages()
    assert again.trained == redone
    assert reason in caplog.text


def searching(table: Path) -> dict[str, Any]:
    budget = {"max_loss": 100, "max_loss_any": 100}
    return {**QUANTIZE, "search": {"table": str(table), "budget": budget, "sensitivity": {"samples": 4, "scored": 0}}}


def save_table(path: Path, ms: float) -> None:
    rows = [
        LayerLatency(layer=layer, operator="Conv", precision="int8", ms=ms) for layer in ("stem.0", "late.0", "head")
    ]
    LatencyTable(source="measured:bench", graph_sha256="0" * 64, layers=tuple(rows)).save(path)


def test_a_latency_table_that_says_something_else_is_searched_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table, chain = tmp_path / "table.yaml", recipe(searching(tmp_path / "table.yaml"))
    save_table(table, 1.0)
    Run(tmp_path / "work", chain).stages()
    again = Run(tmp_path / "work", chain)
    first = again.stages()[-1]
    assert again.resumed == ["teacher", "quantize"]
    save_table(table, 2.0)
    changed_table = Run(tmp_path / "work", chain)
    second = changed_table.stages()[-1]
    assert changed_table.resumed == ["teacher"]
    assert "stage 'quantize' is done again: the file of stage 'quantize'.search.table changed" in caplog.text
    ms = [stage.record.notes["precision_plan"]["verified"]["ms"] for stage in (first, second)]
    assert ms == [pytest.approx(3.0), pytest.approx(6.0)]


def test_another_calibration_set_is_quantized_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is drawn from the training split, so that one sample more is another set."""
    Run(tmp_path / "work", recipe(QUANTIZE)).stages()
    other = Run(tmp_path / "work", recipe(changed(QUANTIZE, seed=1)))
    other.stages()
    assert other.resumed == ["teacher"]
    assert "stage 'quantize'.seed was 0, is 1" in caplog.text
    more = Run(tmp_path / "work", recipe(changed(QUANTIZE, seed=1)), train=samples("train", 66))
    more.stages()
    assert more.resumed == []
    assert "stage 'quantize' is done again: the train split changed" in caplog.text


def test_another_gate_judges_again_and_trains_nothing(short: Run) -> None:
    """Also the stage that the first gate refused: it was finished."""
    strict = changed(DISTILL, gate={"min_shrink": 1000})
    refused = Run(short.folder, recipe(strict, PRUNE))
    with pytest.raises(StageRefusedError, match=r"1000\.00x is asked"):
        refused.stages()
    loose = Run(short.folder, recipe(changed(DISTILL, gate={"max_loss": 100, "max_loss_any": 100}), PRUNE))
    stages = loose.stages()
    assert loose.trained == ["prune"]
    assert stages[1].record.gate is not None and stages[1].record.gate.verdict == "passed"
    assert stages[1].record.config["gate"]["max_loss"] == 100


@pytest.mark.parametrize("damage", ["model.safetensors", "stage.json", "graph.fp32.onnx", "validation_counts.npz"])
def test_a_damaged_stage_is_done_again_with_a_warning(
    short: Run, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = short.stages()
    path = short.folder / "stage-1" / damage
    path.write_bytes(path.read_bytes()[:-9])
    again = Run(short.folder, short.recipe)
    stages = again.stages()
    assert again.trained == ["student"]  # equal to the bit, so what was made from it stands
    assert "stage 'student' is done again" in caplog.text and damage in caplog.text
    _assert_equal(stages, whole)


def test_a_missing_file_is_noticed(short: Run, caplog: pytest.LogCaptureFixture) -> None:
    short.stages()
    (short.folder / "stage-2" / "model.safetensors").unlink()
    again = Run(short.folder, short.recipe)
    again.stages()
    assert again.trained == ["prune"]
    assert "is no complete saved stage" in caplog.text


def test_a_stage_that_keeps_the_architecture_is_built_from_the_one_before(tmp_path: Path) -> None:
    """Pruning the teacher, which no stage has replaced."""
    chain = recipe(changed(PRUNE, name="once"), changed(PRUNE, name="twice"))
    whole = Run(tmp_path / "work", chain).stages()
    back = Run(tmp_path / "work", chain)
    _assert_equal(back.stages(), whole)
    assert back.trained == []
