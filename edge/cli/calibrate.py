"""`edge calibrate`: the INT8 scales of a trained model, and what they rest on (sensor geometry is called *rig*)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli.processes import across_processes

if TYPE_CHECKING:
    from edge.calibration.coverage import Coverage

OBSERVERS = ("minmax", "moving_average", "percentile", "entropy", "mse")
SELECTIONS = ("ranges", "random")


@across_processes
def calibrate(
    checkpoint: Annotated[Path, typer.Argument(help="Folder that `edge train` wrote.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the set, the ranges and the coverage report.")],
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples in the calibration set.")] = 64,
    observer: Annotated[str, typer.Option("--observer", help=f"{', '.join(OBSERVERS)}.")] = "minmax",
    percentile: Annotated[
        float, typer.Option("--percentile", min=50, max=100, help="What the observer `percentile` leaves unclipped, %.")
    ] = 99.99,
    selection: Annotated[
        str, typer.Option("--selection", help="ranges: samples whose scales are the whole split's; random.")
    ] = "ranges",
    seed: Annotated[int, typer.Option("--seed", help="Of modality states and choice.")] = 0,
    data: Annotated[
        Path | None, typer.Option("--calibration", help="Dataset folder; the one that was trained on by default.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace stored ranges that are of something else.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the coverage as JSON.")] = False,
) -> None:
    """Find INT8 scales on a calibration set. Nothing about sensor geometry: that is called the rig.

    Draws samples of the training split in every modality state, finds the range of each tensor that will be INT8, and
    reports what the set covers: states, clipped values, levels used. On N processes, which share the samples:
    torchrun --standalone --nproc-per-node N -m edge calibrate ...
    """
    from rich.console import Console

    from edge.calibration.drawing import DrawConfig
    from edge.calibration_run import run_calibration
    from edge.checkpoint import load_checkpoint
    from edge.cli.progress import progress_steps
    from edge.compress.quantize.config import QuantizeConfig
    from edge.runtime.errors import ConfigError

    for option, value, known in (("observer", observer, OBSERVERS), ("selection", selection, SELECTIONS)):
        if value not in known:
            raise ConfigError(f"there is no {option} '{value}'", f"choose one of {', '.join(known)}")
    draw = DrawConfig.model_validate({"samples": samples, "selection": selection, "seed": seed})
    quantize = QuantizeConfig.model_validate({"observer": observer, "percentile": percentile})
    saved = load_checkpoint(checkpoint)
    with progress_steps(Console(stderr=True)) as steps:
        found = run_calibration(saved, data or saved.manifest.dataset, draw, quantize, out, steps.doing, fresh=fresh)
    if as_json:
        typer.echo(found.model_dump_json(by_alias=True, indent=1))
        return
    _print(found, out)


def _print(found: Coverage, out: Path) -> None:
    from rich.console import Console

    console = Console()
    states = ", ".join(f"{state} {count}" for state, count in found.states.items())
    console.print(f"[bold]{found.samples}[/] samples ({states}), {len(found.tensors)} tensors", highlight=False)
    clipped = max(found.tensors.items(), key=lambda item: item[1].clipped)
    console.print(f"most clipped: {clipped[1].clipped:.3%} of {clipped[0]}", highlight=False, markup=False)
    if found.agreement is not None:
        off = found.agreement
        console.print(
            f"against all {off.samples} samples: ceilings within {off.median:.1%} at the median, {off.p95:.1%} at p95, "
            f"{off.worst[1]:.1%} at most ({off.worst[0]})",
            highlight=False,
            markup=False,
        )
    console.print(f"Report: {out / 'coverage.html'}   Set: {out / 'set'}", highlight=False)
