"""`edge verify`: is this bundle whole, and does it compute here what it computed where it was packed?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge.runtime.bundle import Bundle

# Largest deviation from the goldens, as a share of the tensor's largest magnitude. INT8 kernels of different
# processors round differently, and one rounding step is about 1 %.
TOLERANCE = {"fp32": 1e-4, "s8": 0.03, "u8": 0.03}

UNSIGNED = "The bundle is unsigned: this guards against accident, not against forgery."


def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check every file's digest, then run the golden inputs through each graph and compare the outputs."""
    import json

    from rich.console import Console
    from rich.table import Table

    from edge.runtime.bundle import Bundle
    from edge.runtime.errors import GateError

    opened = Bundle.open(bundle)
    deviations = {dialect: golden_deviation(opened, dialect) for dialect in opened.dialects}
    failed = {dialect: value for dialect, value in deviations.items() if value > TOLERANCE[dialect]}
    console = Console()
    if as_json:
        result = {"id": opened.id, "deviation": deviations, "tolerance": TOLERANCE, "ok": not failed}
        typer.echo(json.dumps(result))
    else:
        table = Table(title=f"{opened.manifest.name}  {opened.id[:23]}")
        for column in ("graph", "largest deviation", "allowed"):
            table.add_column(column, justify="left" if column == "graph" else "right")
        for dialect, value in deviations.items():
            style = "red" if dialect in failed else ""
            table.add_row(dialect, f"{value:.2e}", f"{TOLERANCE[dialect]:.0e}", style=style)
        console.print(f"{len(opened.manifest.files)} files, every digest as in the manifest. {UNSIGNED}")
        console.print(table)
    if failed:
        raise GateError(
            f"the graphs {', '.join(failed)} of {bundle} answer the goldens differently here",
            "do not deploy on this machine; compare ONNX Runtime versions with: edge inspect",
        )


def golden_deviation(bundle: Bundle, dialect: str) -> float:
    """Largest difference from the recorded outputs over all golden cases, relative to each tensor's magnitude."""
    import numpy as np

    from edge.fused_run import open_engine

    engine = open_engine(bundle, dialect).engine
    worst = 0.0
    for inputs, expected in zip(bundle.golden_inputs(), bundle.golden_outputs(dialect), strict=True):
        for name, value in engine.run(inputs).items():
            reach = max(float(np.abs(expected[name]).max()), 1e-6)
            worst = max(worst, float(np.abs(value - expected[name]).max()) / reach)
    return worst
