"""What `edge estimate` says of networks whose latency on a board somebody published, and by how much it is off.

Run: python benchmarks/estimate.py [--models FOLDER] [--out benchmarks/results/estimate.json]
Builds each network, compares its size with the published one, fits the roofline's constants to the figures that are
marked for it, and compares the estimates of all others with what was published. Exit code 3 where a network is not
the published one, or where the constants in edge/devices/roofline.py are not those that the fit gives.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import onnx
import torch
from scipy.optimize import minimize

from edge.compress.export import export_onnx
from edge.devices import estimate as estimates
from edge.devices.catalog import load_device
from edge.devices.estimate import ERROR_FILE, at_clock, reformatting_ms
from edge.devices.kernels import KernelGraph, kernel_graph
from edge.devices.roofline import FITTED, Constants, device_rates, kernel_cost
from edge.runtime.atomic import atomic_file

sys.path.insert(0, str(Path(__file__).parent))
from published_figures import FIGURES, PUBLISHERS, Figure
from published_graphs import GRAPHS, PublishedGraph
from results import DIGITS, write_result
from tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULT = Path(__file__).parent / "results" / "estimate.json"
ERRORS = Path(estimates.__file__).parent / ERROR_FILE
SAME_SIZE = 0.02  # of published parameters and operations
SAME_CONSTANT = 0.02  # of the fitted constants: they are rounded in the code


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="keeps the exported graphs here, and takes those that are there")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    graphs, sizes, faults = {}, {}, []
    for network in GRAPHS:
        model = exported(network, arguments.models)
        graphs[network.name] = kernel_graph(model)
        sizes[network.name] = size_of(network, graphs[network.name])
        faults += unlike(network, sizes[network.name])
        print(f"{network.name}: {sizes[network.name]}", flush=True)
    fitted = fit(graphs, [f for f in FIGURES if f.fitted])
    faults += drifted(fitted)
    rows = [compared(figure, graphs[figure.graph]) for figure in FIGURES]
    known = {figure.graph for figure in FIGURES if figure.fitted}
    result = {
        "constants": {"used": asdict(FITTED), "fitted": asdict(fitted)},
        "fitted": spread([r["ratio"] for r in rows if r["fitted"]]),
        "held_out": spread([r["ratio"] for r in rows if not r["fitted"]]),
        "other_networks": spread([r["ratio"] for r in rows if r["graph"] not in known]),
        "publishers": {name: asdict(p) for name, p in PUBLISHERS.items()},
        "graphs": sizes,
        "rows": rows,
    }
    write_result(arguments.out, result)
    if arguments.out == RESULT:
        write_errors(result["held_out"])
    print("\n".join(report(result)))
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(3 if faults else 0)


def exported(network: PublishedGraph, folder: Path | None) -> onnx.ModelProto:
    """The network as ONNX, as `edge` exports it."""
    kept = folder / f"{network.name}.onnx" if folder else None
    if kept is not None and kept.is_file():
        return onnx.load(str(kept))
    model = export_onnx(network.model(), network.example(), list(network.inputs), list(network.outputs))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(kept))
    return model


def size_of(network: PublishedGraph, graph: KernelGraph) -> dict[str, Any]:
    """Parameters in millions and operations in 1e9, ours and as published, and how many kernels are launched."""
    with torch.device("meta"):
        parameters = sum(p.numel() for p in network.build().parameters()) / 1e6
    operations = 2e-9 * sum(kernel.product.macs for kernel in graph.kernels if kernel.product)
    return {
        "parameters": parameters,
        "published_parameters": network.parameters,
        "giga_operations": operations,
        "published_giga_operations": network.giga_operations,
        "counted": network.counted,
        "launches": sum(kernel.launches for kernel in graph.kernels),
    }


def unlike(network: PublishedGraph, size: dict[str, Any]) -> list[str]:
    """In what a network differs from the published one."""
    pairs = (("parameters", "published_parameters"), ("giga_operations", "published_giga_operations"))
    return [
        f"{network.name}: {size[ours]:.2f} {ours}, published {size[theirs]}"
        for ours, theirs in pairs
        if size[theirs] is not None and abs(size[ours] / size[theirs] - 1) > SAME_SIZE
    ]


def estimated(figure: Figure, graph: KernelGraph, constants: Constants = FITTED) -> float:
    """Milliseconds by the roofline."""
    device = load_device(figure.device, environ={})
    rates = device_rates(at_clock(device, *figure.clock) if figure.clock else device, constants)
    layers = math.fsum(kernel_cost(kernel, rates, figure.precision).ms for kernel in graph.kernels)
    return layers + reformatting_ms(graph, rates)


def fit(graphs: dict[str, KernelGraph], figures: Sequence[Figure]) -> Constants:
    """The constants that make the squares of the estimates' logarithmic errors least."""

    def loss(logarithms: Sequence[float]) -> float:
        constants = Constants(*(math.exp(value) for value in logarithms))
        return math.fsum(math.log(estimated(f, graphs[f.graph], constants) / f.ms) ** 2 for f in figures)

    start = [math.log(value) for value in (0.5, 0.5, 10_000)]
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-6, "maxiter": 400})
    return Constants(*(math.exp(value) for value in found.x))


def drifted(fitted: Constants) -> list[str]:
    """Constants in the code that are not those of the fit."""
    used = asdict(FITTED)
    return [
        f"the roofline's {name} is {used[name]}, the fit gives {value:.4g}"
        for name, value in asdict(fitted).items()
        if abs(used[name] / value - 1) > SAME_CONSTANT
    ]


def compared(figure: Figure, graph: KernelGraph) -> dict[str, Any]:
    """A published figure beside its estimate."""
    ms = estimated(figure, graph)
    return {**asdict(figure), "estimated_ms": ms, "ratio": ms / figure.ms}


def spread(ratios: Sequence[float]) -> dict[str, float]:
    """Of estimate over published: least, median, largest; and the factor by which they are off either way."""
    factors = [max(ratio, 1 / ratio) for ratio in ratios]
    return {
        "rows": len(ratios),
        "lowest": min(ratios),
        "median": median(ratios),
        "highest": max(ratios),
        "median_factor": median(factors),
        "worst_factor": max(factors),
    }


def write_errors(error: dict[str, float]) -> None:
    """Leaves with the package what `edge estimate` must say with every figure."""
    kept = {key: float(f"{error[key]:.{DIGITS}g}") for key in ("lowest", "median", "highest")}
    with atomic_file(ERRORS) as draft:
        draft.write_text(json.dumps({"rows": error["rows"], **kept}, indent=1) + "\n", encoding="utf-8")


def report(result: dict[str, Any]) -> list[str]:
    """For people."""
    header = ["network", "device", "precision", "published (ms)", "estimated (ms)", "ratio", ""]
    rows = [
        [r["graph"], r["device"], r["precision"], f"{r['ms']:.2f}", f"{r['estimated_ms']:.2f}", f"{r['ratio']:.2f}",
         "fitted" if r["fitted"] else ""]
        for r in result["rows"]
    ]  # fmt: skip
    parts = [f"{part}: {result[part]}" for part in ("constants", "fitted", "held_out", "other_networks")]
    return [*table(header, rows), *parts]


if __name__ == "__main__":
    main()
