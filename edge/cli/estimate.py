"""`edge estimate`: how long a model should take on a board that is not here, layer by layer, and in what memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    import onnx
    from rich.table import Table

    from edge.compress.precision_plan import PrecisionPlan
    from edge.devices.estimate import Estimate, PrecisionChoice

CHOICES = ("as-declared", "int8", "fp16", "fp32")
_PARTS = (("weights", "weights"), ("activations", "most activations at once"), ("io", "inputs and outputs"))


def estimate(
    model: Annotated[Path, typer.Argument(help="An ONNX file, or the folder of a bundle.")],
    target: Annotated[str, typer.Option("--target", help="Device, such as orin-nano-8gb, or its YAML file.")],
    precision: Annotated[str, typer.Option("--precision", help=f"Of every layer: {', '.join(CHOICES)}.")] = CHOICES[0],
    plan: Annotated[Path | None, typer.Option("--plan", help="Precision plan (YAML), instead of --precision.")] = None,
    power_mode: Annotated[str | None, typer.Option("--power-mode", help="One of the device's other modes.")] = None,
    layers: Annotated[int, typer.Option("--layers", min=0, help="How many of the slowest layers to show.")] = 12,
    table: Annotated[Path | None, typer.Option("--table", help="Write every layer's latency to this YAML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole estimate as JSON.")] = False,
) -> None:
    """Estimate latency and memory on a board by the roofline of its published rates. Nothing is measured.

    Example: edge estimate runs/demo/bundle --target orin-nano-8gb --precision int8
    """
    from edge.runtime.capabilities import require_module

    require_module("onnx")  # before what imports it, so that its absence is named with its remedy
    from edge.devices.catalog import load_device
    from edge.devices.estimate import estimate_graph, in_power_mode

    device = load_device(target)
    device = in_power_mode(device, power_mode) if power_mode else device
    choice, chosen = _precision(precision, plan)
    found = estimate_graph(_read_graph(model), device, choice, chosen)
    if table is not None:
        found.latency_table().save(table)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
        return
    _print(found, layers, f"{model.name} on {device.title}, {found.power_mode}")
    if table is not None:
        typer.echo(f"Latency table: {table}")


def _precision(name: str, path: Path | None) -> tuple[PrecisionChoice, PrecisionPlan | None]:
    from edge.compress.precision_plan import load_plan
    from edge.runtime.errors import ConfigError

    if name not in CHOICES:
        raise ConfigError(f"there is no precision '{name}'", f"choose one of {', '.join(CHOICES)}")
    found = cast("PrecisionChoice", name)
    if path is None:
        return found, None
    if found != "as-declared":
        raise ConfigError("--precision and --plan contradict each other", "give one of them")
    return found, load_plan(path)


def _read_graph(path: Path) -> onnx.ModelProto:
    """The INT8 graph for boards of a bundle, or the float one where it has none; an ONNX file with its weights."""
    import onnx

    from edge.graph.onnx_file import read_onnx
    from edge.runtime.bundle import Bundle

    if not path.is_dir():
        return read_onnx(path)
    bundle = Bundle.open(path)
    graph: onnx.ModelProto = onnx.load_from_string(bundle.graph("s8" if "s8" in bundle.dialects else "fp32"))
    return graph


def _print(found: Estimate, count: int, title: str) -> None:
    from rich.console import Console

    console = Console()
    if count:
        console.print(_layer_table(found, count, title))
    shares = ", ".join(f"{share:.0%} by {bound}" for bound, share in found.bound_shares.items())
    console.print(f"{title}: [bold]{found.total_ms:.2f} ms[/] an inference, of it bound {shares}", highlight=False)
    console.print(_memory_line(found), highlight=False)
    console.print(found.caveat, style="yellow", highlight=False)


def _layer_table(found: Estimate, count: int, title: str) -> Table:
    from rich.table import Table

    from edge.report.table import human_bytes, human_count

    slowest = sorted(found.layers, key=lambda layer: -layer.ms)[:count]
    shown = Table(title=f"{title}: slowest {len(slowest)} of {len(found.layers)} kernels", header_style="bold")
    for column in ("layer", "operator", "precision"):
        shown.add_column(column)
    for column in ("MACs", "moved", "ms", "bound by"):
        shown.add_column(column, justify="right" if column != "bound by" else "left")
    for layer in slowest:
        joined = f" + {len(layer.joined)}" if layer.joined else ""
        work = (human_count(layer.macs) if layer.macs else "", human_bytes(layer.bytes), f"{layer.ms:.3f}")
        shown.add_row(layer.layer, layer.operator + joined, layer.precision, *work, layer.bound or "")
    return shown


def _memory_line(found: Estimate) -> str:
    from edge.report.table import human_bytes

    memory = found.memory
    parts = ", ".join(f"{human_bytes(getattr(memory, key))} {text}" for key, text in _PARTS)
    verdict = "of" if memory.fits else "[bold red]does not fit into[/]"
    return (
        f"memory: {human_bytes(memory.total)} {verdict} the device's {human_bytes(memory.device)}: {parts}, "
        f"{human_bytes(memory.context)} CUDA and TensorRT"
    )
