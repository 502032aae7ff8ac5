"""`edge explain`: what a fusion model rests on, where it fails, and whom it fails."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from edge.cli.trust import RequireSignature, TrustedKeyFiles

if TYPE_CHECKING:
    from edge.explain.asked_models import AskedModel
    from edge.explain.config import ExplainConfig
    from edge.explain.findings import Explanation

SPLITS = ("train", "validation", "test")


def explain(
    model: Annotated[Path, typer.Argument(help="Folder that `edge train` wrote, or a bundle.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for explain.json and explain.html.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Dataset folder; the one that was trained on by default.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help=f"{', '.join(SPLITS)}.")] = "test",
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", help="Attribute whose groups are compared; repeatable.")
    ] = None,
    max_gap: Annotated[
        float | None, typer.Option("--max-gap", min=0, help="Points that groups may be apart; above ends with 3.")
    ] = None,
    gate_on: Annotated[
        list[str] | None,
        typer.Option(
            "--gate-on", help="What --max-gap limits: score, recall, demographic_parity, equalized_odds; repeatable."
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="Checkpoint or bundle to compare with, on the same samples.")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option("--dialect", help="Graph of a bundle; the one that the board runs by default.")
    ] = None,
    gradients: Annotated[
        int, typer.Option("--gradients", min=0, help="Samples whose inputs are attributed; 0 leaves them out.")
    ] = 32,
    pictures: Annotated[int, typer.Option("--pictures", min=0, max=40, help="Of them, how many are shown.")] = 6,
    seed: Annotated[int, typer.Option("--seed", help="Of bootstrap draws and of attributed samples.")] = 0,
    require_signature: RequireSignature = False,
    trusted_key: TrustedKeyFiles = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what a fusion model rests on, where it fails, and whom it fails.

    Contributions of the modalities (Shapley values), integrated gradients of the inputs, groups of samples that fail
    more than the rest, and gaps between the groups of named attributes. A bundle only answers, so it has no gradients.
    Ends with 3 where a gap is shown to be above --max-gap.
    """
    from rich.console import Console

    from edge.cli.progress import progress_steps
    from edge.cli.trust import open_trusted
    from edge.data.dataset_folder import load_split, read_manifest
    from edge.explain.asked_models import open_asked_model
    from edge.explain.explaining import Progress, explain_model
    from edge.explain.page import write_explanation

    config = _config(split, attribute, max_gap, gate_on, gradients, pictures, seed)
    with progress_steps(Console(stderr=True)) as steps:
        with steps.doing("Open the model"):
            trusted = partial(open_trusted, require_signature=require_signature, trusted_keys=trusted_key)
            opened = open_asked_model(model, dialect, trusted)
            before = None if against is None else open_asked_model(against, None, trusted)
        folder = _dataset(data, opened, before)
        samples, name = load_split(folder, config.split), read_manifest(folder).name
        found = explain_model(opened, samples, name, config, Progress(steps.counter, steps.doing), before)
        with steps.doing("Write explain.json and explain.html"):
            write_explanation(found, samples, opened.model_io, out)
    if as_json:
        typer.echo(found.findings.model_dump_json(by_alias=True, indent=1))
    else:
        _print(found.findings, out)
    _gate(found.findings, out)


def _config(
    split: str,
    attributes: list[str] | None,
    max_gap: float | None,
    gate_on: list[str] | None,
    gradients: int,
    pictures: int,
    seed: int,
) -> ExplainConfig:
    from edge.explain.config import BiasConfig, ExplainConfig, GatedMetric, GradientConfig
    from edge.runtime.errors import ConfigError

    gated = tuple(gate_on or ("score",))
    for option, values, known in (("--split", (split,), SPLITS), ("--gate-on", gated, get_args(GatedMetric))):
        wrong = [value for value in values if value not in known]
        if wrong:
            raise ConfigError(f"{option} does not know '{wrong[0]}'", f"choose from {', '.join(known)}")
    if max_gap is not None and not attributes:
        raise ConfigError("--max-gap limits nothing: no attribute is named", "name one, e.g. --attribute speaker")
    if gate_on and max_gap is None:
        raise ConfigError("--gate-on has no limit to hold", "give it one, e.g. --max-gap 5")
    bias = BiasConfig.model_validate({"attributes": tuple(attributes or ()), "max_gap": max_gap, "gated": gated})
    attributed = GradientConfig(samples=gradients, pictured=pictures)
    return ExplainConfig.model_validate({"split": split, "bias": bias, "gradients": attributed, "seed": seed})


def _dataset(data: Path | None, opened: AskedModel, before: AskedModel | None) -> Path:
    """What is named, or what a checkpoint was trained on."""
    from edge.runtime.errors import ConfigError

    found = data or opened.dataset or (before.dataset if before else None)
    if found is None:
        raise ConfigError(f"bundle {opened.path} does not hold its dataset", "name it with --data FOLDER")
    return found


def _print(findings: Explanation, out: Path) -> None:
    from rich.console import Console

    from edge.explain.terminal_tables import explanation_tables, told_notes

    console = Console()
    for table in explanation_tables(findings):
        console.print(table)
    for note in told_notes(findings):
        console.print(note, markup=False, highlight=False)
    console.print(f"Report: {out / 'explain.html'}", markup=False, highlight=False)


def _gate(findings: Explanation, out: Path) -> None:
    from edge.explain.gap_wording import refused_gaps
    from edge.runtime.errors import GateError

    refused = refused_gaps(findings.bias)
    if refused is not None:
        raise GateError(refused, f"see {out / 'explain.html'}, and train with more samples of that group")
