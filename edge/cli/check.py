"""`edge check`: will this model compile for that board, and at which precision? Answered without the board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli.trust import RequireSignature, TrustedKeyFiles

if TYPE_CHECKING:
    from rich.table import Table

    from edge.compile.check.report import CheckReport, Status

SHOWN_FINDINGS = 12


def check(
    model: Annotated[Path, typer.Argument(help="Bundle, checkpoint of `edge train`, ONNX file, or .pt2 program.")],
    target: Annotated[str, typer.Option("--target", help="Device, such as orin-nano-8gb, or the file of a profile.")],
    jetpack: Annotated[
        str | None, typer.Option("--jetpack", help="Release on the board; each device has a default.")
    ] = None,
    sm: Annotated[
        list[str] | None,
        typer.Option("--sm", help="Compute capability to build an engine for, such as 8.6; repeatable."),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="YAML with precision rules, in the place of the bundle's own.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="What cannot be checked here counts as failed.")] = False,
    require_signature: RequireSignature = False,
    trusted_key: TrustedKeyFiles = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a model against a board's compiler: operators, parser, engine build, precision, DLA, memory.

    Example: edge check runs/demo/bundle --target orin-nano-8gb --jetpack 6.2

    Steps that need TensorRT-RTX or Torch-TensorRT run in the environment of requirements/preflight.txt (`make
    preflight`), on machines without a GPU as well. Ends with 3 where a step fails, and names the layers.
    """
    import dataclasses

    from rich.console import Console
    from rich.markup import escape

    from edge.runtime.capabilities import require_module

    for needed in ("onnx", "torch"):  # before what imports them, so that their absence is named with its remedy
        require_module(needed)
    from edge.compile.check.compiler_steps import checked_capabilities
    from edge.compile.check.examination import examine
    from edge.compile.check.subject import open_subject
    from edge.compile.check.target import open_target
    from edge.compress.precision_plan import load_plan
    from edge.runtime.manifest import printable
    from edge.runtime.trust import TrustPolicy

    opened_target, capabilities = open_target(target, jetpack), checked_capabilities(sm or ())
    trust = TrustPolicy.of_user(trusted_key or (), require_signature=require_signature)
    with Console(stderr=True).status(f"Opening {escape(printable(str(model)))} ...") as status:
        subject = open_subject(model, trust)
        if plan is not None:
            subject = dataclasses.replace(subject, plan=load_plan(plan))
        report = examine(subject, opened_target, capabilities, lambda name: status.update(f"Checking: {name}"))
    if as_json:
        typer.echo(report.model_dump_json(by_alias=True, indent=1))
    else:
        _print(report, f"{subject.name} ({subject.kind}) for {opened_target.title}")
    report.demand(strict)


_STYLES: dict[Status, str] = {"passed": "green", "failed": "red", "noted": "dim", "not checked": "yellow"}
NARROW, STEP_WIDTH = 100, 15  # below so many columns the names of steps are wrapped


def _print(report: CheckReport, title: str) -> None:
    from rich.console import Console

    from edge.runtime.manifest import printable

    console = Console()
    console.print(printable(title), style="bold", markup=False, highlight=False)
    console.print(_table(report, STEP_WIDTH if console.width < NARROW else None))
    for line in (*_remedies(report), *report.notes, _summary(report)):
        console.print(printable(line), markup=False, highlight=False)


def _table(report: CheckReport, step_width: int | None) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from edge.runtime.manifest import printable

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("step", max_width=step_width)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what")
    for step in report.steps:
        lines = [step.detail]
        if step.status == "failed":
            lines += [f"  {finding}" for finding in step.findings[:SHOWN_FINDINGS]]
            more = len(step.findings) - SHOWN_FINDINGS
            lines += [f"  and {more} more; --json lists them"] * (more > 0)
        style = _STYLES[step.status]
        told = Text("\n".join(map(printable, lines)), "dim" if style == "dim" else "")
        table.add_row(step.name, Text(step.status, style), told)
    return table


def _remedies(report: CheckReport) -> list[str]:
    """What to do about each step that failed or was not checked, once where it is the same for several."""
    return [f"{', '.join(names)}: {remedy}." for remedy, names in report.remedies.items()]


def _summary(report: CheckReport) -> str:
    counts = ", ".join(f"{number} {status}" for status in _STYLES if (number := report.count(status)))
    if report.failed:
        return f"{counts}: not ready."
    return f"{counts}: {'nothing speaks against it so far' if report.unchecked else 'ready'}."
