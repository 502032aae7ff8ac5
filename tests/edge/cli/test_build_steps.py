"""What `compress` and `demo` do when a gate refuses: the last stage that passed is packed, and all is said."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from rich.console import Console
from torch import nn

from edge.cli.build_steps import Chain, gate_notes, pack_kept, print_outcome
from edge.compress.gates.findings import GateFindings, LossFinding, Verdict
from edge.compress.stages.judging import StageRefusedError
from edge.compress.stages.measure import MeasuredStage
from edge.compress.stages.record import StageRecord
from edge.compress.stages.stage import Artifact
from edge.report.contents import Report, StageReport
from edge.runtime.environment import describe_host
from edge.runtime.errors import BundleError, EdgeError, ModelError

if TYPE_CHECKING:
    from edge.workbench import Workbench


def stage(name: str, verdict: Verdict | None = None, notes: tuple[str, ...] = ()) -> MeasuredStage:
    metrics = {"all": {"score": 50.0}}
    record = StageRecord(
        name=name, config={}, params=1, macs=1, bytes=9, seconds=0.0, metrics=metrics, gate_metrics=metrics
    )
    if verdict is not None:
        loss = LossFinding(state="all", metric="score", lost=1.0, limit=0.5, verdict=verdict)
        record = record.judged(GateFindings(judge="interval", losses=(loss,), notes=notes), None)
    return MeasuredStage(Artifact(name, nn.Identity()), {"fp32": b"x"}, record)


def refused_chain() -> Chain:
    refusal = StageRefusedError(stage("prune", "refused"), "stage 'prune' loses 1.00 points")
    return Chain([stage("teacher"), stage("student", "passed")], refusal)


class Bench:
    """Packs names, or fails as it is told to."""

    def __init__(self, error: EdgeError | None = None) -> None:
        self._error = error

    def pack(self, stages: list[MeasuredStage], folder: Path) -> Any:
        if self._error is not None:
            raise self._error
        return [s.record.name for s in stages]


def packed(chain: Chain, error: EdgeError | None = None) -> tuple[Any, tuple[str, ...]]:
    return pack_kept(cast("Workbench", Bench(error)), chain, Path("bundle"))


def test_a_refused_stage_is_measured_and_not_packed() -> None:
    chain = refused_chain()
    assert [s.record.name for s in chain.measured] == ["teacher", "student", "prune"]
    bundle, notes = packed(chain)
    assert bundle == ["teacher", "student"]
    assert notes == (
        "Refused: stage 'prune' loses 1.00 points. The bundle holds 'student', the last stage that passed.",
    )
    with pytest.raises(StageRefusedError) as ended:
        chain.end()
    assert ended.value.exit_code == 3


@pytest.mark.parametrize("error", [BundleError("it is full", "empty it"), ModelError("it does not run", "mend it")])
def test_what_cannot_be_packed_after_a_refusal_is_said(error: EdgeError, caplog: pytest.LogCaptureFixture) -> None:
    bundle, notes = packed(refused_chain(), error)
    assert bundle is None
    assert notes == (f"There is no bundle: 'student' passed and cannot be packed: {error.problem}.",)
    assert error.problem in caplog.text


def test_without_a_refusal_nothing_is_hidden() -> None:
    chain = Chain([stage("teacher"), stage("student", "passed")])
    chain.end()
    assert packed(chain) == (["teacher", "student"], ())
    with pytest.raises(BundleError, match="it is full"):
        packed(chain, BundleError("it is full", "empty it"))


def test_what_a_gate_could_not_decide_is_noted() -> None:
    stages = [stage("teacher"), stage("student", "undecided", ("too few",)), stage("prune", "passed", ("fine",))]
    assert gate_notes(stages) == ("The gate of 'student' is undecided: too few.",)


def test_the_outcome_names_no_bundle_where_there_is_none() -> None:
    rows = tuple(StageReport.from_record(s.record) for s in refused_chain().measured)
    report = Report(title="x", stages=rows, environment=describe_host())
    console = Console(width=100, record=True, force_terminal=False, file=StringIO())
    print_outcome(console, report, None, Path("out"), next_step="edge verify out/bundle")
    text = console.export_text()
    assert "refused" in text and "report.html" in text
    assert "Bundle" not in text and "Next" not in text
