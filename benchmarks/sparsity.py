"""What 2:4 sparsity changes on this machine: nothing is expected, for ONNX Runtime has no kernels that skip zeros.

Run: python benchmarks/sparsity.py [--rounds 60] [--graph NAME] [--out FILE.json]
The same net dense and 2:4 sparse, in FP32 and both INT8 dialects, on one thread in turns: how many times faster the
sparse one is, with its interval. Beside it the size of the graph files, as they are and deflated.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.sparsify.config import SparsifyConfig
from edge.compress.sparsify.sparsifying import held_against, sparsify
from edge.runtime.statistics import compare

sys.path.insert(0, str(Path(__file__).parent))
from int8_graphs import GRAPHS, SEED, BenchmarkGraph
from int8_speed import as_feeds, runner
from results import write_result

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

CALLS = 3


def main() -> None:
    """Prints one line a dialect; writes all of it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--graph", default="reference-cnn", choices=[g.name for g in GRAPHS])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    graph = next(g for g in GRAPHS if g.name == arguments.graph)
    result = measure(graph, arguments.rounds)
    print(f"{graph.name}: {result['sparsity']}")
    for dialect, found in result["dialects"].items():
        print(describe(dialect, found), flush=True)
    if arguments.out:
        write_result(arguments.out, result)


def measure(graph: BenchmarkGraph, rounds: int) -> dict[str, Any]:
    """Speed and bytes of each dialect, dense and sparse."""
    generator = torch.Generator().manual_seed(SEED)
    calibration = [graph.inputs(1, generator) for _ in range(8)]
    model = graph.model()
    sparse, _, record = sparsify(model, calibration[0], SparsifyConfig())
    denses, sparses = (variants(graph, m, calibration) for m in (model, sparse))
    for dialect in ("fp32", "s8"):
        assert not held_against(record, sparses[dialect]).lost, dialect
    feeds = as_feeds(graph, calibration[0])
    found = {}
    for dialect, before in denses.items():
        ours, theirs = sparses[dialect].SerializeToString(), before.SerializeToString()
        ratio = compare(runner(ours, feeds), runner(theirs, feeds), rounds=rounds, calls=CALLS, seed=SEED)
        found[dialect] = {
            "sparse_over_dense": {"ratio": ratio.ratio, "interval": ratio.interval, "range": ratio.range},
            "bytes": {"dense": len(theirs), "sparse": len(ours)},
            "deflated": {"dense": len(zlib.compress(theirs)), "sparse": len(zlib.compress(ours))},
        }
    return {"graph": graph.name, "rounds": rounds, "sparsity": str(record), "share": record.share, "dialects": found}


def variants(
    graph: BenchmarkGraph, model: nn.Module, calibration: list[tuple[Tensor, ...]]
) -> dict[str, onnx.ModelProto]:
    """The model as FP32, `s8` and `u8`."""
    names = list(graph.shapes), list(graph.outputs)
    s8 = write_s8(export_onnx(quantize_static(model, calibration[0], calibration), calibration[0], *names))
    return {"fp32": export_onnx(model, calibration[0], *names), "s8": s8, "u8": write_u8(s8)}


def describe(dialect: str, found: dict[str, Any]) -> str:
    """One line for people."""
    speed, files, deflated = found["sparse_over_dense"], found["bytes"], found["deflated"]
    low, high = speed["interval"]
    return (
        f"{dialect}: sparse is {speed['ratio']:.3f}x as fast [{low:.3f}, {high:.3f}]; file {files['dense']:,} -> "
        f"{files['sparse']:,} bytes, deflated {deflated['dense']:,} -> {deflated['sparse']:,}"
    )


if __name__ == "__main__":
    main()
