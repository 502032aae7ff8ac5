"""INT8 speed on ONNX Runtime: FP32, our two dialects and ONNX Runtime's own static U8S8, one thread, interleaved.

Run: python benchmarks/int8_speed.py [--rounds 15] [--graph NAME ...] [--out FILE.json]
Every round times each variant in turn; a ratio is taken within a round, so that what else the machine does hits
both sides. Printed: median of the rounds' ratios and their range.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.quantize import pt2e
from edge.runtime.statistics.timing import Timing, interleave

sys.path.insert(0, str(Path(__file__).parent))
from int8_graphs import GRAPHS, SEED, BenchmarkGraph

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Feeds = dict[str, "NDArray[np.float32]"]
CALLS = 15


class Batches(CalibrationDataReader):
    """The calibration inputs in the form that ONNX Runtime's quantizer reads."""

    def __init__(self, feeds: list[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        """One batch, or None at the end."""
        return next(self._feeds, None)


def main() -> None:
    """Measures the chosen graphs and prints one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--graph", action="append", choices=[g.name for g in GRAPHS])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for graph in GRAPHS:
        if not arguments.graph or graph.name in arguments.graph:
            results[graph.name] = measure(graph, arguments.rounds)
            print(describe(graph.name, results[graph.name]), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def measure(graph: BenchmarkGraph, rounds: int) -> dict[str, object]:
    """Ratios of one graph."""
    model = graph.model()
    generator = torch.Generator().manual_seed(SEED)
    calibration = [graph.inputs(1, generator) for _ in range(8)]
    files = write_variants(graph, model, calibration)
    feeds = as_feeds(graph, calibration[0])
    runs = {name: runner(data, feeds) for name, data in files.items()}
    times = {name: medians(timing) for name, timing in interleave(runs, rounds=rounds, calls=CALLS, seed=SEED).items()}
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes": {name: len(data) for name, data in files.items()},
        "over_fp32": {name: ratios(times["fp32"], times[name]) for name in ("s8", "u8", "ort")},
        "u8_over_ort": ratios(times["ort"], times["u8"]),
    }


def write_variants(
    graph: BenchmarkGraph, model: torch.nn.Module, calibration: list[tuple[torch.Tensor, ...]]
) -> dict[str, bytes]:
    """The same model as FP32, our two dialects and ONNX Runtime's U8S8, all on the same calibration inputs."""
    names = list(graph.shapes), list(graph.outputs)
    fp32 = export_onnx(model, calibration[0], *names)
    quantized = pt2e.quantize_static(model, calibration[0], calibration)
    s8 = write_s8(export_onnx(quantized, calibration[0], *names))
    return {
        "fp32": fp32.SerializeToString(),
        "s8": s8.SerializeToString(),
        "u8": write_u8(s8).SerializeToString(),
        "ort": quantize_by_onnxruntime(fp32, [as_feeds(graph, inputs) for inputs in calibration]),
    }


def quantize_by_onnxruntime(fp32: onnx.ModelProto, feeds: list[Feeds]) -> bytes:
    """ONNX Runtime's own static quantization as its documentation advises for x86 with VNNI."""
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, target = (Path(folder) / name for name in ("fp32.onnx", "prepared.onnx", "u8s8.onnx"))
        onnx.save(fp32, str(source))
        quant_pre_process(source, prepared)
        quantize_static(
            prepared,
            target,
            Batches(feeds),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def as_feeds(graph: BenchmarkGraph, inputs: tuple[torch.Tensor, ...]) -> Feeds:
    """Tensors by input name."""
    return {name: tensor.numpy() for name, tensor in zip(graph.shapes, inputs, strict=True)}


def runner(data: bytes, feeds: Feeds) -> Callable[[], object]:
    """One inference on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    taken = {i.name for i in session.get_inputs()}
    own = {name: values for name, values in feeds.items() if name in taken}
    return lambda: session.run(None, own)


def medians(timing: Timing) -> NDArray[np.float64]:
    """Median duration of each round."""
    return np.asarray(np.median(timing.samples_ns, axis=1), np.float64)


def ratios(slower: NDArray[np.float64], faster: NDArray[np.float64]) -> dict[str, float]:
    """Median, least and largest of the rounds' ratios."""
    found = slower / faster
    return {"median": float(np.median(found)), "min": float(found.min()), "max": float(found.max())}


def describe(name: str, result: dict[str, object]) -> str:
    """One line for people."""
    over, versus, sizes = result["over_fp32"], result["u8_over_ort"], result["bytes"]
    assert isinstance(over, dict) and isinstance(versus, dict) and isinstance(sizes, dict)
    parts = [f"{key} {value['median']:.2f}x [{value['min']:.2f}, {value['max']:.2f}]" for key, value in over.items()]
    return (
        f"{name}: {result['parameters']:,} parameters; over FP32: {', '.join(parts)}; "
        f"u8 over ort {versus['median']:.3f} [{versus['min']:.3f}, {versus['max']:.3f}]; "
        f"file {sizes['fp32'] / sizes['s8']:.2f}x smaller "
        f"(s8 {sizes['s8']:,}, u8 {sizes['u8']:,}, ort {sizes['ort']:,})"
    )


if __name__ == "__main__":
    main()
