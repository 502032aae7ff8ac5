"""Bytes of TensorRT-RTX engines: FP32, INT8, and a graph whose weights alone are INT8, which computes in float.

Run, in the environment of requirements/preflight.txt: python benchmarks/engine_bytes.py [--graph NAME ...]
Writes results/engine_bytes.json. No GPU is needed; nothing here is a speed. It shows what the size of an engine proves
of its precision: of the weights something, where they are many, and of the activations nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from edge.compile.precision.declared_in_network import declared_precision
from edge.compile.tensorrt.builder import build_engine
from edge.compile.tensorrt.engine_config import EngineConfig
from edge.compile.tensorrt.library import open_library
from edge.compile.tensorrt.network import parse_network
from edge.compress.dialects.writing import write_s8
from edge.compress.export import export_onnx
from edge.compress.quantize.pt2e import quantize_static

sys.path.insert(0, str(Path(__file__).parent))
from int8_graphs import GRAPHS, SEED, BenchmarkGraph
from looks_quantized import with_weights_only
from results import write_result
from tables import figure, table

RESULT = Path(__file__).parent / "results" / "engine_bytes.json"
CAPABILITY = "8.6"  # what stands for Orin
WANTED_SAVING = 0.65  # of the reference graph, share of the FP32 weights' bytes


def main() -> None:
    """Builds every variant and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", action="append", choices=[g.name for g in GRAPHS])
    chosen = parser.parse_args().graph
    rows = {g.name: measure(g) for g in GRAPHS if not chosen or g.name in chosen}
    print("\n".join(lines(rows)))
    if not chosen:
        title = open_library("tensorrt_rtx").title
        write_result(RESULT, {"compiler": title, "compute_capability": CAPABILITY, "graphs": rows})
        sys.exit(0 if rows["reference-cnn"]["saved"]["int8"] >= WANTED_SAVING else 3)


def measure(graph: BenchmarkGraph) -> dict[str, Any]:
    """Bytes of each engine, the share of the weights' bytes that it saves, and what its network declares."""
    generator = torch.Generator().manual_seed(SEED)
    model, names = graph.model(), tuple(graph.shapes)
    calibration = [graph.inputs(4, generator) for _ in range(2)]
    quantized, one = quantize_static(model, calibration[0], calibration), graph.inputs(1, generator)
    fp32 = export_onnx(model, one, names, graph.outputs)
    s8 = write_s8(export_onnx(quantized, one, names, graph.outputs))
    variants = {"fp32": fp32, "int8": s8, "weight_only": with_weights_only(s8)}
    built = {name: build(variant) for name, variant in variants.items()}
    weights = 4 * sum(int(np.prod(t.dims)) for t in fp32.graph.initializer if len(t.dims) > 1)
    return {
        "weight_bytes": weights,
        "engine_bytes": {name: size for name, (size, _) in built.items()},
        "saved": {name: (built["fp32"][0] - size) / weights for name, (size, _) in built.items() if name != "fp32"},
        "declared_int8": {name: shares.get("int8", 0.0) for name, (_, shares) in built.items()},
    }


def build(graph: onnx.ModelProto) -> tuple[int, dict[str, float]]:
    """Bytes of the engine and shares of the multiply-accumulates by declared precision."""
    library, config = open_library("tensorrt_rtx"), EngineConfig(compute_capability=CAPABILITY)
    parsed = parse_network(library, graph.SerializeToString(), config)
    return len(build_engine(parsed, config).plan), declared_precision(parsed).shares()


def lines(rows: dict[str, dict[str, Any]]) -> list[str]:
    """A row for each graph."""
    header = ["graph", "FP32 weights", "FP32 engine", "INT8: saved, declared", "weights only: saved, declared"]
    return table(header, [[name, *_cells(row)] for name, row in rows.items()])


def _cells(row: dict[str, Any]) -> list[str]:
    sizes = (row["weight_bytes"], row["engine_bytes"]["fp32"])
    variants = ((row["saved"][name], row["declared_int8"][name]) for name in ("int8", "weight_only"))
    return [
        *(f"{figure(size / 1e6)} MB" for size in sizes),
        *(f"{saved:.0%}, {int8:.0%} INT8" for saved, int8 in variants),
    ]


if __name__ == "__main__":
    main()
