"""`edge compress MODEL.onnx`: INT8 graphs from a float ONNX file and samples of its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from edge.onnx_compression.record import ModelRecord

SHOWN_LAYERS = 8


def compress_onnx(model: Path, out: Path, recipe: Path | None, calibration: Path | None) -> None:
    """Quantizes an ONNX file, compares it with the float one on samples that were held back, and writes the graphs.

    Raises:
        DataError: No calibration data is given, or it does not fit the model.
        GateError: INT8 falls short of the recipe's gate; nothing is written.
    """
    from rich.console import Console

    from edge.cli.progress import progress_steps
    from edge.compress.onnx_model.recipe import OnnxRecipe, load_onnx_recipe
    from edge.onnx_compression.outcome import compress_file, demand_replaceable
    from edge.runtime.errors import DataError

    if calibration is None:
        raise DataError(
            f"there are no samples to calibrate {model} on",
            "pass --calibration with a calibration set, or .npz files with one array [N, ...] per input",
        )
    demand_replaceable(out)  # before the work, not after it
    settings = OnnxRecipe() if recipe is None else load_onnx_recipe(recipe)
    console = Console()
    with progress_steps(console) as steps, steps.doing("Calibrate, quantize and compare with the float model"):
        compressed = compress_file(model, calibration, settings)
    console.print(_table(compressed.record))
    for line in _remarks(compressed.record):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    compressed.demand_gate()
    compressed.write(out)
    console.print(f"Graphs and record: {out}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Next: edge check {out / 'graph.s8.onnx'} --target DEVICE", highlight=False, markup=False)


def _table(record: ModelRecord) -> Table:
    from rich.table import Table

    from edge.report.table import human_bytes

    table = Table(title="What INT8 cost and brought", header_style="bold")
    table.add_column("graph", style="bold")
    for name in ("file", "smaller", "INT8 MACs", "agreement", "SQNR"):
        table.add_column(name, justify="right")
    for dialect, size in record.bytes.items():
        smaller = "" if dialect == "fp32" else f"{record.bytes['fp32'] / size:.2f}x"
        shares = {"s8": ("declared", record.declared), "u8": ("proved", record.proved)}.get(dialect)
        share = f"{shares[1].get('int8', 0.0):.1%} {shares[0]}" if shares and shares[1] else ""
        table.add_row(dialect, human_bytes(size), smaller, share, *_worst(record, dialect))
    return table


def _worst(record: ModelRecord, dialect: str) -> tuple[str, str]:
    """The output that agrees least, and that with the most noise."""
    outputs = record.agreement.get(dialect, ())
    shares = [(o.agreement, o.output) for o in outputs if o.agreement is not None]
    ratios = [(o.sqnr_db, o.output) for o in outputs if o.sqnr_db is not None]
    share = "{:.1%} {}".format(*min(shares)) if shares else ""
    return share, "{:.1f} dB {}".format(*min(ratios)) if ratios else ""


def _remarks(record: ModelRecord) -> list[str]:
    fixed = ", ".join(f"{name} {list(shape)}" for name, shape in record.inputs.items())
    lines = [
        f"Calibrated on {len(record.calibrated_on)} samples, compared on {len(record.compared_on)} others.",
        f"The graphs are fixed to {fixed}.",
    ]
    stays = {**record.left_float, **record.custom}
    named = [f"{layer} ({operator})" for layer, operator in list(stays.items())[:SHOWN_LAYERS]]
    if named:
        more = f" and {len(stays) - SHOWN_LAYERS} more" if len(stays) > SHOWN_LAYERS else ""
        lines.append(f"Stays as it is, for want of an INT8 rule: {', '.join(named)}{more}")
    return [*lines, *record.notes]
