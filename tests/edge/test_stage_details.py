"""What single stages leave in the report: precisions by layer, what was pruned, what the loss was made of."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from pydantic import ValidationError

from edge.report import Report, ReportFigures, StageReport
from edge.report.layer_rows import precision_rows
from edge.report.page import render_page
from edge.report.stage_details import PrecisionReport, PruningReport
from edge.runtime.environment import describe_host
from tests.edge.detailed_stages import HOSTILE, LAYERS, made, pruning_note, search_notes


def page_of(*stages: StageReport) -> str:
    report = Report(title="Details", stages=stages, environment=describe_host())
    assert Report.model_validate_json(report.model_dump_json(by_alias=True)) == report
    return render_page(report, ReportFigures())


def words(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_rows_have_the_most_sensitive_layer_first_with_its_milliseconds() -> None:
    report = PrecisionReport.from_notes(search_notes())
    assert report is not None and report.searched is not None
    rows = precision_rows(report)
    first = rows.leading[0]
    assert (first.name, first.chosen, first.ms, first.fp32_ms, first.fp16_nats) == ("net.7", "fp16", 0.5, 1.0, 0.00125)
    assert first.lost == {"all": 0.5, "only_audio": 12.25}
    assert rows.leading[1].lost is None and rows.leading[1].fp16_nats is None
    assert len(rows.leading) + len(rows.others) == LAYERS and len(rows.others) == 6
    assert rows.most == 9.0
    audio, camera = rows.branches
    assert (audio.name, audio.chosen, audio.ms, audio.fp32_ms) == ("audio", "15 int8", 3.75, 15.0)
    assert (camera.chosen, camera.ms) == ("1 fp16, 14 int8", 4.0)


def test_a_layer_that_was_not_timed_leaves_its_branch_without_a_sum() -> None:
    notes = search_notes()
    del notes["precision_plan"]["unit_ms"]["net.7"]
    report = PrecisionReport.from_notes(notes)
    assert report is not None
    rows = precision_rows(report)
    assert rows.leading[0].ms is None
    assert [row.ms for row in rows.branches] == [3.75, None]


def test_the_page_shows_precision_loss_and_milliseconds_with_their_source() -> None:
    page = page_of(made("quantize", search_notes()))
    text = words(page)
    assert "1.5 ms by estimate:orin-nano-8gb, 6 ms with all in FP32" in text
    assert "300 samples of 150 validation recordings, half of them" in text
    assert "The search did without: rounding: adaptive" in text
    assert "net.7 fp16 0.5 1 2.2 +0.5 9 +12.2 0.0013" in text
    assert "net.1 int8 0.25 1 0.025 0.1 \N{EN DASH} " in text
    assert "may be lost 0.50 1.00 plan, quantized 1.50 +0.25 +0.75" in text
    assert "More layers: 6" in text
    assert "<script" not in page and HOSTILE in text


def test_a_given_plan_is_shown_without_figures_it_has_not() -> None:
    plan = {"rules": [{"layers": "*", "precision": "int8"}], "products": "fp32"}
    note = {"plan": plan, "precisions": {"net.1": "int8", "net.2": "fp16"}, "wider_than_planned": {"net.2": "fp16"}}
    text = words(page_of(made("quantize", {"precision_plan": note})))
    assert "The plan was given" in text and "net.2 has fp16: it cannot have what the plan says" in text
    assert "net.1 int8 net.2 fp16" in text
    assert "in nats" not in text and "by estimate" not in text


def test_a_pruning_is_widths_before_and_after_and_latency_by_a_named_clock() -> None:
    report = PruningReport.from_notes({"pruning": pruning_note()})
    assert report is not None
    assert [(t.name, t.before, t.after, t.share) for t in report.tensors] == [
        ("a.weight", (8, 3, 3, 3), (2, 3, 3, 3), 0.25),
        ("b.weight", (4, 8), (4, 2), 0.25),
    ]
    text = words(page_of(made("prune", {"pruning": pruning_note()})))
    assert "8 to 4 ms in FP32 by measured:bench: 0.500 of the latency stays" in text
    assert "95 % interval 0.480 to 0.520, 0.600 was allowed" in text
    assert "a 8 2 25 % h heads or units of 16 4 3 75 %" in text
    assert "1 tensor had to stay whole" in text and "head.weight the model's output" in text
    assert "estimate, not a measurement" not in text


def test_an_estimate_is_called_one_and_its_point_no_interval() -> None:
    latency = {**pruning_note()["latency"], "source": "estimate:orin", "interval": [0.5, 0.5]}
    text = words(page_of(made("prune", {"pruning": pruning_note(latency=latency)})))
    assert "by estimate:orin" in text and "estimate, not a measurement" in text
    assert "95 % interval 0.5" not in text
    without = words(page_of(made("prune", {"pruning": pruning_note(latency=None)})))
    assert "1 k to 250 multiply-adds" in without
    assert "of the latency stays" not in without


def test_rivals_of_a_latency_are_listed_with_what_they_lose() -> None:
    rivals = [
        {"path": "max_ratio 0.5", "ratio": 0.49, "kept": {"a": 2, "b": 8}, "loss": 0.25},
        {"path": "uniform", "ratio": 0.5, "kept": {"a": 4}, "loss": 0.5},
    ]
    text = words(
        page_of(made("prune", {"pruning": pruning_note(latency=pruning_note()["latency"] | {"rivals": rivals})}))
    )
    assert "each trained briefly; the first was taken" in text
    assert "max ratio 0.5 0.490 0.25 2 uniform 0.500 0.5 1" in text
    assert "trained briefly" not in words(page_of(made("prune", {"pruning": pruning_note()})))


def test_only_the_stage_that_pruned_shows_its_plan() -> None:
    later = made("sparsify", {"pruning": pruning_note()})
    assert later.pruning is None and made("prune", {"pruning": pruning_note()}).pruning is not None


def test_parts_of_the_loss_come_with_their_share_the_largest_first() -> None:
    parts = {"first_epoch": {"labels": 2.0, "logits": 1.0}, "last_epoch": {"labels": 0.25, "logits": 0.75}}
    text = words(page_of(made("distill", {"loss_parts": parts})))
    assert "logits 1 0.75 75 % labels 2 0.25 25 % together 3 1" in text
    assert "What training went by" not in words(page_of(made("quantize", {})))


def test_a_loss_of_nothing_but_zeros_has_no_shares() -> None:
    parts = {"first_epoch": {"labels": 0.0}, "last_epoch": {"labels": 0.0}}
    assert "labels 0 0 0 %" in words(page_of(made("distill", {"loss_parts": parts})))


@pytest.mark.parametrize("notes", [{"precision_plan": {"plan": {}}}, {"pruning": pruning_note(macs_before=-1)}])
def test_notes_of_another_form_are_refused(notes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made("prune", notes)
