"""`edge doctor`: what can this machine do, and which command adds what it lacks?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from edge.devices.doctor.finding import Finding
    from edge.devices.doctor.machine import Machine

STYLES = {"ok": "green", "limited": "yellow", "missing": "red"}


def doctor(
    need: Annotated[
        list[str] | None,
        typer.Option("--need", help="Exit with 3 if this topic is missing; may be given more than once."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what this machine can do, and the command that adds what it lacks."""
    import json

    from rich.console import Console

    from edge.devices.doctor.examination import demand, examine
    from edge.devices.doctor.machine import Machine

    machine = Machine()
    findings = examine(machine)
    if as_json:
        told = {"findings": [finding.model_dump(mode="json") for finding in findings]}
        typer.echo(json.dumps({**_who(machine), **told}))
    else:
        console = Console()
        console.print(_table(findings))
        for line in _remedies(findings):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    demand(findings, need or ())


def _who(machine: Machine) -> dict[str, str | None]:
    """The shipped profile that this most likely is, and its JetPack."""
    board = machine.board
    return {
        "device": board.device.name if board and board.device else None,
        "jetpack": board.jetpack.version if board and board.jetpack else None,
    }


def _table(findings: Sequence[Finding]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("topic", "status", "found", title="What this machine can do")
    for finding in findings:
        style = "dim" if finding.status == "missing" and finding.remedy is None else STYLES[finding.status]
        table.add_row(finding.topic, Text(finding.status, style=style), Text(finding.found))
    return table


def _remedies(findings: Sequence[Finding]) -> list[str]:
    """One line a topic that a command would mend."""
    lacking = [finding for finding in findings if finding.status != "ok" and finding.remedy]
    return ["What adds the rest:"] * bool(lacking) + [f"  {f.topic}: {f.remedy}\n    for {f.enables}" for f in lacking]
