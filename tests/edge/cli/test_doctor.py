"""`edge doctor` as a program sees it: a table or JSON, exit code 0 whatever is missing, 3 with `--need`."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from edge.cli.doctor import doctor
from edge.devices.doctor.finding import Finding
from edge.runtime.errors import ConfigError, GateError

FINDINGS = (
    Finding(topic="core", status="ok", found="loads", enables="all"),
    Finding(
        topic="training", status="limited", found="old", remedy="pip install 'edge-fusion[train]'", enables="edge train"
    ),
    Finding(topic="signing", status="missing", found="none", remedy="pip install cryptography", enables="edge sign"),
    Finding(topic="jetpack", status="missing", found="this is no Jetson", enables="TensorRT"),
)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr("edge.devices.doctor.examination.examine", lambda machine: FINDINGS)
    made = typer.Typer()
    made.command()(doctor)
    return made


def test_a_report_lists_all_and_the_commands_that_add_what_is_lacking(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 0
    assert all(finding.topic in done.output and finding.found in done.output for finding in FINDINGS)
    commands = done.output[done.output.index("What adds the rest") :]
    assert "  training: pip install 'edge-fusion[train]'" in commands  # the brackets are no markup
    assert "  signing: pip install cryptography\n    for edge sign" in commands
    assert "jetpack" not in commands


def test_json_is_the_findings(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["--json"])
    assert done.exit_code == 0
    assert [Finding.model_validate(finding) for finding in json.loads(done.stdout)["findings"]] == list(FINDINGS)


def test_nothing_lacking_needs_no_commands(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.devices.doctor.examination.examine", lambda machine: FINDINGS[:1])
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 0
    assert "What adds" not in done.output


def test_what_is_needed_and_there_passes(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["--need", "core", "--need", "training"]).exit_code == 0


def test_what_is_needed_and_missing_fails_after_the_report(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["--need", "core", "--need", "signing", "--json"])
    assert isinstance(done.exception, GateError)
    assert done.exception.exit_code == 3
    assert "lacks signing" in str(done.exception)
    assert len(json.loads(done.stdout)["findings"]) == len(FINDINGS)


def test_an_unknown_topic_is_a_users_mistake(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["--need", "sining"])
    assert isinstance(done.exception, ConfigError)
    assert "did you mean signing?" in str(done.exception)


def test_this_machine_answers() -> None:
    made = typer.Typer()
    made.command()(doctor)
    done = CliRunner().invoke(made, ["--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert set(told) == {"device", "jetpack", "findings"}
    found = {finding["topic"]: finding for finding in told["findings"]}
    assert found["core"]["status"] == found["edge"]["status"] == "ok"
