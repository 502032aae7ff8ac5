"""2:4 sparsity on the terminal and among a report's notes."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from edge.cli.build_steps import stage_notes
from edge.compress.sparsify.record import SPARSITY_NOTE, SparseLayer, SparsityRecord
from edge.compress.stages.record import StageRecord
from edge.report.table import stage_table

DENSE = StageRecord(
    name="teacher",
    config={},
    params=1,
    macs=0,
    bytes=10,
    seconds=1,
    metrics={"all": {"score": 5}},
    gate_metrics={},
)
MADE = SparsityRecord(
    importance="magnitude",
    layers=tuple(SparseLayer(layer=name, weights=64, kept_norm=0.9) for name in ("a", "b", "c")),
    dense={"d": "grouped"},
    share=0.9,
)


def noted(name: str, record: SparsityRecord) -> StageRecord:
    return DENSE.model_copy(update={"name": name, "notes": {SPARSITY_NOTE: record.model_dump(mode="json")}})


STAGES = (DENSE, noted("sparsify", MADE), noted("quantize", MADE.model_copy(update={"lost": ("c",)})))


def printed(*stages: StageRecord) -> str:
    console = Console(width=140, record=True, force_terminal=False, file=StringIO())
    console.print(stage_table(stages))
    return console.export_text()


def test_the_table_says_how_many_layers_are_sparse() -> None:
    assert "sparsify: sparse 2:4: 3 of 4 layers; quantize: sparse 2:4: 2 of 4 layers" in printed(*STAGES)
    assert "2:4" not in printed(DENSE)


def test_the_report_notes_what_is_sparse_and_what_is_so_no_longer() -> None:
    assert stage_notes(DENSE) == ()
    assert stage_notes(STAGES[-1]) == (
        "The graph is sparse 2:4: 2 of 4 layers. ONNX Runtime gains nothing by it, and on boards it was not measured.",
        "c was made 2:4 sparse and is so no longer.",
    )
